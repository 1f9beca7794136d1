"""Statuses that a fault gives to the batch of a request or to one of its jobs, for a while or for good."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from pcs_runner.emulator.server.faults.held import answered_id
from pcs_runner.emulator.server.faults.rule import When

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response

    from pcs_runner.emulator.server.faults.book import Fired
    from pcs_runner.emulator.server.faults.held import Held
    from pcs_runner.emulator.server.faults.rule import Fault
    from pcs_runner.emulator.twin import Twin

    Undo = Callable[[], None]

IN_PATH = re.compile(r"/(batches|jobs|results)/([^/]+)")
NO_ID = frozenset({"cancel"})
"""What stands in the place of an id in `PATCH /api/v1/batches/cancel`."""


def named(request: Held) -> tuple[str | None, str | None]:
    """The batch and the job that a request is about, as far as its path and query say so."""
    found = IN_PATH.search(request.scope["path"])
    name = found[2] if found and found[2] not in NO_ID else None
    if name is not None and found is not None:
        return (name, None) if found[1] == "batches" else (None, name)
    return next((value for key, value in request.query if key == "batch_id" and value), None), None


async def change(twin: Twin, fault: Fault, fired: Fired, request: Held, answer: Response | None) -> list[Undo]:
    """Give the statuses of a fault if this is the moment; returns what takes back those that are no end.

    Args:
        twin: Whose they are.
        fault: Says which.
        fired: Gets told what was changed.
        request: Says whose: by its path or query, or by its answer when it makes a batch.
        answer: None before the request is carried out.
    """
    batch_id, job_id = named(request)
    early = fault.when is not When.AFTER and (batch_id or job_id) is not None
    if early is not (answer is None):
        return []
    if answer is not None and batch_id is None and job_id is None:
        batch_id = answered_id(answer)
    return await run_in_threadpool(_changed, twin, fault, fired, batch_id, job_id)


def _changed(twin: Twin, fault: Fault, fired: Fired, batch_id: str | None, job_id: str | None) -> list[Undo]:
    undo: list[Undo] = []
    if fault.job is not None:
        one = twin.statuses.set_job(fault.job, job_id=job_id, batch_id=batch_id, position=fault.position)
        if one is not None:
            fired.changed.append(f"job {one} {fault.job}")
            undo.append(lambda status=fault.job: twin.statuses.release_job(one, status))  # type: ignore[misc]
    if fault.batch is not None:
        whose = twin.statuses.set_batch(fault.batch, batch_id=batch_id, job_id=job_id)
        if whose is not None:
            fired.changed.append(f"batch {whose} {fault.batch}")
            undo.append(lambda status=fault.batch: twin.statuses.release_batch(whose, status))  # type: ignore[misc]
    return undo
