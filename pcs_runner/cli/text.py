"""Text from files and servers, made safe for a terminal and for GitHub's log."""

from __future__ import annotations

import unicodedata

_WIDEST_SOURCE = 160
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories that a terminal obeys or hides: controls, bidirectional marks, surrogates, line separators."""


def printable(text: str, *, keep: str = "") -> str:
    r"""The text with every control character written as an escape such as `\x1b`, except those in `keep`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if character in keep else _visible(character) for character in text)


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def excerpt(source: str, column: int) -> tuple[str, str]:
    """A source line, safe to print, and the line with a caret under the 1-based `column` (in code points).

    A long line is cut to a window around the column. The caret counts terminal cells: an ideograph takes two.
    """
    start = max(0, min(column - 1, len(source)) - _WIDEST_SOURCE // 2) if len(source) > _WIDEST_SOURCE else 0
    window = source[start : start + _WIDEST_SOURCE]
    head = "..." if start else ""
    tail = "..." if start + _WIDEST_SOURCE < len(source) else ""
    shown = [_one_line(character) for character in window]
    before = head + "".join(shown[: max(0, column - 1 - start)])
    return head + "".join(shown) + tail, " " * cells(before) + "^"


def _one_line(character: str) -> str:
    return " " if character == "\t" else printable(character)


def cells(text: str) -> int:
    """Columns that the text takes on a terminal."""
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def github_message(text: str) -> str:
    """A message as the workflow commands of GitHub Actions take it.

    Source: `escapeData` in actions/toolkit, packages/core/src/command.ts.
    """
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def github_property(text: str) -> str:
    """A property value as the workflow commands of GitHub Actions take it (`escapeProperty` in the same file)."""
    return github_message(text).replace(":", "%3A").replace(",", "%2C")


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 job`, `2 jobs`, `1000000 jobs`; the plural in full where it is not an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {many or f'{noun}s'}"


def seconds(duration_s: float) -> str:
    """A duration for people: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if duration_s < 10:
        return f"{duration_s:.1f} s"
    whole = round(duration_s)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
