"""The text of a spec: lines, columns, and what of it may be shown to people."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from functools import cached_property

EXCERPT_LENGTH = 160

_SECRET = re.compile(
    r"passw(?:or)?d|passphrase|pwd|secret|token|credential|authorization|(?:api|access|private)[ _-]?key", re.IGNORECASE
)
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_BLOCK_PREFIX = re.compile(r"\s*(?:[-?]\s+)*")
_FLOW_PLAIN_END = re.compile(r"[,}\]]")
_KEY_TAIL_LENGTH = 200
_NOWHERE = -2


def is_secret(key: str) -> bool:
    """Whether a key is named like a password, a token or another credential."""
    return _SECRET.search(key) is not None


def printable(text: str) -> str:
    """The text with a space for each tab and U+FFFD for each control character, terminal escape or direction mark."""
    return _UNPRINTABLE.sub(lambda match: " " if match[0] == "\t" else "\N{REPLACEMENT CHARACTER}", text)


def quoted(text: str, limit: int = 60) -> str:
    """The text in double quotes, on one line, cut to about `limit` code points, safe for a terminal."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return printable(json.dumps(short, ensure_ascii=False))


def quoted_key(key: str, limit: int = 60) -> str:
    """A key in double quotes; `password:hunter2`, a secret that lacks its space, without what follows the colon."""
    return quoted(key.partition(":")[0] + ":***" if ":" in key and is_secret(key) else key, limit)


class SourceText:
    """A text that knows its lines; a line ends at a line feed, a carriage return or both.

    Args:
        text: The whole file, decoded, without a byte order mark.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in _LINE_BREAK.finditer(self.text))]

    @cached_property
    def _masked(self) -> dict[int, str]:
        if not is_secret(self.text):
            return {}
        return _masked_lines([self._raw_line(number) for number in range(1, len(self._starts) + 1)])

    def place(self, index: int) -> tuple[int, int]:
        """1-based line and column, in code points, of an offset into the text."""
        line = bisect_right(self._starts, index)
        return line, index - self._starts[line - 1] + 1

    def index(self, line: int, column: int = 1) -> int:
        """Offset into the text of a 1-based line and column."""
        return self._starts[line - 1] + column - 1

    def holds_secret(self, line: int) -> bool:
        """Whether something on a 1-based line is masked."""
        return line in self._masked

    def line(self, number: int) -> str:
        """A 1-based line without its end, secrets masked."""
        return self._masked.get(number) or self._raw_line(number)

    def excerpt(self, line: int, column: int) -> str:
        """A line for people: secrets masked, control characters replaced, about 160 code points around the column."""
        text = self.line(line)
        if len(text) > EXCERPT_LENGTH:
            first = min(max(0, column - 1 - EXCERPT_LENGTH // 2), len(text) - EXCERPT_LENGTH // 2)
            last = first + EXCERPT_LENGTH
            text = ("…" if first else "") + text[first:last] + ("…" if last < len(text) else "")
        return printable(text)

    def _raw_line(self, number: int) -> str:
        if not 1 <= number <= len(self._starts):
            return ""
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : end].rstrip("\r\n")


def _masked_lines(lines: list[str]) -> dict[int, str]:
    """Masked text by 1-based number, of the lines that hold the value of a secret-looking key.

    It reads lines, not YAML, because it also serves files that are not valid YAML; where it is unsure it masks more.
    """
    masked: dict[int, str] = {}
    inside = _Inside()
    for number, line in enumerate(lines, start=1):
        if inside.covers(line):
            masked[number] = line[: len(line) - len(line.lstrip())] + "***"
            continue
        text, inside = _mask_line(line, inside)
        if text != line:
            masked[number] = text
    return masked


class _Inside:
    """How far the value of the latest secret-looking key reaches over the following lines."""

    __slots__ = ("column", "empty", "quote")

    def __init__(self, column: int = _NOWHERE, *, empty: bool = False, quote: str = "") -> None:
        self.column = column
        self.empty = empty
        self.quote = quote

    def covers(self, line: str) -> bool:
        """Whether a following line belongs to the value; consumes what the line closes."""
        stripped = line.lstrip()
        if self.quote:
            if self.quote in line:
                self.quote = ""
            return True
        if self.column == _NOWHERE or not stripped:
            return False
        indent = len(line) - len(stripped)
        first_after_empty, self.empty = self.empty, self.empty and stripped.startswith("-")
        if indent > self.column or (indent == self.column and first_after_empty and stripped.startswith("-")):
            return True
        if first_after_empty and (stripped[0] in "\"'[{" or ":" not in stripped):
            return True
        self.column = _NOWHERE
        return False


def _mask_line(line: str, inside: _Inside) -> tuple[str, _Inside]:
    """The line with the values of its secret-looking keys replaced, and how far the last of them reaches."""
    parts: list[str] = []
    done = 0
    for match in _SECRET.finditer(line):
        colon = line.find(":", match.end(), match.end() + _KEY_TAIL_LENGTH)
        explicit = line.lstrip().startswith("? ")
        if match.start() < done or (colon < 0 and not explicit) or re.search(r"[,{}\[\]]", line[match.end() : max(colon, 0)]):
            continue
        indent = _BLOCK_PREFIX.match(line)
        column = indent.end() if indent else 0
        if colon < 0:
            return line, _Inside(line.index("?") - 1)
        first = colon + 1 + len(line[colon + 1 :]) - len(line[colon + 1 :].lstrip())
        end, inside = _value_end(line, first, column)
        if end > first:
            parts += [line[done:first], "***"]
            done = end
    return "".join([*parts, line[done:]]), inside


def _value_end(line: str, first: int, column: int) -> tuple[int, _Inside]:
    """Where on the line the value that begins at `first` ends, and how far it reaches beyond."""
    rest = line[first:]
    opened = line[:first]
    if not rest or rest.startswith(("#", "|", ">", "&", "!")):
        return len(line), _Inside(column, empty=not rest or rest[0] == "#")
    if rest[0] in "\"'":
        close = re.compile(r'"(?:[^"\\]|\\.)*"' if rest[0] == '"' else r"'(?:[^']|'')*'").match(rest)
        return (first + close.end(), _Inside()) if close else (len(line), _Inside(quote=rest[0]))
    if rest[0] not in "[{" and (opened.count("{") > opened.count("}") or opened.count("[") > opened.count("]")):
        end = _FLOW_PLAIN_END.search(line, first)
        if end:
            return end.start(), _Inside()
    return len(line), _Inside(column)
