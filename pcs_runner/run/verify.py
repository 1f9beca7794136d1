"""Whether journal, files and service tell the same story of a run: what is missing, extra or changed. Changes nothing."""

from __future__ import annotations

import hashlib
import itertools
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pcs_runner.errors import PcsRunnerError, ServiceError, StorageError, UsageError
from pcs_runner.pcs.errors import safe_text
from pcs_runner.pcs.protocol import JobResult
from pcs_runner.results import jsonl
from pcs_runner.results.estimates import Estimators
from pcs_runner.results.formats import missing
from pcs_runner.results.record import JobRecord
from pcs_runner.run import fingerprint
from pcs_runner.run.connect import connect_idle
from pcs_runner.run.directory import RunFolder
from pcs_runner.run.execute import plan_of
from pcs_runner.run.finish import tables_of
from pcs_runner.run.formats import FORMATS, Format
from pcs_runner.run.journal import DamagedJournalError, Journal
from pcs_runner.run.outcome import check_journal
from pcs_runner.run.result_check import check_result
from pcs_runner.run.reuse import Reused
from pcs_runner.run.service_check import check_service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pcs_runner.pcs.protocol import Client
    from pcs_runner.plan import Plan, PlannedJob, Target
    from pcs_runner.run.execute import MakePlan
    from pcs_runner.run.opening import ClientFactory
    from pcs_runner.run.rows import JobRow

Estimates = Mapping[str, Mapping[str, float | None]]

MISSING, EXTRA, CHANGED = "missing", "extra", "changed"

MOST_FINDINGS = 1000
"""Findings that are kept; with more than that, the rest says nothing new."""

PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference.

    Attributes:
        kind: `missing`, `extra` or `changed`.
        where: The file, or `service`.
        message: What it is.
    """

    kind: str
    where: str
    message: str

    def __str__(self) -> str:
        """`changed  results.jsonl: line 3: ...`."""
        return f"{self.kind:<8} {self.where}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What the comparison found.

    Attributes:
        folder: The run folder.
        findings: The differences, at most 1000.
        checked: What was compared, in words.
        unreached: Why the service could not be asked, or empty when it was.
    """

    folder: Path
    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    unreached: str = ""

    @property
    def exit_code(self) -> int:
        """0: all is the same; 1: there are differences; 3: none on disk, but the service could not be asked."""
        if self.findings:
            return 1
        return 3 if self.unreached else 0


