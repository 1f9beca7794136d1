"""A batch or job that somebody cancelled on the service's own page: a wish to be respected, not a failure to be repaired."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from small_plan import Bench, small_plan

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder: these tests make many syncs and need none of them."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize("ended", [1, 4, 5, 9])
def test_a_cancelled_batch_ends_the_run(tmp_path: Path, ended: int, retries: int) -> None:
    """What was done is kept, the rest is recorded as CANCELED, nothing more is sent, exit code 1."""
    bench = Bench(small_plan(tmp_path, 20, on_failure={"retries": retries}))
    bench.service.end_after = {ended: "CANCELED"}
    run = bench.start()
    assert (run.state, run.exit_code) == ("stopped", 1)
    assert run.counts["DONE"] >= ended
    assert run.counts["DONE"] + run.counts["CANCELED"] == 20
    assert len(bench.service.batches) == 1
    assert [record.index for record in run.records] == list(range(20))
    assert bench.told("stopping")[0].message == "batch b0 was cancelled at the service"
    unsent = [record for record in run.records if not record.job_id]
    assert all(record.errors == ["not sent: batch b0 was cancelled at the service"] for record in unsent)


def test_a_batch_that_is_being_cancelled(tmp_path: Path) -> None:
    """CANCELING is not the end: its jobs are followed until they have ended."""
    bench = Bench(small_plan(tmp_path, 8, chunk=8))
    service, looks = bench.service, 0

    def advance() -> None:
        nonlocal looks
        looks += 1
        service.batches[0].status = "CANCELING"
        if looks == 5:
            service.end_batch(service.batches[0], "CANCELED")

    service.advance = advance  # type: ignore[method-assign]
    run = bench.start()
    assert (run.state, run.counts) == ("stopped", {"CANCELED": 8})
    assert looks >= 5


def test_the_other_batches_go_on(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 12, chunk=4, max_jobs=4, on_failure={"retries": 1}))
    bench.service.speed = 0
    service = bench.service

    def advance() -> None:
        if len(service.batches) == 3:
            service.speed = 1
            if service.batches[0].status == "PENDING":
                service.end_batch(service.batches[0], "CANCELED")
        type(service).advance(service)

    service.advance = advance  # type: ignore[method-assign]
    run = bench.start()
    assert (run.state, run.counts) == ("stopped", {"CANCELED": 4, "DONE": 8})
    assert [batch.status for batch in service.batches] == ["CANCELED", "DONE", "DONE"]


def test_a_cancelled_job_is_not_sent_again(tmp_path: Path) -> None:
    """Others that fail are."""
    bench = Bench(small_plan(tmp_path, 8, on_failure={"retries": 3}))
    service = bench.service
    service.failures = {5.0: 1}

    def advance() -> None:
        if len(service.batches[0].jobs) == 8 and service.batches[0].jobs[7].status == "PENDING":
            service.batches[0].jobs[7].status = "CANCELED"
        type(service).advance(service)

    service.advance = advance  # type: ignore[method-assign]
    run = bench.start()
    assert (run.state, run.counts) == ("finished", {"CANCELED": 1, "DONE": 7})
    assert len(service.all_jobs()) == 9


def test_what_was_cancelled_can_be_retried(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 12))
    bench.service.end_after = {4: "CANCELED"}
    run = bench.retry(bench.start().folder)
    bench.check_whole(run)
    assert sum(job.status == "DONE" for job in bench.service.all_jobs()) == 12
