"""The worker processes: their number changes nothing, their death costs little, and none is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pcs_runner.emulator.client import LocalClient
from pcs_runner.emulator.execution import Execution
from pcs_runner.emulator.settings import TwinSettings
from pcs_runner.emulator.store import Store
from pcs_runner.emulator.twin import utc_now
from pcs_runner.emulator.workers import GroupTask, Outcome, Workers, run_group
from pcs_runner.pcs import PcsError
from pcs_runner.pcs.protocol import BatchRequest, JobRequest
from test_emulator_client import eventually, request
from twin_sequences import PI_OMEGA, long

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcs_runner.pcs import Batch

ROOT = Path(__file__).resolve().parent.parent


def worker_pids(parent: int) -> list[int]:
    """Processes that were started for `parent` to run jobs: forked from a process of its own, or spawned."""
    servers = children(parent, "multiprocessing.forkserver")
    return [*children(parent, "spawn_main"), *(pid for server in servers for pid in children(server, "forkserver"))]


def children(parent: int, word: str) -> list[int]:
    """Those with a word in their command line."""
    command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(parent)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if word in line]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def raw_of(batch: Batch) -> list[list[str]]:
    return [job.full_result["raw"] for job in batch.ordered_jobs]  # type: ignore[index, misc]


def sweep(jobs: int) -> BatchRequest:
    return request(*(PI_OMEGA * k / jobs for k in range(jobs)), runs=40, open=False)


@pytest.mark.slow
def test_one_worker_or_three_give_the_same_and_a_killed_one_costs_nothing(tmp_path: Path) -> None:
    with LocalClient(tmp_path / "one", workers=1) as client:
        expected = raw_of(client.create_batch(sweep(20)).close(fetch_results=True))
        assert len(worker_pids(os.getpid())) == 1
    with LocalClient(tmp_path / "three", workers=3) as client:
        batch = client.create_batch(sweep(20))
        eventually(lambda: batch.refresh().jobs_count_per_status.get("DONE", 0) >= 2)  # type: ignore[union-attr]
        os.kill(worker_pids(os.getpid())[0], signal.SIGKILL)
        assert raw_of(batch.close(fetch_results=True)) == expected
        assert batch.jobs_count_per_status == {"DONE": 20}
    assert worker_pids(os.getpid()) == []


def test_there_are_no_more_workers_than_groups(tmp_path: Path) -> None:
    with LocalClient(tmp_path, workers=3) as client:
        assert worker_pids(os.getpid()) == []
        client.create_batch(sweep(1)).close(wait=True)
        assert len(worker_pids(os.getpid())) == 1


@pytest.mark.slow
def test_closing_and_cancelling_stop_a_long_simulation(tmp_path: Path) -> None:
    hours = BatchRequest(sequence_builder=long(), jobs=[JobRequest(runs=1, variables={})], open=False)
    with LocalClient(tmp_path, workers=1) as client:
        batch = client.create_batch(hours)
        eventually(lambda: batch.refresh().status == "RUNNING")
        time.sleep(3)  # into the simulation
        batch.cancel()
        assert client.create_batch(sweep(2)).close(wait=True).status == "DONE"
        assert batch.refresh().status == "CANCELED"
        batch = client.create_batch(hours)
        eventually(lambda: batch.refresh().status == "RUNNING")
        begin = time.monotonic()
    assert time.monotonic() - begin < 2
    assert worker_pids(os.getpid()) == []


UNGUARDED = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
print("started", flush=True)
from pcs_runner.emulator.client import LocalClient
from test_emulator_workers import sweep
client = LocalClient(Path({folder!r}), workers=2)
batch = client.create_batch(sweep({jobs}))
{then}
"""


def script(folder: Path, jobs: int, then: str) -> list[str]:
    path = folder / "script.py"
    code = UNGUARDED.format(paths=[str(ROOT), str(ROOT / "tests")], folder=str(folder / "twin"), jobs=jobs, then=then)
    path.write_text(code, encoding="utf-8")
    return [sys.executable, str(path)]


@pytest.mark.slow
def test_an_unguarded_script_that_forgets_to_close_runs_once_and_ends(tmp_path: Path) -> None:
    then = "batch.close(wait=True); print(batch.status); client.create_batch(sweep(2000))"
    done = subprocess.run(script(tmp_path, 4, then), capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("started\nDONE\n", "", 0)


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.1, 0.6])
def test_ctrl_c_while_workers_start_is_silent_and_ends_at_once(tmp_path: Path, after_s: float) -> None:
    then = "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: client.close(); print('closed')"
    command = script(tmp_path, 400, "print('made', flush=True)\n" + then)
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert run.stdout is not None
    assert [run.stdout.readline() for _ in range(2)] == ["started\n", "made\n"]
    time.sleep(after_s)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to the parent and to every worker
    assert run.communicate(timeout=10) == ("closed\n", "")


