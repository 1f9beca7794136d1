"""`pcs-run run SPEC`: validate, plan, submit, follow, collect."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session
from pcs_runner.cli.text import plural

if TYPE_CHECKING:
    from pcs_runner.cli.progress import Follower
    from pcs_runner.plan.plan import Plan
    from pcs_runner.run.estimate import Estimate
    from pcs_runner.run.reuse import Reuse


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
    from pcs_runner.cli.planned import planned
    from pcs_runner.cli.progress import Follower
    from pcs_runner.run.connect import warm_up

    with Follower(session) as follower:
        plan = planned(
            session,
            follower,
            spec,
            target=target,
            settings=settings,
            select=select,
            allow_code=allow_code,
            on_loaded=None if dask else partial(warm_up, target=target),
        )
        taken_over = api.reuse(plan)
        _announce(follower, plan, taken_over)
        cost = api.estimate(plan, taken_over) if plan.target.spends else None
    _ask(session, plan, taken_over, yes=yes, cost=cost)
    with Follower(session) as follower:
        run = api.run(plan, output=output, new=new, detach=detach, on_event=follower, workers=workers, dask=dask, cost=cost)
    return conclude(session, run) if run.ended else leave(session, run)


def _announce(follower: Follower, plan: Plan, taken_over: Reuse | None) -> None:
    """What was planned, in one line, after what Pulser warned of; and what earlier runs have of it."""
    from pcs_runner.cli.plan import reuse_text
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
    if taken_over is not None:
        follower.line(f"earlier runs: {reuse_text(taken_over.summary())}")
    elif plan.spec.reuse:
        device = plan.target.device_type
        follower.line(f"earlier runs are not reused on {device}, where days differ; `reuse: true` in the target does it")


def _ask(session: Session, plan: Plan, taken_over: Reuse | None, *, yes: bool, cost: Estimate | None) -> None:
    """Real devices cost money: ask before anything is sent."""
    from pcs_runner.cli.confirm import confirm_qpu

    if plan.target.spends:
        total = plan.total_jobs if taken_over is None else taken_over.sent
        jobs = "its jobs" if total is None else plural(total, "job")
        runs = plural(plan.total_runs - (taken_over.runs if taken_over else 0), "run")
        price = cost.summary()["cost"]["text"] if cost else "unknown"
        confirm_qpu(session, what=f"{jobs} ({runs}, cost {price})", device_type=plan.target.device_type, yes=yes)
