"""What earlier runs measured, found by content: an index over their results, on disk, for as long as it is needed.

The same content is: the same sequence (with its device) and variables, on the same target, service, engine and noise; on this
machine also the same seed.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from pcs_runner.emulator.seeding import canonical_text, document_digest
from pcs_runner.errors import ServiceError, StorageError
from pcs_runner.pcs.protocol import JobResult
from pcs_runner.results import jsonl
from pcs_runner.run import fingerprint
from pcs_runner.run.directory import RunFolder
from pcs_runner.run.result_check import check_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pcs_runner.results.record import JobRecord

TABLES = """
CREATE TABLE points (
  id INTEGER PRIMARY KEY, sequence TEXT NOT NULL, content BLOB NOT NULL, runs INTEGER NOT NULL, done INTEGER NOT NULL,
  raw INTEGER NOT NULL, file INTEGER NOT NULL, start INTEGER NOT NULL
);
CREATE TABLE origins (
  point INTEGER NOT NULL, run TEXT NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (run, idx, point)
) WITHOUT ROWID;
CREATE INDEX points_content ON points (sequence, content, runs);
CREATE INDEX origins_point ON origins (point);
"""

NEW, FAILED, MORE = "new", "failed", "more"
"""Why nothing was found: never measured, only failed, or only with more runs than are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What earlier runs have of a job.

    Attributes:
        record: With at most as many runs as are asked for, and with its origins; None when there is none.
        source: Name of the folder of the run that it is from.
        why: Why there is none.
    """

    record: JobRecord | None = None
    source: str = ""
    why: str = ""


class EarlierPoints:
    """The recorded jobs of the runs below a folder that ran in the same place.

    Each is given once: two equal jobs are two measurements, and one that was merged into another goes with it.

    Args:
        results: Folder of run folders, `<results>/<name>/<run>`.
        place: From `place_of`, of the target that they are wanted for.
    """

    def __init__(self, results: Path, place: str) -> None:
        self._runs: list[tuple[RunFolder, str]] = []
        self._index = sqlite3.connect("", isolation_level=None)  # an unnamed file of SQLite's own: it goes with the connection
        self._index.executescript(f"PRAGMA journal_mode = OFF; {TABLES}")
        folders = sorted((path.parent for path in results.glob("*/*/manifest.json")), key=lambda path: path.name)
        for folder in map(RunFolder, folders):
            self._read(folder, place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._index.close()

    def take(self, sequence: str, variables: Mapping[str, Any], runs: int, *, raw: bool) -> Lookup:
        """The finished point with the most of the wanted runs, the latest of several; it is not given again.

        Args:
            sequence: Pulser's abstract representation (a JSON string).
            variables: Values by name.
            runs: How many are wanted; a point with more is not given, since shots cannot be chosen among.
            raw: Whether the shots in their order are needed.
        """
        key = (document_digest(sequence), fingerprint.fingerprint(0, variables))
        while True:
            row = self._index.execute(
                "SELECT id, file, start FROM points WHERE sequence = ? AND content = ? AND done AND runs <= ? AND raw >= ?"
                " ORDER BY runs DESC, file DESC, start LIMIT 1",
                (*key, runs, raw),
            ).fetchone()
            if row is None:
                return Lookup(why=self._why(key, runs, raw=raw))
            self._forget(row[0])
            folder, uuid = self._runs[row[1]]
            try:
                record = next(iter(jsonl.read_at(folder.results, [row[2]])))
            except (OSError, ValueError):  # it was written anew meanwhile
                continue
            if record.status == "DONE" and record.runs <= runs and fingerprint.fingerprint(0, record.variables) == key[1]:
                return Lookup(record=replace(record, origins=_origins(record, uuid)), source=folder.path.name)

    def _why(self, key: tuple[str, bytes], runs: int, *, raw: bool) -> str:
        where = "FROM points WHERE sequence = ? AND content = ?"
        failed = self._index.execute(f"SELECT id {where} AND NOT done LIMIT 1", key).fetchone()
        if failed is not None:
            self._forget(failed[0])
            return FAILED
        more = f"SELECT 1 {where} AND done AND runs > ? AND raw >= ? LIMIT 1"
        return MORE if self._index.execute(more, (*key, runs, raw)).fetchone() else NEW

    def _forget(self, point: int) -> None:
        """Take out a point and every other one that has a measurement in common with it."""
        shared = (
            "SELECT DISTINCT point FROM origins WHERE (run, idx) IN (SELECT run, idx FROM origins WHERE point = ?) UNION SELECT ?"
        )
        for (one,) in self._index.execute(shared, (point, point)).fetchall():
            self._index.execute("DELETE FROM points WHERE id = ?", (one,))

    def _read(self, folder: RunFolder, place: str) -> None:
        try:
            manifest = folder.read_manifest()
            uuid, there = str(manifest["run"]), place_of(manifest["target"], manifest.get("service"))
        except (StorageError, KeyError, TypeError, AttributeError):
            return
        if there != place or not folder.is_run():
            return
        self._runs.append((folder, uuid))
        digests: dict[str, str | None] = {}
        self._index.execute("BEGIN")
        for start, record in _sound_records(folder.results):
            if record.sequence not in digests:
                digests[record.sequence] = _digest(folder.sequences / f"{record.sequence}.json")
            if digests[record.sequence] is not None:
                self._add(record, uuid, str(digests[record.sequence]), start)
        self._index.execute("COMMIT")

    def _add(self, record: JobRecord, uuid: str, sequence: str, start: int) -> None:
        values = (
            *(sequence, fingerprint.fingerprint(0, record.variables), record.runs, record.status == "DONE"),
            *(record.raw is not None, len(self._runs) - 1, start),
        )
        sql = "INSERT INTO points (sequence, content, runs, done, raw, file, start) VALUES (?, ?, ?, ?, ?, ?, ?)"
        point = self._index.execute(sql, values).lastrowid
        origins = [(point, str(one["run"]), int(one["index"])) for one in _origins(record, uuid)]
        self._index.executemany("INSERT OR IGNORE INTO origins VALUES (?, ?, ?)", origins)


def _origins(record: JobRecord, uuid: str) -> Sequence[Mapping[str, Any]]:
    """The measurements that a record of run `uuid` was made of: `{run, index, job_id, runs}` each."""
    if record.origins:
        return record.origins
    return [{"run": uuid, "index": record.index, "job_id": record.job_id, "runs": record.runs}]


def place_of(target: Mapping[str, Any], service: str | None) -> str:
    """What two targets have in common when a point of one is a point of the other.

    Args:
        target: As the manifest has it.
        service: Address of the cloud; None on this machine.
    """
    batch = target["batch"]
    shared = [target["backend"], target["config"], batch.get("configuration")]
    if target["backend"] == "local":
        return canonical_text([*shared, target["engine"], target["accuracy"], target["seed"]])
    return canonical_text([*shared, service, target["provider"], target["region"], batch.get("device_type")])


def _sound_records(path: Path) -> Iterator[tuple[int, JobRecord]]:
    """The records of a run with the offsets of their lines, up to a line that is none, without those that cannot be right."""
    with contextlib.suppress(ValueError):
        for start, record in jsonl.located(path):
            if record.status == "DONE":
                try:
                    n_atoms = len(next(iter(record.counts), ""))
                    result = JobResult(counter=record.counts, raw=record.raw)
                    check_result(result, runs=record.runs, n_atoms=n_atoms, job_id=record.job_id)
                except (ServiceError, TypeError, AttributeError):
                    continue
            yield start, record


def _digest(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
    except (OSError, ValueError):
        return None
    return document_digest(text)
