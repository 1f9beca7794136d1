"""PCS as OVH sells it: fewer endpoints, a static token, closed batches only, and nothing that could clear up a doubt."""

# ruff: noqa: ARG002  the signatures are those of Client

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from pcs_runner.pcs import reading
from pcs_runner.pcs.answers import UnavailableError
from pcs_runner.pcs.batch_calls import batch_body
from pcs_runner.pcs.client import Client
from pcs_runner.pcs.endpoints import in_path
from pcs_runner.pcs.errors import AnswerError, NotFoundError, PcsError, RefusedError, UncertainError
from pcs_runner.pcs.job import Job

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pcs_runner.pcs.batch import Batch
    from pcs_runner.pcs.protocol import BatchRequest, JobRequest

DOUBTS = (UncertainError, AnswerError)
BASE = "/api/v1/third-party-access/ovh"


class UnresolvedError(PcsError):
    """Whether a batch exists cannot be found out, neither now nor later; it is not sent again."""


class OvhClient(Client):
    """The client for `provider: ovh`. What OVH does not offer is refused here, and nothing is sent."""

    can_list_batches = False
    is_twin = False
    _prefix_v1 = _prefix_v2 = BASE
    _doubt = "an earlier request to create it got no clear answer"

    def create_batch(self, request: BatchRequest) -> Batch:
        """POST /api/v1/third-party-access/ovh/batches: a closed batch, without project and tags."""
        if request.open:
            raise _refused("open batches", "Set `open: false` in the target's batch options.")
        try:
            return self._create(batch_body(request))
        except DOUBTS as error:
            self._doubt = error.message
            raise

    def get_job(self, job_id: str) -> Job:
        """GET /api/v1/third-party-access/ovh/jobs?id=: OVH has no endpoint for one job."""
        in_path(job_id)
        path = f"{BASE}/jobs"
        items = self._caller.ask(self._endpoints.core, path, {"id": job_id}).data
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict) and item.get("id") == job_id:
                return reading.payload(Job, item, self._me, f"GET {path}")
        raise NotFoundError(f"OVH lists no job {job_id}", status=404, request=f"GET {path}")

    def device_specs(self) -> Mapping[str, str]:
        """GET /api/v1/devices/public-specs: OVH has no other."""
        return self.public_device_specs()

    def list_batches(self, *, tag: str | None = None, status: str | None = None, **filters: Any) -> NoReturn:
        """OVH cannot be asked which batches there are: whoever asks because of a doubt must not go on.

        Raises:
            UnresolvedError: Always; it says what is known.
        """
        raise UnresolvedError(
            f"OVH cannot be asked whether the batch exists, and it may run and be paid: {self._doubt}",
            hint="Look for it in OVH's console. Only when it is not there, run the spec again with `--new`.",
        )

    def add_jobs(self, batch_id: str, jobs: Sequence[JobRequest]) -> NoReturn:
        """Not offered."""
        raise _refused("open batches")

    def close_batch(self, batch_id: str) -> NoReturn:
        """Not offered."""
        raise _refused("open batches")

    def cancel_batch(self, batch_id: str) -> NoReturn:
        """Not offered."""
        raise _refused("cancelling")

    def cancel_batches(self, batch_ids: Sequence[str]) -> NoReturn:
        """Not offered."""
        raise _refused("cancelling")

    def cancel_jobs(self, batch_id: str, job_ids: Sequence[str] = ()) -> NoReturn:
        """Not offered."""
        raise _refused("cancelling")

    def cancel_job(self, job_id: str) -> NoReturn:
        """Not offered."""
        raise _refused("cancelling")

    def rebatch(self, batch_id: str, *, job_ids: Sequence[str] = (), status: Sequence[str] = ()) -> NoReturn:
        """Not offered."""
        raise _refused("rebatching")

    def set_tags(self, batch_id: str, tags: Sequence[str]) -> NoReturn:
        """Not offered."""
        raise _refused("tags")

    def device_queue(self, device: str) -> NoReturn:
        """Not offered."""
        raise _unknown("the queue")

    def projects(self) -> NoReturn:
        """Not offered."""
        raise _unknown("projects")

    def contracts(self, project_id: str | None = None) -> NoReturn:
        """Not offered."""
        raise _unknown("the contract")


def _refused(what: str, hint: str = "") -> RefusedError:
    return RefusedError(
        f"OVH does not offer {what}; nothing was sent", code="NOT_OFFERED", hint=hint or "Use OVH's console for it."
    )


def _unknown(what: str) -> UnavailableError:
    return UnavailableError(f"OVH does not tell {what}", hint="Look into OVH's console.")
