"""Text -> nodes: arithmetic with Python's precedence, and nothing else; every refusal says where, and what to write instead.

A parser of our own and not `ast`: its offsets are code points, its messages are about this language, and what it accepts does not
change with the version of Python.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from pcs_runner.spec.expression_nodes import (
    FUNCTIONS,
    INTEGER_LIMIT,
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
    UnaryNode,
    depth,
    nearest_hint,
)

MAX_LENGTH = 4000
MAX_DEPTH = 200
_MAX_NESTING = 100
FIXED_UNITS = "units are fixed (ns, µm, rad/µs, rad)"

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<operator>\*\*|//|<<|>>|<=|>=|==|!=|&&|\|\||:=|<>|[-+*/%()\[\],<>])
    |(?P<other>[^\W\d]\w*|\S)
    |(?P<end>\Z)
    )""",
    re.VERBOSE,
)
_TAIL = re.compile(r"\w+")

_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_BINARY = {
    "or": ("or", 1), "and": ("and", 2), "+": ("add", 5), "-": ("sub", 5), "*": ("mul", 6), "/": ("div", 6), "%": ("mod", 6),
    "**": ("pow", 8),
}  # fmt: skip
_NOT, _COMPARE, _UNARY, _POSTFIX = 3, 4, 7, 9

