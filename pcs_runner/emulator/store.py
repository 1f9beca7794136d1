"""The twin's memory: batches, jobs and results in SQLite, one transaction for each call; every read is bounded."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import StorageError
from pcs_runner.pcs.protocol import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pcs_runner.emulator.queries import BatchQuery, JobQuery, Page
    from pcs_runner.emulator.rules import NewBatch, NewJob

Row = sqlite3.Row

VERSION = 2

TABLES = (
    """CREATE TABLE sequences (number INTEGER PRIMARY KEY, sha BLOB NOT NULL UNIQUE, text TEXT NOT NULL)""",
    """CREATE TABLE devices (name TEXT PRIMARY KEY, spec TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE batches (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, status TEXT NOT NULL, open INTEGER NOT NULL,
    device_type TEXT NOT NULL, sequence INTEGER REFERENCES sequences, tags TEXT NOT NULL, webhook TEXT,
    configuration TEXT, backend_configuration TEXT, parent_id TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    start_datetime TEXT, end_datetime TEXT, jobs_count INTEGER NOT NULL DEFAULT 0, idle_since REAL)""",
    """CREATE TABLE batch_tags (tag TEXT NOT NULL, batch INTEGER NOT NULL, PRIMARY KEY (tag, batch)) WITHOUT ROWID""",
    """CREATE TABLE jobs (
    number INTEGER PRIMARY KEY, batch INTEGER NOT NULL REFERENCES batches, position INTEGER NOT NULL, id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL, runs INTEGER NOT NULL, variables TEXT, sequence INTEGER REFERENCES sequences,
    errors TEXT NOT NULL DEFAULT '[]', parent_id TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    start_timestamp TEXT, end_timestamp TEXT, draw INTEGER, UNIQUE (batch, position))""",
    """CREATE TABLE results (job INTEGER PRIMARY KEY REFERENCES jobs, body BLOB NOT NULL)""",
    """CREATE TABLE job_counts (
    batch INTEGER NOT NULL, status TEXT NOT NULL, jobs INTEGER NOT NULL, PRIMARY KEY (batch, status)) WITHOUT ROWID""",
    """CREATE TRIGGER job_added AFTER INSERT ON jobs BEGIN
    INSERT INTO job_counts VALUES (new.batch, new.status, 1) ON CONFLICT DO UPDATE SET jobs = jobs + 1; END""",
    """CREATE TRIGGER job_moved AFTER UPDATE OF status ON jobs WHEN new.status <> old.status BEGIN
    UPDATE job_counts SET jobs = jobs - 1 WHERE batch = old.batch AND status = old.status;
    INSERT INTO job_counts VALUES (new.batch, new.status, 1) ON CONFLICT DO UPDATE SET jobs = jobs + 1; END""",
)
"""One statement each; the triggers keep `job_counts`, so that polling costs the same for any number of jobs."""

ENDED = ", ".join(f"'{status}'" for status in sorted(TERMINAL))


GOING = "'PENDING', 'RUNNING'"
"""Statuses of what goes on; what is neither these nor ended is held."""


class Store:
    """One SQLite file, used by several threads in turn.

    Args:
        path: The file; made when it is missing.

    Raises:
        StorageError: It cannot be opened, is damaged, or was made by another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._told():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=DELETE")  # WAL must not be used on network file systems, where homes are
            self._db.execute("PRAGMA synchronous=EXTRA")  # FULL does not sync that the rollback journal is gone
            self._prepare()

    def _prepare(self) -> None:
        with self.transaction():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in TABLES:
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={VERSION}")
            elif version == 1:
                self._db.execute("ALTER TABLE jobs ADD COLUMN draw INTEGER")
                self._db.execute(f"PRAGMA user_version={VERSION}")
            elif version != VERSION:
                raise StorageError(f"{self.path} has format {version}, this version reads {VERSION}", hint="Start a new run.")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(
                f"the twin's store {self.path} failed: {error}", hint="Free disk space or move the folder, then resume."
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written inside; on disk when it ends. May be nested: the outermost one commits."""
        with self._lock, self._told():
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _write(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        with self._lock, self._told():
            return self._db.execute(sql, values)

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        with self._lock, self._told():
            return self._db.execute(sql, values).fetchall()

    def _row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        rows = self._rows(sql, values)
        return rows[0] if rows else None

    # What is written

    def add_batch(self, batch: NewBatch, batch_id: str, now: str, idle_since: float) -> int:
        """Insert a batch without its jobs; returns its number."""
        sequence = self.add_sequence(batch.sequence_builder)
        configuration = None if batch.configuration is None else json.dumps(dict(batch.configuration))
        values = (batch_id, "PENDING", batch.open, batch.device_type, sequence, batch.webhook, configuration, batch.parent_id)
        cursor = self._write(
            "INSERT INTO batches (id, status, open, device_type, sequence, webhook, configuration, parent_id,"
            " backend_configuration, tags, created_at, updated_at, idle_since) VALUES (?,?,?,?,?,?,?,?,?,'[]',?,?,?)",
            (*values, batch.backend_configuration, now, now, idle_since if batch.open else None),
        )
        number = int(cursor.lastrowid or 0)
        self.set_tags(number, batch.tags, now)
        return number

    def add_sequence(self, text: str | None) -> int | None:
        """Keep a sequence once; returns its number, None for none."""
        if text is None:
            return None
        sha = hashlib.sha256(text.encode()).digest()
        row = self._row("SELECT number FROM sequences WHERE sha=?", (sha,))
        return int(row[0]) if row else self._write("INSERT INTO sequences (sha, text) VALUES (?,?)", (sha, text)).lastrowid

    def add_device(self, name: str, spec: str) -> None:
        """Keep the device of a sequence; the first of a name stays."""
        self._write("INSERT OR IGNORE INTO devices VALUES (?,?)", (name, spec))

    def add_jobs(self, batch: int, jobs: Iterable[NewJob], ids: Iterator[str], now: str) -> None:
        """Append jobs to a batch, in order."""
        row = self._row("SELECT jobs_count FROM batches WHERE number=?", (batch,))
        first = count = int(row[0]) if row else 0
        for count, job in enumerate(jobs, start=first + 1):
            self._write(
                "INSERT INTO jobs (batch, position, id, status, runs, variables, sequence, parent_id, draw, created_at,"
                " updated_at) VALUES (?,?,?,'PENDING',?,?,?,?,?,?,?)",
                (
                    *(batch, count - 1, next(ids), job.runs, job.variables, self.add_sequence(job.sequence)),
                    *(job.parent_id, job.draw, now, now),
                ),
            )
        if count > first:
            self.change_batch(batch, jobs_count=count, updated_at=now, idle_since=None)

    def set_tags(self, batch: int, tags: Sequence[str], now: str) -> None:
        """Replace the tags."""
        self._write("DELETE FROM batch_tags WHERE batch=?", (batch,))
        for tag in tags:
            self._write("INSERT INTO batch_tags VALUES (?,?)", (tag, batch))
        self.change_batch(batch, tags=json.dumps(list(tags)), updated_at=now)

    def change_batch(self, batch: int, **columns: Any) -> None:
        """Set columns of a batch."""
        assignments = ", ".join(f"{name}=?" for name in columns)
        self._write(f"UPDATE batches SET {assignments} WHERE number=?", (*columns.values(), batch))  # noqa: S608 - own names

    def cancel_jobs(self, batch: int, statuses: Sequence[str], now: str) -> None:
        """Cancel all jobs of a batch that have one of the statuses."""
        marks = ",".join("?" * len(statuses))
        self._write(
            f"UPDATE jobs SET status='CANCELED', updated_at=?, end_timestamp=? WHERE batch=? AND status IN ({marks})",  # noqa: S608 - question marks
            (now, now, batch, *statuses),
        )

    def cancel_job(self, job: int, now: str) -> None:
        """Cancel one job."""
        self._write("UPDATE jobs SET status='CANCELED', updated_at=?, end_timestamp=? WHERE number=?", (now, now, job))

    def change_job(self, job: int, **columns: Any) -> None:
        """Set columns of a job."""
        assignments = ", ".join(f"{name}=?" for name in columns)
        self._write(f"UPDATE jobs SET {assignments} WHERE number=?", (*columns.values(), job))  # noqa: S608 - own names

    def start_job(self, job: int, now: str) -> bool:
        """PENDING -> RUNNING; returns whether it was PENDING."""
        sql = "UPDATE jobs SET status='RUNNING', start_timestamp=?, updated_at=? WHERE number=? AND status='PENDING'"
        return self._write(sql, (now, now, job)).rowcount == 1

    def finish_job(self, job: int, *, body: bytes | None, error: str | None, began: str, ended: str) -> bool:
        """DONE with its results, or ERROR; returns False, and changes nothing, when it had ended already (cancelled)."""
        errors = json.dumps([] if error is None else [error])
        changed = self._write(
            "UPDATE jobs SET status=?, errors=?, start_timestamp=coalesce(start_timestamp, ?), end_timestamp=?, updated_at=?"
            " WHERE number=? AND status IN ('PENDING', 'RUNNING')",
            ("DONE" if error is None else "ERROR", errors, began, ended, ended, job),
        ).rowcount
        if changed and body is not None:
            self._write("INSERT OR REPLACE INTO results VALUES (?,?)", (job, body))
        return bool(changed)

    def start_batch(self, batch: int, now: str) -> None:
        """PENDING -> RUNNING, once."""
        sql = "UPDATE batches SET status='RUNNING', start_datetime=?, updated_at=? WHERE number=? AND status='PENDING'"
        self._write(sql, (now, now, batch))

    def settle(self, batch: int, now: str, epoch_s: float) -> bool:
        """When all jobs ended: a closed batch is DONE, an open one idle from now on; returns whether the batch has ended.

        A batch that is held stays so.
        """
        row = self.batch_numbered(batch)
        if row["status"] in TERMINAL:
            return True
        if self.is_held(batch) or any(status not in TERMINAL for status in self.job_counts(batch)):
            return False
        if row["open"]:
            self.change_batch(batch, updated_at=now, idle_since=row["idle_since"] or epoch_s)
            return False
        self.change_batch(batch, status="DONE", updated_at=now, end_datetime=now)
        return True

    def forget_running(self, now: str) -> None:
        """After a crash: what was RUNNING runs again, and what was held goes on."""
        jobs = "UPDATE jobs SET status='PENDING', start_timestamp=NULL, updated_at=?"
        self._write(f"{jobs} WHERE status NOT IN ('PENDING', {ENDED})", (now,))
        batches = "UPDATE batches SET status=CASE WHEN start_datetime IS NULL THEN 'PENDING' ELSE 'RUNNING' END, updated_at=?"
        self._write(f"{batches} WHERE status NOT IN ({GOING}, {ENDED})", (now,))

    # What is read

    def batch(self, batch_id: str) -> Row | None:
        """A batch by id, with its sequence as `sequence_builder`."""
        sql = "SELECT b.*, s.text AS sequence_builder FROM batches b LEFT JOIN sequences s ON s.number = b.sequence WHERE b.id=?"
        return self._row(sql, (batch_id,))

    def batch_numbered(self, number: int) -> Row:
        """A batch by number, with its sequence as `sequence_builder`."""
        sql = "SELECT b.*, s.text AS sequence_builder FROM batches b LEFT JOIN sequences s ON s.number = b.sequence"
        return self._rows(f"{sql} WHERE b.number=?", (number,))[0]

    def batches(self, *, after: int, limit: int, tag: str | None, status: str | None) -> list[Row]:
        """Batches of a tag and a status in order of creation, beyond number `after`; without their sequence."""
        join = "JOIN batch_tags t ON t.batch = b.number AND t.tag = ?" if tag is not None else ""
        where = "AND b.status = ?" if status is not None else ""
        values = [value for value in (tag, after, status) if value is not None]
        sql = f"SELECT b.* FROM batches b {join} WHERE b.number > ? {where} ORDER BY b.number LIMIT ?"  # noqa: S608 - own text
        return self._rows(sql, (*values, limit))

    def find_batches(self, query: BatchQuery, page: Page) -> tuple[list[Row], int]:
        """A page of the batches that a query finds, without their sequence, and how many it finds in all."""
        where, values = query.where()
        sql = f"SELECT b.* FROM batches b WHERE {where} ORDER BY {query.order(page)} LIMIT ? OFFSET ?"  # noqa: S608 - own text
        return self._page(sql, f"SELECT count(*) FROM batches b WHERE {where}", values, page)  # noqa: S608 - own text

    def find_jobs(self, query: JobQuery, page: Page) -> tuple[list[Row], int]:
        """A page of the jobs that a query finds, without their own sequence, and how many it finds in all."""
        where, values = query.where()
        sql = "SELECT j.*, b.id AS batch_id FROM jobs j JOIN batches b ON b.number = j.batch"
        sql = f"{sql} WHERE {where} ORDER BY {query.order(page)} LIMIT ? OFFSET ?"
        return self._page(sql, f"SELECT count(*) FROM jobs j WHERE {where}", values, page)  # noqa: S608 - own text

    def _page(self, sql: str, count: str, values: list[Any], page: Page) -> tuple[list[Row], int]:
        with self._lock:
            total = self._rows(count, values)[0][0]
            return self._rows(sql, (*values, -1 if page.limit is None else page.limit, page.offset)), int(total)

    def usage(self) -> list[Row]:
        """What the jobs took, for each device type and status: `runs`, and `hours` between start and end."""
        return self._rows(
            "SELECT b.device_type, j.status, sum(j.runs) AS runs,"
            " coalesce(sum((julianday(j.end_timestamp) - julianday(j.start_timestamp)) * 24), 0) AS hours"
            " FROM jobs j JOIN batches b ON b.number = j.batch GROUP BY b.device_type, j.status"
        )

    def job_state(self, job_id: str) -> Row | None:
        """The `status` of a job, and whether it `has_results`."""
        return self._row(
            "SELECT j.status, r.job IS NOT NULL AS has_results FROM jobs j LEFT JOIN results r ON r.job = j.number WHERE j.id=?",
            (job_id,),
        )

    def unfinished_batches(self) -> list[int]:
        """Numbers of the batches that have not ended, oldest first."""
        rows = self._rows(f"SELECT number FROM batches WHERE status NOT IN ({ENDED}) ORDER BY number")  # noqa: S608 - own text
        return [int(row[0]) for row in rows]

    def is_held(self, batch: int) -> bool:
        """Whether a batch, or a job of it, has a status (PAUSED, ...) in which nothing goes on."""
        sql = f"SELECT 1 FROM batches WHERE number=? AND status NOT IN ({GOING}, {ENDED})"  # noqa: S608 - own text
        jobs = f"SELECT 1 FROM job_counts WHERE batch=? AND jobs > 0 AND status NOT IN ({GOING}, {ENDED})"  # noqa: S608 - own text
        return self._row(f"{sql} UNION ALL {jobs}", (batch, batch)) is not None

    def idle_batches(self) -> list[Row]:
        """Open batches without work: number and `idle_since` (seconds since the epoch)."""
        sql = f"SELECT number, idle_since FROM batches WHERE open AND idle_since NOTNULL AND status NOT IN ({ENDED})"  # noqa: S608
        return self._rows(sql)

    def job_counts(self, batch: int) -> dict[str, int]:
        """Job status -> number of jobs, zeros left out."""
        rows = self._rows("SELECT status, jobs FROM job_counts WHERE batch=? AND jobs > 0 ORDER BY status", (batch,))
        return {row["status"]: row["jobs"] for row in rows}

    def jobs(self, batch: int, *, start: int, stop: int) -> list[Row]:
        """Jobs at positions `start` to `stop` (left out), in order."""
        sql = "SELECT j.*, b.id AS batch_id FROM jobs j JOIN batches b ON b.number = j.batch"
        return self._rows(
            f"{sql} WHERE j.batch=? AND j.position >= ? AND j.position < ? ORDER BY j.position", (batch, start, stop)
        )

    def job(self, job_id: str) -> Row | None:
        """A job by id, with its own sequence as `own_sequence`."""
        return self._row(
            "SELECT j.*, b.id AS batch_id, s.text AS own_sequence FROM jobs j JOIN batches b ON b.number = j.batch"
            " LEFT JOIN sequences s ON s.number = j.sequence WHERE j.id=?",
            (job_id,),
        )

    def pending_jobs(self, batch: int, position: int, limit: int, *, or_held: bool = False) -> list[Row]:
        """The first jobs at or beyond a position that are PENDING (or held); their `sequence` is a number."""
        wanted = f"status NOT IN ('RUNNING', {ENDED})" if or_held else "status='PENDING'"
        return self._rows(
            "SELECT number, id, position, runs, variables, sequence, draw FROM jobs"  # noqa: S608 - own text
            f" WHERE batch=? AND position >= ? AND {wanted} ORDER BY position LIMIT ?",
            (batch, position, limit),
        )

    def unfinished_job(self, batch: int, position: int | None) -> Row | None:
        """The job at a position, or the first that has not ended."""
        where = f"status NOT IN ({ENDED}) ORDER BY position LIMIT 1" if position is None else "position=?"
        values = (batch,) if position is None else (batch, position)
        return self._row(f"SELECT * FROM jobs WHERE batch=? AND {where}", values)  # noqa: S608 - own text

    def sequence(self, number: int) -> str:
        """The text of a sequence."""
        return str(self._rows("SELECT text FROM sequences WHERE number=?", (number,))[0][0])

    def result(self, job_id: str) -> bytes | None:
        """The results of a job as the workers packed them."""
        row = self._row("SELECT r.body FROM jobs j JOIN results r ON r.job = j.number WHERE j.id=?", (job_id,))
        return None if row is None else bytes(row[0])

    def devices(self) -> dict[str, str]:
        """Devices that came with sequences: name -> abstract representation (a JSON string)."""
        return {row["name"]: row["spec"] for row in self._rows("SELECT name, spec FROM devices ORDER BY name")}
