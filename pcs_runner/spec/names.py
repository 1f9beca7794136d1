"""References between the parts of a spec: who owns a name, who uses it, and whether it is known there; all problems at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.document import path_text
from pcs_runner.spec.expressions import FUNCTIONS, INTERACTION_COEFF, PI, WORDS, ExpressionError, name_nodes, nearest_name, parse
from pcs_runner.spec.jobs import SWEEP_KINDS
from pcs_runner.spec.sequences import InlineSequence, PythonSequence
from pcs_runner.spec.sweep_uses import AxisOwner, axis_owners, axis_texts, texts_of
from pcs_runner.spec.tables import TEXT_NAMES, InputError, Inputs

if TYPE_CHECKING:
    from pcs_runner.errors import Problem
    from pcs_runner.spec.document import Document, Path
    from pcs_runner.spec.expressions import Expression
    from pcs_runner.spec.jobs import JobGroup
    from pcs_runner.spec.models import Spec

VARIANT, QUBITS = AXIS_ONLY = ("variant", "qubits")
"""Reserved names that an axis binds, and that nothing needs to use."""

_PREDEFINED = (PI, INTERACTION_COEFF)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = (
    dict.fromkeys(_PREDEFINED, "a predefined name")
    | dict.fromkeys(FUNCTIONS, "a function")
    | dict.fromkeys((*WORDS, "True", "False", "if", "else"), "a word of the language")
    | dict.fromkeys(SWEEP_KINDS, "a kind of sweep")
)


def unusable_name(name: str) -> bool:
    """Whether no axis can be called so."""
    return _WORD.fullmatch(name) is None or name in _RESERVED or name in AXIS_ONLY


@dataclass(slots=True, kw_only=True)
class _Group:
    """The names of a job group: axis -> where it stands, and `let`."""

    path: Path
    group: JobGroup
    axes: dict[str, AxisOwner]
    complete: bool

    def names(self) -> set[str]:
        return {*self.axes, *self.group.let}


@dataclass(slots=True)
class _Found:
    """What the check knows so far: the problems, the names that are used, and those that an unknown name was meant to be."""

    document: Document
    problems: list[Problem] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def add(self, path: Path, message: str, hint: str = "", *, key: bool = False, offset: int = 0) -> None:
        self.problems.append(self.document.problem(path, message, hint=hint, key=key, offset=offset))

    def unknown(self, path: Path, name: str, offset: int, known: Iterable[str], atoms: Sequence[str] = ()) -> None:
        """An unknown name; its nearest counts as used, so that one slip is one problem."""
        other = f"name an atom ({', '.join(atoms[:8])}), or " if atoms else ""
        hint = self.meant(name, {*known, *_PREDEFINED, *FUNCTIONS}) or f"{other}bind it in constants, in sweep or in let"
        self.add(path, f'unknown name "{name}"', hint, offset=offset)

    def meant(self, name: str, known: Iterable[str]) -> str:
        """A hint at the nearest known name, which counts as used; or an empty text."""
        near = nearest_name(name, known)
        self.used.add(near)
        return f'did you mean "{near}"?' if near else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One variant of a spec, or the spec without variants, and what its sequence says about names.

    Attributes:
        spec: The spec, with the variant laid over it.
        document: Its text and positions.
        uses: The expressions of the sequence section, with their paths.
        binds: For a sequence from a file: the names of its variables, which every group must bind.
        indexes: Names that count the passes of a `repeat`, with their paths.
        mappable: Whether every point has to bind `qubits`; None where it is not known.
        uncalled: Whether the sequence comes from code that was not called yet: it may use any name.
        variant: Name of the variant, or empty.
        changed: Names that change from variant to variant.
        atoms: Names of the atoms, which a target may be.
    """

    spec: Spec
    document: Document
    uses: Iterable[tuple[Path, Expression]]
    binds: Iterable[str] = ()
    indexes: Iterable[tuple[str, Path]] = ()
    mappable: bool | None = None
    uncalled: bool = False
    variant: str = ""
    changed: frozenset[str] = frozenset()
    atoms: Sequence[str] = ()


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
    found = _Found(base.document)
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


def _groups_of_part(part: Part, groups: list[_Group], *, alone: bool) -> list[_Group]:
    """The groups whose points use a part: those that sweep `variant` use the variants, the others the spec as it stands."""
    return groups if alone else [group for group in groups if (VARIANT in group.axes) == bool(part.variant)]


def _check_part(part: Part, groups: list[_Group], found: _Found) -> None:
    _check_owners(part, groups, found)
    _check_constants(part.spec, found)
    for group in groups:
        _check_group(part, group, found)
    _check_everywhere(part, groups, _target_uses(part.spec, found), found)
    _check_everywhere(part, groups, _name_uses(part.uses), found)
    _check_bound(part.spec, groups, part.binds, found)
    _salvage(part.document, found)


