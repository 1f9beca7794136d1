"""Which of a group's names are axes, and where in a chart a job belongs; decided from the values alone."""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from pcs_runner.results.charts.axes import value_text
from pcs_runner.results.charts.theme import N_SERIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pcs_runner.results.record import JobRecord

PASS = "pass"  # noqa: S105 - a name on an axis
"""Passes over a group (`repeat`), as an axis."""

RUN = "compared run"
"""Which of several runs a record belongs to, as an axis; no name of a spec has a space."""

MOST_VALUES = 2000
"""Distinct values of a name that are kept; a number with more is put into bins."""

MOST_COLUMNS = {"line": 200, "heat": 40, "series": N_SERIES, "facet": 9}
"""Distinct positions that a chart shows of an axis; more are merged with their neighbours."""

_MOST_POINTS = 200_000
_FULL_ENOUGH = 0.5
_SERIES_AT_MOST = 4


def is_number(value: object) -> bool:
    """Whether a value has a place on an axis of numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(slots=True)
class Values:
    """The values of one name.

    Attributes:
        seen: Key -> value, in the order of appearance, at most `MOST_VALUES`.
        numeric: All are numbers.
        low: Smallest number.
        high: Largest number.
    """

    seen: dict[Any, Any] = field(default_factory=dict)
    numeric: bool = True
    low: float = float("inf")
    high: float = float("-inf")

    def add(self, value: Any) -> Any:
        """Take a value in; its key."""
        key = key_of(value)
        if is_number(value):
            self.low, self.high = min(self.low, value), max(self.high, value)
        else:
            self.numeric = False
        if len(self.seen) < MOST_VALUES:
            self.seen.setdefault(key, value)
        return key

    @property
    def many(self) -> bool:
        """There are more than were kept."""
        return len(self.seen) >= MOST_VALUES


def key_of(value: Any) -> Any:
    """Something hashable that is equal for equal values."""
    if is_number(value):
        return float(value)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


@dataclass(slots=True)
class Names:
    """The names of a group's points, and how many distinct points the first ones make.

    Attributes:
        values: Name -> its values, in the order of the point.
        points: For each name the distinct combinations of it and all before it, as hashes.
    """

    values: dict[str, Values] = field(default_factory=dict)
    points: dict[str, set[int]] = field(default_factory=dict)

    def add(self, record: JobRecord) -> None:
        """Take in the point of a job."""
        so_far = 0
        for name, value in point_of(record).items():
            key = self.values.setdefault(name, Values()).add(value)
            so_far = hash((so_far, repr(key)))  # not of the number: hash(-1.0) is hash(-2.0)
            found = self.points.setdefault(name, set())
            if len(found) < _MOST_POINTS:
                found.add(so_far)

    def independent(self) -> list[str]:
        """Names that those before them do not determine."""
        found, size = [], 1
        for name, points in self.points.items():
            if len(points) > size:
                found.append(name)
                size = len(points)
        return found

    @property
    def n_points(self) -> int:
        """Number of distinct points."""
        return len(next(reversed(self.points.values()), set()))


def point_of(record: JobRecord) -> dict[str, Any]:
    """The point, and which pass it belongs to."""
    return {**record.point, PASS: record.repetition + 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One name as an axis of a chart.

    Attributes:
        name: In the point.
        unit: Or an empty text.
        places: Sorted numbers, or keys in the order of appearance.
        labels: Of values that are no numbers, else empty.
        merged: Neighbouring values share a place.
    """

    name: str
    unit: str = ""
    places: Sequence[Any] = ()
    labels: Sequence[str] = ()
    merged: bool = False

    @classmethod
    def of(cls, name: str, values: Values, unit: str, most: int) -> Axis:
        """The axis of a name with at most so many places."""
        if not values.numeric:
            keys = list(values.seen)
            labels = [value_text(value) for value in values.seen.values()]
            return cls(name=name, unit=unit, places=keys[:most], labels=labels[:most], merged=len(keys) > most)
        numbers = sorted(values.seen)
        if len(numbers) <= most and not values.many:
            return cls(name=name, unit=unit, places=numbers)
        width = (values.high - values.low) / most
        places = [values.low + (number + 0.5) * width for number in range(most)]
        return cls(name=name, unit=unit, places=places, merged=True)

    def place(self, value: Any) -> int | None:
        """The number of the value's place; None where it has none."""
        key = key_of(value)
        if self.labels:
            return self.places.index(key) if key in self.places else None
        if self.merged:
            low, step = self.places[0], self.places[1] - self.places[0]
            return min(len(self.places) - 1, max(0, int((key - low) / step + 0.5)))
        at = bisect_left(self.places, key)
        return at if at < len(self.places) and self.places[at] == key else None

    def label(self, place: int) -> str:
        """The value at a place, as text."""
        return self.labels[place] if self.labels else value_text(self.places[place])

    def where(self, place: int) -> str:
        """`omega = 3.142 rad/µs`; of several runs `run B`."""
        if self.name == RUN:
            return f"run {self.label(place)}"
        return f"{self.name} = {self.label(place)}{f' {self.unit}' if self.unit else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """How a group is drawn.

    Attributes:
        kind: `point` (nothing varies), `lines`, `heat`, or `cloud` (points that form no grid: a panel for each name).
        x: Along the bottom.
        y: Of a heat map.
        series: What tells lines apart.
        facets: One panel for each combination of these.
        cloud: Names of a cloud's panels.
        averaged: Names over which the values are averaged.
    """

    kind: Literal["point", "lines", "heat", "cloud"]
    x: Axis | None = None
    y: Axis | None = None
    series: Axis | None = None
    facets: Sequence[Axis] = ()
    cloud: Sequence[str] = ()
    averaged: Sequence[str] = ()

    def cell(self, point: Mapping[str, Any]) -> tuple[int | None, ...] | None:
        """Places on facets, series, y and x; None when the chart has no place for the point."""
        cell: list[int | None] = []
        for axis in (*self.facets, self.series, self.y, self.x):
            place = None if axis is None else axis.place(point.get(axis.name))
            if axis is not None and place is None:
                return None
            cell.append(place)
        return tuple(cell)


def arrange(names: Names, computed: frozenset[str], units: Mapping[str, str]) -> Arrangement:
    """Choose the chart of a group.

    One axis makes lines, two make a heat map (lines, when one of them has at most four values), more make small multiples; points
    that fill less than half of the grid of their values are a cloud. Several runs are lines of one panel, or panels side by side.

    Args:
        names: What the points have.
        computed: Names of `let`, which are no axes of their own.
        units: Name -> unit.
    """
    free = names.independent()
    passes = [PASS] if PASS in free else []
    runs = [RUN] if RUN in free else []
    own = [name for name in free if name not in {PASS, RUN}]
    drawn = [name for name in names.values if name not in {PASS, RUN, *computed}]
    if not free:
        return Arrangement(kind="point")
    if _is_cloud(names, own, drawn, copies=len(names.values[RUN].seen) if runs else 1):
        series = Axis.of(RUN, names.values[RUN], "", MOST_COLUMNS["series"]) if runs else None
        return Arrangement(kind="cloud", series=series, cloud=drawn, averaged=passes)
    if passes and not runs and len(names.values[PASS].seen) <= _SERIES_AT_MOST and len(own) <= 1:
        own, passes = [PASS, *own], []
    axes = [*runs, *(own or passes)]
    return _grid(names, axes, units, passes if own else [])


def _grid(names: Names, own: list[str], units: Mapping[str, str], averaged: list[str]) -> Arrangement:
    def axis(name: str, use: str) -> Axis:
        return Axis.of(name, names.values[name], units.get(name, ""), MOST_COLUMNS[use])

    def size(name: str) -> int:
        return len(names.values[name].seen)

    plane = _plane(own, names)
    others = [name for name in own if name not in plane]
    facets, room = [], MOST_COLUMNS["facet"]
    for name in sorted(others, key=size):
        if room < 2:
            averaged = [*averaged, name]
            continue
        most = max(2, room if len(others) == 1 else 3)
        facets.append(Axis.of(name, names.values[name], units.get(name, ""), most))
        room //= len(facets[-1].places)
    few = [name for name in plane if size(name) <= _SERIES_AT_MOST]
    if len(plane) == 1:
        return Arrangement(kind="lines", x=axis(plane[0], "line"), facets=facets, averaged=averaged)
    if few:
        lines = RUN if RUN in few else min(few, key=size)
        x = next(name for name in plane if name != lines)
        return Arrangement(kind="lines", x=axis(x, "line"), series=axis(lines, "series"), facets=facets, averaged=averaged)
    y, x = plane
    return Arrangement(kind="heat", x=axis(x, "heat"), y=axis(y, "heat"), facets=facets, averaged=averaged)


def _plane(own: list[str], names: Names) -> list[str]:
    """The one or two names that span a panel: those with most values, in the order of the sweep."""
    if len(own) <= 2:
        return own
    own = [name for name in own if name != RUN]
    largest = sorted(own, key=lambda name: len(names.values[name].seen) * (2 if names.values[name].numeric else 1))[-2:]
    return [name for name in own if name in largest]


def _is_cloud(names: Names, own: list[str], drawn: list[str], copies: int) -> bool:
    """Whether the points form no grid, or hang together by their first name only because each value of it is unique.

    Args:
        names: What the points have.
        own: Names that span the points.
        drawn: Names that are no computed ones.
        copies: How often each point may be there.
    """
    if len(drawn) < 2:
        return False
    size = copies
    for name in own:
        size *= len(names.values[name].seen)
    if len(own) > 1:
        return names.n_points < _FULL_ENOUGH * size
    return bool(own) and not all(_follows(names.values[own[0]], names.values[name]) for name in drawn if name != own[0])


def _follows(first: Values, other: Values) -> bool:
    """Whether a name that the first one determines rises or falls with it, as in a `zip` of ranges."""
    if not (first.numeric and other.numeric) or first.many or other.many:
        return True
    if len(other.seen) not in {1, len(first.seen)}:
        return True
    pairs = sorted(zip(first.seen, other.seen, strict=False)) if len(other.seen) > 1 else []
    steps = [b - a for (_, a), (_, b) in pairwise(pairs)]
    return all(step >= 0 for step in steps) or all(step <= 0 for step in steps)
