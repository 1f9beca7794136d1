"""Every way a command can end has its exit code, one message and the next command to type."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pcs_runner.cli import main
from pcs_runner.cli.session import Session
from pcs_runner.errors import (
    InterruptedRunError,
    PcsRunnerError,
    Problem,
    RunHeldError,
    ServiceError,
    SpecError,
    StorageError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make `pcs-run schema` end with an error of the test's choice."""

    def install(error: BaseException) -> None:
        def fail(*_arguments: Any) -> NoReturn:
            raise error

        monkeypatch.setattr(Session, "out", fail)

    return install


CASES = [
    (UsageError("no such target", hint="pcs-run plan a.yaml"), 2, "error: no such target\nnext: pcs-run plan a.yaml\n"),
    (UsageError("no such target", hint="Say one."), 2, "error: no such target\nhint: Say one.\nnext: pcs-run --help\n"),
    (ServiceError("unreachable"), 3, "error: unreachable\nnext: pcs-run schema\n"),
    (RunHeldError("held by pid 7 on box"), 3, "error: held by pid 7 on box\nnext: pcs-run schema\n"),
    (StorageError("disk full"), 3, "error: disk full\nnext: pcs-run schema\n"),
    (ServiceError("503", hint="Resume it with `pcs-run resume runs/x`."), 3, "error: 503\nnext: pcs-run resume runs/x\n"),
    (
        StorageError("full", hint="Make room, then go on. Resume it with `pcs-run resume runs/x`."),
        3,
        "error: full\nhint: Make room, then go on.\nnext: pcs-run resume runs/x\n",
    ),
    (InterruptedRunError("stopped"), 130, "error: stopped\nnext: pcs-run schema\n"),
    (KeyboardInterrupt(), 130, "error: interrupted; nothing was sent\nnext: pcs-run schema\n"),
    (
        OSError(errno.ENOSPC, "No space left on device", "runs/x"),
        2,
        "error: No space left on device: runs/x\nhint: Free some space, then go on.\nnext: pcs-run --help\n",
    ),
    (PermissionError(errno.EACCES, "Permission denied", "runs"), 2, "error: Permission denied: runs\nnext: pcs-run --help\n"),
]


@pytest.mark.parametrize(("error", "code", "message"), CASES, ids=[type(case[0]).__name__ for case in CASES])
def test_a_failure_is_one_message_and_the_next_command(
    failing: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    message: str,
) -> None:
    failing(error)
    assert main(["schema"]) == code
    assert capsys.readouterr().err == message


def test_problems_are_printed_with_their_source(
    failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(SpecError([Problem(message="bad", file="a.yaml", line=2, column=3, source="a: b"), Problem(message="no")]))
    assert main(["schema"]) == 2
    assert capsys.readouterr().err == (
        "no\na.yaml:2:3: bad\n  a: b\n    ^\nerror: 2 problems, nothing was sent\nnext: pcs-run --help\n"
    )


@pytest.mark.parametrize("error", [RuntimeError("oh \x1b[1m"), PcsRunnerError("oh \x1b[1m")])
def test_a_bug_leaves_its_traceback_in_a_file(
    failing: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: Exception,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(error)
    assert main(["schema"]) == 4
    (log,) = tmp_path.iterdir()
    stderr = capsys.readouterr().err
    assert stderr.splitlines()[0].startswith("error: this is a bug in pcs-run: ")
    assert stderr.splitlines()[0].endswith(f"oh \\x1b[1m; traceback in {log}")
    assert stderr.splitlines()[1:] == ["next: pcs-run schema -vv"]
    assert "Traceback (most recent call last)" in log.read_text()


def test_twice_verbose_shows_the_traceback(
    failing: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(RuntimeError("oh"))
    assert main(["schema", "-vv"]) == 4
    assert capsys.readouterr().err.startswith("Traceback (most recent call last)")


@pytest.mark.parametrize(
    ("arguments", "usage", "message", "next_command"),
    [
        (["run"], "pcs-run run [OPTIONS] SPEC", "Missing argument 'SPEC'.", "pcs-run run --help"),
        (["-t", "x"], "pcs-run run [OPTIONS] SPEC", "Missing argument 'SPEC'.", "pcs-run run --help"),
        (["plan", "a", "b"], "pcs-run plan [OPTIONS] SPEC", "Got unexpected extra argument (b)", "pcs-run plan --help"),
        (
            ["validat", "a.yaml"],
            "pcs-run [OPTIONS] COMMAND [ARGS]...",
            "no command and no file 'validat'; did you mean 'validate'?",
            "pcs-run --help",
        ),
    ],
)
def test_a_wrong_command_line_is_refused_with_the_help_to_read(
    capsys: pytest.CaptureFixture[str], arguments: list[str], usage: str, message: str, next_command: str
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"Usage: {usage}\nerror: {message}\nnext: {next_command}\n"


def test_a_folder_without_a_run_lists_the_runs_there_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["status", "nowhere"]) == 2
    assert capsys.readouterr().err == ("error: nowhere does not exist, and there are no runs below runs/\nnext: pcs-run init\n")
    for name in ("runs/b/20260101T000000Z-00000001", "runs/a/20260102T000000Z-00000002"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "journal.db").touch()
    assert main(["resume", "runs/b"]) == 2
    assert capsys.readouterr().err == (
        "error: runs/b holds no run; runs here, newest last:\n  runs/b/20260101T000000Z-00000001\n"
        "next: pcs-run resume runs/b/20260101T000000Z-00000001\n"
    )
    assert main(["cancel", "nowhere"]) == 2
    assert capsys.readouterr().err == (
        "error: nowhere does not exist; runs here, newest last:\n"
        "  runs/b/20260101T000000Z-00000001\n  runs/a/20260102T000000Z-00000002\n"
        "next: pcs-run cancel runs/a/20260102T000000Z-00000002\n"
    )


def test_json_ends_with_the_error(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["status", "nowhere", "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {
        "event": "error",
        "exit_code": 2,
        "message": "nowhere does not exist, and there are no runs below runs/",
        "hint": "",
        "next": "pcs-run init",
    }


def _pcs_run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pcs_runner", *arguments], text=True, check=False, **options)


def test_a_reader_that_goes_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        finished = _pcs_run("schema", stdout=pipe, stderr=subprocess.PIPE)
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_stdout_is_said_once() -> None:
    with Path("/dev/full").open("w") as full:
        finished = _pcs_run("schema", stdout=full, stderr=subprocess.PIPE)
    assert finished.returncode == 2
    assert finished.stderr == ("error: No space left on device\nhint: Free some space, then go on.\nnext: pcs-run --help\n")
