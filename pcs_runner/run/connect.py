"""Target -> client: the twin in the run folder, or the cloud; and how late its requests may still apply."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from pcs_runner.errors import UsageError
from pcs_runner.run.events import Event

if TYPE_CHECKING:
    from pathlib import Path

    from pcs_runner.emulator.dask_pool import DaskWorkers
    from pcs_runner.pcs.client import Client as CloudClient
    from pcs_runner.pcs.protocol import Client
    from pcs_runner.plan import Target
    from pcs_runner.run.events import OnEvent
    from pcs_runner.spec.models import Spec

SETTLE_S = 60.0
"""How late a request behind a gateway that gave up can still apply: a guess (PCS.md, "Not known"), hence a variable."""


def connect(
    target: Target, folder: Path, workers: int | None, *, dask: str | None = None, on_event: OnEvent | None = None
) -> Client:
    """The client for a target. Loads only the modules that this one needs.

    Args:
        target: Where the plan runs.
        folder: The run folder; the embedded twin keeps its store there.
        workers: Worker processes of the embedded twin; None: the target's, or the machine's cores.
        dask: Where its groups run instead: `local`, a scheduler's address, or a scheduler file.
        on_event: Told what is waited for.

    Raises:
        ServiceError: No Dask scheduler answers.
        UsageError: Dask cannot be used; nobody is logged in, no project is known that pays, or the environment's addresses break
            a rule.
    """
    if target.backend == "local":
        from pcs_runner.emulator.client import LocalClient

        width = workers if workers is not None else target.workers
        return LocalClient(folder, workers=width if dask is None else _dask_workers(dask, width, on_event))
    if dask is not None:
        raise UsageError(f"target {target.name} runs on {target.backend}: Dask is for local targets", hint="Leave --dask away.")
    return cloud_client(target)


def warm_up(spec: Spec, target: str | None) -> None:
    """Have the workers of a spec's local target imported while it is planned; nothing is done for other targets."""
    options = spec.targets.get(target or "local")
    if options is None or options.backend in (None, "local"):
        from pcs_runner.emulator.workers import prepare

        prepare()


def cloud_client(target: Target) -> CloudClient:
    """The client of a target's cloud.

    Raises:
        UsageError: Nobody is logged in, no project is known that pays, or the environment's addresses break a rule.
    """
    from pcs_runner.pcs.client import Client as CloudClient

    client = CloudClient.from_environment(target.region, target.provider)
    if target.provider == "pasqal" and client.project_id is None:
        client.close()
        raise UsageError("no project is known that pays for the run", hint="Set PASQAL_PROJECT_ID, or `pcs-run login`.")
    return client


def _dask_workers(where: str, width: int | None, on_event: OnEvent | None) -> DaskWorkers:
    from pcs_runner.emulator.dask_pool import DaskWorkers

    def tell(message: str, seconds: float) -> None:
        if on_event is not None:
            on_event(Event(kind="waiting", message=message, seconds=seconds))

    return DaskWorkers(where, width, tell)


def service_address(target: Target) -> str | None:
    """Address of the service of a target, by which two services are told apart; None on this machine."""
    if target.backend == "local":
        return None
    from pcs_runner.pcs.endpoints import CORE, REGIONS

    return target.provider if target.provider != "pasqal" else os.environ.get(CORE) or REGIONS[target.region].core


def settle_s(target: Target) -> float:
    """Seconds after which a request without an answer is taken to have applied or not: 0 for the embedded twin.

    Raises:
        UsageError: `PCS_RUNNER_SETTLE_S` is not a number of seconds.
    """
    return 0.0 if target.backend == "local" else _seconds("PCS_RUNNER_SETTLE_S", SETTLE_S, 3600)


def patience_s() -> float:
    """Seconds for which a service that cannot be reached is asked again while a run is followed: without end by default.

    Raises:
        UsageError: `PCS_RUNNER_PATIENCE_S` is not a number of seconds.
    """
    return _seconds("PCS_RUNNER_PATIENCE_S", math.inf, 10**9)


def connect_idle(target: Target, folder: Path, workers: int | None) -> Client:
    """As `connect`, but an embedded twin runs nothing: to look, and to cancel."""
    if target.backend != "local":
        return connect(target, folder, workers)
    from pcs_runner.emulator.client import LocalClient

    return LocalClient(folder, execute=False)


def _seconds(name: str, default: float, most: int) -> float:
    text = os.environ.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise UsageError(f"{name} is {text!r}, not a number of seconds from 0 to {most}", hint="Unset it.")
    return value
