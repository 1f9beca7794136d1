"""What tables and datasets are made from: the records of a run, and what its folder says about them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from pcs_runner.results import jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pcs_runner.results.record import JobRecord
    from pcs_runner.sweep import Points

REPETITION = "repetition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Points that are every combination of the values of some axes.

    Attributes:
        axes: Name -> values, slowest first; `repetition` before all others when the group is repeated.
        shuffled: Whether the points are visited in another order.
    """

    axes: Mapping[str, Sequence[Any]]
    shuffled: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each axis."""
        return tuple(len(values) for values in self.axes.values())

    def place(self, record: JobRecord) -> int | None:
        """Where a record stands in C order; None when its point is not the one that belongs there."""
        place, stride = 0, 1
        rest = record.point_index
        for name, values in reversed(list(self.axes.items())):
            if name == REPETITION:
                number = record.repetition
            else:
                rest, number = divmod(rest, len(values))
                if not _same(record.point.get(name), values[number]):
                    return None
            place, stride = place + number * stride, stride * len(values)
        return place if rest == 0 and place < stride else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The records of a run, or of one of its groups.

    Attributes:
        results: `results.jsonl`.
        atoms: Sequence id -> names of its atoms, in the order of the bitstrings.
        group: The group whose records are meant, None for all.
        grid: The grid that the points form, None when they form none.
        units: Unit of each name of the points that is known.
        attributes: Provenance, as texts and integers.
    """

    results: Path
    atoms: Mapping[str, Sequence[str]]
    group: str | None = None
    grid: Grid | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str | int] = field(default_factory=dict)

    def records(self) -> Iterator[JobRecord]:
        """The records in job order, read anew at each call."""
        return (record for _, record in self.located())

    def located(self) -> Iterator[tuple[int, JobRecord]]:
        """The byte offset of each record's line, and the record."""
        return ((at, record) for at, record in jsonl.located(self.results) if self.group in (None, record.group))


def grid_axes(points: Points) -> dict[str, tuple[Any, ...]] | None:
    """The axes, slowest first, when the points are every combination of their values, in order; else None.

    Axes are numbers or texts. At most as many values are kept as a grid of so many points can have.
    """
    total = len(points)
    seen: dict[str, dict[Any, None]] = {name: {} for name in points.names}
    for place in range(total):
        size = 1
        for values, value in zip(seen.values(), points[place], strict=True):
            if not isinstance(value, int | float | str):
                return None
            values.setdefault(value)
            size *= len(values)
        if size > total:
            return None
    axes = {name: tuple(values) for name, values in seen.items()}
    if not axes or math.prod(map(len, axes.values())) != total:
        return None
    return axes if all(points[place] == one for place, one in enumerate(product(*axes.values()))) else None


def _same(one: Any, other: Any) -> bool:
    """Whether two values of an axis are the same, to 12 significant digits."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-12)
    return bool(one == other)
