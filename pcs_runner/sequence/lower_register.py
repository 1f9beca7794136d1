"""Register and layout made regular, and the numbers of atoms that are called by their names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.sequences import ON_LAYOUT, MappableAtom, RegisterConstructor, TrapLayout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pcs_runner.sequence.slots import Role, Slot
    from pcs_runner.spec.document import Path
    from pcs_runner.spec.sequences import Atom, InlineSequence

    MakeSlot = Callable[[Any, Path, Role], Slot]
    AddFault = Callable[..., None]

INTEGER_ARGUMENTS = frozenset({"side", "rows", "columns", "layers", "atoms_per_row", "n_qubits", "n_traps"})
DEFAULT_PREFIX = "q"


def lower_register(section: InlineSequence, path: Path, slot: MakeSlot, fault: AddFault) -> dict[str, Any]:
    """The register with slots, in one of the three forms of `Lowered.register`.

    Args:
        section: The sequence.
        path: Where the register stands.
        slot: Makes a slot of a value at a path.
        fault: Told of what is wrong.
    """
    register = section.register_
    if isinstance(register, RegisterConstructor):
        _check_layout(section, register, path, fault)
        return _constructor(register, path, slot)
    if isinstance(register, dict):
        rows = [[name, [slot(v, (*path, name, i), "fixed") for i, v in enumerate(xy)]] for name, xy in register.items()]
        return _atoms(rows, path, fault)
    names = atom_names(section)
    assert isinstance(names, tuple)
    if not any(isinstance(atom, MappableAtom) for atom in register):
        return _atoms(
            [_row(atom, (*path, i), slot) for i, atom in enumerate(register) if not isinstance(atom, MappableAtom)], path, fault
        )
    if not all(isinstance(atom, MappableAtom) for atom in register):
        fault(path, "some atoms have coordinates and others are to be mapped", "give all of them `name`, or all of them `qid`")
    if section.layout is None:
        fault(path, "a mappable register needs a layout", "add `layout:` to the sequence")
    _check_distinct(names, path, fault)
    return {"mappable": list(names)}


def _row(atom: Atom, path: Path, slot: MakeSlot) -> list[Any]:
    axes = [(axis, getattr(atom, axis)) for axis in ("x", "y", "z") if getattr(atom, axis) is not None]
    return [atom.name, [slot(value, (*path, axis), "fixed") for axis, value in axes]]


def _atoms(rows: list[list[Any]], path: Path, fault: AddFault) -> dict[str, Any]:
    _check_distinct([name for name, _ in rows], path, fault)
    if len({len(position) for _, position in rows}) > 1:
        fault(path, "some atoms have two coordinates and others three", "give all of them [x, y] or all of them [x, y, z]")
    return {"atoms": rows}


def _check_distinct(names: Sequence[str], path: Path, fault: AddFault) -> None:
    if len(set(names)) != len(names):
        fault(path, "two atoms have the same name", "give every atom a name of its own")


def _check_layout(section: InlineSequence, register: RegisterConstructor, path: Path, fault: AddFault) -> None:
    name = register.constructor
    if name in ON_LAYOUT and section.layout is None:
        fault((*path, name), f"{name} takes traps of a layout, and the sequence has none", "add `layout:` to the sequence")
    if register.automatic_layout and (name in ON_LAYOUT or section.layout is not None):
        fault((*path, "automatic_layout"), "the sequence has a layout already", "remove `automatic_layout`, or `layout`")


def _constructor(register: RegisterConstructor, path: Path, slot: MakeSlot) -> dict[str, Any]:
    name = register.constructor
    arguments: dict[str, Any] = {}
    for key, value in register.arguments:
        where = (*path, name, key)
        if key == "coords":
            arguments[key] = [[slot(v, (*where, i, j), "fixed") for j, v in enumerate(row)] for i, row in enumerate(value)]
        elif key == "trap_ids":
            arguments[key] = [slot(v, (*where, i), "fixed_integer") for i, v in enumerate(value)]
        elif value is None or isinstance(value, bool) or key in {"prefix", "labels", "qubit_ids"}:
            arguments[key] = value
        else:
            arguments[key] = slot(value, where, "fixed_integer" if key in INTEGER_ARGUMENTS else "fixed")
    return {"constructor": name, "arguments": arguments, "automatic_layout": register.automatic_layout}


def lower_layout(layout: str | TrapLayout, path: Path, slot: MakeSlot) -> Any:
    """The layout with slots: a name, `{lattice: arguments}`, or `{coordinates, slug}`."""
    if isinstance(layout, str):
        return layout
    kind = layout.kind
    if kind == "coordinates":
        rows = enumerate(layout.coordinates or ())
        lowered: dict[str, Any] = {
            "coordinates": [[slot(v, (*path, kind, i, j), "fixed") for j, v in enumerate(row)] for i, row in rows]
        }
        return lowered if layout.slug is None else {**lowered, "slug": layout.slug}
    arguments = getattr(layout, kind)
    roles: dict[str, Role] = {key: "fixed_integer" if key in INTEGER_ARGUMENTS else "fixed" for key, _ in arguments}
    return {kind: {key: slot(value, (*path, kind, key), roles[key]) for key, value in arguments}}


def atom_names(section: InlineSequence) -> tuple[str, ...] | str | None:
    """The names of the atoms in order; their prefix where they are numbered after it, None where they have no names."""
    register = section.register_
    if isinstance(register, dict):
        return tuple(register)
    if not isinstance(register, RegisterConstructor):
        return tuple(atom.qid if isinstance(atom, MappableAtom) else atom.name for atom in register)
    arguments = register.arguments
    given = getattr(arguments, "labels", None) or getattr(arguments, "qubit_ids", None)
    if given is not None:
        return tuple(given)
    prefix: str | None = getattr(arguments, "prefix", DEFAULT_PREFIX)
    return prefix


def atom_number(names: tuple[str, ...] | str | None, name: str) -> int | None:
    """The number of an atom in the register, from 0, by its name; None when no atom has that name."""
    if isinstance(names, tuple):
        return names.index(name) if name in names else None
    digits = None if names is None else re.fullmatch(re.escape(names) + "(0|[1-9][0-9]{0,8})", name)
    return None if digits is None else int(digits[1])
