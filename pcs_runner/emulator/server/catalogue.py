"""What surrounds the jobs: devices and their queues, the project, and the contract that pays."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from pcs_runner import __version__
from pcs_runner.emulator.engines import catalogue as engines
from pcs_runner.emulator.payloads import without_sequence
from pcs_runner.emulator.queries import BatchQuery
from pcs_runner.emulator.rules import refuse
from pcs_runner.emulator.server.exchange import Answer, HttpError, unprocessable
from pcs_runner.emulator.server.filters import Fields, batch_page
from pcs_runner.emulator.twin import bundled_devices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pcs_runner.emulator.server.exchange import Call
    from pcs_runner.emulator.server.service import Service

EMULATORS = ("EMU_FREE", "EMU_FRESNEL", "EMU_MPS", "EMU_SV", "EMU_TN")
"""Device types that take any sequence, whatever its device; so they have no spec, and are not in the lists of specs."""

QPUS: Mapping[str, Mapping[str, Any]] = {"FRESNEL": {}, "FRESNEL_CAN1": {"max_runs": 1000}, "FRESNEL_SA1": {}}
"""Device types that stand with Pulser's AnalogDevice under their own name, and where they are known to differ from it."""

ENDED = frozenset({"DONE", "ERROR"})
HELD = frozenset({"PENDING", "RUNNING", "PAUSED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What the project may spend.

    Attributes:
        metric: `shot` or `hour`.
        qpu_price: Credits a unit on a QPU.
        emu_price: Credits a unit on an emulator; EMU_FREE costs nothing.
        qpu_credits: Credits for QPUs at the beginning.
        emu_credits: Credits for emulators at the beginning.
    """

    metric: str = "shot"
    qpu_price: float = 1.0
    emu_price: float = 0.01
    qpu_credits: float = 1_000_000.0
    emu_credits: float = 1_000_000.0


@cache
def listed_devices() -> dict[str, str]:
    """Device type -> spec (a JSON string): Pulser's bundled devices, and what stands for those of the cloud. Imports Pulser."""
    bundled = bundled_devices()
    analog = json.loads(bundled["AnalogDevice"])
    qpus = {name: json.dumps({**analog, "name": name, **changes}) for name, changes in QPUS.items()}
    return {**bundled, **qpus}


def check_device_type(body: Mapping[str, Any]) -> None:
    """Refuse a batch for a device type that is not in the list.

    Raises:
        RefusedError: It is not.
    """
    given = body.get("device_type") or body.get("emulator")
    if isinstance(given, str) and not _is_known(given):
        refuse(
            f"there is no device type {given!r:.80}",
            code="UNKNOWN_DEVICE_TYPE",
            hint=f"Device types: {', '.join(sorted({*EMULATORS, *listed_devices()}))}.",
        )


def _is_known(device_type: str) -> bool:
    return device_type in EMULATORS or device_type in QPUS or device_type in listed_devices()


def device_specs(service: Service, _call: Call) -> Answer:
    """GET /api/v1/devices/specs, with `twin` beside the data, by which a client knows that it may send a seed."""
    installed = [name for name, backend in engines.BACKENDS.items() if backend.is_installed()]
    twin = {"version": __version__, "engines": [engines.AUTO, *engines.BUILT_IN, *installed]}
    return Answer(data=service.twin.device_specs() | listed_devices(), beside={"twin": twin})


def public_specs(_service: Service, _call: Call) -> Answer:
    """GET /api/v1/devices/public-specs."""
    return Answer(data=[{"device_type": name, "specs": specs} for name, specs in sorted(listed_devices().items())])


def device_queue(service: Service, call: Call) -> Answer:
    """GET /api/v1/devices/{name}/queue: batches that have not ended, the next one first."""
    name = call.path["name"]
    page = replace(batch_page(call.query), order_by="created_at", descending=False)
    waiting = BatchQuery(device_types=(name,), statuses=sorted(HELD))
    batches, total = service.twin.find_batches(waiting, page)
    if not total and not _is_known(name):
        raise HttpError(404, "DEVICE_NOT_FOUND", f"there is no device {name!r:.80}")
    return Answer(data=[without_sequence(batch) for batch in batches], start=page.offset, total=total)


def projects(service: Service, call: Call) -> Answer:
    """GET account /api/v1/projects: the one project, unless another status is asked for."""
    settings = service.twin.settings
    if Fields(call.query).excludes("project_status", "ACTIVE"):
        return Answer(data=[], start=0, total=0)
    project = {"id": settings.project_id, "name": "pcs-runner twin", "status": "ACTIVE", "description": "A PCS on this machine."}
    return Answer(data=[project], start=0, total=1)


def contract(service: Service, call: Call) -> Answer:
    """GET billing /api/v1/contracts: prices, and credits that submitted jobs reserve and ended ones use up."""
    project_id = Fields(call.query).text("project_id")
    if project_id is None:
        raise unprocessable("query", "project_id", "field required")
    if project_id != service.twin.settings.project_id:
        raise HttpError(404, "CONTRACT_NOT_FOUND", f"project {project_id!r:.80} has no contract")
    terms, usage = service.contract, service.twin.usage()
    qpu_left = terms.qpu_credits - _spent(terms.metric, terms.qpu_price, (row for row in usage if _is_qpu(row)))
    emu_left = terms.emu_credits - _spent(terms.metric, terms.emu_price, (row for row in usage if _is_paid_emulator(row)))
    return Answer(
        data={
            "id": _made_id("contract"),
            "project_id": project_id,
            "created_at": "2026-01-01T00:00:00+00:00",
            "contract_end_date": "2099-12-31T00:00:00+00:00",
            "total_credits": terms.qpu_credits + terms.emu_credits,
            "remaining_credits": qpu_left + emu_left,
            "qpu_credits": terms.qpu_credits,
            "remaining_qpu_credits": qpu_left,
            "remaining_qpu_units": qpu_left / terms.qpu_price,
            "emu_credits": terms.emu_credits,
            "remaining_emu_credits": emu_left,
            "remaining_emu_units": emu_left / terms.emu_price,
            "qpu_pricing": {"id": _made_id("qpu"), "metric": terms.metric, "price": terms.qpu_price},
            "emulator_pricing": {"id": _made_id("emulator"), "metric": terms.metric, "price": terms.emu_price},
        }
    )


def _is_qpu(row: Mapping[str, Any]) -> bool:
    return not row["device_type"].startswith("EMU_")


def _is_paid_emulator(row: Mapping[str, Any]) -> bool:
    return row["device_type"] != "EMU_FREE" and not _is_qpu(row)


def _spent(metric: str, price: float, rows: Iterable[Mapping[str, Any]]) -> float:
    """Credits used or reserved: shots are reserved at submission, hours are known at the end; what is cancelled is given back."""
    if metric == "hour":
        return price * sum(float(row["hours"]) for row in rows if row["status"] in ENDED)
    return price * sum(int(row["runs"]) for row in rows if row["status"] in ENDED | HELD)


def _made_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"pcs-runner twin {name}"))
