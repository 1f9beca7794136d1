"""`pcs-run run SPEC`: validate, plan, submit, follow, collect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session, command_line
from pcs_runner.cli.text import plural

if TYPE_CHECKING:
    from pcs_runner.cli.progress import Follower
    from pcs_runner.plan.plan import Plan
    from pcs_runner.run.estimate import Estimate


@click.command("run", short_help="Validate, plan, submit, follow, collect (the default command).")
@options.spec_argument
@options.target
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="The run folder; default runs/NAME/TIME-DIGEST."
)
@click.option("--new", is_flag=True, help="Run a finished or unfinished plan again, in a new folder.")
@options.settings
@options.select
@options.allow_code
@options.detach
@options.yes
@options.workers
@options.dask
@options.events
@options.verbosity
@click.pass_obj
def command(
    session: Session,
    spec: Path,
    target: str | None,
    output: Path | None,
    new: bool,
    settings: tuple[str, ...],
    select: str | None,
    allow_code: bool,
    detach: bool,
    yes: bool,
    workers: int | None,
    dask: str | None,
) -> int:
    """Validate SPEC, plan it, submit its jobs, follow them and collect the results.

    A plan that has an unfinished run is resumed; a finished one says where its results are. The run folder is printed
    on stdout.
    """
    from pcs_runner import api
    from pcs_runner.cli.outcome import conclude, leave
    from pcs_runner.cli.progress import Follower
    from pcs_runner.spec.overrides import read_settings

    session.next_command = command_line("validate", spec, *options.changes(settings, select))
    with Follower(session) as follower:
        plan = api.plan(
            spec,
            target,
            allow_code=allow_code,
            overrides=read_settings(settings),
            select=select,
            on_progress=follower.checked,
        )
        _announce(follower, plan)
        cost = api.estimate(plan) if plan.target.spends else None
    _ask(session, plan, yes=yes, cost=cost)
    with Follower(session) as follower:
        run = api.run(plan, output=output, new=new, detach=detach, on_event=follower, workers=workers, dask=dask)
    return conclude(session, run) if run.ended else leave(session, run)


def _announce(follower: Follower, plan: Plan) -> None:
    """What was planned, in one line, after what Pulser warned of."""
    from pcs_runner.cli.problems import as_text

    parts = [plural(plan.total_points, "point")]
    if plan.dropped_points:
        parts.append(f"{plan.dropped_points} dropped")
    if plan.total_jobs is not None:
        parts.append(plural(plan.total_jobs, "job"))
    parts += [plural(plan.total_runs, "run"), plural(len(plan.sequence_ids), "sequence")]
    for warning in plan.warnings:
        for line in as_text(warning):
            follower.line(line)
    follower.line(f"validated {plan.name} on {plan.target.name}: {', '.join(parts)}")


def _ask(session: Session, plan: Plan, *, yes: bool, cost: Estimate | None) -> None:
    """Real devices cost money: ask before anything is sent."""
    from pcs_runner.cli.confirm import confirm_qpu

    if plan.target.spends:
        jobs = "its jobs" if plan.total_jobs is None else plural(plan.total_jobs, "job")
        price = cost.summary()["cost"]["text"] if cost else "unknown"
        confirm_qpu(
            session, what=f"{jobs} ({plural(plan.total_runs, 'run')}, cost {price})", device_type=plan.target.device_type, yes=yes
        )
