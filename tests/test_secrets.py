"""Password, token and presigned signatures appear in no file, log, traceback or stream, whatever the service answers."""

from __future__ import annotations

import base64
import inspect
import logging
import os
import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
import requests

from loopback import Loopback, Received, Reply, as_json, refusal
from pcs_runner.cli import main
from pcs_runner.pcs import client as cloud_client_module
from pcs_runner.pcs.client import Wire
from pcs_runner.run import patience
from secret_scan import Secret, findings, places_below
from test_cli_login import type_into
from twin_server import ROOT, TwinServer, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PASSWORD = 'p@ss/+% "w0rd\\&=<x>; never to be seen'
"""It looks different in a form, in JSON, in a `repr` and in a shell."""

TYPED_WRONGLY = "wr0ng/+% & never to be seen either"

NAMES = ("password", "token", "signature")

SPEC = """\
version: 1
name: secret
sequence:
  device: AnalogDevice
  register: {from_coordinates: {coords: [[0, 0]]}, automatic_layout: true}
  channels: {ising: rydberg_global}
  operations: [{op: pulse, duration: t, amplitude: 6.28, detuning: 0}]
jobs: {runs: 20, sweep: {grid: {t: {arange: {start: 100, stop: 900, step: 100}}}}}
targets:
  twin: {backend: pcs, engine: qutip, batch: {chunk: 3, on_failure: {retries: 1}}}
"""


class Between:
    """Stands between the runner and a served twin: learns every secret that passes, and answers badly when told to.

    Attributes:
        secrets: Every secret that passed, by its value.
        fault: Answers in the place of the twin, or None.
    """

    def __init__(self, twin: TwinServer, front: Loopback) -> None:
        self.secrets: dict[str, Secret] = {}
        self.fault: Callable[[Received], Reply | None] = lambda _request: None
        self._twin, self._front = twin, front
        self._sessions = threading.local()
        for method in ("GET", "POST", "PATCH"):
            front.on(method, "*", self._answer)

    def environment(self) -> dict[str, str]:
        """The addresses of a user whose cloud this is."""
        names = {"CORE": "core", "ACCOUNT": "account", "BILLING": "billing", "TOKEN": "token_url"}
        return {
            f"PCS_RUNNER_{name}_URL": str(self._twin.line[key]).replace(self._twin.root, self._front.url)
            for name, key in names.items()
        }

    def learn(self, name: str, value: str) -> None:
        """Remember a secret; the head of a token is no secret."""
        public = f"{value.partition('.')[0]}." if value.count(".") == 2 else ""
        self.secrets.setdefault(value, Secret(name, value, public))

    def _answer(self, request: Received) -> Reply:
        self._learn_from(request)
        return self.fault(request) or self._forwarded(request)

    def _learn_from(self, request: Received) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer":
            self.learn("token", token)
        if "password" in request.form if b"password=" in request.body else False:
            self.learn("password", request.form["password"])

    def _forwarded(self, request: Received) -> Reply:
        if not hasattr(self._sessions, "own"):
            self._sessions.own = requests.Session()
            self._sessions.own.trust_env = False
        headers = {name: value for name, value in request.headers.items() if name not in {"connection", "accept-encoding"}}
        url = f"{self._twin.root}{request.path}{f'?{urlencode(request.query)}' if request.query else ''}"
        answer = self._sessions.own.request(request.method, url, headers=headers, data=request.raw, timeout=30)
        body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        if "access_token" in body:
            self.learn("token", body["access_token"])
        data = body.get("data")
        if isinstance(data, dict) and data.get("results_link"):
            self.learn("signature", dict(parse_qsl(urlsplit(data["results_link"]).query))["X-Amz-Signature"])
        kept = {name: value for name, value in answer.headers.items() if name.lower() == "content-type"}
        return Reply(status=answer.status_code, body=answer.content, headers=kept)


