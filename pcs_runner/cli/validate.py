"""`pcs-run validate SPEC...`: every problem of every file, located."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session, command_line
from pcs_runner.cli.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pcs_runner.errors import Problem


@click.command("validate", short_help="Print every problem of every spec, located.")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.target
@options.settings
@options.select
@options.allow_code
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    help="text (default), json (a list), or github (annotations of GitHub Actions).",
)
@options.json_output("The same as --format json.")
@options.verbosity
@click.pass_obj
def command(
    session: Session,
    specs: tuple[Path, ...],
    target: str | None,
    settings: tuple[str, ...],
    select: str | None,
    allow_code: bool,
    form: str | None,
) -> int:
    """Print every problem of the SPECs as `file:line:column: path: message`; send nothing.

    Exit code 2 when there is one; warnings do not count.
    """
    from pcs_runner import api
    from pcs_runner.spec.overrides import read_settings

    overrides = read_settings(settings)
    reported: list[Problem] = []
    wrong: list[Path] = []
    form = form or ("json" if session.json else "text")
    for spec in specs:
        problems = api.validate(spec, target, allow_code=allow_code, overrides=overrides, select=select)
        reported += problems
        if any(not problem.warning for problem in problems):
            wrong.append(spec)
        if form != "json":
            _print(session, problems, form)
    if form == "json":
        _print_json(session, reported)
    if not wrong:
        session.say(f"{plural(len(specs), 'spec')} valid")
        return 0
    count = sum(not problem.warning for problem in reported)
    session.labelled("error", f"{plural(count, 'problem')} in {plural(len(wrong), 'spec')}", style="bold red")
    session.labelled("next", command_line("validate", *wrong, *options.changes(settings, select)), style="bold")
    return 2


def _print(session: Session, problems: Sequence[Problem], form: str) -> None:
    from pcs_runner.cli.problems import as_github, as_text

    for problem in problems:
        session.out(*([as_github(problem)] if form == "github" else as_text(problem)))


def _print_json(session: Session, problems: Sequence[Problem]) -> None:
    from pcs_runner.cli.problems import as_json

    session.out(json.dumps([as_json(problem) for problem in problems], indent=2))
