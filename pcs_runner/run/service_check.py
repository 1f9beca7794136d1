"""The journal against the service: batches by tag, their jobs by position, and what neither side expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcs_runner.pcs.errors import NotFoundError
from pcs_runner.pcs.protocol import TERMINAL
from pcs_runner.run import fingerprint
from pcs_runner.run.found import can_list

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcs_runner.pcs.batch import Batch
    from pcs_runner.pcs.job import Job
    from pcs_runner.pcs.protocol import Client
    from pcs_runner.run.journal import Journal
    from pcs_runner.run.rows import BatchRow, JobRow

    Note = Callable[[str, str, object], None]

PAGE = 500
SERVICE = "service"


def check_service(client: Client, journal: Journal, note: Note) -> str:
    """Compare every batch and job; reads only.

    Args:
        client: Of the service.
        journal: Of the run.
        note: Takes each difference: `missing`, `extra` or `changed`, where, and what.

    Returns:
        What was compared, in words.

    Raises:
        ServiceError: Not reached.
    """
    tag = f"pcs-run:{journal.run().uuid}"
    rows = [batch for batch in journal.batches() if batch.id is not None]
    listed = {batch.id: batch for batch in client.list_batches(tag=tag)} if can_list(client) else {}
    known = {extra_id: outcome for extra_id, _, _, outcome in journal.extras()}
    for row in rows:
        batch = listed.pop(row.id or "", None) or _fetched(client, row)
        if batch is None:
            note("missing", SERVICE, f"it has no batch {row.id} (number {row.k} of the run)")
            continue
        _check_batch(row, batch, note)
        _check_jobs(client, journal, row, set(known), note)
    for batch in listed.values():
        if tag in batch.tags:
            said = f"; known: {known[batch.id]}" if batch.id in known else ""
            note("extra", SERVICE, f"batch {batch.id} with {batch.jobs_count} jobs, {batch.status}, was not meant{said}")
    return "1 batch and its jobs on the service" if len(rows) == 1 else f"{len(rows)} batches and their jobs on the service"


def _fetched(client: Client, row: BatchRow) -> Batch | None:
    """The batch by its id: a list may lag behind."""
    try:
        return client.get_batch(row.id or "")
    except NotFoundError:
        return None


def _check_batch(row: BatchRow, batch: Batch, note: Note) -> None:
    if batch.jobs_count is not None and batch.jobs_count != row.next_position:
        kind = "extra" if batch.jobs_count > row.next_position else "missing"
        note(kind, SERVICE, f"batch {batch.id} has {batch.jobs_count} jobs, the journal knows of {row.next_position}")
    if row.state == "closed" and batch.open and batch.status not in TERMINAL:
        note("changed", SERVICE, f"batch {batch.id} is open, the journal has it as closed")


def _check_jobs(client: Client, journal: Journal, row: BatchRow, known: set[str], note: Note) -> None:
    """Each attempt stands where it was sent, with its id, content and end; strangers between them are told."""
    position = 0
    jobs = client.list_jobs(row.id or "")
    ours: dict[int, tuple[JobRow, str]] = {}
    until = -1
    for position, job in enumerate(jobs):
        if position > until:
            page = journal.placed(row.k, position, PAGE)
            ours = {placed.position or 0: (placed, fate) for placed, fate in page}
            until = max(ours) if len(page) == PAGE else 2**62
        mine = ours.pop(position, None)
        if mine is None:
            said = ", which is known" if job.id in known else ""
            note("extra", SERVICE, f"job {job.id} at position {position} of batch {row.id} was not sent by this run{said}")
        else:
            _check_job(*mine, job, note)
    for left, _ in sorted(ours.values(), key=lambda one: one[0].position or 0):
        note("missing", SERVICE, f"batch {row.id} does not list job {left.idx}, which was sent to its position {left.position}")


def _check_job(row: JobRow, fate: str, job: Job, note: Note) -> None:
    there = fingerprint.of_job(job)
    if there is not None and row.content is not None and there != row.content:
        note("changed", SERVICE, f"job {job.id} has other variables or runs than job {row.idx} that was sent there")
    if fate != "open" and row.job_id not in (None, job.id):
        note("changed", SERVICE, f"job {row.idx} is {job.id}, the journal has {row.job_id}")
    if fate != "open" and row.status != job.status:
        note("changed", SERVICE, f"job {job.id} is {job.status}, the journal has {row.status} for job {row.idx}")
