"""What a journal never holds when it is whole: SQLite checks its own structure, not whether a value was changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcs_runner.pcs.protocol import TERMINAL
from pcs_runner.run.fingerprint import BYTES
from pcs_runner.run.rows import ENDED

if TYPE_CHECKING:
    import sqlite3


STATES = ", ".join(f"'{word}'" for pair in ENDED.items() for word in pair)
STATUSES = ", ".join(f"'{word}'" for word in sorted(TERMINAL))

UNSOUND = {
    "run": f"""
        typeof(uuid) <> 'text' OR typeof(digest) <> 'text' OR state NOT IN ({STATES})
        OR typeof(recorded) <> 'integer' OR recorded < 0 OR recorded > total
    """,
    "batches": """
        state NOT IN ('intent', 'open', 'closed') OR (id IS NULL) <> (state = 'intent')
        OR k NOT BETWEEN 0 AND (SELECT COUNT(*) - 1 FROM batches)
        OR typeof(first_index) <> 'integer' OR first_index NOT BETWEEN 0 AND (SELECT COALESCE(MAX(idx) + 1, 0) FROM jobs)
        OR typeof(next_position) <> 'integer' OR next_position < 0
        OR next_position > (SELECT COUNT(*) FROM jobs WHERE jobs.k = batches.k) + (SELECT COUNT(*) FROM extras WHERE kind = 'job')
        OR typeof(known) <> 'integer' OR known NOT BETWEEN 0 AND next_position
    """,
    "chunks": """
        state NOT IN ('intent', 'acknowledged') OR first < 0 OR count < 1 OR k NOT IN (SELECT k FROM batches)
        OR (state = 'acknowledged' AND first + count > (SELECT next_position FROM batches WHERE batches.k = chunks.k))
    """,
    "jobs": f"""
        fate NOT IN ('unsent', 'open', 'final', 'recorded', 'superseded')
        OR idx < 0 OR idx >= (SELECT total FROM run) OR (fate = 'recorded' AND idx >= (SELECT recorded FROM run))
        OR attempt < 0 OR retries < 0 OR moves < 0 OR retries + moves > attempt
        OR (fate IN ('unsent', 'open')) <> (status IS NULL) OR status NOT IN ({STATUSES})
        OR (content IS NOT NULL AND (typeof(content) <> 'blob' OR length(content) <> {BYTES}))
        OR (fate = 'open' AND k IS NULL) OR (k IS NULL) <> (position IS NULL)
        OR (k IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM batches WHERE batches.k = jobs.k AND position BETWEEN 0 AND next_position - 1)
            AND NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.k = jobs.k AND state = 'intent'
                            AND position BETWEEN first AND first + count - 1))
    """,  # noqa: S608 - as below
}
"""Table -> a condition that none of its rows fulfils."""

TWICE = "SELECT 1 FROM jobs WHERE k IS NOT NULL GROUP BY k, position HAVING COUNT(*) > 1 LIMIT 1"


def unsound_part(connection: sqlite3.Connection) -> str | None:
    """The name of a table with a row that this program never writes, or None; every row is read once."""
    for table, condition in UNSOUND.items():
        if connection.execute(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1").fetchone():  # noqa: S608 - literals of this file
            return table
    return "jobs" if connection.execute(TWICE).fetchone() else None
