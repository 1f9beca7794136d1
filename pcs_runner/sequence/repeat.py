"""`repeat`: operations written once, carried out so many times; the index of a pass is put into the expressions inside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.fields import FieldError, as_integer, evaluate
from pcs_runner.sequence.slots import Clocked, Copied, EvenTimes, Operation, Repeated, Slot, Unrolled
from pcs_runner.spec.expressions import (
    BinaryNode,
    CallNode,
    CompareNode,
    Expression,
    IndexNode,
    ListNode,
    NameNode,
    Node,
    NumberNode,
    UnaryNode,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pcs_runner.sequence.slots import Lowered
    from pcs_runner.spec.expressions import Value

MAX_OPERATIONS = 100_000
"""More would not fit into a sequence that anything can run."""


def repeat_names(lowered: Lowered) -> frozenset[str]:
    """The names that decide how often something is repeated."""
    slots = [step.repeats for step in _repeats(lowered.operations)]
    return frozenset(name for slot in slots for name in slot.expression.names - slot.indexes)


def pass_counts(lowered: Lowered, env: Mapping[str, Value]) -> tuple[int, ...]:
    """How often each `repeat` is carried out at a point, in the order in which they are met.

    Raises:
        FieldError: A number of repeats is no integer of at least 0, or there are too many operations.
    """
    return tuple(step for step in _walk(lowered.operations, env, {}) if isinstance(step, int))


def unroll(lowered: Lowered, env: Mapping[str, Value]) -> Unrolled:
    """Carry the repeats out.

    Raises:
        FieldError: A number of repeats is no integer of at least 0, or there are too many operations.
    """
    steps = [step for step in _walk(lowered.operations, env, {}) if isinstance(step, Operation)]
    return Unrolled(
        register=lowered.register,
        fields=lowered.fields,
        operations=[step.body for step in steps],
        paths=tuple(step.path for step in steps),
        clocked=tuple({_clocked_key(clocked): clocked for step in steps for clocked in step.clocked}.values()),
    )


def with_indexes(expression: Expression, indexes: Mapping[str, int]) -> Expression:
    """An expression with numbers in place of the indexes; the text stays as the user wrote it."""
    return Expression(expression.text, _substituted(expression.root, indexes))


def _repeats(steps: Iterable[Operation | Repeated]) -> Iterator[Repeated]:
    for step in steps:
        if isinstance(step, Repeated):
            yield step
            yield from _repeats(step.operations)


def _walk(
    steps: Iterable[Operation | Repeated], env: Mapping[str, Value], indexes: Mapping[str, int]
) -> Iterator[Operation | int]:
    """The operations in order, and before those of a `repeat` the number of its passes."""
    total = 0
    for step in steps:
        if isinstance(step, Operation):
            total += 1
            yield _bound_operation(step, indexes) if indexes else step
            continue
        count = _count(step.repeats, {**env, **indexes})
        yield count
        for number in range(count):
            for below in _walk(step.operations, env, {**indexes, step.index: number} if step.index else indexes):
                total += 1
                if total > MAX_OPERATIONS:
                    raise FieldError(step.repeats.path, f"this makes more than {MAX_OPERATIONS} operations", "repeat less often")
                yield below


def _count(repeats: Slot, env: Mapping[str, Value]) -> int:
    value = evaluate(repeats.expression, env, repeats.path)
    if isinstance(value, tuple):
        raise FieldError(repeats.path, f"repeats is a list of {len(value)}, not a number")
    count = as_integer(value, repeats.path, "repeats", "write floor(x + 0.5)")
    if count < 0:
        raise FieldError(repeats.path, f"repeats is {count}, less than 0", "write max(x, 0)")
    return count


def _bound_operation(step: Operation, indexes: Mapping[str, int]) -> Operation:
    body, clocked = _bound(step.body, indexes), tuple(_bound(one, indexes) for one in step.clocked)
    return Operation(path=step.path, body=body, clocked=clocked)


def _bound(node: Any, indexes: Mapping[str, int]) -> Any:
    """A node of the lowered form with the indexes in place; what does not use them is shared."""
    if isinstance(node, Slot):
        used = sorted(node.expression.names & indexes.keys())
        if not used:
            return node
        expression = with_indexes(node.expression, indexes)
        return replace(node, expression=expression, tree=None, passes=tuple(indexes[name] for name in used))
    if isinstance(node, Copied):
        return Copied(_bound(node.slot, indexes))
    if isinstance(node, EvenTimes):
        return EvenTimes(_bound(node.values, indexes))
    if isinstance(node, Clocked):
        return replace(node, slots=_bound(node.slots, indexes))
    if isinstance(node, dict):
        return {key: _bound(value, indexes) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(_bound(value, indexes) for value in node)
    return node


def _clocked_key(clocked: Clocked) -> tuple[Any, ...]:
    return clocked.channel, *(slot.key for slot in clocked.slots)


def _substituted(node: Node, numbers: Mapping[str, int]) -> Node:
    def below(nodes: Iterable[Node]) -> tuple[Node, ...]:
        return tuple(_substituted(one, numbers) for one in nodes)

    match node:
        case NameNode(name=name) if name in numbers:
            return NumberNode(numbers[name], node.offset)
        case ListNode():
            return replace(node, items=below(node.items))
        case IndexNode():
            base, index = below((node.base, node.index))
            return replace(node, base=base, index=index)
        case UnaryNode():
            return replace(node, operand=_substituted(node.operand, numbers))
        case BinaryNode():
            left, right = below((node.left, node.right))
            return replace(node, left=left, right=right)
        case CompareNode():
            return replace(node, operands=below(node.operands))
        case CallNode():
            return replace(node, arguments=below(node.arguments))
    return node
