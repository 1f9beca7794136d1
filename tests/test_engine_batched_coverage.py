"""What engine `batched` says it takes, and why not; how much memory it plans."""

from __future__ import annotations

import json
import sys
from typing import Any

import pulser
import pytest
from pulser.devices import DigitalAnalogDevice, MockDevice

from pcs_runner.emulator.engines import EngineJob, EngineSettings
from pcs_runner.emulator.engines.batched import BatchedEngine
from pcs_runner.emulator.engines.batched.coverage import covers
from pcs_runner.emulator.engines.batched.memory import AUTO_BYTES, bytes_needed, does_not_fit


def text_of(channel: str = "rydberg_global", atoms: int = 2, device: Any = MockDevice) -> str:
    sequence = pulser.Sequence(pulser.Register.rectangle(1, atoms, spacing=8.0, prefix="q"), device)
    local = {"initial_target": "q0"} if channel.endswith("local") else {}
    sequence.declare_channel("one", channel, **local)
    sequence.add(pulser.Pulse.ConstantPulse(100, 1.0, 0.0, 0.0), "one")
    return sequence.to_abstract_repr()


def settings(accuracy: float | None = None, **config: Any) -> EngineSettings:
    return EngineSettings(config=json.dumps(config), accuracy=accuracy)


@pytest.mark.parametrize(
    ("sequence", "options", "reason"),
    [
        (text_of(), {}, None),
        (text_of("rydberg_local"), {"with_modulation": True}, None),
        (text_of(), {"noise_model": {"noise_types": ["SPAM", "doppler", "amplitude"]}}, None),
        (text_of("raman_local"), {}, "it simulates the ground-rydberg basis, not digital"),
        (text_of("mw_global"), {}, "it simulates the ground-rydberg basis, not XY"),
        (
            text_of(),
            {"noise_model": {"noise_types": ["SPAM", "relaxation", "dephasing"]}},
            "it does not simulate noise of type dephasing, relaxation",
        ),
        (text_of(), {"noise_model": {"noise_types": ["register"]}}, "it does not simulate noise of type register"),
        (text_of(), {"initial_state": {}}, "it starts with all atoms in the ground state, not in `initial_state`"),
        (text_of(), {"interaction_matrix": [[0]]}, "it takes the interactions from the register, not from `interaction_matrix`"),
        (text_of(), {"sampling_rate": 0.5}, "it reads every sample, and `sampling_rate` is below 1"),
        (text_of(), {"observables": [{"observable": "parity"}]}, "it does not compute the observable parity"),
        (text_of(), {"accuracy": 1e-12}, "it promises an infidelity of 1e-09 at best, not 1e-12"),
    ],
)
def test_covers_says_why_not(sequence: str, options: dict[str, Any], reason: str | None) -> None:
    assert covers(sequence, settings(**options)) == reason


def test_a_register_that_does_not_fit_is_refused_with_the_number() -> None:
    sequence = json.loads(text_of())
    sequence["register"] = [{"name": f"q{k}", "x": 8.0 * k, "y": 0.0} for k in range(30)]
    assert covers(json.dumps(sequence), settings()) == (
        "30 atoms need 472 GiB, and 8 GiB are allowed, enough for 24: "
        "take fewer atoms, a machine with more memory, or engine emu-mps"
    )


def test_memory_doubles_with_each_atom_and_is_enough_for_what_is_promised() -> None:
    assert bytes_needed(21) < 2.1 * bytes_needed(20)
    assert does_not_fit(14, 2**28) is None
    assert does_not_fit(20, 2**30) is None
    assert does_not_fit(24, AUTO_BYTES) is None


def test_the_plan_holds() -> None:
    """A block takes no more than was planned: peak of what NumPy allocates for 12 atoms."""
    import tracemalloc

    jobs = [EngineJob(position=k, variables={}, runs=10, entropy=(k,)) for k in range(4)]
    sequence = text_of(atoms=12)
    list(BatchedEngine().run(sequence, jobs, EngineSettings()))
    tracemalloc.start()
    list(BatchedEngine().run(sequence, jobs, EngineSettings()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < bytes_needed(12)


def test_what_is_not_covered_is_refused_by_the_engine() -> None:
    sequence = text_of("raman_local", device=DigitalAnalogDevice)
    with pytest.raises(ValueError, match="it simulates the ground-rydberg basis, not digital; use engine auto or qutip"):
        list(BatchedEngine().run(sequence, [EngineJob(position=0, variables={}, runs=1, entropy=(1,))], EngineSettings()))


def test_covers_loads_neither_pulser_nor_numba() -> None:
    import subprocess

    program = (
        "import sys; from pcs_runner.emulator.engines.batched import coverage, BatchedEngine; "
        "print(sorted({'pulser', 'numba', 'qutip'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
