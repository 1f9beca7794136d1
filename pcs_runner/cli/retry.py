"""`pcs-run retry RUN`: send the failed jobs of a run once more."""

from __future__ import annotations

from pathlib import Path

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session


@click.command("retry", short_help="Send the failed jobs of a run again.")
@options.run_argument
@options.yes
@options.workers
@options.dask
@options.events
@options.verbosity
@click.pass_obj
def command(session: Session, folder: Path, yes: bool, workers: int | None, dask: str | None) -> int:
    """Send the failed jobs of the run in folder RUN again; their lines in the results are replaced."""
    from pcs_runner.cli.folders import existing_run
    from pcs_runner.cli.outcome import conclude
    from pcs_runner.cli.progress import Follower

    session.folder = existing_run(folder, "retry")
    _ask(session, session.folder, yes=yes)
    from pcs_runner import api

    with Follower(session) as follower:
        run = api.retry(session.folder, on_event=follower, workers=workers, dask=dask)
    return conclude(session, run)


def _ask(session: Session, folder: Path, *, yes: bool) -> None:
    """Real devices cost money: ask before anything is sent."""
    from pcs_runner.cli.confirm import confirm_qpu, spends
    from pcs_runner.run.directory import RunFolder

    target = RunFolder(folder).target()
    if spends(target):
        confirm_qpu(session, what="the failed jobs again", device_type=str(target["batch"]["device_type"]), yes=yes)