@pytest.mark.slow
def test_kill_9_of_the_parent_leaves_no_worker_and_what_is_stored_is_kept(tmp_path: Path) -> None:
    then = "import time; time.sleep(60)"
    parent = subprocess.Popen(script(tmp_path, 80, then), stdout=subprocess.PIPE)
    try:
        eventually((tmp_path / "twin" / "twin.db").exists)
        with LocalClient(tmp_path / "twin", execute=False) as looking:
            eventually(lambda: [b.id for b in looking.list_batches()])
            (batch,) = looking.list_batches()
            eventually(lambda: batch.refresh().jobs_count_per_status.get("DONE", 0) >= 8)  # type: ignore[union-attr]
            pids = worker_pids(parent.pid)
            parent.kill()
            parent.wait()
            assert len(pids) == 2
            eventually(lambda: not any(is_running(pid) for pid in pids), timeout_s=5)
            kept = looking.batch_status(batch.id).jobs_count_per_status["DONE"]
    finally:
        parent.kill()
        parent.wait()
        assert parent.stdout is not None
        parent.stdout.close()
    assert 8 <= kept < 80
    with LocalClient(tmp_path / "twin", workers=2) as client:
        again = client.get_batch(batch.id).close(fetch_results=True)
        assert again.jobs_count_per_status == {"DONE": 80}
        assert {len(raw) for raw in raw_of(again)} == {40}


class Deadly(Workers):
    """Workers that die of some jobs, without the processes: a group that holds such a job breaks the whole pool."""

    def __init__(self, deadly: Callable[[int], bool]) -> None:
        super().__init__(2)
        self.deadly = deadly
        self.sent: list[tuple[int, ...]] = []
        self.broken = False

    def submit(self, task: GroupTask) -> Future[list[Outcome]]:
        positions = tuple(job.position for job in task.jobs)
        self.sent.append(positions)
        if self.broken:
            raise BrokenProcessPool("broken")
        future: Future[list[Outcome]] = Future()
        if any(map(self.deadly, positions)):
            self.broken = True
            future.set_exception(BrokenProcessPool("a worker died"))
        else:
            future.set_result(run_group(task))
        return future

    def restart(self) -> None:
        super().restart()
        self.broken = False


def carried_out(folder: Path, workers: Workers, jobs: int) -> tuple[LocalClient, Batch]:
    with LocalClient(folder, execute=False) as client:
        batch = client.create_batch(sweep(jobs))
    execution = Execution(Store(folder / "twin.db"), workers, TwinSettings(), utc_now)
    execution.wake()
    looking = LocalClient(folder, execute=False)
    try:
        while looking.batch_status(batch.id).status != "DONE":
            execution.check()
            time.sleep(0.02)
    finally:
        execution.close()
    return looking, looking.get_batch(batch.id)


def test_a_job_that_kills_its_worker_is_an_error_and_the_others_are_done(tmp_path: Path) -> None:
    workers = Deadly(lambda position: position == 9)
    looking, batch = carried_out(tmp_path, workers, 16)
    with looking:
        failed = [job for job in batch.ordered_jobs if job.status != "DONE"]
        assert [job.errors for job in failed] == [
            ["WorkerDied: the worker process died 3 times while it ran this job alone (out of memory?)"]
        ]
        assert batch.ordered_jobs.index(failed[0]) == 9
    assert len([sent for sent in workers.sent if 9 in sent]) <= 7


def test_workers_that_always_die_stop_the_twin_with_a_message(tmp_path: Path) -> None:
    with pytest.raises(PcsError, match=r"^worker processes died 21 times in a row$"):
        carried_out(tmp_path, Deadly(lambda position: True), 100)


def test_results_travel_packed_and_checked() -> None:
    from pcs_runner.emulator.engines import EngineResult
    from pcs_runner.emulator.workers import _outcome, read_body

    packed = _outcome(EngineResult(position=1, raw=["10", "01", "10"], serialised_results="{}"), 3)
    assert packed.body is not None
    assert read_body(packed.body) == {"raw": ["10", "01", "10"], "counter": {"01": 1, "10": 2}, "serialised_results": "{}"}
    assert list(json.loads(json.dumps(read_body(packed.body)["counter"]))) == ["01", "10"]
    for raw, runs in ((["1", "0"], 3), (["1", "10"], 2), (["12"], 1), ([], 1)):
        assert (
            _outcome(EngineResult(position=1, raw=raw), runs).error
            == f"EngineError: {len(raw)} bitstrings do not fit {runs} runs"
        )
