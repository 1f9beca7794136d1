"""A server that wants to do harm, over real HTTP: answers without end, bombs, and text that means something to a terminal."""

from __future__ import annotations

import json
import os
import stat
import threading
import time as real_time
import tracemalloc
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud_client import BATCH, Time, client, environment, token_reply
from loopback import Loopback, Reply, data
from pcs_runner.cli import main
from pcs_runner.pcs.answers import UnavailableError
from pcs_runner.pcs.calls import Limits
from pcs_runner.pcs.errors import PcsError
from small_plan import Bench, small_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = "/core/api/v2/batches/b-1"
LINK = "/core/api/v1/jobs/j-1/results_link"
STORE = "/store/j-1"

HOSTILE = "\x1b[2J\x1b]0;owned\x07[red]=HYPERLINK(1)<script>\u202e../../etc/passwd\x9b31m\r\n"
CONTROLS = ("\x1b", "\x07", "\x9b", "\u202e", "\r")

LIMIT = 2**20
MEGABYTES = 8
"""What a call with a limit of 1 MB may take of memory, the server in this process included."""


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as loopback:
        yield loopback


def zeros(encoding: str) -> tuple[bytes, bytes]:
    """The beginning of a compressed body, and a piece that is 1 MB of zeros and can follow itself for ever."""
    packer = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
    head = packer.compress(b"\0") + packer.flush(zlib.Z_FULL_FLUSH)
    return head, packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)


def endless(kind: str) -> Reply:
    """A body that does not end, in one of the ways that HTTP has."""
    if kind == "plain":
        return Reply(endless=b" " * 65536)
    if kind == "chunked":
        return Reply(headers={"Transfer-Encoding": "chunked"}, endless=b"10000\r\n" + b" " * 65536 + b"\r\n")
    if kind == "chunk extension":
        return Reply(headers={"Transfer-Encoding": "chunked"}, body=b"10;", endless=b"x" * 65536)
    head, piece = zeros(kind)
    return Reply(headers={"Content-Encoding": kind}, body=head, endless=piece)


KINDS = ("plain", "chunked", "chunk extension", "gzip", "deflate")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("download", [False, True], ids=["answer", "results"])
def test_a_body_without_end_is_left_at_the_limit(server: Loopback, kind: str, download: bool) -> None:
    """Gigabytes would come; 1 MB is read, and nothing more is kept."""
    server.on("GET", LINK, data({"results_link": f"{server.url}{STORE}?signature=s"}))
    server.on("GET", STORE if download else GET, endless(kind))
    limits = Limits(answer=LIMIT, result=LIMIT, attempt_s=5.0)
    begin = real_time.monotonic()
    tracemalloc.start()
    try:
        with client(server, Time(), limits=limits) as own, pytest.raises(PcsError) as caught:
            list(own.results(["j-1"])) if download else own.get_batch("b-1")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MEGABYTES * 2**20
    assert real_time.monotonic() - begin < 5
    expected = "cut off" if kind == "chunk extension" else f"longer than {LIMIT} bytes"
    assert expected in caught.value.message


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"X-More: " + b"y" * 1000 + b"\r\n",
        b"y" * 65536,
    ],
    ids=["continue", "headers", "header line"],
)
def test_a_head_without_end_ends_with_the_deadline(server: Loopback, head: bytes) -> None:
    """Neither `100 Continue` for ever, nor headers, nor a line of a header hold a call beyond its deadline."""
    status = b"" if head.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n"
    with RawServer(status, head) as url:
        begin = real_time.monotonic()
        with client(url, Time(), limits=Limits(attempt_s=0.4, total_s=0.6)) as own, pytest.raises(UnavailableError):
            own.get_batch("b-1")
        assert real_time.monotonic() - begin < 4


class RawServer:
    """Sends a beginning once and then something again and again, whatever it is asked."""

    def __init__(self, first: bytes, again: bytes) -> None:
        import socket

        self._first, self._again = first, again
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(10)

    def __enter__(self) -> str:
        threading.Thread(target=self._serve, daemon=True).start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.sendall(self._first)
                    while True:
                        connection.sendall(self._again)
                        real_time.sleep(0.001)
                except OSError:
                    continue


def test_numbers_and_nesting_that_python_refuses(server: Loopback) -> None:
    """Ten thousand brackets and a number of a million digits are answers that cannot be read, not crashes."""
    for body in (b"[" * 100_000, b'{"data": ' + b"9" * 1_000_000 + b"}", b'{"data": {"id": "b-1", "jobs_count": 1e999999}}'):
        server.on("GET", GET, Reply(body=body, headers={"Content-Type": "application/json"}))
        try:
            assert client(server, Time()).get_batch("b-1").jobs_count is None
        except PcsError as error:
            assert len(error.message) < 1000  # noqa: PT017 - either is right


