"""Pulser's numbers and expression trees -> what a person writes: `2*omega`, `"delta[0]"`, `4*pi`."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.expressions import (
    BinaryNode,
    ExpressionError,
    IndexNode,
    NameNode,
    NotExpressibleError,
    NumberNode,
    UnaryNode,
    from_tree,
    node_text,
    parse,
    to_tree,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.spec.expressions import Node

_DIVISORS = (1, 2, 3, 4, 5, 6, 8, 10)
_MOST_PI = 400
MOST_WHOLE = 1e15


class Texts:
    """Writes the numbers of a sequence.

    Args:
        sizes: Variable -> number of values of an array, None for a scalar.
    """

    def __init__(self, sizes: Mapping[str, int | None]) -> None:
        self.sizes = sizes

    def value(self, tree: Any) -> Any:
        """A number, a list or a tree as text where that means the same to Pulser, else as it is."""
        if isinstance(tree, list):
            return [self.value(item) for item in tree]
        if not isinstance(tree, dict):
            return multiple_of_pi(tree) or whole(tree)
        try:
            root = _plain_scalars(from_tree(tree).root, self.sizes)
            for node in (_with_pi(root), root):
                text = node_text(node)
                if to_tree(parse(text).root, fold={}, variables=self.sizes) == tree:
                    return text
        except (ExpressionError, NotExpressibleError, KeyError):
            pass
        return tree


def whole(value: Any) -> Any:
    """The number as an integer where it is one; anything else as it is, and the same for all that is in it."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < MOST_WHOLE else value
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    return [whole(item) for item in value] if isinstance(value, list) else value


def multiple_of_pi(value: float) -> str | None:
    """`2*pi/3` for the number that it stands for, bit by bit; None for any other."""
    node = _pi_node(value)
    return None if node is None else node_text(node)


def _pi_node(value: float) -> Node | None:
    if isinstance(value, int) or value == 0 or not math.isfinite(value):
        return None
    for divisor in _DIVISORS:
        factor = round(value * divisor / math.pi)
        if factor == 0 or abs(factor) > _MOST_PI or factor * math.pi / divisor != value:
            continue
        node: Node = NumberNode(math.pi)
        if abs(factor) > 1:
            node = BinaryNode("mul", NumberNode(factor), node)
        elif factor < 0:
            node = UnaryNode("neg", node)
        return node if divisor == 1 else BinaryNode("div", node, NumberNode(divisor))
    return None


def _with_pi(node: Node) -> Node:
    """The node with numbers as multiples of pi."""
    if isinstance(node, NumberNode):
        return _pi_node(node.value) or node
    return _mapped(node, _with_pi)


def _plain_scalars(node: Node, sizes: Mapping[str, int | None]) -> Node:
    """The node with `omega` for `omega[0]`, where omega is one number."""
    if isinstance(node, IndexNode) and isinstance(node.base, NameNode) and sizes[node.base.name] is None:
        return node.base
    return _mapped(node, lambda one: _plain_scalars(one, sizes))


def _mapped(node: Node, change: Any) -> Node:
    """The node with its children changed."""
    changed: dict[str, Any] = {}
    for field in fields(node):
        value = getattr(node, field.name)
        if is_dataclass(value):
            changed[field.name] = change(value)
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            changed[field.name] = tuple(map(change, value))
    return replace(node, **changed)
