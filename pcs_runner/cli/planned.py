"""A command's spec, target and changes as a plan, checked under the eyes of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcs_runner.cli import options
from pcs_runner.cli.session import Session, command_line

if TYPE_CHECKING:
    from pathlib import Path

    from pcs_runner.cli.progress import Follower
    from pcs_runner.plan import Plan


def planned(
    session: Session,
    follower: Follower,
    spec: Path,
    *,
    target: str | None,
    settings: tuple[str, ...],
    select: str | None,
    allow_code: bool,
) -> Plan:
    """The checked plan of SPEC with the options `--target --set --select --allow-code`; after an error `validate` comes next.

    Raises:
        SpecError: With every problem, located.
        UsageError: No such target, or a change that leads nowhere.
    """
    from pcs_runner import api
    from pcs_runner.spec.overrides import read_settings

    session.next_command = command_line("validate", spec, *options.changes(settings, select))
    overrides = read_settings(settings)
    return api.plan(spec, target, allow_code=allow_code, overrides=overrides, select=select, on_progress=follower.checked)
