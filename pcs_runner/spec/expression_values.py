"""Nodes -> numbers: closures made once, that compute with Python's `math` and give finite numbers or an ExpressionError.

Integers stay integers under + - * and powers while they are below 2**63, beyond which they become floats. Comparisons and logic
give 1 or 0. Arithmetic and functions of one argument act on lists element by element, as in Pulser's expression trees.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.expression_nodes import (
    INTEGER_LIMIT,
    BinaryNode,
    CallNode,
    CompareNode,
    ExpressionError,
    IndexNode,
    ListNode,
    NameNode,
    NumberNode,
    Scalar,
    UnaryNode,
    Value,
    nearest_hint,
)

if TYPE_CHECKING:
    from pcs_runner.spec.expression_nodes import Node

Evaluator = Callable[[Mapping[str, Value]], Any]

INTEGER_TOLERANCE = 1e-9
"""Where an integer is needed, a value this near to one is taken for it."""

_LIMIT = float(INTEGER_LIMIT)
_MAX_POWER_BITS = 128


def evaluator(node: Node) -> Evaluator:
    """A function from the values of names to the value of the node; it raises ExpressionError where there is none."""
    match node:
        case NumberNode(value=value):
            return lambda _: value
        case NameNode():
            return _name(node)
        case ListNode():
            return _list(node)
        case IndexNode():
            return _index(node)
        case UnaryNode():
            return _negation(node) if node.op == "neg" else _not(node)
        case BinaryNode():
            return _logic(node) if node.op in ("and", "or") else _arithmetic(node)
        case CompareNode():
            return _comparison(node)
        case CallNode():
            return _extremum(node) if node.function in ("min", "max") else _function(node)


def _name(node: NameNode) -> Evaluator:
    name = node.name

    def value(env: Mapping[str, Value]) -> Value:
        try:
            return env[name]
        except KeyError:
            raise ExpressionError(f'unknown name "{name}"', offset=node.offset, hint=nearest_hint(name, env)) from None

    return value


def _list(node: ListNode) -> Evaluator:
    items = [_number(item) for item in node.items]
    return lambda env: tuple([item(env) for item in items])


def _number(node: Node) -> Evaluator:
    """As `evaluator`, but a list is refused."""
    if isinstance(node, NumberNode):
        return evaluator(node)
    inner = evaluator(node)

    def number(env: Mapping[str, Value]) -> Scalar:
        value = inner(env)
        if value.__class__ is tuple:
            raise _not_a_number(node, value)
        return value  # type: ignore[no-any-return]

    return number


def _not_a_number(node: Node, value: Sequence[Scalar]) -> ExpressionError:
    hint = f"take one element: {node.name}[0]" if isinstance(node, NameNode) else ""
    return ExpressionError(f"a list of {len(value)} values stands where a number is expected", offset=node.offset, hint=hint)


def _index(node: IndexNode) -> Evaluator:
    base, position = evaluator(node.base), _number(node.index)

    def element(env: Mapping[str, Value]) -> Scalar:
        value, index = base(env), position(env)
        place = math.floor(index + 0.5)
        if abs(index - place) > INTEGER_TOLERANCE:
            raise ExpressionError(f"the index {index!r} is not an integer", offset=node.index.offset, hint="use floor(x + 0.5)")
        values = value if value.__class__ is tuple else (value,)
        if not -len(values) <= place < len(values):
            plural = "value" if len(values) == 1 else "values"
            message = f"the index {place} is out of range for {len(values)} {plural}"
            raise ExpressionError(message, offset=node.index.offset)
        return values[place]  # type: ignore[no-any-return]

    return element


def _negation(node: UnaryNode) -> Evaluator:
    operand = evaluator(node.operand)

    def negated(env: Mapping[str, Value]) -> Value:
        value = operand(env)
        return tuple([-one for one in value]) if value.__class__ is tuple else -value

    return negated


def _not(node: UnaryNode) -> Evaluator:
    operand = _number(node.operand)
    return lambda env: 0 if operand(env) else 1


def _logic(node: BinaryNode) -> Evaluator:
    left, right = _number(node.left), _number(node.right)
    if node.op == "and":
        return lambda env: 1 if left(env) and right(env) else 0
    return lambda env: 1 if left(env) or right(env) else 0


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def _comparison(node: CompareNode) -> Evaluator:
    if len(node.operands) > 2:
        return _chain(node)
    first_of, second_of, compare = evaluator(node.operands[0]), evaluator(node.operands[1]), _COMPARISONS[node.ops[0]]

    def result(env: Mapping[str, Value]) -> int:
        first, second = first_of(env), second_of(env)
        if first.__class__ is tuple or second.__class__ is tuple:
            raise _not_a_number(*((node.operands[0], first) if first.__class__ is tuple else (node.operands[1], second)))
        return 1 if compare(first, second) else 0

    return result


def _chain(node: CompareNode) -> Evaluator:
    operands = [_number(operand) for operand in node.operands]
    links = [(_COMPARISONS[op], operand) for op, operand in zip(node.ops, operands[1:], strict=True)]

    def chained(env: Mapping[str, Value]) -> int:
        left = operands[0](env)
        for compare, operand in links:
            right = operand(env)
            if not compare(left, right):
                return 0
            left = right
        return 1

    return chained


def _product(first: Any, second: Any) -> Any:
    """`first*second`; Python would repeat a list."""
    if first.__class__ is tuple or second.__class__ is tuple:
        raise TypeError
    return first * second


def _power(base: Scalar, exponent: Scalar) -> Any:
    """`base**exponent`; an integer too long to be worth computing is computed as a float, which overflows at once."""
    whole = base.__class__ is int and exponent.__class__ is int and exponent > 0
    if whole and int(base).bit_length() * exponent > _MAX_POWER_BITS:
        return float(base) ** exponent
    return base**exponent


_OPERATORS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "add": ("+", operator.add), "sub": ("-", operator.sub), "mul": ("*", _product), "div": ("/", operator.truediv),
    "mod": ("%", operator.mod), "pow": ("**", _power),
}  # fmt: skip


def _arithmetic(node: BinaryNode) -> Evaluator:
    first_of, second_of, compute = evaluator(node.left), evaluator(node.right), _OPERATORS[node.op][1]

    def result(env: Mapping[str, Value]) -> Value:
        first, second = first_of(env), second_of(env)
        try:
            value = compute(first, second)
            if -_LIMIT < value < _LIMIT:
                return value  # type: ignore[no-any-return]
        except (ArithmeticError, TypeError):  # TypeError: lists, and complex numbers, have no such order
            pass
        return _unusual(node, first, second)

    return result


def _unusual(node: BinaryNode, first: Value, second: Value) -> Value:
    """The result where the plain one is no int64 and no float of that range: a list, a larger float, or an error."""
    if isinstance(first, tuple) or isinstance(second, tuple):
        return _elementwise(node, first, second)
    try:
        value = float(_OPERATORS[node.op][1](first, second))
    except (ArithmeticError, TypeError):  # TypeError: a complex number
        raise _no_result(node, first, second) from None
    if not math.isfinite(value):
        raise _no_result(node, first, second)
    return value


def _single(node: BinaryNode, first: Scalar, second: Scalar) -> Scalar:
    """The operator on two numbers."""
    value: Scalar = _arithmetic(
        replace(node, left=NumberNode(first, node.left.offset), right=NumberNode(second, node.right.offset))
    )({})
    return value


def _elementwise(node: BinaryNode, first: Value, second: Value) -> Value:
    """The operator on lists: a number goes with every element, as in Pulser's trees."""
    size = len(first) if isinstance(first, tuple) else len(second) if isinstance(second, tuple) else 0
    lefts = first if isinstance(first, tuple) else (first,) * size
    rights = second if isinstance(second, tuple) else (second,) * size
    if len(lefts) != len(rights):
        raise ExpressionError(f"lists of {len(lefts)} and {len(rights)} values do not go together", offset=node.offset)
    return tuple([_single(node, left, right) for left, right in zip(lefts, rights, strict=True)])


