"""Two runs point by point, for the page of `pcs-run diff`: distances, a table, the bitstrings of the most different points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcs_runner.results.charts.axes import axis_text, point_text, value_text, with_minus
from pcs_runner.results.charts.bars import paired_bars
from pcs_runner.results.charts.lines import LineChart, Series
from pcs_runner.results.charts.svg import escaped
from pcs_runner.results.report.names import MOST_COLUMNS, RUN, Axis, Values
from pcs_runner.results.report.page import figure, paragraph, table
from pcs_runner.results.report.quantities import Mean, Quantity, interval
from pcs_runner.results.report.sections import rarer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pcs_runner.results.compare import Comparison, PointDifference
    from pcs_runner.results.record import JobRecord
    from pcs_runner.results.report.gather import GroupSums
    from pcs_runner.results.report.sections import Inliner
    from pcs_runner.results.report.source import ReportSource
    from pcs_runner.results.two_samples import Distance

_POINTS = 30
_ALIKE = 5
"""Points in the table when none differs by itself."""
_CARDS = 4
_BARS = 6
_JOB = "job in A"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """A run against the first one.

    Attributes:
        name: A letter.
        source: The run.
        found: What differs.
        distances: Gives the distance of every point anew at each call, with its record in the first run.
    """

    name: str
    source: ReportSource
    found: Comparison
    distances: Callable[[], Iterator[tuple[JobRecord, Distance]]]


def axis_of(groups: Sequence[GroupSums], first: ReportSource) -> Axis:
    """The axis of numbers that spans the points, or the numbers of the first run's jobs where there is none."""
    if len(groups) == 1:
        found = groups[0].arrangement
        one_line = found.series is not None and found.series.name == RUN and not found.facets and not found.averaged
        if found.kind == "lines" and one_line and found.x is not None and not found.x.labels:
            return found.x
    jobs = Values()
    for record in first.records():
        jobs.add(record.index)
    return Axis.of(_JOB, jobs, "", MOST_COLUMNS["line"])


def distance_chart(one: Versus, axis: Axis) -> LineChart:
    """Distance and shot noise along an axis; neighbours share a mark when there are many."""
    sums: dict[float, tuple[int, float, float]] = {}
    for record, distance in one.distances():
        at = _place(axis, record.point, record.index)
        if at is not None:
            number, total, noises = sums.get(at, (0, 0.0, 0.0))
            sums[at] = number + 1, total + distance.variation, noises + distance.noise
    measured = [(at, total / number) for at, (number, total, _) in sorted(sums.items())]
    expected = [(at, noises / number) for at, (number, _, noises) in sorted(sums.items())]
    places = [(_place(axis, point.point, point.indices[0]), point.distance.variation) for point in _differing(one.found)]
    apart = sorted((at, variation) for at, variation in places if at is not None)
    top = max((value for _, value in [*measured, *expected, *apart]), default=1.0) or 1.0
    x_label = axis_text(axis.name, axis.unit)
    merged = "; neighbouring points share a mark" if axis.merged else ""
    return LineChart(
        title=f"Distance of A and {one.name} against {x_label}",
        description=f"{one.found.compared} points; distance {value_text(one.found.variation)} on average, about "
        f"{value_text(one.found.noise)} from shot noise alone; {one.found.differing} points differ{merged}.",
        x_label=x_label,
        y_label=f"total variation distance of A and {one.name}{merged}",
        series=[
            Series(label="measured", points=_bare(measured), look="marks"),
            Series(label="points that differ", points=_bare(apart), look="marks"),
            Series(label="from shot noise alone, on average", points=_bare(expected), look="line"),
        ],
        y_range=(-0.02 * top, 1.08 * top),
    )


def _place(axis: Axis, point: Mapping[str, Any], job: int) -> float | None:
    """Where a point stands on the axis; None where it has no place."""
    value = job if axis.name == _JOB else point.get(axis.name)
    if not isinstance(value, int | float):
        return None
    place = axis.place(float(f"{value:.12g}"))
    return None if place is None else float(axis.places[place])


def _bare(points: Iterable[tuple[float, float]]) -> list[tuple[float, float, float, float]]:
    """Points without error bars."""
    return [(x, y, y, y) for x, y in points]


def _differing(found: Comparison) -> list[PointDifference]:
    return [point for point in found.points if point.p_value < found.level]