def _check_variants(parts: Sequence[Part], groups: list[_Group], found: _Found) -> None:
    swept = [group.axes[VARIANT] for group in groups if VARIANT in group.axes]
    if len(parts) == 1:
        for owner in swept:
            found.add(owner.path, "the spec has no variants", "add `variants:`", key=owner.is_key)
    elif not swept and all(group.complete for group in groups):
        first = parts[1].variant
        found.add(("variants",), "nothing sweeps the variants", f"add `variant: [{first}]` to a sweep", key=True)


def _check_qubits(active: list[tuple[Part, list[_Group]]], groups: list[_Group], found: _Found) -> None:
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


def _group_of(spec: Spec, place: int, inputs: Inputs, found: _Found) -> _Group:
    path: Path = ("jobs", place) if isinstance(spec.jobs, list) else ("jobs",)
    group = spec.groups[place]
    complete, owners = True, []
    for owner in axis_owners(group.sweep, (*path, "sweep"), inputs):
        if isinstance(owner.error, InputError):
            found.add(owner.path, owner.error.message, owner.error.hint)
            complete = False
        else:
            owners.append(owner)
    return _Group(path=path, group=group, axes={owner.name: owner for owner in reversed(owners)}, complete=complete)


# Owners


def _check_owners(part: Part, groups: Iterable[_Group], found: _Found) -> None:
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


def _check_reserved(name: str, path: Path, what: str, found: _Found, *, allowed: tuple[str, ...] = (), key: bool = True) -> None:
    reserved = _RESERVED | dict.fromkeys(AXIS_ONLY, "a name that only an axis binds")
    if name in reserved and name not in allowed:
        found.used.add(name)
        found.add(path, f'{what} cannot be called "{name}", which is {reserved[name]}', "call it otherwise", key=key)


# Uses


def _names_in(text: str, path: Path, found: _Found) -> Iterator[tuple[str, int]]:
    """The names in a text with their offsets; a text that does not parse is a problem, and its words count as used."""
    try:
        expression = parse(text)
    except ExpressionError as error:
        found.add(path, f'{error.message} in "{_shortened(text)}"', error.hint, offset=error.offset)
        found.used.update(_WORD.findall(text))
        return
    yield from _offsets(expression)


def _offsets(expression: Expression) -> Iterator[tuple[str, int]]:
    seen: set[str] = set()
    for node in name_nodes(expression.root):
        if node.name not in seen:
            seen.add(node.name)
            yield node.name, node.offset


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _check_constants(spec: Spec, found: _Found) -> None:
    names = list(spec.constants)
    for place, (constant, raw) in enumerate(spec.constants.items()):
        for path, text in texts_of(raw, ("constants", constant)):
            for name, offset in _names_in(text, path, found):
                found.used.add(name)
                if name in names[place:]:
                    _not_yet(path, name, constant, "constants", offset, found)
                elif name not in (*names, *_PREDEFINED):
                    found.unknown(path, name, offset, names[:place])


def _not_yet(path: Path, name: str, owner: str, section: str, offset: int, found: _Found) -> None:
    if name == owner:
        found.add(path, f'"{name}" is defined by itself', offset=offset)
    else:
        hint = f'{section} are computed in order: move "{name}" before "{owner}"'
        found.add(path, f'"{name}" is defined later', hint, offset=offset)


def _check_group(part: Part, group: _Group, found: _Found) -> None:
    spec = part.spec
    _check_axes(part, group, found)
    lets = list(group.group.let)
    known = {*spec.constants, *group.axes, *_PREDEFINED}
    for place, (let, raw) in enumerate(group.group.let.items()):
        for path, text in texts_of(raw, (*group.path, "let", let)):
            for name, offset in _names_in(text, path, found):
                if name in lets[place:] and name not in known:
                    found.used.add(name)
                    _not_yet(path, name, let, "let", offset, found)
                else:
                    _check_use(path, name, offset, known | set(lets[:place]), group, found)
    for key in ("where", "runs"):
        raw = getattr(group.group, key)
        for path, text in texts_of(raw, (*group.path, key)):
            for name, offset in _names_in(text, path, found):
                _check_use(path, name, offset, known | set(lets), group, found)


def _check_use(path: Path, name: str, offset: int, known: set[str], group: _Group, found: _Found) -> None:
    found.used.add(name)
    if name in TEXT_NAMES:
        found.add(path, f'"{name}" is a word, not a number', "it chooses the variant of the sequence", offset=offset)
    elif name not in known and group.complete:
        found.unknown(path, name, offset, known)


