"""The embedded twin as a service: what it accepts and refuses, in which order things happen, and what survives."""

from __future__ import annotations

import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.emulator.client import LocalClient
from pcs_runner.emulator.engines import EngineResult
from pcs_runner.emulator.settings import TwinSettings
from pcs_runner.emulator.workers import GroupTask, Outcome, run_group
from pcs_runner.errors import StorageError
from pcs_runner.pcs import NotFoundError, PcsError, RefusedError
from pcs_runner.pcs.protocol import TERMINAL, BatchRequest, Client, JobRequest
from twin_sequences import PI_OMEGA, built_rabi, mappable, rabi, typed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pcs_runner.pcs import Batch


class ByHand(Executor):
    """An executor that finishes a group when it is told to, in any order; results are those of the real engine or made up."""

    def __init__(self) -> None:
        self.tasks: list[tuple[Future[Any], GroupTask]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.tasks.append((future, args[0]))
        return future

    def finish(self, index: int) -> None:
        """Answer the group at an index of what waits."""
        future, task = self.tasks.pop(index)
        if future.set_running_or_notify_cancel():
            future.set_result([made_up(job.position, job.runs) for job in task.jobs])

    def wait_for(self, count: int) -> None:
        """Wait until so many groups are there."""
        eventually(lambda: len(self.tasks) >= count)


def made_up(position: int, runs: int) -> Outcome:
    from pcs_runner.emulator.workers import _outcome

    return _outcome(EngineResult(position=position, raw=["0"] * runs), runs)


def eventually(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


def request(*omegas: float, runs: int = 10, **options: Any) -> BatchRequest:
    jobs = [JobRequest(runs=runs, variables={"omega": omega}) for omega in omegas]
    return BatchRequest(**{"sequence_builder": rabi(), "jobs": jobs, "configuration": {"engine": "qutip"}, **options})


def statuses(batch: Batch) -> list[str]:
    return [job.status for job in batch.refresh().ordered_jobs]


@pytest.fixture
def still(tmp_path: Path) -> Iterator[LocalClient]:
    """A client that runs nothing."""
    with LocalClient(tmp_path / "twin", execute=False) as client:
        yield client


@pytest.fixture
def by_hand() -> ByHand:
    return ByHand()


@pytest.fixture
def client(tmp_path: Path, by_hand: ByHand) -> Iterator[LocalClient]:
    """A client of one worker, which is the test."""
    with LocalClient(tmp_path / "twin", workers=1, executor=by_hand) as client:
        yield client


def test_it_keeps_the_protocol(still: LocalClient) -> None:
    assert isinstance(still, Client)
    assert still.is_twin


JOBS_REFUSED: list[tuple[str | None, list[JobRequest], str]] = [
    (rabi(), [JobRequest(runs=0, variables={"omega": 1})], "job 0: runs is 0, it must be an integer of at least 1"),
    (rabi(), [JobRequest(runs=True, variables={"omega": 1})], "job 0: runs is True, it must be an integer of at least 1"),
    (
        rabi(),
        [JobRequest(runs=1, variables={"omega": 1}, sequence=built_rabi())],
        "job 0 has variables and its own sequence: it can have one of them",
    ),
    (
        rabi(),
        [JobRequest(runs=1, variables={"omega": 1}), JobRequest(runs=1, variables={})],
        "job 1: variables omega have no value",
    ),
    (
        rabi(),
        [JobRequest(runs=1, variables={"omega": 1, "x": 2})],
        "job 0: the sequence has no variables x; it has omega",
    ),
    (rabi(), [JobRequest(runs=1, variables={"omega": "1"})], "job 0: variable omega is '1', not a finite number"),
    (rabi(), [JobRequest(runs=1, variables={"omega": float("nan")})], "job 0: variable omega is nan, not a finite number"),
    (rabi(), [JobRequest(runs=1, variables={"omega": [1, 2]})], "job 0: variable omega has 2 values, the sequence declares 1"),
    (
        typed(),
        [JobRequest(runs=1, variables={"omegas": [1, 2], "t": 100.5})],
        "job 0: variable t is 100.5, the sequence declares an integer",
    ),
    (
        typed(),
        [JobRequest(runs=2001, variables={"omegas": [1, 2], "t": 100})],
        "job 0: runs is 2001, above max_runs 2000 of AnalogDevice",
    ),
    (
        rabi(),
        [JobRequest(runs=1, variables={"omega": 1, "qubits": {"q0": 1}})],
        "job 0: qubits are given, but the register is not mappable",
    ),
    (
        mappable(),
        [JobRequest(runs=1, variables={})],
        "job 0: the register is mappable: the traps must come as variables['qubits'], a mapping of atom to trap",
    ),
    (None, [JobRequest(runs=1, variables={})], "job 0 has no sequence, and the batch has none"),
    (None, [JobRequest(runs=1, sequence=rabi())], "job 0: variables omega have no value"),
]


@pytest.mark.parametrize(("sequence", "jobs", "message"), JOBS_REFUSED, ids=[message[:40] for _, _, message in JOBS_REFUSED])
def test_jobs_that_break_a_rule_are_refused_and_nothing_is_made(
    still: LocalClient, sequence: str | None, jobs: list[JobRequest], message: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        still.create_batch(BatchRequest(sequence_builder=sequence, jobs=jobs))
    assert str(caught.value) == message
    assert caught.value.status == 400
    assert list(still.list_batches()) == []
    batch = still.create_batch(BatchRequest(sequence_builder=sequence))
    with pytest.raises(RefusedError):
        batch.add_jobs(jobs)
    assert batch.refresh().jobs_count == 0


BATCHES_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"open": False}, "a closed batch needs at least one job"),
    (
        {"sequence_builder": "[]"},
        "the sequence is not Pulser's abstract representation (TypeError: list indices must be integers or slices, not str)",
    ),
    ({"sequence_builder": "{}"}, "the sequence is not Pulser's abstract representation (KeyError: 'device')"),
    ({"tags": "ab"}, "tags is not a list of strings"),
    ({"configuration": {"seed": -1}}, "configuration: seed is -1, it must be an integer of at least 0"),
    ({"configuration": {"first_index": 1.5}}, "configuration: first_index is 1.5, it must be an integer of at least 0"),
    ({"configuration": {"accuracy": 2}}, "configuration: accuracy is 2, it must be between 0 and 1"),
    ({"configuration": {"engine": "abacus"}}, "there is no engine 'abacus'"),
    ({"backend_configuration": "[]"}, "backend_configuration is not a JSON object in a string"),
]


