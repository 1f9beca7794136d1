"""`pcs-run report RUN`: the page that shows a run, also of one that is still going."""

from __future__ import annotations

from pathlib import Path

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session
from pcs_runner.cli.text import printable


@click.command("report", short_help="Make the page that shows a run.")
@options.run_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file to write; default report.html in the run folder.",
)
@options.verbosity
@click.pass_obj
def command(session: Session, folder: Path, output: Path | None) -> int:
    """Write report.html of the run in folder RUN: one file that needs no network and no script; its path goes to stdout.

    Of a run that is still going the page shows what is recorded, and says so.
    """
    from pcs_runner.cli.folders import existing_run

    folder = existing_run(folder, "report")
    from pcs_runner import api

    session.out(printable(str(api.report(folder, output=output))))
    return 0
