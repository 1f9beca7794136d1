"""Dask: the same records as the pool, a worker that dies costs nothing, a scheduler that goes away leaves a run that resumes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("distributed", reason="Dask is not installed (extra dask)")

from pcs_runner import api
from pcs_runner.cli import main
from pcs_runner.emulator import dask_pool
from pcs_runner.emulator.client import LocalClient
from pcs_runner.emulator.dask_pool import DaskWorkers, _LocalCluster
from pcs_runner.errors import ServiceError, UsageError
from pcs_runner.pcs.protocol import BatchRequest, JobRequest
from test_emulator_client import eventually
from twin_sequences import long, rabi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from pcs_runner.emulator.workers import GroupTask, Outcome
    from pcs_runner.plan import Plan
    from pcs_runner.run.events import Event
    from pcs_runner.run.outcome import Run

pytestmark = pytest.mark.slow

SPEC = """\
version: 1
name: on-dask
seed: 7
sequence:
  device: AnalogDevice
  register:
    from_coordinates: {coords: [[0, 0], [0, 6]], prefix: q}
    automatic_layout: true
  channels: {ising: rydberg_global}
  operations:
    - {op: pulse, duration: t, amplitude: 6, detuning: 0}
jobs:
  runs: 100
  sweep: {grid: {t: {arange: {start: 40, stop: 1281, step: 40}}}}
targets:
  local: {engine: qutip}
  cloud: {backend: pcs}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[_LocalCluster]:
    """Two processes and a scheduler; a task that lost its worker twice is given up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
        made = _LocalCluster(2)
    yield made
    made.close()


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "on-dask.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


@pytest.fixture
def plan(spec: Path) -> Plan:
    return api.plan(spec)


def records(folder: Path) -> list[dict[str, Any]]:
    """The lines of `results.jsonl` without ids and times."""
    left_out = {"batch_id", "job_id", "started_at", "ended_at"}
    lines = (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return [{name: value for name, value in json.loads(line).items() if name not in left_out} for line in lines]


def on_recorded(then: Any) -> Any:
    """Calls something once, when some jobs are recorded and others are not."""
    called: list[Event] = []

    def on_event(event: Event) -> None:
        if event.kind == "recorded" and not called and event.number != event.total:
            called.append(event)
            then()

    on_event.called = called  # type: ignore[attr-defined]
    return on_event


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What one worker of the pool records."""
    folder = tmp_path_factory.mktemp("one")
    (folder / "on-dask.yaml").write_text(SPEC, encoding="utf-8")
    api.run(api.plan(folder / "on-dask.yaml"), output=folder / "run", workers=1)
    return records(folder / "run")


def test_one_worker_two_workers_and_dask_record_the_same(
    tmp_path: Path, plan: Plan, cluster: _LocalCluster, expected: list[dict[str, Any]]
) -> None:
    api.run(plan, output=tmp_path / "two", workers=2)
    api.run(plan, output=tmp_path / "dask", dask=cluster.address)
    assert len(expected) == 32
    assert records(tmp_path / "two") == expected
    assert records(tmp_path / "dask") == expected
    assert (tmp_path / "dask" / "counts.csv").read_bytes() == (tmp_path / "two" / "counts.csv").read_bytes()