@pytest.mark.parametrize(("options", "message"), BATCHES_REFUSED, ids=[message[:40] for _, message in BATCHES_REFUSED])
def test_batches_that_break_a_rule_are_refused(still: LocalClient, options: dict[str, Any], message: str) -> None:
    if "tags" in options:
        options = {"tags": [1]}
    with pytest.raises(RefusedError) as caught:
        still.create_batch(request(**options))
    assert str(caught.value) == message
    if "engine" in message:
        names = "auto, batched, emu-mps, emu-sv, qutip"
        assert caught.value.hint == f"Engines: {names}, or package.module:Class of a Pulser backend."


def test_jobs_may_have_their_own_sequences_and_traps(still: LocalClient) -> None:
    own = still.create_batch(BatchRequest(sequence_builder=None, jobs=[JobRequest(runs=3, sequence=built_rabi())], open=False))
    assert own.sequence_builder is None
    traps = JobRequest(runs=3, variables={"qubits": {"q0": 1, "q1": 0}})
    assert still.create_batch(BatchRequest(sequence_builder=mappable(), jobs=[traps])).jobs_count == 1


def test_unknown_ids_are_not_found(still: LocalClient) -> None:
    with pytest.raises(NotFoundError, match=r"^there is no batch '\.\./x'$") as caught:
        still.get_batch("../x")
    assert (caught.value.status, caught.value.code) == (404, "BATCH_NOT_FOUND")
    with pytest.raises(NotFoundError, match=r"^there is no job 'x'$"):
        still.get_job("x")


def test_a_closed_batch_takes_no_jobs(still: LocalClient) -> None:
    batch = still.create_batch(request(1.0))
    assert batch.close().open is False
    assert batch.close().open is False  # closing twice is closing
    with pytest.raises(RefusedError) as caught:
        batch.add_jobs([JobRequest(runs=1, variables={"omega": 1})])
    assert str(caught.value) == f"batch {batch.id} is closed: it takes no more jobs"
    assert caught.value.hint == "Create a new batch."
    with pytest.raises(RefusedError, match=r"^no jobs were given$"):
        still.create_batch(request()).add_jobs([])