def _check_axes(part: Part, group: _Group, found: _Found) -> None:
    """Axes are computed from constants, and not from constants that another axis changes."""
    spec = part.spec
    changed = _changed_by(spec, group.axes, part.changed if VARIANT in group.axes else frozenset())
    for axis, path, text in axis_texts(group.group.sweep, (*group.path, "sweep")):
        for name, offset in _names_in(text, path, found):
            hint = "use let for what depends on the point"
            if name not in spec.constants and name in group.names():
                what = "an axis" if name in group.axes else "a let"
                found.used.add(name)
                found.add(path, f'an axis is computed from constants only, and "{name}" is {what}', hint, offset=offset)
            elif name not in spec.constants and name not in changed:
                _check_use(path, name, offset, {*spec.constants, *_PREDEFINED}, group, found)
            else:
                if name != axis:
                    found.used.add(name)
                others = sorted(changed.get(name, set()) - {axis})
                if others:
                    message = f'an axis is computed from constants only, and "{name}" changes with the axis "{others[0]}"'
                    found.add(path, message, hint, offset=offset)


def _changed_by(spec: Spec, axes: Mapping[str, AxisOwner], by_variant: frozenset[str]) -> dict[str, set[str]]:
    """Constant -> the axes that change it: those that override it, or one that it depends on."""
    changed: dict[str, set[str]] = {name: {VARIANT} for name in by_variant}
    for constant, raw in spec.constants.items():
        changed[constant] = {constant} if constant in axes else changed.get(constant, set())
        for _, text in texts_of(raw, ()):
            try:
                names = parse(text).names
            except ExpressionError:
                continue
            for name in names if constant not in axes else ():
                changed[constant] |= changed.get(name, set())
    return changed


def _target_uses(spec: Spec, found: _Found) -> Iterator[tuple[Path, str, int]]:
    for target, options in spec.targets.items():
        for path, text in texts_of(options.runs, ("targets", target, "runs")):
            for name, offset in _names_in(text, path, found):
                yield path, name, offset


def _name_uses(uses: Iterable[tuple[Path, Expression]]) -> Iterator[tuple[Path, str, int]]:
    for path, expression in uses:
        for name, offset in _offsets(expression):
            yield path, name, offset


def _check_everywhere(part: Part, groups: list[_Group], uses: Iterable[tuple[Path, str, int]], found: _Found) -> None:
    """Names that every group must bind, because the sequence or a target uses them."""
    spec = part.spec
    somewhere = {*spec.constants, *_PREDEFINED}.union(*(group.names() for group in groups))
    for path, name, offset in uses:
        found.used.add(name)
        if name in TEXT_NAMES:
            found.add(path, f'"{name}" is a word, not a number', "it chooses the variant of the sequence", offset=offset)
        elif name not in somewhere:
            if all(group.complete for group in groups):
                atoms = part.atoms if {"target", "targets"} & set(path) else ()
                found.unknown(path, name, offset, somewhere, atoms)
        else:
            _check_in_groups(spec, groups, path, name, offset, found)


def _check_in_groups(spec: Spec, groups: list[_Group], path: Path, name: str, offset: int, found: _Found) -> None:
    if name in (*spec.constants, *_PREDEFINED):
        return
    lacking = [path_text(group.path) for group in groups if group.complete and name not in group.names()]
    if lacking:
        hint = "bind it there in sweep or let, or in constants"
        found.add(path, f'"{name}" is not bound in {", ".join(lacking)}', hint, offset=offset)


def _check_bound(spec: Spec, groups: list[_Group], binds: Iterable[str], found: _Found) -> None:
    """Variables of the sequence: those of a file, and those that are declared; both need a value in every group."""
    declared = spec.sequence.variables if isinstance(spec.sequence, InlineSequence) else {}
    wanted: list[tuple[str, Path, bool]] = [(name, ("sequence", "variables", name), True) for name in declared]
    source = "python" if isinstance(spec.sequence, PythonSequence) else "file"
    wanted += [(name, ("sequence", source), False) for name in binds]
    for name, path, key in wanted:
        found.used.add(name)
        lacking = [group.path for group in groups if group.complete and name not in {*group.names(), *spec.constants}]
        if lacking:
            where = "" if len(lacking) == len(groups) else f" in {', '.join(map(path_text, lacking))}"
            bound = {*spec.constants}.union(*(group.names() for group in groups)) - found.used
            hint = found.meant(name, bound) or "bind it in sweep or let, or in constants"
            found.add(path, f'nothing binds the sequence\'s variable "{name}"{where}', hint, key=key)


# Unused names


def _salvage(document: Document, found: _Found) -> None:
    """Words of texts that do not parse count as used: one slip is one problem."""
    data = document.data
    if isinstance(data, dict):
        for text in _strings(data.get("sequence")):
            try:
                parse(text)
            except ExpressionError:
                found.used.update(_WORD.findall(text))


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


def _check_unused(active: list[tuple[Part, list[_Group]]], groups: Iterable[_Group], found: _Found) -> None:
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
