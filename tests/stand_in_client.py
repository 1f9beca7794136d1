"""A small real service in memory for tests of `run/`: keeps `Client`, misbehaves on demand, and survives its clients."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from pcs_runner.pcs.batch import Batch
from pcs_runner.pcs.errors import NotFoundError, RefusedError
from pcs_runner.pcs.job import Job
from pcs_runner.pcs.protocol import TERMINAL, BatchStatus, JobResult, Polling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pcs_runner.pcs.protocol import BatchRequest, JobRequest


@dataclass
class StoredJob:
    """A job as the service keeps it."""

    id: str
    batch_id: str
    request: JobRequest
    status: str = "PENDING"
    errors: list[str] = field(default_factory=list)

    def content(self) -> str:
        """What makes two jobs the same experiment."""
        return f"{self.request.sequence} {sorted((self.request.variables or {}).items())} {self.request.runs}"


@dataclass
class StoredBatch:
    """A batch as the service keeps it."""

    id: str
    request: BatchRequest
    tags: list[str]
    open: bool
    status: str = "PENDING"
    jobs: list[StoredJob] = field(default_factory=list)


class Service:
    """What outlives a crash of the runner.

    Args:
        speed: Jobs that end at each call of `batch_status`.
        n_atoms: Length of the bitstrings.
    """

    def __init__(self, *, speed: int = 3, n_atoms: int = 2) -> None:
        self.speed = speed
        self.n_atoms = n_atoms
        self.batches: list[StoredBatch] = []
        self.calls: Counter[str] = Counter()
        self.hook: Callable[[str, str], None] = lambda _name, _when: None
        """Called with the method's name and `before` or `after`; what it raises is what the caller sees."""
        self.failures: dict[float, int] = {}
        """Value of variable x -> how often a job with it fails."""
        self.end_after: dict[int, str] = {}
        """Number of jobs that ended in all -> status with which the service then ends the batch that runs."""
        self.wrong_result: Callable[[JobResult], JobResult] = lambda result: result
        self.empty_allowed = True
        self._ids = itertools.count()
        self._ended = 0

    def new_id(self, kind: str) -> str:
        """An id."""
        return f"{kind}{next(self._ids)}"

    def batch(self, batch_id: str) -> StoredBatch:
        """A batch by id."""
        for batch in self.batches:
            if batch.id == batch_id:
                return batch
        raise NotFoundError(f"no batch {batch_id}", status=404)

    def all_jobs(self) -> list[StoredJob]:
        """Every job in order of creation."""
        return [job for batch in self.batches for job in batch.jobs]

    def advance(self) -> None:
        """Let time pass: some jobs of the first unfinished batch end."""
        for _ in range(self.speed):
            going = (batch for batch in self.batches if batch.status not in TERMINAL)
            running = next(((batch, job) for batch in going for job in batch.jobs if job.status == "PENDING"), None)
            if running is None:
                break
            self._end_job(*running)
        for batch in self.batches:
            if batch.status not in TERMINAL and not batch.open and all(job.status in TERMINAL for job in batch.jobs):
                batch.status = "DONE"

    def _end_job(self, batch: StoredBatch, job: StoredJob) -> None:
        batch.status = "RUNNING"
        x = float((job.request.variables or {}).get("x", -1.0))
        if self.failures.get(x, 0) > 0:
            self.failures[x] -= 1
            job.status, job.errors = "ERROR", ["=the laser was off"]
        else:
            job.status = "DONE"
        self._ended += 1
        status = self.end_after.pop(self._ended, None)
        if status is not None:
            self.end_batch(batch, status)

    def end_batch(self, batch: StoredBatch, status: str) -> None:
        """End a batch; its pending jobs are cancelled."""
        batch.status, batch.open = status, False
        for job in batch.jobs:
            if job.status == "PENDING":
                job.status = "CANCELED"

    def result(self, job: StoredJob) -> JobResult:
        """Shots that depend on the job's content alone."""
        first = blake2b(job.content().encode(), digest_size=2).digest()[0] % (job.request.runs + 1)
        ones, zeros = "1" * self.n_atoms, "0" * self.n_atoms
        counter = {bits: count for bits, count in ((ones, first), (zeros, job.request.runs - first)) if count}
        return self.wrong_result(JobResult(counter=counter, raw=[bits for bits, count in counter.items() for _ in range(count)]))