def test_lists_go_by_order_tag_status_and_position(still: LocalClient) -> None:
    first, second = still.create_batch(request(tags=["a", "run:1"])), still.create_batch(request(*range(1200), tags=["run:1"]))
    third = still.create_batch(request())
    third.cancel()
    assert [batch.id for batch in still.list_batches()] == [first.id, second.id, third.id]
    assert [batch.id for batch in still.list_batches(tag="run:1")] == [first.id, second.id]
    assert [batch.id for batch in still.list_batches(tag="run:1", status="CANCELED")] == []
    assert [batch.id for batch in still.list_batches(status="CANCELED")] == [third.id]
    first.set_tags(["b"])
    assert [batch.id for batch in still.list_batches(tag="run:1")] == [second.id]
    assert [job.variables for job in still.list_jobs(second.id)] == [{"omega": k} for k in range(1200)]
    assert [job.variables for job in still.list_jobs(second.id, start=498, stop=503)] == [{"omega": k} for k in range(498, 503)]
    assert list(still.list_jobs(second.id, start=1200)) == []
    assert still.batch_status(second.id).jobs_count_per_status == {"PENDING": 1200}


def test_more_batches_than_a_page_are_listed_once_each(still: LocalClient) -> None:
    made = [still.create_batch(request(tags=["t"])).id for _ in range(201)]
    assert [batch.id for batch in still.list_batches(tag="t")] == made


def test_results_become_visible_in_order(client: LocalClient, by_hand: ByHand) -> None:
    batch = client.create_batch(request(*range(12), open=False))
    by_hand.wait_for(3)
    by_hand.finish(2)  # positions 8 to 11
    time.sleep(0.1)
    assert statuses(batch) == ["RUNNING"] + ["PENDING"] * 11
    by_hand.finish(0)
    eventually(lambda: batch.refresh().jobs_count_per_status == {"DONE": 4, "PENDING": 7, "RUNNING": 1})
    assert statuses(batch)[3:5] == ["DONE", "RUNNING"]
    assert batch.status == "RUNNING"
    by_hand.finish(0)
    eventually(lambda: batch.refresh().status == "DONE")
    times = [(job.start_timestamp, job.end_timestamp) for job in batch.ordered_jobs]
    assert all(a[1] <= b[0] <= b[1] for a, b in pairwise(times))  # type: ignore[operator]


def test_the_oldest_batch_with_work_goes_first_and_an_idle_one_lets_others_pass(client: LocalClient, by_hand: ByHand) -> None:
    idle = client.create_batch(request())
    second = client.create_batch(request(1.0, open=False))
    by_hand.wait_for(1)
    by_hand.finish(0)
    eventually(lambda: second.refresh().status == "DONE")
    assert idle.refresh().status == "PENDING"


def test_a_twin_that_holds_its_device_waits_for_an_open_batch_until_it_times_out(tmp_path: Path, by_hand: ByHand) -> None:
    now = [datetime(2026, 11, 1, tzinfo=UTC)]
    settings = TwinSettings(idle_timeout_s=300, hold_device=True)
    with LocalClient(tmp_path, workers=1, executor=by_hand, settings=settings, clock=lambda: now[0]) as client:
        first, second = client.create_batch(request(1.0)), client.create_batch(request(2.0, open=False))
        by_hand.wait_for(1)
        by_hand.finish(0)
        eventually(lambda: first.refresh().jobs_count_per_status == {"DONE": 1})
        time.sleep(0.1)
        assert by_hand.tasks == []
        assert first.refresh().status == "RUNNING"
        now[0] += timedelta(seconds=301)
        client.set_tags(first.id, [])
        client.close_batch(second.id)  # any call that changes something wakes the twin
        by_hand.wait_for(1)
        assert (first.refresh().status, first.open) == ("TIMED_OUT", False)
        with pytest.raises(RefusedError, match=rf"^batch {first.id} is TIMED_OUT: it takes no more jobs$"):
            first.add_jobs([JobRequest(runs=1, variables={"omega": 1})])


