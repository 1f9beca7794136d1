"""`pcs-run verify RUN`: whether journal, files and service tell the same story."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session, command_line
from pcs_runner.cli.text import plural, printable

if TYPE_CHECKING:
    from pcs_runner.run.verify import Verification


@click.command("verify", short_help="Compare journal, files and service.")
@options.run_argument
@options.json_output("The differences as one JSON object.")
@options.verbosity
@click.pass_obj
def command(session: Session, folder: Path) -> int:
    """Compare what the journal of the run in folder RUN knows with its files and with the service; change nothing.

    Prints what is missing, extra or changed. Exit code 1 when there is a difference, 3 when the files agree but the
    service could not be asked.
    """
    from pcs_runner.cli.folders import existing_run

    folder = existing_run(folder, "verify")
    from pcs_runner import api

    found = api.verify(folder)
    if session.json:
        session.out_json(_summary(found))
    else:
        session.out(*(printable(str(finding)) for finding in found.findings))
    session.say(f"compared {printable(', '.join(found.checked)) or 'nothing'}")
    return _conclude(session, found)


def _conclude(session: Session, found: Verification) -> int:
    if found.unreached:
        session.labelled("warning", printable(f"the service was not compared: {found.unreached}"), style="bold yellow")
    if found.findings:
        session.labelled("error", plural(len(found.findings), "difference"), style="bold red")
        session.labelled("next", command_line("status", found.folder), style="bold")
    elif found.unreached:
        session.labelled("next", command_line("verify", found.folder), style="bold")
    else:
        session.say("no difference")
    return found.exit_code


def _summary(found: Verification) -> dict[str, Any]:
    return {
        "folder": str(found.folder),
        "findings": [{"kind": one.kind, "where": one.where, "message": one.message} for one in found.findings],
        "checked": list(found.checked),
        "unreached": found.unreached,
        "exit_code": found.exit_code,
    }
