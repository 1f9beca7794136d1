"""Collecting: results are verified, written in job order, synced, and only then journalled, in groups."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import ServiceError
from pcs_runner.results import jsonl
from pcs_runner.results.estimates import Estimators
from pcs_runner.results.observables import observables
from pcs_runner.results.record import JobRecord
from pcs_runner.run.events import Event
from pcs_runner.run.result_check import check_result
from pcs_runner.run.reuse import merged
from pcs_runner.run.session import Cursor, Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pcs_runner.pcs.protocol import JobResult
    from pcs_runner.plan import PlannedJob
    from pcs_runner.run.rows import JobRow

GROUP = 200
"""Jobs that are fetched, written and journalled together: they cost two syncs, and their results are in memory at once."""


class Collector:
    """Writes `results.jsonl`. One a session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._cursor = Cursor(session.plan)
        self._batch_ids: dict[int, str] = {}
        self._estimators = Estimators(session.plan.spec.results.observables, session.plan.sequence)

    def record_ready(self) -> int:
        """Write every ended job that is next in the plan's order; the number of jobs written.

        Raises:
            ServiceError: A result is missing or cannot be right; nothing is written for it.
            OSError: The disk is full or not writable.
        """
        session, written = self._session, 0
        recorded = session.journal.run().recorded
        while rows := _next_ones(session.journal.final_jobs(recorded, None, GROUP), recorded):
            jsonl.append(session.folder.results, (record.to_line() for record in self._records(rows)))
            recorded += len(rows)
            session.journal.record(rows, recorded)
            written += len(rows)
            session.emit(Event(kind="recorded", number=recorded, total=session.plan.total_jobs))
        return written

    def rewrite_ready(self) -> int:
        """Put the new records of retried jobs in the place of the old ones, all at once; the number of jobs."""
        journal = self._session.journal
        recorded = journal.run().recorded
        if not journal.final_jobs(0, recorded, 1):
            return 0
        jsonl.rewrite(self._session.folder.results, self._rewritten(recorded))
        count = 0
        while rows := journal.final_jobs(0, recorded, GROUP):
            journal.record(rows, recorded)
            count += len(rows)
        self._session.emit(Event(kind="recorded", number=recorded, total=self._session.plan.total_jobs))
        return count

    def _rewritten(self, recorded: int) -> Iterator[JobRecord]:
        start = 0
        while rows := self._session.journal.final_jobs(start, recorded, GROUP):
            yield from self._records(rows)
            start = rows[-1].idx + 1

    def _records(self, rows: Sequence[JobRow]) -> Iterator[JobRecord]:
        """The records of ended jobs, in order; the results are fetched together."""
        jobs = [(row, self._cursor.job(row.idx)) for row in rows]
        reused = self._session.reused
        measured = [row.job_id for row, job in jobs if row.status == "DONE" and row.job_id and not reused.is_whole(job)]
        results = iter(self._session.client.results(measured)) if measured else iter(())
        for row, job in jobs:
            result = None
            if row.status == "DONE" and not reused.is_whole(job):
                job_id, result = next(results, ("", None))
                if result is None or job_id != row.job_id:
                    raise ServiceError(
                        f"the service gave no result for job {row.job_id}, which is DONE", hint=self._session.hint()
                    )
                check_result(result, runs=reused.runs_to_send(job), n_atoms=self._session.n_atoms(job), job_id=job_id)
            yield self._record(row, job, result)

    def _record(self, row: JobRow, job: PlannedJob, result: JobResult | None) -> JobRecord:
        detail = json.loads(row.detail) if row.detail else {}
        base = self._session.reused.of(job) if row.status == "DONE" else None
        whole = base if result is None else None
        result = merged(base, result)
        raw = None
        if self._session.plan.spec.results.raw and result is not None and result.raw is not None:
            raw = list(result.raw)
        return JobRecord(
            index=job.index,
            group=job.group,
            point=job.point,
            variables=job.variables,
            runs=job.runs,
            status=row.status or "",
            counts={} if result is None else result.counter,
            raw=raw,
            duration_ns=self._session.plan.duration_ns(job),
            sequence=job.sequence,
            batch_id=self._batch_id(row.k) if whole is None else whole.batch_id,
            job_id=row.job_id or "",
            attempt=row.attempt,
            started_at=detail.get("started_at") if whole is None else whole.started_at,
            ended_at=detail.get("ended_at") if whole is None else whole.ended_at,
            errors=detail.get("errors", ()),
            point_index=job.point_index,
            repetition=job.repetition,
            observables=whole.observables if whole else observables(result.serialised_results) if result else {},
            estimates={} if result is None else self._estimators.estimate(job.sequence, result.counter),
            origins=self._origins(row, job, base),
        )

    def _origins(self, row: JobRow, job: PlannedJob, base: JobRecord | None) -> Sequence[Mapping[str, Any]]:
        """Where a job's shots come from when this run did not measure all of them."""
        if base is None or base.runs == job.runs:
            return () if base is None else base.origins
        own = {"run": self._session.uuid, "index": job.index, "job_id": row.job_id, "runs": job.runs - base.runs}
        return (*base.origins, own)

    def _batch_id(self, k: int | None) -> str:
        if k is None:
            return ""
        if k not in self._batch_ids:
            self._batch_ids[k] = self._session.journal.batch(k).id or ""
        return self._batch_ids[k]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What was done to make the results and the journal agree: lines journalled, and jobs that are written again."""

    adopted: int
    lost: int


def repair(session: Session) -> Repair:
    """Make `results.jsonl` and the journal agree after a crash, before anything is appended.

    A torn last line is cut. Whole lines that the journal does not know are adopted when they are the next jobs as the journal
    knows them to have ended, else cut. Lines that the journal knows and the file lacks are fetched again.
    """
    path, journal = session.folder.results, session.journal
    recorded = journal.run().recorded
    good, size = 0, 0
    rows: list[JobRow] = []
    for line, end in jsonl.whole_lines(path):
        if good >= recorded:
            row = next(iter(journal.final_jobs(good, good + 1, 1)), None)
            if row is None or not _is_record_of(line, row):
                break
            rows.append(row)
        good, size = good + 1, end
    jsonl.cut(path, size)
    lost = max(0, recorded - good)
    if lost:
        journal.forget_recorded(good)
    if rows:
        journal.record(rows, good)
    return Repair(adopted=len(rows), lost=lost)


def _next_ones(rows: Sequence[JobRow], start: int) -> list[JobRow]:
    """The rows whose indices follow each other from `start`."""
    return [row for index, row in enumerate(rows, start) if row.idx == index]


def _is_record_of(line: bytes, row: JobRow) -> bool:
    try:
        record = JobRecord.from_line(line)
    except ValueError:
        return False
    return (record.index, record.attempt, record.job_id, record.status) == (row.idx, row.attempt, row.job_id or "", row.status)
