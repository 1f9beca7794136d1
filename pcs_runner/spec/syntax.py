"""PyYAML's syntax errors in plain words, with a hint where the usual cause can be seen in the text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.source import quoted

if TYPE_CHECKING:
    from pcs_runner.spec.source import SourceText

_NO_SPACE = re.compile(r"[\s-]*[A-Za-z_][\w-]*:(?=[^\s:/])")
_INDEXED = re.compile(r"[\w.)\]]+$")
_SPACES = "indent with spaces"
_BRACKET = "close the bracket or put a comma; quote text that holds [ ] { } or a comma"

_PHRASES: tuple[tuple[str, str, str], ...] = (
    # a piece of PyYAML's or libyaml's words, ours, a hint
    ("mapping values are not allowed", "a `:` is not expected here", 'quote text that holds ": ", or check the indentation'),
    ("unexpected ':'", "a `:` is not expected here", "write a space after the colon, or quote the text"),
    ("mapping keys are not allowed", "a `?` is not expected here", "quote text that begins with `?`"),
    ("block sequence entries are not allowed", "a list item (`- `) is not expected here", "begin the list on a line of its own"),
    ("sequence entries are not allowed", "a list item (`- `) is not expected here", "begin the list on a line of its own"),
    ("did not find expected key", "a key is expected here", "check the indentation, and that text is quoted as a whole"),
    ("<block end>", "a key or a list item is expected here", "check the indentation, and that text is quoted as a whole"),
    ("expected '-' indicator", "a list item (`- `) is expected here", "check the indentation"),
    ("expected node content", "a value is missing here", "remove the extra comma, or quote the text"),
    ("expected the node content", "a value is missing here", "remove the extra comma, or quote the text"),
    ("document start", "the document has ended before this", "check the indentation and the brackets"),
    ("unknown escape character", "an unknown escape after `\\`", "use single quotes where `\\` is meant as it is"),
    ("hexdecimal", "an incomplete escape after `\\`", "use single quotes where `\\` is meant as it is"),
    ("hexadecimal", "an incomplete escape after `\\`", "use single quotes where `\\` is meant as it is"),
    ("invalid Unicode character escape", "an escape that is no character", "write the character itself"),
    ("undefined tag handle", "a tag (`!...`) is refused here", "remove the tag, or quote the text if `!` is part of it"),
    ("expected alphabetic or numeric character", "an anchor or alias without a name", "quote text that begins with `*` or `&`"),
    ("tab character", "a tab is used as indentation", _SPACES),
    ("indentation indicator", "the indentation after `|` or `>` is 1 to 9", "remove the 0"),
    ("line break", "only a comment can stand here", "begin the text on the next line"),
    ("incompatible YAML", "a `%YAML` line of another version", "remove the line; a spec is YAML 1.2"),
    ("YAML directive", "a second `%YAML` line", "keep one of the two"),
    ("unknown directive", "an unknown directive", "remove the line that begins with `%`"),
)


def syntax_problem(error: Any, source: SourceText) -> tuple[int, str, str]:
    """Offset into the text, message and hint for an error raised by PyYAML; the message quotes nothing from the text."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return 0, f"not valid YAML: {quoted(str(error), 120)[1:-1]}", ""
    index = min(mark.index, len(source.text))
    problem, context = error.problem or "", error.context or ""
    return (
        _tab(source, index, context)
        or _no_space_after_colon(source, index, problem)
        or _bracket(error, source, index, problem)
        or _quote(error, context, problem)
        or _start_of_token(source, index, problem)
        or _no_colon(error, problem)
        or _phrase(index, problem)
        or (index, f"not valid YAML: {quoted(f'{context} {problem}'.strip(), 120)[1:-1]}", "")
    )


def _tab(source: SourceText, index: int, context: str) -> tuple[int, str, str] | None:
    if "flow" in context:  # between brackets tabs are allowed
        return None
    line, _ = source.place(index)
    start = source.index(line)
    blank = re.compile(r"[ ]*\t").match(source.text, start)
    return (blank.end() - 1, "a tab is used as indentation", _SPACES) if blank else None


def _no_space_after_colon(source: SourceText, index: int, problem: str) -> tuple[int, str, str] | None:
    if "mapping values are not allowed" not in problem and "could not find expected ':'" not in problem:
        return None
    line, _ = source.place(index)
    for number in (line - 1, line):
        start = source.index(number) if number >= 1 else -1
        match = _NO_SPACE.match(source.text, start) if start >= 0 else None
        if match:
            return match.end() - 1, "a space is missing after the colon", f"write `{match[0].strip(' -')} value`"
    return None


def _no_colon(error: Any, problem: str) -> tuple[int, str, str] | None:
    if "could not find expected ':'" not in problem or error.context_mark is None:
        return None
    return error.context_mark.index, "a key without `:`", "write `key: value`, or check the indentation"


def _bracket(error: Any, source: SourceText, index: int, problem: str) -> tuple[int, str, str] | None:
    expected = re.search(r"expected ',' or '([\]}])'", problem)
    if not expected:
        return None
    line, _ = source.place(index)
    before = _INDEXED.search(source.text[max(source.index(line), index - 80) : index])
    if source.text[index : index + 1] == "[" and before:
        closing = source.text.find("]", index, index + 40)
        shown = closing > 0 and not source.holds_secret(line) and "\n" not in source.text[index:closing]
        whole = quoted(before[0] + source.text[index : closing + 1]) if shown else '"name[0]"'
        return index - len(before[0]), "inside { } or [ ] an index needs quotes", f"quote the expression: {whole}"
    opening = "{" if expected[1] == "}" else "["
    where = ""
    if error.context_mark is not None:
        opened = source.place(error.context_mark.index)
        where = f" to go on with the `{opening}` of line {opened[0]}, column {opened[1]}"
    return index, f"a comma or `{expected[1]}` is expected here{where}", _BRACKET


def _quote(error: Any, context: str, problem: str) -> tuple[int, str, str] | None:
    if "quoted scalar" in context and ("end of stream" in problem or "document indicator" in problem):
        return error.context_mark.index, "this quote is not closed", "close the quote, or double it inside single quotes"
    return None


def _start_of_token(source: SourceText, index: int, problem: str) -> tuple[int, str, str] | None:
    if "cannot start any token" not in problem:
        return None
    character = source.text[index : index + 1]
    if character == "\t":
        return index, "a tab is used as indentation", _SPACES
    return index, f"text cannot begin with {quoted(character)}", "quote the text"


def _phrase(index: int, problem: str) -> tuple[int, str, str] | None:
    return next(((index, message, hint) for piece, message, hint in _PHRASES if piece in problem), None)
