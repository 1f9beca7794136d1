"""The one place where a failure becomes a message and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcs_runner.cli.group import cli
from pcs_runner.cli.session import Session, command_line
from pcs_runner.cli.signals import stoppable
from pcs_runner.cli.text import plural, printable
from pcs_runner.errors import PcsRunnerError, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DONE, JOBS_FAILED, REFUSED, RESUMABLE, BUG, INTERRUPTED = 0, 1, 2, 3, 4, 130

_LAST_SENTENCE = re.compile(r"(?:^|(?<=[.!?] ))[^.!?`]*`(?P<command>pcs-run [^`]+)`\.?$")

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and say how it ended.

    Args:
        arguments: The words after `pcs-run`; default: those of this process.

    Returns:
        0 done; 1 finished, some job failed or extra batches or jobs were found; 2 refused, nothing was sent; 3 service or disk,
        resumable; 4 a bug; 130 interrupted, resumable.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    session = Session(arguments=tuple(words))
    _survive_any_locale()
    if "_PCS_RUN_COMPLETE" in os.environ:
        cli.main(words, prog_name="pcs-run")
    try:
        with stoppable():
            try:
                return _invoke(words, session)
            except BaseException as error:  # noqa: BLE001  every end of a command passes here
                return _report(error, session)
    except KeyboardInterrupt as error:
        return _report(error, session)


def _invoke(words: list[str], session: Session) -> int:
    try:
        with cli.make_context("pcs-run", words, obj=session) as context:
            code = cli.invoke(context)
    except click.exceptions.Exit as finished:
        return finished.exit_code
    return code if isinstance(code, int) else DONE


def _report(error: BaseException, session: Session) -> int:
    """Print the failure and the next command; its exit code."""
    if isinstance(error, SpecError):
        return _report_problems(error, session)
    if isinstance(error, click.ClickException):
        return _report_usage(error, session)
    if isinstance(error, PcsRunnerError):
        if error.exit_code == BUG:
            return _report_bug(error, session)
        return _finish(session, error.exit_code, error.message, error.hint)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        outcome = "is lost" if session.sent else "was sent"
        return _finish(session, INTERRUPTED, f"interrupted; nothing {outcome}")
    if isinstance(error, OSError) and error.errno is not None:
        return _report_disk(error, session)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else BUG
    return _report_bug(error, session)


def _report_problems(error: SpecError, session: Session) -> int:
    from pcs_runner.cli.problems import as_json, as_text

    for problem in error.problems:
        session.complain(*as_text(problem))
    refused = sum(not problem.warning for problem in error.problems)
    extra = {"problems": [as_json(problem) for problem in error.problems]}
    return _finish(session, error.exit_code, plural(refused, "problem") + ", nothing was sent", extra=extra)


def _report_usage(error: click.ClickException, session: Session) -> int:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        session.complain(error.format_message())
        return REFUSED
    if context is not None:
        session.complain(printable(context.get_usage()))
        name = context.info_name if context.parent is not None else ""
        session.next_command = command_line(*([name] if name else []), "--help")
    return _finish(session, REFUSED, error.format_message())


def _report_disk(error: OSError, session: Session) -> int:
    """A file or a disk refused: the machine's state, not a bug."""
    where = f": {error.filename}" if error.filename else ""
    hint = "Free some space, then go on." if error.errno in _FULL else ""
    return _finish(session, RESUMABLE if session.sent else REFUSED, f"{error.strerror}{where}", hint)


def _report_bug(error: BaseException, session: Session) -> int:
    import traceback

    text = "".join(traceback.format_exception(error))
    if session.verbose > 1:
        session.complain(printable(text, keep="\n").rstrip())
    summary = traceback.format_exception_only(error)[-1].strip()
    where = _keep(text, session.folder)
    at = f"; traceback in {where}" if where else ""
    return _finish(session, BUG, f"this is a bug in pcs-run: {summary}{at}")


def _keep(text: str, folder: Path | None) -> Path | None:
    """Append a traceback to the run's log, or put it into a temporary file; where it is now."""
    if folder is not None:
        log = folder / "run.log"
        with contextlib.suppress(OSError):
            log.touch(mode=0o600)
            with log.open("a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
            return log
    import tempfile

    with contextlib.suppress(OSError):
        descriptor, name = tempfile.mkstemp(prefix="pcs-run-", suffix=".log")
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123  a descriptor
            file.write(text)
        return Path(name)
    return None


def _finish(session: Session, code: int, message: str, hint: str = "", *, extra: Mapping[str, object] | None = None) -> int:
    """`error:`, `hint:` and `next:` on stderr, and the last event of the JSON stream."""
    hint, command = _split(hint)
    command = command or _next(session, code)
    session.labelled("error", printable(message, keep="\n"), style="bold red")
    if hint:
        session.labelled("hint", printable(hint, keep="\n"), style="bold")
    session.labelled("next", command, style="bold")
    session.event("error", exit_code=code, message=message, hint=hint, next=command, **(extra or {}))
    return code


def _split(hint: str) -> tuple[str, str]:
    """A hint without the command that it ends with, and that command: `pcs-run ...`, bare or in a sentence of its own."""
    if hint.startswith("pcs-run "):
        return "", hint
    found = _LAST_SENTENCE.search(hint)
    return (hint[: found.start()].strip(), found["command"]) if found else (hint, "")


def _next(session: Session, code: int) -> str:
    """The command to type after a failure that does not name one."""
    if code in (RESUMABLE, INTERRUPTED) and session.folder is not None:
        return command_line("resume", session.folder)
    if code == BUG:
        return command_line(*(word for word in session.arguments if word not in {"-v", "-vv", "--verbose"}), "-vv")
    if code in (RESUMABLE, INTERRUPTED):
        return command_line(*session.arguments)
    return session.next_command


def _survive_any_locale() -> None:
    """A character that the terminal's encoding lacks becomes an escape, not a crash."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
