"""`pcs-run diff A B...`: whether runs of the same points agree within shot noise, and where not."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session
from pcs_runner.cli.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.results.compare import Comparison, PointDifference

SHOWN = 20
"""Points that are printed; `--json` has more."""


@click.command("diff", short_help="Compare runs of the same points.")
@click.argument("folders", nargs=-1, required=True, metavar="RUN RUN...", type=click.Path(path_type=Path))
@click.option(
    "--level",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    metavar="P",
    help="How often runs of the same physics may come out as different.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write a page that shows the runs side by side.",
)
@options.json_output("The comparisons as one JSON object.")
@options.verbosity
@click.pass_obj
def command(session: Session, folders: tuple[Path, ...], level: float, output: Path | None) -> int:
    """Compare the results of runs of the same points, each with the first: two targets, two days, two versions.

    Every point is tested for a difference beyond shot noise, and so are all of them together. Exit code 1 when runs differ.
    With -o the same is a page with charts: one file that needs no network and no script.
    """
    from pcs_runner import api
    from pcs_runner.cli.folders import existing_run
    from pcs_runner.errors import UsageError
    from pcs_runner.results.compare import compare

    if len(folders) < 2:
        raise UsageError("diff needs at least two run folders", hint="pcs-run diff RUN RUN")
    first, *others = [api.open_run(existing_run(folder, "diff")) for folder in folders]
    found = [compare(first.results_path, other.results_path, (first.manifest, other.manifest), level=level) for other in others]
    if session.json:
        runs = [str(run.folder) for run in others]
        session.out_json({"first": str(first.folder), "others": [_data(*pair) for pair in zip(runs, found, strict=True)]})
    else:
        for other, comparison in zip(others, found, strict=True):
            session.out(f"{printable(str(first.folder))} and {printable(str(other.folder))}", *_lines(comparison))
            session.out(*_spec_lines(first.folder, other.folder))
    if output is not None:
        from pcs_runner.run.report import write_comparison

        write_comparison([first.folder, *(other.folder for other in others)], found, output)
        session.say(f"page: {printable(str(output))}")
    return int(any(comparison.differs for comparison in found))


def _data(folder: str, found: Comparison) -> dict[str, Any]:
    body = asdict(found)
    for plain, point in zip(body["points"], found.points, strict=True):
        plain["distance"]["p_value"] = point.distance.p_value
    body["provenance"] = [{"name": name, "first": one, "second": other} for name, one, other in found.provenance]
    return {"folder": folder, "differs": found.differs, **body}


def _lines(found: Comparison) -> Iterator[str]:
    verdict = "different" if found.differs else "no difference"
    yield f"verdict    {verdict} at level {found.level:g}: p = {found.p_value:.2g}"
    left_out = "".join(f", {count} {kind}" for kind, count in found.missing.items())
    yield f"points     {found.compared} compared{left_out}; {found.differing} differ"
    yield f"distance   total variation {found.variation:.3g} on average, about {found.noise:.3g} from shot noise alone"
    yield f"chi-square {found.chi_square:.4g} over {found.degrees} degrees of freedom"
    for trend in found.trends:
        yield (
            f"observable {printable(trend.name)}: mean change {trend.mean:+.3g}, z {trend.z:+.2f} over all points, "
            f"{trend.largest:+.2f} at the most different one"
        )
    differing = [point for point in found.points if point.p_value < found.level]
    for point in differing[:SHOWN]:
        yield f"point      {_point_text(point)}"
    if found.differing > SHOWN:
        yield f"point      and {plural(found.differing - SHOWN, 'more point')}; --json has them"
    for name, one, other in found.provenance:
        yield f"not equal  {printable(name)}: {_short(one)} -> {_short(other)}"


def _point_text(point: PointDifference) -> str:
    where = ", ".join(f"{name}={_short(value)}" for name, value in point.point.items()) or f"group {point.group}"
    text = (
        f"{printable(where)}: variation {point.distance.variation:.3g} (noise {point.distance.noise:.2g}), p {point.p_value:.1g}"
    )
    known = [shift for shift in point.shifts if shift.z is not None]
    if not known:
        return text
    most = max(known, key=lambda shift: abs(shift.z or 0.0))
    return f"{text}; {printable(most.name)} {most.one:.3g} -> {most.other:.3g} (z {most.z:+.1f})"


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return printable(text if len(text) <= 60 else f"{text[:57]}...")


def _spec_lines(one: Path, other: Path) -> Iterator[str]:
    """The specs' lines that are not the same."""
    before, after = ((folder / "spec.yaml").read_text(encoding="utf-8", errors="replace").splitlines() for folder in (one, other))
    for line in list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]:
        if not line.startswith("@@"):
            yield f"spec       {printable(line)}"
