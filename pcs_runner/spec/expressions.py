"""Expressions: one grammar, two readings - a number here, or a tree for Pulser (`pulser_tree.to_tree`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.expression_grammar import parse_node
from pcs_runner.spec.expression_nodes import (
    FUNCTIONS,
    INTERACTION_COEFF,
    PI,
    WORDS,
    BinaryNode,
    CallNode,
    CompareNode,
    ExpressionError,
    IndexNode,
    ListNode,
    NameNode,
    Node,
    NumberNode,
    Scalar,
    UnaryNode,
    Value,
    name_nodes,
    nearest_hint,
    nearest_name,
    node_text,
    number_node,
)
from pcs_runner.spec.expression_values import Evaluator, evaluator
from pcs_runner.spec.pulser_tree import NotExpressibleError, node_from_tree, to_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "FUNCTIONS", "INTERACTION_COEFF", "PI", "WORDS", "BinaryNode", "CallNode", "CompareNode", "Evaluator", "Expression",
    "ExpressionError", "IndexNode", "ListNode", "NameNode", "Node", "NotExpressibleError", "NumberNode", "Scalar", "UnaryNode",
    "Value", "float_text", "from_node", "from_tree", "name_nodes", "nearest_hint", "nearest_name",
    "node_text", "parse", "read", "to_tree",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expression:
    """A number, a list or an expression, ready to be evaluated.

    Attributes:
        text: As the user wrote it, or as it can be written.
        root: Its topmost node.
        names: Its free names; `interaction_coeff` counts, functions and `pi` do not.
        evaluator: `evaluate` without its frame, for where it is called a million times.
    """

    text: str
    root: Node
    names: frozenset[str] = field(init=False, compare=False)
    evaluator: Evaluator = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", frozenset(node.name for node in name_nodes(self.root)))
        object.__setattr__(self, "evaluator", evaluator(self.root))

    def __reduce__(self) -> tuple[type[Expression], tuple[str, Node]]:
        return Expression, (self.text, self.root)

    def evaluate(self, env: Mapping[str, Value]) -> Value:
        """Its value, finite, for these values of the names; lists are tuples.

        Raises:
            ExpressionError: When there is no such value; the offset is the culprit's.
        """
        value: Value = self.evaluator(env)
        return value


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """The expression that a text describes.

    Raises:
        ExpressionError: When it describes none; the offset is the culprit's.
    """
    return Expression(text, parse_node(text))


def read(value: float | str | Sequence[float | str]) -> Expression:
    """The expression of a number, a text, or a list of these.

    Raises:
        ExpressionError: When it is none, NaN, infinite or an empty list. The offset counts inside the text of the culprit.
    """
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, (list, tuple)):
        if not value:
            raise ExpressionError("the list is empty")
        items = tuple(_item(one) for one in value)
        return from_node(ListNode(items))
    return from_node(number_node(value))


def from_node(node: Node) -> Expression:
    """The expression of a node, with a text that parses to it."""
    return Expression(node_text(node), node)


def from_tree(tree: Mapping[str, Any] | float | Sequence[Any]) -> Expression:
    """The expression of a tree of Pulser's abstract representation.

    Raises:
        ExpressionError: When it is no such tree.
    """
    return from_node(node_from_tree(tree))


def float_text(value: Value) -> str:
    """A number in 12 significant digits, the same text for 500, 500.0 and 500.0000000000001; a list in brackets."""
    if isinstance(value, tuple):
        return f"[{','.join(map(float_text, value))}]"
    return f"{value + 0.0:.12g}"


def _item(value: object) -> Node:
    node = parse(value).root if isinstance(value, str) else number_node(value)
    if isinstance(node, ListNode):
        raise ExpressionError("a list stands where a number is expected")
    return node
