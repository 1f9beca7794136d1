"""The journal as a whole: what it is told is on disk, and its queries stay quick however long the run."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pcs_runner.errors import StorageError
from pcs_runner.run.journal import Journal
from pcs_runner.run.rows import JobRow, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    Journal.create(tmp_path / "journal.db", uuid="u", digest="d", total=10)
    opened = Journal.open(tmp_path / "journal.db")
    yield opened
    opened.close()


def open_batch(journal: Journal, sequence: str | None = None) -> int:
    batch = journal.intend_batch(sequence=sequence, first_index=0, now=1.0)
    journal.acknowledge_batch(batch.k, f"b{batch.k}", is_open=True)
    return batch.k


def send(journal: Journal, k: int, indices: Sequence[int]) -> None:
    jobs = [JobRow(idx=i, attempt=1, content=b"%08d" % i) for i in indices]
    journal.acknowledge_chunk(journal.intend_chunk(k, jobs, 1.0))


def outcomes(journal: Journal, k: int, status: str = "DONE") -> list[Outcome]:
    return [Outcome(row=row, job_id=f"j{row.idx}", status=status, detail="{}") for row in journal.open_jobs(k, 0, 10**6)]


def test_settings(journal: Journal) -> None:
    """Homes are on NFS, so no WAL; and a commit is on disk."""
    connection = sqlite3.connect(journal.path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()
    assert journal._one("PRAGMA synchronous") == (3,)
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_an_existing_journal_is_not_overwritten(journal: Journal) -> None:
    with pytest.raises(StorageError, match="cannot be made"):
        Journal.create(journal.path, uuid="v", digest="d", total=1)


def test_a_batch_from_intent_to_closed(journal: Journal) -> None:
    batch = journal.intend_batch(sequence=None, first_index=3, now=7.0)
    assert (batch.k, batch.id, batch.state, batch.first_index, batch.intended_at) == (0, None, "intent", 3, 7.0)
    assert journal.current_batch(None) == batch
    journal.acknowledge_batch(0, "b0", is_open=True)
    assert journal.batch(0).state == "open"
    journal.close_batch(0, "TIMED_OUT")
    assert journal.current_batch(None) is None
    assert journal.intend_batch(sequence=None, first_index=5, now=8.0).k == 1


def test_lanes_are_apart(journal: Journal) -> None:
    for sequence in ("a", "b", None):
        open_batch(journal, sequence)
    found = [journal.current_batch(sequence) for sequence in ("a", "b", None)]
    assert [batch.k for batch in found if batch] == [0, 1, 2]


def test_a_chunk_that_arrived_in_part(journal: Journal) -> None:
    """The rest is unsent again, and goes to the next position of whichever batch takes it."""
    k = open_batch(journal)
    send(journal, k, [0, 1])
    chunk = journal.intend_chunk(k, [JobRow(idx=i, attempt=1, content=b"x") for i in (2, 3, 4)], 1.0)
    assert journal.doubtful_chunks() == [chunk]
    journal.acknowledge_chunk(chunk, landed=1)
    assert journal.doubtful_chunks() == []
    assert [(row.idx, row.position) for row in journal.open_jobs(k, 0, 10)] == [(0, 0), (1, 1), (2, 2)]
    assert [row.idx for row in journal.unsent(10)] == [3, 4]
    assert journal.batch(k).next_position == 3
    journal.acknowledge_chunk(journal.intend_chunk(k, journal.unsent(10), 2.0))
    assert [(row.idx, row.position) for row in journal.open_jobs(k, 3, 10)] == [(3, 3), (4, 4)]


def test_a_chunk_behind_strangers(journal: Journal) -> None:
    k = open_batch(journal)
    send(journal, k, [0, 1])
    chunk = journal.intend_chunk(k, [JobRow(idx=2, attempt=1), JobRow(idx=3, attempt=1)], 1.0)
    journal.acknowledge_chunk(chunk, landed=2, offset=3, next_position=8)
    assert [row.position for row in journal.open_jobs(k, 0, 10)] == [0, 1, 5, 6]
    assert journal.batch(k).next_position == 8


def test_attempts(journal: Journal) -> None:
    """A failed attempt is superseded by the next one, which waits to be sent."""
    k = open_batch(journal)
    send(journal, k, [0, 1])
    first, second = outcomes(journal, k)
    again = JobRow(idx=0, attempt=2, retries=1)
    journal.settle([Outcome(row=first.row, job_id="j0", status="ERROR", detail="{}", again=again), second])
    assert journal.unsent(10) == [again]
    assert [row.idx for row in journal.final_jobs(0, None, 10)] == [1]
    assert journal.batch(k).known == 2
    assert not journal.has_open()


def test_recording_and_forgetting(journal: Journal) -> None:
    k = open_batch(journal)
    send(journal, k, range(5))
    journal.settle(outcomes(journal, k))
    journal.record(journal.final_jobs(0, None, 3), 3)
    assert journal.run().recorded == 3
    assert journal.counts() == {"DONE": 3}
    journal.forget_recorded(1)
    assert [row.idx for row in journal.final_jobs(1, None, 10)] == [1, 2, 3, 4]
    assert journal.run().recorded == 1


def test_what_was_never_sent_ends_as_cancelled(journal: Journal) -> None:
    k = open_batch(journal)
    send(journal, k, [0, 2, 5])
    journal.cancel_unsent(10, "stopped")
    journal.cancel_unsent(10, "stopped")
    cancelled = journal.final_jobs(0, None, 100)
    assert [row.idx for row in cancelled] == [1, 3, 4, 6, 7, 8, 9]
    assert {(row.status, row.attempt) for row in cancelled} == {("CANCELED", 0)}
    assert journal.sent_until() == (10, True)


def test_failed_jobs_get_another_attempt(journal: Journal) -> None:
    k = open_batch(journal)
    send(journal, k, range(4))
    rows = outcomes(journal, k, "ERROR")[:2]
    journal.settle([*rows, *outcomes(journal, k)[2:]])
    journal.record(journal.final_jobs(0, None, 10), 4)
    journal.set_state("finished")
    assert journal.retry_failed() == 2
    assert [(row.idx, row.attempt) for row in journal.unsent(10)] == [(0, 2), (1, 2)]
    assert journal.run().state == "running"
    assert journal.retry_failed() == 0


def test_what_was_sent_out_of_order(journal: Journal) -> None:
    """A batch for each sequence leaves gaps; they are known."""
    send(journal, open_batch(journal, "a"), [0, 2, 4])
    assert journal.sent_until() == (5, False)
    assert journal.present(0, 4) == {0, 2}
    send(journal, open_batch(journal, "b"), [1, 3])
    assert journal.sent_until() == (5, True)


def test_strangers_are_remembered_once(journal: Journal) -> None:
    assert journal.add_extra("b9", kind="batch", jobs=3, outcome="cancelled")
    assert not journal.add_extra("b9", kind="batch", jobs=3, outcome="left alone")
    assert journal.extras() == [("b9", "batch", 3, "cancelled")]


def test_a_transaction_is_all_or_nothing(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    k = open_batch(journal)

    def dying(_journal: Journal) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_commit", dying)
        with pytest.raises(KeyboardInterrupt):
            journal.intend_chunk(k, [JobRow(idx=0, attempt=1)], 1.0)
    assert not journal.has_open()
    assert journal.doubtful_chunks() == []
    send(journal, k, [0])


def test_a_killed_process_leaves_a_journal_that_opens(tmp_path: Path) -> None:
    """SIGKILL between transactions and within one; what was committed is there."""
    code = (
        "import sys, os, signal, pathlib\nfrom pcs_runner.run.journal import Journal\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "Journal.create(path, uuid='u', digest='d', total=None)\njournal = Journal.open(path)\n"
        "journal.set_total(7)\njournal._connection.execute('BEGIN IMMEDIATE')\n"
        "journal._connection.execute('UPDATE run SET total = 8')\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "journal.db"
    done = subprocess.run([sys.executable, "-c", code, str(path)], env={"PYTHONPATH": str(Path(__file__).parent.parent)})
    assert done.returncode == -9
    journal = Journal.open(path)
    assert journal.run().total == 7
    journal.close()


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to be one" * 100])
def test_a_damaged_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(StorageError) as caught:
        Journal.open(path)
    assert caught.value.exit_code == 3
    assert path.read_bytes() == content


def test_a_journal_with_a_broken_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Journal.create(path, uuid="u", digest="d", total=None)
    journal = Journal.open(path)
    send(journal, open_batch(journal), range(2000))
    journal.close()
    body = bytearray(path.read_bytes())
    body[len(body) // 2 : len(body) // 2 + 3000] = b"\xff" * 3000
    path.write_bytes(body)
    with pytest.raises(StorageError, match=r"damaged|malformed"):
        Journal.open(path)


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Journal.create(path, uuid="u", digest="d", total=None)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match=r"not a journal of this version \(99, not 2\)"):
        Journal.open(path)


def test_a_long_run_asks_no_long_questions(journal: Journal) -> None:
    """With 20,000 jobs open, the questions of a step look at an index, not at every job."""
    k = open_batch(journal)
    for first in range(0, 20_000, 1000):
        send(journal, k, range(first, first + 1000))
    begin = time.perf_counter()
    for _ in range(100):
        assert journal.has_open(k)
        assert journal.unfinished_batches(16)
        assert journal.current_batch(None)
        assert len(journal.open_jobs(k, 19_000, 10)) == 10
        assert not journal.unsent(10)
        assert not journal.final_jobs(0, None, 10)
    assert time.perf_counter() - begin < 1.0
    plans = []
    for question in (
        "SELECT 1 FROM jobs WHERE fate = 'open' AND k = 1 AND position >= 5 ORDER BY position LIMIT 3",
        "SELECT 1 FROM jobs WHERE fate = 'unsent' ORDER BY idx LIMIT 3",
        "SELECT 1 FROM jobs WHERE fate = 'final' AND idx >= 5 ORDER BY idx LIMIT 3",
    ):
        plans += [row[-1] for row in journal._all(f"EXPLAIN QUERY PLAN {question}")]
    assert all("USING" in plan and "INDEX" in plan for plan in plans), plans
    assert not any("TEMP B-TREE" in plan for plan in plans), plans
