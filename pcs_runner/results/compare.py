"""Two runs of the same points: what differs beyond shot noise, point by point and as a whole, and what else is not the same."""

from __future__ import annotations

import heapq
import json
import math
from array import array
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import UsageError
from pcs_runner.results import jsonl, two_samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pcs_runner.results.record import JobRecord

LEVEL = 0.01
"""How often two runs of the same physics may come out as different."""

MOST_KEPT = 1000
"""Points that are kept in memory and told, the most different ones."""

IGNORED = frozenset({"run", "times", "state", "counts", "workers", "totals", "name", "description", "adopted", "registers"})
"""Parts of a manifest that differ between any two runs, or follow from others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One observable in both runs.

    Attributes:
        name: `occupation[0]`, or a name of the spec's `results.observables`.
        one: Its value in the first run.
        other: Its value in the second run.
        z: The difference in standard deviations of its shot noise, None where that is not known.
    """

    name: str
    one: float
    other: float
    z: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PointDifference:
    """One point in both runs.

    Attributes:
        group: Name of its group.
        point: Its swept names.
        indices: Of its job in the first and in the second run.
        runs: Shots in the first and in the second run.
        distance: Of the counts.
        p_value: Adjusted for the number of points (Holm).
        shifts: Its observables.
    """

    group: str
    point: Mapping[str, Any]
    indices: tuple[int, int]
    runs: tuple[int, int]
    distance: two_samples.Distance
    p_value: float
    shifts: Sequence[Shift]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """An observable over all points.

    Attributes:
        name: As of `Shift`.
        mean: Mean difference, second run minus first.
        z: Stouffer's z of all points: a small shift in the same direction everywhere.
        largest: The z of the point that differs most.
    """

    name: str
    mean: float
    z: float
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What became of comparing two runs.

    Attributes:
        level: Probability of calling runs of the same physics different.
        compared: Points that both runs have.
        missing: Points that only the first run has, only the second has, or that failed in either.
        variation: Mean total variation distance over the points.
        noise: What it is on average for two samples of one distribution, about.
        chi_square: Sum over the points.
        degrees: Its degrees of freedom.
        p_value: Of the whole: the smallest of the test over all points and of the points, adjusted for being several.
        differing: Number of points whose adjusted p value is below the level.
        points: Those points, and the most different others, by p value; at most `MOST_KEPT`.
        trends: One for each observable.
        provenance: What the manifests say differently: name, first, second.
    """

    level: float
    compared: int
    missing: Mapping[str, int]
    variation: float
    noise: float
    chi_square: float
    degrees: int
    p_value: float
    differing: int
    points: Sequence[PointDifference]
    trends: Sequence[Trend]
    provenance: Sequence[tuple[str, Any, Any]]

    @property
    def differs(self) -> bool:
        """Whether the runs differ beyond shot noise, at the level."""
        return self.p_value < self.level


def compare(
    one: Path, other: Path, manifests: tuple[Mapping[str, Any], Mapping[str, Any]], *, level: float = LEVEL
) -> Comparison:
    """Compare the results of two runs. Memory holds a few bytes a point, and the most different points.

    Points are the same when their group and every swept name agree to 12 digits; equal ones are taken in order.

    Args:
        one: `results.jsonl` of the first run.
        other: That of the second.
        manifests: Their manifests.
        level: Between 0 and 1.

    Raises:
        UsageError: They have no point in common, or their bitstrings have different lengths.
    """
    found = _Tally()
    for pair in _pairs(one, other, found.missing):
        found.add(*pair)
    if not found.p_values:
        reason = ", ".join(f"{count} {kind}" for kind, count in found.missing.items()) or "there are no results"
        raise UsageError(f"the runs have no point in common ({reason})", hint="Compare runs of the same sweep.")
    return found.comparison(level, _provenance(*manifests))


def distances(one: Path, other: Path) -> Iterator[tuple[JobRecord, two_samples.Distance]]:
    """The distance of every point that is DONE in both, with its record in the first run; errors as of `compare`."""
    for record, match in _pairs(one, other, defaultdict(int)):
        yield record, two_samples.distance(record.counts, match.counts)


@dataclass
class _Tally:
    """What is gathered while the points go by."""

    missing: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    p_values: array[float] = field(default_factory=lambda: array("d"))
    variation: float = 0.0
    noise: float = 0.0
    chi_square: float = 0.0
    degrees: int = 0
    kept: list[tuple[float, int, PointDifference]] = field(default_factory=list)
    z_sums: dict[str, list[float]] = field(default_factory=dict)

    def add(self, one: JobRecord, other: JobRecord) -> None:
        """Take a point that is DONE in both."""
        found = two_samples.distance(one.counts, other.counts)
        p_value = found.p_value
        shifts = tuple(_shifts(one, other))
        self.variation += found.variation
        self.noise += found.noise
        self.chi_square += found.chi_square
        self.degrees += found.degrees
        for shift in shifts:
            sums = self.z_sums.setdefault(shift.name, [0.0, 0.0, 0.0, 0.0, 0.0])
            sums[0] += shift.other - shift.one
            sums[1] += 1
            if shift.z is not None:
                sums[2] += shift.z
                sums[3] += 1
                sums[4] = max(sums[4], shift.z, key=abs)
        point = PointDifference(
            group=one.group,
            point=one.point,
            indices=(one.index, other.index),
            runs=(sum(one.counts.values()), sum(other.counts.values())),
            distance=found,
            p_value=p_value,
            shifts=shifts,
        )
        entry = (-p_value, -len(self.p_values), point)
        self.p_values.append(p_value)
        if len(self.kept) < MOST_KEPT:
            heapq.heappush(self.kept, entry)
        else:
            heapq.heappushpop(self.kept, entry)

    def comparison(self, level: float, provenance: Sequence[tuple[str, Any, Any]]) -> Comparison:
        """The result, when every point went by."""
        count = len(self.p_values)
        adjusted = two_samples.holm(self.p_values)
        whole = two_samples.chi_square_tail(self.chi_square, self.degrees)
        points = sorted(
            (replace(point, p_value=adjusted[-position]) for _, position, point in self.kept),
            key=lambda point: (point.p_value, -point.distance.chi_square, point.indices),
        )
        trends = [
            Trend(name=name, mean=total / number, z=two_samples.stouffer(z_sum, int(known)), largest=largest)
            for name, (total, number, z_sum, known, largest) in self.z_sums.items()
        ]
        shifted = min((two_samples.two_sided(trend.z) for trend in trends), default=1.0) * max(1, len(trends))
        return Comparison(
            level=level,
            compared=count,
            missing=dict(self.missing),
            variation=self.variation / count,
            noise=self.noise / count,
            chi_square=self.chi_square,
            degrees=self.degrees,
            p_value=min(1.0, 3 * min(whole, shifted, *adjusted)),
            differing=sum(p < level for p in adjusted),
            points=points,
            trends=trends,
            provenance=provenance,
        )


def _pairs(one: Path, other: Path, missing: dict[str, int]) -> Iterator[tuple[JobRecord, JobRecord]]:
    """Records of the same points that are DONE in both, in the order of the first run; the rest is counted."""
    places: dict[str, list[int]] = defaultdict(list)
    for offset, record in jsonl.located(other):
        places[_key(record)].append(offset)
    for offsets in places.values():
        offsets.reverse()
    for record in jsonl.read(one):
        offsets = places.get(_key(record), [])
        if not offsets:
            missing["only in the first"] += 1
            continue
        (match,) = jsonl.read_at(other, [offsets.pop()])
        if record.status != "DONE" or match.status != "DONE" or not record.counts or not match.counts:
            missing["failed in one of them"] += 1
            continue
        _check_lengths(record, match)
        yield record, match
    if left := sum(map(len, places.values())):
        missing["only in the second"] += left


def _check_lengths(one: JobRecord, other: JobRecord) -> None:
    lengths = [len(next(iter(record.counts))) for record in (one, other)]
    if lengths[0] != lengths[1]:
        raise UsageError(
            f"job {one.index} of the first run has {lengths[0]} atoms and job {other.index} of the second {lengths[1]}",
            hint="Compare runs of the same register.",
        )


def _key(record: JobRecord) -> str:
    """Group and point, with 12 digits of each number."""
    return json.dumps([record.group, _rounded(dict(record.point))], sort_keys=True)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    if isinstance(value, float | int) and not isinstance(value, bool):
        return f"{value:.12g}" if value else "0"
    return value


def _shifts(one: JobRecord, other: JobRecord) -> Iterator[Shift]:
    """Occupation of each atom, and the spec's own observables that both have."""
    first, second = sum(one.counts.values()), sum(other.counts.values())
    for atom, (ones, others) in enumerate(zip(_ones(one.counts), _ones(other.counts), strict=True)):
        z = two_samples.proportion_z(ones, first, others, second)
        yield Shift(name=f"occupation[{atom}]", one=ones / first, other=others / second, z=z)
    for name in one.estimates:
        values = [record.estimates.get(name, {}) for record in (one, other)]
        a, b = (value.get("value") for value in values)
        if a is not None and b is not None:
            spread = math.hypot(*(value.get("error") or 0.0 for value in values))
            yield Shift(name=name, one=a, other=b, z=(b - a) / spread if spread > 0 else None)


def _ones(counts: Mapping[str, int]) -> list[int]:
    """How often each atom read 1."""
    atoms = len(next(iter(counts)))
    return [sum(count for bits, count in counts.items() if bits[atom] == "1") for atom in range(atoms)]


def _provenance(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """What two manifests say differently, as dotted names with both values."""
    first, second = dict(_leaves(one)), dict(_leaves(other))
    names = [*first, *(name for name in second if name not in first)]
    return [(name, first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)]


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, one in value.items():
        if not prefix and name in IGNORED:
            continue
        if isinstance(one, dict):
            yield from _leaves(one, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", one
