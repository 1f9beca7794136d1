"""Pages of run folders: `report.html` at the end of a run and on request while it goes, and that of runs compared."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from pcs_runner.errors import StorageError
from pcs_runner.results import jsonl
from pcs_runner.results.durable import write_bytes
from pcs_runner.run.derive import source_of
from pcs_runner.run.directory import RunFolder
from pcs_runner.run.events import Event
from pcs_runner.run.outcome import open_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pcs_runner.results.compare import Comparison
    from pcs_runner.results.report.source import ReportSource
    from pcs_runner.run.session import Session
    from pcs_runner.spec.models import Spec


def write_report(folder: RunFolder, *, state: str, now: datetime, held: bool = True, path: Path | None = None) -> Path:
    """Write the report of what is on disk.

    Args:
        folder: The run.
        state: Of the run; of one that is still going the report says so.
        now: In UTC.
        held: Whether a process is carrying it out.
        path: Where to; default `report.html` in the folder.

    Returns:
        The file.

    Raises:
        StorageError: The manifest or the spec is missing or damaged.
        ValueError: A line of the results is not a record.
        OSError: The disk is full or not writable.
    """
    from pcs_runner.results.report import html

    source = _source(folder, state=state, now=now, held=held)
    place = path or folder.report
    write_bytes(place, html(source).encode("utf-8", "replace"))
    return place


def report(folder: Path, *, output: Path | None = None, now: datetime | None = None) -> Path:
    """Write the report of a run as it is; arguments, result and errors as of `api.report`."""
    run = open_run(folder)
    place = RunFolder(folder)
    try:
        return write_report(place, state=run.state, now=now or datetime.now(UTC), held=run.held_by is not None, path=output)
    except ValueError as error:
        hint = f"Compare it with the service: `pcs-run verify {folder}`."
        raise StorageError(f"the results cannot be read: {error}", hint=hint) from error


def write_comparison(folders: Sequence[Path], found: Sequence[Comparison], path: Path, *, now: datetime | None = None) -> None:
    """Write the page of runs that were compared.

    Args:
        folders: The first run, and those that were compared with it.
        found: What came out for each of those.
        path: The file, replaced atomically.
        now: In UTC; default the clock's.

    Raises:
        StorageError: The manifest, the spec or the results of a run are missing or damaged.
        OSError: The disk is full or not writable.
    """
    from pcs_runner.results.compare import distances
    from pcs_runner.results.report.compared import html, letter
    from pcs_runner.results.report.compared_points import Versus

    now = now or datetime.now(UTC)
    sources = []
    for folder in folders:
        run = open_run(folder)
        sources.append(_source(RunFolder(folder), state=run.state, now=now, held=run.held_by is not None))
    results = [RunFolder(folder).results for folder in folders]
    others = [
        Versus(name=letter(number), source=source, found=one, distances=partial(distances, results[0], results[number]))
        for number, (source, one) in enumerate(zip(sources[1:], found, strict=True), start=1)
    ]
    try:
        write_bytes(path, html(sources[0], others, now=now).encode("utf-8", "replace"))
    except ValueError as error:
        raise StorageError(
            f"the results cannot be read: {error}", hint="Compare them with the service: `pcs-run verify`."
        ) from error


def after_run(session: Session, state: str) -> None:
    """Make the report of a run that ends, when the spec wants one; a failure is told and changes nothing else."""
    if not session.plan.spec.results.report:
        return
    try:
        write_report(session.folder, state=state, now=session.effects.now())
    except Exception as error:  # noqa: BLE001 - results that were paid for are not lost for a picture of them
        reason = f"{type(error).__name__}: {error}"
        session.emit(Event(kind="report_failed", message=f"{reason}; make it again with `pcs-run report {session.folder.path}`"))


def _source(folder: RunFolder, *, state: str, now: datetime, held: bool) -> ReportSource:
    from pcs_runner.results.report.source import ReportSource

    text = folder.spec_bytes
    return ReportSource(
        manifest=folder.read_manifest(),
        state=state,
        held=held,
        records=lambda: jsonl.read(folder.results),
        sequence=lambda name: (folder.sequences / f"{name}.json").read_text(encoding="utf-8"),
        spec=_spec(folder, text),
        spec_text=text.decode("utf-8", "replace"),
        units=source_of(folder).units,
        folder=folder.path.name,
        now=now,
    )


def _spec(folder: RunFolder, text: bytes) -> Spec | None:
    """The spec, or None when this version cannot read it: the report then does without units."""
    from pcs_runner.errors import SpecError
    from pcs_runner.spec.document import parse_document
    from pcs_runner.spec.schema import validate

    try:
        return validate(parse_document(text, file=str(folder.spec), folder=folder.inputs))
    except SpecError:
        return None
