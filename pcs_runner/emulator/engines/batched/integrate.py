"""Many points through time together: blocks of points, three levels of steps, extrapolated, finer until they agree.

Strang's error is a series in the square of the step, so the states of steps h, h/2 and h/4 give two states of order 4 and one of
order 6 (Richardson). The infidelity D between the two of order 4 is the estimate: the better one of them lies within about
D/225, D/25 is asked to be below the accuracy, and the state of order 6 is returned.

Rotations of all atoms that an infidelity of 1e-6 takes (6 atoms, 347 rad/µs, resonant, 4 µs; interpolated between measured ones):
Strang alone 3,300, Blanes-Moan 2,900, Suzuki 3,600, ABA(8,6,4) 3,000, each without an estimate; this 4,000 with it, and 5,500 for
1e-9, where Strang takes 19,000 and ABA(8,6,4) 6,000.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pcs_runner.emulator.engines.batched.hamiltonian import energies
from pcs_runner.emulator.engines.batched.kernels import advance
from pcs_runner.emulator.engines.batched.memory import LANES, LEVELS, TABLE_BYTES
from pcs_runner.emulator.engines.batched.stepping import NARROWEST_NS, coefficients, first_unit, make_grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from pcs_runner.emulator.engines.batched.stepping import Grid
    from pcs_runner.emulator.engines.batched.waveforms import Drive

DEFAULT_ACCURACY = 1e-5
"""Infidelity of a point's state."""

SAFETY = 25.0
"""The difference of the two states of order 4 may be this many times the accuracy; 225 would be the limit if h⁴ were the whole
error."""

LOOSEST = 2e-5
"""A looser accuracy is taken as this one: where the orders 4 differ by more than 1e-3, the series has not begun to converge,
and the estimate means nothing (seen: 1e-3 asked for, 4e-4 estimated, 1.02e-3 missed)."""

