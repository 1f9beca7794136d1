"""After a doubt the service is asked, never told again: which batch carries the tag, which jobs are at its tail."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pcs_runner.errors import ServiceError
from pcs_runner.pcs.errors import RefusedError, safe_text
from pcs_runner.run import fingerprint
from pcs_runner.run.events import Event
from pcs_runner.run.session import DOUBTS, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pcs_runner.pcs.batch import Batch
    from pcs_runner.pcs.job import Job
    from pcs_runner.run.rows import BatchRow, ChunkRow

LOOKS = 3
"""How often a service that contradicts itself is asked before the run gives up (and can be resumed)."""


def resolve_all(session: Session) -> None:
    """Clear up what an earlier process meant to do and did not see acknowledged."""
    journal = session.journal
    intents = [batch for batch in journal.batches() if batch.state == "intent"]
    sent = [chunk for chunk in journal.doubtful_chunks() if journal.batch(chunk.k).id is not None]
    if sent or any(batch.intended_at for batch in intents):
        wait_for_late(session)
    for batch in intents:
        if batch.intended_at:
            found = find_batch(session, batch)
            if found is not None:
                adopt(session, batch, found)
    for chunk in journal.doubtful_chunks():
        batch = journal.batch(chunk.k)
        if batch.id is None:
            journal.acknowledge_chunk(chunk, landed=0)
        else:
            reconcile(session, batch, chunk)


def wait_for_late(session: Session) -> None:
    """Wait until a request that was sent before now can no longer apply.

    The whole window, also when the wall clock says that it has passed: a clock may have been set in the meantime.
    """
    session.wait(session.settle_s, "a request without an answer may still arrive at the service")


def find_batch(session: Session, batch: BatchRow) -> Batch | None:
    """The service's batch with the tag of this one, or None; of several the oldest, and the others are cancelled."""
    found = [
        item for item in session.client.list_batches(tag=session.batch_tag(batch.k)) if session.batch_tag(batch.k) in item.tags
    ]
    for other in found[1:]:
        stranger_batch(session, other)
    return found[0] if found else None


def adopt(session: Session, batch: BatchRow, found: Batch) -> BatchRow:
    """Take the service's batch for ours."""
    session.journal.acknowledge_batch(batch.k, found.id, is_open=session.options.open)
    session.emit(Event(kind="batch_adopted", batch_id=found.id, number=batch.k))
    return session.journal.batch(batch.k)


def reconcile(session: Session, batch: BatchRow, chunk: ChunkRow) -> int:
    """Ask which jobs of a chunk the service has, and journal it; the rest is unsent again.

    Returns:
        Number of jobs of the chunk that the service has, from its first one.

    Raises:
        ServiceError: Its count and its list of jobs disagree for good.
    """
    assert batch.id is not None
    rows = session.journal.open_jobs(chunk.k, chunk.first, chunk.count)
    tail = read_tail(session, batch.id, chunk.first)
    landed, offset = align([row.content for row in rows], [fingerprint.of_job(job) for job in tail])
    strangers = [*tail[:offset], *tail[offset + landed :]]
    if strangers:
        stranger_jobs(session, batch.id, strangers)
    session.journal.acknowledge_chunk(chunk, landed=landed, offset=offset, next_position=chunk.first + len(tail))
    return landed


def align(meant: Sequence[bytes | None], there: Sequence[bytes | None]) -> tuple[int, int]:
    """How many of the jobs that were meant are there, and behind how many others.

    What is meant arrives in order, whole or its beginning; a request that a gateway repeats late can put others before it.
    """
    for offset in range(len(there)):
        part = there[offset : offset + len(meant)]
        if list(part) == list(meant[: len(part)]):
            return len(part), offset
    return 0, len(there)


def read_tail(session: Session, batch_id: str, first: int) -> list[Job]:
    """The jobs of a batch from position `first`, when the service's count and list agree on them.

    Raises:
        ServiceError: They do not, even after waiting.
    """
    for look in range(LOOKS):
        if look:
            session.wait(max(session.settle_s, session.client.polling.first_s), "the service's count and list of jobs disagree")
        count = session.client.get_batch(batch_id).jobs_count
        tail = list(session.client.list_jobs(batch_id, start=first))
        if count is None or count == first + len(tail):
            return tail
    raise ServiceError(
        f"batch {batch_id} says that it has {count} jobs, but lists {first + len(tail)}", hint=f"Wait. {session.hint()}"
    )


def stranger_batch(session: Session, batch: Batch) -> None:
    """Report a batch that carries our tag and is not ours; cancel it while nothing of it has begun."""
    counts = {status: count for status, count in (batch.jobs_count_per_status or {}).items() if count}
    jobs = batch.jobs_count if batch.jobs_count is not None else sum(counts.values())
    outcome = "left alone"
    if not jobs or (counts and set(counts) == {"PENDING"}):
        with contextlib.suppress(RefusedError, *DOUBTS):
            session.client.cancel_batch(batch.id)
            outcome = "cancelled"
    if session.journal.add_extra(batch.id, kind="batch", jobs=jobs, outcome=outcome):
        message = f"the service has a second batch of this run with {jobs} jobs; {outcome}"
        session.emit(Event(kind="stranger", batch_id=batch.id, number=jobs, message=message))


def stranger_jobs(session: Session, batch_id: str, jobs: Sequence[Job]) -> None:
    """Report jobs of our batch that we did not send; cancel those that have not begun."""
    pending = [job.id for job in jobs if job.status == "PENDING"]
    cancelled: set[str] = set()
    if pending:
        with contextlib.suppress(RefusedError, *DOUBTS):
            cancelled = set(session.client.cancel_jobs(batch_id, pending))
    for job in jobs:
        outcome = "cancelled" if job.id in cancelled else f"left alone ({safe_text(job.status, 40)})"
        if session.journal.add_extra(job.id, kind="job", jobs=1, outcome=outcome):
            session.emit(Event(kind="stranger", batch_id=batch_id, message=f"job {job.id} was not sent by this run; {outcome}"))
