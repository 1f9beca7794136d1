"""Sending: every job exactly once, in the plan's order, each step meant on disk before it is taken."""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import ServiceError
from pcs_runner.pcs.errors import RefusedError, UnreachableError, safe_text
from pcs_runner.pcs.protocol import TERMINAL, BatchRequest
from pcs_runner.run import doubt, fingerprint
from pcs_runner.run.events import Event
from pcs_runner.run.rows import JobRow
from pcs_runner.run.session import DOUBTS, Cursor, Session, batch_sequence
from pcs_runner.run.stop import CANCELLED, respect_cancellation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pcs_runner.pcs.batch import Batch
    from pcs_runner.pcs.protocol import JobRequest
    from pcs_runner.plan import PlannedJob
    from pcs_runner.run.rows import BatchRow, ChunkRow

    Pair = tuple[JobRow, PlannedJob]

TRIES = 5
"""How often the same thing is sent when the service, asked each time, says that it did not arrive."""

SPLIT_CHUNKS = 50
"""Chunks' worth of jobs that are looked at together when each sequence has its own batch."""


class Sender:
    """Knows which jobs are next. One a session; everything it must not forget is in the journal.

    Attributes:
        exhausted: Whether every job of the plan was looked at.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._cursor = Cursor(session.plan)
        highest, whole = session.journal.sent_until()
        self._new = self._new_jobs(highest if whole else 0, highest)
        self._sent = session.journal.sent()
        self._empty_refused = False
        self.exhausted = False

    def send(self) -> int:
        """Send what comes next, about a chunk; the number of jobs sent, 0 when there is nothing to send.

        Raises:
            ServiceError: Refused or not reached; the journal says what is where.
        """
        if self._session.stopping:
            return 0
        lanes: dict[str | None, list[Pair]] = {}
        split = self._session.options.split is not None
        for row, job in self._window():
            lanes.setdefault(job.sequence if split else None, []).append((row, job))
        for lane, jobs in lanes.items():
            self._send_lane(lane, jobs)
        return sum(len(jobs) for jobs in lanes.values())

    def close_batches(self) -> None:
        """Close every batch that gets no more jobs: with retries left, only when all of its jobs have ended."""
        session = self._session
        if not session.stopping and (not self.exhausted or session.journal.has_unsent()):
            return
        for batch in session.journal.open_batches():
            if session.stopping or not session.options.on_failure.retries or not session.journal.has_open(batch.k):
                close(session, batch)

    def _window(self) -> list[Pair]:
        """The next jobs, attempts that wait first."""
        options = self._session.options
        size = options.chunk * (SPLIT_CHUNKS if options.split else 1)
        if not options.open:
            size = options.max_jobs if options.max_jobs and not options.split else 10**9
        waiting = [(row, self._cursor.job(row.idx)) for row in self._session.journal.unsent(size)]
        fresh = [] if self.exhausted else [(_first(job), job) for job in islice(self._new, size - len(waiting))]
        if not self.exhausted and len(waiting) + len(fresh) < size:
            self.exhausted = True
        return waiting + fresh

    def _new_jobs(self, start: int, highest: int) -> Iterator[PlannedJob]:
        """Jobs that were never looked at; below `highest` some were (a batch for each sequence sends out of order)."""
        session, seen, until, end = self._session, set[int](), start, start
        for job in session.plan.jobs(start):
            end = job.index + 1
            if job.index >= highest:
                yield job
                continue
            if job.index >= until:
                seen, until = session.journal.present(job.index, job.index + 1000), job.index + 1000
            if job.index not in seen:
                yield job
        if session.journal.run().total is None:
            session.journal.set_total(max(end, highest))

    def _send_lane(self, lane: str | None, jobs: list[Pair]) -> None:
        """Send jobs in order to the current batch of their lane, and to the next ones where that takes no more."""
        fruitless = 0
        while jobs and not self._session.stopping:
            batch = self._batch(lane, jobs[0][1].index)
            landed = self._send_part(batch, jobs[: self._room(batch)])
            jobs = jobs[landed:]
            fruitless = 0 if landed else fruitless + 1
            if fruitless == TRIES:
                raise ServiceError(f"{TRIES} batches in a row took no job", hint=f"Ask the provider. {self._session.hint()}")
            self._sent += landed
            if landed:
                self._session.emit(Event(kind="submitted", number=self._sent, total=self._session.to_send))

    def _batch(self, lane: str | None, first_index: int) -> BatchRow:
        """The batch that takes the next job of a lane; a new one is only meant so far."""
        journal, limit = self._session.journal, self._session.options.max_jobs
        batch = journal.current_batch(lane)
        if batch is not None and batch.state == "open" and limit is not None and batch.next_position >= limit:
            close(self._session, batch)
            batch = None
        return batch or journal.intend_batch(sequence=lane, first_index=first_index, now=self._session.seconds())

    def _room(self, batch: BatchRow) -> int:
        options = self._session.options
        room = 10**9 if options.max_jobs is None else options.max_jobs - batch.next_position
        return min(options.chunk, room) if options.open else room

    def _send_part(self, batch: BatchRow, part: Sequence[Pair]) -> int:
        """Send jobs in one request, making the batch first where need be; the number that arrived."""
        options = self._session.options
        requests = [self._session.request(batch, job) for _, job in part]
        if batch.state == "intent" and options.open and not self._empty_refused:
            try:
                batch = self._create(batch, ())
            except RefusedError:
                # Some services refuse a batch without jobs; with jobs the answer will be about the jobs.
                self._empty_refused = True
        rows = [
            JobRow(
                idx=row.idx, attempt=row.attempt, retries=row.retries, moves=row.moves, content=fingerprint.of_request(request)
            )
            for (row, _), request in zip(part, requests, strict=True)
        ]
        chunk = self._session.journal.intend_chunk(batch.k, rows, self._session.seconds())
        try:
            return self._create_with(batch, chunk, requests) if batch.state == "intent" else self._add(batch, chunk, requests)
        except UnreachableError:
            self._session.journal.acknowledge_chunk(chunk, landed=0)
            raise

    def _create(self, batch: BatchRow, requests: Sequence[JobRequest]) -> BatchRow:
        """Create the batch on the service; after a doubt look for it, and only when it is not there send it again."""
        session = self._session
        for _ in range(TRIES):
            try:
                answer: Batch | None = session.client.create_batch(batch_request(session, batch, requests))
            except DOUBTS:
                doubt.wait_for_late(session)
                answer = self._asked(batch)
            except UnreachableError:
                session.journal.forget_doubt(batch.k)
                raise
            if answer is not None:
                session.journal.acknowledge_batch(batch.k, answer.id, is_open=session.options.open)
                session.emit(Event(kind="batch_created", batch_id=answer.id, number=batch.k))
                return session.journal.batch(batch.k)
        raise ServiceError(f"the service gave no clear answer to {TRIES} requests for a new batch", hint=session.hint())

    def _asked(self, batch: BatchRow) -> Batch | None:
        """The batch that a doubtful request made, or None. A question that is refused leaves the doubt: nothing is sent again."""
        try:
            return doubt.find_batch(self._session, batch)
        except RefusedError as error:
            raise ServiceError(
                f"whether batch {batch.k} was made is not known: {error.message}", hint=self._session.hint()
            ) from error

    def _create_with(self, batch: BatchRow, chunk: ChunkRow, requests: Sequence[JobRequest]) -> int:
        try:
            batch = self._create(batch, requests)
        except RefusedError:
            self._session.journal.acknowledge_chunk(chunk, landed=0)
            raise
        assert batch.id is not None
        if self._session.client.get_batch(batch.id).jobs_count != chunk.count:
            return doubt.reconcile(self._session, batch, chunk)
        self._session.journal.acknowledge_chunk(chunk)
        return chunk.count

    def _add(self, batch: BatchRow, chunk: ChunkRow, requests: Sequence[JobRequest]) -> int:
        session = self._session
        assert batch.id is not None
        try:
            answer = session.client.add_jobs(batch.id, requests)
        except DOUBTS:
            doubt.wait_for_late(session)
            return doubt.reconcile(session, batch, chunk)
        except RefusedError:
            landed = doubt.reconcile(session, batch, chunk)
            if not landed and not _was_taken_away(session, batch):
                raise
            return landed
        if answer.jobs_count in (None, chunk.first + chunk.count):
            session.journal.acknowledge_chunk(chunk)
            return chunk.count
        return doubt.reconcile(session, batch, chunk)


def batch_request(session: Session, batch: BatchRow, requests: Sequence[JobRequest]) -> BatchRequest:
    """The batch as it is created, with the tags by which it can be found again."""
    plan, options = session.plan, session.options
    sequence = batch_sequence(plan, batch)
    return BatchRequest(
        sequence_builder=None if sequence is None else plan.sequence(sequence),
        jobs=tuple(requests),
        open=options.open,
        device_type=plan.target.device_type,
        tags=(session.run_tag, session.batch_tag(batch.k), f"pcs-plan:{plan.digest[:16]}", *options.tags),
        webhook=options.webhook,
        configuration=_configuration(session, batch),
        backend_configuration=plan.backend_configuration,
    )


def close(session: Session, batch: BatchRow) -> None:
    """Close a batch and see that it is closed; first look that its jobs are the ones we know.

    Raises:
        ServiceError: The service keeps it open, or lost jobs.
    """
    assert batch.id is not None
    check_tail(session, batch)
    for attempt in range(TRIES):
        fresh = session.client.get_batch(batch.id)
        if not fresh.open or fresh.status in TERMINAL:
            session.journal.close_batch(batch.k)
            session.emit(Event(kind="batch_closed", batch_id=batch.id, number=batch.k))
            return
        if attempt:
            session.wait(session.client.polling.first_s * 2**attempt, f"batch {batch.id} is not closed yet")
        with contextlib.suppress(RefusedError, *DOUBTS):
            session.client.close_batch(batch.id)
    if not session.client.get_batch(batch.id).open:
        session.journal.close_batch(batch.k)
        return
    raise ServiceError(f"batch {batch.id} stays open although it was closed {TRIES} times", hint=session.hint())


def check_tail(session: Session, batch: BatchRow, count: int | None = None) -> None:
    """Look for jobs behind the last one that we know of: report them, cancel the pending ones.

    Args:
        session: The session.
        batch: A batch with an id.
        count: Number of its jobs when it was just told, else it is asked.

    Raises:
        ServiceError: The service has fewer jobs than it acknowledged.
    """
    assert batch.id is not None
    count = session.client.get_batch(batch.id).jobs_count if count is None else count
    if count is None or count == batch.next_position:
        return
    tail = doubt.read_tail(session, batch.id, batch.next_position) if count > batch.next_position else []
    if tail:
        doubt.stranger_jobs(session, batch.id, tail)
        session.journal.set_next_position(batch.k, batch.next_position + len(tail))
    elif count < batch.next_position:
        raise ServiceError(
            f"batch {batch.id} has {count} jobs, although the service acknowledged {batch.next_position}",
            hint=f"Wait. {session.hint()}",
        )


def _was_taken_away(session: Session, batch: BatchRow) -> bool:
    """Whether the service takes no more jobs into a batch that we have not closed; then the journal knows it too."""
    assert batch.id is not None
    fresh = session.client.get_batch(batch.id)
    if fresh.open and fresh.status not in TERMINAL:
        return False
    status = safe_text(fresh.status, 40)
    session.journal.close_batch(batch.k, status)
    session.emit(Event(kind="batch_ended", batch_id=batch.id, number=batch.k, message=status))
    if status in CANCELLED:
        respect_cancellation(session, batch.id)
    return True


def _configuration(session: Session, batch: BatchRow) -> dict[str, Any] | None:
    """The user's legacy settings; for a twin with what makes its results a function of the job's index."""
    target = session.plan.target
    if not session.client.is_twin:
        return session.options.configuration
    ours: dict[str, Any] = {"seed": target.seed, "first_index": batch.first_index, "engine": target.engine}
    if target.accuracy is not None:
        ours["accuracy"] = target.accuracy
    return {**(session.options.configuration or {}), **ours}


def _first(job: PlannedJob) -> JobRow:
    return JobRow(idx=job.index, attempt=1)
