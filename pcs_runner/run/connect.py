"""Target -> client: the twin in the run folder, or the cloud; and how late its requests may still apply."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pcs_runner.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pcs_runner.pcs.protocol import Client
    from pcs_runner.plan import Target

SETTLE_S = 60.0
"""How late a request behind a gateway that gave up can still apply: a guess (PCS.md, "Not known"), hence a variable."""


def connect(target: Target, folder: Path, workers: int | None) -> Client:
    """The client for a target. Loads only the modules that this one needs.

    Args:
        target: Where the plan runs.
        folder: The run folder; the embedded twin keeps its store there.
        workers: Worker processes of the embedded twin; None: the target's, or the machine's cores.

    Raises:
        UsageError: The cloud client is not part of this installation.
    """
    if target.backend == "local":
        from pcs_runner.emulator.client import LocalClient

        return LocalClient(folder, workers=workers if workers is not None else target.workers)
    try:
        from importlib import import_module

        cloud = import_module("pcs_runner.pcs.client")
    except ModuleNotFoundError as error:
        if error.name != "pcs_runner.pcs.client":
            raise
        raise UsageError(
            f"target {target.name}: this version has no client for the backend {target.backend}", hint="Run it with `-t local`."
        ) from error
    client: Client = cloud.Client.from_environment(region=target.region, provider=target.provider)
    return client


def settle_s(target: Target) -> float:
    """Seconds after which a request without an answer is taken to have applied or not: 0 for the embedded twin.

    Raises:
        UsageError: `PCS_RUNNER_SETTLE_S` is not a number of seconds.
    """
    if target.backend == "local":
        return 0.0
    text = os.environ.get("PCS_RUNNER_SETTLE_S", "")
    try:
        value = float(text) if text else SETTLE_S
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3600:
        raise UsageError(f"PCS_RUNNER_SETTLE_S is {text!r}, not a number of seconds from 0 to 3600", hint="Unset it.")
    return value
