"""The endpoints of devices, projects and contracts, one method each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcs_runner.pcs import reading
from pcs_runner.pcs.answers import UnavailableError
from pcs_runner.pcs.endpoints import ACCOUNT, BILLING, in_path
from pcs_runner.pcs.job_calls import JobCalls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.pcs.calls import Caller
    from pcs_runner.pcs.reading import Contract, Project, Queue


class AccountCalls(JobCalls):
    """Calls about devices and money. Part of `pcs.client.Client`. All of them are advisory while a run goes on."""

    def device_specs(self) -> Mapping[str, str]:
        """GET /api/v1/devices/specs: device name -> device in Pulser's abstract representation (a JSON string)."""
        path = "/api/v1/devices/specs"
        return reading.device_specs(self._caller.ask(self._endpoints.core, path).data, f"GET {path}")

    def public_device_specs(self) -> Mapping[str, str]:
        """GET /api/v1/devices/public-specs, without a token: device type -> the same."""
        return public_device_specs(self._caller, self._endpoints.core)

    def device_queue(self, device: str) -> Queue:
        """GET /api/v1/devices/{name}/queue: what waits for a device."""
        path = f"/api/v1/devices/{in_path(device)}/queue"
        return reading.queue(self._caller.ask(self._endpoints.core, path).data, f"GET {path}")

    def projects(self) -> tuple[Project, ...]:
        """GET account /api/v1/projects?project_status=ACTIVE: the user's active projects."""
        path = "/api/v1/projects"
        base = _known(self._endpoints.account, "account", ACCOUNT)
        return reading.projects(self._caller.ask(base, path, {"project_status": "ACTIVE"}).data, f"GET {path}")

    def contracts(self, project_id: str | None = None) -> tuple[Contract, ...]:
        """GET billing /api/v1/contracts?project_id=: what a project (default: the one that pays) may spend."""
        path = "/api/v1/contracts"
        base = _known(self._endpoints.billing, "billing", BILLING)
        query = {"project_id": project_id or self.project_id}
        return reading.contracts(self._caller.ask(base, path, query).data, f"GET {path}")


def public_device_specs(caller: Caller, core: str) -> Mapping[str, str]:
    """GET /api/v1/devices/public-specs, without a token: device type -> spec (a JSON string)."""
    path = "/api/v1/devices/public-specs"
    return reading.device_specs(caller.ask(core, path, with_token=False).data, f"GET {path}")


def _known(base: str | None, service: str, variable: str) -> str:
    """The address of a service.

    Raises:
        UnavailableError: The core is overridden and this service is not, so nothing goes to the provider's own.
    """
    if base is None:
        raise UnavailableError(
            f"where the {service} service is is not known", hint=f"PCS_RUNNER_CORE_URL is set: set {variable} too."
        )
    return base
