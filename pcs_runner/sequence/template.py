"""What varies decides: which names become sequence variables, which give sequences of their own, and what each job sends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from pcs_runner.sequence.build import abstract_representation
from pcs_runner.sequence.fields import INTEGER_TOLERANCE, FieldError, as_integer, evaluate
from pcs_runner.sequence.mappable import QUBITS, traps_of
from pcs_runner.sequence.slots import Clocked, Copied, EvenTimes, Slot, slots_in
from pcs_runner.sequence.variables import SequenceVariable
from pcs_runner.spec.expressions import (
    BinaryNode,
    ExpressionError,
    IndexNode,
    NameNode,
    Node,
    NotExpressibleError,
    NumberNode,
    UnaryNode,
    float_text,
    read,
    to_tree,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pcs_runner.sequence.devices import ResolvedDevice
    from pcs_runner.sequence.slots import Unrolled
    from pcs_runner.spec.document import Path
    from pcs_runner.spec.expressions import Value

INTEGRAL = frozenset({"integer", "integers"})
PARAMETRISED = INTEGRAL | {"number", "list"}
"""Roles of slots: those that hold integers, and those that Pulser can parametrise."""


class Template:
    """A lowered sequence with a decision for every name.

    Args:
        lowered: The regular form, without faults and repeats.
        declared: The `variables` section: name -> type and size (None: as the name's value).
        varying: Names that vary: axes, and what depends on them.
        group_names: Names that do not vary within a group, but may have another value in another group.
        env: All names at the first point.
        qubits_path: Where `qubits` is bound, for messages.

    Raises:
        FieldError: An expression fails at the first point.
    """

    def __init__(
        self,
        lowered: Unrolled,
        declared: Mapping[str, tuple[Literal["int", "float"], int | None]],
        varying: frozenset[str],
        group_names: frozenset[str],
        env: Mapping[str, Value],
        qubits_path: Path = (QUBITS,),
    ) -> None:
        self.lowered = lowered
        self._qubits_path = qubits_path
        self._declared = declared
        self._travelling = varying | set(declared)
        self._generated: dict[tuple[Path, tuple[int, ...]], str] = {}
        slots = list({s.key: s for s in slots_in([lowered.register, lowered.fields, lowered.operations])}.values())
        self._parametrised = [s for s in slots if s.role in PARAMETRISED and s.expression.names & self._travelling]
        self.variables = self._decide(env)
        self._sizes = {v.name: v.size for v in self.variables}
        self._types = {v.name: v.type for v in self.variables}
        self.structural_names = frozenset(
            name for s in slots if s.role.startswith("fixed") for name in s.expression.names & varying
        )
        self._keyed = [s for s in slots if s.role.startswith("fixed") and s.expression.names & varying]
        self._group_keyed = sorted({name for s in slots for name in s.expression.names} & group_names)
        self._computed = [s for s in self._parametrised if s.key not in self._generated and not _bare(s.expression.root)]
        self._clocked = [c for c in lowered.clocked if any(s.expression.names & self._travelling for s in c.slots)]
        self._clocked_once = [c for c in lowered.clocked if c not in self._clocked]

    # ---- what is decided once

    def _decide(self, env: Mapping[str, Value]) -> tuple[SequenceVariable, ...]:
        """The sequence's variables: declared ones, names that Pulser can take, and generated ones, in order of first use."""
        sizes = {name: self._size_of(name, env) for name in self._travelling if name in env}
        integers, users = self._integer_names(sizes, env), {}
        generated: list[SequenceVariable] = []
        for slot in self._parametrised:
            _check_kind(slot, evaluate(slot.expression, env, slot.path))
            try:
                to_tree(slot.expression.root, fold=env, variables=sizes)
                users.update({name: slot.path for name in sorted(slot.expression.names & set(sizes)) if name not in users})
            except NotExpressibleError:
                generated.append(self._generate(slot, len(generated), env))
            except ExpressionError as error:
                raise FieldError(slot.path, error.message, error.hint, error.offset) from error
        for name in self._declared:
            users.setdefault(name, ("sequence", "variables", name))
        named = [
            SequenceVariable(
                name=name,
                type=self._declared[name][0] if name in self._declared else "int" if name in integers else "float",
                size=sizes[name],
                expression=read(name),
                path=integers[name].path if name in integers else path,
                hint=_integer_hint(name, integers.get(name)),
            )
            for name, path in users.items()
            if name in sizes
        ]
        return (*named, *generated)

    def _size_of(self, name: str, env: Mapping[str, Value]) -> int | None:
        declared = self._declared.get(name, ("float", None))[1]
        value = env[name]
        return declared if declared is not None else len(value) if isinstance(value, tuple) else None

    def _integer_names(self, sizes: Mapping[str, int | None], env: Mapping[str, Value]) -> dict[str, Slot]:
        """Names that a duration, time or target uses as they are, or only adds and multiplies; and the slot that says so."""
        found: dict[str, Slot] = {}
        for slot in self._parametrised:
            if slot.role in INTEGRAL and _whole(slot.expression.root, set(sizes), env):
                for name in slot.expression.names & set(sizes):
                    if name not in found or (_bare(slot.expression.root) and not _bare(found[name].expression.root)):
                        found[name] = slot
        return found

    def _generate(self, slot: Slot, number: int, env: Mapping[str, Value]) -> SequenceVariable:
        value = evaluate(slot.expression, env, slot.path)
        self._generated[slot.key] = f"_e{number}"
        return SequenceVariable(
            name=f"_e{number}",
            type="int" if slot.role in INTEGRAL else "float",
            size=len(value) if isinstance(value, tuple) else None,
            expression=slot.expression,
            path=slot.path,
        )

    # ---- what is decided for a point

    def key(self, env: Mapping[str, Value]) -> tuple[str, ...]:
        """What tells a point's sequence from the others': the values that stand where Pulser takes no parameter.

        Raises:
            FieldError: An expression fails at this point.
        """
        own = [_text(evaluate(slot.expression, env, slot.path)) for slot in self._keyed]
        return (*own, *(_text(env[name]) for name in self._group_keyed))

    def values(self, env: Mapping[str, Value]) -> dict[str, Any]:
        """The value of every sequence variable at a point, as it travels; and the `qubits` of a mappable register.

        Raises:
            FieldError: An expression fails, or a value is not an integer where Pulser takes one.
        """
        values = {variable.name: variable.value(env) for variable in self.variables}
        names = self._mappable_names(env)
        return values if names is None else {**values, QUBITS: traps_of(env[QUBITS], names, self._qubits_path)}

    def _mappable_names(self, env: Mapping[str, Value]) -> list[str] | None:
        """The atoms of a mappable register; None where the register is not mappable."""
        if "mappable" in self.lowered.register:
            return list(self.lowered.register["mappable"])
        if self.lowered.register.get("constructor") != "mappable":
            return None
        arguments = _Filling(self, env, env).fill(self.lowered.register["arguments"])
        return [f"{arguments['prefix']}{number}" for number in range(arguments["n_qubits"])]

    def operation_path(self, number: int, env: Mapping[str, Value]) -> Path:  # noqa: ARG002 - the interface of `Choice`
        """Where the operation with this number in the built sequence stands in the spec."""
        return self.lowered.paths[number]

    def check_values(self, env: Mapping[str, Value]) -> None:
        """Refuse what Pulser would compute in silence at this point: NaN, infinity, a fraction of a ns, of an atom's number.

        Raises:
            FieldError: At the first one.
        """
        for slot in self._computed:
            value = evaluate(slot.expression, env, slot.path)
            if slot.role in INTEGRAL:
                for one in value if isinstance(value, tuple) and slot.role == "integers" else (_number(value, slot),):
                    as_integer(one, slot.path)

    def clock_faults(self, env: Mapping[str, Value], periods: Mapping[str, int], *, once: bool) -> Iterator[FieldError]:
        """Durations that the channel's clock does not divide, each with its two neighbours.

        Args:
            env: All names at the point.
            periods: Clock period of each channel in ns.
            once: The durations that are the same at every point of a sequence, instead of those that vary.
        """
        for clocked in self._clocked_once if once else self._clocked:
            period = periods.get(clocked.channel, 1)
            fault = _off_clock(clocked, env, period) if period > 1 else None
            if fault is not None:
                yield fault

    def form(self, env: Mapping[str, Value]) -> dict[str, Any]:
        """The sequence at a point with its variables left open: `register`, `fields`, `variables`, `operations`.

        Raises:
            FieldError: An expression fails, or a value does not fit its place.
        """
        fold = {name: value for name, value in env.items() if name not in self._sizes}
        filled = _Filling(self, env, fold)
        return {
            "register": filled.fill(self.lowered.register),
            "fields": filled.fill(self.lowered.fields),
            "variables": {v.name: {"type": v.type, "value": [0] * (v.size or 1)} for v in self.variables},
            "operations": filled.fill(self.lowered.operations),
        }

    def text(self, env: Mapping[str, Value], device: ResolvedDevice, name: str) -> str:
        """The sequence at a point in Pulser's abstract representation (a JSON string), its variables left open.

        Raises:
            FieldError: An expression fails, or a value does not fit its place.
            RegisterError: Pulser refuses the register.
        """
        return abstract_representation(self.form(env), device, name)

    def tree(self, slot: Slot, env: Mapping[str, Value], fold: Mapping[str, Value]) -> Any:
        """What stands in a parametrised slot: a Pulser tree over the sequence's variables."""
        generated = self._generated.get(slot.key)
        if generated is not None:
            size = self._sizes[generated]
            reference = {"variable": generated}
            return reference if size is not None else {"expression": "index", "lhs": reference, "rhs": 0}
        one_number = slot.role in {"number", "integer"}
        if slot.tree is not None and slot.expression.names <= set(self._sizes) and not (one_number and _takes_whole(slot.tree)):
            return slot.tree
        sizes = self._sizes if not one_number else {name: None if size == 1 else size for name, size in self._sizes.items()}
        try:
            tree = to_tree(slot.expression.root, fold=fold, variables=sizes)
        except ExpressionError as error:
            raise FieldError(slot.path, error.message, error.hint, error.offset) from error
        integers = {name for name, kind in self._types.items() if kind == "int"}
        if slot.role not in INTEGRAL or _whole(slot.expression.root, integers, env):
            return tree
        return {"expression": "floor", "lhs": {"expression": "add", "lhs": tree, "rhs": 0.5}}

    def is_parametrised(self, slot: Slot) -> bool:
        """Whether a slot holds variables of the sequence."""
        return slot.key in self._generated or bool(slot.expression.names & set(self._sizes))


class _Filling:
    """Fills the slots of a lowered sequence at one point."""

    def __init__(self, template: Template, env: Mapping[str, Value], fold: Mapping[str, Value]) -> None:
        self.template = template
        self.env = env
        self.fold = fold

    def fill(self, node: Any) -> Any:
        if isinstance(node, Slot):
            return self._slot(node)
        if isinstance(node, Copied):
            return self._slot(node.slot)
        if isinstance(node, EvenTimes):
            return self._even_times(node.values)
        if isinstance(node, dict):
            return {key: self.fill(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.fill(value) for value in node]
        return node

    def _slot(self, slot: Slot) -> Any:
        if slot.role in PARAMETRISED and self.template.is_parametrised(slot):
            return self.template.tree(slot, self.env, self.fold)
        value = evaluate(slot.expression, self.env, slot.path)
        _check_kind(slot, value)
        if isinstance(value, tuple):
            return [as_integer(one, slot.path) if slot.role in INTEGRAL else one for one in value]
        return as_integer(value, slot.path) if slot.role.endswith("integer") or slot.role in INTEGRAL else value

    def _even_times(self, values: Slot) -> list[float]:
        value = evaluate(values.expression, self.env, values.path)
        if not isinstance(value, tuple) or len(value) < 2:
            raise FieldError(values.path, "an interpolated waveform needs at least two values")
        return even_times(len(value))


def even_times(count: int) -> list[float]:
    """`numpy.linspace(0, 1, count)` to the last bit, for two or more: Pulser prints that for an interpolated waveform."""
    step = 1.0 / (count - 1)
    return [*(number * step for number in range(count - 1)), 1.0]


def form_text(form: Mapping[str, Any], device: str) -> str:
    """A sequence's form as canonical text: sorted keys, 12 significant digits, the device by its name. For ids and digests."""
    return json.dumps(_canonical({**form, "device": device}), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _canonical(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _canonical(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_canonical(value) for value in node]
    if isinstance(node, bool) or not isinstance(node, int | float):
        return node
    return float_text(node)


def _integer_hint(name: str, slot: Slot | None) -> str:
    """What to do about a value that is no integer: where a product of it is one, such as 1000*t_us, it need not be."""
    if slot is None or _bare(slot.expression.root):
        return ""
    return f"declare `variables: {{{name}: float}}` in the sequence, or write floor({name} + 0.5)"


def _check_kind(slot: Slot, value: Value) -> None:
    """Refuse a list where one number stands, and a number where a list does."""
    if slot.role == "integers":
        return
    if slot.role != "list":
        _number(value, slot)
    elif not isinstance(value, tuple):
        raise FieldError(slot.path, f"a list of numbers is expected here, this is {float_text(value)}", "write [a, b, ...]")


def _off_clock(clocked: Clocked, env: Mapping[str, Value], period: int) -> FieldError | None:
    total = sum(_number(evaluate(slot.expression, env, slot.path), slot) for slot in clocked.slots)
    if abs(total % period) <= INTEGER_TOLERANCE or abs(total % period - period) <= INTEGER_TOLERANCE or total <= 0:
        return None
    below, first = int(total // period) * period, clocked.slots[0]
    name = first.expression.text if first.expression.names and len(clocked.slots) == 1 else "x"
    if isinstance(first.expression.root, BinaryNode) and name != "x":
        name = f"({name})"
    return FieldError(
        first.path,
        f"{float_text(total)} ns is off the {period} ns clock of channel {clocked.channel}: {below} or {below + period} fit",
        f"write {period}*floor({name}/{period} + 0.5), or sequence: {{clock: round}}",
    )


def _number(value: Value, slot: Slot) -> int | float:
    if isinstance(value, tuple):
        name = slot.expression.text if isinstance(slot.expression.root, NameNode) else "name"
        raise FieldError(slot.path, f"one number is expected here, this is a list of {len(value)}", f"take an element: {name}[0]")
    return value


def _takes_whole(tree: Any) -> bool:
    """Whether a tree has a variable as it is: one number of it Pulser takes as `{expression: index, lhs: ..., rhs: 0}` only."""
    if not isinstance(tree, dict) or tree.get("expression") == "index":
        return False
    return "variable" in tree or any(_takes_whole(tree.get(side)) for side in ("lhs", "rhs"))


def _bare(node: Node) -> bool:
    """A variable or an element of one: its own type keeps it an integer."""
    return isinstance(node, NameNode) or (isinstance(node, IndexNode) and isinstance(node.base, NameNode))


def _whole(node: Node, integers: set[str], env: Mapping[str, Value]) -> bool:
    """Whether a node is an integer whenever those names are."""
    match node:
        case NumberNode():
            return float(node.value).is_integer()
        case NameNode():
            value = env.get(node.name)
            return node.name in integers or (isinstance(value, int | float) and float(value).is_integer())
        case IndexNode():
            return isinstance(node.base, NameNode) and node.base.name in integers
        case UnaryNode():
            return node.op == "neg" and _whole(node.operand, integers, env)
        case BinaryNode():
            return node.op in {"add", "sub", "mul"} and _whole(node.left, integers, env) and _whole(node.right, integers, env)
        case _:
            return False


def _text(value: Value) -> str:
    return ",".join(map(float_text, value)) if isinstance(value, tuple) else float_text(value)
