"""The page of `pcs-run diff -o`: runs of the same points side by side, and each against the first one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from pcs_runner.results import two_samples
from pcs_runner.results.charts.axes import value_text, with_minus
from pcs_runner.results.report import sections
from pcs_runner.results.report.compared_points import Versus, axis_of, cards, distance_chart, p_text, points_table
from pcs_runner.results.report.gather import gather
from pcs_runner.results.report.names import RUN, Axis
from pcs_runner.results.report.page import facts, figure, folded, listing, page, paragraph, section, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pcs_runner.results.record import JobRecord
    from pcs_runner.results.report.source import ReportSource

_TRENDS = 24
_LONGEST_VALUE = 120

METHOD = (
    "A point is tested with Pearson's chi-square of homogeneity, rare bitstrings taken together until every cell expects "
    "five counts. Three tests decide: the chi-squares of all points added up, the point that differs most (Holm's "
    "correction for their number), and the observable whose differences add up to most (Stouffer's z, corrected for their "
    "number). The smallest of the three, times three, is p of the whole; below the level the runs are called different. The "
    "shot noise of a distance is what two samples of one distribution have on average. Occupations are those of each atom, "
    "the leftmost first."
)


def letter(number: int) -> str:
    """What the page calls the n-th run, from 0: A, B, ... Z, 26, 27, ..."""
    return ascii_uppercase[number] if number < len(ascii_uppercase) else str(number)


def html(first: ReportSource, others: Sequence[Versus], *, now: datetime) -> str:
    """The page. The records are read several times and not kept.

    Args:
        first: The run that the others are compared with; it is called A.
        others: At least one.
        now: In UTC.

    Raises:
        ValueError: A line of the results is not a record.
        OSError: They cannot be read.
    """
    inline = sections.Inliner()
    runs = {"A": first, **{one.name: one.source for one in others}}
    units = {name: unit for source in reversed(runs.values()) for name, unit in source.units.items()}
    found, groups = gather(lambda: chain.from_iterable(map(_labelled, runs, runs.values())), first.let_names, units)
    axis = axis_of(groups, first)
    body = [
        _head(runs, others),
        section("What is compared", _runs(runs)),
        sections.results(
            replace(first, units=units), found, groups, inline, heading="Side by side", table_file="the results.csv of the runs"
        ),
        *(_versus(first, one, axis, inline) for one in others),
        section("How it is decided", paragraph(METHOD)),
    ]
    made = paragraph(f"Made by pcs-runner on {now:%Y-%m-%d %H:%M} UTC; `pcs-run diff` makes it again.", "muted")
    return page(_title(runs), [*filter(None, body), f"<footer>{made}</footer>"])


def _labelled(name: str, source: ReportSource) -> Iterator[JobRecord]:
    """The records of a run with its name in their points, whose numbers have 12 digits as where they are compared."""
    for record in source.records():
        point = {key: float(f"{value:.12g}") if isinstance(value, float) else value for key, value in record.point.items()}
        yield replace(record, point={RUN: name, **point})


# ---- sections


def _title(runs: Mapping[str, ReportSource]) -> str:
    names = dict.fromkeys(str(source.manifest.get("name", "run")) for source in runs.values())
    return f"{' and '.join(names)}: runs compared"


def _head(runs: Mapping[str, ReportSource], others: Sequence[Versus]) -> str:
    """What came out, for each run that is compared with the first."""
    from pcs_runner.results.charts.svg import escaped

    notes = [paragraph(_verdict(one), "note bad" if one.found.differs else "note") for one in others]
    going = [
        paragraph(
            f"Run {name} {'is still going' if source.held else 'stopped before its end'}; what it recorded is compared.", "note"
        )
        for name, source in runs.items()
        if not source.ended
    ]
    return f"<header><h1>{escaped(_title(runs))}</h1>{''.join(notes)}{''.join(going)}</header>"


def _verdict(one: Versus) -> str:
    found = one.found
    told = "differ beyond shot noise" if found.differs else "do not differ beyond shot noise"
    return f"A and {one.name} {told} at level {found.level:g}: p = {p_text(found.p_value)}."


def _runs(runs: Mapping[str, ReportSource]) -> str:
    """Folders, targets, dates and versions, a column for each run."""
    columns = [_facts_of(source) for source in runs.values()]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0] if any(column[name] for column in columns)]
    return table("The runs that are compared", ("run", *runs), rows, first_is_head=True)


def _facts_of(source: ReportSource) -> dict[str, str]:
    manifest = source.manifest
    times, packages = manifest.get("times", {}), manifest.get("packages", {})
    spec: Mapping[str, Any] = manifest.get("spec") or {}
    told = {
        "folder": source.folder,
        "name": manifest.get("name"),
        "target": manifest.get("target", {}).get("name"),
        "runs on": sections.runs_on(manifest),
        "device": ", ".join(manifest.get("devices", {})),
        "started (UTC)": sections.utc(times.get("started")),
        "ended (UTC)": sections.utc(times.get("ended")),
        "jobs": manifest.get("totals", {}).get("jobs"),
        "shots": manifest.get("totals", {}).get("runs"),
        "seed": manifest.get("seed"),
        "pcs-runner": manifest.get("runner"),
        "Pulser": packages.get("pulser-core"),
        "Python": manifest.get("python"),
        "git commit of the spec": sections.commit(manifest, digits=12),
        "overrides": ", ".join(f"{name}={value}" for name, value in (manifest.get("overrides") or {}).items()),
        "spec": f"{spec.get('file', '')}, sha256 {str(spec.get('sha256', ''))[:12]}" if spec else "",
        "digest of the plan": str(manifest.get("digest") or "")[:12],
    }
    return {name: "" if value is None else str(value) for name, value in told.items()}


def _versus(first: ReportSource, one: Versus, axis: Axis, inline: sections.Inliner) -> str:
    """A run against the first one."""
    found = one.found
    left_out = ", ".join(f"{count} {kind}" for kind, count in found.missing.items())
    tiles = [
        ("p of the whole", p_text(found.p_value)),
        ("level", f"{found.level:g}"),
        ("points compared", str(found.compared)),
        ("of them differ", str(found.differing)),
        ("chi-square", f"{value_text(found.chi_square)} over {found.degrees}"),
        ("left out", left_out.replace("the second", one.name).replace("the first", "A")),
        ("mean distance", value_text(found.variation)),
        ("from shot noise alone", value_text(found.noise)),
    ]
    return section(
        f"A and {one.name}: {'different' if found.differs else 'no difference'}",
        facts(tiles),
        figure(
            inline.both(distance_chart(one, axis).draw),
            "Total variation distance of the counts of each point: 0 equal, 1 nothing in common.",
        ),
        points_table(first, one),
        cards(first, one, inline),
        _tests(one),
        _trends(one),
        _provenance(first, one),
    )


# ---- a run against the first one


def _tests(one: Versus) -> str:
    """The three tests that decide."""
    found = one.found
    least = min((point.p_value for point in found.points), default=1.0)
    strongest = max(found.trends, key=lambda trend: abs(trend.z), default=None)
    rows = [
        (
            "all points together",
            f"chi-square {value_text(found.chi_square)} over {found.degrees} degrees of freedom",
            p_text(two_samples.chi_square_tail(found.chi_square, found.degrees)),
        ),
        ("the most different point", f"Holm's correction for {found.compared} points", p_text(least)),
    ]
    if strongest is not None:
        told = f"{strongest.name}: z = {with_minus(f'{strongest.z:+.2f}')}, one of {len(found.trends)} observables"
        rows.append(("an observable over all points", told, p_text(_trend_p(strongest.z, len(found.trends)))))
    rows.append(("the whole", "the smallest of these, times three", p_text(found.p_value)))
    return table(f"The tests that decide, A and {one.name}", ("test", "what was found", "p"), rows, wrap=False)


def _trends(one: Versus) -> str:
    """Each observable over all points."""
    trends = sorted(one.found.trends, key=lambda trend: -abs(trend.z))[:_TRENDS]
    if not trends:
        return ""
    count = len(one.found.trends)
    caption = f"Observables over all points, {one.name} minus A" + (
        f"; the {len(trends)} of {count} that change most" if len(trends) < count else ""
    )
    rows = [
        (
            trend.name,
            with_minus(f"{trend.mean:+.4f}" if abs(trend.mean) < 1 else f"{trend.mean:+.4g}"),
            with_minus(f"{trend.z:+.2f}"),
            p_text(_trend_p(trend.z, count)),
            with_minus(f"{trend.largest:+.2f}"),
        )
        for trend in trends
    ]
    header = ("observable", "mean change", "z over all points", "p", "z of the most different point")
    return table(caption, header, rows, wrap=False)


def _trend_p(z: float, count: int) -> float:
    return min(1.0, two_samples.two_sided(z) * count)


def _provenance(first: ReportSource, one: Versus) -> str:
    """What the manifests and the specs say differently."""
    rows = [(name, _cut(before), _cut(after)) for name, before, after in one.found.provenance if name != "digest"]
    manifests = (
        table(f"What the manifests of A and {one.name} say differently", ("entry", "A", one.name), rows, first_is_head=True)
        if rows
        else ""
    )
    before, after = (source.spec_text.splitlines() for source in (first, one.source))
    changes = list(difflib.unified_diff(before, after, "A", one.name, n=2, lineterm=""))
    if not changes:
        return manifests + paragraph("The specs are the same.", "muted")
    return manifests + folded(
        f"The specs, line by line: - A, + {one.name}", listing("\n".join(changes), f"The specs of A and {one.name}")
    )


def _cut(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
