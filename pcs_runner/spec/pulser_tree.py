"""Nodes <-> the expression trees of Pulser's abstract representation.

Their operators act on lists element by element (`ExprBinary` in Pulser's sequence-schema.json); an index is a literal on a
variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pcs_runner.spec.expression_grammar import MAX_DEPTH
from pcs_runner.spec.expression_nodes import (
    BinaryNode,
    CallNode,
    ExpressionError,
    IndexNode,
    ListNode,
    NameNode,
    Node,
    UnaryNode,
    Value,
    name_nodes,
    node_text,
    number_node,
)
from pcs_runner.spec.expression_values import evaluator

_BINARY = ("add", "sub", "mul", "div", "mod", "pow")
_FUNCTIONS = ("abs", "ceil", "floor", "sqrt", "exp", "log", "log2", "sin", "cos", "tan", "tanh")
_INTEGER_LITERALS = 2**31
"""Pulser computes with int64, which wraps silently: integers beyond this travel as floats."""


class NotExpressibleError(Exception):
    """Pulser has no expression for this; its value can still be computed here."""


def to_tree(node: Node, *, fold: Mapping[str, Value], variables: Mapping[str, int | None]) -> Any:
    """The number, list or tree that stands for a node in the abstract representation.

    Args:
        node: What to write.
        fold: Values of the names that do not vary; what depends on these alone becomes a number or a list of numbers.
        variables: The sequence's variables: name -> number of values, None for a scalar.

    Raises:
        NotExpressibleError: When Pulser cannot serialise it.
        ExpressionError: When a part without variables has no value, or an index is out of range.
    """
    if not any(name.name in variables for name in name_nodes(node)):
        value = evaluator(node)(fold)
        return list(value) if isinstance(value, tuple) else value
    match node:
        case NameNode(name=name):
            return _reference(name) if variables[name] is not None else _element(name, 0)
        case IndexNode():
            return _index_tree(node, fold, variables)
        case ListNode():
            return _list_tree(node, fold, variables)
        case UnaryNode(op="neg"):
            return _unary("neg", to_tree(node.operand, fold=fold, variables=variables))
        case CallNode():
            return _call_tree(node, fold, variables)
        case BinaryNode() if node.op in _BINARY:
            return _binary_tree(node, fold, variables)
    raise NotExpressibleError(f'Pulser has no expression for "{node_text(node)}"')


def _reference(name: str) -> dict[str, str]:
    return {"variable": name}


def _element(name: str, index: int | list[int]) -> dict[str, Any]:
    return _binary("index", _reference(name), index)


def _unary(op: str, lhs: Any) -> dict[str, Any]:
    return {"expression": op, "lhs": lhs}


def _binary(op: str, lhs: Any, rhs: Any) -> dict[str, Any]:
    return {"expression": op, "lhs": lhs, "rhs": rhs}


def _call_tree(node: CallNode, fold: Mapping[str, Value], variables: Mapping[str, int | None]) -> Any:
    if node.function not in (*_FUNCTIONS, "round"):
        raise NotExpressibleError(f'Pulser has no expression for "{node_text(node)}"')
    argument = to_tree(node.arguments[0], fold=fold, variables=variables)
    if node.function == "round":  # Pulser's schema has a round that its deserializer refuses
        return _unary("floor", _binary("add", argument, 0.5))
    return _unary(node.function, argument)


def _binary_tree(node: BinaryNode, fold: Mapping[str, Value], variables: Mapping[str, int | None]) -> Any:
    lhs = to_tree(node.left, fold=fold, variables=variables)
    rhs = to_tree(node.right, fold=fold, variables=variables)
    if node.op == "pow":  # int64 powers wrap, and refuse negative exponents
        varying = isinstance(lhs, dict) and isinstance(rhs, dict)
        return _binary("pow", _binary("mul", lhs, 1.0) if varying else _as_float(lhs), _as_float(rhs))
    return _binary(node.op, _small_integers(lhs), _small_integers(rhs))


def _as_float(operand: Any) -> Any:
    if isinstance(operand, list):
        return [float(one) for one in operand]
    return float(operand) if isinstance(operand, int) else operand


def _small_integers(operand: Any) -> Any:
    if isinstance(operand, list):
        return [_small_integers(one) for one in operand]
    return float(operand) if isinstance(operand, int) and abs(operand) >= _INTEGER_LITERALS else operand


def _index_tree(node: IndexNode, fold: Mapping[str, Value], variables: Mapping[str, int | None]) -> Any:
    if any(name.name in variables for name in name_nodes(node.index)):
        raise NotExpressibleError(f'the index of "{node_text(node)}" varies')
    base = node.base
    if isinstance(base, ListNode):
        return to_tree(base.items[_position(node, len(base.items), fold)], fold=fold, variables=variables)
    if not isinstance(base, NameNode):
        raise NotExpressibleError(f'Pulser takes elements of variables only, not "{node_text(node)}"')
    return _element(base.name, _position(node, variables[base.name] or 1, fold))


def _position(node: IndexNode, size: int, fold: Mapping[str, Value]) -> int:
    """The index, from 0, checked as evaluation would."""
    positions = tuple(range(size))
    env = {**fold, "": positions}
    position: int = evaluator(IndexNode(NameNode(""), node.index, node.offset))(env)
    return position


def _list_tree(node: ListNode, fold: Mapping[str, Value], variables: Mapping[str, int | None]) -> Any:
    """`[a, 0, b] + x*[0, 1, 0]`: a constant list, and each varying element times the places where it stands."""
    items = [to_tree(item, fold=fold, variables=variables) for item in node.items]
    for item, tree in zip(node.items, items, strict=True):
        if isinstance(tree, list) or (isinstance(tree, dict) and "variable" in tree):
            raise ExpressionError("a list stands where a number is expected", offset=item.offset)
    elements = _elements_of_one(items, variables)
    if elements is not None:
        return elements
    constant = [0 if isinstance(item, dict) else _small_integers(item) for item in items]
    distinct: list[Any] = []
    for item in items:
        if isinstance(item, dict) and item not in distinct:
            distinct.append(item)
    terms = [_binary("mul", one, [int(item == one) for item in items]) for one in distinct]
    total: Any = constant if any(constant) else terms.pop(0)
    for term in terms:
        total = _binary("add", total, term)
    return total


def _elements_of_one(items: Sequence[Any], variables: Mapping[str, int | None]) -> dict[str, Any] | None:
    """A list of elements of one variable, as Pulser writes it: the variable, or one index with several places."""
    if not all(isinstance(item, dict) and item["expression"] == "index" for item in items):
        return None
    names = {item["lhs"]["variable"] for item in items}
    if len(names) != 1:
        return None
    name, places = names.pop(), [item["rhs"] for item in items]
    whole = places == list(range(variables[name] or 1))
    return _reference(name) if whole else _element(name, places)


def node_from_tree(tree: Any, _level: int = 1) -> Node:
    """The node of a tree, a number or a list of numbers. `{"variable": name}` is the whole variable.

    Raises:
        ExpressionError: When it is none of these.
    """
    if _level > MAX_DEPTH:
        raise ExpressionError(f"the expression is nested deeper than {MAX_DEPTH}")
    if isinstance(tree, (int, float)):
        return number_node(tree)
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return _list_node(tree, _level)
    if not isinstance(tree, Mapping):
        raise ExpressionError(f"{tree!r} is not an expression")
    if "variable" in tree:
        return NameNode(str(tree["variable"]))
    operation = str(tree.get("expression", ""))
    if "lhs" not in tree:
        raise ExpressionError("the expression has no lhs")
    lhs = node_from_tree(tree["lhs"], _level + 1)
    if operation == "neg":
        return UnaryNode("neg", lhs)
    if operation in (*_FUNCTIONS, "round"):
        return CallNode(operation, (lhs,))
    return _binary_node(operation, lhs, tree, _level)


def _list_node(tree: Sequence[Any], level: int) -> Node:
    items = tuple(node_from_tree(item, level + 1) for item in tree)
    if not items or any(isinstance(item, ListNode) for item in items):
        raise ExpressionError("a list holds one or more numbers")
    return ListNode(items)


def _binary_node(operation: str, lhs: Node, tree: Mapping[str, Any], level: int) -> Node:
    if operation not in (*_BINARY, "truediv", "index"):
        raise ExpressionError(f'"{operation}" is not an operation of Pulser')
    if tree.get("rhs") is None:
        raise ExpressionError(f'"{operation}" has no rhs')
    rhs = node_from_tree(tree["rhs"], level + 1)
    if operation != "index":
        return BinaryNode("div" if operation == "truediv" else operation, lhs, rhs)
    if isinstance(rhs, ListNode):
        return ListNode(tuple(IndexNode(lhs, item) for item in rhs.items))
    return IndexNode(lhs, rhs)
