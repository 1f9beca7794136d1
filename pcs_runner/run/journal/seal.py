"""A sum over every row of a journal, kept by each change: SQLite does not notice a byte that changed inside a value.

The CRC-32 of a row differs whenever the change lies within 32 bits, so that one wrong byte is always found.
"""

from __future__ import annotations

import sqlite3
from zlib import crc32

SCHEMA = "CREATE TABLE seal (sum INTEGER NOT NULL)"

SEALED = {
    "run": ("uuid", "digest", "state", "total", "recorded"),
    "batches": ("k", "id", "state", "sequence", "first_index", "intended_at", "next_position", "known", "status"),
    "chunks": ("k", "first", "count", "state", "intended_at"),
    "jobs": ("idx", "attempt", "retries", "moves", "fate", "k", "position", "content", "job_id", "status", "detail"),
    "extras": ("id", "kind", "jobs", "outcome"),
}
"""Table -> all of its columns."""

CHANGES = {"INSERT": "+ {NEW}", "UPDATE": "+ {NEW} - {OLD}", "DELETE": "- {OLD}"}


def begin(connection: sqlite3.Connection) -> None:
    """Seal a journal that has no row yet."""
    connection.execute("INSERT INTO seal VALUES (0)")
    keep(connection)


def keep(connection: sqlite3.Connection) -> None:
    """Let each change that this connection makes change the sum, in the same transaction."""
    connection.execute("PRAGMA temp_store = MEMORY")
    _teach(connection)
    for table in SEALED:
        of_row = {row: _row(table, f"{row}.") for row in ("NEW", "OLD")}
        for change, difference in CHANGES.items():
            connection.execute(
                f"CREATE TEMP TRIGGER {table}_{change} AFTER {change} ON {table}"  # noqa: S608 - own words
                f" BEGIN UPDATE seal SET sum = sum {difference.format(**of_row)}; END"
            )


def is_whole(connection: sqlite3.Connection) -> bool:
    """Whether the sum is that of the rows; every row is read once."""
    _teach(connection)
    sums = " + ".join(f"(SELECT COALESCE(SUM({_row(table)}), 0) FROM {table})" for table in SEALED)  # noqa: S608 - as above
    try:
        return bool(connection.execute(f"SELECT COUNT(*) = 1 AND MAX(sum) = {sums} FROM seal").fetchone()[0])  # noqa: S608 - as above
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        return False  # a text that is none any more


def _teach(connection: sqlite3.Connection) -> None:
    connection.create_function("row_seal", -1, lambda *values: crc32(repr(values).encode()))


def _row(table: str, prefix: str = "") -> str:
    return f"row_seal('{table}', {', '.join(prefix + column for column in SEALED[table])})"
