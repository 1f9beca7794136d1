"""Which steps a point takes: pieces of a size class, halved where its own waveforms change within them, and three levels of them.

Everything here is computed from one point's data alone, so neither the step nor a last bit depends on the points beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pcs_runner.emulator.engines.batched.kernels import jit
from pcs_runner.emulator.engines.batched.waveforms import integral

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pcs_runner.emulator.engines.batched.waveforms import Drive

CHANGE_RAD = 1e-4
"""Third difference of a waveform's integrals over the quarters of a piece (rad) above which it is halved. With 2e-3, what is
not smooth added up to 1e-8 of infidelity that the estimate did not see, with 1e-4 to 1e-11; it costs 2 % of the steps."""

WIDEST_NS, NARROWEST_NS = 64.0, 2.0**-9


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The coarsest steps of one point.

    Attributes:
        sizes: Lengths of the steps, ns.
        legs: Number of steps before each evaluation time, starting with 0 and ending with all of them.
        unit_ns: The widest step that it was allowed.
    """

    sizes: NDArray[np.float64]
    legs: tuple[int, ...]
    unit_ns: float


def first_unit(drive: Drive, interaction: NDArray[np.float64], accuracy: float) -> float:
    """Length of the coarsest steps (ns) with which the estimate will most likely hold; 2^k or 3 * 2^k.

    The exponents are a fit to two rows of 4 to 12 atoms with 19 to 1,500 rad/µs between neighbours;
    where they miss, the step is halved.
    """
    strength = float(np.hypot(drive.values[0], drive.values[1]).max())
    detuning = float(np.abs(drive.values[2]).max())
    if strength == 0.0:
        return WIDEST_NS
    energy = max(2.0 * float(interaction.max(initial=0.0)) + 0.25 * detuning, 2.0 * strength)
    atoms, duration_us = len(interaction), drive.duration_ns * 1e-3
    wanted = 27.0 * (40.0 / energy) ** 0.52 * (9.4 / strength) ** 0.5 * (4.0 / duration_us) ** 0.25 * (6.0 / atoms) ** 0.2
    return rounded_unit(min(wanted * (accuracy / 1e-5) ** 0.125, 1e3 / strength))


def rounded_unit(wanted_ns: float) -> float:
    """The largest 2^k or 3 * 2^k that is not above, between the narrowest and the widest."""
    power = 2.0 ** np.floor(np.log2(wanted_ns))
    return float(np.clip(1.5 * power if wanted_ns >= 1.5 * power else power, NARROWEST_NS, WIDEST_NS))


def make_grid(drive: Drive, times_ns: Sequence[float], unit_ns: float) -> Grid:
    """Cut a point's time at its evaluation times and into steps of at most `unit_ns`.

    Args:
        drive: Of the point.
        times_ns: Evaluation times, ascending; the last is the duration.
        unit_ns: Length of the widest step.
    """
    pieces, legs = [], [0]
    start = 0.0
    for end in times_ns:
        pieces.append(_leg(drive.values, drive.curvatures, drive.integrals, start, end, unit_ns, CHANGE_RAD))
        legs.append(legs[-1] + len(pieces[-1]))
        start = end
    return Grid(sizes=np.concatenate(pieces), legs=tuple(legs), unit_ns=unit_ns)


@jit
def _rough(values: Any, curvatures: Any, integrals: Any, start: float, size: float, limit: float) -> bool:
    """Whether a waveform's integrals over the quarters of a piece are not those of a parabola."""
    for kind in range(values.shape[0]):
        for row in range(values.shape[1]):
            difference = 0.0
            for k in range(5):
                weight = (-1.0, 4.0, -6.0, 4.0, -1.0)[k]
                time = start + 0.25 * k * size
                difference += weight * integral(values[kind, row], curvatures[kind, row], integrals[kind, row], time)
            if abs(difference) * 1e-3 > limit:
                return True
    return False


@jit
def _divides(size: float, length: float) -> bool:
    """Whether a length is a whole number of sizes."""
    return abs(length / size - round(length / size)) < 1e-9


@jit
def _leg(values: Any, curvatures: Any, integrals: Any, start: float, end: float, unit: float, limit: float) -> Any:
    """Sizes of the steps from `start` to `end`: units, then what is left in halves of a unit, each halved where it is rough."""
    sizes = []
    position, widest = start, unit
    while end - position > 1e-9:
        while widest > end - position + 1e-9 and widest > 1.0:
            widest *= 0.5
        size = min(widest, end - position)
        while size > 1.0 and _rough(values, curvatures, integrals, position, size, limit):
            size *= 0.5
        sizes.append(size)
        position += size
        widest = unit if _divides(unit, position - start) else size
        while widest < unit and _divides(2.0 * widest, position - start):
            widest *= 2.0
    return np.array(sizes)


@jit
def coefficients(
    values: Any, curvatures: Any, integrals: Any, bounds: Any, lane: int, tangents: Any, turns: Any, scales: Any, rows: Any
) -> None:
    """Fill one lane of the arrays that `kernels.advance` takes, for steps between `bounds` (ns); steps beyond them stay idle."""
    steps = bounds.size - 1
    for row in range(values.shape[1]):
        angle_before = 0.0
        x, y, d = values[0, row], values[1, row], values[2, row]
        cx, cy, cd = curvatures[0, row], curvatures[1, row], curvatures[2, row]
        ix, iy, di = integrals[0, row], integrals[1, row], integrals[2, row]
        x_before, y_before = integral(x, cx, ix, bounds[0]), integral(y, cy, iy, bounds[0])
        d_before = integral(d, cd, di, bounds[0])
        for step in range(steps):
            x_after, y_after = integral(x, cx, ix, bounds[step + 1]), integral(y, cy, iy, bounds[step + 1])
            d_middle = integral(d, cd, di, 0.5 * (bounds[step] + bounds[step + 1]))
            dx, dy = 1e-3 * (x_after - x_before), 1e-3 * (y_after - y_before)
            theta = np.sqrt(dx * dx + dy * dy)
            angle = np.arctan2(dy, dx) if theta > 1e-15 else angle_before
            if dy == 0.0 and theta > 1e-15:
                theta, angle = dx, 0.0
            phase = angle_before - angle + 1e-3 * (d_middle - d_before)
            tangents[step, row, lane] = np.tan(0.5 * theta)
            turns[step, row, 0, lane] = np.cos(phase)
            turns[step, row, 1, lane] = np.sin(phase)
            angle_before, x_before, y_before, d_before = angle, x_after, y_after, d_middle
        phase = angle_before + 1e-3 * (integral(d, cd, di, bounds[steps]) - d_before)
        turns[steps, row, 0, lane] = np.cos(phase)
        turns[steps, row, 1, lane] = np.sin(phase)
    for step in range(steps):
        scale = 1.0
        for qubit in range(rows.size):
            scale /= np.sqrt(1.0 + tangents[step, rows[qubit], lane] ** 2)
        scales[step + 1, lane] = scale
