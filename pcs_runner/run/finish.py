"""Ending a run: batches closed, strangers found, tables written, manifest completed; the journal's state comes last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcs_runner.results import jsonl, tables
from pcs_runner.run import manifest
from pcs_runner.run.doubt import stranger_batch
from pcs_runner.run.events import Event
from pcs_runner.run.found import can_list
from pcs_runner.run.rows import ENDED
from pcs_runner.run.submit import check_tail, close

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pcs_runner.run.directory import RunFolder
    from pcs_runner.run.session import Session


def finish(session: Session) -> None:
    """Do what is left when every job is recorded. Can be repeated after a crash at any point.

    Raises:
        ServiceError: A batch cannot be closed.
        OSError: The disk is full or not writable.
    """
    for batch in session.journal.open_batches():
        close(session, batch)
    audit(session)
    write_tables(session.folder, session.plan.spec.results.formats)
    state = ENDED[session.state]
    counts = session.journal.counts()
    manifest.update(session.folder, times={"ended": session.effects.now()}, state=state, counts=counts)
    session.journal.set_state(state)
    session.state = state
    session.emit(Event(kind="finished", message=state, counts=counts, number=sum(counts.values()), total=session.plan.total_jobs))


def audit(session: Session) -> None:
    """Look for batches and jobs under the run's tag that this run did not mean to send: report them, cancel pending ones."""
    ours = {batch.id: batch for batch in session.journal.batches() if batch.id is not None}
    if (not ours and not session.journal.batches()) or not can_list(session.client):
        return
    known = {extra_id for extra_id, *_ in session.journal.extras()}
    for found in session.client.list_batches(tag=session.run_tag):
        if found.id in ours:
            check_tail(session, ours[found.id], found.jobs_count)
        elif found.id not in known and session.run_tag in found.tags:
            stranger_batch(session, found)


def write_tables(folder: RunFolder, formats: Sequence[str]) -> None:
    """Write the tables that the spec asks for, from `results.jsonl` alone."""
    if "csv" in formats:
        tables.write_results(folder.results_csv, lambda: jsonl.read(folder.results), folder.atoms())
        tables.write_counts(folder.counts_csv, jsonl.read(folder.results))
