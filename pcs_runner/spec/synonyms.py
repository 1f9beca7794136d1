"""What people call the keys of a spec elsewhere: in Qiskit, in the PCS console, in the laboratory."""

from __future__ import annotations

SYNONYMS: dict[str, tuple[str, ...]] = {
    "shots": ("runs",),
    "nshots": ("runs",),
    "repetitions": ("runs", "repeat", "repeats"),
    "reps": ("runs", "repeat", "repeats"),
    "passes": ("repeat",),
    "times": ("repeats",),
    "steps": ("num", "repeats"),
    "points": ("num",),
    "samples": ("num",),
    "n": ("num", "repeats", "n_qubits"),
    "begin": ("start",),
    "from": ("start",),
    "min": ("start", "low"),
    "end": ("stop",),
    "to": ("stop",),
    "max": ("stop", "high"),
    "mean": ("loc",),
    "mu": ("loc",),
    "sigma": ("scale",),
    "std": ("scale",),
    "increment": ("step",),
    "omega": ("amplitude", "amp_on"),
    "rabi": ("amplitude", "amp_on"),
    "rabi_frequency": ("amplitude", "amp_on"),
    "delta": ("detuning", "detuning_on"),
    "length": ("duration", "time"),
    "t": ("duration", "time"),
    "time": ("duration",),
    "duration": ("time",),
    "type": ("kind", "op", "device_type"),
    "shape": ("kind",),
    "operation": ("op",),
    "gate": ("op",),
    "qubit": ("target", "targets"),
    "atoms": ("register",),
    "qubits": ("register", "targets"),
    "geometry": ("register",),
    "pulses": ("operations",),
    "gates": ("operations",),
    "params": ("variables", "constants"),
    "parameters": ("variables", "constants"),
    "scan": ("sweep",),
    "loop": ("sweep",),
    "filter": ("where",),
    "if": ("where",),
    "job": ("jobs",),
    "circuit": ("sequence",),
    "pitch": ("spacing",),
    "distance": ("spacing",),
    "lattice_constant": ("spacing",),
    "simulator": ("engine", "backend"),
    "emulator": ("engine", "device_type"),
    "provider": ("backend",),
    "output": ("results",),
}
"""Another word, in lower case without `_` at its ends -> the keys that it may mean, the likeliest first."""


def synonym(word: str, names: list[str]) -> str:
    """The first of some keys that a word is another name of, or empty.

    Args:
        word: As written.
        names: The keys that may still be given.
    """
    plain = word.lower().strip("_ ").removeprefix("num_").removeprefix("n_")
    meant = SYNONYMS.get(word.lower().strip("_ ")) or SYNONYMS.get(plain, ())
    return next((name for name in meant if name in names), "")
