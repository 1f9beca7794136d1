"""`pcs-run serve`: the twin of PCS over HTTP, for anyone's code."""

from __future__ import annotations

import os
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session
from pcs_runner.errors import UsageError

if TYPE_CHECKING:
    from pcs_runner.emulator.server.running import Ready

PASSWORD, TOKEN = "PCS_RUNNER_SERVE_PASSWORD", "PCS_RUNNER_SERVE_TOKEN"


@click.command("serve", short_help="Serve an offline PCS over HTTP.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port to listen on; 0: any free one."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where batches and results are kept; default: a temporary folder.",
)
@click.option("--latency", type=click.FloatRange(0, 60_000), default=0.0, metavar="MS", help="Delay every answer.")
@options.workers
@click.option(
    "--idle-timeout",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    metavar="S",
    help="When an open batch without work is TIMED_OUT; 0: never.",
)
@click.option("--username", default="user@twin.local", show_default=True, metavar="NAME", help="Who may log in.")
@click.option("--token-lifetime", type=click.FloatRange(min=0), default=86_400.0, metavar="S", help="How long a token is good.")
@click.option("--link-lifetime", type=click.IntRange(min=0), default=3_600, metavar="S", help="How long a download link is good.")
@click.option("--pricing", type=click.Choice(["shot", "hour"]), default="shot", show_default=True, help="Metric of the contract.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="RULE",
    help="What goes wrong, like 'POST /api/v1/batches #1: status=502'; repeatable.",
)
@click.option("--fault-control", is_flag=True, help="Let faults be changed while it runs, at /_twin/faults.")
@click.option("--allow-remote", is_flag=True, help="Let other machines ask; needs a password or token of your own.")
@options.verbosity
@click.pass_obj
def command(
    session: Session,
    host: str,
    port: int,
    data: Path | None,
    latency: float,
    workers: int | None,
    idle_timeout: float,
    username: str,
    token_lifetime: float,
    link_lifetime: int,
    pricing: str,
    faults: tuple[str, ...],
    fault_control: bool,
    allow_remote: bool,
) -> int:
    """Serve Pasqal Cloud Services on this machine: the same endpoints, and Pulser's simulator in place of devices.

    Prints one JSON line when it is ready: core, account, billing, token_url, project_id, username, password, pid. The
    password is made up, or PCS_RUNNER_SERVE_PASSWORD; PCS_RUNNER_SERVE_TOKEN is a token that needs no login. Ctrl-C or
    SIGTERM stops it; with --data it goes on where it was when it is started again.
    """
    _require_server()
    from pcs_runner.emulator.server import running

    def tell(ready: Ready) -> None:
        session.out_json(asdict(ready))
        session.say(f"serving {ready.core}; Ctrl-C stops it")

    running.serve(
        running.Options(
            host=host,
            port=port,
            data=data,
            latency_ms=latency,
            workers=workers,
            idle_timeout_s=idle_timeout or None,
            username=username,
            password=os.environ.get(PASSWORD) or None,
            token=os.environ.get(TOKEN) or None,
            allow_remote=allow_remote,
            token_lifetime_s=token_lifetime,
            link_lifetime_s=link_lifetime,
            pricing=pricing,
            faults=faults,
            fault_control=fault_control,
        ),
        tell,
    )
    return 0


def _require_server() -> None:
    """Say what to install when the extra `server` is missing.

    Raises:
        UsageError: It is.
    """
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"`pcs-run serve` needs {' and '.join(missing)}, which this installation lacks",
            hint="Install them with pip install 'pcs-runner[server]'.",
        )
