"""`pcs-run login` asks on a terminal, tries what was typed, and keeps no secret in the open; `logout` forgets everything."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cloud_client import PASSWORD, TOKEN, environment, token_reply
from loopback import Loopback, as_json, data
from pcs_runner.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loopback import Reply

PROJECTS = data([{"id": "p-1", "name": "Rydberg"}, {"id": "p-2", "name": "Ising"}])

KEYRING = """
import json, pathlib
import keyring.backend

class Keyring(keyring.backend.KeyringBackend):
    priority = 1
    file = pathlib.Path({file!r})

    def _all(self):
        return json.loads(self.file.read_text()) if self.file.exists() else {{}}

    def get_password(self, service, username):
        return self._all().get(service + username)

    def set_password(self, service, username, password):
        self.file.write_text(json.dumps({{**self._all(), service + username: password}}))

    def delete_password(self, service, username):
        entries = self._all()
        del entries[service + username]
        self.file.write_text(json.dumps(entries))
"""


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as loopback:
        loopback.on("POST", "/token", token_reply())
        loopback.on("GET", "/account/api/v1/projects", PROJECTS)
        yield loopback


@pytest.fixture
def environ(server: Loopback, tmp_path: Path) -> dict[str, str]:
    """A user who has never logged in, and whose keyring is off."""
    own = environment(server, tmp_path)
    for name in ("PASQAL_USERNAME", "PASQAL_PASSWORD", "PASQAL_PROJECT_ID"):
        del own[name]
    folders = {name: str(tmp_path / name.lower()) for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    return {**kept, **own, **folders, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", "TERM": "dumb"}


def with_keyring(environ: dict[str, str], folder: Path) -> Path:
    """Switch a keyring on that keeps its entries in a file; the file."""
    pytest.importorskip("keyring")
    file = folder / "keyring.json"
    (folder / "file_keyring.py").write_text(KEYRING.format(file=str(file)))
    environ["PYTHON_KEYRING_BACKEND"] = "file_keyring.Keyring"
    environ["PYTHONPATH"] = os.pathsep.join([str(folder), environ.get("PYTHONPATH", "")])
    return file


def type_into(environ: dict[str, str], answers: list[str], *arguments: str) -> tuple[int, str, str]:
    """Run `pcs-run` on a terminal and answer its questions; exit code, stdout, and what the terminal showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pcs_runner", *arguments], env=environ, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE
    )
    os.close(theirs)
    shown, end = "", time.monotonic() + 30
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                shown += os.read(ours, 4096).decode()
            except OSError:
                break
        if answers and re.search(r": ?$", shown) and process.poll() is None:
            os.write(ours, f"{answers.pop(0)}\n".encode())
            shown += "|"
    output = process.communicate(timeout=10)[0].decode()
    os.close(ours)
    return process.returncode, output, shown


def run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pcs_runner", *arguments], env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


def everything_below(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file() and path.suffix in (".json", ".log"))


def test_login_asks_tries_and_keeps_the_password_in_the_keyring(
    server: Loopback, environ: dict[str, str], tmp_path: Path
) -> None:
    keyring = with_keyring(environ, tmp_path)
    code, output, shown = type_into(environ, ["ada@example.com", PASSWORD, "p-1"], "login")
    assert (code, output) == (0, "logged in as ada@example.com, project p-1\n"), shown
    assert f"Logging in at {server.url.removeprefix('http://')}" in shown
    assert "p-2  Ising" in shown
    assert PASSWORD not in shown
    assert server.calls("POST")[0].form["password"] == PASSWORD
    assert PASSWORD in keyring.read_text()
    keyring.rename(tmp_path / "kept")
    assert PASSWORD not in everything_below(tmp_path)
    (tmp_path / "kept").rename(keyring)
    again = run({**environ, "XDG_CACHE_HOME": str(tmp_path / "empty")}, "logout")
    assert (again.returncode, again.stdout) == (0, "forgot 0 tokens and 1 password\n")
    assert PASSWORD not in keyring.read_text()


def test_without_a_keyring_the_password_is_not_kept(server: Loopback, environ: dict[str, str], tmp_path: Path) -> None:
    code, output, shown = type_into(environ, ["ada@example.com", PASSWORD, ""], "login")
    assert (code, output) == (0, "logged in as ada@example.com, project not set\n")
    assert "the password is not kept: " in shown
    assert PASSWORD not in everything_below(tmp_path)
    assert TOKEN in everything_below(tmp_path)
    done = run(environ, "logout")
    assert (done.returncode, done.stdout) == (0, "forgot 1 token and 0 passwords\n")
    assert TOKEN not in everything_below(tmp_path)
    assert "ada" not in everything_below(tmp_path)


def test_a_wrong_password_is_not_kept(server: Loopback, environ: dict[str, str], tmp_path: Path) -> None:
    refused: Reply = as_json({"error": "invalid_grant", "error_description": "Wrong email or password."}, 403)
    server.on("POST", "/token", refused)
    code, output, shown = type_into(environ, ["ada@example.com", PASSWORD, "p-1"], "login")
    host = server.url.removeprefix("http://")
    assert (code, output) == (3, "")
    assert f"error: {host} refuses user name or password of what you typed: Wrong email or password." in shown
    assert "next: pcs-run login" in shown
    assert everything_below(tmp_path) == ""


def test_a_project_of_somebody_else_is_refused(environ: dict[str, str]) -> None:
    code, output, shown = type_into(environ, ["ada@example.com", PASSWORD, "p-9"], "login")
    assert (code, output) == (2, "")
    assert "error: p-9 is not one of your active projects" in shown
    assert "p-1  Rydberg" in shown


def test_a_token_command_takes_the_place_of_the_password(server: Loopback, environ: dict[str, str], tmp_path: Path) -> None:
    command = f"{sys.executable} -c 'print(\"{TOKEN}\")'"
    code, output, shown = type_into(environ, ["p-2"], "login", "--token-command", command)
    assert (code, output) == (0, "logged in, project p-2\n"), shown
    assert server.calls("POST") == []
    assert server.calls("GET")[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_without_a_terminal_the_variables_are_named(server: Loopback, environ: dict[str, str]) -> None:
    done = run(environ, "login")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: there is no terminal to ask on\n"
        "hint: In a script set PASQAL_USERNAME, PASQAL_PASSWORD and PASQAL_PROJECT_ID; they need no login.\n"
        "next: pcs-run login\n"
    )
    assert server.received == []


def test_logout_says_what_the_environment_still_holds(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PASQAL_PASSWORD", PASSWORD)
    assert main(["logout"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "forgot 0 tokens and 0 passwords\n"
    assert captured.err == "PASQAL_PASSWORD in your environment is still used\n"
