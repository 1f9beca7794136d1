"""Units of the names of a spec, from where each is used in the sequence; a name of which that says nothing has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcs_runner.spec.expressions import (
    BinaryNode,
    CallNode,
    Expression,
    ExpressionError,
    IndexNode,
    ListNode,
    NameNode,
    UnaryNode,
    from_tree,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pcs_runner.spec.expressions import Node

NS, RAD, RAD_PER_US, MICROMETRE = "ns", "rad", "rad/µs", "µm"

_BY_KEY = {
    **dict.fromkeys(("duration", "time"), NS),
    **dict.fromkeys(("area", "phi", "phase", "post_phase_shift"), RAD),
    **dict.fromkeys(("amplitude", "detuning", "max_val", "amp_on", "detuning_on", "optimal_detuning_off"), RAD_PER_US),
    **dict.fromkeys(("spacing", "row_spacing", "col_spacing", "coords", "coordinates", "x", "y", "z"), MICROMETRE),
}
_WAVEFORM = {"amplitude": RAD_PER_US, "detuning": RAD_PER_US, "waveform": RAD_PER_US, "phase": RAD}
_WAVEFORM_VALUES = frozenset({"start", "stop", "value", "values", "samples"})
_NO_ATOM = frozenset({"name", "qid"})
"""Keys of a list of atoms; any other one is the name of an atom, as in `{q0: [x, y]}`."""
_SAME_UNIT = frozenset({"abs", "ceil", "floor", "round", "min", "max"})


def units_of(sequences: Iterable[Any], computed: Iterable[Mapping[str, Any]] = ()) -> dict[str, str]:
    """Name -> unit (`ns`, `µm`, `rad/µs`, `rad`).

    A name has the unit of the place where it stands, alone, as an element, in a sum or in abs, ceil, floor, round, min or max; a
    factor may convert units, so `2*pi*f` says nothing about f. Names of which two places disagree have none.

    Args:
        sequences: `sequence` sections as plain data, or Pulser's abstract representations.
        computed: Names and what they are computed from, in order (`let`, constants): units spread backwards through them.
    """
    found: dict[str, set[str]] = {}
    for sequence in sequences:
        for keys, value in _leaves(sequence, ()):
            unit = _unit(keys)
            if unit is not None:
                _spread(value, unit, found)
    for section in computed:
        for name, value in reversed(list(section.items())):
            for unit in tuple(found.get(name, ())):
                _spread(value, unit, found)
    return {name: next(iter(units)) for name, units in found.items() if len(units) == 1}


def _leaves(data: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Texts and Pulser's expression trees, each with the keys on the way to it."""
    if isinstance(data, str) or (isinstance(data, dict) and ("expression" in data or data.keys() == {"variable"})):
        yield keys, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _leaves(value, (*keys, str(key)))
    elif isinstance(data, list):
        for value in data:
            yield from _leaves(value, keys)


def _unit(keys: tuple[str, ...]) -> str | None:
    """The unit of a number at these keys of a sequence."""
    if keys[:1] == ("register",):
        position = len(keys) == len(("register", "atom")) and keys[-1] not in _NO_ATOM
        return _BY_KEY.get(keys[-1], MICROMETRE if position else None)
    if keys[-1:] and keys[-1] in _WAVEFORM_VALUES:
        return next((_WAVEFORM[key] for key in keys if key in _WAVEFORM), None)
    known = keys[:1] in (("operations",), ("layout",))
    return _BY_KEY.get(keys[-1], RAD_PER_US if keys[-1] == "waveform" else None) if known else None


def _spread(value: Any, unit: str, found: dict[str, set[str]]) -> None:
    """Give the unit to the names of a number, expression, tree or list."""
    if isinstance(value, list):
        for item in value:
            _spread(item, unit, found)
        return
    expression = _expression(value)
    pending: list[Node] = [expression.root] if expression is not None else []
    while pending:
        node = pending.pop()
        match node:
            case NameNode(name=name):
                found.setdefault(name, set()).add(unit)
            case IndexNode(base=base):
                pending.append(base)
            case UnaryNode(op="neg", operand=operand):
                pending.append(operand)
            case BinaryNode(op="add" | "sub", left=left, right=right):
                pending += [left, right]
            case ListNode(items=items):
                pending += items
            case CallNode(function=function, arguments=arguments) if function in _SAME_UNIT:
                pending += arguments


def _expression(value: Any) -> Expression | None:
    try:
        if isinstance(value, str):
            return parse(value)
        return from_tree(value) if isinstance(value, dict) else None
    except ExpressionError:
        return None
