"""`LocalClient`: the seam to the embedded twin, in place of the cloud's client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pcs_runner.emulator.settings import TwinSettings
from pcs_runner.emulator.twin import Twin, new_uuid, utc_now
from pcs_runner.emulator.workers import read_body
from pcs_runner.pcs.batch import Batch
from pcs_runner.pcs.job import Job
from pcs_runner.pcs.protocol import BatchStatus, JobResult, Polling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from pcs_runner.emulator.workers import Workers
    from pcs_runner.pcs.protocol import BatchRequest, JobRequest

PAGE = 500


class LocalClient:
    """Keeps `pcs.protocol.Client` over a twin in this process.

    Args:
        folder: Where `twin.db` is or will be.
        workers: Most worker processes, None for one on each processor; or the workers themselves (those of a Dask cluster, for
            example), closed with the client. Results do not depend on it.
        executor: Takes the place of the own process pool; its owner shuts it down.
        settings: Where clouds differ; None: the defaults, and engines of the user's own are loaded.
        execute: False to look and cancel only: nothing is run.
        clock: Gives the time, timezone-aware.
        new_id: Gives ids of batches and jobs, each different.

    Raises:
        StorageError: The folder or the store cannot be used.
    """

    is_twin = True
    polling = Polling(first_s=0.02, longest_s=0.25)

    def __init__(
        self,
        folder: Path,
        *,
        workers: int | Workers | None = None,
        executor: Executor | None = None,
        settings: TwinSettings | None = None,
        execute: bool = True,
        clock: Callable[[], datetime] = utc_now,
        new_id: Callable[[], str] = new_uuid,
    ) -> None:
        settings = settings or TwinSettings(own_classes=True)
        self._twin = Twin(
            folder, workers=workers, executor=executor, settings=settings, execute=execute, clock=clock, new_id=new_id
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def create_batch(self, request: BatchRequest) -> Batch:
        """POST /api/v1/batches."""
        body = {
            "sequence_builder": request.sequence_builder,
            "jobs": [job.payload() for job in request.jobs],
            "open": request.open,
            "device_type": request.device_type,
            "tags": list(request.tags),
            "webhook": request.webhook,
            "configuration": request.configuration,
            "backend_configuration": request.backend_configuration,
        }
        return Batch(**self._twin.create_batch(body), _client=self)

    def get_batch(self, batch_id: str) -> Batch:
        """GET /api/v2/batches/{id}."""
        return Batch(**self._twin.get_batch(batch_id), _client=self)

    def batch_status(self, batch_id: str) -> BatchStatus:
        """GET /api/v1/batches/{id}/status."""
        return BatchStatus(**self._twin.batch_status(batch_id))

    def add_jobs(self, batch_id: str, jobs: Sequence[JobRequest]) -> Batch:
        """POST /api/v2/batches/{id}/jobs."""
        return Batch(**self._twin.add_jobs(batch_id, [job.payload() for job in jobs]), _client=self)

    def close_batch(self, batch_id: str) -> Batch:
        """PATCH /api/v2/batches/{id}/complete."""
        return Batch(**self._twin.close_batch(batch_id), _client=self)

    def cancel_batch(self, batch_id: str) -> Batch:
        """PATCH /api/v2/batches/{id}/cancel: the running job is cancelled too, and its worker freed."""
        return Batch(**self._twin.cancel_batch(batch_id), _client=self)

    def cancel_jobs(self, batch_id: str, job_ids: Sequence[str] = ()) -> list[str]:
        """PATCH /api/v2/batches/{id}/cancel/jobs: ids that were cancelled; without ids all pending ones of the batch."""
        cancelled: list[str] = self._twin.cancel_jobs(batch_id, job_ids)["jobs"]
        return cancelled

    def set_tags(self, batch_id: str, tags: Sequence[str]) -> Batch:
        """PATCH /api/v1/batches/{id}/tags."""
        return Batch(**self._twin.set_tags(batch_id, tags), _client=self)

    def list_batches(self, *, tag: str | None = None, status: str | None = None) -> Iterator[Batch]:
        """GET /api/v1/batches, oldest first, page by page."""
        after: int | None = 0
        while after is not None:
            page, after = self._twin.list_batches(after=after, tag=tag, status=status)
            yield from (Batch(**payload, _client=self) for payload in page)

    def list_jobs(self, batch_id: str, *, start: int = 0, stop: int | None = None) -> Iterator[Job]:
        """GET /api/v2/jobs of a batch in creation order, from position `start` up to but not including `stop`."""
        while stop is None or start < stop:
            end = start + PAGE if stop is None else min(stop, start + PAGE)
            page = self._twin.list_jobs(batch_id, start=start, stop=end)
            yield from (Job(**payload, _client=self) for payload in page)
            if len(page) < end - start:
                return
            start = end

    def get_job(self, job_id: str) -> Job:
        """GET /api/v2/jobs/{id}."""
        return Job(**self._twin.get_job(job_id), _client=self)

    def cancel_job(self, job_id: str) -> Job:
        """PATCH /api/v2/jobs/{id}/cancel."""
        return Job(**self._twin.cancel_job(job_id), _client=self)

    def results(self, job_ids: Iterable[str]) -> Iterator[tuple[str, JobResult]]:
        """Results of DONE jobs, in the order asked, one at a time.

        Raises:
            RefusedError: One of them is not DONE.
        """
        for job_id in job_ids:
            yield job_id, JobResult(**read_body(self._twin.results(job_id)))

    def device_specs(self) -> Mapping[str, str]:
        """GET /api/v1/devices/specs: Pulser's bundled devices and those that came with sequences."""
        return self._twin.device_specs()

    def close(self) -> None:
        """Stop at once, also in the middle of a simulation; what was accepted stays accepted. May be called again."""
        self._twin.close()
