"""What a config asks to be measured, and when: the values of Pulser's observables, from the state as it passes by.

Values, times and shapes are those of `pulser_simulation.QutipBackendV2`. What is diagonal, and energies, are computed here; a
fidelity or an expectation value is left to Pulser's own observable, on a `QutipState`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pcs_runner.emulator.engines.batched.hamiltonian import apply, energies
from pcs_runner.emulator.engines.batched.shots import cumulative

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from pcs_runner.emulator.engines.batched.points import Physics

BY_PULSER = frozenset({"fidelity", "expectation"})
"""Observables that are given a `QutipState`."""

KNOWN = BY_PULSER | {"bitstrings", "occupation", "correlation_matrix", "energy", "energy_variance", "energy_second_moment"}
"""Base tags of the observables that are covered."""

RYDBERG = "r"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """A time at which something is measured.

    Attributes:
        relative: The time as Pulser says it, 0 to 1.
        time_ns: The same, ns.
        observables: What is measured.
    """

    relative: float
    time_ns: float
    observables: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """What was measured at a moment.

    Attributes:
        values: Value of each observable but bitstrings, by tag.
        steps: Cumulative probabilities, when bitstrings are drawn here, as `shots.cumulative`.
    """

    values: Mapping[str, Any]
    steps: NDArray[np.int64] | None


def moments(observables: Sequence[Any], default_times: Any, duration_ns: int) -> tuple[Moment, ...]:
    """The moments of a sequence, in order; those at which nothing is measured are left out, the last is always the end.

    Pulser computes an observable at every time of the simulation that lies within half a nanosecond of one of its own.
    """
    tolerance = 0.5 / duration_ns
    found = []
    for relative in _times(observables, default_times, duration_ns):
        due = tuple(observable for observable in observables if _is_due(observable, relative, default_times, tolerance))
        if due or relative == 1.0:
            found.append(Moment(relative=relative, time_ns=min(relative * duration_ns, float(duration_ns)), observables=due))
    return tuple(found)


def _times(observables: Sequence[Any], default_times: Any, duration_ns: int) -> list[float]:
    """Relative times of the simulation: those of the config and of each observable, the start and the end."""
    default = np.arange(duration_ns) / duration_ns if isinstance(default_times, str) else np.asarray(default_times, dtype=float)
    own = [observable.evaluation_times for observable in observables if observable.evaluation_times is not None]
    duration_us = duration_ns * 1e-3
    times = np.union1d(np.concatenate([default, *own]) * duration_ns * 1e-3, [0.0, duration_us])  # rounded as Pulser rounds
    return [float(time) for time in times / duration_us]


def _is_due(observable: Any, relative: float, default_times: Any, tolerance: float) -> bool:
    times = observable.evaluation_times
    if times is None:
        if isinstance(default_times, str):
            return True
        times = default_times
    return bool(np.any(np.abs(np.asarray(times, dtype=float) - relative) <= tolerance))


class Watch:
    """Measures one sequence as it evolves.

    Args:
        physics: The sequence.
        config: What an observable may ask for (`default_num_shots`, `noise_model`).
    """

    def __init__(self, physics: Physics, config: Any) -> None:
        self._drive, interaction = physics.noiseless
        self._atoms = len(physics.atoms)
        self._interaction = interaction
        self._config = config
        self._diagonal: NDArray[np.float64] | None = None

    def record(self, moment: Moment, state: NDArray[np.complex128]) -> Record:
        """Measure what is due.

        Args:
            moment: When.
            state: `(2^atoms,)`, normalised.
        """
        probabilities = state.real**2 + state.imag**2
        energy = self._energy(moment, state)
        values = {
            observable.tag: self._value(observable, state, probabilities, energy)
            for observable in moment.observables
            if observable._base_tag != "bitstrings"
        }
        drawn = any(observable._base_tag == "bitstrings" for observable in moment.observables)
        return Record(values=values, steps=cumulative(state) if drawn else None)

    def _value(self, observable: Any, state: Any, probabilities: Any, energy: tuple[float, float]) -> Any:
        match observable._base_tag:
            case "occupation":
                return occupations(probabilities, self._atoms, observable.one_state or RYDBERG)
            case "correlation_matrix":
                return correlations(probabilities, self._atoms, observable.one_state or RYDBERG)
            case "energy":
                return energy[0]
            case "energy_second_moment":
                return energy[1]
            case "energy_variance":
                return energy[1] - energy[0] ** 2
            case _:
                return observable.apply(config=self._config, state=qutip_state(state), hamiltonian=None)

    def _energy(self, moment: Moment, state: NDArray[np.complex128]) -> tuple[float, float]:
        """Mean of H and of H² without noise, rad/µs and its square; zeros when nobody asks."""
        if not any(observable._base_tag.startswith("energy") for observable in moment.observables):
            return 0.0, 0.0
        if self._diagonal is None:
            self._diagonal = energies(self._interaction)[: 2**self._atoms]
        moved = apply(state, self._diagonal, self._drive.at(moment.time_ns))
        return float(np.vdot(state, moved).real), float(np.vdot(moved, moved).real)


def occupations(probabilities: NDArray[np.float64], atoms: int, one_state: str) -> list[float]:
    """Probability of each atom to be in `one_state`, in the order of the register."""
    excited = [float(_where(probabilities, atoms, (atom,)).sum()) for atom in range(atoms)]
    return excited if one_state == RYDBERG else [1.0 - value for value in excited]


def correlations(probabilities: NDArray[np.float64], atoms: int, one_state: str) -> list[list[float]]:
    """Probability of each pair of atoms to be both in `one_state`; the occupation on the diagonal."""
    both = np.array([[float(_where(probabilities, atoms, (i, j)).sum()) for j in range(atoms)] for i in range(atoms)])
    if one_state == RYDBERG:
        return both.tolist()  # type: ignore[no-any-return]
    single = np.diag(both)
    pairs = 1.0 - single[:, None] - single[None, :] + both
    np.fill_diagonal(pairs, 1.0 - single)
    return pairs.tolist()  # type: ignore[no-any-return]


def _where(probabilities: NDArray[np.float64], atoms: int, excited: Iterable[int]) -> NDArray[np.float64]:
    """Probabilities of the states in which these atoms are excited."""
    cube = probabilities.reshape((2,) * atoms)
    return cube[tuple(1 if atom in excited else slice(None) for atom in range(atoms))]


def qutip_state(state: NDArray[np.complex128]) -> Any:
    """The state as Pulser's `QutipState`, whose basis begins with r: an index of ours is one's complement of theirs."""
    import qutip  # type: ignore[import-untyped]
    from pulser_simulation import QutipState

    atoms = len(state).bit_length() - 1
    ket = qutip.Qobj(state[::-1].reshape(-1, 1), dims=[[2] * atoms, [1] * atoms])
    return QutipState(ket, eigenstates=("r", "g"))
