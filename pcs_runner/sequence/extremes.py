"""Points that need not be built: Pulser's own verdict on the extremes of their free parameters covers them.

The points of a sequence fall into classes, in which only the free parameters differ (`parameters.Reading`). Within a class the
samples of every waveform grow with these, and each of Pulser's limits is one on the least, the greatest or the mean sample. So
a set of points is accepted when Pulser accepts a sequence above all of them and one below: ramps are made flat there, at the
greatest and at the least of their ends, so that no rounding of a slope comes between. And it is refused, for one reason, when
Pulser refuses both corners at the same operation in the same words. What neither settles is halved, and at last built point by
point. `tests/test_plan_checks.py` compares the verdicts with Pulser's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pcs_runner.sequence.build import build, load_sequence
from pcs_runner.sequence.columns import UnreadableError
from pcs_runner.sequence.parameters import Reading, open_name
from pcs_runner.sequence.prefixes import first_failing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from pcs_runner.sequence.parameters import Points

ALONE = -1
"""The leader of a point that has to be built itself."""
BUILT_ANYWAY = 3
"""So few points are built sooner than their corners."""
SLACK = 1e-12
"""Relative. More than the rounding of a ramp's samples and of a mean, where a corner has to be beyond all points."""
KEPT_CLASSES = 20_000


@dataclass(slots=True)
class PointClass:
    """Points that differ in free parameters only.

    Attributes:
        variables: Of its first point.
        asked: How many points outside of the box have been asked about.
        low: Least free parameters of a box that Pulser accepts, or None.
        high: Greatest of these.
        outcome: Whatever the caller found out about a point of the box, and holds for all of it; None before.
    """

    variables: Mapping[str, Any]
    asked: int = 0
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    outcome: Any = None


@dataclass(slots=True)
class Settled:
    """What is known about points without having built them.

    Attributes:
        leaders: For each point its own index (it stands for others), the index of an earlier point whose outcome it shares, or
            `ALONE`.
        classes: The class of each point that lies in an accepted box; None for the others.
    """

    leaders: list[int]
    classes: list[PointClass | None] = field(default_factory=list)


