"""The sections of the report: each takes what was gathered and gives markup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcs_runner.results.charts.axes import axis_text, point_text, value_text
from pcs_runner.results.charts.bars import bitstring_bars
from pcs_runner.results.charts.register import Atoms, draw_register
from pcs_runner.results.report.figures import figures
from pcs_runner.results.report.names import PASS, Axis
from pcs_runner.results.report.page import facts, figure, folded, listing, paragraph, section, table
from pcs_runner.results.report.quantities import Mean, Quantity, interval, shots_of
from pcs_runner.results.statistics import occupations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from pcs_runner.results.charts.svg import Picture
    from pcs_runner.results.record import JobRecord
    from pcs_runner.results.report.gather import Found, GroupSums
    from pcs_runner.results.report.source import ReportSource

WIDE, NARROW = 700.0, 340.0
_BARS = 8
_CARDS = 6
_TABLE_ROWS = 60


class Inliner:
    """Puts pictures on the page under names of their own."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self, picture: Picture, class_: str = "") -> str:
        """The picture as markup."""
        self._number += 1
        return picture.inline(f"c{self._number}", class_)

    def both(self, draw: Callable[[float], Picture]) -> str:
        """Drawn for a screen and for a phone; one of them is shown."""
        return self(draw(WIDE), "wide") + self(draw(NARROW), "narrow")


def head(source: ReportSource, found: Found) -> str:
    """Name, description, how far the run is, and the most important facts."""
    manifest = source.manifest
    target: Mapping[str, Any] = manifest.get("target", {})
    tiles = [
        ("target", str(target.get("name", ""))),
        ("runs on", runs_on(manifest)),
        ("device", ", ".join(manifest.get("devices", {}))),
        ("jobs", _progress(source, found)),
        ("shots", f"{found.shots:,}".replace(",", "\u202f")),
        ("atoms", _atoms(manifest)),
        ("took", _took(manifest, source)),
        ("cost", _cost(manifest)),
    ]
    words = [f"<h1>{page_name(source)}</h1>", paragraph(str(manifest.get("description") or ""), "lead")]
    return f"<header>{''.join(words)}{_state(source, found)}{facts(tiles)}</header>"


def page_name(source: ReportSource) -> str:
    """The run's name, escaped."""
    from pcs_runner.results.charts.svg import escaped

    return escaped(source.manifest.get("name", "run"))


def drawings(source: ReportSource, found: Found, inline: Inliner) -> str:
    """Register and sequence of the first and the last job."""
    jobs = [job for job in (found.first, found.last) if job is not None]
    if len(jobs) == 2 and (jobs[0].sequence, jobs[0].variables) == (jobs[1].sequence, jobs[1].variables):
        del jobs[1]
    if not jobs:
        return section("Register and sequence", paragraph("They are drawn when the first job is recorded."))
    from pcs_runner.results.report.drawn import Drawn, drawn_jobs

    registers: list[str] = []
    sequences: list[str] = []
    faults: list[str] = []
    for one in drawn_jobs(source, jobs):
        if not isinstance(one, Drawn):
            faults.append(one)
            continue
        if one.register is not None:
            registers.append(figure(inline(one.register), one.register_caption))
        sequences.append(figure(inline(one.sequence), one.caption))
    rows = [registers, sequences] if len(sequences) > 1 else [[*registers, *sequences]]
    grids = [f'<div class="grid pair">{"".join(row)}</div>' for row in rows if row]
    return section("Register and sequence", *grids, *(paragraph(fault, "muted") for fault in faults))