ROUNDING = 1e-12
"""Infidelity below which a difference is rounding, not error."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Point:
    """One evolution from all atoms in the ground state.

    Attributes:
        drive: What drives the atoms.
        interaction: U_ij, `(atoms, atoms)`, rad/µs.
        times_ns: Where the state is wanted, ascending, above 0, ending with the duration.
    """

    drive: Drive
    interaction: NDArray[np.float64]
    times_ns: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evolution:
    """What became of one point.

    Attributes:
        index: Of the point in what was handed in.
        records: What `observe` made of the state at each time; empty when no step was fine enough.
        estimate: Estimated infidelity, an upper one.
        steps: Rotations that were applied, all levels and attempts together.
    """

    index: int
    records: tuple[Any, ...]
    estimate: float
    steps: int


def integrate(
    points: Sequence[Point], accuracy: float, observe: Callable[[int, int, NDArray[np.complex128]], Any]
) -> Iterator[Evolution]:
    """Evolve points, in any order; a point's result depends on that point alone, to the last bit.

    Args:
        points: Any mixture; those with the same register and layout of drives share their blocks.
        accuracy: Allowed infidelity of a state.
        observe: Called with the index of a point, that of a time and the normalised state `(2^atoms,)` there, and returns what
        to keep.
    """
    accuracy = min(accuracy, LOOSEST)
    alike: dict[tuple[bytes, bytes], list[int]] = defaultdict(list)
    for index, point in enumerate(points):
        alike[point.interaction.tobytes(), point.drive.row_of_atom.tobytes()].append(index)
    for members in alike.values():
        yield from _integrate_alike(points, members, accuracy, observe)


def _integrate_alike(points: Sequence[Point], members: list[int], accuracy: float, observe: Any) -> Iterator[Evolution]:
    tables = Tables(energies(points[members[0]].interaction))
    units = {index: first_unit(points[index].drive, points[index].interaction, accuracy) for index in members}
    spent = dict.fromkeys(members, 0)
    while units:
        grids = {index: make_grid(points[index].drive, points[index].times_ns, unit) for index, unit in units.items()}
        again = {}
        for block in _blocks(grids):
            attempt = [_Lane(index, points[index], grids[index]) for index in block]
            estimates, records = _attempt(attempt, tables, observe)
            for index, estimate, kept in zip(block, estimates, records, strict=True):
                spent[index] += len(grids[index].sizes) * (2**LEVELS - 1)
                if estimate <= accuracy:
                    yield Evolution(index=index, records=kept, estimate=estimate, steps=spent[index])
                elif units[index] <= NARROWEST_NS:
                    yield Evolution(index=index, records=(), estimate=estimate, steps=spent[index])
                else:
                    again[index] = units[index] / 2.0
        units = again


def _blocks(grids: dict[int, Grid]) -> Iterator[list[int]]:
    """Points with like steps side by side."""
    ordered = sorted(grids, key=lambda index: (grids[index].legs, grids[index].sizes.tobytes()))
    by_legs: dict[int, list[int]] = defaultdict(list)
    for index in ordered:
        by_legs[len(grids[index].legs)].append(index)
    for several in by_legs.values():
        yield from (several[k : k + LANES] for k in range(0, len(several), LANES))


@dataclass(frozen=True, slots=True, eq=False)
class _Lane:
    index: int
    point: Point
    grid: Grid


def _attempt(lanes: list[_Lane], tables: Tables, observe: Any) -> tuple[list[float], list[tuple[Any, ...]]]:
    """All legs of a block; for each lane its worst estimate and its records."""
    atoms = len(lanes[0].point.interaction)
    states = np.zeros((LEVELS, tables.size, 2, LANES))
    states[:, 0, 0, :] = 1.0
    estimates, records = [0.0] * len(lanes), [[] for _ in lanes]  # type: ignore[var-annotated]
    for leg in range(len(lanes[0].grid.legs) - 1):
        for level in range(LEVELS):
            _advance_leg(lanes, leg, level, states[level], tables)
        for k, lane in enumerate(lanes):
            levels = states[:, : 2**atoms, 0, k] + 1j * states[:, : 2**atoms, 1, k]
            state, estimate = extrapolate(levels)
            estimates[k] = max(estimates[k], estimate)
            records[k].append(observe(lane.index, leg, state))
    return estimates, [tuple(kept) for kept in records]


def extrapolate(levels: NDArray[np.complex128]) -> tuple[NDArray[np.complex128], float]:
    """The state of order 6, normalised, and the estimated infidelity, from the states of steps h, h/2, h/4, `(3, 2^n)`."""
    coarse = (4.0 * levels[1] - levels[0]) / 3.0
    fine = (4.0 * levels[2] - levels[1]) / 3.0
    estimate = max(_infidelity(coarse, fine) - ROUNDING, 0.0) / SAFETY
    best = (16.0 * fine - coarse) / 15.0
    return best / np.linalg.norm(best), estimate


def _infidelity(one: NDArray[np.complex128], other: NDArray[np.complex128]) -> float:
    overlap = np.vdot(one, other)
    distance = other / np.linalg.norm(other) - one * (overlap / np.vdot(one, one).real / np.linalg.norm(other))
    return float(np.vdot(distance, distance).real)


def _advance_leg(lanes: list[_Lane], leg: int, level: int, state: NDArray[np.float64], tables: Tables) -> None:
    """Take a block through one leg with the steps of one level."""
    sizes = [np.repeat(lane.grid.sizes[slice(*lane.grid.legs[leg : leg + 2])] / 2**level, 2**level) for lane in lanes]
    rows, count = _rows(lanes[0].point.drive, tables.size)
    steps = max(len(own) for own in sizes)
    tangents, turns, scales = (
        np.zeros((steps + 1, count, LANES)),
        np.zeros((steps + 1, count, 2, LANES)),
        np.ones((steps + 1, LANES)),
    )
    turns[:, :, 0] = 1.0
    spans = np.zeros((steps + 1, LANES))
    for k, (lane, own) in enumerate(zip(lanes, sizes, strict=True)):
        drive = lane.point.drive
        start = lane.point.times_ns[leg - 1] if leg else 0.0
        bounds = np.concatenate(((start,), start + np.cumsum(own)))
        bounds[-1] = lane.point.times_ns[leg]
        coefficients(drive.values, drive.curvatures, drive.integrals, bounds, k, tangents, turns, scales, rows)
        spans[: len(own), k] = 0.5 * own
        spans[1 : len(own) + 1, k] += 0.5 * own
    spans[:, len(lanes) :] = spans[:, :1]
    for part, stack, which in tables.parts(spans):
        advance(state, tangents[part], turns[part], scales[part], stack, which, rows)


def _rows(drive: Drive, size: int) -> tuple[NDArray[np.int64], int]:
    """The row that drives each qubit (qubit 0 is the last atom; idle ones take a row that stays empty) and the number of rows."""
    rows = drive.row_of_atom[::-1]
    idle = size.bit_length() - 1 - len(rows)
    count = drive.values.shape[1]
    return np.concatenate((rows, np.full(idle, count))), count + (1 if idle else 0)


class Tables:
    """Factors `exp(-i E s)` of the interaction for lengths s of time, made when first needed.

    Args:
        diagonal: Energies of the basis states, `(2^n,)`, rad/µs.
    """

    def __init__(self, diagonal: NDArray[np.float64]) -> None:
        self.size = len(diagonal)
        self._diagonal = diagonal
        self._held: dict[tuple[float, ...], NDArray[np.float64]] = {}
        self._most = max(2 * LANES, TABLE_BYTES // (16 * self.size))

    def parts(self, spans: NDArray[np.float64]) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.int64]]]:
        """Slices of the steps with the tables that they need, `(tables, 2^n, 2)`, and the table of each step and lane.

        Args:
            spans: Length of time before each rotation, `(K + 1, LANES)`, ns.
        """
        first = 0
        while first < len(spans):
            last = len(spans)
            while len(lengths := np.unique(spans[first:last])) > self._most:
                last = first + max(1, (last - first) // 2)
            which = np.searchsorted(lengths, spans[first:last])
            yield slice(first, last), self._stack(tuple(lengths.tolist())), which
            first = last

    def _stack(self, lengths: tuple[float, ...]) -> NDArray[np.float64]:
        if lengths not in self._held:
            phases = 1e-3 * np.outer(lengths, self._diagonal)
            stack = np.empty((*phases.shape, 2))
            np.cos(phases, out=stack[..., 0])
            np.sin(-phases, out=stack[..., 1])
            while self._held and stack.nbytes + sum(other.nbytes for other in self._held.values()) > TABLE_BYTES:
                del self._held[next(iter(self._held))]
            self._held[lengths] = stack
        return self._held[lengths]