class Extremes:
    """The points of one parametrised sequence.

    Args:
        text: The sequence in Pulser's abstract representation (a JSON string).
        device: The device's spec, for a sequence that only names it.
    """

    def __init__(self, text: str, device: Mapping[str, Any]) -> None:
        self._reading = Reading(text, device)
        self._classes: dict[bytes, PointClass] = {}
        free = self._reading.free
        self._waveforms = np.array([one.waveform for one in free], dtype=int)
        self._detunings = np.array([not one.amplitude for one in free], dtype=bool)
        self._operations = np.array([one.operation for one in free], dtype=int)
        self._opened_text = self._reading.opened

    def settle(self, variables: Sequence[Mapping[str, Any]]) -> Settled:
        """Group points that share an outcome.

        Args:
            variables: Of each point, in the order of the plan.
        """
        found = Settled([ALONE] * len(variables), [None] * len(variables))
        try:
            points = self._reading.points(variables)
        except UnreadableError:
            return found
        everyone = points.free[points.readable]
        for key, rows in _classes(points):
            self._settle_class(self._class(key, variables[rows[0]]), rows, points.free, everyone, found)
        return found

    def _class(self, key: bytes, variables: Mapping[str, Any]) -> PointClass:
        if key not in self._classes and len(self._classes) >= KEPT_CLASSES:
            self._classes.clear()
        return self._classes.setdefault(key, PointClass(variables))

    def _settle_class(
        self, one: PointClass, rows: NDArray[np.int64], free: NDArray[np.float64], everyone: NDArray[np.float64], found: Settled
    ) -> None:
        if free.shape[1] == 0:
            one.low = one.high = free[0]  # all points of the class are the same to Pulser
        if one.low is not None and one.high is not None:
            inside = ((free[rows] >= one.low) & (free[rows] <= one.high)).all(axis=1)
            self._accept(one, rows[inside], found)
            rows = rows[~inside]
        one.asked += len(rows)
        if len(rows) and one.asked > BUILT_ANYWAY and self._grows(one, everyone, free[rows]):
            self._accept(one, rows, found)
        else:
            self._halve(one, rows, free, found)

    def _grows(self, one: PointClass, everyone: NDArray[np.float64], own: NDArray[np.float64]) -> bool:
        """Make the class's box hold all points that were asked about, or at least its own; whether Pulser accepts that."""
        amplitudes = ~self._detunings
        alike = ((everyone[:, amplitudes] == 0.0) == (own[0, amplitudes] == 0.0)).all(axis=1)
        before = np.empty((0, own.shape[1])) if one.low is None or one.high is None else np.stack((one.low, one.high))
        for points in (np.vstack((everyone[alike], before)), np.vstack((own, before))):
            low, high = points.min(axis=0), points.max(axis=0)
            if self._objection(one, low, high) is None:
                one.low, one.high = low, high
                return True
        return False

    @staticmethod
    def _accept(one: PointClass, rows: NDArray[np.int64], found: Settled) -> None:
        for row in rows.tolist():
            found.leaders[row] = int(rows[0])
            found.classes[row] = one

    def _halve(self, one: PointClass, rows: NDArray[np.int64], free: NDArray[np.float64], found: Settled) -> None:
        """Settle what the class's box does not hold."""
        if len(rows) == 0:
            return
        low, high = free[rows].min(axis=0), free[rows].max(axis=0)
        if (low == high).all():
            for row in rows.tolist():
                found.leaders[row] = int(rows[0])
            return
        if len(rows) <= BUILT_ANYWAY:
            return
        objection = self._objection(one, low, high)
        if objection is None:
            self._accept(one, rows, found)
            if one.low is None:
                one.low, one.high = low, high
        elif self._refused_alike(one, low, high):
            for row in rows.tolist():
                found.leaders[row] = int(rows[0])
        else:
            column = self._column_to_cut(low, high, objection)
            middle = np.median(free[rows, column])
            below = free[rows, column] < middle
            if not below.any():
                below = free[rows, column] <= middle
            self._halve(one, rows[below], free, found)
            self._halve(one, rows[~below], free, found)

    def _column_to_cut(self, low: NDArray[np.float64], high: NDArray[np.float64], objection: Exception) -> int:
        """The free parameter that differs most, relatively, among those that Pulser's objection may be about."""
        spread = (high - low) / np.maximum(np.maximum(np.abs(high), np.abs(low)), 1e-300)
        likely = np.where(self._detunings == ("detuning" in str(objection)), spread, 0.0)
        return int(np.argmax(likely if likely.any() else spread))

    # ---- corners

    def _objection(self, one: PointClass, low: NDArray[np.float64], high: NDArray[np.float64]) -> Exception | None:
        """None when Pulser accepts all points of a class between these; else why not a point at their edge."""
        corners = [self._flat(high, np.maximum), self._flat(low, np.minimum)]
        if self._reading.least_average:
            corners.append(low - SLACK * np.abs(low))
        return next((said for corner in corners if (said := self._refusal(one, corner)) is not None), None)

    def _flat(self, values: NDArray[np.float64], choose: np.ufunc) -> NDArray[np.float64]:
        """Both ends of a ramp at the same value."""
        flat = values.copy()
        for number, waveform in enumerate(self._waveforms):
            flat[number] = choose.reduce(values[self._waveforms == waveform])
        return flat

    def _refused_alike(self, one: PointClass, low: NDArray[np.float64], high: NDArray[np.float64]) -> bool:
        """Whether Pulser refuses all points of a class between these, at the same operation and for the same reason."""
        corners = low - SLACK * np.abs(low), high + SLACK * np.abs(high)
        refusals = [self._refusal(one, corner) for corner in corners]
        if refusals[0] is None or refusals[1] is None or _kind(refusals[0]) != _kind(refusals[1]):
            return False
        places = [first_failing(self._opened_text, self._variables(one, corner)) for corner in corners]
        if places[0] != places[1] or places[0] is None:
            return False
        of_detuning = self._detunings & (self._operations == places[0])
        return bool((low[of_detuning] >= 0).all() or (high[of_detuning] <= 0).all())

    def _refusal(self, one: PointClass, corner: NDArray[np.float64]) -> Exception | None:
        try:
            build(self._opened, self._variables(one, corner))
        except Exception as error:  # noqa: BLE001 - Pulser's exceptions have no common ancestor but this
            return error
        return None

    @staticmethod
    def _variables(one: PointClass, corner: NDArray[np.float64]) -> dict[str, Any]:
        return {**one.variables, **{open_name(number): float(value) for number, value in enumerate(corner)}}

    @cached_property
    def _opened(self) -> Any:
        return load_sequence(self._opened_text)


def _classes(points: Points) -> Iterator[tuple[bytes, NDArray[np.int64]]]:
    """The readable points by what is exact in them: a key and their indices, ascending."""
    rows = np.flatnonzero(points.readable)
    keys = np.ascontiguousarray(points.exact[rows])
    if len(rows) == 0 or keys.shape[1] == 0:
        if len(rows):
            yield b"", rows
        return
    whole = keys.view(np.dtype((np.void, keys.dtype.itemsize * keys.shape[1]))).ravel()
    _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
    members = np.split(rows[np.argsort(inverse, kind="stable")], np.cumsum(np.bincount(inverse))[:-1])
    yield from zip((whole[one].tobytes() for one in first), members, strict=True)


def _kind(error: Exception) -> str:
    """What Pulser said without its numbers."""
    return re.sub(r"-?\d[\d.]*(?:e[-+]?\d+)?", "#", str(error))
