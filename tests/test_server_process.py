"""`pcs-run serve` as a process: its line, its end, its memory on disk, and whom it lets in."""

from __future__ import annotations

import json
import re
import signal
import stat
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import requests

from pcs_runner.cli import main
from pcs_runner.emulator.server.webhooks import is_loopback
from twin_sequences import PI_OMEGA, rabi
from twin_server import TwinServer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def create(server: TwinServer, count: int = 1, **changes: Any) -> dict[str, Any]:
    jobs = [{"runs": 10, "variables": {"omega": PI_OMEGA}}] * count
    body = server.batch_body(**{"sequence_builder": rabi(), "jobs": jobs, "device_type": "EMU_FREE", **changes})
    batch: dict[str, Any] = server.data("POST", "/api/v1/batches", json=body)
    return batch


def wait_for(server: TwinServer, batch_id: str, status: str) -> None:
    end = time.monotonic() + 180
    while (now := server.data("GET", f"/api/v1/batches/{batch_id}/status"))["status"] != status:
        assert time.monotonic() < end, now
        time.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_one_line_and_a_clean_end(how: signal.Signals) -> None:
    with serving() as server:
        assert list(server.line) == ["core", "account", "billing", "token_url", "project_id", "username", "password", "pid"]
        assert server.line["pid"] == server.process.pid
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/core-fast", server.core)
        assert server.ask("GET", "/api/v1/batches").json()["data"] == []
        begin = time.monotonic()
        assert server.stop(how) == 0
        assert time.monotonic() - begin < 5
        assert server.process.stdout is not None
        assert server.process.stdout.read() == ""


def test_a_killed_server_goes_on_where_it_was(tmp_path: Path) -> None:
    """Same ids, same password, tokens and links stay good, unfinished jobs run."""
    data = tmp_path / "data"
    with serving("--data", str(data), "--workers", "1") as first:
        batch = create(first, count=40, tags=["mine"], open=True)
        token, port = first.token(), first.root.rpartition(":")[2]
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert stat.S_IMODE((data / "serve.key").stat().st_mode) == 0o600
        first.process.kill()
        first.process.wait()
    with serving("--data", str(data), "--workers", "1", "--port", port) as second:
        assert second.line["password"] == first.line["password"]
        second.session.headers["Authorization"] = f"Bearer {token}"
        assert [one["id"] for one in second.data("GET", "/api/v1/batches", params={"tag": "mine"})] == [batch["id"]]
        second.data("PATCH", f"/api/v2/batches/{batch['id']}/complete")
        wait_for(second, batch["id"], "DONE")
        jobs = second.data("GET", "/api/v2/jobs", params={"batch_id": batch["id"]})
        assert {job["status"] for job in jobs} == {"DONE"}
        link = second.data("GET", f"/api/v1/jobs/{jobs[0]['id']}/results_link")["results_link"]
        second.stop()
    with serving("--data", str(data), "--port", port):
        assert requests.get(link, timeout=30).json()["counter"] == {"1": 10}


def test_one_server_for_each_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving("--data", str(tmp_path)):
        assert main(["serve", "--port", "0", "--data", str(tmp_path)]) == 2
    assert "is used by another pcs-run serve" in capsys.readouterr().err


def test_tokens_and_links_end() -> None:
    with serving("--token-lifetime", "1.5", "--link-lifetime", "1") as server:
        assert server.login().json()["expires_in"] == 1.5
        batch = create(server)
        begin = time.monotonic()
        link = None
        while link is None:
            server.session.headers["Authorization"] = f"Bearer {server.token()}"
            job = server.data("GET", "/api/v2/jobs", params={"batch_id": batch["id"]})[0]["id"]
            link = server.data("GET", f"/api/v1/jobs/{job}/results_link")["results_link"]
            assert time.monotonic() - begin < 180
        time.sleep(2.1)
        assert (requests.get(link, timeout=30).status_code, "expired" in requests.get(link, timeout=30).text) == (403, True)
        answer = server.ask("GET", "/api/v1/batches")
        assert (answer.status_code, answer.json()["message"]) == (401, "the bearer token has expired")


