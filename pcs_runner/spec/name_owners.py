"""Every name has one owner in a group, and no owner has a name that is reserved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcs_runner.spec.expressions import FUNCTIONS, WORDS
from pcs_runner.spec.jobs import SWEEP_KINDS
from pcs_runner.spec.name_parts import AXIS_ONLY, PREDEFINED, WORD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pcs_runner.spec.document import Path
    from pcs_runner.spec.name_parts import Found, GroupNames, Part

RESERVED = (
    dict.fromkeys(PREDEFINED, "a predefined name")
    | dict.fromkeys(FUNCTIONS, "a function")
    | dict.fromkeys((*WORDS, "True", "False", "if", "else"), "a word of the language")
    | dict.fromkeys(SWEEP_KINDS, "a kind of sweep")
)


def unusable_name(name: str) -> bool:
    """Whether no axis can be called so."""
    return WORD.fullmatch(name) is None or name in RESERVED or name in AXIS_ONLY


def check_owners(part: Part, groups: Iterable[GroupNames], found: Found) -> None:
    """Check that constants, axes, `let` and indexes share no name and take no reserved one."""
    constants = part.spec.constants
    for name in constants:
        _check_reserved(name, ("constants", name), "a constant", found)
    for group in groups:
        for name, owner in group.axes.items():
            _check_reserved(name, owner.path, "an axis", found, allowed=AXIS_ONLY, key=owner.is_key)
        for name in group.group.let:
            path = (*group.path, "let", name)
            _check_reserved(name, path, "a let", found)
            if name in group.axes:
                found.add(path, f'"{name}" is an axis of this group already', "call one of them otherwise", key=True)
            elif name in constants:
                hint = "call it otherwise; only an axis overrides a constant"
                found.add(path, f'"{name}" is a constant already', hint, key=True)
    for name, path in part.indexes:
        _check_reserved(name, path, "an index", found, key=False)
        owners = [
            what for group in groups for what, names in (("an axis", group.axes), ("a let", group.group.let)) if name in names
        ]
        if name in constants or owners:
            found.used.add(name)
            what = "a constant" if name in constants else owners[0]
            found.add(path, f'"{name}" is {what} already', "call the index otherwise")


def _check_reserved(name: str, path: Path, what: str, found: Found, *, allowed: tuple[str, ...] = (), key: bool = True) -> None:
    reserved = RESERVED | dict.fromkeys(AXIS_ONLY, "a name that only an axis binds")
    if name in reserved and name not in allowed:
        found.used.add(name)
        found.add(path, f'{what} cannot be called "{name}", which is {reserved[name]}', "call it otherwise", key=key)