class StandInClient:
    """Keeps `Client` over a `Service`."""

    polling = Polling(first_s=0.0, longest_s=0.0)

    def __init__(self, service: Service, *, is_twin: bool = True) -> None:
        self.service = service
        self.is_twin = is_twin
        self.closed = False

    def _called(self, name: str) -> None:
        self.service.calls[name] += 1
        self.service.hook(name, "before")

    def _done(self, name: str) -> None:
        self.service.hook(name, "after")

    def create_batch(self, request: BatchRequest) -> Batch:
        self._called("create_batch")
        if not request.jobs and not (request.open and self.service.empty_allowed):
            raise RefusedError("a batch needs a job", status=422)
        stored = StoredBatch(id=self.service.new_id("b"), request=request, tags=list(request.tags), open=request.open)
        self._store(stored, request.jobs)
        self.service.batches.append(stored)
        self._done("create_batch")
        return self._batch(stored)

    def get_batch(self, batch_id: str) -> Batch:
        self._called("get_batch")
        stored = self.service.batch(batch_id)
        return self._batch(stored, sequence_builder=stored.request.sequence_builder)

    def batch_status(self, batch_id: str) -> BatchStatus:
        self._called("batch_status")
        self.service.advance()
        stored = self.service.batch(batch_id)
        return BatchStatus(status=stored.status, jobs_count_per_status=Counter(job.status for job in stored.jobs))

    def add_jobs(self, batch_id: str, jobs: Sequence[JobRequest]) -> Batch:
        self._called("add_jobs")
        stored = self.service.batch(batch_id)
        if not stored.open:
            raise RefusedError("the batch is closed", status=400)
        self._store(stored, jobs)
        self._done("add_jobs")
        return self._batch(stored)

    def close_batch(self, batch_id: str) -> Batch:
        self._called("close_batch")
        stored = self.service.batch(batch_id)
        stored.open = False
        self._done("close_batch")
        return self._batch(stored)

    def cancel_batch(self, batch_id: str) -> Batch:
        self._called("cancel_batch")
        stored = self.service.batch(batch_id)
        if stored.status in TERMINAL:
            raise RefusedError("the batch has ended", status=400)
        self.service.end_batch(stored, "CANCELED")
        self._done("cancel_batch")
        return self._batch(stored)

    def cancel_jobs(self, batch_id: str, job_ids: Sequence[str] = ()) -> list[str]:
        self._called("cancel_jobs")
        cancelled = []
        for job in self.service.batch(batch_id).jobs:
            if job.status == "PENDING" and (not job_ids or job.id in job_ids):
                job.status = "CANCELED"
                cancelled.append(job.id)
        return cancelled

    def set_tags(self, batch_id: str, tags: Sequence[str]) -> Batch:
        self._called("set_tags")
        stored = self.service.batch(batch_id)
        stored.tags = list(tags)
        return self._batch(stored)

    def list_batches(self, *, tag: str | None = None, status: str | None = None) -> Iterator[Batch]:
        self._called("list_batches")
        for stored in list(self.service.batches):
            if (tag is None or tag in stored.tags) and (status is None or status == stored.status):
                yield self._batch(stored)

    def list_jobs(self, batch_id: str, *, start: int = 0, stop: int | None = None) -> Iterator[Job]:
        self._called("list_jobs")
        for job in self.service.batch(batch_id).jobs[start:stop]:
            self.service.calls["listed"] += 1
            yield self._job(job)

    def get_job(self, job_id: str) -> Job:
        self._called("get_job")
        job = next(job for job in self.service.all_jobs() if job.id == job_id)
        return self._job(job, sequence=job.request.sequence)

    def cancel_job(self, job_id: str) -> Job:
        self._called("cancel_job")
        job = next(job for job in self.service.all_jobs() if job.id == job_id)
        if job.status != "PENDING":
            raise RefusedError("the job is not pending", status=400)
        job.status = "CANCELED"
        return self._job(job)

    def results(self, job_ids: Iterable[str]) -> Iterator[tuple[str, JobResult]]:
        self._called("results")
        jobs = {job.id: job for job in self.service.all_jobs()}
        for job_id in job_ids:
            assert jobs[job_id].status == "DONE"
            yield job_id, self.service.result(jobs[job_id])

    def device_specs(self) -> Mapping[str, str]:
        self._called("device_specs")
        return {}

    def close(self) -> None:
        self.closed = True

    def _store(self, stored: StoredBatch, jobs: Iterable[JobRequest]) -> None:
        stored.jobs += [StoredJob(id=self.service.new_id("j"), batch_id=stored.id, request=job) for job in jobs]

    def _batch(self, stored: StoredBatch, **more: Any) -> Batch:
        body: dict[str, Any] = {
            "id": stored.id,
            "status": stored.status,
            "open": stored.open,
            "tags": list(stored.tags),
            "jobs_count": len(stored.jobs),
            "jobs_count_per_status": dict(Counter(job.status for job in stored.jobs)),
        }
        return Batch(**body, **more, _client=self)

    def _job(self, job: StoredJob, **more: Any) -> Job:
        ended = job.status in TERMINAL
        body: dict[str, Any] = {
            "id": job.id,
            "batch_id": job.batch_id,
            "status": job.status,
            "runs": job.request.runs,
            "variables": None if job.request.variables is None else dict(job.request.variables),
            "errors": job.errors,
            "start_timestamp": "2026-11-22T10:00:00+00:00" if ended else None,
            "end_timestamp": "2026-11-22T10:00:01+00:00" if ended else None,
        }
        return Job(**body, **more, _client=self)