def worker_pids(address: str) -> list[int]:
    distributed: Any = pytest.importorskip("distributed")
    with distributed.Client(address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def test_a_worker_that_is_killed_in_the_middle_costs_nothing(
    tmp_path: Path, plan: Plan, cluster: _LocalCluster, expected: list[dict[str, Any]]
) -> None:
    victim = worker_pids(cluster.address)[0]
    on_event = on_recorded(lambda: os.kill(victim, signal.SIGKILL))
    run = api.run(plan, output=tmp_path / "run", dask=cluster.address, on_event=on_event)
    assert on_event.called
    assert run.counts == {"DONE": 32}
    assert records(tmp_path / "run") == expected
    assert len(run.batch_ids) == 1
    eventually(lambda: len(worker_pids(cluster.address)) == 2)
    assert victim not in worker_pids(cluster.address)


def test_a_job_that_kills_its_workers_is_an_error_and_the_others_are_done(tmp_path: Path, cluster: _LocalCluster) -> None:
    jobs = [JobRequest(runs=5, variables={"omega": omega}) for omega in (1.0, 9.0, 2.0)]
    deadly = BatchRequest(
        sequence_builder=rabi(), jobs=jobs, open=False, configuration={"engine": "twin_backends:Deadly", "seed": 1}
    )
    with LocalClient(tmp_path, workers=DaskWorkers(cluster.address)) as client:
        batch = client.create_batch(deadly).close(wait=True)
        assert [job.status for job in batch.ordered_jobs] == ["DONE", "ERROR", "DONE"]
        (error,) = batch.ordered_jobs[1].errors
    assert error == "WorkersDiedError: the workers that ran it died, one after the other (out of memory?)"


def test_a_scheduler_that_goes_away_leaves_a_run_that_resumes(
    tmp_path: Path, plan: Plan, expected: list[dict[str, Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    lost = _LocalCluster(1)
    on_event = on_recorded(lost._process.kill)
    try:
        with pytest.raises(ServiceError, match=f"^the Dask scheduler at {lost.address} does not answer any more ") as caught:
            api.run(plan, output=tmp_path / "run", dask=lost.address, on_event=on_event)
    finally:
        lost.close()
    assert caught.value.exit_code == 3
    assert caught.value.hint == "Resume with --dask, on this cluster or another: what is recorded is kept."
    before = (tmp_path / "run" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert 0 < len(before) < 32
    assert capfd.readouterr() == ("", "")
    run: Run = api.resume(tmp_path / "run", workers=1)
    after = (tmp_path / "run" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert after[: len(before)] == before  # ids and times too: nothing of it ran again
    assert run.counts == {"DONE": 32}
    assert len(run.batch_ids) == 1
    assert records(tmp_path / "run") == expected


def test_dask_local_starts_a_cluster_and_leaves_nothing_behind(
    tmp_path: Path, spec: Path, expected: list[dict[str, Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["-q", str(spec), "-o", str(tmp_path / "run"), "--dask", "local", "--workers", "1"]) == 0
    assert capfd.readouterr() == (f"{tmp_path / 'run'}\n", "")
    assert records(tmp_path / "run") == expected
    assert "OMP_NUM_THREADS" not in os.environ


def test_kill_9_of_the_runner_ends_its_cluster(tmp_path: Path) -> None:
    code = "from pcs_runner.emulator.dask_pool import _LocalCluster as C\nc = C(1)\nprint(c._process.pid, flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    eventually(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes())


def test_no_scheduler_is_exit_3_before_anything_is_sent(
    tmp_path: Path, spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dask_pool, "CONNECT_S", 0.5)
    assert main(["-q", str(spec), "-o", str(tmp_path / "run"), "--dask", "tcp://127.0.0.1:9"]) == 3
    error = capsys.readouterr().err
    assert error.startswith("error: no Dask scheduler answers at tcp://127.0.0.1:9 (")
    assert "hint: Start it and give its address, or `--dask local`.\n" in error
    assert not list((tmp_path / "run").glob("results*"))


def test_workers_of_another_version_are_refused(cluster: _LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_pool, "SAME", ("pcs-runner", "click"))
    with pytest.raises(UsageError, match=r"^the Dask worker tcp://127\.0\.0\.1:\d+ has click None, this machine \d"):
        DaskWorkers(cluster.address)


def test_without_dask_or_for_the_cloud_it_is_refused(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"^target cloud runs on pcs: Dask is for local targets$"):
        api.run(api.plan(spec, "cloud", check=False), output=tmp_path / "cloud", dask="local")
    monkeypatch.setattr(dask_pool, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"^Dask is not installed$") as caught:
        api.run(api.plan(spec, check=False), output=tmp_path / "run", dask="local")
    assert caught.value.hint == "Install it: `pip install 'pcs-runner[dask]'`."
    assert not (tmp_path / "run").exists()


def test_the_groups_in_flight_are_bounded_and_leaving_is_quick(tmp_path: Path, cluster: _LocalCluster) -> None:
    """The last test: the cluster goes on with what is in its hands."""
    jobs = [JobRequest(runs=1, variables={})] * 60
    hours = BatchRequest(sequence_builder=long(), jobs=jobs, open=False, configuration={"engine": "qutip"})
    sent: list[GroupTask] = []

    class Counting(DaskWorkers):
        def submit(self, task: GroupTask) -> Future[list[Outcome]]:
            sent.append(task)
            return super().submit(task)

    with LocalClient(tmp_path, workers=Counting(cluster.address)) as client:
        client.create_batch(hours)
        eventually(lambda: len(sent) >= 8)
        time.sleep(1.5)  # longer than its width is believed
        begin = time.monotonic()
    assert time.monotonic() - begin < 5
    assert [len(task.jobs) for task in sent] == [4] * 8
