"""What every step of a run shares: the plan, the client, the journal, the folder, and the outside world as parameters."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import PcsRunnerError, UsageError
from pcs_runner.pcs.errors import AnswerError, UncertainError, safe_text
from pcs_runner.pcs.protocol import JobRequest
from pcs_runner.run.events import Event
from pcs_runner.run.rows import RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pcs_runner.pcs.protocol import Client
    from pcs_runner.plan import Plan, PlannedJob
    from pcs_runner.run.directory import RunFolder
    from pcs_runner.run.journal import Journal
    from pcs_runner.run.reuse import Reused
    from pcs_runner.run.rows import BatchRow
    from pcs_runner.spec.models import BatchOptions

DOUBTS = (UncertainError, AnswerError)
"""After these nobody knows whether the service did it: it has to be asked."""

TELL_AFTER_S = 30.0
"""A longer wait says what it waits for."""


def _now() -> datetime:
    return datetime.now(UTC)


def _new_uuid() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The world outside, so that tests can hold it still.

    Attributes:
        now: Wall clock, UTC; for names and records only.
        monotonic: Seconds that never step; for waiting.
        sleep: Waits for so many seconds.
        new_uuid: A name for a run that nobody else has.
    """

    now: Callable[[], datetime] = _now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    new_uuid: Callable[[], str] = _new_uuid


class Cursor:
    """Jobs of a plan by ascending index, in one pass as far as possible; nothing is stored."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._jobs: Iterator[PlannedJob] = iter(())
        self._next: int | None = None

    def job(self, index: int) -> PlannedJob:
        """The job with this index.

        Raises:
            UsageError: The plan has no such job.
        """
        if self._next is None or index < self._next:
            self._jobs, self._next = self._plan.jobs(index), index
        for job in self._jobs:
            self._next = job.index + 1
            if job.index == index:
                return job
        raise UsageError(f"the plan has no job {index}", hint="The spec in the run folder was changed; restore it.")


@dataclass(slots=True, kw_only=True)
class Session:
    """One process carrying out one run.

    Attributes:
        plan: What to do.
        client: Who does it.
        journal: What is known; open.
        folder: Where it goes.
        reused: What is taken over from earlier runs.
        emit: Takes events.
        effects: Clock, sleep, uuid.
        settle_s: Seconds after which a request without an answer has either applied or never will.
        uuid: Of the run.
        state: Of the run; as in the journal.
        patience_s: Seconds for which a service that cannot be reached is asked again while the run is followed.
    """

    plan: Plan
    client: Client
    journal: Journal
    folder: RunFolder
    reused: Reused
    emit: Callable[[Event], None]
    effects: Effects
    settle_s: float
    uuid: str
    state: str
    patience_s: float = float("inf")

    @property
    def options(self) -> BatchOptions:
        """The batch options of the target."""
        return self.plan.target.batch

    @property
    def to_send(self) -> int | None:
        """Number of jobs that this run sends, None while it is not known."""
        total = self.plan.total_jobs
        return None if total is None else total - self.reused.whole

    @property
    def stopping(self) -> bool:
        """Whether nothing more is sent, because of a failure or of `cancel`."""
        return self.state != RUNNING

    @property
    def run_tag(self) -> str:
        """The tag that all batches of the run carry."""
        return f"pcs-run:{self.uuid}"

    def batch_tag(self, k: int) -> str:
        """The tag that only the k-th batch carries."""
        return f"pcs-run:{self.uuid}:{k}"

    def seconds(self) -> float:
        """Wall clock in seconds since 1970, as the journal keeps it."""
        return self.effects.now().timestamp()

    def wait(self, seconds: float, reason: str) -> None:
        """Sleep, and say why when it is long."""
        if seconds <= 0:
            return
        if seconds > TELL_AFTER_S or seconds >= self.settle_s > 0:
            self.emit(Event(kind="waiting", message=reason, seconds=seconds))
        self.effects.sleep(seconds)

    def n_atoms(self, job: PlannedJob) -> int:
        """Number of atoms of a job: the length of its bitstrings."""
        return len(self.plan.job_atoms(job))

    def request(self, batch: BatchRow, job: PlannedJob) -> JobRequest:
        """The job as batch `batch` takes it: variables where the batch has a sequence, else its own sequence."""
        runs, draw = self.reused.runs_to_send(job), self.reused.draw(job) if self.client.is_twin else None
        if batch_sequence(self.plan, batch) is not None:
            return JobRequest(runs=runs, variables=job.variables, draw=draw)
        return JobRequest(runs=runs, sequence=self.plan.built_sequence(job), draw=draw)

    def hint(self) -> str:
        """How to go on with this run."""
        return f"Resume it with `pcs-run resume {self.folder.path}`."

    def with_hint(self, error: PcsRunnerError) -> None:
        """Give an error without a next step the usual one."""
        error.hint = error.hint or self.hint()


def batch_sequence(plan: Plan, batch: BatchRow) -> str | None:
    """Id of the one sequence of a batch, or None when its jobs carry their own."""
    if batch.sequence is not None:
        return batch.sequence
    return plan.sequence_ids[0] if len(plan.sequence_ids) == 1 else None


def iso(moment: Any) -> str | None:
    """A time of the service as ISO text; text that could not be read stays as it is, without control characters."""
    if moment is None:
        return None
    return moment.isoformat() if isinstance(moment, datetime) else safe_text(moment, 80)
