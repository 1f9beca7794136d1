"""A run as its folder tells it: state, counts, records. Read only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import StorageError, UsageError
from pcs_runner.results import jsonl
from pcs_runner.results.formats import check_installed
from pcs_runner.run import lock
from pcs_runner.run.derive import source_of
from pcs_runner.run.directory import RunFolder
from pcs_runner.run.journal import DamagedJournalError, Journal
from pcs_runner.run.rows import ENDED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pandas as pd
    import xarray
    from pulser.backend import Results

    from pcs_runner.results.parquet import Table
    from pcs_runner.results.record import JobRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a plan, as it was when it was read.

    Attributes:
        folder: The run folder.
        uuid: Names the run on the service (tag `pcs-run:<uuid>`).
        digest: Of the plan, 64 hex digits.
        state: `running`, `stopping`, `cancelling` (unfinished); `finished`, `stopped` (`on_failure: stop`), `cancelled`.
        total: Number of jobs of the plan, None while it is not known.
        recorded: Number of jobs that are in `results.jsonl`.
        counts: Number of recorded jobs by status.
        batch_ids: The service's ids of its batches, in order.
        strangers: Id, kind (`batch` or `job`), number of jobs and outcome of what the service has beyond what was sent.
    """

    folder: Path
    uuid: str
    digest: str
    state: str
    total: int | None
    recorded: int
    counts: Mapping[str, int]
    batch_ids: tuple[str, ...]
    strangers: tuple[tuple[str, str, int, str], ...]

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in ENDED.values()

    @property
    def exit_code(self) -> int:
        """0: every recorded job is DONE and the service has nothing else of the run.

        1: some job failed, or there are strangers: also an empty batch, and one that was cancelled in time.
        """
        failed = any(status != "DONE" and count for status, count in self.counts.items())
        return int(failed or bool(self.strangers))

    @property
    def records(self) -> Iterator[JobRecord]:
        """The records in job order, read from the file as they are asked for; anew at each access."""
        return jsonl.read(self.results_path)

    @property
    def last_record(self) -> JobRecord | None:
        """The record of the last job that is recorded, read from the end of the file."""
        return jsonl.last(self.results_path)

    def _repr_html_(self) -> str:
        """A small table for notebooks."""
        from pcs_runner.run.html import run_html

        return run_html(self)

    @property
    def held_by(self) -> tuple[str, int] | None:
        """Host and pid of the process that is carrying it out, or None when there is none."""
        return (lock.holder(self.folder) or ("unknown", 0)) if lock.is_held(self.folder) else None

    def to_xarray(self, group: str | None = None) -> xarray.Dataset:
        """The labelled dataset of what is recorded, equal to `results.nc`; needs the extra `data`.

        Dimensions are the axes of the sweep when the points form a grid (every combination, in order; `repetition` first when
        the group is repeated), else `point`; beside them `atom` and `atom_2`, `shot`, and `row` of the table of counts.

        Args:
            group: One job group by its name; None: all. Several groups together form no grid.

        Raises:
            UsageError: No group has that name, or the extra is not installed.
            StorageError: The manifest is missing or damaged.
        """
        check_installed(["xarray"])
        from pcs_runner.results.dataset import to_xarray

        return to_xarray(source_of(RunFolder(self.folder), group))

    def to_pandas(self, table: Table = "results") -> pd.DataFrame:
        """A table of what is recorded; needs the extra `data`.

        Args:
            table: `results`: one row a job, the columns of `results.csv`; `counts`: one row a job and bitstring.

        Raises:
            UsageError: The extra is not installed.
            StorageError: The manifest is missing or damaged.
        """
        check_installed(["pandas"])
        from pcs_runner.results.parquet import to_pandas

        return to_pandas(source_of(RunFolder(self.folder)), table)

    def to_pulser(self) -> list[Results | None]:
        """What a Pulser backend would have returned: a `pulser.backend.Results` for each recorded job, None for a failed one.

        Raises:
            StorageError: The manifest is missing or damaged.
        """
        from pcs_runner.results.pulser_results import to_pulser

        atoms = RunFolder(self.folder).atoms()
        return [to_pulser(record, atoms[record.sequence]) for record in self.records]

    @property
    def manifest(self) -> dict[str, Any]:
        """Provenance, as plain data."""
        return RunFolder(self.folder).read_manifest()

    @property
    def results_path(self) -> Path:
        """One line a job."""
        return RunFolder(self.folder).results

    @property
    def results_csv_path(self) -> Path:
        """One row a job; written when the run ends."""
        return RunFolder(self.folder).results_csv

    @property
    def counts_csv_path(self) -> Path:
        """One row a job and bitstring; written when the run ends."""
        return RunFolder(self.folder).counts_csv


def check_journal(folder: RunFolder, journal: Journal) -> None:
    """See that a journal is the one of the run that the manifest names.

    Raises:
        DamagedJournalError: It is another run's: copied there by mistake.
    """
    try:
        manifest = folder.read_manifest()
    except StorageError:
        return
    run = journal.run()
    if (manifest.get("run"), manifest.get("digest")) != (run.uuid, run.digest):
        raise DamagedJournalError(
            f"{folder.journal} is the journal of another run than manifest.json says",
            hint=f"It is rebuilt from the service by `pcs-run resume {folder.path}`.",
        )


def open_run(folder: Path) -> Run:
    """Read a run folder; nothing is changed, and a process that carries it out is not disturbed.

    Raises:
        UsageError: It is not a run folder.
        DamagedJournalError: Its journal is missing, damaged or another run's; `resume` rebuilds it.
        StorageError: Its journal cannot be read.
    """
    place = RunFolder(folder)
    if not place.is_run():
        raise UsageError(f"{folder} is not a run folder: it has no journal.db", hint="Give the folder that `pcs-run` named.")
    journal = Journal.open(place.journal)
    try:
        check_journal(place, journal)
        run = journal.run()
        return Run(
            folder=folder,
            uuid=run.uuid,
            digest=run.digest,
            state=run.state,
            total=run.total,
            recorded=run.recorded,
            counts=journal.counts(),
            batch_ids=tuple(batch.id for batch in journal.batches() if batch.id is not None),
            strangers=tuple(journal.extras()),
        )
    finally:
        journal.close()
