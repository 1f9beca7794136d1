"""The real YAML language server, from npm, and a client that speaks the Language Server Protocol to it over stdio."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import platformdirs
import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = "yaml-language-server@1.25.0"
TIMEOUT_S = 60.0
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "ERR_SOCKET_TIMEOUT")
SETTINGS = {"yaml": {"schemaStore": {"enable": False}, "validate": True, "hover": True, "completion": True}}


def server_script() -> Path:
    """The server's entry point, installed once into the user's cache.

    Skips the test where npm is missing or no registry answers; fails instead where `CI` is set.
    """
    folder = platformdirs.user_cache_path("pcs-runner-tests") / PACKAGE
    script = folder / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock", timeout=600):
        if not script.is_file():
            _install(folder)
    return script


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        absent("npm and node are not installed")
        return
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    command = [npm, "install", "--prefix", str(new), "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
    done = subprocess.run(command, cwd=new, capture_output=True, text=True, timeout=300)
    if done.returncode and any(code in done.stderr for code in UNREACHABLE):
        absent("no npm registry answers")
    assert done.returncode == 0, done.stderr
    new.rename(folder)


def absent(reason: str) -> None:
    """Something that a test needs is not on this machine: skip it, but fail where `CI` is set and every test must run."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, and CI is set")
    pytest.skip(reason)


class LanguageServer:
    """One conversation with a server; documents are known by their file.

    Args:
        process: The server, with pipes as stdin and stdout.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin: IO[bytes] = process.stdin
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._published: queue.Queue[dict[str, Any]] = queue.Queue()
        self._found: dict[str, list[dict[str, Any]]] = {}
        self._number = 0
        threading.Thread(target=self._read, args=(process.stdout,), daemon=True).start()

    def diagnostics(self, path: Path, text: str) -> list[dict[str, Any]]:
        """Open a document, and what the server finds wrong with it."""
        self.open(path, text)
        return self.found(path)

    def open(self, path: Path, text: str) -> None:
        """Open a document; each is opened once."""
        document = {"uri": path.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def found(self, path: Path) -> list[dict[str, Any]]:
        """What the server finds wrong with a document that is open."""
        while path.as_uri() not in self._found:
            published = self._published.get(timeout=TIMEOUT_S)
            self._found[published["uri"]] = published["diagnostics"]
        return self._found[path.as_uri()]

    def at(self, method: str, path: Path, place: tuple[int, int]) -> Any:
        """Ask `completion` or `hover` of a document at a 0-based line and character."""
        position = {"line": place[0], "character": place[1]}
        return self.ask(f"textDocument/{method}", {"textDocument": {"uri": path.as_uri()}, "position": position})

    def ask(self, method: str, parameters: Any) -> Any:
        """The result of a request."""
        self._number += 1
        self._send({"id": self._number, "method": method, "params": parameters})
        while True:
            answer = self._answers.get(timeout=TIMEOUT_S)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def notify(self, method: str, parameters: Any) -> None:
        """Say something that has no answer."""
        self._send({"method": method, "params": parameters})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._stdin.flush()

    def _read(self, stream: IO[bytes]) -> None:
        while line := stream.readline():
            if not line.lower().startswith(b"content-length:"):
                continue
            stream.readline()
            message = json.loads(stream.read(int(line.partition(b":")[2])))
            if "id" in message and "method" in message:
                self._send({"id": message["id"], "result": self._wish(message)})
            elif "id" in message:
                self._answers.put(message)
            elif message["method"] == "textDocument/publishDiagnostics":
                self._published.put(message["params"])

    def _wish(self, message: dict[str, Any]) -> Any:
        """Our answer to a request of the server: its settings, else nothing."""
        if message["method"] != "workspace/configuration":
            return None
        return [SETTINGS.get(item.get("section"), {}) for item in message["params"]["items"]]


@contextmanager
def language_server(root: Path) -> Iterator[LanguageServer]:
    """A server that is ready, and stopped at the end."""
    command = ["node", str(server_script()), "--stdio"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            server = LanguageServer(process)
            formats = {"contentFormat": ["markdown", "plaintext"]}
            abilities = {
                "textDocument": {"completion": {"completionItem": {"snippetSupport": True}}, "hover": formats},
                "workspace": {"configuration": True},
            }
            server.ask("initialize", {"processId": os.getpid(), "rootUri": root.as_uri(), "capabilities": abilities})
            server.notify("initialized", {})
            server.notify("workspace/didChangeConfiguration", {"settings": SETTINGS})
            yield server
            server.ask("shutdown", None)
            server.notify("exit", None)
            process.wait(TIMEOUT_S)
        finally:
            process.kill()