def test_cancelled_jobs_are_not_run(client: LocalClient, by_hand: ByHand) -> None:
    batch = client.create_batch(request(*range(40), open=False))
    jobs = batch.ordered_jobs
    by_hand.wait_for(4)
    assert client.cancel_jobs(batch.id, [jobs[0].id, jobs[2].id, jobs[30].id, "x"]) == [jobs[2].id, jobs[30].id]
    assert client.cancel_job(jobs[31].id).status == "CANCELED"
    sent: list[int] = []
    while batch.refresh().status not in TERMINAL:
        if by_hand.tasks:
            sent += [job.position for job in by_hand.tasks[0][1].jobs]
            by_hand.finish(0)
        time.sleep(0.005)
    assert {30, 31}.isdisjoint(sent)
    assert [k for k, status in enumerate(statuses(batch)) if status == "CANCELED"] == [2, 30, 31]
    assert batch.jobs_count_per_status == {"CANCELED": 3, "DONE": 37}
    with pytest.raises(RefusedError, match=rf"^job {jobs[2].id} is CANCELED: it has no results$"):
        list(client.results([jobs[2].id]))


def test_cancel_jobs_without_ids_cancels_all_that_are_pending(client: LocalClient) -> None:
    batch = client.create_batch(request(*range(1100)))
    eventually(lambda: statuses(batch)[0] == "RUNNING")
    assert len(client.cancel_jobs(batch.id)) == 1099
    assert client.batch_status(batch.id).jobs_count_per_status == {"CANCELED": 1099, "RUNNING": 1}


def test_a_cancelled_batch_has_ended(client: LocalClient, by_hand: ByHand) -> None:
    batch = client.create_batch(request(*range(9)))
    by_hand.wait_for(1)
    by_hand.finish(0)
    eventually(lambda: batch.refresh().jobs_count_per_status == {"DONE": 4, "PENDING": 4, "RUNNING": 1})
    assert batch.cancel().status == "CANCELED"
    assert not batch.open
    assert batch.cancel().status == "CANCELED"  # cancelling twice is cancelling
    while by_hand.tasks:
        by_hand.finish(0)
    assert statuses(batch) == ["DONE"] * 4 + ["CANCELED"] * 5
    done = client.create_batch(request(1.0, open=False))
    by_hand.wait_for(1)
    by_hand.finish(0)
    eventually(lambda: done.refresh().status == "DONE")
    with pytest.raises(RefusedError, match=rf"^batch {done.id} is DONE: there is nothing to cancel$"):
        done.cancel()


def test_cancelling_every_job_of_a_closed_batch_ends_it(still: LocalClient) -> None:
    batch = still.create_batch(request(1.0, 2.0, open=False))
    for job in batch.ordered_jobs:
        job.cancel()
    assert batch.refresh().status == "DONE"


def test_one_slow_job_bounds_what_is_sent_ahead(client: LocalClient, by_hand: ByHand) -> None:
    client.create_batch(request(*range(1000)))
    by_hand.wait_for(4)
    sent = 4
    while len(by_hand.tasks) > 1:
        by_hand.finish(1)
        time.sleep(0.02)
        sent = max(sent, *(job.position for _, task in by_hand.tasks for job in task.jobs))
    assert 30 < sent < 80


def test_what_was_running_when_the_process_died_runs_again(tmp_path: Path, by_hand: ByHand) -> None:
    first = LocalClient(tmp_path, workers=1, executor=by_hand)
    batch = first.create_batch(request(*range(6), open=False))
    by_hand.wait_for(2)
    by_hand.finish(0)
    eventually(lambda: statuses(batch) == ["DONE"] * 4 + ["RUNNING", "PENDING"])
    first.close()
    first.close()
    with pytest.raises(RefusedError, match=r"^this client is closed$"):
        batch.refresh()
    with LocalClient(tmp_path, execute=False) as looking:
        assert statuses(looking.get_batch(batch.id)) == ["DONE"] * 4 + ["RUNNING", "PENDING"]
    with ThreadPoolExecutor(1) as executor, LocalClient(tmp_path, executor=executor) as second:
        again = second.get_batch(batch.id)
        eventually(lambda: again.refresh().status == "DONE")
        assert [len(result.raw or ()) for _, result in second.results(job.id for job in again.ordered_jobs)] == [10] * 6


