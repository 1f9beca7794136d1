"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pcs_runner.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
        setattr(context.ensure_object(Session), name, value)

    return callback


def _set_verbose(context: click.Context, _parameter: click.Parameter, value: int) -> None:
    session = context.ensure_object(Session)
    session.verbose = value
    if value:
        from pcs_runner.cli.log import hide_log, show_log

        show_log(session)
        context.call_on_close(hide_log)


def verbosity(command: Command) -> Command:
    """`-q` and `-v`, kept in the session."""
    quiet = click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=_set("quiet"), help="Print only errors.")
    verbose = click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_set_verbose,
        help="Show the log; -vv also tracebacks.",
    )
    return quiet(verbose(command))


def json_output(text: str) -> Callable[[Command], Command]:
    """`--json`, kept in the session."""
    return click.option("--json", "as_json", is_flag=True, expose_value=False, callback=_set("json"), help=text)


target = click.option("-t", "--target", metavar="NAME", help="Target of the spec; default: local.")

workers = click.option("--workers", type=click.IntRange(1, 1024), metavar="N", help="Worker processes of the local engine.")

dask = click.option(
    "--dask", metavar="ADDRESS", help="Run local jobs on a Dask cluster: a scheduler's address or file, or `local`."
)

detach = click.option("--detach", is_flag=True, help="Submit every job and leave; `pcs-run resume` collects the results.")

allow_code = click.option("--allow-code", is_flag=True, help="Run the Python code that the spec names.")

settings = click.option(
    "-S",
    "--set",
    "settings",
    metavar="PATH=VALUE",
    multiple=True,
    help="Another value in the spec, as YAML; repeatable. The manifest keeps it.",
)

select = click.option("--select", metavar="CONDITION", help="Keep only the points for which this holds, beside where.")

yes = click.option("--yes", is_flag=True, help="Spend QPU time without asking.")

events = json_output("Events as JSON Lines on stdout.")

spec_argument = click.argument("spec", type=click.Path(path_type=Path))

run_argument = click.argument("folder", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))


def changes(settings: tuple[str, ...], select: str | None) -> list[str]:
    """`-S` and `--select` as they were typed, for the next command."""
    typed = [part for setting in settings for part in ("-S", setting)]
    return typed if select is None else [*typed, "--select", select]
