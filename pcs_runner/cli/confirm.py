"""Asks before QPU time is spent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from pcs_runner.cli.session import Session, command_line
from pcs_runner.cli.text import printable
from pcs_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


def spends(target: Mapping[str, Any]) -> bool:
    """Whether the resolved target of a manifest is a real device: the emulators' types begin with EMU, and are the default."""
    device_type = (target.get("batch") or {}).get("device_type") or "EMU_FREE"
    return target.get("backend") == "pcs" and not str(device_type).startswith("EMU")


def confirm_qpu(session: Session, *, what: str, device_type: str, yes: bool) -> None:
    """Ask on the terminal whether `what` may be sent to `device_type`.

    Raises:
        UsageError: The answer is no, or there is no terminal to ask on and `--yes` is missing; nothing was sent.
    """
    if yes:
        return
    question = f"Send {what} to {printable(device_type)}, a real device?"
    again = command_line(*session.arguments, "--yes")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{question} There is no terminal to ask on, and nothing was sent", hint=again)
    if not click.confirm(question, default=False, err=True):
        raise UsageError("not confirmed, nothing was sent", hint=again)
