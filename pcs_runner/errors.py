"""Every failure the user can meet: what it says, and the exit code it ends the command with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a spec, and where.

    Attributes:
        message: What is wrong, with the value and the limit; no position, no trailing full stop.
        file: The spec as the user named it, empty when the problem has no file.
        line: 1-based, 0 when unknown.
        column: 1-based, in code points, 0 when unknown.
        path: Where in the data, for example `sequence.operations[2].amplitude`; empty for the whole document.
        hint: What to do now, one sentence, or empty.
        source: The source line, with the values of secrets masked, or empty.
        warning: True when nothing is refused because of it.
    """

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""
    hint: str = ""
    source: str = ""
    warning: bool = False

    def __str__(self) -> str:
        """`file:line:column: path: message`, as an editor or a terminal can click it."""
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (where, self.path, self.message) if part)


class PcsRunnerError(Exception):
    """A failure with an exit code and a next step.

    Args:
        message: What happened and where.
        hint: What to do now: a sentence or the next command to type.
    """

    exit_code = 4

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PcsRunnerError):
    """The command line, a folder or a plan was refused; nothing was sent."""

    exit_code = 2


class SpecError(UsageError):
    """A spec with problems, sorted by position; nothing was sent.

    Args:
        problems: At least one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column, p.path, p.message)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ServiceError(PcsRunnerError):
    """The service refused, could not be reached, or answered nonsense; the run can be resumed."""

    exit_code = 3


class RunHeldError(ServiceError):
    """Another process holds the run; its host and pid are in the message."""


class StorageError(PcsRunnerError):
    """The disk is full or not writable after something was sent; the run can be resumed."""

    exit_code = 3


class InterruptedRunError(PcsRunnerError):
    """Ctrl-C or SIGTERM; the run can be resumed."""

    exit_code = 130
