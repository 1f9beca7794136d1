"""The journal's file: made, opened, checked, written in transactions that are on disk when they end."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from pcs_runner.errors import StorageError
from pcs_runner.run.journal import seal
from pcs_runner.run.journal.sound import unsound_part
from pcs_runner.run.rows import RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION, UNSEALED = 2, 1
"""`user_version` of the file; journals that an older version began have no seal, and are still carried on."""

SCHEMA = """
CREATE TABLE run (
  uuid TEXT NOT NULL, digest TEXT NOT NULL, state TEXT NOT NULL, total INTEGER, recorded INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE batches (
  k INTEGER PRIMARY KEY, id TEXT UNIQUE, state TEXT NOT NULL, sequence TEXT, first_index INTEGER NOT NULL,
  intended_at REAL NOT NULL, next_position INTEGER NOT NULL DEFAULT 0, known INTEGER NOT NULL DEFAULT 0,
  status TEXT NOT NULL DEFAULT ''
);
CREATE TABLE chunks (
  k INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, state TEXT NOT NULL, intended_at REAL NOT NULL,
  PRIMARY KEY (k, first)
);
CREATE TABLE jobs (
  idx INTEGER NOT NULL, attempt INTEGER NOT NULL, retries INTEGER NOT NULL, moves INTEGER NOT NULL DEFAULT 0,
  fate TEXT NOT NULL, k INTEGER, position INTEGER, content BLOB, job_id TEXT, status TEXT, detail TEXT, PRIMARY KEY (idx, attempt)
) WITHOUT ROWID;
CREATE INDEX jobs_open ON jobs (k, position) WHERE fate = 'open';
CREATE INDEX jobs_unsent ON jobs (idx) WHERE fate = 'unsent';
CREATE INDEX jobs_final ON jobs (idx) WHERE fate = 'final';
CREATE TABLE extras (id TEXT PRIMARY KEY, kind TEXT NOT NULL, jobs INTEGER NOT NULL, outcome TEXT NOT NULL);
"""
# A job's fate: unsent -> open (in a batch) -> final (terminal, not yet in the results) -> recorded; or superseded by an attempt.

BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA})
"""SQLite's primary result codes for a file that is not what it was; others (full, locked, not readable) may pass."""


class DamagedJournalError(StorageError):
    """The journal is missing, damaged, or not the one of this run: it has to be rebuilt."""


class JournalFile:
    """An open journal file. Every write is one transaction, on disk when it returns.

    Args:
        path: The file.
        connection: An open connection to it.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def create(cls, path: Path, *, uuid: str, digest: str, total: int | None) -> None:
        """Make the journal of a new run, mode 0600.

        Raises:
            StorageError: The disk is full or not writable, or the file exists.
        """
        try:
            path.touch(mode=0o600, exist_ok=False)
        except OSError as error:
            raise StorageError(f"{path} cannot be made: {error.strerror or error}", hint="Make room.") from error
        with _guarded(path):
            connection = _connect(path)
            try:
                connection.executescript(f"BEGIN; {SCHEMA} {seal.SCHEMA}; PRAGMA user_version = {VERSION}; COMMIT;")
                seal.begin(connection)
                connection.execute(
                    "INSERT INTO run (uuid, digest, state, total) VALUES (?, ?, ?, ?)", (uuid, digest, RUNNING, total)
                )
                connection.commit()
            finally:
                connection.close()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open and check an existing journal.

        Raises:
            DamagedJournalError: It is missing or damaged.
            StorageError: It cannot be read, or a newer version wrote it.
        """
        if not path.is_file():
            raise DamagedJournalError(f"{path} is missing", hint=_rebuilt(path))
        with _guarded(path):
            connection = _connect(path)
            try:
                if _check(path, connection) >= VERSION:
                    seal.keep(connection)
            except BaseException:
                connection.close()
                raise
            return cls(path, connection)

    def close(self) -> None:
        """Let go of the file; what was not committed is gone."""
        self._connection.close()

    def _all(self, sql: str, *values: Any) -> list[Any]:
        with _guarded(self.path):
            return self._connection.execute(sql, values).fetchall()

    def _one(self, sql: str, *values: Any) -> Any:
        rows = self._all(sql, *values)
        if not rows:
            raise DamagedJournalError(f"{self.path} lacks an expected row", hint=_rebuilt(self.path))
        return rows[0]

    def _write(self, sql: str, *values: Any) -> None:
        with self._transaction() as write:
            write(sql, values)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """All or nothing, synced at the end."""
        with _guarded(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection.execute
                self._commit()
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.rollback()
                raise

    def _commit(self) -> None:
        self._connection.commit()


def _connect(path: Path) -> sqlite3.Connection:
    # isolation_level None: transactions begin where we say. DELETE: homes are on NFS, where WAL must not be used. EXTRA: with
    # FULL the removal of the rollback journal is not synced, and a power cut brings it back: it undoes what was acknowledged.
    connection = sqlite3.connect(path, timeout=30.0, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")
    except BaseException:
        connection.close()
        raise
    return connection


def _check(path: Path, connection: sqlite3.Connection) -> int:
    """See that a journal is whole; its version."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StorageError(
            f"{path} is not a journal of this version ({version}, not {VERSION})", hint="Use the version that wrote it."
        )
    answer = connection.execute("PRAGMA integrity_check(1)").fetchone()  # not quick_check: indexes decide what is sent
    if answer is None or answer[0] != "ok":
        raise DamagedJournalError(f"{path} is damaged: {answer}", hint=_rebuilt(path))
    there = [row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")]
    whole = version in (UNSEALED, VERSION) and there == _statements(version)
    if not whole or connection.execute("SELECT COUNT(*) FROM run").fetchone()[0] != 1:
        raise DamagedJournalError(f"{path} is damaged: it is not a whole journal", hint=_rebuilt(path))
    if (table := unsound_part(connection)) is not None:
        raise DamagedJournalError(f"{path} is damaged: a row of {table} cannot be right", hint=_rebuilt(path))
    if version != UNSEALED and not seal.is_whole(connection):
        raise DamagedJournalError(f"{path} is damaged: a row is not what was written", hint=_rebuilt(path))
    return version


def _statements(version: int) -> list[str]:
    """What SQLite keeps of the schema."""
    whole = SCHEMA if version == UNSEALED else f"{SCHEMA}{seal.SCHEMA}"
    return [statement.strip() for statement in whole.split(";") if statement.strip()]


def _rebuilt(path: Path) -> str:
    return f"It is rebuilt from the service by `pcs-run resume {path.parent}`."


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:  # a text that is none any more: the file has changed, whatever SQLite says of it
        raise DamagedJournalError(f"{path} is damaged: {error}", hint=_rebuilt(path)) from error
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in BROKEN:
            raise DamagedJournalError(f"{path} is damaged: {error}", hint=_rebuilt(path)) from error
        raise StorageError(f"{path}: {error}", hint="Make room or restore the file, then resume; nothing is lost.") from error
