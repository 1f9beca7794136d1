"""What happens during a run, as values: for the progress display, for `--json`, and for `run.log`."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcs_runner.pcs.errors import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from io import TextIOWrapper

    OnEvent = Callable[["Event"], None]

LONGEST_ENTRY = 20_000
"""Characters of one entry of the log, a traceback included."""

KINDS = (
    "created",  # the run folder was made; message: the folder
    "run_adopted",  # the service has a run of this plan that this machine has no folder for; message: its uuid
    "rebuilt",  # a lost journal was made again; number of total jobs that the service has
    "detached",  # number of jobs that go on without us; message: what goes on
    "resumed",  # an unfinished run goes on; number of total recorded, message: the folder
    "device_changed",  # a pinned device has another spec today; message: its name
    "already_finished",  # nothing to do; message: state
    "batch_created",  # batch_id, number: k
    "batch_adopted",  # a batch of an unanswered request was found; batch_id, number: k
    "batch_closed",  # batch_id, number: k
    "batch_ended",  # the service ended a batch that was still needed; batch_id, message: status
    "submitted",  # number of total jobs sent
    "status",  # counts by job status over the batches that are watched
    "recorded",  # number of total jobs in results.jsonl
    "waiting",  # message: reason, seconds
    "retry",  # number of jobs that are sent again, message: why
    "job_failed",  # number: index of the job, message: what the service said
    "stopping",  # message: why the rest is cancelled
    "stranger",  # a batch or job that this run did not mean to send; batch_id, message
    "not_derived",  # a file was left out, because its packages are not installed; message: the format
    "report_failed",  # report.html could not be made; message: why, and how to make it again
    "finished",  # counts by status, message: state
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: One of `KINDS`.
        message: For people, or empty.
        number: How many, or which one.
        total: Of how many, or None while it is not known.
        seconds: How long, for `waiting`.
        counts: Number of jobs by status.
        batch_id: The service's id of the batch it is about, or empty.
    """

    kind: str
    message: str = ""
    number: int | None = None
    total: int | None = None
    seconds: float | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    batch_id: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The event as plain data, without what it does not say."""
        body = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in body.items() if value not in (None, "", {})}

    def __str__(self) -> str:
        """One line for a log: `submitted 100/2000`."""
        parts = [self.kind]
        if self.number is not None:
            parts.append(str(self.number) if self.total is None else f"{self.number}/{self.total}")
        parts += [f"{name}={count}" for name, count in self.counts.items()]
        parts += [self.batch_id] if self.batch_id else []
        parts += [f"{self.seconds:.1f} s"] if self.seconds is not None else []
        parts += [" ".join(self.message.split())] if self.message else []
        return " ".join(parts)


class EventLog:
    """Passes events on and writes them to the run's log, with UTC times; other loggers of the package write there too.

    Args:
        path: The log file, appended to.
        on_event: Called with each event, or None.
    """

    def __init__(self, path: Path, on_event: OnEvent | None) -> None:
        self._on_event = on_event
        self._handler = _LogFile(path, encoding="utf-8", delay=True)
        self._handler.setFormatter(_UtcFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._logger = logging.getLogger("pcs_runner")
        self._level = self._logger.level
        self._logger.addHandler(self._handler)
        if self._logger.getEffectiveLevel() > logging.INFO:
            self._logger.setLevel(logging.INFO)

    def __call__(self, event: Event) -> None:
        """Log the event and pass it on."""
        self._logger.getChild("run").info("%s", event)
        if self._on_event is not None:
            self._on_event(event)

    def failure(self, error: BaseException) -> None:
        """Log what ended the run."""
        self._logger.getChild("run").error("%s: %s", type(error).__name__, error)

    def close(self) -> None:
        """Let go of the file; the logger is as before."""
        self._logger.removeHandler(self._handler)
        self._logger.setLevel(self._level)
        self._handler.close()


class _LogFile(logging.FileHandler):
    """Loses what cannot be written, at the file's opening and closing too: a full disk must not stop a run here."""

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).touch(mode=0o600)
        return super()._open()

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Lose the line."""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


class _UtcFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """The line without control characters: what a server says must not reach the terminal of who reads the log."""
        return safe_text(super().format(record), LONGEST_ENTRY)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 - logging's name
        """ISO time in UTC, with milliseconds."""
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
