"""`pcs-run resume RUN`: go on where a run stopped."""

from __future__ import annotations

from pathlib import Path

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session


@click.command("resume", short_help="Go on where a run stopped.")
@options.run_argument
@options.workers
@options.dask
@options.events
@options.verbosity
@click.pass_obj
def command(session: Session, folder: Path, workers: int | None, dask: str | None) -> int:
    """Go on with the run in folder RUN: finished jobs are not run again.

    For a run that has finished it says so.
    """
    from pcs_runner.cli.folders import existing_run
    from pcs_runner.cli.outcome import conclude
    from pcs_runner.cli.progress import Follower

    session.folder = existing_run(folder, "resume")
    from pcs_runner import api

    with Follower(session) as follower:
        run = api.resume(session.folder, on_event=follower, workers=workers, dask=dask)
    return conclude(session, run)
