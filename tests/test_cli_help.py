"""`--help`, `--version` and completion answer at once and load nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pcs_runner import __version__
from pcs_runner.cli.group import COMMANDS

HEAVY = ("pulser", "pydantic", "jsonschema", "requests", "rich", "numpy", "numba", "yaml", "sqlite3")


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pcs_runner", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_help_lists_every_command() -> None:
    finished = _run("--help")
    assert (finished.returncode, finished.stderr) == (0, "")
    listed = finished.stdout.split("Commands:\n")[1].split("\n\n")[0]
    assert tuple(line.split()[0] for line in listed.splitlines()) == COMMANDS
    assert "..." not in listed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    finished = _run(command, "-h")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.startswith(f"Usage: pcs-run {command} ")


def test_version() -> None:
    finished = _run("--version")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, f"pcs-run {__version__}\n", "")


def test_help_loads_nothing_heavy() -> None:
    code = f"import sys; from pcs_runner.cli import main; main(['--help']); print([m for m in {HEAVY!r} if m in sys.modules])"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "at", "completions"),
    [
        ("pcs-run va", "1", "plain,validate\n"),
        ("pcs-run specs/ra", "1", "file,specs/ra\n"),
        ("pcs-run validate specs/ra", "2", "file,specs/ra\n"),
        ("pcs-run status runs/", "2", "dir,runs/\n"),
        ("pcs-run validate --form", "2", "plain,--format\n"),
    ],
)
def test_bash_completes(words: str, at: str, completions: str) -> None:
    finished = _run(_PCS_RUN_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=at)
    assert finished.stdout == completions
