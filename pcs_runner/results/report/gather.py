"""The records in two passes and little memory: what there is, then sums for the charts, failures and a few jobs as they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pcs_runner.results.report.names import Arrangement, Names, arrange, point_of
from pcs_runner.results.report.quantities import Mean, Quantity, contributions, engine_value, interval, shots_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from pcs_runner.results.record import JobRecord
    from pcs_runner.results.statistics import Shots

MOST_GROUPS = 12
MOST_REASONS = 20
EXAMPLES = 5
LONGEST_REASON = 600
CLOUD_POINTS = 400
BITSTRINGS_CHARTED = 3
_MOST_BITSTRINGS = 20_000
_ATOMS_CHARTED = 40
_ENGINE_CHARTED = 3

Cell = tuple[int | None, ...]


@dataclass(slots=True)
class Failures:
    """Jobs that failed for one reason.

    Attributes:
        status: Of the jobs.
        count: How many.
        examples: The first ones.
    """

    status: str
    count: int = 0
    examples: list[JobRecord] = field(default_factory=list)


@dataclass(slots=True)
class GroupFound:
    """A group of jobs.

    Attributes:
        name: Its name.
        first: Index of its first job.
        jobs: Number of records.
        done: Number of records with results.
        names: Of its points.
        bits: Bitstring -> count over all jobs; rare ones are dropped when there are too many.
        lengths: Lengths of bitstrings.
        estimates: Names of the spec's observables.
        engine: Tags that the engine gave a number for.
    """

    name: str
    first: int
    jobs: int = 0
    done: int = 0
    names: Names = field(default_factory=Names)
    bits: Counter[str] = field(default_factory=Counter)
    lengths: set[int] = field(default_factory=set)
    estimates: dict[str, None] = field(default_factory=dict)
    engine: dict[str, None] = field(default_factory=dict)

    def add(self, record: JobRecord) -> None:
        """Take in a record."""
        self.jobs += 1
        self.names.add(record)
        self.estimates.update(dict.fromkeys(record.estimates))
        self.engine.update(dict.fromkeys(tag for tag, one in record.observables.items() if engine_value(one) is not None))
        if record.status == "DONE" and record.counts:
            self.done += 1
            self.bits.update(record.counts)
            self.lengths.add(len(next(iter(record.counts))))
            if len(self.bits) > _MOST_BITSTRINGS:
                self.bits = Counter(dict(self.bits.most_common(_MOST_BITSTRINGS // 2)))

    def quantities(self) -> tuple[Quantity, ...]:
        """What is plotted: the spec's observables, the occupation, the most frequent bitstrings, the engine's numbers."""
        own = [Quantity("estimate", name) for name in self.estimates]
        own += [Quantity("engine", tag) for tag in list(self.engine)[:_ENGINE_CHARTED]]
        if self.lengths == {1}:
            return (*own, Quantity("bitstring", "1"))
        if not self.lengths:
            return tuple(own)
        if self.lengths == {2}:
            return (*own, *(Quantity("bitstring", bits) for bits in ("00", "01", "10", "11")))
        frequent = [bits for bits, _ in self.bits.most_common(BITSTRINGS_CHARTED)] if len(self.lengths) == 1 else []
        telling = sorted(frequent, key=lambda bits: "1" not in bits)  # the one without excitations last
        return (*own, Quantity("occupation"), *(Quantity("bitstring", bits) for bits in telling))


@dataclass(slots=True)
class Found:
    """The first pass: what there is.

    Attributes:
        groups: Name -> group, in order.
        statuses: Status -> number of records.
        shots: Measured.
        failures: Reason -> jobs; the later reasons are counted in `other_failures`.
        other_failures: Jobs whose reason is not listed.
        started: The first start that the service reported.
        ended: The last end.
        busy_s: Sum of the times of the jobs in seconds.
        first: The first record.
        last: The last record.
        jobs: Number of records.
    """

    groups: dict[str, GroupFound] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    shots: int = 0
    failures: dict[str, Failures] = field(default_factory=dict)
    other_failures: int = 0
    started: datetime | None = None
    ended: datetime | None = None
    busy_s: float = 0.0
    first: JobRecord | None = None
    last: JobRecord | None = None
    jobs: int = 0

    def add(self, record: JobRecord) -> None:
        """Take in a record."""
        self.jobs += 1
        self.first = self.first or record
        self.last = record
        self.statuses[record.status] += 1
        self.shots += sum(record.counts.values())
        if record.group not in self.groups and len(self.groups) < MOST_GROUPS:
            self.groups[record.group] = GroupFound(record.group, record.index)
        if record.group in self.groups:
            self.groups[record.group].add(record)
        if record.status != "DONE":
            self._add_failure(record)
        self._add_times(record)

    def _add_failure(self, record: JobRecord) -> None:
        reason = "; ".join(str(error) for error in record.errors)[:LONGEST_REASON] or f"status {record.status}"
        if reason not in self.failures and len(self.failures) >= MOST_REASONS:
            self.other_failures += 1
            return
        found = self.failures.setdefault(reason, Failures(record.status))
        found.count += 1
        if len(found.examples) < EXAMPLES:
            found.examples.append(record)

    def _add_times(self, record: JobRecord) -> None:
        start, end = moment(record.started_at), moment(record.ended_at)
        if start is not None:
            self.started = start if self.started is None else min(self.started, start)
        if end is not None:
            self.ended = end if self.ended is None else max(self.ended, end)
        if start is not None and end is not None:
            self.busy_s += max(0.0, (end - start).total_seconds())


@dataclass(slots=True)
class GroupSums:
    """The second pass over a group: sums for its charts.

    Attributes:
        found: The group.
        arrangement: How it is drawn.
        quantities: What is drawn.
        cells: Quantity -> cell -> mean.
        cloud: Points of a cloud with their records' means.
        atoms: Column of x -> shots, and their sum of bits.
        lowest: The record with the smallest value of the first quantity.
        highest: That with the largest.
    """

    found: GroupFound
    arrangement: Arrangement
    quantities: tuple[Quantity, ...]
    cells: dict[Quantity, dict[Cell, Mean]] = field(default_factory=dict)
    cloud: list[tuple[Mapping[str, Any], dict[Quantity, Mean]]] = field(default_factory=list)
    atoms: dict[int, tuple[float, NDArray[np.float64]]] = field(default_factory=dict)
    lowest: tuple[float, JobRecord] | None = None
    highest: tuple[float, JobRecord] | None = None
    _number: int = 0

    def add(self, record: JobRecord) -> None:
        """Take in a record."""
        shots = shots_of(record)
        added = contributions(record, self.quantities, shots)
        if not added:
            return
        self._choose(record, added)
        point = point_of(record)
        if self.arrangement.kind == "cloud":
            self._number += 1
            if (self._number - 1) % max(1, -(-self.found.done // CLOUD_POINTS)) == 0:
                self.cloud.append((point, {quantity: Mean(*sums) for quantity, *sums in added}))
            return
        cell = self.arrangement.cell(point)
        if cell is None:
            return
        for quantity, *sums in added:
            self.cells.setdefault(quantity, {}).setdefault(cell, Mean()).add(*sums)
        if self.by_atom and shots is not None:
            self._add_atoms(cell[-1] or 0, shots)

    @property
    def by_atom(self) -> bool:
        """Whether the occupation of each atom is drawn against the axis."""
        one = self.arrangement.kind == "lines" and self.arrangement.series is None and not self.arrangement.facets
        return one and len(self.found.lengths) == 1 and 2 < max(self.found.lengths) <= _ATOMS_CHARTED

    @property
    def telling(self) -> Quantity:
        """What tells most: two atoms both excited, else the most frequent bitstring with excitations, else the first one."""
        both = Quantity("bitstring", "11")
        if both in self.quantities and self.found.bits["11"]:
            return both
        return next((one for one in self.quantities if one.kind == "bitstring"), self.quantities[0])

    def _add_atoms(self, column: int, shots: Shots) -> None:
        ones = shots.weights @ shots.bits
        before = self.atoms.get(column)
        self.atoms[column] = (shots.total, ones) if before is None else (before[0] + shots.total, before[1] + ones)

    def _choose(self, record: JobRecord, added: list[tuple[Quantity, float, float, float]]) -> None:
        """Keep the jobs with the smallest and the largest value of what tells most."""
        quantity, *sums = next((one for one in added if one[0] == self.telling), added[0])
        value = interval(quantity, Mean(*sums))[0]
        if not record.counts:
            return
        if self.lowest is None or value < self.lowest[0]:
            self.lowest = (value, record)
        if self.highest is None or value > self.highest[0]:
            self.highest = (value, record)


def gather(
    records: Callable[[], Iterable[JobRecord]],
    computed: Mapping[str, frozenset[str]],
    units: Mapping[str, str],
) -> tuple[Found, list[GroupSums]]:
    """Look at all records twice.

    Args:
        records: Gives the records anew at each call.
        computed: Group -> names of its `let`.
        units: Name -> unit.

    Returns:
        What there is, and the sums of each group that has results.
    """
    found = Found()
    for record in records():
        found.add(record)
    sums = {
        name: GroupSums(group, arrange(group.names, computed.get(name, frozenset()), units), group.quantities())
        for name, group in found.groups.items()
        if group.done or group.estimates or group.engine
    }
    for record in records():
        if record.group in sums:
            sums[record.group].add(record)
    return found, list(sums.values())


def moment(text: str | None) -> datetime | None:
    """A time that a service reported; None where it is none."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except (ValueError, TypeError):
        return None
    return found if found is None or found.tzinfo is not None else None