def echo(request: Received) -> str:
    """What a careless service puts into an error: what it was sent, as it is, encoded, and cut off."""
    said = [request.headers.get("authorization", ""), request.body.decode("utf-8", "replace"), request.form.get("password", "")]
    said += [value for _, value in request.query]
    return " | ".join(
        [*said, *(quote(one) for one in said), *(one[: len(one) // 2] for one in said), *(encoded(one) for one in said)]
    )


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def refused(status: int) -> Callable[[Received], Reply]:
    """The API's error."""
    return lambda request: refusal(status, "BAD", echo(request))


def page(request: Received) -> Reply:
    """A gateway's error."""
    body = f"<html><head><title>{echo(request)[:150]}</title></head><body>{echo(request)}</body></html>"
    return Reply(status=502, body=body.encode(), headers={"Content-Type": "text/html"})


def elsewhere(request: Received) -> Reply:
    """A redirect with everything in its address."""
    secret = quote(echo(request)[:2000], safe="")
    return Reply(status=307, headers={"Location": f"https://{secret[:60]}@example.org/{secret}?token={secret}#{secret}"})


def nonsense(request: Received) -> Reply:
    """A success that is none."""
    return as_json({"said": echo(request)})


def other_object(request: Received) -> Reply:
    """A success whose object has the token in its fields."""
    said = request.headers.get("authorization", "")
    return as_json({"data": {"id": said, "status": said, "jobs_count_per_status": {said: 1}, "errors": [said]}})


ANSWERS = (refused(400), refused(401), refused(403), refused(500), page, elsewhere, nonsense, other_object)


@pytest.fixture(scope="module")
def twin() -> Iterator[TwinServer]:
    with serving("--workers", "1", environment={"PCS_RUNNER_SERVE_PASSWORD": PASSWORD}) as server:
        yield server


@pytest.fixture
def between(twin: TwinServer) -> Iterator[Between]:
    with Loopback() as front:
        yield Between(twin, front)


@pytest.fixture
def environ(between: Between, twin: TwinServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A user with an empty home and quick waits; without credentials in the environment."""
    for name in [name for name in os.environ if name.startswith(("PASQAL_", "PCS_RUNNER_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    values = {
        **between.environment(),
        "PCS_RUNNER_POLL_S": "0.02",
        "PCS_RUNNER_SETTLE_S": "0.05",
        "PCS_RUNNER_PATIENCE_S": "0.01",
        "HOME": str(home),
        "TMPDIR": str(home),
        "PASQAL_CONFIG_ROOT": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", str(home))
    monkeypatch.setattr(Wire, "sleep", lambda _wire, _seconds: None)
    monkeypatch.setattr(patience, "FIRST_S", 0.01)
    monkeypatch.chdir(home)
    Path("secret.yaml").write_text(SPEC, encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"}


def use_credentials(twin: TwinServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASQAL_USERNAME", twin.line["username"])
    monkeypatch.setenv("PASQAL_PASSWORD", PASSWORD)
    monkeypatch.setenv("PASQAL_PROJECT_ID", twin.line["project_id"])


class Streams:
    """What commands printed and logged.

    Attributes:
        seen: Command -> everything that it said.
    """

    def __init__(self, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self._capfd, self._caplog = capfd, caplog
        caplog.set_level(logging.DEBUG)

    def run(self, *words: str) -> int:
        """Run a command in this process, with everything that can be said being said."""
        code = main(words)
        out, err = self._capfd.readouterr()
        for stream, text in (("stdout", out), ("stderr", err), ("the log at DEBUG", self._caplog.text)):
            self.seen.append((f"{stream} of {' '.join(words)} ({len(self.seen)})", text.encode()))
        self._caplog.clear()
        return code

    def type(self, environ: dict[str, str], answers: list[str], *words: str) -> int:
        """Run a command on a terminal of its own."""
        code, out, shown = type_into(environ, answers, *words)
        self.seen += [(f"stdout of {' '.join(words)}", out.encode()), (f"the terminal of {' '.join(words)}", shown.encode())]
        return code


def is_token_file(place: str) -> bool:
    return place.startswith("cache/pcs-runner/tokens/") and place.endswith(".json")


def kept_elsewhere(between: Between, seen: list[tuple[str, bytes]]) -> list[str]:
    """Findings in streams and in all files below the home but for the token cache."""
    below = ((place, content) for place, content in places_below(Path.cwd()) if not is_token_file(place))
    return findings([*seen, *below], between.secrets.values())


def log_in(twin: TwinServer, between: Between, environ: dict[str, str], streams: Streams) -> None:
    """Wrong password, somebody else's project, and as it should be."""
    user, project = twin.line["username"], twin.line["project_id"]
    between.fault = lambda request: refused(403)(request) if request.path.endswith("token") else None
    assert streams.type(environ, [user, TYPED_WRONGLY, project], "login", "-vv") == 3
    between.fault = lambda _: None
    assert streams.type(environ, [user, PASSWORD, "nobodys"], "login", "-vv") == 2
    assert streams.type(environ, [user, PASSWORD, project], "login", "-vv") == 0


STEPS = {
    "the batch": ("POST", "/batches"),
    "jobs": ("POST", "/jobs"),
    "a question": ("GET", "/status"),
    "a list": ("GET", "/api/v2/jobs"),
    "the link": ("GET", "/results_link"),
    "the download": ("GET", "signature"),
}
"""What is answered badly -> method, and how the path ends or what the query has."""


def meet_every_answer(between: Between, streams: Streams) -> None:
    """Runs that are answered badly at one of their steps, in several ways, each resumed until it comes to its end."""
    for n, (step, (method, mark)) in enumerate(STEPS.items()):
        codes: list[int] = []
        for answer in (*ANSWERS[n % 2 :: 2], None):

            def fault(request: Received, answer: Any = answer, method: str = method, mark: str = mark) -> Reply | None:
                hit = request.path.endswith(mark) or mark in str(request.query).lower()
                return answer(request) if hit and answer is not None and request.method == method else None

            between.fault = fault
            codes.append(
                streams.run("secret.yaml", "-t", "twin", "-o", f"run{n}", "-vv", "--json", *([] if codes else ["--new"]))
            )
        assert codes[-1] == 0, step
        assert codes.count(3) >= 3, (step, codes)


@pytest.mark.slow
def test_the_scan_finds_only_its_controls(
    twin: TwinServer,
    between: Between,
    environ: dict[str, str],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every command at its highest verbosity; then each secret is planted, once in each form, and found."""
    streams = Streams(capfd, caplog)
    log_in(twin, between, environ, streams)
    token_file = next(path for path in Path("cache").rglob("*") if path.is_file() and is_token_file(str(path)))
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(token_file.parent.stat().st_mode) == 0o700
    use_credentials(twin, monkeypatch)
    for words in (["list", "--json"], ["show", "AnalogDevice"], ["pull"]):
        streams.run("devices", *words, "-vv")
    meet_every_answer(between, streams)
    for command in ("status", "verify"):
        assert streams.run(command, "run0", "-vv", "--json") == 0
    assert streams.run("resume", "run0", "-vv", "--json") == 0
    assert streams.run("secret.yaml", "-t", "twin", "-o", "two", "--new", "--detach", "-vv", "--json") == 0
    assert streams.run("cancel", "two", "-vv", "--json") in {0, 1}
    assert streams.run("retry", "two", "-vv", "--json") in {0, 1}
    have_a_bug(streams, monkeypatch)
    assert {secret.name for secret in between.secrets.values()} == set(NAMES)
    assert {PASSWORD, TYPED_WRONGLY} <= set(between.secrets)
    assert len([secret for secret in between.secrets.values() if secret.name == "signature"]) >= 8
    assert kept_elsewhere(between, streams.seen) == []
    kept = findings([("it", token_file.read_bytes())], between.secrets.values())
    assert {line.partition(" ")[0] for line in kept} == {"token"}
    plant_and_find(between, streams)
    assert streams.run("logout", "-vv") == 0
    assert not [place for place, _ in places_below(Path.cwd()) if is_token_file(place)]


def have_a_bug(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug whose message names every object that is at hand where secrets are handled; its traceback is kept and shown."""

    def broken(response: object, outgoing: object) -> NoReturn:
        callers = [frame.frame.f_locals for frame in inspect.stack()[1:4]]
        objects = [caller[name] for caller in callers for name in ("self", "call", "outgoing") if name in caller]
        raise RuntimeError(repr((response, outgoing, *objects, *(vars(one) for one in objects if hasattr(one, "__dict__")))))

    with monkeypatch.context() as patched:
        patched.setattr(cloud_client_module, "_read", broken)
        assert streams.run("secret.yaml", "-t", "twin", "-o", "bug", "--new", "-vv", "--json") == 4
        assert streams.run("resume", "two", "-vv", "--json") in {0, 4}
        assert streams.run("verify", "run0", "-vv") == 4
    logs = [path for path in Path.cwd().rglob("*.log") if "Traceback (most recent call last)" in path.read_text()]
    assert logs


def plant_and_find(between: Between, streams: Streams) -> None:
    """The scan is no good unless it finds each secret in each form in a file, and in a database, a name and a stream."""
    secrets = {name: next(one for one in between.secrets.values() if one.name == name) for name in NAMES}
    folder = Path("run0", "planted")
    folder.mkdir()
    planted = [(name, content) for name, secret in secrets.items() for content in secret.forms.values()]
    for n, (_, content) in enumerate(planted):
        (folder / f"{n}.log").write_bytes(b"a line with " + content + b" in it\n")
    (folder / quote(secrets["password"].value, safe="")).touch()
    with closing(sqlite3.connect(folder / "copy.db")) as database:
        database.execute("CREATE TABLE kept (what BLOB)")
        database.execute("INSERT INTO kept VALUES (?)", (f"{'x' * 4000}{secrets['token'].value}{'x' * 4000}",))
        database.commit()
    said = f"Authorization: Bearer {secrets['token'].value}".encode()
    found = kept_elsewhere(between, [*streams.seen, ("a stream", said)])
    assert {line.split(" (")[0] for line in found if line.endswith("a stream")} == {"token"}
    assert any(line.startswith("token") and line.endswith("copy.db (its values)") for line in found)
    assert any(line.startswith("password") and "the name run0/planted/" in line for line in found)
    for n, (name, _) in enumerate(planted):
        assert any(line.startswith(name) and line.endswith(f" in run0/planted/{n}.log") for line in found), (name, n)
    assert not [line for line in found if "planted" not in line and not line.endswith("a stream")]
    shutil.rmtree(folder)