_INSTEAD = {
    "//": "write floor(a/b)", "^": "write ** for a power", "&": "write and", "&&": "write and", "|": "write or",
    "||": "write or", "!": "write not, or != for unequal", "=": "write == to compare", ":=": "write == to compare",
    "<>": "write !=", "~": "write not", "−": "write - (the ASCII hyphen)", "–": "write - (the ASCII hyphen)", "×": "write *",
    "·": "write *", "⋅": "write *", "÷": "write /", "²": "write **2", "³": "write **3", "⁶": "write **6", "π": "write pi",
    "≤": "write <=", "≥": "write >=", "≠": "write !=", "{": "lists are written [a, b]",
    "<<": "write a*2**b", ">>": "write floor(a/2**b)",
}  # fmt: skip
_UNITS = {
    "GHz": "2*pi*{}*1000", "MHz": "2*pi*{}", "kHz": "2*pi*{}/1000", "Hz": "2*pi*{}/1e6", "s": "{}*1e9", "ms": "{}*1e6",
    "us": "{}*1000", "µs": "{}*1000", "μs": "{}*1000", "ns": "{}", "m": "{}*1e6", "mm": "{}*1000", "um": "{}", "µm": "{}",
    "μm": "{}", "nm": "{}/1000", "rad": "{}", "deg": "pi*{}/180", "mrad": "{}/1000",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    offset: int
    error: ExpressionError | None = None


def parse_node(text: str) -> Node:
    """The node that a text describes.

    Raises:
        ExpressionError: When it is not an expression of the language.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the expression has {len(text)} characters, more than {MAX_LENGTH}", hint="split it with let")
    node = _Parser(_tokens(text)).whole()
    if depth(node) > MAX_DEPTH:
        raise ExpressionError(f"the expression is nested deeper than {MAX_DEPTH}", hint="split it with let")
    return node


def _tokens(text: str) -> list[_Token]:
    """The tokens, up to the end or to the first that is refused, with its error: what stands before it may be wrong too."""
    found: list[_Token] = []
    position = 0
    while True:
        match = _TOKEN.match(text, position)
        assert match is not None, "every character is some token"
        kind = str(match.lastgroup)
        token = _Token(kind, match[kind], match.start(kind))
        try:
            _check_token(token, found[-1] if found else None)
            if kind == "number":
                _check_number(token, text)
        except ExpressionError as error:
            return [*found, _Token("error", token.text, token.offset, error)]
        found.append(token)
        if kind == "end":
            return found
        position = match.end()


def _check_token(token: _Token, before: _Token | None) -> None:
    if before is not None and before.kind == "number" and token.kind in ("name", "other") and token.text not in WORDS:
        _refuse_unit(before, token)
    if token.kind == "other" or token.text in _INSTEAD:
        _refuse_character(token)


def _refuse_unit(number: _Token, word: _Token) -> None:
    if word.text in _UNITS:
        hint = f"write {_UNITS[word.text].format(number.text)}: {FIXED_UNITS}"
        raise ExpressionError(f"a number cannot carry a unit: {number.text} {word.text}", offset=word.offset, hint=hint)
    if word.kind == "name" and word.text not in ("if", "else"):
        raise _missing_operator(number, word)


def _missing_operator(before: _Token, token: _Token) -> ExpressionError:
    return ExpressionError(
        f'an operator is missing between "{before.text}" and "{token.text}"',
        offset=token.offset,
        hint=f"write {before.text}*{token.text} for a product" + (f"; {FIXED_UNITS}" if before.kind == "number" else ""),
    )


def _refuse_character(token: _Token) -> None:
    if token.text in ("'", '"'):
        raise ExpressionError("an expression holds no text", offset=token.offset, hint="names stand without quotes")
    if token.text == ".":
        raise ExpressionError("an expression has no attributes", offset=token.offset, hint="write decimals as 0.5")
    if token.text[0].isalpha() and token.text not in _INSTEAD:
        message = f'"{token.text}" is not a name: names are made of A-Z a-z 0-9 and _'
        raise ExpressionError(message, offset=token.offset)
    hint = _INSTEAD.get(token.text, "")
    raise ExpressionError(f'"{token.text}" is not part of the language', offset=token.offset, hint=hint)


def _check_number(token: _Token, text: str) -> None:
    end = token.offset + len(token.text)
    tail = _TAIL.match(text, end)
    if tail is not None and tail[0] not in _UNITS and tail[0][0] not in _INSTEAD:
        whole = token.text + tail[0]
        if re.fullmatch(r"\d[\d_]*", whole):
            raise ExpressionError(f'"{whole}" is not a number', offset=token.offset, hint=f"write {whole.replace('_', '')}")
        if whole[:2].lower() in ("0x", "0b", "0o") or whole.endswith(("j", "J")):
            raise ExpressionError(f'"{whole}" is not a decimal number', offset=token.offset, hint="write it as 1.5, 2 or 1e3")
        raise _missing_operator(token, _Token("name", tail[0], end))
    if re.fullmatch(r"0+\d+", token.text) and token.text.strip("0"):
        raise ExpressionError(f'"{token.text}" begins with a zero', offset=token.offset, hint=f"write {token.text.lstrip('0')}")


def _number(token: _Token) -> NumberNode:
    if token.text.isdigit():
        if len(token.text.lstrip("0")) > 19 or int(token.text) >= INTEGER_LIMIT:
            raise ExpressionError("an integer of 2**63 or more", offset=token.offset, hint="write it as a float, such as 1e20")
        return NumberNode(int(token.text), token.offset)
    value = float(token.text)
    if not math.isfinite(value):
        raise ExpressionError(f"{token.text} is too large for a number", offset=token.offset)
    return NumberNode(value, token.offset)


def _negative(operand: Node, offset: int) -> Node:
    return NumberNode(-operand.value, offset) if isinstance(operand, NumberNode) else UnaryNode("neg", operand, offset)


class _Parser:
    """Precedence climbing over a list of tokens; `strength` is that of the weakest operator a call may take."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._nesting = 0

    @property
    def _token(self) -> _Token:
        token = self._tokens[self._at]
        if token.error is not None:
            raise token.error
        return token

    def _take(self) -> _Token:
        token = self._token
        self._at += 1
        return token

    def whole(self) -> Node:
        if self._token.kind == "end":
            raise ExpressionError("the expression is empty", offset=0)
        node = self._expression(0)
        if self._token.kind != "end":
            raise self._unexpected()
        return node

    def _expression(self, strength: int) -> Node:
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            message = f"the expression is nested deeper than {_MAX_NESTING}"
            raise ExpressionError(message, offset=self._token.offset, hint="split it with let")
        node = self._operand(strength)
        while (following := self._extended(node, strength)) is not None:
            node = following
        self._nesting -= 1
        return node

    def _extended(self, node: Node, strength: int) -> Node | None:
        """The node with the operator that follows, or None when there is none that may be taken."""
        token = self._token
        if token.text in _COMPARISONS and strength <= _COMPARE:
            return self._comparison(node)
        if token.text == "[" and strength <= _POSTFIX:
            self._take()
            index = self._expression(0)
            self._close("]", token)
            return IndexNode(_indexable(node), _scalar(index), node.offset)
        if token.text == "(" and isinstance(node, (NumberNode, ListNode)):
            raise ExpressionError("an operator is missing before (", offset=token.offset, hint="write * for a product")
        op, own = _BINARY.get(token.text, ("", -1))
        if own < max(strength, 0):
            return None
        self._take()
        # A power takes everything up to a sign on its right, and is right-associative; the others take what is stronger.
        right = self._expression(_UNARY if op == "pow" else own + 1)
        if op in WORDS:
            _scalar(node), _scalar(right)
        return BinaryNode(op, node, right, token.offset)

    def _comparison(self, first: Node) -> Node:
        offset = self._token.offset
        ops, operands = [], [_scalar(first)]
        while self._token.text in _COMPARISONS:
            ops.append(self._take().text)
            operands.append(_scalar(self._expression(_COMPARE + 1)))
        return CompareNode(tuple(ops), tuple(operands), offset)

    def _operand(self, strength: int) -> Node:
        token = self._take()
        if token.kind == "number":
            return _number(token)
        if token.text in ("-", "+"):
            operand = self._expression(_UNARY)
            return _negative(operand, token.offset) if token.text == "-" else operand
        if token.text == "not" and strength <= _NOT:
            return UnaryNode("not", _scalar(self._expression(_NOT)), token.offset)
        if token.kind == "name" and token.text not in WORDS:
            return self._named(token)
        if token.text == "(":
            node = self._expression(0)
            if self._token.text == ",":
                raise ExpressionError("a list is written in square brackets", offset=token.offset, hint="write [a, b]")
            self._close(")", token)
            return node
        if token.text == "[":
            return ListNode(self._several("]", token), token.offset)
        self._at -= 1
        raise self._unexpected()

    def _named(self, token: _Token) -> Node:
        if self._token.text == "(":
            if token.text not in FUNCTIONS:
                raise _unknown_function(token)
            arguments = self._several(")", self._take())
            if token.text not in ("min", "max") and len(arguments) != 1:
                message = f"{token.text} takes one argument, not {len(arguments)}"
                raise ExpressionError(message, offset=token.offset, hint=f"write {token.text}(x)")
            return CallNode(token.text, arguments, token.offset)
        if token.text in FUNCTIONS:
            raise ExpressionError(f"{token.text} is a function", offset=token.offset, hint=f"write {token.text}(x)")
        if token.text in ("True", "False"):
            raise ExpressionError(f'"{token.text}" is not a number', offset=token.offset, hint="write 1 or 0")
        return NumberNode(math.pi, token.offset) if token.text == PI else NameNode(token.text, token.offset)

    def _several(self, end: str, start: _Token) -> tuple[Node, ...]:
        items: list[Node] = []
        while True:
            if self._token.text == end and not items:
                raise ExpressionError("nothing stands between the brackets", offset=start.offset)
            item = self._expression(0)
            items.append(item if end == ")" else _scalar(item))
            if self._token.text != ",":
                self._close(end, start)
                return tuple(items)
            self._take()

    def _close(self, end: str, start: _Token) -> None:
        if self._token.text != end:
            if self._token.kind == "end":
                hint = f'add "{end}"; in a YAML list or mapping in one line, quote the expression'
                raise ExpressionError(f'"{start.text}" is not closed', offset=start.offset, hint=hint)
            raise self._unexpected()
        self._take()

    def _unexpected(self) -> ExpressionError:
        token, before = self._token, self._tokens[self._at - 1] if self._at else None
        if token.kind == "end":
            return ExpressionError("the expression ends too early", offset=token.offset)
        if token.text in ("if", "else", "for", "lambda"):
            hint = "a condition is 1 or 0: write a*(x < 1) + b*(x >= 1)"
            return ExpressionError(f'"{token.text}" is not part of the language', offset=token.offset, hint=hint)
        if before is not None and token.kind in ("number", "name") and token.text not in WORDS:
            if before.kind in ("number", "name") and before.text not in WORDS:
                return _missing_operator(before, token)
            if before.text in (")", "]"):
                message = f'an operator is missing before "{token.text}"'
                return ExpressionError(message, offset=token.offset, hint="write * for a product")
        hint = "put it in parentheses" if token.text == "not" else ""
        return ExpressionError(f'unexpected "{token.text}"', offset=token.offset, hint=hint)


def _unknown_function(token: _Token) -> ExpressionError:
    message = f'"{token.text}" is not a function: only these functions can be called: {" ".join(FUNCTIONS)}'
    return ExpressionError(message, offset=token.offset, hint=nearest_hint(token.text, FUNCTIONS))


def _scalar(node: Node) -> Node:
    """The node, where a number is expected: a list written out there is an oversight."""
    if isinstance(node, ListNode):
        raise ExpressionError("a list stands where a number is expected", offset=node.offset)
    return node


def _indexable(node: Node) -> Node:
    if isinstance(node, NumberNode):
        raise ExpressionError("a number has no elements", offset=node.offset)
    return node
