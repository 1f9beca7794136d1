"""Values for the variables of a sequence, for which it builds: Pulser's own print has zeros, which seldom do."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.from_file import expressions_in
from pcs_runner.sequence.lower import INTEGER_FIELDS
from pcs_runner.spec.expressions import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pcs_runner.sequence.importing.source import Source
    from pcs_runner.spec.expressions import Expression

QUBITS = "qubits"
DURATIONS_NS = (1000, 100, 2000, 400, 52, 16, 4000, 1)
NUMBERS = (1.0, 0.0, 0.1, 5.0, -1.0, 0.5, 10.0)
DRAWS = 200


@dataclass(frozen=True, slots=True)
class Found:
    """Values for a sequence.

    Attributes:
        values: Variable -> a number, or a list for an array; and `qubits`, the trap of each atom, for a mappable register.
        builds: Whether Pulser builds the sequence with them.
    """

    values: dict[str, Any]
    builds: bool


def find_values(source: Source) -> Found | None:
    """Values with which Pulser builds the sequence: those that the file gives, or else the first that do.

    Returns:
        Where Pulser builds with none, the first for which all expressions are finite numbers; None where there are none either.
    """
    finite: dict[str, Any] | None = None
    trees = tuple(expressions_in(source.body["operations"]))
    for values in _candidates(source):
        if _are_finite(trees, values):
            if _builds(source.sequence, values):
                return Found(values, builds=True)
            finite = finite or values
    return None if finite is None else Found(finite, builds=False)


def _are_finite(trees: Iterable[Expression], values: Mapping[str, Any]) -> bool:
    """Pulser computes with NaN and infinity in silence; a spec does not."""
    env = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        for tree in trees:
            tree.evaluate(env)
    except ExpressionError:
        return False
    return True


def array_sizes(body: Mapping[str, Any]) -> dict[str, int | None]:
    """Variable -> number of values of an array, None for a scalar: one of size 1 of which only element 0 is used."""
    whole: set[str] = set()
    _whole_uses(body["operations"], whole)
    sizes = {name: len(one["value"]) for name, one in body["variables"].items()}
    return {name: size if size > 1 or name in whole else None for name, size in sizes.items()}


def _whole_uses(node: Any, found: set[str]) -> None:
    """Variables that stand without an index, or with one that takes several elements."""
    if isinstance(node, dict):
        if "variable" in node:
            found.add(node["variable"])
        elif node.get("expression") == "index" and not isinstance(node["rhs"], list):
            return
        else:
            for item in node.values():
                _whole_uses(item, found)
    elif isinstance(node, list):
        for item in node:
            _whole_uses(item, found)


def _candidates(source: Source) -> Iterator[dict[str, Any]]:
    sizes, variables = array_sizes(source.body), source.body["variables"]
    if not variables:
        yield from _with_traps({}, source)
        return
    if source.given:
        given = {name: [*(source.given.get(name) or [0] * len(one["value"]))] for name, one in variables.items()}
        yield from _with_traps({name: one[0] if sizes[name] is None else one for name, one in given.items()}, source)
    roles = _roles(source.body["operations"])
    for number, duration in product(NUMBERS, DURATIONS_NS):
        made = {name: _value(variables[name]["type"], sizes[name], roles.get(name, ""), number, duration) for name in variables}
        yield from _with_traps(made, source)
    yield from _drawn(source, sizes, roles)


def _with_traps(values: dict[str, Any], source: Source) -> Iterator[dict[str, Any]]:
    """The values, and for a mappable register the traps of its atoms: the given ones, or the first ones."""
    rows = source.body["register"]
    if "qid" not in rows[0]:
        yield values
        return
    if len(source.traps) == len(rows):
        yield {**values, QUBITS: [source.traps[row["qid"]] for row in rows]}
    yield {**values, QUBITS: list(range(len(rows)))}


def _value(kind: str, size: int | None, role: str, number: float, duration: int) -> Any:
    if role == "target":
        return 0 if size is None else list(range(size))
    if role == "times" and size is not None and size > 1:
        return [step / (size - 1) for step in range(size)]
    one = duration if role == "duration" or kind == "int" else number
    return one if size is None else [one] * size


def _drawn(source: Source, sizes: Mapping[str, int | None], roles: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Values that differ from each other, drawn from a fixed seed."""
    import numpy as np

    random = np.random.default_rng(0)
    variables = source.body["variables"]
    for _ in range(DRAWS):
        made: dict[str, Any] = {}
        for name, declared in variables.items():
            count, role = sizes[name] or 1, roles.get(name, "")
            if role in {"target", "times"}:
                made[name] = _value(declared["type"], sizes[name], role, 0.0, 0)
                continue
            if role == "duration" or declared["type"] == "int":
                drawn: list[float] = [int(one) for one in 4 * random.integers(1, 500, count)]
            else:
                low, high = (-2.0, 10.0) if random.integers(2) else (0.0, 1.0)
                drawn = [round(float(one), 2) for one in random.uniform(low, high, count)]
            made[name] = drawn[0] if sizes[name] is None else drawn
        yield from _with_traps(made, source)


def _roles(operations: list[dict[str, Any]]) -> dict[str, str]:
    """Variable -> `duration`, `target` or `times`, where it stands in such a field by itself."""
    found: dict[str, str] = {}

    def look(node: Any, field: str) -> None:
        if isinstance(node, list):
            for item in node:
                look(item, field)
        elif isinstance(node, dict):
            name = _bare(node)
            if name is not None:
                role = "duration" if field in INTEGER_FIELDS else "target" if field in {"target", "targets"} else field
                if role in {"duration", "target", "times"}:
                    found.setdefault(name, role)
            elif "expression" not in node:
                for key, item in node.items():
                    look(item, key)

    look(operations, "")
    return found


def _bare(node: Mapping[str, Any]) -> str | None:
    """The variable that a tree is, or is an element of."""
    inner = node["lhs"] if node.get("expression") == "index" else node
    name = inner.get("variable") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else None


def _builds(sequence: Any, values: Mapping[str, Any]) -> bool:
    given = dict(values)
    traps = given.pop(QUBITS, None)
    if traps is not None:
        atoms = sequence.get_register(include_mappable=True).qubit_ids
        given[QUBITS] = dict(zip(atoms, traps, strict=True))
    if not given:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            sequence.build(**given)
        except Exception:  # noqa: BLE001  Pulser raises several unrelated types
            return False
    return True
