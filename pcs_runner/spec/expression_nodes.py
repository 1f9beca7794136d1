"""What an expression is made of: immutable nodes, the error they are refused with, and their text."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Scalar = int | float
Value = Scalar | tuple[Scalar, ...]

FUNCTIONS = (
    "abs", "ceil", "floor", "round", "sqrt", "exp", "log", "log2", "sin", "cos", "tan", "tanh", "min", "max",
)  # fmt: skip
PI = "pi"
INTERACTION_COEFF = "interaction_coeff"
WORDS = ("and", "or", "not")
INTEGER_LIMIT = 2**63
"""Integers stay below this in absolute value; beyond it they become floats, as they would in an array of NumPy."""


class ExpressionError(Exception):
    """An expression that cannot be read, or has no value.

    Args:
        message: What is wrong, with the values.
        offset: Position of the culprit in the text, from 0, in code points.
        hint: What to do now, or empty.
    """

    def __init__(self, message: str, *, offset: int = 0, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


@dataclass(frozen=True, slots=True)
class NumberNode:
    """A number."""

    value: Scalar
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class NameNode:
    """A name."""

    name: str
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list of scalars."""

    items: tuple[Node, ...]
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class IndexNode:
    """An element of a list; element 0 of a scalar is the scalar."""

    base: Node
    index: Node
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class UnaryNode:
    """`op` is `neg` or `not`."""

    op: str
    operand: Node
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class BinaryNode:
    """`op` is one of `add sub mul div mod pow and or`."""

    op: str
    left: Node
    right: Node
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class CompareNode:
    """A chain of comparisons: `ops` (of `< <= > >= == !=`) stand between the operands, one more."""

    ops: tuple[str, ...]
    operands: tuple[Node, ...]
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class CallNode:
    """A function of FUNCTIONS with its arguments."""

    function: str
    arguments: tuple[Node, ...]
    offset: int = field(default=0, compare=False)


Node = NumberNode | NameNode | ListNode | IndexNode | UnaryNode | BinaryNode | CompareNode | CallNode


def number_node(value: object) -> NumberNode:
    """The node of a number.

    Raises:
        ExpressionError: When it is none, NaN, infinite, or an integer that int64 does not hold.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ExpressionError(f"{value!r} is not a number")
    if isinstance(value, int) and not -INTEGER_LIMIT < value < INTEGER_LIMIT:
        raise ExpressionError("an integer of 2**63 or more", hint="write it as a float, such as 1e20")
    if not math.isfinite(value):
        raise ExpressionError(f"{value!r} is not a finite number")
    return NumberNode(value)


def nearest_name(name: str, known: Iterable[str]) -> str:
    """The known name that is nearest, or an empty text when none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return near[0] if near else ""


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """`did you mean "..."?` with the nearest of the known names, or an empty text."""
    near = nearest_name(name, known)
    return f'did you mean "{near}"?' if near else ""


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below a node, in the order of the text."""
    match node:
        case ListNode(items=items):
            return items
        case IndexNode(base=base, index=index):
            return (base, index)
        case UnaryNode(operand=operand):
            return (operand,)
        case BinaryNode(left=left, right=right):
            return (left, right)
        case CompareNode(operands=operands):
            return operands
        case CallNode(arguments=arguments):
            return arguments
    return ()


def name_nodes(node: Node) -> tuple[NameNode, ...]:
    """Every name in a node, once for each time it stands there, in the order of the text."""
    found: list[NameNode] = []
    pending = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, NameNode):
            found.append(node)
        pending.extend(reversed(children(node)))
    return tuple(found)


def depth(node: Node) -> int:
    """Nodes on the longest way from this one to a leaf, counted without recursion."""
    deepest, pending = 0, [(node, 1)]
    while pending:
        node, level = pending.pop()
        deepest = max(deepest, level)
        pending.extend((child, level + 1) for child in children(node))
    return deepest


_SYMBOLS = {"or": "or", "and": "and", "add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%", "pow": "**"}
_STRENGTH = {"or": 1, "and": 2, "not": 3, "compare": 4, "add": 5, "sub": 5, "mul": 6, "div": 6, "mod": 6, "neg": 7, "pow": 8}
_ATOM = 9


def node_text(node: Node) -> str:
    """A text that parses to a node of equal value, with no more parentheses than it needs."""
    return _written(node)[0]


def _number_text(value: Scalar) -> str:
    return PI if value == math.pi else repr(value)


def _at_least(node: Node, strength: int) -> str:
    text, own = _written(node)
    return text if own >= strength else f"({text})"


def _written(node: Node) -> tuple[str, int]:
    match node:
        case NumberNode(value=value):
            return _number_text(value), _ATOM if math.copysign(1.0, value) > 0 else _STRENGTH["neg"]
        case NameNode(name=name):
            return name, _ATOM
        case ListNode(items=items):
            return f"[{', '.join(map(node_text, items))}]", _ATOM
        case CallNode(function=function, arguments=arguments):
            return f"{function}({', '.join(map(node_text, arguments))})", _ATOM
        case IndexNode(base=base, index=index):
            return f"{_at_least(base, _ATOM)}[{node_text(index)}]", _ATOM
        case UnaryNode(op=op, operand=operand):
            return ("-" if op == "neg" else "not ") + _at_least(operand, _STRENGTH[op]), _STRENGTH[op]
        case CompareNode(ops=ops, operands=operands):
            written = [_at_least(operand, _STRENGTH["add"]) for operand in operands]
            pairs = zip(ops, written[1:], strict=True)
            return written[0] + "".join(f" {op} {operand}" for op, operand in pairs), _STRENGTH["compare"]
        case BinaryNode():
            return _binary_text(node), _STRENGTH[node.op]


def _binary_text(node: BinaryNode) -> str:
    own = _STRENGTH[node.op]
    if node.op == "pow":
        return f"{_at_least(node.left, _ATOM)}**{_at_least(node.right, _STRENGTH['neg'])}"
    space = "" if node.op in ("mul", "div") else " "
    return f"{_at_least(node.left, own)}{space}{_SYMBOLS[node.op]}{space}{_at_least(node.right, own + 1)}"