def results(
    source: ReportSource,
    found: Found,
    groups: Sequence[GroupSums],
    inline: Inliner,
    *,
    heading: str = "Results",
    table_file: str = "results.csv",
) -> str:
    """The charts of every group."""
    parts: list[str] = []
    for sums in groups:
        shown = list(figures(sums, source.units))
        if not shown:
            continue
        if len(groups) > 1:
            parts.append(f"<h3>{_group_title(sums.found.name)}</h3>")
        for drawing in shown:
            if len(drawing.charts) == 1 and not drawing.charts[0].is_small:
                parts.append(figure(inline.both(drawing.charts[0].draw), drawing.caption))
            else:
                drawn = "".join(inline(chart.draw()) for chart in drawing.charts)
                parts.append(figure(f'<div class="grid{" small" if drawing.small else ""}">{drawn}</div>', drawing.caption))
        where = f", group {sums.found.name}" if len(groups) > 1 else ""
        parts.append(_numbers(sums, source.units, where, table_file))
    one = source.one_means(found.first) if found.first is not None else ""
    meaning = f"In a bitstring {one}; the leftmost character is the first atom of the register." if one and parts else ""
    return section(heading, paragraph(meaning, "muted"), *parts)


def cards(source: ReportSource, groups: Sequence[GroupSums], inline: Inliner) -> str:
    """A few jobs in full: occupation on the register and the most frequent bitstrings."""
    shown = "".join(_card(source, job, why, inline, several=len(groups) > 1) for job, why in _selected(groups))
    return section("Selected points", f'<div class="grid">{shown}</div>' if shown else "")


def failures(source: ReportSource, found: Found) -> str:
    """Why jobs failed, the most frequent reason first."""
    failed = sum(count for status, count in found.statuses.items() if status != "DONE")
    if not failed:
        return ""
    rows = [
        (
            one.count,
            one.status,
            reason,
            "; ".join(f"job {job.index}: {point_text(job.point, source.units) or 'the only point'}" for job in one.examples),
        )
        for reason, one in sorted(found.failures.items(), key=lambda entry: -entry[1].count)
    ]
    more = f"{found.other_failures} jobs failed for other reasons; results.jsonl has them all." if found.other_failures else ""
    caption = f"{failed} of {found.jobs} jobs have no result"
    return section("Failures", table(caption, ("jobs", "status", "reason", "first of them"), rows), paragraph(more))


def timing(source: ReportSource, found: Found) -> str:
    """When, how long, how fast, at what cost."""
    times: Mapping[str, Any] = source.manifest.get("times", {})
    span = (found.ended - found.started).total_seconds() if found.started and found.ended else None
    rows = [
        ("planned (UTC)", utc(times.get("created"))),
        ("started (UTC)", utc(times.get("started"))),
        ("ended (UTC)", utc(times.get("ended"))),
        ("first start to last end of a job", "" if span is None else duration_text(span)),
        ("sum over the jobs", duration_text(found.busy_s) if span is not None else ""),
        ("shots per second", value_text(found.shots / span) if span and found.shots else ""),
        ("shots asked for", str(source.manifest.get("totals", {}).get("runs", ""))),
        ("shots measured", str(found.shots)),
        ("of them by earlier runs", _taken_over(source.manifest)),
        ("cost", _cost(source.manifest)),
    ]
    return section(
        "Time and cost", table("When, how long, at what cost", (), [row for row in rows if row[1]], first_is_head=True)
    )


def provenance(source: ReportSource) -> str:
    """What was run, by which versions, from which commit."""
    manifest = source.manifest
    rows = [
        ("run", manifest.get("run")),
        ("run folder", source.folder),
        ("spec", f"{manifest.get('spec', {}).get('file', '')}, sha256 {manifest.get('spec', {}).get('sha256', '')}"),
        ("digest of the plan", manifest.get("digest")),
        ("git commit of the spec", commit(manifest)),
        ("overrides", ", ".join(f"{key}={value}" for key, value in (manifest.get("overrides") or {}).items())),
        ("engine", "; ".join(f"{one['engine']}: {one['reason']}" for one in manifest.get("engines", []))),
        ("device type", (manifest.get("target", {}).get("batch") or {}).get("device_type")),
        ("seed", manifest.get("seed")),
        *((f"device {name}", f"sha256 {one.get('sha256', '')}") for name, one in manifest.get("devices", {}).items()),
        ("Python", f"{manifest.get('python', '')} on {manifest.get('platform', '')}"),
        ("packages", ", ".join(f"{name} {version}" for name, version in manifest.get("packages", {}).items())),
    ]
    filled = [(name, str(value)) for name, value in rows if value not in (None, "")]
    spec = folded("The spec", listing(source.spec_text, "The spec"))
    return section("Provenance", table("Where these results come from", (), filled, first_is_head=True), spec)


