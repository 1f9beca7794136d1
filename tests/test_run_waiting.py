"""Waiting: a network that is away is borne, nobody waits in silence, and clocks that are set do no harm."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.errors import InterruptedRunError, UsageError
from pcs_runner.pcs.answers import UnavailableError
from pcs_runner.pcs.auth import AuthError
from pcs_runner.pcs.errors import AnswerError, PcsError, RefusedError, UncertainError, UnreachableError
from pcs_runner.pcs.protocol import Polling
from pcs_runner.run.execute import resume, start
from pcs_runner.run.patience import passes
from pcs_runner.run.session import Effects
from small_plan import Bench, small_plan
from stand_in_client import StandInClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.run.events import Event
    from pcs_runner.run.outcome import Run


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder: these tests make many syncs and need none of them."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@dataclass
class Timed:
    """A bench on a cloud whose time passes only in sleep, with the polling of a real cloud."""

    bench: Bench
    now_s: float = 0.0
    wall_s: float = 1.8e9
    events: list[tuple[float, Event]] = field(default_factory=list)

    def client(self, *_: Any) -> StandInClient:
        client = StandInClient(self.bench.service, is_twin=False)
        client.polling = Polling(first_s=2.0, longest_s=30.0)
        return client

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.wall_s += seconds

    @property
    def effects(self) -> Effects:
        return Effects(now=lambda: datetime.fromtimestamp(self.wall_s, UTC), monotonic=lambda: self.now_s, sleep=self.sleep)

    def told(self, event: Event) -> None:
        self.events.append((self.now_s, event))

    def start(self, **arguments: Any) -> Run:
        return start(self.bench.plan, on_event=self.told, client_factory=self.client, effects=self.effects, **arguments)

    def resume(self, folder: Path) -> Run:
        plan = self.bench.plan
        return resume(folder, on_event=self.told, client_factory=self.client, effects=self.effects, make_plan=lambda _: plan)

    def longest_silence_s(self) -> float:
        """Longest time without an event, but for those that were announced."""
        silence, last, announced = 0.0, 0.0, 0.0
        for now, event in [*self.events, (self.now_s, None)]:
            silence = max(silence, now - max(last, announced))
            last = now
            if event is not None and event.kind == "waiting":
                announced = now + (event.seconds or 0.0)
        return silence


def timed(tmp_path: Path, n: int = 10, **options: Any) -> Timed:
    return Timed(Bench(small_plan(tmp_path, n, backend="pcs", **options), is_twin=False))


@pytest.mark.parametrize("error", [UnreachableError("no route"), UnavailableError("HTTP 503"), UncertainError("cut off")])
@pytest.mark.parametrize("call", ["batch_status", "list_jobs", "results", "get_batch", "list_batches"])
def test_a_network_that_is_away_for_an_hour(tmp_path: Path, call: str, error: PcsError) -> None:
    """The run goes on by itself, and says now and then what it waits for."""
    clock = timed(tmp_path)
    lost_at: list[float] = []

    def away(name: str, _when: str) -> None:
        if name == call and clock.bench.service.calls["add_jobs"] >= 3:
            lost_at.append(clock.now_s)
            if clock.now_s < lost_at[0] + 3600:
                raise error

    clock.bench.service.hook = away
    run = clock.start()
    clock.bench.check_whole(run)
    assert clock.now_s > 3600
    assert 60 < len(lost_at) < 200, "asked about once a minute"
    waits = [event for _, event in clock.events if event.kind == "waiting"]
    assert 5 < len(waits) < 30
    assert str(error) in waits[1].message
    assert clock.longest_silence_s() <= 660


def test_patience_has_an_end_when_the_user_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCS_RUNNER_PATIENCE_S", "300")
    clock = timed(tmp_path)

    def away(name: str, _when: str) -> None:
        if name == "batch_status":
            raise UnreachableError("no route")

    clock.bench.service.hook = away
    with pytest.raises(UnreachableError) as caught:
        clock.start()
    assert 300 <= clock.now_s < 400
    assert "pcs-run resume" in caught.value.hint
    monkeypatch.setenv("PCS_RUNNER_PATIENCE_S", "soon")
    with pytest.raises(UsageError, match="PCS_RUNNER_PATIENCE_S is 'soon'"):
        clock.start()


def test_nonsense_is_not_borne_for_ever(tmp_path: Path) -> None:
    clock = timed(tmp_path)

    def nonsense(name: str, _when: str) -> None:
        if name == "results":
            raise AnswerError("no results")

    clock.bench.service.hook = nonsense
    with pytest.raises(AnswerError):
        clock.start()
    assert 900 <= clock.now_s < 1100


def test_a_refusal_is_told_at_once(tmp_path: Path) -> None:
    clock = timed(tmp_path)

    def refuse(name: str, _when: str) -> None:
        if name == "batch_status":
            raise RefusedError("forbidden", status=403)

    clock.bench.service.hook = refuse
    with pytest.raises(RefusedError):
        clock.start()
    assert clock.now_s < 10


def test_submitting_is_not_repeated(tmp_path: Path) -> None:
    """What was not sent is told: a POST is repeated only by whoever asked the service."""
    clock = timed(tmp_path)

    def away(name: str, _when: str) -> None:
        if name == "add_jobs":
            raise UnreachableError("no route")

    clock.bench.service.hook = away
    with pytest.raises(UnreachableError):
        clock.start()
    assert clock.bench.service.calls["add_jobs"] == 1


def test_what_passes() -> None:
    """A login that fails for lack of a network passes, a wrong password does not."""
    assert passes(AuthError("no token"))
    assert passes(AuthError("no token", status=503))
    assert not passes(AuthError("wrong password", status=401))
    assert passes(RefusedError("busy", status=429))
    assert not passes(RefusedError("no", status=422))


def test_a_long_queue_is_not_silent(tmp_path: Path) -> None:
    """Half a day in the queue: a word after half a minute, then less and less often, and seldom a request."""
    clock = timed(tmp_path)
    service = clock.bench.service

    def advance() -> None:
        if clock.now_s > 12 * 3600:
            type(service).advance(service)

    service.advance = advance  # type: ignore[method-assign]
    clock.bench.check_whole(clock.start())
    waits = [(now, event) for now, event in clock.events if event.kind == "waiting"]
    assert waits[0][0] <= 30
    assert waits[0][1].message.startswith("nothing new, batch b0 is PENDING (for ")
    assert 60 < len(waits) < 100
    assert service.calls["batch_status"] < 1500
    assert clock.longest_silence_s() <= 600


@pytest.mark.parametrize("step_s", [-86400.0, 86400.0])
def test_a_clock_that_is_set_changes_nothing(tmp_path: Path, step_s: float) -> None:
    """Neither while it runs, nor between a request without an answer and the resumption: the window is waited for."""
    clock = timed(tmp_path)
    service = clock.bench.service

    def lose(name: str, when: str) -> None:
        clock.wall_s += step_s
        if (name, when) == ("add_jobs", "after") and service.calls[name] == 2:
            raise KeyboardInterrupt

    service.hook = lose
    with pytest.raises(InterruptedRunError):
        clock.start()
    service.hook = lambda _name, _when: setattr(clock, "wall_s", clock.wall_s + step_s)
    folder = Path(next(event.message for _, event in clock.events if event.kind == "created"))
    before = clock.now_s
    clock.bench.check_whole(clock.resume(folder))
    assert len(service.all_jobs()) == 10
    assert 60 <= clock.now_s - before < 120
