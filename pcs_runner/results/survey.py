"""One pass over the records before anything is written: which columns there are, of which kind, and how many rows."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pcs_runner.results.source import Source

if TYPE_CHECKING:
    from pcs_runner.results.record import JobRecord

Kind = Literal["integer", "number", "text", "list", "json"]
"""Of the values of a name: `list` is of numbers, all of one length; `json` is everything else, written as JSON."""


@dataclass(slots=True)
class Tag:
    """What the engine computed under a tag.

    Attributes:
        times: The relative times of all records, 0 to 1.
        shape: Of a value, None when some value is not made of numbers only.
    """

    times: set[float] = field(default_factory=set)
    shape: tuple[int, ...] | None = ()

    def add(self, times: Iterable[float], values: Iterable[Any]) -> None:
        """Take in what a record has."""
        self.times.update(round(time, 12) for time in times)
        for value in values:
            found = shape_of(value)
            if found is None or self.shape is None or (self.shape and len(found) != len(self.shape)):
                self.shape = None
            else:
                self.shape = tuple(map(max, found, self.shape)) if self.shape else found


@dataclass(slots=True)
class Survey:
    """What the records have.

    Attributes:
        names: Names of the points, in the order in which they first appear, with their kind.
        lengths: Length of the values of names whose kind is `list`.
        atoms: Names of all atoms, in the order in which registers first have them.
        groups: Names of the groups.
        estimates: Names of the spec's observables.
        tags: What the engine computed.
        jobs: Number of records.
        rows: Number of distinct bitstrings, summed over the jobs.
        bits: Length of the longest bitstring.
        shots: Most raw shots of a job, 0 when none were kept.
        fits: Whether every record stands where the grid has its point.
        offsets: Byte offset of each record, where they are read in another order.
    """

    names: dict[str, Kind] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    atoms: tuple[str, ...] = ()
    groups: dict[str, None] = field(default_factory=dict)
    estimates: dict[str, None] = field(default_factory=dict)
    tags: dict[str, Tag] = field(default_factory=dict)
    jobs: int = 0
    rows: int = 0
    bits: int = 0
    shots: int = 0
    fits: bool = True
    offsets: array[int] = field(default_factory=lambda: array("q"))

    def add(self, record: JobRecord) -> None:
        """Take in a record."""
        self.groups.setdefault(record.group)
        self.estimates.update(dict.fromkeys(record.estimates))
        for name, value in record.point.items():
            self._add_value(name, value)
        for tag, found in record.observables.items():
            self.tags.setdefault(tag, Tag()).add(found["times"], found["values"])
        self.jobs += 1
        self.rows += len(record.counts)
        self.bits = max(self.bits, len(next(iter(record.counts), "")))
        self.shots = max(self.shots, len(record.raw or ()))

    def _add_value(self, name: str, value: Any) -> None:
        kind = kind_of(value)
        if kind == "list" and self.lengths.setdefault(name, len(value)) != len(value):
            kind = "json"
        known = self.names.setdefault(name, kind)
        if known != kind:
            self.names[name] = "number" if {known, kind} == {"integer", "number"} else "json"


def survey(source: Source, *, locate: bool = False) -> Survey:
    """Look at every record once.

    Args:
        source: The records.
        locate: Keep the offset of each: 8 bytes a record.
    """
    found = Survey(atoms=tuple(dict.fromkeys(atom for atoms in source.atoms.values() for atom in atoms)))
    for offset, record in source.located():
        found.add(record)
        if source.grid is not None and source.grid.place(record) is None:
            found.fits = False
        if locate:
            found.offsets.append(offset)
    return found


def kind_of(value: Any) -> Kind:
    """The kind of one value."""
    if isinstance(value, bool | int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "text"
    numbers = isinstance(value, list) and value and all(isinstance(item, int | float) for item in value)
    return "list" if numbers else "json"


def shape_of(value: Any) -> tuple[int, ...] | None:
    """The shape of nested lists of numbers, `()` for a number, None for anything else."""
    if isinstance(value, int | float):
        return ()
    if not isinstance(value, list) or not value:
        return None
    inner = {shape_of(item) for item in value}
    only = next(iter(inner))
    return None if len(inner) > 1 or only is None else (len(value), *only)
