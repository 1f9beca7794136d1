"""Stopping: nothing more is sent, what has not begun is cancelled where that is ours to do, and every job gets its record."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pcs_runner.pcs.errors import RefusedError
from pcs_runner.run.events import Event
from pcs_runner.run.patience import patiently
from pcs_runner.run.rows import STOPPING

if TYPE_CHECKING:
    from pcs_runner.run.session import Session

CANCELLED = frozenset({"CANCELED", "CANCELING"})
"""Statuses of a batch that somebody cancelled: a wish to be respected, not a failure to be repaired."""


def stop(session: Session, state: str, reason: str) -> None:
    """Send nothing more, cancel what has not begun, and let what was never sent end as CANCELED; can be repeated."""
    _send_nothing_more(session, state, reason)
    for batch in session.journal.batches():
        if batch.id is not None and (batch.state == "open" or session.journal.has_open(batch.k)):
            _cancel(session, batch.id)


def respect_cancellation(session: Session, batch_id: str) -> None:
    """Somebody cancelled a batch of ours at the service: send nothing more, and let the other batches go on as they are."""
    _send_nothing_more(session, STOPPING, f"batch {batch_id} was cancelled at the service")


def _send_nothing_more(session: Session, state: str, reason: str) -> None:
    session.journal.set_state(state)
    session.state = state
    session.emit(Event(kind="stopping", message=reason))
    total = session.plan.total_jobs
    session.journal.cancel_unsent(sum(1 for _ in session.plan.jobs()) if total is None else total, f"not sent: {reason}")


def _cancel(session: Session, batch_id: str) -> None:
    """Cancel a batch; a refusal means that there is nothing to cancel, and without an answer it is asked again."""
    with contextlib.suppress(RefusedError):
        patiently(session, lambda: session.client.cancel_batch(batch_id))
