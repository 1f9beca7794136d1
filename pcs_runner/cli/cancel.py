"""`pcs-run cancel RUN`: cancel what is not finished, keep what is."""

from __future__ import annotations

from pathlib import Path

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session


@click.command("cancel", short_help="Cancel what has not begun, keep what is there.")
@options.run_argument
@options.events
@options.verbosity
@click.pass_obj
def command(session: Session, folder: Path) -> int:
    """Cancel the jobs of the run in folder RUN that have not begun; results that are there stay."""
    from pcs_runner.cli.folders import existing_run
    from pcs_runner.cli.outcome import tell
    from pcs_runner.cli.progress import Follower

    session.folder = existing_run(folder, "cancel")
    from pcs_runner import api

    with Follower(session) as follower:
        run = api.cancel(session.folder, on_event=follower)
    tell(session, run)
    return 0
