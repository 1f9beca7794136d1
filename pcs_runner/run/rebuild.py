"""A lost journal, made again from what the service has, in the order of its jobs, and from the results on disk.

Who is who is decided by content: a job of the service belongs to the first job of the plan with the same sequence, variables and
runs that has none yet. Jobs of equal content are the same experiment, so it does not matter which of them belongs to which.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pcs_runner.errors import ServiceError
from pcs_runner.pcs.protocol import TERMINAL, JobRequest, JobResult
from pcs_runner.results import jsonl
from pcs_runner.results.durable import sync_folder
from pcs_runner.results.record import JobRecord
from pcs_runner.run import doubt, fingerprint
from pcs_runner.run.events import Event
from pcs_runner.run.follow import TAKEN_AWAY
from pcs_runner.run.found import BY_HAND, RebuildError, batches_of, can_list, number_of
from pcs_runner.run.journal import Journal
from pcs_runner.run.result_check import check_result
from pcs_runner.run.rows import CANCELLING, ENDED, RUNNING, STOPPING, BatchRow, JobRow
from pcs_runner.run.session import batch_sequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pcs_runner.pcs.job import Job
    from pcs_runner.plan import Plan, PlannedJob
    from pcs_runner.run.directory import RunFolder
    from pcs_runner.run.found import FoundBatch
    from pcs_runner.run.session import Session

    Key = tuple[str, bytes]
    """Sequence (its id, or a hash of the job's own) and what the job asks for: equal for jobs that are the same experiment."""

NEW = "journal.db.new"

UNFINISHED = {"created": RUNNING, "finished": RUNNING, "stopped": STOPPING, "cancelled": CANCELLING}
"""State of the manifest -> state to go on from, where they differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A job as the service has it: where, under which id, and how it is."""

    k: int
    position: int
    job_id: str
    status: str
    content: bytes

    @property
    def failed(self) -> bool:
        """Whether it ended without a result."""
        return self.status in TERMINAL and self.status != "DONE"


@dataclass(slots=True, kw_only=True)
class Matching:
    """Which of the service's jobs belong to which job of the plan.

    Attributes:
        attempts: Index -> its jobs, in the order in which they were sent.
        recorded: Index -> its record, for the jobs that are in the results.
        strangers: Jobs that belong to none.
    """

    attempts: dict[int, list[Sent]] = field(default_factory=lambda: defaultdict(list))
    recorded: dict[int, JobRecord] = field(default_factory=dict)
    strangers: list[Sent] = field(default_factory=list)


def scratch(folder: RunFolder, plan: Plan, uuid: str) -> Journal:
    """A new journal beside the place of the real one, empty and open, to be filled by `rebuild`."""
    path = folder.path / NEW
    for name in (path, path.with_name(f"{NEW}-journal")):
        name.unlink(missing_ok=True)
    Journal.create(path, uuid=uuid, digest=plan.digest, total=plan.total_jobs)
    return Journal.open(path)


def catch_up(session: Session) -> None:
    """Rebuild the journal when the service has more of the run than it: it is an older copy. One request when all is well.

    Raises: as `rebuild`.
    """
    if not is_behind(session):
        return
    state, extras = session.journal.run().state, session.journal.extras()
    session.journal.close()
    session.journal = scratch(session.folder, session.plan, session.uuid)
    rebuild(session, state=state, extras=extras)


def rebuild(session: Session, *, state: str, extras: Sequence[tuple[str, str, int, str]] = ()) -> None:
    """Fill the session's scratch journal from the service and the results, and put it in its place.

    The old file is kept as `journal.db.damaged`. Nothing is sent.

    Args:
        session: With a journal from `scratch`.
        state: Of the run, as far as it is known.
        extras: What the run is known not to have meant to send.

    Raises:
        RebuildError: The service does not know the run, or contradicts the plan or the results.
        RunHeldError: Somebody else is carrying the run out.
        ServiceError: Not reached.
    """
    _fill(session, state, extras)
    session.journal.close()
    _put_in_place(session.folder)
    session.journal = Journal.open(session.folder.journal)
    session.state = session.journal.run().state
    count = session.journal.sent()
    message = f"the journal was rebuilt: the service has {count} jobs of the run in {len(session.journal.batches())} batches"
    session.emit(Event(kind="rebuilt", number=count, total=session.plan.total_jobs, message=message))


def is_behind(session: Session) -> bool:
    """Whether the service has more of the run than the journal can account for: it is an older copy. One request."""
    if not can_list(session.client):
        return False
    journal = session.journal
    known = {batch.k: batch for batch in journal.batches()}
    doubtful = {chunk.k: chunk.count for chunk in journal.doubtful_chunks()}
    for found in session.client.list_batches(tag=session.run_tag):
        k = number_of(found, session.uuid)
        if k is None:
            continue
        if k not in known:
            return True
        mine = known[k].id in (None, found.id)
        if mine and (found.jobs_count or 0) > known[k].next_position + doubtful.get(k, 0):
            return True
    return False


def _fill(session: Session, state: str, extras: Sequence[tuple[str, str, int, str]]) -> None:
    batches = batches_of(session)
    records = list(_trusted_records(session))
    _refuse_nothing(session, batches, records)
    lanes = {k: _lane(session, batch) for k, batch in batches.items()}
    there = [sent for k, batch in batches.items() for sent in _sent_jobs(session, batch, lanes[k])]
    matching = _match(session, there, records)
    rows = list(_rows(matching, batches))
    rows += [(row, "final") for row in session.reused.rows(session.plan) if row.idx not in matching.recorded]
    done = len(rows) == sum(fate in ("recorded", "superseded") for _, fate in rows) and len(records) == session.plan.total_jobs
    if not done:
        state = UNFINISHED.get(state, state)
        if state == RUNNING and any(record.attempt == 0 for record in records):
            state = STOPPING  # jobs that were never sent are only recorded by a run that stops
    session.journal.fill(
        state=state,
        recorded=len(records),
        batches=[_batch_row(batch, lanes[batch.k], there, rows) for batch in batches.values()],
        jobs=rows,
        extras=extras,
    )
    for sent in matching.strangers:
        batch_id = batches[sent.k].id
        doubt.stranger_jobs(
            session, batch_id, list(session.client.list_jobs(batch_id, start=sent.position, stop=sent.position + 1))
        )


def noted_state(folder: RunFolder) -> str:
    """State of the run as the manifest has it."""
    state = str(folder.read_manifest().get("state", "created"))
    return state if state in {RUNNING, STOPPING, CANCELLING, *ENDED.values()} else RUNNING


def _refuse_nothing(session: Session, batches: dict[int, FoundBatch], records: Sequence[JobRecord]) -> None:
    """A cloud that has nothing of a run that was begun has forgotten it, or is another account: sending again could pay twice."""
    begun = session.folder.read_manifest()["times"].get("started") is not None
    measured = [record for record in records if not record.origins]
    begun = begun and session.reused.whole != session.plan.total_jobs
    if not batches and session.plan.target.backend != "local" and (begun or measured):
        raise RebuildError(
            f"the journal of {session.folder.path} is lost, and the service lists no batch of its run {session.uuid}",
            hint=BY_HAND,
        )


def _trusted_records(session: Session) -> Iterator[JobRecord]:
    """The records on disk, from the first one, as long as each can be that of its job."""
    lines = jsonl.whole_lines(session.folder.results)
    for (line, _), job in zip(lines, session.plan.jobs(), strict=False):
        try:
            record = JobRecord.from_line(line)
            same = (record.index, record.runs, record.sequence) == (job.index, job.runs, job.sequence)
            content = fingerprint.fingerprint(record.runs, record.variables)
            if not same or content != fingerprint.fingerprint(job.runs, job.variables):
                return
            if record.status == "DONE":
                n_atoms = session.n_atoms(job)
                check_result(JobResult(counter=record.counts), runs=job.runs, n_atoms=n_atoms, job_id=record.job_id)
        except (ValueError, TypeError, AttributeError, ServiceError):
            return
        yield record


def _lane(session: Session, batch: FoundBatch) -> str | None:
    """The one sequence of a batch that was split off, else None."""
    from pcs_runner.emulator.seeding import document_digest

    plan = session.plan
    if session.options.split is None:
        return None
    text = session.client.get_batch(batch.id).sequence_builder
    there = None if text is None else document_digest(text)
    for name in plan.sequence_ids:
        if document_digest(plan.sequence(name)) == there:
            return name
    raise RebuildError(
        f"the sequence of batch {batch.id} is none of the plan's", hint="Nothing was sent. Report it to the provider."
    )


def _sent_jobs(session: Session, batch: FoundBatch, lane: str | None) -> Iterator[tuple[Key, Sent]]:
    """The jobs of a batch in order of creation, each with what makes it the experiment that it is."""
    row = _empty_row(batch, lane)
    shared = batch_sequence(session.plan, row)
    for position, job in enumerate(doubt.read_tail(session, batch.id, 0)):
        content = fingerprint.of_job(job)
        if content is None:
            raise RebuildError(f"the service does not say what job {job.id} is", hint="Nothing was sent.")
        sent = Sent(k=batch.k, position=position, job_id=job.id, status=job.status, content=content)
        yield (_own_sequence(job) if shared is None else shared, content), sent


def _own_sequence(job: Job) -> str:
    from pcs_runner.emulator.seeding import document_digest

    if job.sequence is None:
        raise RebuildError(f"the service does not say which sequence job {job.id} has", hint="Nothing was sent.")
    return document_digest(job.sequence)


def _planned_key(session: Session, job: PlannedJob) -> Key:
    from pcs_runner.emulator.seeding import document_digest

    plan, runs = session.plan, session.reused.runs_to_send(job)
    if session.options.split is not None or len(plan.sequence_ids) == 1:
        return job.sequence, fingerprint.of_request(JobRequest(runs=runs, variables=job.variables))
    request = JobRequest(runs=runs, sequence=plan.built_sequence(job))
    return document_digest(request.sequence), fingerprint.of_request(request)


def _match(session: Session, there: Sequence[tuple[Key, Sent]], records: Sequence[JobRecord]) -> Matching:
    """Give every job of the service to a job of the plan: recorded ones by their id, the others by content, in order."""
    matching = Matching(recorded={record.index: record for record in records})
    by_id = {sent.job_id: (key, sent) for key, sent in there}
    taken: set[str] = set()
    indices: dict[Key, list[int]] = defaultdict(list)
    for job in session.plan.jobs():
        if session.reused.is_whole(job):
            continue
        key = _planned_key(session, job)
        indices[key].append(job.index)
        record = matching.recorded.get(job.index)
        if record is not None and record.job_id:
            taken |= _take_recorded(session, matching, record, key, by_id)
    waiting: dict[Key, list[Sent]] = defaultdict(list)
    for key, sent in there:
        if key not in indices:
            raise RebuildError(
                f"job {sent.job_id} of the run is none of the plan's", hint="Nothing was sent. Report it to the provider."
            )
        if sent.job_id not in taken:
            waiting[key].append(sent)
    for key, jobs in waiting.items():
        _share(matching, jobs, indices[key])
    return matching


def _take_recorded(
    session: Session, matching: Matching, record: JobRecord, key: Key, by_id: dict[str, tuple[Key, Sent]]
) -> set[str]:
    """The record's own job of the service; on this machine it may be gone with the twin's store."""
    found = by_id.get(record.job_id)
    if found is None or found[0] != key:
        if session.plan.target.backend == "local" and found is None:
            return set()
        raise RebuildError(
            f"{session.folder.results}:{record.index + 1} is the result of a job that the service does not have in this run",
            hint="Nothing was sent. Move results.jsonl away when it is another run's, and resume.",
        )
    matching.attempts[record.index].append(found[1])
    return {record.job_id}


def _share(matching: Matching, jobs: Sequence[Sent], indices: Sequence[int]) -> None:
    """Give jobs of equal content to the indices that want it: results first, then failures to where they came before."""
    free = [index for index in indices if index not in matching.recorded]
    again = [
        i for i in indices if i in matching.recorded and matching.recorded[i].status != "DONE" and matching.recorded[i].job_id
    ]
    wanting = iter([*free, *again])
    lacking = set(free)
    for sent in (sent for sent in jobs if not sent.failed):
        index = next(wanting, None)
        if index is None:
            matching.strangers.append(sent)
        else:
            matching.attempts[index].append(sent)
            lacking.discard(index)
    for sent in (sent for sent in jobs if sent.failed):
        _give_failure(matching, sent, [*sorted(lacking), *(i for i in indices if i not in lacking)], lacking)


def _give_failure(matching: Matching, sent: Sent, indices: Iterable[int], lacking: set[int]) -> None:
    """A failed job is an earlier attempt of one that has another, or the last of one that has no better.

    The failures of equal jobs are spread over them: none has used up its retries for the others.
    """

    def fits(index: int) -> bool:
        attempts, record = matching.attempts[index], matching.recorded.get(index)
        room = record is None or len(attempts) < record.attempt
        before = any((sent.k, sent.position) < (other.k, other.position) for other in attempts if not other.failed)
        return room and (before or index in lacking)

    index = min(filter(fits, indices), key=lambda i: sum(one.failed for one in matching.attempts[i]), default=None)
    if index is None:
        matching.strangers.append(sent)
    else:
        matching.attempts[index].append(sent)
        matching.attempts[index].sort(key=lambda one: (one.k, one.position))


def _rows(matching: Matching, batches: dict[int, FoundBatch]) -> Iterator[tuple[JobRow, str]]:
    """What the journal keeps of each attempt, and its fate; whatever is not in the results is looked at again."""
    for index in sorted({*matching.recorded, *(index for index, sent in matching.attempts.items() if sent)}):
        record, attempts = matching.recorded.get(index), matching.attempts.get(index, [])
        if record is not None and not any(sent.job_id == record.job_id for sent in attempts):
            fate = "superseded" if attempts else "recorded"
            yield JobRow(idx=index, attempt=record.attempt, job_id=record.job_id, status=record.status), fate
        row = JobRow(idx=index, attempt=1)
        if record is not None and attempts:
            own = next((i for i, sent in enumerate(attempts) if sent.job_id == record.job_id), -1)
            row = replace(row, attempt=record.attempt - own)
        for i, sent in enumerate(attempts):
            last, known = i == len(attempts) - 1, record is not None and sent.job_id == record.job_id
            fate = ("recorded" if known else "open") if last else "superseded"
            status = record.status if record is not None and known else sent.status
            where = replace(row, k=sent.k, position=sent.position, content=sent.content)
            yield (where if fate == "open" else replace(where, job_id=sent.job_id, status=status)), fate
            moved = batches[sent.k].status in TAKEN_AWAY and sent.status in ("CANCELED", "TIMED_OUT")
            row = replace(row, attempt=row.attempt + 1, moves=row.moves + moved, retries=row.retries + (not moved))


def _batch_row(
    batch: FoundBatch,
    lane: str | None,
    there: Sequence[tuple[Key, Sent]],
    rows: Sequence[tuple[JobRow, str]],
) -> BatchRow:
    mine = [(row, fate) for row, fate in rows if row.k == batch.k]
    return replace(
        _empty_row(batch, lane),
        first_index=min((row.idx for row, _ in mine), default=0),
        next_position=sum(sent.k == batch.k for _, sent in there),
        known=sum(fate != "open" for _, fate in mine),
    )


def _empty_row(batch: FoundBatch, lane: str | None) -> BatchRow:
    return BatchRow(
        k=batch.k,
        id=batch.id,
        state="open" if batch.open else "closed",
        sequence=lane,
        first_index=0,
        intended_at=0.0,
        next_position=0,
        known=0,
        status=batch.status if batch.status in TAKEN_AWAY else "",
    )


def _put_in_place(folder: RunFolder) -> None:
    """The new journal takes the place of the old one, which is kept; in between there is none, and it would be rebuilt again."""
    if folder.journal.exists():
        folder.journal.replace(folder.path / "journal.db.damaged")
    (folder.path / "journal.db-journal").unlink(missing_ok=True)
    sync_folder(folder.path)
    (folder.path / NEW).replace(folder.journal)
    sync_folder(folder.path)
