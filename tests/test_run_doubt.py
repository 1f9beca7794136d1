"""Answers that get lost, requests that arrive twice or late, and services that contradict themselves."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pcs_runner.errors import ServiceError
from pcs_runner.pcs.errors import AnswerError, RefusedError, UncertainError, UnreachableError
from pcs_runner.pcs.protocol import BatchRequest
from pcs_runner.run.doubt import align
from pcs_runner.run.execute import open_run
from small_plan import Bench, small_plan
from stand_in_client import StandInClient, StoredJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder: these tests make many syncs and need none of them."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def at_call(name: str, moment: str, n: int, action: Callable[[], None]) -> Callable[[str, str], None]:
    """A hook that acts at the n-th moment of a method."""
    count = 0

    def hook(called: str, when: str) -> None:
        nonlocal count
        if (called, when) == (name, moment):
            count += 1
            if count == n:
                action()

    return hook


def lose_answer() -> None:
    raise UncertainError("no answer")


def garbled_answer() -> None:
    raise AnswerError("not JSON")


@pytest.mark.parametrize("xs", [[float(i) for i in range(14)], [1.0] * 14], ids=["different", "equal"])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", ["create_batch", "add_jobs", "close_batch"])
@pytest.mark.parametrize("loss", [lose_answer, garbled_answer])
def test_a_lost_answer_costs_nothing(tmp_path: Path, call: str, moment: str, xs: list[float], loss: Callable[[], None]) -> None:
    """Whether the request was processed or not, the job is there once."""
    for n in range(1, 5):
        bench = Bench(small_plan(tmp_path / str(n), xs=xs))
        bench.service.hook = at_call(call, moment, n, loss)
        run = bench.start()
        bench.check_whole(run)
        assert len(bench.service.all_jobs()) == 14
        assert len(bench.service.batches) == 1
        assert run.exit_code == 0


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_lost_answer_to_a_closed_batch(tmp_path: Path, moment: str) -> None:
    bench = Bench(small_plan(tmp_path, 14, open=False))
    bench.service.hook = at_call("create_batch", moment, 1, lose_answer)
    bench.check_whole(bench.start())
    assert len(bench.service.all_jobs()) == 14


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
def test_a_refused_question_after_a_lost_answer_is_not_a_refused_batch(tmp_path: Path, is_open: bool) -> None:
    """The batch was made, its answer lost, and the question whether it is there refused: nothing is sent a second time."""
    bench = Bench(small_plan(tmp_path, 14, open=is_open))
    lost = at_call("create_batch", "after", 1, lose_answer)

    def hook(called: str, when: str) -> None:
        lost(called, when)
        if called == "list_batches" and bench.service.batches:
            raise RefusedError("forbidden", status=403)

    bench.service.hook = hook
    with pytest.raises(ServiceError, match="is not known: forbidden"):
        bench.start()
    bench.service.hook = lambda _called, _when: None
    bench.check_whole(bench.start())
    assert len(bench.service.all_jobs()) == 14
    assert len(bench.service.batches) == 1


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_chunk_that_was_stored_in_part(tmp_path: Path, kept: int) -> None:
    """The service kept some jobs of a request and the answer was lost: only the others are sent again, in order."""
    bench = Bench(small_plan(tmp_path, xs=[1.0] * 14))

    def tear() -> None:
        del bench.service.batches[0].jobs[4 + kept :]
        raise UncertainError("no answer")

    bench.service.hook = at_call("add_jobs", "after", 2, tear)
    bench.check_whole(bench.start())
    assert len(bench.service.all_jobs()) == 14


def test_a_batch_without_jobs_is_refused(tmp_path: Path) -> None:
    """Then it is created with its first chunk."""
    bench = Bench(small_plan(tmp_path, 14))
    bench.service.empty_allowed = False
    bench.check_whole(bench.start())
    assert len(bench.service.batches) == 1


def test_a_refusal_is_no_doubt(tmp_path: Path) -> None:
    """It is told, nothing is sent again, and the run can go on when the reason is gone."""
    bench = Bench(small_plan(tmp_path, 14))

    def refuse() -> None:
        raise RefusedError("runs exceed max_runs", status=422)

    bench.service.hook = at_call("add_jobs", "before", 2, refuse)
    with pytest.raises(RefusedError, match="max_runs") as caught:
        bench.start()
    assert "pcs-run resume" in caught.value.hint
    assert bench.service.calls["add_jobs"] == 2
    bench.check_whole(bench.start())


def test_nothing_is_waited_for_when_a_request_did_not_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCS_RUNNER_SETTLE_S", "40")
    for call in ("create_batch", "add_jobs"):
        bench = Bench(small_plan(tmp_path / call, 14, backend="pcs"), is_twin=False)

        def unreachable() -> None:
            raise UnreachableError("connection refused")

        bench.service.hook = at_call(call, "before", 1, unreachable)
        with pytest.raises(UnreachableError):
            bench.start()
        bench.check_whole(bench.start())
        assert sum(bench.slept) == 0


def test_a_doubt_is_settled_on_a_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One settle window, said aloud; a run without doubt never waits."""
    monkeypatch.setenv("PCS_RUNNER_SETTLE_S", "40")
    bench = Bench(small_plan(tmp_path, 14, backend="pcs"), is_twin=False)
    bench.service.hook = at_call("add_jobs", "after", 2, lose_answer)
    bench.check_whole(bench.start())
    assert [round(seconds) for seconds in bench.slept] == [40]
    assert [round(event.seconds or 0) for event in bench.told("waiting")] == [40]


