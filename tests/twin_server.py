"""A twin that is served by a process of its own, as users start it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parent.parent

START_WITHIN_S, STOP_WITHIN_S = 60, 10


@dataclass(kw_only=True)
class TwinServer:
    """A server that runs, by the line that it printed, and a session with its token.

    Attributes:
        process: The process.
        line: What it printed.
    """

    process: subprocess.Popen[str]
    line: Mapping[str, Any]
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def core(self) -> str:
        return str(self.line["core"])

    @property
    def root(self) -> str:
        return self.core.removesuffix("/core-fast")

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a user whose cloud this is."""
        names = {
            "PCS_RUNNER_CORE_URL": "core",
            "PCS_RUNNER_ACCOUNT_URL": "account",
            "PCS_RUNNER_BILLING_URL": "billing",
            "PCS_RUNNER_TOKEN_URL": "token_url",
            "PASQAL_USERNAME": "username",
            "PASQAL_PASSWORD": "password",
            "PASQAL_PROJECT_ID": "project_id",
        }
        return {name: str(self.line[key]) for name, key in names.items()}

    def login(self, **changes: str) -> requests.Response:
        """A login at Auth0's form, as the clients send it."""
        form = {
            "grant_type": "http://auth0.com/oauth/grant-type/password-realm",
            "realm": "pcs-users",
            "client_id": "client",
            "audience": "https://apis.pasqal.cloud/account/api/v1",
            "username": self.line["username"],
            "password": self.line["password"],
            **changes,
        }
        return self.session.post(self.line["token_url"], data=form, timeout=30)

    def token(self) -> str:
        return str(self.login().json()["access_token"])

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request of the core API with a token."""
        if "Authorization" not in self.session.headers:
            self.session.headers["Authorization"] = f"Bearer {self.token()}"
        url = path if path.startswith("http") else self.core + path
        return self.session.request(method, url, timeout=30, **options)

    def data(self, method: str, path: str, **options: Any) -> Any:
        """The data of an answer that has to be good."""
        answer = self.ask(method, path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def batch_body(self, **changes: Any) -> dict[str, Any]:
        return {"project_id": self.line["project_id"], **changes}

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it and give its exit code."""
        self.session.close()
        self.process.send_signal(how)
        return self.process.wait(STOP_WITHIN_S)


@contextmanager
def serving(*arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[TwinServer]:
    """Start `pcs-run serve --port 0` with more arguments, and stop it in the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pcs_runner", "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
    )
    try:
        server = TwinServer(process=process, line=json.loads(_first_line(process)))
        server.session.trust_env = False
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: lines.put(process.stdout.readline() if process.stdout else ""), daemon=True).start()
    line = lines.get(timeout=START_WITHIN_S)
    assert line, f"it ended with {process.wait()}: {process.stderr.read() if process.stderr else ''}"
    return line
