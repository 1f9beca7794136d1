"""Problems of a spec as text, as JSON, and as annotations of GitHub Actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcs_runner.cli.text import excerpt, github_message, github_property, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.errors import Problem


def as_text(problem: Problem) -> Iterator[str]:
    """`file:line:column: path: message`, the source line, a caret under the column, and the hint."""
    yield ("warning: " if problem.warning else "") + printable(str(problem))
    if problem.source and problem.column:
        source, caret = excerpt(problem.source, problem.column)
        yield f"  {source}"
        yield f"  {caret}"
    if problem.hint:
        yield f"  hint: {printable(problem.hint)}"


def as_json(problem: Problem) -> dict[str, Any]:
    """The problem as plain values; `line` and `column` are 0 when unknown."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "path": problem.path,
        "message": problem.message,
        "hint": problem.hint,
        "source": problem.source,
        "severity": "warning" if problem.warning else "error",
    }


def as_github(problem: Problem) -> str:
    """A workflow command that GitHub shows at the line of the file."""
    properties = {"file": problem.file}
    if problem.line:
        properties |= {"line": str(problem.line), "col": str(problem.column)}
    properties["title"] = problem.path or "pcs-run validate"
    fields = ",".join(f"{name}={github_property(printable(value))}" for name, value in properties.items() if value)
    message = "\n".join(printable(part) for part in (problem.message, problem.hint and f"hint: {problem.hint}") if part)
    return f"::{'warning' if problem.warning else 'error'} {fields}::{github_message(message)}"
