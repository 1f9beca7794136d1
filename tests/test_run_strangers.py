"""What is not ours or not known: others' batches are left alone, lists and answers that are not true cost nothing."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.pcs.errors import RefusedError, UncertainError
from pcs_runner.pcs.protocol import BatchRequest
from pcs_runner.run.journal import Journal
from pcs_runner.run.rows import RUNNING
from small_plan import Bench, small_plan
from stand_in_client import StandInClient, StoredJob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.pcs.batch import Batch
    from pcs_runner.pcs.job import Job


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder: these tests make many syncs and need none of them."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


class Careless(StandInClient):
    """A service that pays no attention to the tag that it is asked for."""

    def list_batches(self, *, tag: str | None = None, status: str | None = None) -> Iterator[Batch]:
        yield from super().list_batches(status=status)


def careless(bench: Bench) -> Bench:
    bench._shared["client_factory"] = lambda *_: Careless(bench.service)
    return bench


def somebody_elses(bench: Bench, **changes: Any) -> None:
    """Batches of another run, and one without any tag, both older than ours and open."""
    for tags in (("pcs-run:other", "pcs-run:other:0", "pcs-plan:other"), ()):
        request = BatchRequest(sequence_builder="{}", jobs=(), open=True, device_type="EMU_FREE", tags=tags, **changes)
        StandInClient(bench.service).create_batch(request)
    bench.service.calls.clear()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_list_that_shows_everything_is_read_with_care(tmp_path: Path, moment: str) -> None:
    """After an unanswered creation only the batch with our own tag is ours; the others are neither taken nor cancelled."""
    bench = careless(Bench(small_plan(tmp_path, 14)))
    somebody_elses(bench)

    def lose(name: str, when: str) -> None:
        if (name, when) == ("create_batch", moment) and bench.service.calls[name] == 1:
            raise UncertainError("no answer")

    bench.service.hook = lose
    run = bench.start()
    others, ours = bench.service.batches[:2], bench.service.batches[2:]
    assert [(batch.open, batch.status, batch.jobs) for batch in others] == [(True, "PENDING", [])] * 2
    assert [(batch.status, len(batch.jobs)) for batch in ours] == [("DONE", 14)]
    assert (run.counts, run.strangers, run.exit_code) == ({"DONE": 14}, (), 0)


@pytest.mark.parametrize("status", ["RUNNING", "DONE", "SOMETHING_NEW"])
def test_a_stranger_that_has_begun_is_reported_and_left_alone(tmp_path: Path, status: str) -> None:
    """It is paid for already; what it measured may be of use to somebody."""
    bench = Bench(small_plan(tmp_path, 14))
    service = bench.service

    def twice(name: str, _when: str) -> None:
        if name == "list_batches" and len(service.batches) == 1:
            stored = replace(service.batches[0], id="stranger", status="RUNNING", open=False, jobs=[])
            request = service.batches[0].jobs[0].request
            stored.jobs = [
                StoredJob(id=f"s{n}", batch_id="stranger", request=request, status=one)
                for n, one in enumerate((status, "PENDING"))
            ]
            service.batches.append(stored)

    service.hook = twice
    run = bench.start()
    assert [job.status for job in service.batch("stranger").jobs] == [status, "PENDING"]
    assert run.strangers == (("stranger", "batch", 2, "left alone"),)
    assert run.exit_code == 1


class Lagging(StandInClient):
    """A service whose list of jobs is a moment behind its count, once after each unanswered request."""

    behind = 0

    def add_jobs(self, batch_id: str, jobs: Any) -> Batch:
        try:
            return super().add_jobs(batch_id, jobs)
        except UncertainError:
            self.behind = 3
            raise

    def list_jobs(self, batch_id: str, *, start: int = 0, stop: int | None = None) -> Iterator[Job]:
        jobs = list(super().list_jobs(batch_id, start=start, stop=stop))
        behind, self.behind = self.behind, 0
        yield from jobs[: len(jobs) - behind]


@pytest.mark.parametrize("xs", [[float(i) for i in range(14)], [1.0] * 14], ids=["different", "equal"])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_list_that_lags_behind_its_count_is_not_believed(tmp_path: Path, xs: list[float], n: int) -> None:
    """After an unanswered request the list lacks jobs that the count has: it is read again, and nothing is sent twice."""
    bench = Bench(small_plan(tmp_path, 14, xs=xs))
    bench._shared["client_factory"] = lambda *_: Lagging(bench.service)

    def lose(name: str, when: str) -> None:
        if (name, when) == ("add_jobs", "after") and bench.service.calls[name] == n:
            raise UncertainError("no answer")

    bench.service.hook = lose
    run = bench.start()
    bench.check_whole(run)
    assert len(bench.service.all_jobs()) == 14
    assert run.strangers == ()


@pytest.mark.parametrize("xs", [[float(i) for i in range(14)], [1.0] * 14], ids=["different", "equal"])
def test_a_refusal_that_is_not_true_costs_nothing(tmp_path: Path, xs: list[float]) -> None:
    """A gateway that repeated our request hands on the answer to the second one: refused, although the jobs are there."""
    bench = Bench(small_plan(tmp_path, 14, xs=xs))

    def refuse(name: str, when: str) -> None:
        if (name, when) == ("add_jobs", "after") and bench.service.calls[name] == 2:
            raise RefusedError("these jobs are there already", status=409)

    bench.service.hook = refuse
    run = bench.start()
    bench.check_whole(run)
    assert len(bench.service.all_jobs()) == 14
    assert run.strangers == ()


def test_a_job_behind_the_last_one_is_found_before_the_batch_is_closed(tmp_path: Path) -> None:
    """While it is pending it costs nothing yet; the audit at the end would find it too late."""
    bench = Bench(small_plan(tmp_path, 14))
    service = bench.service
    service.speed = 1

    def late(name: str, _when: str) -> None:
        if name == "get_batch" and service.calls[name] == 1:
            request = service.batches[0].jobs[0].request
            service.batches[0].jobs.append(StoredJob(id="late", batch_id=service.batches[0].id, request=request))

    service.hook = late
    run = bench.start()
    assert run.strangers == (("late", "job", 1, "cancelled"),)
    assert bench.kinds().index("stranger") < bench.kinds().index("batch_closed")


@pytest.mark.parametrize("status", ["PAUSED", "CANCELING", "SOMETHING_NEW"])
def test_a_job_with_an_unknown_status_has_not_ended(tmp_path: Path, status: str) -> None:
    """It is waited for, and its result is recorded like any other."""
    bench = Bench(small_plan(tmp_path, 14))
    service, waited = bench.service, [0]

    def pause(name: str, _when: str) -> None:
        if name == "batch_status" and len(service.all_jobs()) > 5:
            job = service.all_jobs()[5]
            waited[0] += 1
            if job.status in {"PENDING", status}:
                job.status = status if waited[0] < 10 else "PENDING"

    service.hook = pause
    run = bench.start()
    assert waited[0] >= 10
    bench.check_whole(run)


def test_a_line_that_is_not_the_record_of_its_job_is_written_again(tmp_path: Path) -> None:
    """Whole lines behind what the journal knows are adopted only when they are what was about to be written."""
    bench = Bench(small_plan(tmp_path, 14))
    run = bench.start()
    journal = Journal.open(run.folder / "journal.db")
    journal.forget_recorded(10)
    journal.set_state(RUNNING)
    journal.close()
    results = run.folder / "results.jsonl"
    lines = results.read_bytes().splitlines(keepends=True)
    other = bench.service.all_jobs()[3].id
    lines[11] = lines[11].replace(bench.service.all_jobs()[11].id.encode(), other.encode())
    results.write_bytes(b"".join(lines))
    bench.check_whole(bench.resume(run.folder))
