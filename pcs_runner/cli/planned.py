"""A command's spec, target and changes as a plan, checked under the eyes of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcs_runner.cli import options
from pcs_runner.cli.session import Session, command_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pcs_runner.cli.progress import Follower
    from pcs_runner.plan import Plan
    from pcs_runner.spec.models import Spec


def planned(
    session: Session,
    follower: Follower,
    spec: Path,
    *,
    target: str | None,
    settings: tuple[str, ...],
    select: str | None,
    allow_code: bool,
    on_loaded: Callable[[Spec], None] | None = None,
) -> Plan:
    """The checked plan of SPEC with the options `--target --set --select --allow-code`; after an error `validate` comes next.

    Args:
        session: Of the command.
        follower: Shows how far the checks are.
        spec: The file.
        target: Name of a target, or None for `local`.
        settings: Of `--set`.
        select: Of `--select`, or None.
        allow_code: Whether the spec's Python code is run.
        on_loaded: Told the spec before it is planned.

    Raises:
        SpecError: With every problem, located.
        UsageError: No such target, or a change that leads nowhere.
    """
    from pcs_runner import api
    from pcs_runner.spec.overrides import read_settings

    session.next_command = command_line("validate", spec, *options.changes(settings, select))
    loaded = api.load(spec, overrides=read_settings(settings), select=select)
    if on_loaded is not None:
        on_loaded(loaded.spec)
    return api.plan(loaded, target, allow_code=allow_code, on_progress=follower.checked)