def test_a_request_that_a_gateway_repeated(tmp_path: Path) -> None:
    """Extra jobs in our batch are found, cancelled while pending, reported, and the exit code says so; ours are all right."""
    bench = Bench(small_plan(tmp_path, 14))
    service = bench.service

    def again() -> None:
        jobs = service.batches[0].jobs[-4:]
        service.batches[0].jobs += [StoredJob(id=service.new_id("x"), batch_id=job.batch_id, request=job.request) for job in jobs]

    service.hook = at_call("add_jobs", "after", 2, again)
    run = bench.start()
    bench.check_whole(run)
    assert [kind for _, kind, _, _ in run.strangers] == ["job"] * 4
    assert {outcome for *_, outcome in run.strangers} == {"cancelled"}
    assert run.exit_code == 1
    assert len(bench.told("stranger")) == 4


def test_a_request_that_applies_late(tmp_path: Path) -> None:
    """Jobs that slip in before a later chunk do not shift what belongs to which point."""
    bench = Bench(small_plan(tmp_path, 14))
    service = bench.service

    def late() -> None:
        service.batches[0].jobs += [
            StoredJob(id=service.new_id("x"), batch_id=job.batch_id, request=job.request) for job in service.batches[0].jobs[:4]
        ]

    service.hook = at_call("add_jobs", "before", 3, late)
    run = bench.start()
    bench.check_whole(run)
    assert len(run.strangers) == 4


def test_a_job_that_comes_after_the_last_one(tmp_path: Path) -> None:
    """Found when the batch is closed."""
    bench = Bench(small_plan(tmp_path, 14))
    service = bench.service

    def late() -> None:
        first = service.batches[0].jobs[0]
        service.batches[0].jobs.append(StoredJob(id="late", batch_id=first.batch_id, request=first.request))

    service.hook = at_call("close_batch", "before", 1, late)
    run = bench.start()
    bench.check_whole(run)
    assert [extra_id for extra_id, *_ in run.strangers] == ["late"]


def test_a_second_batch_with_the_runs_tag(tmp_path: Path) -> None:
    """Cancelled while it is pending, reported, exit code 1."""
    bench = Bench(small_plan(tmp_path, 14))
    service = bench.service

    def twice() -> None:
        request = service.batches[0].request
        stored = replace(service.batches[0], id="stranger", status="PENDING", tags=list(request.tags), jobs=[])
        stored.jobs = [StoredJob(id="s0", batch_id="stranger", request=service.batches[0].jobs[0].request)]
        service.batches.append(stored)

    service.hook = at_call("list_batches", "before", 1, twice)
    run = bench.start()
    assert service.batch("stranger").status == "CANCELED"
    assert run.strangers == (("stranger", "batch", 1, "cancelled"),)
    assert run.exit_code == 1
    assert open_run(run.folder) == run


def test_of_two_created_batches_the_oldest_is_kept(tmp_path: Path) -> None:
    """A gateway sent the creation twice and lost both answers."""
    bench = Bench(small_plan(tmp_path, 14))
    service = bench.service

    def twice() -> None:
        service.hook = lambda _name, _when: None
        request: BatchRequest = service.batches[0].request
        StandInClient(service).create_batch(request)
        raise UncertainError("no answer")

    service.hook = at_call("create_batch", "after", 1, twice)
    run = bench.start()
    assert [batch.status for batch in service.batches] == ["DONE", "CANCELED"]
    assert len(service.batches[0].jobs) == 14
    assert run.strangers == ((service.batches[1].id, "batch", 0, "cancelled"),)
    assert run.exit_code == 1


def test_a_service_that_lost_jobs(tmp_path: Path) -> None:
    """Acknowledged jobs that are gone are not sent again: somebody has to look."""
    bench = Bench(small_plan(tmp_path, 14))
    bench.service.speed = 0
    bench.service.hook = at_call("close_batch", "before", 1, lambda: None)

    def lose() -> None:
        del bench.service.batches[0].jobs[-2:]

    bench.service.hook = at_call("get_batch", "before", 1, lose)
    with pytest.raises(ServiceError, match="has 12 jobs, although the service acknowledged 14"):
        bench.start()
    assert len(bench.service.all_jobs()) == 12


def test_alignment() -> None:
    """What is meant is there whole or as a beginning, perhaps behind others."""
    a, b, c, x = b"a", b"b", b"c", b"x"
    assert align([a, b, c], []) == (0, 0)
    assert align([a, b, c], [a, b]) == (2, 0)
    assert align([a, b, c], [a, b, c]) == (3, 0)
    assert align([a, b, c], [a, b, c, a, b, c]) == (3, 0)
    assert align([a, b, c], [x, a, b, c]) == (3, 1)
    assert align([a, b, c], [x, a]) == (1, 1)
    assert align([a, b, c], [x, x]) == (0, 2)
    assert align([a, a, a], [a, a]) == (2, 0)