def commit(manifest: Mapping[str, Any], digits: int = 40) -> str:
    """The git commit of the spec, and whether there were changes."""
    git = manifest.get("git") or {}
    return (
        f"{str(git.get('commit', ''))[:digits]}{', with uncommitted changes' if git.get('dirty') else ''}"
        if git
        else "not in a repository"
    )


# ---- parts


def _state(source: ReportSource, found: Found) -> str:
    asof = f"{source.now:%Y-%m-%d %H:%M:%S} UTC"
    if not source.ended:
        going = "is still going" if source.held else "stopped before its end; `pcs-run resume` goes on with it"
        words = f"This run {going}. As of {asof}, {_progress(source, found)} jobs are recorded; this page shows these."
        return paragraph(words, "note")
    failed = sum(count for status, count in found.statuses.items() if status != "DONE")
    if failed or source.state != "finished":
        counts = ", ".join(f"{count} {status}" for status, count in sorted(found.statuses.items()))
        return paragraph(f"The run {source.state}: {counts}.", "note bad")
    return ""


def _progress(source: ReportSource, found: Found) -> str:
    total = source.manifest.get("totals", {}).get("jobs")
    return str(found.jobs) if total == found.jobs else f"{found.jobs} of {'an unknown number' if total is None else total}"


def runs_on(manifest: Mapping[str, Any]) -> str:
    """The engines of a run on this machine, else the device type."""
    target = manifest.get("target", {})
    if target.get("backend") == "local":
        return ", ".join(dict.fromkeys(str(one["engine"]) for one in manifest.get("engines", []))) or "this machine"
    return str((target.get("batch") or {}).get("device_type") or target.get("backend", ""))


def _atoms(manifest: Mapping[str, Any]) -> str:
    sizes = sorted({len(register.get("atoms", [])) for register in manifest.get("registers", [])})
    return "" if not sizes else str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


def _took(manifest: Mapping[str, Any], source: ReportSource) -> str:
    from pcs_runner.results.report.gather import moment

    times = manifest.get("times", {})
    start = moment(times.get("started"))
    end: datetime | None = moment(times.get("ended")) if source.ended else source.now
    return duration_text((end - start).total_seconds()) if start and end else ""


def _cost(manifest: Mapping[str, Any]) -> str:
    if manifest.get("target", {}).get("backend") == "local":
        return "free"
    cost = manifest.get("cost") or {}
    if cost.get("credits") is None:
        return "not told by the service"
    return f"{value_text(cost['credits'])} credits as planned, {value_text(cost['price'])} a {cost['metric']}"


def _taken_over(manifest: Mapping[str, Any]) -> str:
    """What was not measured by this run, or an empty text."""
    told = manifest.get("reuse") or {}
    if not told.get("sources"):
        return ""
    jobs = f"{told['reuse']} jobs whole, {told['extend']} in part, {told['runs']} shots"
    return f"{jobs}, from {', '.join(told['sources'])}; results.jsonl has the origins of each"


