"""`pcs-run status RUN`: how far a run is, from what is on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session, command_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.run.outcome import Run


@click.command("status", short_help="Print how far a run is.")
@options.run_argument
@options.json_output("The status as one JSON object.")
@options.verbosity
@click.pass_obj
def command(session: Session, folder: Path) -> int:
    """Print how far the run in folder RUN is, and what to do next."""
    from pcs_runner.cli.folders import existing_run
    from pcs_runner.cli.outcome import status_lines, summary

    folder = existing_run(folder, "status")
    from pcs_runner import api

    run = api.open_run(folder)
    if session.json:
        session.out_json(summary(run))
    else:
        session.out(*status_lines(run))
    session.say(*_next(run))
    return 0


def _next(run: Run) -> Iterator[str]:
    """The next command, when there is one."""
    if run.held_by is not None:
        return
    if not run.ended:
        yield f"next: {command_line('resume', run.folder)}"
    elif any(status != "DONE" for status in run.counts):
        yield f"next: {command_line('retry', run.folder)}"
