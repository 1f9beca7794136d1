"""Every name is known where it is used: in constants, axes, `let`, conditions, runs, targets and the sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from pcs_runner.spec.document import path_text
from pcs_runner.spec.expressions import ExpressionError, name_nodes, parse
from pcs_runner.spec.name_parts import PREDEFINED, VARIANT, WORD
from pcs_runner.spec.sequences import InlineSequence, PythonSequence
from pcs_runner.spec.sweep_uses import axis_texts, texts_of
from pcs_runner.spec.tables import TEXT_NAMES

if TYPE_CHECKING:
    from pcs_runner.spec.document import Path
    from pcs_runner.spec.expressions import Expression
    from pcs_runner.spec.models import Spec
    from pcs_runner.spec.name_parts import Found, GroupNames, Part
    from pcs_runner.spec.sweep_uses import AxisOwner


def _names_in(text: str, path: Path, found: Found) -> Iterator[tuple[str, int]]:
    """The names in a text with their offsets; a text that does not parse is a problem, and its words count as used."""
    try:
        expression = parse(text)
    except ExpressionError as error:
        found.add(path, f'{error.message} in "{_shortened(text)}"', error.hint, offset=error.offset)
        found.used.update(WORD.findall(text))
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


def check_constants(spec: Spec, found: Found) -> None:
    """Check the constants: they use predefined names and earlier constants."""
    names = list(spec.constants)
    for place, (constant, raw) in enumerate(spec.constants.items()):
        for path, text in texts_of(raw, ("constants", constant)):
            for name, offset in _names_in(text, path, found):
                found.used.add(name)
                if name in names[place:]:
                    _not_yet(path, name, constant, "constants", offset, found)
                elif name not in (*names, *PREDEFINED):
                    found.unknown(path, name, offset, names[:place])


def _not_yet(path: Path, name: str, owner: str, section: str, offset: int, found: Found) -> None:
    if name == owner:
        found.add(path, f'"{name}" is defined by itself', offset=offset)
    else:
        hint = f'{section} are computed in order: move "{name}" before "{owner}"'
        found.add(path, f'"{name}" is defined later', hint, offset=offset)


def check_group(part: Part, group: GroupNames, found: Found) -> None:
    """Check axes, `let`, `where` and `runs` of a group."""
    spec = part.spec
    _check_axes(part, group, found)
    lets = list(group.group.let)
    known = {*spec.constants, *group.axes, *PREDEFINED}
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


def _check_use(path: Path, name: str, offset: int, known: set[str], group: GroupNames, found: Found) -> None:
    found.used.add(name)
    if name in TEXT_NAMES:
        found.add(path, f'"{name}" is a word, not a number', "it chooses the variant of the sequence", offset=offset)
    elif name not in known and group.complete:
        found.unknown(path, name, offset, known)


def _check_axes(part: Part, group: GroupNames, found: Found) -> None:
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
                _check_use(path, name, offset, {*spec.constants, *PREDEFINED}, group, found)
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


def target_uses(spec: Spec, found: Found) -> Iterator[tuple[Path, str, int]]:
    """The names that the runs of the targets use: where, name, offset."""
    for target, options in spec.targets.items():
        for path, text in texts_of(options.runs, ("targets", target, "runs")):
            for name, offset in _names_in(text, path, found):
                yield path, name, offset


def name_uses(uses: Iterable[tuple[Path, Expression]]) -> Iterator[tuple[Path, str, int]]:
    """The names in the expressions of a sequence: where, name, offset."""
    for path, expression in uses:
        for name, offset in _offsets(expression):
            yield path, name, offset


def check_everywhere(part: Part, groups: list[GroupNames], uses: Iterable[tuple[Path, str, int]], found: Found) -> None:
    """Names that every group must bind, because the sequence or a target uses them."""
    spec = part.spec
    somewhere = {*spec.constants, *PREDEFINED}.union(*(group.names() for group in groups))
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


def _check_in_groups(spec: Spec, groups: list[GroupNames], path: Path, name: str, offset: int, found: Found) -> None:
    if name in (*spec.constants, *PREDEFINED):
        return
    lacking = [path_text(group.path) for group in groups if group.complete and name not in group.names()]
    if lacking:
        hint = "bind it there in sweep or let, or in constants"
        found.add(path, f'"{name}" is not bound in {", ".join(lacking)}', hint, offset=offset)


def check_bound(spec: Spec, groups: list[GroupNames], binds: Iterable[str], found: Found) -> None:
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