def duration_text(seconds: float) -> str:
    """`0.42 s`, `12.8 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def utc(text: object) -> str:
    """A time of the manifest without `T` and offset."""
    return str(text).replace("T", " ").removesuffix("+00:00") if text else ""


def _group_title(name: str) -> str:
    from pcs_runner.results.charts.svg import escaped

    return f"Group {escaped(name)}"


def _selected(groups: Sequence[GroupSums]) -> Iterator[tuple[JobRecord, str]]:
    """Jobs where the first bitstring is most and least probable; of several groups those with most jobs first."""
    seen: set[int] = set()
    largest = sorted(groups, key=lambda one: -one.found.jobs)[: _CARDS // 2]
    for sums in sorted(largest, key=lambda one: one.found.first):
        label = sums.telling.label
        single = sums.lowest is not None and sums.highest is not None and sums.lowest[1].index == sums.highest[1].index
        for which, chosen in (("highest", sums.highest), ("lowest", sums.lowest)):
            if chosen is not None and chosen[1].index not in seen:
                seen.add(chosen[1].index)
                yield chosen[1], "the only point" if single else f"{which} {label}"


def _card(source: ReportSource, job: JobRecord, why: str, inline: Inliner, *, several: bool) -> str:
    from pcs_runner.results.charts.svg import escaped

    shots = shots_of(job)
    if shots is None:
        return ""
    frequent = sorted(job.counts.items(), key=lambda entry: (-entry[1], entry[0]))
    bars = [
        (bits, *interval(Quantity("bitstring", bits), Mean(shots.total, count, count)), count) for bits, count in frequent[:_BARS]
    ]
    hidden = len(frequent) - len(bars)
    words = f"{job.counts[bars[0][0]]} of {int(shots.total)} shots gave {bars[0][0]}."
    picture = bitstring_bars(bars, title=f"Most frequent bitstrings of job {job.index}", description=words, width=330)
    caption = f"{int(shots.total)} shots" + (f"; {rarer(hidden)}" if hidden > 0 else "")
    title = f"{job.group}: {why}" if several else why
    return (
        f'<article class="card"><h3>{escaped(title)}</h3><p class="muted">job {job.index}: '
        f"{escaped(point_text(job.point, source.units) or 'the only point')}</p>"
        f"{_occupied(source, job, inline)}{figure(inline(picture), caption)}</article>"
    )


def rarer(hidden: int) -> str:
    """That so many bitstrings are left out."""
    return "1 rarer bitstring is not shown" if hidden == 1 else f"{hidden} rarer bitstrings are not shown"


def _occupied(source: ReportSource, job: JobRecord, inline: Inliner) -> str:
    """The register with the occupation of each atom; nothing for one atom, or where its file is gone."""
    shots = shots_of(job)
    atoms = source.register(job)
    if shots is None or atoms is None or not 1 < len(atoms.names) == shots.bits.shape[1] or not atoms.places:
        return ""
    values = dict(zip(atoms.names, occupations(shots)[0].tolist(), strict=True))
    words = ", ".join(f"{name} {value:.2f}" for name, value in list(values.items())[:40])
    plain = Atoms(places=atoms.places, masked=atoms.masked, names=atoms.names)
    picture = draw_register(
        plain,
        title=f"Occupation on the register, job {job.index}",
        description=words,
        values=values,
        value_label="occupation",
        width=330,
    )
    return figure(inline(picture))


def _numbers(sums: GroupSums, units: Mapping[str, str], group: str, file: str) -> str:
    """The charts as a table, whose caption is like no other's; when it would be long, a pointer to the file."""
    arrangement = sums.arrangement
    drawn = [quantity for quantity in sums.quantities if quantity in sums.cells]
    if arrangement.kind not in {"lines", "heat"} or not drawn:
        return ""
    cells = list(dict.fromkeys(cell for quantity in drawn for cell in sums.cells[quantity]))
    if len(cells) > _TABLE_ROWS:
        return paragraph(f"The {len(cells)} values are in {file}.", "muted")
    axes: list[tuple[int, Axis]] = [
        (number, axis)
        for number, axis in enumerate((*arrangement.facets, arrangement.series, arrangement.y, arrangement.x))
        if axis is not None
    ]
    header = [axis_text("pass" if axis.name == PASS else axis.name, units.get(axis.name, "")) for _, axis in axes]
    rows = [
        [*(axis.label(cell[number] or 0) for number, axis in axes), *(_value(sums, quantity, cell) for quantity in drawn)]
        for cell in sorted(cells, key=lambda cell: tuple(place or 0 for place in cell))
    ]
    shown = table(
        f"Values with their 68 % intervals{group}", [*header, *(quantity.label for quantity in drawn)], rows, numbers=True
    )
    return folded("The values as a table", shown)


def _value(sums: GroupSums, quantity: Quantity, cell: tuple[int | None, ...]) -> str:
    mean = sums.cells[quantity].get(cell)
    if mean is None:
        return ""
    value, low, high = interval(quantity, mean)
    return f"{value:.4g} ({low:.4g} to {high:.4g})"