def test_an_idle_open_batch_times_out() -> None:
    with serving("--idle-timeout", "0.5") as server:
        batch = create(server, jobs=[], open=True)
        wait_for(server, batch["id"], "TIMED_OUT")
        answer = server.ask("POST", f"/api/v2/batches/{batch['id']}/jobs", json=[{"runs": 1, "variables": {"omega": 0}}])
        assert (answer.status_code, answer.json()["code"]) == (400, "BATCH_ENDED")


def test_latency_delays_the_answer_not_the_work() -> None:
    with serving("--latency", "300") as server:
        server.token()
        begin = time.monotonic()
        assert requests.get(f"{server.core}/api/v1/batches", timeout=30).status_code == 401
        assert 0.3 <= time.monotonic() - begin < 5


def test_a_password_and_a_token_from_the_environment() -> None:
    environment = {"PCS_RUNNER_SERVE_PASSWORD": "my own", "PCS_RUNNER_SERVE_TOKEN": "my-token"}
    with serving("--username", "ada", "--pricing", "hour", environment=environment) as server:
        assert (server.line["username"], server.line["password"]) == ("ada", "my own")
        assert server.login().status_code == 200
        assert server.login(password="wrong").status_code == 403
        server.session.headers["Authorization"] = "Bearer my-token"
        project = {"project_id": server.line["project_id"]}
        terms = server.data("GET", f"{server.line['billing']}/api/v1/contracts", params=project)
        assert terms["qpu_pricing"]["metric"] == "hour"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 is not a loopback address: other machines could run jobs here"),
        (["--host", "0.0.0.0", "--allow-remote"], "no password or token was given"),
        (["--host", "example.invalid", "--allow-remote"], "no password or token was given"),
    ],
)
def test_other_machines_are_not_let_in_by_accident(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PCS_RUNNER_SERVE_PASSWORD", "PCS_RUNNER_SERVE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert main(["serve", "--port", "0", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


def test_other_machines_are_let_in_when_it_is_said_twice() -> None:
    with serving("--host", "0.0.0.0", "--allow-remote", environment={"PCS_RUNNER_SERVE_PASSWORD": "x" * 20}) as server:
        port = server.root.rpartition(":")[2]
        assert requests.get(f"http://127.0.0.1:{port}/core-fast/api/v1/batches", timeout=30).status_code == 401


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as server:
        assert main(["serve", "--port", server.root.rpartition(":")[2]]) == 2
    assert "cannot be listened on: Address already in use" in capsys.readouterr().err


def test_what_to_install(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcs_runner.cli.serve.find_spec", lambda name: None if name == "uvicorn" else name)
    assert main(["serve"]) == 2
    err = capsys.readouterr().err
    assert "`pcs-run serve` needs uvicorn, which this installation lacks" in err
    assert "pip install 'pcs-runner[server]'" in err


@pytest.fixture
def listener() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook: its URL, and what it was told."""
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if len(told) == 1 else 204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            pass

    hook = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{hook.server_port}/hook?run=1", told
    hook.shutdown()
    hook.server_close()


def test_a_webhook_is_told_of_every_job_once(listener: tuple[str, list[dict[str, Any]]]) -> None:
    url, told = listener
    with serving("--workers", "1") as server:
        batch = create(server, count=3, webhook=url)
        wait_for(server, batch["id"], "DONE")
        end = time.monotonic() + 120
        while len(told) < 3:
            assert time.monotonic() < end
            time.sleep(0.05)
        jobs = server.data("GET", "/api/v2/jobs", params={"batch_id": batch["id"], "order_by_direction": "ASC"})
        time.sleep(0.5)
    assert [one["id"] for one in told] == [job["id"] for job in jobs]
    assert told[0]["result"]["counter"] == {"1": 10}


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("http://127.0.0.1:9/x", True),
        ("http://localhost/x", True),
        ("http://[::1]:80/", True),
        ("https://127.0.0.1/", False),
        ("http://10.0.0.1/", False),
        ("http://localhost.example.org/", False),
        ("http://127.0.0.1@example.org/", False),
        ("http://127.0.0.1:99999/", False),
        ("file:///etc/passwd", False),
        ("nonsense", False),
    ],
)
def test_only_this_machine_is_told(url: str, good: bool) -> None:
    assert is_loopback(url) is good