class Broken(Executor):
    """An executor whose workers are gone."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        raise RuntimeError("the cluster is gone")


def test_a_failure_of_the_execution_is_raised_by_the_next_call(tmp_path: Path) -> None:
    with LocalClient(tmp_path, executor=Broken()) as client:
        batch = client.create_batch(request(1.0))
        with pytest.raises(PcsError, match=r"^the twin stopped working: RuntimeError: the cluster is gone$"):
            eventually(lambda: client.batch_status(batch.id).status == "DONE")
        with pytest.raises(PcsError, match="the cluster is gone"):
            client.create_batch(request(1.0))


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "twin.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StorageError, match=r"twin\.db failed: file is not a database$"):
        LocalClient(tmp_path)


def test_a_job_that_fails_is_an_error_and_the_others_go_on(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor, LocalClient(tmp_path, executor=executor) as client:
        jobs = [JobRequest(runs=5, variables={"omegas": [o, o], "t": 100}) for o in (1.0, 1000.0, 2.0)]
        batch = client.create_batch(BatchRequest(sequence_builder=typed(), jobs=jobs, open=False)).close(wait=True)
        assert batch.status == "DONE"
        assert statuses(batch) == ["DONE", "ERROR", "DONE"]
        (error,) = batch.ordered_jobs[1].errors
        assert error.startswith("ValueError: The pulse's amplitude goes over the maximum value allowed")
        assert batch.ordered_jobs[1].result is None


def test_first_index_continues_the_draws_of_an_earlier_batch(tmp_path: Path) -> None:
    half = PI_OMEGA / 2
    with ThreadPoolExecutor(1) as executor, LocalClient(tmp_path, executor=executor) as client:
        whole = client.create_batch(request(half, half, half, runs=50, open=False, configuration={"seed": 7}))
        tail = client.create_batch(request(half, half, runs=50, open=False, configuration={"seed": 7, "first_index": 1}))
        other = client.create_batch(request(half, runs=50, open=False, configuration={"seed": 8}))
        raw = [[job.full_result["raw"] for job in b.close(fetch_results=True).ordered_jobs] for b in (whole, tail, other)]  # type: ignore[index]
    assert raw[0][1:] == raw[1]
    assert raw[2][0] != raw[0][0]
    assert raw[0][0] != raw[0][1]


def test_device_specs_are_the_bundled_ones_and_those_of_sequences(still: LocalClient) -> None:
    import json

    body = json.loads(rabi())
    body["device"]["name"] = "MyDevice"
    still.create_batch(request(1.0, sequence_builder=json.dumps(body)))
    specs = still.device_specs()
    assert {"AnalogDevice", "DigitalAnalogDevice", "MockDevice", "MyDevice"} <= set(specs)
    assert json.loads(specs["AnalogDevice"])["max_runs"] == 2000
    assert json.loads(specs["MyDevice"])["name"] == "MyDevice"


def test_an_engine_that_cannot_read_the_sequence_fails_its_jobs_only(tmp_path: Path) -> None:
    import json

    body = json.loads(built_rabi())
    body["operations"][0]["op"] = "nonsense"
    with ThreadPoolExecutor(1) as executor, LocalClient(tmp_path, executor=executor) as client:
        jobs = [JobRequest(runs=2, sequence=json.dumps(body)), JobRequest(runs=2, sequence=built_rabi())]
        batch = client.create_batch(BatchRequest(sequence_builder=None, jobs=jobs, open=False)).close(wait=True)
        assert statuses(batch) == ["ERROR", "DONE"]


def test_the_grouping_changes_no_result() -> None:
    from pcs_runner.emulator.workers import TaskJob

    def run(*sizes: int) -> list[Outcome]:
        outcomes, position = [], 0
        for size in sizes:
            jobs = tuple(TaskJob(position=k, runs=30, variables=f'{{"omega": {k}}}') for k in range(position, position + size))
            task = GroupTask(engine="qutip", sequence=rabi(), config=None, accuracy=None, seed=1, first_index=5, jobs=jobs)
            outcomes += run_group(task)
            position += size
        return outcomes

    assert run(6) == run(1, 2, 3)
