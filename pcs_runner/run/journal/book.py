"""What a run asks of its journal and writes into it: batches, chunks, and the attempts of its jobs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pcs_runner.run.journal.file import JournalFile
from pcs_runner.run.rows import RUNNING, BatchRow, ChunkRow, JobRow, RunRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pcs_runner.run.rows import Outcome

JOB_COLUMNS = "idx, attempt, retries, moves, k, position, content, job_id, status, detail"
BATCH_COLUMNS = "k, id, state, sequence, first_index, intended_at, next_position, known, status"


class Journal(JournalFile):
    """An open journal."""

    def run(self) -> RunRow:
        """The run."""
        uuid, digest, state, total, recorded = self._one("SELECT uuid, digest, state, total, recorded FROM run")
        return RunRow(uuid=uuid, digest=digest, state=state, total=total, recorded=recorded)

    def set_state(self, state: str) -> None:
        """Change the run's state."""
        self._write("UPDATE run SET state = ?", state)

    def set_total(self, total: int) -> None:
        """The length of the plan is known now."""
        self._write("UPDATE run SET total = ?", total)

    def batches(self) -> list[BatchRow]:
        """All batches, in order."""
        return self._batches("ORDER BY k")

    def batch(self, k: int) -> BatchRow:
        """One batch."""
        return self._batches("WHERE k = ?", k)[0]

    def current_batch(self, sequence: str | None) -> BatchRow | None:
        """The last batch of a sequence (None: of all), when it may still take jobs."""
        last = self._batches("WHERE sequence IS ? ORDER BY k DESC LIMIT 1", sequence)
        return next((batch for batch in last if batch.state != "closed"), None)

    def open_batches(self) -> list[BatchRow]:
        """The batches that take jobs, as far as is known."""
        return self._batches("WHERE state = 'open' ORDER BY k")

    def unfinished_batches(self, limit: int) -> list[BatchRow]:
        """The first batches that have jobs whose end is not known."""
        unfinished = "WHERE EXISTS (SELECT 1 FROM jobs WHERE jobs.k = batches.k AND fate = 'open') ORDER BY k LIMIT ?"
        return self._batches(unfinished, limit)

    def intend_batch(self, *, sequence: str | None, first_index: int, now: float) -> BatchRow:
        """Write down that a batch is about to be created."""
        with self._transaction() as write:
            write(
                "INSERT INTO batches (state, k, sequence, first_index, intended_at)"
                " SELECT 'intent', COALESCE(MAX(k) + 1, 0), ?, ?, ? FROM batches",
                (sequence, first_index, now),
            )
        return self.batch(self._one("SELECT MAX(k) FROM batches")[0])

    def acknowledge_batch(self, k: int, batch_id: str, *, is_open: bool) -> None:
        """The service has it, under this id."""
        self._write("UPDATE batches SET id = ?, state = ? WHERE k = ?", batch_id, "open" if is_open else "closed", k)

    def forget_doubt(self, k: int) -> None:
        """The request for the batch surely did not arrive: nobody has to wait for it."""
        self._write("UPDATE batches SET intended_at = 0 WHERE k = ?", k)

    def close_batch(self, k: int, status: str = "") -> None:
        """It takes no more jobs; `status` when the service ended it before we were done with it."""
        self._write("UPDATE batches SET state = 'closed', status = ? WHERE k = ?", status, k)

    def intend_chunk(self, k: int, jobs: Sequence[JobRow], now: float) -> ChunkRow:
        """Write down that these jobs are about to be sent to batch `k`, at its next position.

        Args:
            k: The batch.
            jobs: In the order in which they are sent, with `content`.
            now: Seconds since 1970.
        """
        first = self.batch(k).next_position
        rows = [(job.idx, job.attempt, job.retries, job.moves, k, first + i, job.content) for i, job in enumerate(jobs)]
        with self._transaction() as write:
            write("INSERT INTO chunks VALUES (?, ?, ?, 'intent', ?)", (k, first, len(rows), now))
            self._connection.executemany(
                "INSERT INTO jobs (idx, attempt, retries, moves, fate, k, position, content) VALUES (?, ?, ?, ?, 'open', ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET fate = 'open', k = excluded.k, position = excluded.position,"
                " content = excluded.content",
                rows,
            )
        return ChunkRow(k=k, first=first, count=len(rows), intended_at=now)

    def acknowledge_chunk(
        self, chunk: ChunkRow, *, landed: int | None = None, offset: int = 0, next_position: int | None = None
    ) -> None:
        """The service has the first `landed` jobs of the chunk (all by default), `offset` positions later than was meant.

        The others go back to the unsent ones.

        Args:
            chunk: An intended chunk.
            landed: Number of its jobs that arrived, from its first one.
            offset: Number of jobs before them in the batch that are not ours.
            next_position: Number of jobs of the batch on the service; by default the end of the landed ones.
        """
        landed = chunk.count if landed is None else landed
        end = chunk.first + offset + landed if next_position is None else next_position
        with self._transaction() as write:
            unsent = "UPDATE jobs SET fate = 'unsent', k = NULL, position = NULL WHERE k = ? AND fate = 'open' AND position >= ?"
            write(unsent, (chunk.k, chunk.first + landed))
            if offset:
                move = "UPDATE jobs SET position = position + ? WHERE k = ? AND fate = 'open' AND position >= ?"
                write(move, (offset, chunk.k, chunk.first))
            write("DELETE FROM chunks WHERE k = ? AND first = ?", (chunk.k, chunk.first))
            if landed:
                write(
                    "INSERT INTO chunks VALUES (?, ?, ?, 'acknowledged', ?)",
                    (chunk.k, chunk.first + offset, landed, chunk.intended_at),
                )
            write("UPDATE batches SET next_position = ? WHERE k = ?", (end, chunk.k))

    def doubtful_chunks(self) -> list[ChunkRow]:
        """Chunks that were meant to be sent and not acknowledged: at most one a batch."""
        rows = self._all("SELECT k, first, count, intended_at FROM chunks WHERE state = 'intent' ORDER BY k, first")
        return [ChunkRow(k=k, first=first, count=count, intended_at=at) for k, first, count, at in rows]

    def set_next_position(self, k: int, next_position: int) -> None:
        """The batch has so many jobs on the service."""
        self._write("UPDATE batches SET next_position = ? WHERE k = ?", next_position, k)

    def sent_until(self) -> tuple[int, bool]:
        """How many first indices were looked at (highest + 1), and whether all below were."""
        highest, count = self._one("SELECT COALESCE(MAX(idx) + 1, 0), COUNT(DISTINCT idx) FROM jobs")
        return highest, highest == count

    def present(self, start: int, stop: int) -> set[int]:
        """Indices from `start` to before `stop` that were meant to be sent at least once."""
        return {row[0] for row in self._all("SELECT DISTINCT idx FROM jobs WHERE idx >= ? AND idx < ?", start, stop)}

    def unsent(self, limit: int) -> list[JobRow]:
        """Attempts that are to be sent to some batch, by index."""
        return self._jobs("WHERE fate = 'unsent' ORDER BY idx LIMIT ?", limit)

    def has_unsent(self) -> bool:
        """Whether attempts wait to be sent."""
        return bool(self._all("SELECT 1 FROM jobs WHERE fate = 'unsent' LIMIT 1"))

    def has_open(self, k: int | None = None) -> bool:
        """Whether jobs were sent (to batch `k`) whose end is not known."""
        if k is None:
            return bool(self._all("SELECT 1 FROM jobs WHERE fate = 'open' LIMIT 1"))
        return bool(self._all("SELECT 1 FROM jobs WHERE fate = 'open' AND k = ? LIMIT 1", k))

    def open_jobs(self, k: int, start: int, limit: int) -> list[JobRow]:
        """Jobs of batch `k` whose end is not known, from position `start`, by position."""
        return self._jobs("WHERE fate = 'open' AND k = ? AND position >= ? ORDER BY position LIMIT ?", k, start, limit)

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """These jobs ended; those with `again` get their next attempt. One transaction."""
        if not outcomes:
            return
        again = [o.again for o in outcomes if o.again is not None]
        with self._transaction() as write:
            self._connection.executemany(
                "UPDATE jobs SET fate = ?, job_id = ?, status = ?, detail = ? WHERE idx = ? AND attempt = ?",
                [
                    ("final" if o.again is None else "superseded", o.job_id, o.status, o.detail, o.row.idx, o.row.attempt)
                    for o in outcomes
                ],
            )
            self._connection.executemany(
                "INSERT INTO jobs (idx, attempt, retries, moves, fate) VALUES (?, ?, ?, ?, 'unsent')",
                [(job.idx, job.attempt, job.retries, job.moves) for job in again],
            )
            for k in {o.row.k for o in outcomes}:
                write("UPDATE batches SET known = known + ? WHERE k = ?", (sum(o.row.k == k for o in outcomes), k))

    def cancel_unsent(self, total: int, reason: str) -> None:
        """Everything that was not sent ends as CANCELED: attempts that wait, and jobs of the plan that were never looked at."""
        detail = json.dumps({"errors": [reason]})
        with self._transaction() as write:
            write("UPDATE jobs SET fate = 'final', status = 'CANCELED', detail = ? WHERE fate = 'unsent'", (detail,))
            write(
                "WITH RECURSIVE plan(i) AS (SELECT 0 WHERE ? > 0 UNION ALL SELECT i + 1 FROM plan WHERE i + 1 < ?)"
                " INSERT INTO jobs (idx, attempt, retries, fate, status, detail) SELECT i, 0, 0, 'final', 'CANCELED', ? FROM plan"
                " WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE idx = i)",
                (total, total, detail),
            )

    def take_over(self, jobs: Iterable[JobRow]) -> None:
        """These jobs have ended before the run began: earlier runs have them."""
        with self._transaction():
            self._connection.executemany(
                "INSERT INTO jobs (idx, attempt, retries, fate, job_id, status) VALUES (?, ?, 0, 'final', ?, ?)",
                ((job.idx, job.attempt, job.job_id, job.status) for job in jobs),
            )

    def final_jobs(self, start: int, stop: int | None, limit: int) -> list[JobRow]:
        """Jobs that ended and are not in the results yet, with indices from `start` to before `stop`, by index."""
        return self._jobs(
            "WHERE fate = 'final' AND idx >= ? AND (? IS NULL OR idx < ?) ORDER BY idx LIMIT ?", start, stop, stop, limit
        )

    def record(self, jobs: Iterable[JobRow], recorded: int) -> None:
        """These jobs are in the results, synced; so are now the first `recorded` jobs of the plan."""
        with self._transaction() as write:
            sql = "UPDATE jobs SET fate = 'recorded' WHERE idx = ? AND attempt = ?"
            self._connection.executemany(sql, [(job.idx, job.attempt) for job in jobs])
            write("UPDATE run SET recorded = ?", (recorded,))

    def forget_recorded(self, recorded: int) -> None:
        """Only the first `recorded` jobs are in the results after all; the others are to be fetched again."""
        with self._transaction() as write:
            write("UPDATE jobs SET fate = 'final' WHERE fate = 'recorded' AND idx >= ?", (recorded,))
            write("UPDATE run SET recorded = ?", (recorded,))

    def retry_failed(self) -> int:
        """Give every job that ended otherwise than DONE a new attempt, and let the run go on; the number of such jobs."""
        with self._transaction() as write:
            count: int = write(
                "INSERT INTO jobs (idx, attempt, retries, fate) SELECT idx, attempt + 1, 0, 'unsent' FROM jobs"
                " WHERE fate = 'recorded' AND status <> 'DONE'",
                (),
            ).rowcount
            if count:
                write("UPDATE jobs SET fate = 'superseded' WHERE fate = 'recorded' AND status <> 'DONE'", ())
                write("UPDATE run SET state = ?", (RUNNING,))
        return count

    def counts(self) -> dict[str, int]:
        """Number of jobs in the results by status, sorted by status."""
        return dict(self._all("SELECT status, COUNT(*) FROM jobs WHERE fate = 'recorded' GROUP BY status ORDER BY status"))

    def sent(self) -> int:
        """Number of jobs that were sent at least once."""
        return int(self._one("SELECT COUNT(DISTINCT idx) FROM jobs WHERE k IS NOT NULL")[0])

    def add_extra(self, extra_id: str, *, kind: str, jobs: int, outcome: str) -> bool:
        """Remember a batch or a job that this run did not mean to send; False when it is known already."""
        with self._transaction() as write:
            count: int = write("INSERT OR IGNORE INTO extras VALUES (?, ?, ?, ?)", (extra_id, kind, jobs, outcome)).rowcount
        return bool(count)

    def extras(self) -> list[tuple[str, str, int, str]]:
        """Id, kind (`batch` or `job`), number of jobs, outcome of everything that this run did not mean to send."""
        return [tuple(row) for row in self._all("SELECT id, kind, jobs, outcome FROM extras ORDER BY rowid")]

    def _jobs(self, clause: str, *values: Any) -> list[JobRow]:
        names = JOB_COLUMNS.split(", ")
        rows = self._all(f"SELECT {JOB_COLUMNS} FROM jobs {clause}", *values)  # noqa: S608 - clauses are literals of this file
        return [JobRow(**dict(zip(names, row, strict=True))) for row in rows]

    def _batches(self, clause: str, *values: Any) -> list[BatchRow]:
        names = BATCH_COLUMNS.split(", ")
        rows = self._all(f"SELECT {BATCH_COLUMNS} FROM batches {clause}", *values)  # noqa: S608 - clauses are literals of this file
        return [BatchRow(**dict(zip(names, row, strict=True))) for row in rows]

    def in_flight(self) -> int:
        """Number of jobs that were sent, or meant to be, and whose end is not known."""
        return int(self._one("SELECT COUNT(*) FROM jobs WHERE fate = 'open'")[0])

    def placed(self, k: int, start: int, limit: int) -> list[tuple[JobRow, str]]:
        """Attempts that were sent to batch `k`, from position `start`, by position, each with its fate."""
        names = [*JOB_COLUMNS.split(", "), "fate"]
        rows = self._all(
            f"SELECT {JOB_COLUMNS}, fate FROM jobs WHERE k = ? AND position >= ? ORDER BY position LIMIT ?",  # noqa: S608 - a literal
            *(k, start, limit),
        )
        return [(JobRow(**dict(zip(names[:-1], row, strict=False))), row[-1]) for row in rows]

    def recorded_jobs(self, start: int, limit: int) -> list[JobRow]:
        """The attempts that are in the results, with indices from `start`, by index."""
        return self._jobs("WHERE fate = 'recorded' AND idx >= ? ORDER BY idx LIMIT ?", start, limit)

    def fill(
        self, *, state: str, recorded: int, batches: Iterable[BatchRow], jobs: Iterable[tuple[JobRow, str]], extras: Iterable[Any]
    ) -> None:
        """Put what was found out about a run into its new journal, all at once.

        Args:
            state: Of the run.
            recorded: The first so many jobs of the plan are in the results.
            batches: As they are on the service.
            jobs: Attempts, each with its fate.
            extras: Id, kind, number of jobs and outcome of what the run did not mean to send.
        """
        with self._transaction() as write:
            write("UPDATE run SET state = ?, recorded = ?", (state, recorded))
            self._connection.executemany(
                f"INSERT INTO batches ({BATCH_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a literal
                [tuple(getattr(batch, name) for name in BATCH_COLUMNS.split(", ")) for batch in batches],
            )
            self._connection.executemany(
                f"INSERT INTO jobs ({JOB_COLUMNS}, fate) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a literal
                ((*(getattr(job, name) for name in JOB_COLUMNS.split(", ")), fate) for job, fate in jobs),
            )
            self._connection.executemany("INSERT OR IGNORE INTO extras VALUES (?, ?, ?, ?)", list(extras))
