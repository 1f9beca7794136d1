"""References between the parts of a spec: who owns a name, who uses it, and whether it is known there; all problems at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcs_runner.spec.document import path_text
from pcs_runner.spec.expressions import ExpressionError, parse
from pcs_runner.spec.name_owners import check_owners
from pcs_runner.spec.name_parts import AXIS_ONLY, QUBITS, VARIANT, WORD, Found, GroupNames, Part
from pcs_runner.spec.name_uses import check_bound, check_constants, check_everywhere, check_group, name_uses, target_uses
from pcs_runner.spec.sweep_uses import axis_owners
from pcs_runner.spec.tables import InputError, Inputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pcs_runner.errors import Problem
    from pcs_runner.spec.document import Document, Path
    from pcs_runner.spec.expressions import Expression
    from pcs_runner.spec.models import Spec


def check_names(
    spec: Spec,
    document: Document,
    sequence_uses: Iterable[tuple[Path, Expression]],
    sequence_binds: Iterable[str] | None = None,
    *,
    inputs: Inputs | None = None,
) -> list[Problem]:
    """`check_parts` for a spec without variants."""
    return check_parts([Part(spec=spec, document=document, uses=sequence_uses, binds=sequence_binds or ())], inputs=inputs)


def check_parts(parts: Sequence[Part], *, inputs: Inputs | None = None) -> list[Problem]:
    """Check that every name has one owner, is known where it is used, and is used.

    Args:
        parts: The spec as it stands, then each of its variants.
        inputs: Reads the files of sweeps, whose columns are names; default: from the document's folder.

    Returns:
        All problems, each once, in no particular order.
    """
    base = parts[0]
    found = Found(base.document)
    files = inputs or Inputs(base.document.folder)
    groups = [_group_of(base.spec, place, files, found) for place in range(len(base.spec.groups))]
    active = [(part, mine) for part in parts if (mine := _groups_of_part(part, groups, alone=len(parts) == 1))]
    for part, mine in active:
        found.document = part.document
        _check_part(part, mine, found)
    found.document = base.document
    _check_variants(parts, groups, found)
    _check_qubits(active, groups, found)
    if not any(part.uncalled for part in parts):
        _check_unused(active, groups, found)
    return list(dict.fromkeys(found.problems))


def _groups_of_part(part: Part, groups: list[GroupNames], *, alone: bool) -> list[GroupNames]:
    """The groups whose points use a part: those that sweep `variant` use the variants, the others the spec as it stands."""
    return groups if alone else [group for group in groups if (VARIANT in group.axes) == bool(part.variant)]


def _check_part(part: Part, groups: list[GroupNames], found: Found) -> None:
    check_owners(part, groups, found)
    check_constants(part.spec, found)
    for group in groups:
        check_group(part, group, found)
    check_everywhere(part, groups, target_uses(part.spec, found), found)
    check_everywhere(part, groups, name_uses(part.uses), found)
    check_bound(part.spec, groups, part.binds, found)
    _salvage(part.document, found)


def _check_variants(parts: Sequence[Part], groups: list[GroupNames], found: Found) -> None:
    swept = [group.axes[VARIANT] for group in groups if VARIANT in group.axes]
    if len(parts) == 1:
        for owner in swept:
            found.add(owner.path, "the spec has no variants", "add `variants:`", key=owner.is_key)
    elif not swept and all(group.complete for group in groups):
        first = parts[1].variant
        found.add(("variants",), "nothing sweeps the variants", f"add `variant: [{first}]` to a sweep", key=True)


def _check_qubits(active: list[tuple[Part, list[GroupNames]]], groups: list[GroupNames], found: Found) -> None:
    """Traps and mappable registers need each other."""
    for part, mine in active:
        lacking = [group.path for group in mine if group.complete and QUBITS not in group.axes]
        if part.mappable and lacking:
            where = "" if len(lacking) == len(groups) else f" in {', '.join(map(path_text, lacking))}"
            hint = "add `qubits: [[4, 8]]` to the sweep: the traps of the atoms, first atom first"
            message = f'the register is mappable, and nothing binds "qubits"{where}'
            found.problems.append(part.document.problem(("sequence", "register"), message, hint=hint))
    for group in groups:
        kinds = [part.mappable for part, mine in active if group in mine]
        if QUBITS in group.axes and kinds and all(kind is False for kind in kinds):
            owner = group.axes[QUBITS]
            hint = "write `register: {mappable: {n_qubits: 2}}` and a `layout`, or take `qubits` out"
            found.add(owner.path, '"qubits" is bound, and the register is not mappable', hint, key=owner.is_key)


def _group_of(spec: Spec, place: int, inputs: Inputs, found: Found) -> GroupNames:
    path: Path = ("jobs", place) if isinstance(spec.jobs, list) else ("jobs",)
    group = spec.groups[place]
    complete, owners = True, []
    for owner in axis_owners(group.sweep, (*path, "sweep"), inputs):
        if isinstance(owner.error, InputError):
            found.add(owner.path, owner.error.message, owner.error.hint)
            complete = False
        else:
            owners.append(owner)
    return GroupNames(path=path, group=group, axes={owner.name: owner for owner in reversed(owners)}, complete=complete)


def _salvage(document: Document, found: Found) -> None:
    """Words of texts that do not parse count as used: one slip is one problem."""
    data = document.data
    if isinstance(data, dict):
        for text in _strings(data.get("sequence")):
            try:
                parse(text)
            except ExpressionError:
                found.used.update(WORD.findall(text))


def _strings(data: Any) -> Iterator[str]:
    pending = [data]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            pending.extend(one.values())
        elif isinstance(one, list):
            pending.extend(one)


def _check_unused(active: list[tuple[Part, list[GroupNames]]], groups: Iterable[GroupNames], found: Found) -> None:
    hint = "use it in the sequence, or remove it"
    for part, _ in active:
        for name in part.spec.constants:
            if name not in found.used:
                path: Path = ("constants", name)
                found.problems.append(part.document.problem(path, f'nothing uses the constant "{name}"', hint=hint, key=True))
    constants = {name for part, _ in active for name in part.spec.constants}
    for group in groups:
        for name, owner in group.axes.items():
            if name not in found.used and name not in AXIS_ONLY and name not in constants:
                found.add(owner.path, f'nothing uses the axis "{name}"', hint, key=owner.is_key)
        for name in group.group.let:
            if name not in found.used:
                found.add((*group.path, "let", name), f'nothing uses "{name}"', hint, key=True)
