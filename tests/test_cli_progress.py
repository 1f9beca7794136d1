"""A run's events: bars on a terminal, a line for each change elsewhere, JSON Lines on request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from pcs_runner.cli.progress import Bars, Follower, Lines
from pcs_runner.cli.session import Session
from pcs_runner.run.events import KINDS, Event


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_line_for_each_tenth_with_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines(Session(), clock=clock)
    for done in range(0, 1001, 5):
        clock.now_s = done / 50
        lines.stage("collected", done, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "collected 0 of 1000",
        "collected 100 of 1000, 50.0/s, 18 s left",
        "collected 200 of 1000, 50.0/s, 16 s left",
        "collected 300 of 1000, 50.0/s, 14 s left",
        "collected 400 of 1000, 50.0/s, 12 s left",
        "collected 500 of 1000, 50.0/s, 10 s left",
        "collected 600 of 1000, 50.0/s, 8.0 s left",
        "collected 700 of 1000, 50.0/s, 6.0 s left",
        "collected 800 of 1000, 50.0/s, 4.0 s left",
        "collected 900 of 1000, 50.0/s, 2.0 s left",
        "collected 1000 of 1000, 50.0/s",
    ]


def test_a_slow_stage_speaks_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines(Session(), clock=clock)
    for done in range(31):
        clock.now_s = float(done)
        lines.stage("validated", done, None)
    assert capsys.readouterr().err.splitlines() == [
        "validated 10, 1.0/s",
        "validated 20, 1.0/s",
        "validated 30, 1.0/s",
    ]


def test_no_news_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines(Session(), clock=clock)
    for now in range(100):
        clock.now_s = float(now)
        lines.stage("collected", 5, 5)
    assert capsys.readouterr().err == "collected 5 of 5\n"


def test_events_become_lines(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session()
    with Follower(session) as follower:
        follower(Event(kind="created", message="runs/rabi/x"))
        assert session.sent is False
        follower(Event(kind="batch_created", batch_id="b-1", number=0))
        follower(Event(kind="submitted", number=2, total=2))
        follower(Event(kind="status", counts={"DONE": 1, "RUNNING": 1}))
        follower(Event(kind="waiting", message="the service is \x1b[2Jbusy", seconds=90))
        follower(Event(kind="job_failed", number=1, message="out of memory"))
        follower(Event(kind="status", counts={"DONE": 1, "ERROR": 1}))
        follower(Event(kind="recorded", number=2, total=2))
        follower(Event(kind="finished", message="finished"))
    assert (session.folder, session.sent) == (Path("runs/rabi/x"), True)
    assert capsys.readouterr().err.splitlines() == [
        "run folder runs/rabi/x",
        "batch b-1 created",
        "submitted 2 of 2",
        "ran 1 of 2, 1 running",
        "waiting 1 min 30 s: the service is \\x1b[2Jbusy",
        "job 1 failed: out of memory",
        "ran 2 of 2",
        "collected 2 of 2",
    ]


@pytest.mark.parametrize("kind", [*KINDS, "something_new"])
def test_no_event_can_break_a_run(kind: str) -> None:
    Follower(Session(json=True))(Event(kind=kind))


def test_json_has_one_line_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    with Follower(Session(json=True, quiet=True)) as follower:
        follower(Event(kind="submitted", number=2, total=2))
        follower(Event(kind="status", counts={"DONE": 2}))
    captured = capsys.readouterr()
    assert [json.loads(line) for line in captured.out.splitlines()] == [
        {"event": "submitted", "number": 2, "total": 2},
        {"event": "status", "counts": {"DONE": 2}},
    ]
    assert captured.err == ""


def test_a_terminal_gets_bars_and_lines_above_them() -> None:
    session = Session()
    console = Console(record=True, force_terminal=True, width=100, file=Path("/dev/null").open("w"), markup=False)  # noqa: SIM115
    session._console = console
    with Follower(session, display=Bars(session)) as follower:
        follower(Event(kind="submitted", number=1, total=2))
        follower(Event(kind="job_failed", number=1, message="[red]not markup[/red]"))
        follower(Event(kind="submitted", number=2, total=2))
        follower(Event(kind="status", counts={"DONE": 1, "PENDING": 1}))
    shown = console.export_text()
    console.file.close()
    assert "job 1 failed: [red]not markup[/red]" in shown
    assert "2/2" in shown
    assert "1 pending" in shown


def test_a_check_that_is_done_at_once_says_nothing() -> None:
    said: list[tuple[str, int, int | None]] = []

    class Kept:
        def stage(self, name: str, done: int, total: int | None, note: str = "") -> None:
            said.append((f"{name}{note}", done, total))

        def line(self, text: str) -> None:
            raise AssertionError(text)

        def close(self) -> None:
            """Nothing to close."""

    cases: list[tuple[int, int | None, int]] = [(10, 10, 0), (5, 10, 2), (5, None, 2)]
    for first, total, expected in cases:
        said.clear()
        with Follower(Session(), display=Kept()) as follower:
            follower.checked(first, total)
            follower.checked(10, total)
        assert len(said) == expected
