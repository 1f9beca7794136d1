"""Plain data -> YAML that a person can read, and that our own loader reads back equal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.scalars import RefusedScalarError, plain_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pcs_runner.spec.document import Path

WIDTH = 120
BLOCKS = frozenset({"sequence", "operations", "jobs", "sweep", "grid"})
"""Keys whose values are written one entry in a line, however short they are."""

_PLAIN = re.compile(r"[A-Za-z0-9_(.][A-Za-z0-9_.*+/%() -]*(?<! )|-[A-Za-z0-9_(.][A-Za-z0-9_.*+/%() -]*(?<! )")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def yaml_text(data: Mapping[str, Any], comments: Mapping[Path, Sequence[str]] | None = None) -> str:
    """A YAML document.

    Args:
        data: Mappings with text as keys, lists, text, finite numbers, booleans and None.
        comments: Path of an entry -> lines that stand above it, without `#`.

    Returns:
        Block style outside, flow style where a value fits in its line; top-level mappings are set off by an empty line.
    """
    writer = _Writer(comments or {})
    lines: list[str] = []
    for key, value in data.items():
        if isinstance(value, dict) and lines:
            lines.append("")
        lines += writer.entry(key, value, (), 0)
    return "\n".join(lines) + "\n"


class _Writer:
    """Decides for each value between a line of its own and a block."""

    def __init__(self, comments: Mapping[Path, Sequence[str]]) -> None:
        self.comments = comments

    def entry(self, key: str, value: Any, path: Path, indent: int) -> Iterator[str]:
        where = (*path, key)
        yield from (f"{' ' * indent}# {line}".rstrip() for line in self.comments.get(where, ()))
        yield from self._value(f"{' ' * indent}{_text(key)}:", value, where, indent, block=key in BLOCKS)

    def _value(self, head: str, value: Any, path: Path, indent: int, *, block: bool) -> Iterator[str]:
        """A value behind its key or dash."""
        flow = _flow(value)
        branches = isinstance(value, dict | list) and len(value) > 0
        commented = any(one[: len(path)] == path and len(one) > len(path) for one in self.comments)
        if not branches or (not block and not commented and len(head) + 1 + len(flow) <= WIDTH):
            yield f"{head} {flow}"
        elif isinstance(value, dict):
            yield head
            for key, item in value.items():
                yield from self.entry(key, item, path, indent + 2)
        elif block or any(isinstance(item, dict) for item in value):
            yield head
            for number, item in enumerate(value):
                yield from self._item(item, (*path, number), indent + 2)
        else:
            yield from _filled(head, value, indent + 2)

    def _item(self, item: Any, path: Path, indent: int) -> Iterator[str]:
        """An item of a list behind its dash; a mapping that does not fit begins in the line of the dash."""
        flow, pad = _flow(item), " " * indent
        if not isinstance(item, dict) or not item or len(flow) + indent + 2 <= WIDTH:
            yield from self._value(f"{pad}-", item, path, indent, block=False)
            return
        lines = (line for key, value in item.items() for line in self.entry(key, value, path, indent + 2))
        yield f"{pad}- {next(lines)[indent + 2 :]}"
        yield from lines


def _filled(head: str, items: Sequence[Any], indent: int) -> Iterator[str]:
    """A long list in brackets, as many items in a line as fit."""
    yield f"{head} ["
    line = " " * indent
    for item in items:
        word = f"{_flow(item)},"
        if line.strip() and len(line) + 1 + len(word) > WIDTH:
            yield line
            line = " " * indent
        line += f" {word}" if line.strip() else word
    yield line.removesuffix(",")
    yield " " * (indent - 2) + "]"


def _flow(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(key)}: {_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _text(text: str) -> str:
    """Text as it is where it stays text and means nothing else, quoted otherwise."""
    if _PLAIN.fullmatch(text) and text.count("(") == text.count(")"):  # our loader takes half a call for one cut at a comma
        try:
            if plain_value(text) is text:
                return text
        except RefusedScalarError:
            pass
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable() or character == " ":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