def user(server: Loopback, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose cloud is the server."""
    for name, value in environment(server, home).items():
        monkeypatch.setenv(name, value)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.chdir(home)
    server.on("POST", "/token", token_reply())


def check_screen(text: str) -> None:
    assert not any(control in text for control in CONTROLS), repr(text)


def test_device_names_and_specs_are_text(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A name with escapes or a path in it is no device; what is inside of a spec is shown as JSON."""
    user(server, tmp_path, monkeypatch)
    spec = json.dumps({"name": HOSTILE, "max_atom_num": HOSTILE, "channels": [{"id": HOSTILE}]})
    names = ("GOOD", HOSTILE, "../../escaped", "a/b", "=1+1", "x" * 10_000)
    server.on("GET", "/core/api/v1/devices/public-specs", data([{"device_type": name, "specs": spec} for name in names]))
    before = {path.name for path in tmp_path.parent.iterdir()}
    for words in (["list"], ["list", "--json"], ["show", "GOOD"], ["pull"]):
        assert main(["devices", *words, "-vv"]) == 0
        out, err = capfd.readouterr()
        check_screen(out + err)
        assert ("GOOD" in out) == (words != ["show", "GOOD"])
        assert "passwd" not in "".join(path.name for path in tmp_path.rglob("*"))
    assert {path.name for path in tmp_path.parent.iterdir()} == before
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        check_screen(path.read_text(encoding="utf-8"))


def test_errors_of_every_shape_are_one_clean_line(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The service's words in the error of a command, as JSON, as a page, in headers, and in a redirect."""
    user(server, tmp_path, monkeypatch)
    words = {"message": HOSTILE * 1000, "code": HOSTILE, "data": {"description": HOSTILE * 1000}}
    page = f"<html><title>{HOSTILE}</title><h1>{HOSTILE}</h1></html>".encode()
    escaped = HOSTILE.replace("\r\n", "").encode("utf-8").decode("latin-1")
    replies = [
        Reply(status=400, body=json.dumps(words).encode()),
        Reply(status=403, body=page, headers={"Content-Type": "text/html"}),
        Reply(status=307, headers={"Location": f"https://example.org/{escaped}"}),
        Reply(status=429, headers={"Retry-After": escaped}),
        Reply(body=b"{}", headers={"Content-Encoding": escaped}),
    ]
    monkeypatch.setattr("pcs_runner.pcs.calls.Caller._wait", lambda *_: None)
    for reply in replies:
        server.on("GET", "/core/api/v1/devices/public-specs", reply)
        assert main(["devices", "pull", "-vv"]) == 3
        out, err = capfd.readouterr()
        check_screen(out + err.replace("\r\n", "\n"))
        assert len(out + err) < 5000


def test_a_batch_of_a_hostile_server_is_safe_to_show(server: Loopback) -> None:
    """Ids are checked; every other text is the user's to print, and says so by its `repr`."""
    for field in ("id", "project_id"):
        server.on("GET", GET, data({**BATCH, field: HOSTILE}))
        try:
            shown = repr(client(server, Time()).get_batch("b-1"))
        except PcsError as error:
            shown = error.message
        check_screen(shown)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_modes_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    """The run folder is 0700 and every file in it 0600: nobody else reads a result, and a copy of the folder keeps that."""
    seen: dict[str, int] = {}

    def look(event: Any) -> None:
        if event.kind == "recorded":
            for path in (tmp_path / "run").rglob("*"):
                seen[str(path.relative_to(tmp_path))] = stat.S_IMODE(path.stat().st_mode)

    plan = small_plan(tmp_path, 6)
    bench = Bench(plan)
    bench.events = Looking(look)
    bench.__post_init__()
    old = os.umask(mask)
    try:
        run = bench.start(output=tmp_path / "run")
    finally:
        os.umask(old)
    for path in (run.folder, *run.folder.rglob("*")):
        seen[str(path.relative_to(tmp_path))] = stat.S_IMODE(path.stat().st_mode)
    assert {"run/journal.db", "run/results.jsonl", "run/results.csv", "run/run.log", "run/run.lock", "run/run.holder"} <= set(
        seen
    )
    wrong = {name: oct(mode) for name, mode in seen.items() if mode != (0o700 if (tmp_path / name).is_dir() else 0o600)}
    assert not wrong


class Looking(list[Any]):
    """Takes events and looks at once."""

    def __init__(self, look: Any) -> None:
        super().__init__()
        self.append = look  # type: ignore[method-assign]
