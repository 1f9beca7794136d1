"""Watching: which jobs have ended, how, and whether they are sent again; asking often while things move and seldom while not."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from typing import TYPE_CHECKING

from pcs_runner.errors import ServiceError
from pcs_runner.pcs.errors import RefusedError, safe_text
from pcs_runner.pcs.protocol import TERMINAL
from pcs_runner.run import fingerprint
from pcs_runner.run.events import Event
from pcs_runner.run.patience import Silence
from pcs_runner.run.rows import STOPPING, JobRow, Outcome
from pcs_runner.run.session import DOUBTS, Session, iso
from pcs_runner.run.stop import CANCELLED, respect_cancellation, stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pcs_runner.pcs.job import Job
    from pcs_runner.pcs.protocol import BatchStatus
    from pcs_runner.run.rows import BatchRow

BATCHES_AT_ONCE = 16
"""Batches that one look asks about: the first unfinished ones; a device runs one after the other."""

PAGE = 100
"""Jobs in a small page, when it is not known how many have ended."""

LONGEST_PAGE = 500
"""Jobs that are read together at most."""

NEAR = 50
"""Positions between two jobs of interest that are read along rather than asked for separately."""

MOVES = 3
"""How often a job follows into a next batch because the service ended its batch."""

TAKEN_AWAY = frozenset({"TIMED_OUT", "ERROR"})
"""Statuses of a batch that the service ended before its jobs were done; they follow into the next one."""

LONGEST_ERROR, MOST_ERRORS = 2000, 20
"""Characters kept of what the service says about a failure, and how many such texts."""

REST = 4
"""Seconds of rest for each second that a look and the writing after it took."""


class Follower:
    """Looks at the unfinished batches, and paces itself. One a session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._delay_s = session.client.polling.first_s
        self._due = self._looked = session.effects.monotonic()
        self._shown: dict[str, int] = {}
        self._ended: dict[int, float] = {}
        self._silence = Silence(session)
        self._last = ""

    def is_due(self) -> bool:
        """Whether it makes sense to ask again while there is still something to send."""
        return self._session.effects.monotonic() >= self._due

    def look(self) -> bool:
        """Ask how the unfinished batches are and journal the jobs that ended; whether anything moved.

        Raises:
            ServiceError: Refused, not reached, or a job is not the one that was sent.
        """
        self._looked = self._session.effects.monotonic()
        counts: Counter[str] = Counter()
        moved = False
        for batch in self._session.journal.unfinished_batches(BATCHES_AT_ONCE):
            assert batch.id is not None
            status = self._session.client.batch_status(batch.id)
            counts.update({safe_text(name, 40): count for name, count in status.jobs_count_per_status.items()})
            self._last = f"batch {batch.id} is {safe_text(status.status, 40)}"
            if self._scan(batch, status):
                moved = True
        shown = {name: count for name, count in sorted(counts.items()) if count}
        if shown and shown != self._shown:
            self._session.emit(Event(kind="status", counts=shown))
            self._shown, moved = shown, True
        self._pace(moved)
        return moved

    def wait(self) -> None:
        """Sleep until the next look is due; a look that was costly (syncs on a slow disk) makes the next group larger."""
        now = self._session.effects.monotonic()
        rest_s = min(REST * (now - self._looked), self._session.client.polling.longest_s)
        pause_s = max(self._due - now, rest_s)
        if pause_s > 0:
            self._silence.goes_on(f"nothing new, {self._last}" if self._last else "nothing new", pause_s)
            self._session.effects.sleep(pause_s)

    def _pace(self, moved: bool) -> None:
        polling = self._session.client.polling
        if moved:
            self._silence.ends()
        self._delay_s = polling.first_s if moved else min(2 * self._delay_s, polling.longest_s)
        self._due = self._session.effects.monotonic() + self._delay_s

    def _scan(self, batch: BatchRow, status: BatchStatus) -> bool:
        """Find the jobs of a batch that ended since the last look, in proportion to their number."""
        ended = status.status in TERMINAL
        if ended and batch.state == "open":
            self._note_end(batch, status.status)
        if status.status in CANCELLED and not self._session.stopping:
            respect_cancellation(self._session, batch.id or "")
        told = sum(count for name, count in status.jobs_count_per_status.items() if name in TERMINAL)
        fresh = told - batch.known if status.jobs_count_per_status and not ended else None
        found = self._read(batch, fresh, status.status) if fresh is None or fresh > 0 else 0
        if ended and not found and self._session.journal.has_open(batch.k):
            return self._rescue(batch, status.status)
        return found > 0

    def _read(self, batch: BatchRow, fresh: int | None, status: str) -> int:
        """Page through the jobs whose end is not known, as long as there are ended ones among them."""
        found, position = 0, 0
        page = PAGE if fresh is None else min(max(fresh, 1), LONGEST_PAGE)
        while rows := self._session.journal.open_jobs(batch.k, position, page):
            ended = [(row, job) for row, job in self._jobs(batch, rows, may_lag=True) if job.status in TERMINAL]
            if any(job.status in ("CANCELED", "TIMED_OUT") for _, job in ended) and status not in TAKEN_AWAY | CANCELLED:
                # They may have ended with their batch, after its status was read.
                status = self._session.client.batch_status(batch.id or "").status
                if status in CANCELLED and not self._session.stopping:
                    respect_cancellation(self._session, batch.id or "")
            self._settle([self._outcome(row, job, job.status, status) for row, job in ended])
            found += len(ended)
            position = (rows[-1].position or 0) + 1
            # Jobs mostly end in order. So a page without an ended one is the last to look at, unless the batch itself has ended.
            if fresh is not None and (found >= fresh or not ended):
                break
            if not ended and status not in TERMINAL:
                break
        return found

    def _jobs(self, batch: BatchRow, rows: Sequence[JobRow], *, may_lag: bool = False) -> list[tuple[JobRow, Job]]:
        """The service's jobs of these rows (by position), each checked to be the one that was sent.

        A list that lags behind does not show the newest ones yet: left out with `may_lag`, and looked for again later.
        """
        assert batch.id is not None
        pairs: list[tuple[JobRow, Job]] = []
        for part in _slices(rows):
            start, stop = part[0].position or 0, (part[-1].position or 0) + 1
            jobs = dict(enumerate(self._session.client.list_jobs(batch.id, start=start, stop=stop), start))
            for row in part:
                job = jobs.get(row.position or 0)
                if job is None and may_lag:
                    continue
                if job is None:
                    raise ServiceError(
                        f"batch {batch.id} does not list the job at position {row.position}", hint=f"Wait. {self._session.hint()}"
                    )
                self._check(row, job)
                pairs.append((row, job))
        return pairs

    def _check(self, row: JobRow, job: Job) -> None:
        there = fingerprint.of_job(job)
        if there is not None and row.content is not None and there != row.content:
            raise ServiceError(
                f"job {job.id} at position {row.position} of batch {job.batch_id} has other variables or runs "
                f"than job {row.idx} that was sent there",
                hint="Nothing was written for it. Report it to the provider.",
            )

    def _outcome(self, row: JobRow, job: Job, status: str, batch_status: str) -> Outcome:
        errors = [safe_text(error, LONGEST_ERROR) for error in job.errors[:MOST_ERRORS]]
        detail = {"started_at": iso(job.start_timestamp), "ended_at": iso(job.end_timestamp), "errors": errors}
        return Outcome(
            row=row, job_id=job.id, status=status, detail=json.dumps(detail), again=self._next_attempt(row, status, batch_status)
        )

    def _next_attempt(self, row: JobRow, status: str, batch_status: str) -> JobRow | None:
        """The attempt after one that ended so, or None when it was the last."""
        if status == "DONE" or self._session.stopping:
            return None
        taken_away = batch_status in TAKEN_AWAY and status in ("CANCELED", "TIMED_OUT")
        if status == "CANCELED" and not taken_away:
            return None  # somebody cancelled it: that is no failure to be repaired
        if taken_away and row.moves < MOVES:
            return JobRow(idx=row.idx, attempt=row.attempt + 1, retries=row.retries, moves=row.moves + 1)
        if row.retries < self._session.options.on_failure.retries:
            return JobRow(idx=row.idx, attempt=row.attempt + 1, retries=row.retries + 1, moves=row.moves)
        return None

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        """Journal how jobs ended, say what failed, and stop when the policy says so."""
        session = self._session
        session.journal.settle(outcomes)
        again = sum(outcome.again is not None for outcome in outcomes)
        if again:
            session.emit(Event(kind="retry", number=again, message="jobs failed or lost their batch"))
        failed = [outcome for outcome in outcomes if outcome.again is None and outcome.status != "DONE"]
        for outcome in failed:
            errors = "; ".join(json.loads(outcome.detail)["errors"])
            session.emit(Event(kind="job_failed", number=outcome.row.idx, message=f"{outcome.status} {errors}".strip()))
        if failed and not session.stopping and session.options.on_failure.policy == "stop":
            stop(session, STOPPING, f"job {failed[0].row.idx} failed and on_failure.policy is stop")

    def _note_end(self, batch: BatchRow, status: str) -> None:
        self._session.journal.close_batch(batch.k, safe_text(status, 40))
        self._session.emit(Event(kind="batch_ended", batch_id=batch.id or "", number=batch.k, message=safe_text(status, 40)))

    def _rescue(self, batch: BatchRow, status: str) -> bool:
        """A batch has ended and some of its jobs have not: once they surely never will, they follow into the next batch."""
        session = self._session
        assert batch.id is not None
        now = session.effects.monotonic()
        if batch.k not in self._ended:
            self._ended[batch.k] = now
            return False
        if now - self._ended[batch.k] < session.settle_s:
            return False
        with contextlib.suppress(RefusedError, *DOUBTS):
            session.client.cancel_jobs(batch.id)
        if self._read(batch, None, status):
            return True
        ending = status if status in TERMINAL - {"DONE"} else "TIMED_OUT"
        while rows := session.journal.open_jobs(batch.k, 0, LONGEST_PAGE):
            self._settle([self._outcome(row, job, ending, ending) for row, job in self._jobs(batch, rows)])
        return True


def _slices(rows: Sequence[JobRow]) -> list[list[JobRow]]:
    """Rows by position, cut where many positions of no interest lie between two of them."""
    parts: list[list[JobRow]] = []
    for row in rows:
        if parts and (row.position or 0) - (parts[-1][-1].position or 0) <= NEAR:
            parts[-1].append(row)
        else:
            parts.append([row])
    return parts
