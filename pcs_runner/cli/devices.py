"""`pcs-run devices`: the cloud's devices and their limits, without login; offline from what was pulled last."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from pcs_runner.cli import options
from pcs_runner.cli.session import Session, command_line
from pcs_runner.cli.text import plural, printable, seconds
from pcs_runner.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pcs_runner.pcs.device_cache import CachedDevice, Pulled

region = click.option("--region", type=click.Choice(["fr", "sa"]), default="fr", help="Region of the cloud; default fr.")


@click.group("devices", short_help="List, show and pull the devices of the cloud.")
def command() -> None:
    """The devices of the cloud and their limits; no login is needed.

    What is fetched is kept, so that specs can name cloud devices and plans can be checked offline.
    """


@command.command("list", short_help="Print the devices and their limits.")
@region
@options.json_output("A JSON list.")
@options.verbosity
@click.pass_obj
def list_devices(session: Session, region: str) -> int:
    """Print the devices and their limits, one in a line."""
    devices = _current(session, region)
    if session.json:
        session.out_json([_summary(device) for device in devices.values()])
    else:
        session.out(*_table([_row(device) for device in devices.values()]))
    return 0


@command.command("show", short_help="Print the spec of a device.")
@click.argument("name")
@region
@options.verbosity
@click.pass_obj
def show_device(session: Session, name: str, region: str) -> int:
    """Print the spec of the device NAME, in Pulser's abstract representation (JSON)."""
    devices = _current(session, region)
    if name not in devices:
        known = ", ".join(printable(one) for one in devices) or "none"
        raise UsageError(
            f"the cloud has no device {printable(repr(name))}; it has: {known}", hint=command_line("devices", "list")
        )
    session.out(json.dumps(json.loads(devices[name].spec), indent=2))
    return 0


@command.command("pull", short_help="Fetch the specs and keep them.")
@region
@options.verbosity
@click.pass_obj
def pull_devices(session: Session, region: str) -> int:
    """Fetch the specs of all devices, keep them, and say what changed."""
    session.next_command = command_line("devices", "pull")
    _tell(session, _pull(session, region))
    return 0


def _current(session: Session, region: str) -> Mapping[str, CachedDevice]:
    """The devices as they are now, or without the service as they were pulled last.

    Raises:
        ServiceError: The service cannot be asked, and nothing was pulled.
    """
    from pcs_runner.sequence.device_cache import read_cache

    try:
        return _pull(session, region).devices
    except ServiceError as error:
        pulled = read_cache(_core(region))
        if not pulled:
            raise
        session.say(printable(f"{error.message}; showing what was pulled {_age(next(iter(pulled.values())))} ago"))
        return pulled
    except OSError as error:
        session.say(printable(f"not kept: {error.strerror}"))
        fetched: Mapping[str, CachedDevice] = _with_caller(session, region, fetch=True)
        return fetched


def _pull(session: Session, region: str) -> Pulled:
    pulled: Pulled = _with_caller(session, region)
    return pulled


def _with_caller(session: Session, region: str, *, fetch: bool = False) -> Any:
    """Fetch, and unless `fetch` also keep."""
    from pcs_runner.pcs import device_cache
    from pcs_runner.pcs.calls import Caller
    from pcs_runner.pcs.client import Wire

    work: Callable[..., Any] = device_cache.fetch if fetch else device_cache.pull
    wire = Wire()
    try:
        return work(Caller(wire, on_wait=_waiting(session)), _core(region))
    finally:
        wire.close()


def _core(region: str) -> str:
    from pcs_runner.pcs import endpoints

    return endpoints.from_environment(region, os.environ, own_token=True).core


def _waiting(session: Session) -> Callable[[str, float], None]:
    return lambda reason, wait_s: session.say(printable(f"waiting {seconds(wait_s)}: {reason}"))


def _tell(session: Session, pulled: Pulled) -> None:
    session.out(*(printable(name) for name in pulled.devices))
    for word, names in (("new", pulled.added), ("changed", pulled.changed), ("gone", pulled.gone)):
        if names:
            session.say(f"{word}: {', '.join(printable(name) for name in names)}")
    session.say(f"{plural(len(pulled.devices), 'device')} kept")


def _age(device: CachedDevice) -> str:
    from datetime import UTC, datetime

    return seconds(max(0.0, (datetime.now(UTC) - device.fetched_at).total_seconds()))


def _summary(device: CachedDevice) -> dict[str, Any]:
    body = json.loads(device.spec)
    return {
        "name": device.name,
        "max_atoms": body.get("max_atom_num"),
        "max_runs": body.get("max_runs"),
        "max_duration_ns": body.get("max_sequence_duration"),
        "channels": [channel.get("id") for channel in _dicts(body.get("channels"))],
        "hash": device.hash,
        "fetched_at": device.fetched_at.isoformat(),
    }


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _row(device: CachedDevice) -> tuple[str, ...]:
    summary = _summary(device)
    limits = (summary["max_atoms"], summary["max_runs"], summary["max_duration_ns"])
    return (printable(device.name), *("-" if one is None else printable(str(one)) for one in limits), summary["hash"][:8])


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows in columns, below their heads."""
    lines = [("device", "atoms", "runs", "duration_ns", "hash"), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