@dataclass(slots=True, kw_only=True)
class Comparison:
    """Gathers findings. `plan`, `estimators` of its observables, and `journal` are None when they cannot be had."""

    folder: RunFolder
    plan: Plan | None = None
    estimators: Estimators | None = None
    journal: Journal | None = None
    findings: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)

    def note(self, kind: str, where: str, message: object) -> None:
        """Keep a finding; what it quotes may come from outside."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(kind=kind, where=where, message=safe_text(message, 500)))


class NoStoreError(UsageError):
    """The local twin of the run has no store any more."""


def connect_to_look(target: Target, folder: Path, workers: int | None) -> Client:
    """The client for a target; a local twin runs nothing, and none is made where there is none.

    Raises:
        NoStoreError: There is no store.
    """
    if target.backend == "local" and not (folder / "twin.db").is_file():
        raise NoStoreError("the store of the local twin is not there")
    return connect_idle(target, folder, workers)


def verify(folder: Path, *, make_plan: MakePlan = plan_of, client_factory: ClientFactory = connect_to_look) -> Verification:
    """Compare journal, files and, where it can be asked, the service.

    Args:
        folder: A run folder. A process that carries the run out is not disturbed, but may make passing differences.
        make_plan: Makes the plan of a folder.
        client_factory: Makes the client.

    Raises:
        UsageError: It is not a run folder.
    """
    place = RunFolder(folder)
    if not place.is_run():
        raise UsageError(f"{folder} is not a run folder: it has no journal.db", hint="Give the folder that `pcs-run` named.")
    comparison = Comparison(folder=place)
    _open_journal(comparison)
    try:
        _make_plan(comparison, make_plan)
        _check_manifest(comparison)
        _check_sequences(comparison)
        _check_results(comparison)
        _check_tables(comparison)
        unreached = _ask_service(comparison, client_factory)
    finally:
        if comparison.journal is not None:
            comparison.journal.close()
    return Verification(
        folder=folder, findings=tuple(comparison.findings), checked=tuple(comparison.checked), unreached=unreached
    )


def _open_journal(comparison: Comparison) -> None:
    try:
        journal = Journal.open(comparison.folder.journal)
    except DamagedJournalError as error:
        missing = not comparison.folder.journal.exists()
        comparison.note(MISSING if missing else CHANGED, "journal.db", f"{error.message}. {error.hint}")
        return
    try:
        check_journal(comparison.folder, journal)
    except DamagedJournalError as error:
        journal.close()
        comparison.note(CHANGED, "journal.db", f"{error.message}. {error.hint}")
        return
    comparison.journal = journal


def _make_plan(comparison: Comparison, make_plan: MakePlan) -> None:
    try:
        comparison.plan = make_plan(comparison.folder)
    except (PcsRunnerError, OSError, KeyError, ValueError) as error:
        comparison.note(CHANGED, "spec.yaml", f"the plan cannot be made again: {error}")


def _check_manifest(comparison: Comparison) -> None:
    """The manifest against the spec and the plan that the spec gives."""
    try:
        manifest = comparison.folder.read_manifest()
    except StorageError as error:
        comparison.note(MISSING if not comparison.folder.manifest.exists() else CHANGED, "manifest.json", error.message)
        return
    try:
        if hashlib.sha256(comparison.folder.spec_bytes).hexdigest() != manifest.get("spec", {}).get("sha256"):
            comparison.note(CHANGED, "spec.yaml", "it is not the spec that the run was started with")
    except StorageError as error:
        comparison.note(MISSING, "spec.yaml", error.message)
    plan = comparison.plan
    if plan is not None and plan.digest != manifest.get("digest"):
        message = f"the spec gives the plan {plan.digest[:8]}, the manifest says {str(manifest.get('digest'))[:8]}"
        comparison.note(CHANGED, "manifest.json", message)
        comparison.plan = None
    comparison.checked.append("spec, inputs and manifest")


def _check_sequences(comparison: Comparison) -> None:
    """Each distinct sequence is there and is what the spec gives."""
    plan, folder = comparison.plan, comparison.folder.sequences
    if plan is None:
        return
    wanted = set(plan.sequence_ids)
    there = {path.stem for path in folder.glob("*.json")} if folder.is_dir() else set()
    for name in sorted(wanted - there):
        comparison.note(MISSING, f"sequences/{name}.json", "the sequence is not there")
    for name in sorted(there - wanted):
        comparison.note(EXTRA, f"sequences/{safe_text(name, 80)}.json", "no job of the plan has it")
    from pcs_runner.emulator.seeding import document_digest

    for name in sorted(wanted & there):
        try:
            same = document_digest((folder / f"{name}.json").read_text(encoding="utf-8")) == document_digest(plan.sequence(name))
        except (OSError, ValueError):
            same = False
        if not same:
            comparison.note(CHANGED, f"sequences/{name}.json", "it is not the sequence that the spec gives")
    comparison.checked.append(counted(len(wanted), "sequence"))


def _check_results(comparison: Comparison) -> None:
    """Line i is the record of job i, as the journal knows it and as the plan wants it."""
    path, size, count = comparison.folder.results, 0, 0
    rows, reused = _recorded(comparison), _reused(comparison)
    if comparison.plan is not None:
        comparison.estimators = Estimators(comparison.plan.spec.results.observables, comparison.plan.sequence)
    jobs = comparison.plan.jobs() if comparison.plan is not None else itertools.repeat(None)
    for number, ((line, end), job) in enumerate(zip(jsonl.whole_lines(path), jobs, strict=False)):
        size, count = end, number + 1
        base = None if job is None or reused is None else reused.of(job)
        for message in _wrong_line(comparison, line, job, next(rows, None), base):
            comparison.note(CHANGED, "results.jsonl", f"line {number + 1}: {message}")
    length = path.stat().st_size if path.exists() else 0
    if length > size:
        comparison.note(EXTRA, "results.jsonl", f"{length - size} bytes after line {count} are no record of the next job")
    left = sum(1 for _ in rows)
    if left:
        comparison.note(MISSING, "results.jsonl", f"{left} jobs that the journal knows to be recorded have no line")
    comparison.checked.append(counted(count, "record"))


def _reused(comparison: Comparison) -> Reused | None:
    if comparison.plan is None:
        return None
    try:
        return Reused(comparison.folder)
    except StorageError as error:
        comparison.note(CHANGED, "reused.jsonl", error.message)
        return None


def _recorded(comparison: Comparison) -> Iterator[JobRow]:
    start = 0
    while comparison.journal is not None and (rows := comparison.journal.recorded_jobs(start, PAGE)):
        yield from rows
        start = rows[-1].idx + 1


def _wrong_line(
    comparison: Comparison, line: bytes, job: PlannedJob | None, row: JobRow | None, base: JobRecord | None
) -> Iterator[str]:
    try:
        record = JobRecord.from_line(line)
    except ValueError as error:
        yield f"not a record: {error}"
        return
    if comparison.journal is not None:
        mine = None if row is None else (row.idx, row.attempt, row.job_id or "", row.status)
        if mine is None:
            yield "the journal does not know that it was written"
        elif mine != (record.index, record.attempt, record.job_id, record.status):
            yield f"the journal has attempt {mine[1]}, job {mine[2]}, {mine[3]}"
    if job is None or comparison.plan is None:
        return
    try:
        content = fingerprint.fingerprint(record.runs, record.variables)
        if (record.sequence, content) != (job.sequence, fingerprint.fingerprint(job.runs, job.variables)):
            yield f"job {job.index} of the plan has another sequence, other variables or runs"
        if record.status == "DONE":
            yield from _wrong_result(comparison, record, job, len(comparison.plan.job_atoms(job)), base)
    except ServiceError as error:
        yield error.message
    except (AttributeError, TypeError, ValueError) as error:
        yield f"not a record: {error}"


def _wrong_result(
    comparison: Comparison, record: JobRecord, job: PlannedJob, n_atoms: int, base: JobRecord | None
) -> Iterator[str]:
    check_result(JobResult(counter=record.counts, raw=record.raw), runs=job.runs, n_atoms=n_atoms, job_id=record.job_id)
    if base is not None and any(record.counts.get(bits, 0) < count for bits, count in base.counts.items()):
        yield "it lacks shots that were taken over from an earlier run"
    if comparison.estimators is not None:
        found = comparison.estimators.estimate(record.sequence, record.counts)
        wrong = [name for name in {**found, **record.estimates} if not _same_estimate(found, record.estimates, name)]
        if wrong:
            yield f"observables are not what the counts give: {', '.join(wrong)}"


def _same_estimate(one: Estimates, other: Estimates, name: str) -> bool:
    """Whether value and error agree to 9 digits: the last ones differ between processors."""
    if name not in one or name not in other:
        return False
    pairs = [(one[name].get(key), other[name].get(key)) for key in ("value", "error")]
    return all(a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)) for a, b in pairs)


def _check_tables(comparison: Comparison) -> None:
    """The tables of an ended run are what its records give."""
    journal, plan, folder = comparison.journal, comparison.plan, comparison.folder
    if journal is None or plan is None or not journal.run().ended:
        return
    names = tables_of(folder, plan.spec.results.formats)
    lacking = missing(names)
    with tempfile.TemporaryDirectory(prefix="pcs-run-verify-") as place:
        for name in names:
            if name not in lacking:
                _check_table(comparison, FORMATS[name], Path(place))
    *files, last = [FORMATS[name].file for name in names if name not in lacking] or [""]
    if last:
        comparison.checked.append(f"{', '.join(files)} and {last}" if files else last)
    comparison.checked += [f"not {FORMATS[name].file}, whose package is not installed" for name in lacking]


def _check_table(comparison: Comparison, form: Format, place: Path) -> None:
    there, again = comparison.folder.path / form.file, place / form.file
    if not there.is_file():
        comparison.note(MISSING, form.file, "the table is not there")
        return
    try:
        form.write(comparison.folder, again)
    except (ValueError, OSError, KeyError, PcsRunnerError) as error:
        comparison.note(CHANGED, form.file, f"it cannot be made again: {error}")
        return
    try:
        same = form.same(there, again)
    except (ValueError, OSError):
        same = False
    if not same:
        comparison.note(CHANGED, form.file, "it is not what results.jsonl gives")


def counted(count: int, noun: str) -> str:
    """`1 record`, `2 records`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _ask_service(comparison: Comparison, client_factory: ClientFactory) -> str:
    """Compare with the service; why it could not be asked, or empty."""
    journal, plan, folder = comparison.journal, comparison.plan, comparison.folder
    if journal is None or plan is None:
        return "the service was not asked: without journal and plan there is nothing to compare it with"
    if not journal.batches():
        return ""
    try:
        client = client_factory(plan.target, folder.path, None)
    except NoStoreError as error:
        comparison.note(MISSING, "twin.db", error.message)
        return ""
    except PcsRunnerError as error:
        return error.message
    note: Callable[[str, str, object], None] = comparison.note
    try:
        comparison.checked.append(check_service(client, journal, note))
    except ServiceError as error:
        return error.message
    finally:
        client.close()
    return ""
