"""The seam: what `run/` asks of a cloud, kept by the HTTP client and by the embedded twin alike.

Answers are `Batch` and `Job` objects; what goes in are plain values. Endpoints are those of the PCS API, one method each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pcs_runner.pcs.batch import Batch
    from pcs_runner.pcs.job import Job

TERMINAL = frozenset({"DONE", "ERROR", "CANCELED", "TIMED_OUT"})
"""Statuses that do not change any more; every other one, known or not, means that it is still going."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """One job as it is sent: variables of the batch's sequence, or a sequence of its own.

    Attributes:
        runs: Repetitions, at least 1.
        variables: Values by variable name; an array variable is a list, an integer one a JSON integer. None with `sequence`.
        sequence: A built sequence in Pulser's abstract representation (a JSON string), or None.
        draw: For a twin: which draw of its seed the job gets; None: the batch's `first_index` and its position in the batch.
    """

    runs: int
    variables: Mapping[str, Any] | None = None
    sequence: str | None = None
    draw: int | None = None

    def payload(self) -> dict[str, Any]:
        """The job as the API takes it; variables beside a sequence are sent too, for the service to refuse."""
        body: dict[str, Any] = {"runs": self.runs}
        if self.sequence is not None:
            body["sequence"] = self.sequence
        if self.variables or self.sequence is None:
            body["variables"] = dict(self.variables or {})
        if self.draw is not None:
            body["draw"] = self.draw
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """One batch as it is created.

    Attributes:
        sequence_builder: Pulser's abstract representation (a JSON string), or None when each job has its own sequence.
        jobs: The jobs to begin with; may be empty when `open`.
        open: Whether jobs may be added later.
        device_type: PCS device type, for example `EMU_FREE`.
        tags: Search keywords.
        webhook: URL that PCS posts results to.
        configuration: Legacy emulator settings. A twin reads `seed`, `first_index`, `engine`, `accuracy` here.
        backend_configuration: Pulser's `EmulationConfig` in abstract representation (a JSON string).
    """

    sequence_builder: str | None
    jobs: Sequence[JobRequest] = ()
    open: bool = True
    device_type: str = "EMU_FREE"
    tags: Sequence[str] = ()
    webhook: str | None = None
    configuration: Mapping[str, Any] | None = None
    backend_configuration: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What a finished job measured, as the results download gives it.

    Attributes:
        counter: Bitstring -> count; leftmost character = first atom of the register.
        raw: Bitstrings in shot order, or None when the service keeps only counts.
        serialised_results: Pulser `Results` in abstract representation (a JSON string), or None.
    """

    counter: Mapping[str, int]
    raw: Sequence[str] | None = None
    serialised_results: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatus:
    """The small answer that polling needs.

    Attributes:
        status: Of the batch; an open set.
        jobs_count_per_status: Job status -> number of jobs.
    """

    status: str
    jobs_count_per_status: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How often it makes sense to ask this service.

    Attributes:
        first_s: Wait after something moved, in seconds.
        longest_s: Longest wait while nothing moves, in seconds.
    """

    first_s: float
    longest_s: float


@runtime_checkable
class Client(Protocol):
    """What a run asks of a cloud. Kept by `pcs.client.Client` and `emulator.client.LocalClient`.

    Every method may raise `pcs_runner.errors.ServiceError`; a refusal (4xx) is `pcs_runner.pcs.errors.RefusedError`.
    """

    @property
    def is_twin(self) -> bool:
        """Whether the service says that it is a twin, which reads `configuration: {seed, first_index}`."""

    polling: Polling

    def create_batch(self, request: BatchRequest) -> Batch:
        """POST /api/v1/batches."""

    def get_batch(self, batch_id: str) -> Batch:
        """GET /api/v2/batches/{id}: metadata; the jobs stay lazy."""

    def batch_status(self, batch_id: str) -> BatchStatus:
        """GET /api/v1/batches/{id}/status."""

    def add_jobs(self, batch_id: str, jobs: Sequence[JobRequest]) -> Batch:
        """POST /api/v2/batches/{id}/jobs."""

    def close_batch(self, batch_id: str) -> Batch:
        """PATCH /api/v2/batches/{id}/complete."""

    def cancel_batch(self, batch_id: str) -> Batch:
        """PATCH /api/v2/batches/{id}/cancel: pending jobs are cancelled."""

    def cancel_jobs(self, batch_id: str, job_ids: Sequence[str] = ()) -> list[str]:
        """PATCH /api/v2/batches/{id}/cancel/jobs: ids that were cancelled; without ids all pending ones of the batch."""

    def set_tags(self, batch_id: str, tags: Sequence[str]) -> Batch:
        """PATCH /api/v1/batches/{id}/tags: replaces the tags."""

    def list_batches(self, *, tag: str | None = None, status: str | None = None) -> Iterator[Batch]:
        """GET /api/v1/batches, oldest first, page by page."""

    def list_jobs(self, batch_id: str, *, start: int = 0, stop: int | None = None) -> Iterator[Job]:
        """GET /api/v2/jobs of a batch in creation order, from position `start` up to but not including `stop`."""

    def get_job(self, job_id: str) -> Job:
        """GET /api/v2/jobs/{id}."""

    def cancel_job(self, job_id: str) -> Job:
        """PATCH /api/v2/jobs/{id}/cancel."""

    def results(self, job_ids: Iterable[str]) -> Iterator[tuple[str, JobResult]]:
        """Results of DONE jobs, in the order asked; GET /api/v1/jobs/{id}/results_link and the download behind it."""

    def device_specs(self) -> Mapping[str, str]:
        """GET /api/v1/devices/specs: device name -> device in Pulser's abstract representation (a JSON string)."""

    def close(self) -> None:
        """Let go of connections, workers and files; what was accepted stays accepted."""