def points_table(first: ReportSource, one: Versus) -> str:
    """The points that differ by themselves, or those that come nearest to it."""
    differing = _differing(one.found)
    shown = differing[:_POINTS] or one.found.points[:_ALIKE]
    caption = (
        f"{len(shown)} of {one.found.differing} points that differ between A and {one.name}, the smallest p first"
        if differing
        else f"No point differs by itself between A and {one.name}; the most different ones"
    )
    header = (
        "point",
        "job in A",
        f"job in {one.name}",
        "shots",
        "distance",
        "from shot noise",
        "chi-square",
        "p",
        "most different observable",
    )
    rows = [
        (
            _where(point, first),
            *point.indices,
            " and ".join(map(str, dict.fromkeys(point.runs))),
            f"{point.distance.variation:.3f}",
            f"{point.distance.noise:.3f}",
            f"{point.distance.chi_square:.4g} over {point.distance.degrees}",
            p_text(point.p_value),
            _most_shifted(point),
        )
        for point in shown
    ]
    more = one.found.differing - len(shown)
    rest = f"{more} more points differ; `pcs-run diff --json` has up to 1000." if differing and more > 0 else ""
    return table(caption, header, rows, wrap=False) + paragraph(rest, "muted")


def _where(point: PointDifference, source: ReportSource) -> str:
    return point_text(point.point, source.units) or f"group {point.group}"


def _most_shifted(point: PointDifference) -> str:
    known = [shift for shift in point.shifts if shift.z is not None]
    if not known:
        return ""
    most = max(known, key=lambda shift: abs(shift.z or 0.0))
    return f"{most.name}: {value_text(most.one)} to {value_text(most.other)}, z = {with_minus(f'{most.z:+.1f}')}"


def cards(first: ReportSource, one: Versus, inline: Inliner) -> str:
    """The bitstrings of the most different points in both runs."""
    chosen = _differing(one.found)[:_CARDS] or one.found.points[:1]
    records = [
        {record.index: record for record in source.records() if record.index in {point.indices[side] for point in chosen}}
        for side, source in enumerate((first, one.source))
    ]
    made = []
    for point in chosen:
        pair = [found.get(index) for found, index in zip(records, point.indices, strict=True)]
        if pair[0] is not None and pair[1] is not None:
            made.append(_card(point, (pair[0], pair[1]), first, one.name, inline))
    return f'<div class="grid pair">{"".join(made)}</div>' if made else ""


def _card(point: PointDifference, pair: tuple[JobRecord, JobRecord], first: ReportSource, name: str, inline: Inliner) -> str:
    both = {bits: sum(record.counts.get(bits, 0) for record in pair) for bits in {**pair[0].counts, **pair[1].counts}}
    frequent = sorted(both, key=lambda bits: (-both[bits], bits))
    rows = [
        (bits, [interval(Quantity("bitstring", bits), Mean(total, count, count)) for total, count in _shares(pair, bits)])
        for bits in frequent[:_BARS]
    ]
    where = _where(point, first)
    words = "; ".join(f"{bits}: {bars[0][0]:.3f} in A, {bars[1][0]:.3f} in {name}" for bits, bars in rows)
    picture = paired_bars(rows, ["A", name], title=f"Most frequent bitstrings in A and {name} at {where}", description=words)
    hidden = len(frequent) - len(rows)
    caption = "Error bars: shot noise, 68 %." + (f" {rarer(hidden)}." if hidden else "")
    far = f"distance {point.distance.variation:.3f}, about {point.distance.noise:.3f} from shot noise alone"
    told = paragraph(f"{far}; p = {p_text(point.p_value)}", "muted")
    return f'<article class="card"><h3>{escaped(where)}</h3>{told}{figure(inline(picture), caption)}</article>'


def _shares(pair: Iterable[JobRecord], bits: str) -> Iterator[tuple[float, float]]:
    """Shots, and those with this bitstring, of each run."""
    for record in pair:
        yield float(sum(record.counts.values())), float(record.counts.get(bits, 0))


def p_text(value: float) -> str:
    """A probability as it is set in print; one that is too small for a float as a bound."""
    if value <= 0:
        return f"below 10{'-300'.translate(_RAISED)}"
    mantissa, _, exponent = f"{value:.2g}".partition("e")
    return f"{mantissa}·10{str(int(exponent)).translate(_RAISED)}" if exponent else mantissa
