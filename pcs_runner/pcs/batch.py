"""`Batch`: jobs that share a sequence, as the API describes them, and everything one can ask of the service about them."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

from pydantic import Field, PrivateAttr

from pcs_runner.pcs.errors import JobRetryError, RefusedError
from pcs_runner.pcs.job import Job
from pcs_runner.pcs.payload import Lenient, Payload, TextList, Time, job_requests
from pcs_runner.pcs.protocol import TERMINAL, BatchStatus, JobRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pcs_runner.pcs.protocol import Client

    Sleep = Callable[[float], None]


class Batch(Payload):
    """A batch: `Batch(**payload, _client=client)`. Unknown fields and statuses of the payload are kept.

    Attributes:
        id: The service's id.
        status: `PENDING RUNNING DONE CANCELED TIMED_OUT ERROR PAUSED ...`, an open set, as last fetched.
        open: Whether the batch accepts more jobs.
        project_id: Id of the project that pays.
        user_id: Id of the user who created it.
        parent_id: Batch that this one repeats, or None.
        device_type: Type of device to run on.
        device_status: Status of the device where it runs, or None.
        created_at: When it was created.
        updated_at: When it last changed.
        start_datetime: When it was sent to the device, or None.
        end_datetime: When processing ended, or None.
        webhook: URL that results are sent to, or None.
        jobs_count: Number of jobs, None when the service did not say.
        jobs_count_per_status: Job status -> number of jobs.
        configuration: Legacy emulator settings, or None.
        backend_configuration: Pulser's `EmulationConfig` in abstract representation (a JSON string), or None.
        tags: Search keywords.
    """

    id: str
    status: str
    open: Lenient[bool] = False
    project_id: Lenient[str | None] = None
    user_id: Lenient[str | None] = None
    parent_id: Lenient[str | None] = None
    device_type: Lenient[str | None] = None
    device_status: Lenient[str | None] = None
    created_at: Time = None
    updated_at: Time = None
    start_datetime: Time = None
    end_datetime: Time = None
    webhook: Lenient[str | None] = None
    jobs_count: Lenient[int | None] = None
    jobs_count_per_status: Lenient[dict[str, int] | None] = None
    configuration: Lenient[dict[str, Any] | None] = None
    backend_configuration: Lenient[str | None] = None
    tags: TextList = Field(default_factory=list)

    _sequence_builder: str | None = PrivateAttr(default=None)
    _sequence_known: bool = PrivateAttr(default=False)
    _jobs: list[Job] | None = PrivateAttr(default=None)
    _jobs_behind: bool = PrivateAttr(default=False)

    def __init__(self, *, _client: Client | None = None, **data: Any) -> None:
        known = data.get("sequence_builder") is not None
        sequence_builder = data.pop("sequence_builder", None)
        jobs = data.pop("jobs", None)
        complete = data.pop("complete", None)
        if complete is not None:
            data.setdefault("open", not complete)
        super().__init__(**data)
        self._client = _client
        self._sequence_builder, self._sequence_known = sequence_builder, known
        if isinstance(jobs, list) and len(jobs) == (len(jobs) if self.jobs_count is None else self.jobs_count):
            self._jobs = [job if isinstance(job, Job) else Job(**job, _client=_client) for job in jobs]

    @property
    def is_terminal(self) -> bool:
        """Whether the status, as last fetched, does not change any more. No request."""
        return self.status in TERMINAL

    @property
    def complete(self) -> bool:
        """The opposite of `open`. Deprecated."""
        warnings.warn("Batch.complete is deprecated, read Batch.open", DeprecationWarning, stacklevel=2)
        return not self.open

    @property
    def sequence_builder(self) -> str | None:
        """The Pulser sequence (abstract representation, a JSON string), None when each job has its own.

        Does one request on first use when the payload lacked it.
        """
        if not self._sequence_known:
            fresh = self._asking().get_batch(self.id)
            self._sequence_builder, self._sequence_known = fresh._sequence_builder, True
        return self._sequence_builder

    @property
    def ordered_jobs(self) -> list[Job]:
        """The jobs in order of creation.

        Fetched page by page on first use when absent; after `add_jobs` only the new ones are.
        """
        if self._jobs is None:
            self._jobs = list(self._asking().list_jobs(self.id))
        elif self._jobs_behind:
            self._jobs.extend(self._asking().list_jobs(self.id, start=len(self._jobs)))
        self._jobs_behind = False
        return self._jobs

    @property
    def jobs(self) -> dict[str, Job]:
        """Job id -> job, made from `ordered_jobs` (and may do its requests). Deprecated; writable for old code."""
        warnings.warn("Batch.jobs is deprecated, use Batch.ordered_jobs", DeprecationWarning, stacklevel=2)
        return {job.id: job for job in self.ordered_jobs}

    @jobs.setter
    def jobs(self, jobs: Mapping[str, Job | Mapping[str, Any]]) -> None:
        warnings.warn("Batch.jobs is deprecated, use Batch.ordered_jobs", DeprecationWarning, stacklevel=2)
        self._jobs = [job if isinstance(job, Job) else Job(**job, _client=self._client) for job in jobs.values()]
        self._jobs_behind = False

    def add_jobs(self, jobs: Iterable[JobRequest | Mapping[str, Any]], wait: bool = False, *, sleep: Sleep = time.sleep) -> Batch:
        """Add jobs to the open batch (one request) and update it in place.

        Args:
            jobs: `JobRequest`, `{runs, variables}` or `{runs, sequence}`, in the order in which they shall run.
            wait: Block until every job of the batch is terminal.
            sleep: Takes seconds; for tests.

        Returns:
            This batch; `ordered_jobs` has the new jobs at its end.

        Raises:
            RefusedError: The batch is closed, or a job breaks a rule of the service; no job was added.
        """
        self._take(self._asking().add_jobs(self.id, job_requests(jobs)))
        if wait:
            self._wait(self._jobs_are_terminal, sleep)
            self.refresh()
        return self

    def cancel(self) -> Batch:
        """Cancel the batch (one request): pending jobs are not run; updates it in place."""
        self._take(self._asking().cancel_batch(self.id))
        self._forget_jobs()
        return self

    def close(self, wait: bool = False, fetch_results: bool = False, *, sleep: Sleep = time.sleep) -> Batch:
        """Declare that no more jobs come (one request); those already added still run. Updates the batch in place.

        Args:
            wait: Block until the batch is terminal.
            fetch_results: Block likewise, then fetch the results of every DONE job into `ordered_jobs`.
            sleep: Takes seconds; for tests.
        """
        self._take(self._asking().close_batch(self.id))
        if wait or fetch_results:
            self._wait(lambda status: status.status in TERMINAL, sleep)
            self.refresh()
        if fetch_results:
            self._fetch_results()
        return self

    def declare_complete(self, wait: bool = False, fetch_results: bool = False) -> Batch:
        """Old name of `close`. Deprecated."""
        warnings.warn("Batch.declare_complete is deprecated, use Batch.close", DeprecationWarning, stacklevel=2)
        return self.close(wait=wait, fetch_results=fetch_results)

    def refresh(self) -> Batch:
        """Fetch the batch (one request) and update it in place; the jobs are fetched anew when they are next used."""
        fresh = self._asking().get_batch(self.id)
        self._forget_jobs()
        self._take(fresh)
        return self

    def retry(self, job: Job, wait: bool = False, *, sleep: Sleep = time.sleep) -> Batch:
        """Add a copy of `job` (runs, variables or own sequence) to this open batch.

        Args:
            job: A job of this batch. One request more when it has no variables and its payload lacked the sequence.
            wait: Block until every job of the batch is terminal.
            sleep: Takes seconds; for tests.

        Raises:
            JobRetryError: The batch is closed, the job is another batch's, or the service refused.
        """
        if job.batch_id is not None and job.batch_id != self.id:
            raise JobRetryError(f"job {job.id} belongs to batch {job.batch_id}, not to {self.id}")
        if not self.open:
            raise JobRetryError(f"job {job.id} cannot be retried: batch {self.id} is closed", hint="Create a new batch for it.")
        sequence = None if job.variables else job.sequence
        copy = JobRequest(runs=job.runs or 0, variables=None if sequence else job.variables, sequence=sequence)
        try:
            return self.add_jobs([copy], wait=wait, sleep=sleep)
        except RefusedError as error:
            raise JobRetryError(
                f"job {job.id} cannot be retried: {error.message}",
                status=error.status,
                code=error.code,
                description=error.description,
                request=error.request,
                response=error.response,
            ) from error

    def set_tags(self, tags: Sequence[str]) -> Batch:
        """Replace the tags (one request) and update the batch in place."""
        self._take(self._asking().set_tags(self.id, list(tags)))
        return self

    def _take(self, fresh: Batch) -> None:
        """Take over a fresh answer; jobs known before are kept, and the ones behind them are read when they are next used."""
        self._take_fields(fresh)
        if fresh._sequence_known:
            self._sequence_builder, self._sequence_known = fresh._sequence_builder, True
        if fresh._jobs is not None:
            self._jobs, self._jobs_behind = fresh._jobs, False
        elif self._jobs is not None:
            self._jobs_behind = self.jobs_count is None or self.jobs_count > len(self._jobs)

    def _forget_jobs(self) -> None:
        self._jobs, self._jobs_behind = None, False

    def _jobs_are_terminal(self, status: BatchStatus) -> bool:
        """A status without counts says nothing about the jobs, so they are asked; jobs that no count mentions are still going."""
        if status.status in TERMINAL:
            return True
        counts = status.jobs_count_per_status
        if not counts:
            return all(job.is_terminal for job in self._asking().list_jobs(self.id))
        if sum(counts.values()) < (self.jobs_count or 0):
            return False
        return all(name in TERMINAL for name, count in counts.items() if count)

    def _wait(self, done: Callable[[BatchStatus], bool], sleep: Sleep) -> None:
        """Ask for the status until `done`, less and less often while nothing moves."""
        client = self._asking()
        delay_s, last = client.polling.first_s, None
        while not done(status := client.batch_status(self.id)):
            delay_s = client.polling.first_s if status != last else min(2 * delay_s, client.polling.longest_s)
            last = status
            sleep(delay_s)

    def _fetch_results(self) -> None:
        wanted = {job.id: job for job in self.ordered_jobs if job.status == "DONE"}
        for job_id, result in self._asking().results(wanted):
            wanted[job_id]._keep_result(result)
