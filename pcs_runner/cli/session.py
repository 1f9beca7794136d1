"""One invocation of `pcs-run`: what goes to stdout, what goes to stderr, and what is known when it fails."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from pcs_runner.cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from rich.console import Console


@dataclass(slots=True, kw_only=True)
class Session:
    """The state of one command, shared by its parts. stdout is for programs and results, stderr for people.

    Attributes:
        arguments: The command line after `pcs-run`.
        quiet: Say nothing but errors on stderr.
        verbose: 0, 1 (what the runner does) or 2 (also tracebacks).
        json: Events and errors as JSON Lines on stdout.
        folder: The run folder, once it is known.
        sent: Whether something may have reached the service.
        next_command: What to type after a failure that does not say so itself.
    """

    arguments: tuple[str, ...] = ()
    quiet: bool = False
    verbose: int = 0
    json: bool = False
    folder: Path | None = None
    sent: bool = False
    next_command: str = "pcs-run --help"
    _console: Console | None = field(default=None, init=False)

    @property
    def console(self) -> Console:
        """The rich console on stderr: no markup, no highlighting; colour only on a terminal and without NO_COLOR."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
        return self._console

    def say(self, *lines: str, style: str | None = None) -> None:
        """Lines for people, on stderr; nothing when quiet. Text from files must be `printable` already."""
        if not self.quiet:
            self.complain(*lines, style=style)

    def complain(self, *lines: str, style: str | None = None) -> None:
        """Lines for people, on stderr, quiet or not."""
        for line in lines:
            _unless_closed(sys.stderr, lambda line=line: self.console.print(line, style=style))  # type: ignore[misc]

    def labelled(self, label: str, text: str, *, style: str) -> None:
        """`label: text` on stderr, with the label in colour."""
        from rich.text import Text

        line = Text.assemble((f"{label}:", style), " ", text)
        _unless_closed(sys.stderr, lambda: self.console.print(line))

    def out(self, *lines: str) -> None:
        """Lines of the result, on stdout, as they are."""
        text = "".join(f"{line}\n" for line in lines)
        _unless_closed(sys.stdout, lambda: sys.stdout.write(text))
        _unless_closed(sys.stdout, sys.stdout.flush)

    def out_json(self, value: Any) -> None:
        """A JSON document in one line, on stdout; ASCII, so that it survives every locale."""
        self.out(json.dumps(value, default=str))

    def event(self, kind: str, **data: Any) -> None:
        """One line of the JSON event stream, when it is wanted."""
        if self.json:
            self.out_json({"event": kind, **data})


def command_line(*words: str | Path) -> str:
    """A command that can be pasted into a shell."""
    return printable(shlex.join(["pcs-run", *(str(word) for word in words)]))


def bullets(lines: Iterable[str]) -> list[str]:
    """The lines, indented by two."""
    return [f"  {line}" for line in lines]


def _unless_closed(stream: TextIO, write: Callable[[], object]) -> None:
    """Write; when nobody reads any more (`| head`), go on in silence: a run is not given up for that.

    Raises:
        OSError: The stream cannot be written (a full disk); what it still holds is dropped, so that leaving does not fail again.
    """
    try:
        write()
    except (BrokenPipeError, SystemExit):  # SystemExit is rich's answer to a broken pipe
        _silence(stream)
    except OSError:
        _silence(stream)
        raise


def _silence(stream: TextIO) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
