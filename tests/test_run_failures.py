"""Jobs that fail, batches that the service ends, and people who cancel."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pcs_runner.errors import ServiceError, UsageError
from small_plan import Bench, small_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.pcs.protocol import JobResult


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder: these tests make many syncs and need none of them."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def test_a_failed_job_is_recorded_with_its_error(tmp_path: Path) -> None:
    """The others go on; exit code 1."""
    bench = Bench(small_plan(tmp_path, 10))
    bench.service.failures = {3.0: 9}
    run = bench.start()
    assert run.counts == {"DONE": 9, "ERROR": 1}
    assert run.exit_code == 1
    assert run.state == "finished"
    failed = list(run.records)[3]
    assert (failed.status, failed.errors, failed.counts) == ("ERROR", ["=the laser was off"], {})


def test_a_retry_goes_into_the_same_batch(tmp_path: Path) -> None:
    """The batch stays open for it, and the record tells the attempt."""
    bench = Bench(small_plan(tmp_path, 10, on_failure={"retries": 2}))
    bench.service.failures = {3.0: 2, 9.0: 1}
    run = bench.start()
    bench.check_whole(run)
    assert [record.attempt for record in run.records] == [1, 1, 1, 3, 1, 1, 1, 1, 1, 2]
    assert len(bench.service.batches) == 1
    assert len(bench.service.all_jobs()) == 13


def test_a_retry_after_a_closed_batch_needs_another_one(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 10, open=False, on_failure={"retries": 1}))
    bench.service.failures = {3.0: 1}
    bench.check_whole(bench.start())
    assert [len(batch.jobs) for batch in bench.service.batches] == [10, 1]


def test_retries_run_out(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 10, on_failure={"retries": 2}))
    bench.service.failures = {3.0: 9}
    run = bench.start()
    assert run.counts == {"DONE": 9, "ERROR": 1}
    assert list(run.records)[3].attempt == 3
    assert len(bench.service.all_jobs()) == 12


def test_stop_cancels_the_rest(tmp_path: Path) -> None:
    """What was not sent is recorded too, and nothing stays open."""
    bench = Bench(small_plan(tmp_path, 40, on_failure={"policy": "stop"}))
    bench.service.failures = {3.0: 1}
    run = bench.start()
    assert run.state == "stopped"
    assert run.counts["ERROR"] == 1
    assert run.counts["DONE"] + run.counts["CANCELED"] == 39
    assert run.exit_code == 1
    records = list(run.records)
    assert [record.index for record in records] == list(range(40))
    assert (records[-1].status, records[-1].attempt, records[-1].job_id) == ("CANCELED", 0, "")
    assert records[-1].errors == ["not sent: job 3 failed and on_failure.policy is stop"]
    assert not any(batch.open for batch in bench.service.batches)
    assert len(bench.service.all_jobs()) < 40


@pytest.mark.parametrize("status", ["TIMED_OUT", "ERROR"])
@pytest.mark.parametrize("ended", [1, 4, 5, 9])
def test_a_batch_that_the_service_ends_continues_in_the_next_one(tmp_path: Path, status: str, ended: int) -> None:
    """Unsent and unfinished jobs follow; finished ones do not."""
    bench = Bench(small_plan(tmp_path, 12))
    bench.service.end_after = {ended: status}
    run = bench.start()
    bench.check_whole(run)
    assert len(bench.service.batches) == 2
    assert sum(job.status == "DONE" for job in bench.service.all_jobs()) == 12
    assert "batch_ended" in bench.kinds()


def test_a_service_that_ends_every_batch(tmp_path: Path) -> None:
    """A job follows three times, then it has failed: a run does not go on for ever."""
    bench = Bench(small_plan(tmp_path, 6))
    advance = bench.service.advance

    def ending() -> None:
        for batch in bench.service.batches:
            if batch.jobs and batch.status == "PENDING":
                bench.service.end_batch(batch, "TIMED_OUT")
        advance()

    bench.service.advance = ending  # type: ignore[method-assign]
    run = bench.start()
    assert run.counts == {"CANCELED": 6}
    assert {record.attempt for record in run.records} == {4}


def test_jobs_that_stay_pending_in_a_batch_that_ended(tmp_path: Path) -> None:
    """They are cancelled, so that they cannot run twice, and follow into the next batch."""
    bench = Bench(small_plan(tmp_path, 6, chunk=6))
    service = bench.service

    def ending() -> None:
        if service.batches[0].jobs and service.batches[0].status == "PENDING":
            service.batches[0].status, service.batches[0].open = "TIMED_OUT", False
        else:
            type(service).advance(service)

    service.advance = ending  # type: ignore[method-assign]
    bench.check_whole(bench.start())
    assert {job.status for job in service.batches[0].jobs} == {"CANCELED"}


def test_an_unknown_status_means_still_going(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 6))
    service, looks = bench.service, 0

    def advance() -> None:
        nonlocal looks
        looks += 1
        if service.batches[0].jobs:
            service.batches[0].status = "PAUSED"
            service.batches[0].jobs[0].status = "WARMING_UP" if looks < 10 else "PENDING"
        if looks >= 10:
            type(service).advance(service)

    service.advance = advance  # type: ignore[method-assign]
    bench.check_whole(bench.start())
    assert looks > 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counter": {"11": 11}}, "11 shots for 10 runs"),
        ({"counter": {"111": 10}}, "bitstring '111' for 2 atoms"),
        ({"counter": {"1r": 10}}, "bitstring '1r' for 2 atoms"),
        ({"counter": {"11": 12, "00": -2}}, "count -2 of bitstring '00'"),
        ({"counter": {"11": 10}, "raw": ["11"]}, "1 raw bitstrings for 10 runs"),
    ],
)
def test_a_result_that_cannot_be_right_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    """Nothing is written for it, and the run goes on when the service has come to its senses."""
    bench = Bench(small_plan(tmp_path, 6))

    def wrong(result: JobResult) -> JobResult:
        return replace(result, **change)  # type: ignore[arg-type]

    bench.service.wrong_result = wrong
    with pytest.raises(ServiceError) as caught:
        bench.start()
    assert str(caught.value) == f"the service's result of job {bench.service.all_jobs()[0].id} cannot be right: {message}"
    bench.service.wrong_result = lambda result: result
    bench.check_whole(bench.start())


def test_a_job_that_is_another_one_is_refused(tmp_path: Path) -> None:
    """A result must not be written to the wrong point."""
    bench = Bench(small_plan(tmp_path, 6, chunk=6))
    service = bench.service

    def swap() -> None:
        jobs = service.batches[0].jobs
        if len(jobs) == 6 and service.calls["swapped"] == 0:
            service.calls["swapped"] = 1
            jobs[0], jobs[1] = jobs[1], jobs[0]
        type(service).advance(service)

    service.advance = swap  # type: ignore[method-assign]
    with pytest.raises(ServiceError, match="has other variables or runs than job 0"):
        bench.start()


def test_cancel_keeps_what_is_done(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 40))

    def stop(name: str, _when: str) -> None:
        if name == "add_jobs" and bench.service.calls[name] == 4:
            raise KeyboardInterrupt

    bench.service.hook = stop
    with pytest.raises(BaseException, match="interrupted") as caught:
        bench.start()
    assert getattr(caught.value, "exit_code", None) == 130
    bench.service.hook = lambda _name, _when: None
    folder = next((tmp_path / "runs" / "small").glob("2*"))
    run = bench.cancel(folder)
    assert run.state == "cancelled"
    assert run.counts["DONE"] > 0
    assert sum(run.counts.values()) == 40
    assert run.exit_code == 1
    assert not any(batch.open for batch in bench.service.batches)
    assert bench.cancel(folder) == run


def test_retry_sends_only_the_failed_ones_and_replaces_their_lines(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 10))
    bench.service.failures = {3.0: 1, 7.0: 2}
    run = bench.start()
    before = run.results_path.read_bytes().splitlines()
    run = bench.retry(run.folder)
    after = run.results_path.read_bytes().splitlines()
    assert [i for i in range(10) if before[i] != after[i]] == [3, 7]
    assert run.counts == {"DONE": 9, "ERROR": 1}
    run = bench.retry(run.folder)
    assert run.counts == {"DONE": 10}
    assert [record.attempt for record in run.records] == [1, 1, 1, 2, 1, 1, 1, 3, 1, 1]
    assert run.exit_code == 0
    assert json.loads((run.folder / "manifest.json").read_text())["counts"] == {"DONE": 10}
    calls = bench.service.calls["create_batch"]
    assert bench.retry(run.folder) == run
    assert bench.service.calls["create_batch"] == calls


def test_retry_of_a_stopped_run_sends_what_was_never_sent(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 20, on_failure={"policy": "stop"}))
    bench.service.failures = {3.0: 1}
    run = bench.retry(bench.start().folder)
    bench.check_whole(run)
    assert sum(job.status == "DONE" for job in bench.service.all_jobs()) == 20


def test_an_unfinished_run_is_not_retried(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 20))
    bench.service.hook = lambda name, _when: (_ for _ in ()).throw(ServiceError("down")) if name == "results" else None
    with pytest.raises(ServiceError):
        bench.start()
    folder = next((tmp_path / "runs" / "small").glob("2*"))
    with pytest.raises(UsageError, match="has not ended"):
        bench.retry(folder)


def test_a_plan_whose_length_is_not_known(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 10, total_jobs=None))
    run = bench.start()
    bench.check_whole(run)
    assert run.total == 10


def test_an_empty_plan(tmp_path: Path) -> None:
    """Nothing is sent, and the run has ended."""
    bench = Bench(small_plan(tmp_path, 0))
    run = bench.start()
    assert (run.state, run.exit_code, bench.service.batches) == ("finished", 0, [])


def test_polling_lists_in_proportion(tmp_path: Path) -> None:
    """Every job is listed about once, however often the service is asked."""
    bench = Bench(small_plan(tmp_path, 600, chunk=100))
    bench.service.speed = 1
    bench.check_whole(bench.start())
    assert bench.service.calls["batch_status"] > 500
    assert bench.service.calls["listed"] < 1300
