"""Points that are not measured again: decided when a run is made, written beside it, and merged into its records.

`reused.jsonl` holds one line for each job that earlier runs have something of: the record as it is taken over, with where it
comes from. A job whose record has all runs that are wanted is not sent; of another only the missing runs are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import StorageError
from pcs_runner.pcs.protocol import JobResult
from pcs_runner.results import jsonl
from pcs_runner.results.durable import replacing
from pcs_runner.run import fingerprint
from pcs_runner.run.connect import service_address
from pcs_runner.run.journal.earlier import FAILED, MORE, EarlierPoints, Lookup, place_of
from pcs_runner.run.manifest import target_data
from pcs_runner.run.rows import JobRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.plan import Plan, PlannedJob
    from pcs_runner.results.record import JobRecord
    from pcs_runner.run.directory import RunFolder

BLOCK = 256
"""Lines of `reused.jsonl` that are in memory at once."""

LARGEST_INDEX = 2**32
"""Jobs of a plan are fewer. The draws of runs that are added later begin anew above it: they must not repeat the first ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """What a plan takes over and what it sends.

    Attributes:
        reuse: Jobs that are taken over whole.
        add: Jobs that no earlier run has.
        extend: Jobs of which earlier runs have some of the runs: the others are sent.
        failed: Jobs that have only failed so far; they are sent.
        more: Of the added, those that an earlier run has with more runs.
        runs: Runs that are taken over.
        sources: The earlier runs, by name of their folders, in order.
    """

    reuse: int = 0
    add: int = 0
    extend: int = 0
    failed: int = 0
    more: int = 0
    runs: int = 0
    sources: tuple[str, ...] = ()

    @property
    def sent(self) -> int:
        """Jobs that are sent."""
        return self.add + self.extend + self.failed

    def summary(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "sources": list(self.sources)}


def preview(plan: Plan) -> Reuse | None:
    """What a run of the plan would take over as things are; None where nothing may be reused. Nothing is written."""
    if not plan.target.reuse:
        return None
    tally = _Tally()
    for _ in _decided(plan, tally, Counter()):
        pass
    return tally.result()


def write(folder: RunFolder, plan: Plan, there: Counter[bytes | None] | None = None) -> Reuse | None:
    """Decide, and write the decision into a run folder that is being made; as `preview`.

    Args:
        folder: The run folder.
        plan: What is going to run.
        there: What the service has of this very run already (`found.contents_of`): it is not taken from another one.

    Raises:
        OSError: The disk is full or not writable.
    """
    if not plan.target.reuse:
        return None
    tally = _Tally()
    with replacing(folder.reused) as stream:
        for record in _decided(plan, tally, there or Counter()):
            stream.write(f"{record.to_line()}\n".encode())
    return tally.result()


class Reused:
    """What a run takes over, job by job. Reading in the plan's order reads the file once.

    Args:
        folder: A run folder; without `reused.jsonl` for a run that takes over nothing.

    Attributes:
        whole: Number of jobs of which nothing has to be sent.

    Raises:
        StorageError: The file is not the one that was written when the run was made.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.reused
        self._indices: list[int] = []
        self._offsets: list[int] = []
        self._block = -1
        self._records: dict[int, JobRecord] = {}
        count = 0
        try:
            for start, record in jsonl.located(self._path):
                if count % BLOCK == 0:
                    self._indices.append(record.index)
                    self._offsets.append(start)
                count += 1
        except (ValueError, OSError) as error:
            raise _damaged(self._path, str(error)) from error
        told = folder.read_manifest().get("reuse") or {}
        self.whole: int = told.get("reuse", 0)
        if count != self.whole + told.get("extend", 0):
            raise _damaged(self._path, f"it has {count} jobs, manifest.json says another number")

    def __bool__(self) -> bool:
        return bool(self._indices)

    def of(self, job: PlannedJob) -> JobRecord | None:
        """What is taken over for a job, or None."""
        block = bisect_right(self._indices, job.index) - 1
        if block < 0:
            return None
        if block != self._block:
            self._records = {record.index: record for record in self._read_block(block)}
            self._block = block
        return self._records.get(job.index)

    def is_whole(self, job: PlannedJob) -> bool:
        """Whether nothing of a job has to be sent."""
        record = self.of(job)
        return record is not None and record.runs == job.runs

    def runs_to_send(self, job: PlannedJob) -> int:
        """Runs of a job that are missing."""
        record = self.of(job)
        return job.runs - (0 if record is None else record.runs)

    def draw(self, job: PlannedJob) -> int:
        """Which draw of a twin's seed a job gets: its index, and another one for runs that are added."""
        record = self.of(job)
        return job.index + (0 if record is None else record.runs * LARGEST_INDEX)

    def rows(self, plan: Plan) -> Iterator[JobRow]:
        """What the journal keeps of the jobs that are taken over whole."""
        if not self:
            return
        for job in plan.jobs():
            record = self.of(job)
            if record is not None and record.runs == job.runs:
                yield JobRow(idx=job.index, attempt=1, job_id=record.job_id, status=record.status)

    def _read_block(self, block: int) -> Iterator[JobRecord]:
        after = self._indices[block + 1] if block + 1 < len(self._indices) else None
        for _, record in jsonl.located(self._path, start=self._offsets[block]):
            if record.index == after:
                return
            yield record


def _damaged(path: Path, reason: str) -> StorageError:
    return StorageError(f"{path} is damaged: {reason}", hint="Restore it from a backup; nothing was sent.")


def merged(base: JobRecord | None, result: JobResult | None) -> JobResult | None:
    """What was taken over of a job, and what the service gave for the runs that were missing, as one result."""
    if base is None:
        return result
    if result is None:
        return JobResult(counter=base.counts, raw=base.raw)
    return JobResult(
        counter=dict(Counter(base.counts) + Counter(result.counter)),
        raw=None if base.raw is None or result.raw is None else [*base.raw, *result.raw],
        serialised_results=result.serialised_results,
    )


class _Tally:
    """Counts decisions."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()
        self._runs = 0
        self._sources: dict[str, None] = {}

    def count(self, job: PlannedJob, found: Lookup) -> None:
        """One job."""
        self._kinds["more"] += found.why == MORE
        if found.record is None:
            self._kinds["failed" if found.why == FAILED else "add"] += 1
            return
        self._kinds["reuse" if found.record.runs == job.runs else "extend"] += 1
        self._runs += found.record.runs
        self._sources[found.source] = None

    def result(self) -> Reuse:
        """So far."""
        return Reuse(**self._kinds, runs=self._runs, sources=tuple(sorted(self._sources)))


def _decided(plan: Plan, tally: _Tally, there: Counter[bytes | None]) -> Iterator[JobRecord]:
    """What is taken over, by job, as records of this plan; counted as it comes."""
    shared = plan.target.batch.split is not None or len(plan.sequence_ids) == 1
    place = place_of(target_data(plan.target), service_address(plan.target))
    with EarlierPoints(Path(plan.spec.results.directory), place) as earlier:
        for job in plan.jobs():
            content = fingerprint.fingerprint(job.runs, job.variables if shared else None)
            if there[content] > 0:
                there[content] -= 1
                tally.count(job, Lookup())
                continue
            found = earlier.take(plan.sequence(job.sequence), job.variables, job.runs, raw=plan.spec.results.raw)
            tally.count(job, found)
            if found.record is not None:
                yield replace(found.record, index=job.index)
