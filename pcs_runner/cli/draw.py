"""`pcs-run draw SPEC`: sequence, register and sweep as SVG files, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session
from pcs_runner.cli.text import plural, printable
from pcs_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.plan.expansion import PlannedJob
    from pcs_runner.plan.plan import Plan
    from pcs_runner.results.charts.built import Built
    from pcs_runner.results.charts.svg import Picture

WIDTH = 640.0


@click.command("draw", short_help="Draw sequence, register and sweep as SVG.")
@options.spec_argument
@click.option("--point", type=click.IntRange(min=0), metavar="N", help="Draw job N, from 0; default: each distinct sequence.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE",
    help="A folder for several files, or FILE.svg for one picture; default NAME-drawings.",
)
@click.option("--pulser", is_flag=True, help="Draw sequences with Pulser's own Sequence.draw.")
@options.target
@options.settings
@options.select
@options.allow_code
@options.verbosity
@click.pass_obj
def command(
    session: Session,
    spec: Path,
    point: int | None,
    output: Path | None,
    pulser: bool,
    target: str | None,
    settings: tuple[str, ...],
    select: str | None,
    allow_code: bool,
) -> int:
    """Draw the sequence and the register of SPEC, and what its sweep visits; send nothing.

    Without --point each distinct sequence is drawn as its first job has it. The files are printed on stdout.
    """
    from pcs_runner.cli.planned import planned
    from pcs_runner.cli.progress import Follower

    single = output is not None and output.suffix == ".svg"
    if single and pulser:
        raise UsageError("Pulser's drawing cannot be put into one picture with the others", hint="Give a folder with -o.")
    with Follower(session) as follower:
        plan = planned(session, follower, spec, target=target, settings=settings, select=select, allow_code=allow_code)
    if single:
        assert output is not None
        session.out(printable(str(_one_picture(plan, point, output))))
        return 0
    folder = output or Path(f"{plan.name}-drawings")
    folder.mkdir(parents=True, exist_ok=True)
    for path in _files(plan, point, folder, pulser=pulser):
        session.out(printable(str(path)))
    return 0


def _one_picture(plan: Plan, point: int | None, path: Path) -> Path:
    """Sequence, register and sweep below each other."""
    from pcs_runner.results.charts.svg import stacked

    count = len(plan.sequence_ids)
    if point is None and count > 1:
        raise UsageError(
            f"{printable(str(path))} takes one sequence, the spec has {count}",
            hint="Choose a job with --point, or give a folder with -o.",
        )
    (job,) = _jobs(plan, point)
    built = _built(plan, job)
    pictures = [_sequence(plan, job, built), built.register(WIDTH), *_sweep(plan)]
    return _write(path, stacked(pictures, title=f"{plan.name}: sequence, register and sweep"))


def _files(plan: Plan, point: int | None, folder: Path, *, pulser: bool) -> Iterator[Path]:
    """A file for each drawing; each path as soon as it is written."""
    from pcs_runner.results.charts.svg import stacked

    for job in _jobs(plan, point):
        name = f"{plan.name}-{job.sequence}" if point is None else f"{plan.name}-point-{point}"
        built = _built(plan, job)
        sequence = folder / f"{name}-sequence.svg"
        yield _draw_by_pulser(built, sequence) if pulser else _write(sequence, stacked([_sequence(plan, job, built)]))
        yield _write(folder / f"{name}-register.svg", stacked([built.register(WIDTH)]))
    for picture in _sweep(plan):
        yield _write(folder / f"{plan.name}-sweep.svg", stacked([picture]))


def _jobs(plan: Plan, point: int | None) -> Iterator[PlannedJob]:
    """The chosen job, or the first of each distinct sequence.

    Raises:
        UsageError: There is no such job.
    """
    if point is not None:
        job = next(plan.jobs(point), None)
        if job is None:
            raise UsageError(f"there is no job {point}: the spec has {plural(plan.total_jobs or 0, 'job')}, from 0")
        yield job
        return
    missing = set(plan.sequence_ids)
    for job in plan.jobs():
        if job.sequence in missing:
            missing.discard(job.sequence)
            yield job
        if not missing:
            return


def _built(plan: Plan, job: PlannedJob) -> Built:
    from pcs_runner.results.charts.built import Built

    return Built.of(plan.sequence(job.sequence), job.variables)


def _sequence(plan: Plan, job: PlannedJob, built: Built) -> Picture:
    from pcs_runner.results.charts.axes import point_text
    from pcs_runner.results.charts.sequence import draw_sequence

    where = point_text(job.point, _units(plan))
    return draw_sequence(built.curves, title=f"{plan.name}, job {job.index}{f': {where}' if where else ''}", width=WIDTH)


def _sweep(plan: Plan) -> Iterator[Picture]:
    """What varies from job to job; nothing when nothing does."""
    from pcs_runner.results.charts.sweep import collect, draw_sweep

    total = plan.total_jobs or 0
    strips, groups = collect(((job.index, job.group, job.point) for job in plan.jobs()), total, _units(plan))
    if strips:
        yield draw_sweep(strips, groups, total, title="Sweep", width=WIDTH)


def _units(plan: Plan) -> dict[str, str]:
    """Units of names by their use in the spec's sequence, or in that of its file."""
    import json

    from pcs_runner.spec.units import units_of

    data = plan.document.data
    overlays = [overlay.get("sequence") for overlay in plan.spec.variants.values()]
    compiled = json.loads(plan.sequence(plan.sequence_ids[0]))
    computed = [*(group.let for group in plan.spec.groups), plan.spec.constants]
    return units_of([compiled, data.get("sequence"), *overlays], computed)


def _write(path: Path, picture: Picture) -> Path:
    from pcs_runner.results.durable import write_bytes

    write_bytes(path, picture.file().encode(), mode=0o644)
    return path


def _draw_by_pulser(built: Built, path: Path) -> Path:
    """Pulser's own drawing, without a display; the same sequence gives the same file."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with mpl.rc_context({"svg.hashsalt": path.name, "svg.fonttype": "none"}):
        saved = {"metadata": {"Date": None}, "bbox_inches": "tight"}
        built.sequence.draw(fig_name=str(path), kwargs_savefig=saved, show=False)
        plt.close("all")
    beside = path.with_name(f"{path.stem}_pulses{path.suffix}")  # Pulser 1.9 adds to the name
    return beside.replace(path) if beside.exists() else path
