"""What a run does, shown: bars on a terminal, one line for each change of state elsewhere, JSON Lines on request."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from pcs_runner.cli.text import printable, seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.progress import Progress, ProgressColumn, TaskID

    from pcs_runner.cli.session import Session
    from pcs_runner.run.events import Event

_STEPS = 10
_LONGEST_SILENCE_S = 10.0
_TERMINAL = frozenset({"DONE", "ERROR", "CANCELED", "TIMED_OUT"})


class Display(Protocol):
    """How far the stages of a run are, shown to a person."""

    def stage(self, name: str, done: int, total: int | None, note: str = "") -> None:
        """A stage has come so far."""

    def line(self, text: str) -> None:
        """Something happened that is not a count."""

    def close(self) -> None:
        """Nothing more comes."""


class Bars:
    """Live bars with rate and time left, for a terminal."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def stage(self, name: str, done: int, total: int | None, note: str = "") -> None:
        """Move a stage's bar."""
        progress = self._started()
        if name not in self._tasks:
            self._tasks[name] = progress.add_task(name, total=total, note="")
        progress.update(self._tasks[name], completed=done, total=total, note=note)

    def line(self, text: str) -> None:
        """Print above the bars."""
        self._session.say(text)

    def close(self) -> None:
        """Leave the bars as they stand."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _started(self) -> Progress:
        if self._progress is None:
            from rich.progress import Progress

            self._progress = Progress(*_columns(), console=self._session.console)
            self._progress.start()
        return self._progress


def _columns() -> list[ProgressColumn]:
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Jobs or points per second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    return [
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", markup=False),
    ]


class Lines:
    """A line for each tenth of a stage, and at the latest after ten seconds, for logs."""

    def __init__(self, session: Session, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._began: dict[str, tuple[float, int]] = {}
        self._said: dict[str, tuple[float, int, int]] = {}

    def stage(self, name: str, done: int, total: int | None, note: str = "") -> None:
        """Say how far a stage is, if that is news."""
        now = self._clock()
        began, first = self._began.setdefault(name, (now, done))
        said_at, step, said = self._said.get(name, (began, -1, -1))
        new_step = done * _STEPS // total if total else -1
        finished = total is not None and done >= total
        if done == said or not (finished or new_step > step or now - said_at >= _LONGEST_SILENCE_S):
            return
        self._said[name] = (now, new_step, done)
        parts = [f"{name} {done} of {total}" if total is not None else f"{name} {done}", *([note] if note else [])]
        if now - began >= 1.0 and done > first:
            rate = (done - first) / (now - began)
            parts.append(f"{rate:.1f}/s")
            if total is not None and not finished:
                parts.append(f"{seconds((total - done) / rate)} left")
        self._session.say(", ".join(parts))

    def line(self, text: str) -> None:
        """Print it."""
        self._session.say(text)

    def close(self) -> None:
        """Nothing to leave behind."""


class Follower:
    """Listens to a run: keeps the session informed, the JSON stream written and the display moving.

    Use as a context manager; `Follower` itself is what `on_event` takes, `checked` what `on_progress` takes.
    """

    def __init__(self, session: Session, *, display: Display | None = None) -> None:
        self._session = session
        self._total: int | None = None
        self._checking = False
        self._display: Display = display or (
            Bars(session) if session.console.is_terminal and not session.quiet else Lines(session)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._display.close()

    def checked(self, done: int, total: int | None = None) -> None:
        """So many points have been checked; nothing is said when the first word of it is that all were."""
        if self._checking or total is None or done < total:
            self._checking = True
            self._display.stage("validated", done, total)

    def line(self, text: str) -> None:
        """A line for people, beside the bars."""
        self._display.line(text)

    def __call__(self, event: Event) -> None:
        """Something happened in the run."""
        _learn(self._session, event)
        body = event.as_dict()
        self._session.event(body.pop("kind"), **body)
        if event.kind in _STAGES:
            self._display.stage(_STAGES[event.kind], event.number or 0, event.total)
            self._total = event.total
        elif event.kind == "status":
            self._show_status(event)
        elif text := _sentence(event):
            self._display.line(printable(text))
            if event.kind == "resumed":
                self._display.line(f"run folder {printable(event.message)}")

    def _show_status(self, event: Event) -> None:
        ended = sum(count for status, count in event.counts.items() if status in _TERMINAL)
        going = ", ".join(
            f"{count} {status.lower()}" for status, count in sorted(event.counts.items()) if status not in _TERMINAL
        )
        self._display.stage("ran", ended, event.total if event.total is not None else self._total, printable(going))


_STAGES = {"submitted": "submitted", "recorded": "collected"}
_NOT_SENT = frozenset({"created", "already_finished"})

_SENTENCES = {
    "created": "run folder {event.message}",
    "run_adopted": "the service has a run of this plan already, and it is taken over ({event.message}); --new runs it again",
    "resumed": "resuming: {event.number} of {event.total} jobs are there",
    "rebuilt": "{event.message}",
    "detached": "{event.message}",
    "device_changed": "device {event.message} has another spec today; the run goes on with the one it was started with",
    "already_finished": "this plan has been run already; --new runs it again",
    "batch_created": "batch {event.batch_id} created",
    "batch_adopted": "batch {event.batch_id} found again after an unanswered request",
    "batch_closed": "batch {event.batch_id} closed",
    "batch_ended": "batch {event.batch_id} was ended by the service: {event.message}",
    "waiting": "waiting {wait}: {event.message}",
    "retry": "sending {event.number} failed again: {event.message}",
    "job_failed": "job {event.number} failed: {event.message}",
    "stopping": "stopping: {event.message}",
    "stranger": "stranger {event.batch_id}: {event.message}",
    "not_derived": "no {event.message}: its packages are not installed; `pip install 'pcs-runner[data]'`, then export it",
    "report_failed": "warning: no report.html: {event.message}",
    "finished": "",
}


def _learn(session: Session, event: Event) -> None:
    """What a failure has to know later: the folder, and whether anything may have been sent."""
    if event.kind in {"created", "resumed"} and event.message and session.folder is None:
        session.folder = Path(event.message)
    if event.kind not in _NOT_SENT:
        session.sent = True


def _sentence(event: Event) -> str:
    """An event that is no count, in words; empty for what the last lines say anyway."""
    sentence = _SENTENCES.get(event.kind)
    return str(event) if sentence is None else sentence.format(event=event, wait=seconds(event.seconds or 0.0))
