"""The endpoints of jobs and their results, one method each."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pcs_runner.pcs import answers, reading
from pcs_runner.pcs.batch_calls import BatchCalls
from pcs_runner.pcs.downloads import in_order
from pcs_runner.pcs.endpoints import in_path, is_safe_link
from pcs_runner.pcs.errors import AnswerError, RefusedError, safe_text
from pcs_runner.pcs.job import Job
from pcs_runner.pcs.pages import read_pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pcs_runner.pcs.answers import Jsend
    from pcs_runner.pcs.calls import Query
    from pcs_runner.pcs.protocol import JobResult

DOWNLOADS = 32
"""Results that are fetched at the same time; each thread keeps its own connections."""


class JobCalls(BatchCalls):
    """Calls about jobs. Part of `pcs.client.Client`."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._pool_lock = threading.Lock()

    def list_jobs(self, batch_id: str, *, start: int = 0, stop: int | None = None) -> Iterator[Job]:
        """GET /api/v2/jobs of a batch in creation order, from position `start` up to but not including `stop`."""
        path, batch = f"{self._prefix_v2}/jobs", in_path(batch_id)

        def page(offset: int, limit: int) -> Jsend:
            query: Query = {
                "batch_id": batch,
                "order_by": "creation_order",
                "order_by_direction": "ASC",
                "limit": limit,
                "offset": offset,
            }
            return self._caller.ask(self._endpoints.core, path, query)

        name = f"GET {path}"
        for _, item in read_pages(page, name, start=start, stop=stop):
            job = reading.payload(Job, item, self._me, name)
            if job.batch_id not in (None, batch_id):
                raise AnswerError(f"{name} lists job {job.id} of batch {safe_text(job.batch_id, 80)}, not of {batch_id}")
            yield job

    def get_job(self, job_id: str) -> Job:
        """GET /api/v2/jobs/{id}."""
        path = f"{self._prefix_v2}/jobs/{in_path(job_id)}"
        answer = self._caller.ask(self._endpoints.core, path)
        return reading.payload(Job, answer.data, self._me, f"GET {path}", expected=job_id)

    def job_status(self, job_id: str) -> str:
        """GET /api/v1/jobs/{id}/status: the status, an open set."""
        path = f"{self._prefix_v1}/jobs/{in_path(job_id)}/status"
        return reading.batch_status(self._caller.ask(self._endpoints.core, path).data, f"GET {path}").status

    def cancel_job(self, job_id: str) -> Job:
        """PATCH /api/v2/jobs/{id}/cancel."""
        path = f"{self._prefix_v2}/jobs/{in_path(job_id)}/cancel"
        answer = self._caller.tell("PATCH", self._endpoints.core, path)
        return reading.payload(Job, answer.data, self._me, f"PATCH {path}", expected=job_id)

    def results_link(self, job_id: str) -> str | None:
        """GET /api/v1/jobs/{id}/results_link: the presigned address of the results (a secret), None while there are none.

        Raises:
            AnswerError: An address that must not be followed: not https, or to this machine from a server elsewhere.
        """
        path = f"{self._prefix_v1}/jobs/{in_path(job_id)}/results_link"
        data = self._caller.ask(self._endpoints.core, path).data
        if not isinstance(data, dict) or "results_link" not in data:
            raise AnswerError(f"GET {path} was answered without a results link", request=f"GET {path}")
        link = data["results_link"]
        if link is None:
            return None
        if not isinstance(link, str) or not is_safe_link(link, loopback=self._endpoints.is_loopback):
            raise AnswerError(f"GET {path} was answered with an address that cannot be trusted", request=f"GET {path}")
        return link

    def results(self, job_ids: Iterable[str]) -> Iterator[tuple[str, JobResult]]:
        """Results of DONE jobs, in the order asked, many at a time; memory does not grow with their number.

        GET /api/v1/jobs/{id}/results_link and the download behind it, without the token. An address that has expired is asked
        for once more.

        Raises:
            AnswerError: A job has no results, or they are none.
        """
        return in_order(job_ids, self._result, self._downloads(), 2 * DOWNLOADS)

    def _result(self, job_id: str) -> JobResult:
        name = f"GET results of job {job_id}"
        refused: RefusedError | None = None
        for _ in range(2):
            link = self.results_link(job_id)
            if link is None:
                raise AnswerError(
                    f"the service has no results of job {job_id}", request=name, hint="They may come later, or were deleted."
                )
            try:
                return self._caller.download(link, name, answers.read_result)
            except RefusedError as error:
                refused = error
        assert refused is not None
        raise refused

    def _downloads(self) -> ThreadPoolExecutor:
        with self._pool_lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(DOWNLOADS, thread_name_prefix="pcs-results")
            return self._pool

    def _stop_downloads(self) -> None:
        with self._pool_lock:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None
