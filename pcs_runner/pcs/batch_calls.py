"""The endpoints of batches, one method each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from pcs_runner.errors import UsageError
from pcs_runner.pcs import reading
from pcs_runner.pcs.batch import Batch
from pcs_runner.pcs.endpoints import in_path
from pcs_runner.pcs.pages import read_pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pcs_runner.pcs.answers import Jsend
    from pcs_runner.pcs.calls import Caller, Query
    from pcs_runner.pcs.endpoints import Endpoints
    from pcs_runner.pcs.protocol import BatchRequest, BatchStatus, Client, JobRequest
    from pcs_runner.pcs.reading import Cancelled

IDS_AT_ONCE = 100
"""Ids in a query: an address has room for a few thousand characters."""


class BatchCalls:
    """Calls about batches. Part of `pcs.client.Client`.

    Attributes:
        project_id: The project that pays, or None.
    """

    _caller: Caller
    _endpoints: Endpoints
    _prefix_v1 = "/api/v1"
    _prefix_v2 = "/api/v2"
    project_id: str | None

    def create_batch(self, request: BatchRequest) -> Batch:
        """POST /api/v1/batches.

        Raises:
            UsageError: No project is known; nothing was sent.
        """
        if self.project_id is None:
            raise UsageError("no project is known that pays for the batch", hint="Set PASQAL_PROJECT_ID, or `pcs-run login`.")
        return self._create({**batch_body(request), "project_id": self.project_id, "tags": list(request.tags)})

    def get_batch(self, batch_id: str) -> Batch:
        """GET /api/v2/batches/{id}: metadata; the jobs stay lazy."""
        path = f"{self._prefix_v2}/batches/{in_path(batch_id)}"
        return self._batch(self._caller.ask(self._endpoints.core, path), f"GET {path}", batch_id)

    def batch_status(self, batch_id: str) -> BatchStatus:
        """GET /api/v1/batches/{id}/status."""
        path = f"{self._prefix_v1}/batches/{in_path(batch_id)}/status"
        return reading.batch_status(self._caller.ask(self._endpoints.core, path).data, f"GET {path}")

    def add_jobs(self, batch_id: str, jobs: Sequence[JobRequest]) -> Batch:
        """POST /api/v2/batches/{id}/jobs."""
        return self._change("POST", 2, batch_id, "jobs", [job.payload() for job in jobs])

    def close_batch(self, batch_id: str) -> Batch:
        """PATCH /api/v2/batches/{id}/complete."""
        return self._change("PATCH", 2, batch_id, "complete")

    def cancel_batch(self, batch_id: str) -> Batch:
        """PATCH /api/v2/batches/{id}/cancel: pending jobs are cancelled."""
        return self._change("PATCH", 2, batch_id, "cancel")

    def cancel_batches(self, batch_ids: Sequence[str]) -> Cancelled:
        """PATCH /api/v1/batches/cancel: several batches; one that cannot be cancelled does not keep the others."""
        path = f"{self._prefix_v1}/batches/cancel"
        for batch_id in batch_ids:
            in_path(batch_id)
        answer = self._caller.tell("PATCH", self._endpoints.core, path, {"batch_ids": list(batch_ids)})
        return reading.cancelled(answer.data, "batches", f"PATCH {path}")

    def cancel_jobs(self, batch_id: str, job_ids: Sequence[str] = ()) -> list[str]:
        """PATCH /api/v2/batches/{id}/cancel/jobs: ids that were cancelled; without ids all pending ones of the batch.

        Many ids take several requests, one after the other.
        """
        path = f"{self._prefix_v2}/batches/{in_path(batch_id)}/cancel/jobs"
        for job_id in job_ids:
            in_path(job_id)
        parts = [job_ids[i : i + IDS_AT_ONCE] for i in range(0, len(job_ids), IDS_AT_ONCE)] or [()]
        done: list[str] = []
        for part in parts:
            answer = self._caller.tell("PATCH", self._endpoints.core, path, query={"id": list(part)})
            done += reading.cancelled(answer.data, "jobs", f"PATCH {path}").ids
        return done

    def rebatch(self, batch_id: str, *, job_ids: Sequence[str] = (), status: Sequence[str] = ()) -> Batch:
        """POST /api/v1/batches/{id}/rebatch: a new closed batch with copies of its jobs, all or those that match."""
        for job_id in job_ids:
            in_path(job_id)
        path = f"{self._prefix_v1}/batches/{in_path(batch_id)}/rebatch"
        query = {"id": list(job_ids), "status": list(status)}
        return self._batch(self._caller.tell("POST", self._endpoints.core, path, query=query), f"POST {path}")

    def set_tags(self, batch_id: str, tags: Sequence[str]) -> Batch:
        """PATCH /api/v1/batches/{id}/tags: replaces the tags."""
        return self._change("PATCH", 1, batch_id, "tags", list(tags))

    def list_batches(self, *, tag: str | None = None, status: str | None = None, **filters: Any) -> Iterator[Batch]:
        """GET /api/v1/batches, oldest first.

        All pages are read before the first batch is given: which order the service can list batches in is not known, so they
        are sorted here. Ask with a tag.

        Args:
            tag: Only batches with this tag.
            status: Only batches with this status.
            **filters: Others of the API: `device_type project_id user_id id open start_date end_date queue_priority`.
        """
        path = f"{self._prefix_v1}/batches"
        query: Query = {"tag": tag, "status": status, **filters}

        def page(offset: int, limit: int) -> Jsend:
            return self._caller.ask(self._endpoints.core, path, {**query, "limit": limit, "offset": offset})

        name = f"GET {path}"
        batches = [reading.payload(Batch, item, self._me, name) for _, item in read_pages(page, name, moving=True)]
        return iter(sorted(batches, key=_created))

    @property
    def _me(self) -> Client:
        """This object as what it is a part of."""
        return cast("Client", self)

    def _create(self, body: dict[str, Any]) -> Batch:
        path = f"{self._prefix_v1}/batches"
        return self._batch(self._caller.tell("POST", self._endpoints.core, path, body), f"POST {path}")

    def _change(self, method: str, version: int, batch_id: str, what: str, body: Any = None) -> Batch:
        prefix = self._prefix_v1 if version == 1 else self._prefix_v2
        path = f"{prefix}/batches/{in_path(batch_id)}/{what}"
        return self._batch(self._caller.tell(method, self._endpoints.core, path, body), f"{method} {path}", batch_id)

    def _batch(self, answer: Jsend, name: str, expected: str | None = None) -> Batch:
        return reading.payload(Batch, answer.data, self._me, name, expected=expected)


def batch_body(request: BatchRequest) -> dict[str, Any]:
    """The batch as the API takes it, without what depends on the provider."""
    body: dict[str, Any] = {
        "sequence_builder": request.sequence_builder,
        "jobs": [job.payload() for job in request.jobs],
        "open": request.open,
        "device_type": request.device_type,
        "webhook": request.webhook,
    }
    if request.configuration is not None:
        body["configuration"] = dict(request.configuration)
    if request.backend_configuration is not None:
        body["backend_configuration"] = request.backend_configuration
    return body


def _created(batch: Batch) -> datetime:
    """When a batch was created; one that does not say is taken for the youngest."""
    return batch.created_at if isinstance(batch.created_at, datetime) else datetime.max.replace(tzinfo=UTC)