def _no_result(node: BinaryNode, first: Scalar, second: Scalar) -> ExpressionError:
    if node.op in ("div", "mod") and second == 0:
        return ExpressionError("division by zero", offset=node.right.offset)
    written = f"{_operand_text(first)}{_OPERATORS[node.op][0]}{_operand_text(second)}"
    if node.op == "pow" and first == 0:
        return ExpressionError(f"division by zero: {written}", offset=node.offset)
    if node.op == "pow" and first < 0 and second != second // 1:
        return ExpressionError(f"{written} is not a real number", offset=node.offset)
    return ExpressionError(f"{written} is too large for a number", offset=node.offset)


def _operand_text(value: Scalar) -> str:
    return f"({value!r})" if value < 0 else repr(value)


def _rounded(value: Scalar) -> int:
    return math.floor(value + 0.5)


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "abs": abs, "ceil": math.ceil, "floor": math.floor, "round": _rounded, "sqrt": math.sqrt, "exp": math.exp, "log": math.log,
    "log2": math.log2, "sin": math.sin, "cos": math.cos, "tan": math.tan, "tanh": math.tanh,
}  # fmt: skip


def _function(node: CallNode) -> Evaluator:
    argument, compute = evaluator(node.arguments[0]), _FUNCTIONS[node.function]

    def single(value: Scalar) -> Scalar:
        try:
            result = compute(value)
        except ValueError:
            message = f"{node.function}({value!r}) is not defined for real numbers"
            raise ExpressionError(message, offset=node.offset) from None
        except OverflowError:
            raise ExpressionError(f"{node.function}({value!r}) is too large for a number", offset=node.offset) from None
        return result if -_LIMIT < result < _LIMIT else float(result)

    def result(env: Mapping[str, Value]) -> Value:
        value = argument(env)
        return tuple([single(one) for one in value]) if value.__class__ is tuple else single(value)

    return result


def _extremum(node: CallNode) -> Evaluator:
    arguments = [evaluator(argument) for argument in node.arguments]
    choose: Callable[..., Scalar] = min if node.function == "min" else max

    def result(env: Mapping[str, Value]) -> Scalar:
        values: list[Scalar] = []
        for argument in arguments:
            value = argument(env)
            values.extend(value if value.__class__ is tuple else (value,))
        return choose(values)

    return result
