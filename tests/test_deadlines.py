"""No call outlives its deadline, whatever the network does; asking is frequent at first and seldom later; sleep does no harm."""

from __future__ import annotations

import os
import socket
import tempfile
import time as real_time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud_client import BATCH, Time, client
from loopback import Loopback, Reply, data
from pcs_runner.pcs.answers import UnavailableError
from pcs_runner.pcs.calls import Limits
from pcs_runner.pcs.errors import PcsError, UncertainError, UnreachableError
from pcs_runner.pcs.protocol import JobRequest
from test_run_waiting import Timed, timed

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = "/core/api/v2/batches/b-1"
POST = "/core/api/v2/batches/b-1/jobs"
SHORT = Limits(attempt_s=0.4, total_s=0.8)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder: these tests make many syncs and need none of them."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as loopback:
        yield loopback


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port at which every connection hangs: its queue is full and nobody accepts."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.socket()))
        listener.bind(("0.0.0.0", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(3):
            waiting = stack.enter_context(closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


def test_the_limits_of_a_call_are_those_that_are_promised() -> None:
    assert (Limits().attempt_s, Limits().total_s) == (30.0, 60.0)


@pytest.mark.parametrize("addresses", [1, 8])
def test_a_server_that_takes_no_connection(black_hole: int, addresses: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one with many addresses, each of which hangs: the deadline holds for all of them together."""
    real = socket.getaddrinfo

    def many(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        if host != "localhost":
            return real(host, port, *arguments, **named)
        found = real("127.0.0.1", port, *arguments, **named)
        return [(*one[:4], (f"127.0.0.{n + 1}", port)) for one in found for n in range(addresses)]

    monkeypatch.setattr(socket, "getaddrinfo", many)
    begin = real_time.monotonic()
    with client(f"http://localhost:{black_hole}", Time(), limits=SHORT) as own, pytest.raises(UnreachableError) as caught:
        own.add_jobs("b-1", [JobRequest(runs=1)])
    attempts = 2  # the pause of half a second counts, the time of the first attempt does not: the test's clock stands still
    assert real_time.monotonic() - begin < attempts * SHORT.total_s + 1.5
    assert f"failed {attempts} times: no connection to localhost:{black_hole} within" in caught.value.message


@pytest.mark.parametrize("status", [200, 500])
def test_a_head_that_drips(server: Loopback, status: int) -> None:
    """Byte by byte, each in time, of a question and of a request that changes something."""
    server.on("GET", GET, Reply(status=status, body=data(BATCH).body, drip_s=0.03))
    server.on("POST", POST, Reply(status=status, body=data(BATCH).body, drip_s=0.03))
    with client(server, limits=SHORT) as own:
        begin = real_time.monotonic()
        with pytest.raises(UncertainError):
            own.add_jobs("b-1", [JobRequest(runs=1)])
        assert real_time.monotonic() - begin < 2
        begin = real_time.monotonic()
        with pytest.raises(UnavailableError):
            own.get_batch("b-1")
        assert real_time.monotonic() - begin < 4


def test_a_server_that_does_not_read() -> None:
    """A body of 8 MB that nobody takes: sending has a deadline too, and what became of it is not known."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        jobs = [JobRequest(runs=1, variables={"x": os.urandom(4_000_000).hex()})]
        begin = real_time.monotonic()
        with client(url, Time(), limits=SHORT) as own, pytest.raises(PcsError) as caught:
            own.add_jobs("b-1", jobs)
        assert isinstance(caught.value, UncertainError)
        assert real_time.monotonic() - begin < 20  # most of it goes into compressing the body


def waits(clock: Timed) -> list[float]:
    """Every pause, as it comes."""
    pauses: list[float] = []
    sleep = clock.sleep

    def listening(seconds: float) -> None:
        pauses.append(seconds)
        sleep(seconds)

    clock.sleep = listening  # type: ignore[method-assign]
    return pauses


def test_asking_is_frequent_at_first_and_seldom_later(tmp_path: Path) -> None:
    """2, 4, 8, 16, 30, 30 s while nothing moves; and 2 s again as soon as something does."""
    clock = timed(tmp_path)
    service, pauses = clock.bench.service, waits(clock)
    service.speed = 1

    def advance() -> None:
        if clock.now_s > 300:
            type(service).advance(service)

    service.advance = advance  # type: ignore[method-assign]
    clock.bench.check_whole(clock.start())
    quiet = pauses[:6]
    assert quiet[0] <= 4
    assert quiet == sorted(quiet)
    assert max(pauses) == 30
    moving = pauses[next(i for i, _ in enumerate(pauses) if sum(pauses[:i]) > 300) + 1 :]
    assert moving
    assert max(moving) <= 4


@pytest.mark.parametrize("monotonic", [True, False], ids=["it goes on", "it stands still"])
def test_a_machine_that_sleeps(tmp_path: Path, monotonic: bool) -> None:
    """Eight hours pass within one pause, for the wall clock at least; after waking the network is away for a while."""
    clock = timed(tmp_path)
    service = clock.bench.service
    woke: list[float] = []
    sleep = clock.sleep

    def lid(seconds: float) -> None:
        sleep(seconds)
        if not woke and service.calls["batch_status"] >= 2:
            clock.wall_s += 8 * 3600
            clock.now_s += 8 * 3600 if monotonic else 0
            woke.append(clock.now_s)

    def away(name: str, _when: str) -> None:
        if woke and clock.now_s < woke[0] + 60:
            raise UnreachableError(f"no route for {name}")

    clock.sleep = lid  # type: ignore[method-assign]
    service.hook = away
    run = clock.start()
    clock.bench.check_whole(run)
    assert woke
    assert clock.now_s < woke[0] + 300


def test_no_wait_of_half_a_minute_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first request to the last: sending, doubt, following, closing."""
    clock = timed(tmp_path)
    service = clock.bench.service
    monkeypatch.setenv("PCS_RUNNER_SETTLE_S", "60")

    def lose(name: str, when: str) -> None:
        if when == "after" and name in {"create_batch", "add_jobs", "close_batch"} and service.calls[name] == 1:
            raise UncertainError("cut off")

    service.hook = lose
    clock.bench.check_whole(clock.start())
    assert clock.now_s > 120
    assert clock.longest_silence_s() <= 30
