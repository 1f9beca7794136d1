"""Ending a run: batches closed, strangers found, tables written, manifest completed; the journal's state comes last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcs_runner.results.formats import missing
from pcs_runner.run import manifest
from pcs_runner.run.doubt import stranger_batch
from pcs_runner.run.events import Event
from pcs_runner.run.formats import FORMATS
from pcs_runner.run.found import can_list
from pcs_runner.run.report import after_run
from pcs_runner.run.rows import ENDED
from pcs_runner.run.submit import check_tail, close

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    for name in write_tables(session.folder, session.plan.spec.results.formats):
        session.emit(Event(kind="not_derived", message=name))
    state = ENDED[session.state]
    counts = session.journal.counts()
    manifest.update(session.folder, times={"ended": session.effects.now()}, state=state, counts=counts)
    after_run(session, state)
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


def write_tables(folder: RunFolder, names: Iterable[str]) -> list[str]:
    """Write the formats that the spec asks for, and those again whose files are in the folder, from what is recorded.

    Returns:
        The formats that were left out because their packages are not installed.
    """
    wanted = tables_of(folder, names)
    lacking = missing(wanted)
    for name in wanted:
        if name not in lacking:
            FORMATS[name].write(folder, folder.path / FORMATS[name].file)
    return lacking


def tables_of(folder: RunFolder, names: Iterable[str]) -> list[str]:
    """The formats that are derived from the records: those of `names`, `counts` beside `csv`, and those whose files are there."""
    asked = {*names, *(name for name, form in FORMATS.items() if (folder.path / form.file).exists())} - {"jsonl"}
    return [name for name in FORMATS if name in asked or (name == "counts" and "csv" in asked)]
