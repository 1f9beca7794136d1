"""Runs over HTTP against a served twin: everything that a local run does, with the same folder and the same records."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pcs_runner
from pcs_runner.cli import main
from pcs_runner.emulator.client import LocalClient
from pcs_runner.emulator.settings import TwinSettings
from pcs_runner.pcs import Client
from pcs_runner.run import execute
from twin_server import TwinServer, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor

    from pcs_runner.plan import Plan, Target
    from pcs_runner.run.events import Event
    from pcs_runner.run.outcome import Run

ROOT = Path(__file__).resolve().parent.parent

SPEC = """\
version: 1
name: cloud
constants: {constants}
sequence:
  device: {device}
  register: {register}
  channels: {{ising: rydberg_global}}
  operations: [{{op: pulse, duration: 300, amplitude: omega, detuning: 0}}]
jobs: {jobs}
{more}
targets:
  local: {{engine: qutip}}
  twin:
    backend: pcs
    engine: {engine}
    {target}
"""
SWEEP = "{runs: 40, sweep: {grid: {omega: {linspace: {start: 1, stop: 10, num: 11}}}}}"
BUILT = "{runs: 40, sweep: {grid: {spacing: [6, 7, 8], omega: [2, 4, 6]}}}"
CONSTANTS = "{omega: 6.0, spacing: 7.0}"
PAIR = "{from_coordinates: {coords: [[0, 0], [spacing, 0]]}, automatic_layout: true}"
FREE_PAIR = "{q0: [0, 0], q1: [spacing, 0]}"
UNLIKE = ("batch_id", "job_id", "started_at", "ended_at")
"""What may differ between two runs of one plan."""


@pytest.fixture(scope="module")
def server() -> Iterator[TwinServer]:
    with serving("--workers", "1") as twin:
        yield twin


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    """A worker for the embedded twins of this module: each of its own would import Pulser again."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as workers:
        yield workers


@pytest.fixture(autouse=True)
def environment(server: TwinServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose cloud is the twin, with an empty home."""
    for name in [name for name in os.environ if name.startswith(("PASQAL_", "PCS_RUNNER_"))]:
        monkeypatch.delenv(name)
    values = {
        **server.environment,
        "PCS_RUNNER_POLL_S": "0.05",
        "PCS_RUNNER_SETTLE_S": "1",
        "PASQAL_CONFIG_ROOT": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def write(target: str = "batch: {}", **parts: str) -> Path:
    """A spec in the current folder; `target` is the rest of the cloud target."""
    parts = {
        "constants": CONSTANTS,
        "register": PAIR,
        "device": "AnalogDevice",
        "jobs": SWEEP,
        "more": "",
        "engine": "qutip",
        **parts,
    }
    path = Path("cloud.yaml")
    path.write_text(SPEC.format(target=target, **parts), encoding="utf-8")
    return path


def planned(**options: str) -> Plan:
    plan: Plan = pcs_runner.plan(write(**options), "twin")
    return plan


def on_cloud(plan: Plan, folder: str = "served", on_event: Callable[[Event], None] | None = None) -> Run:
    """A new run: without `new` it would go on with that of another test, which the service remembers."""
    run: Run = pcs_runner.run(plan, output=folder, new=True, on_event=on_event)
    return run


def on_embedded(plan: Plan, pool: Executor, folder: str = "embedded") -> Run:
    """The same plan through the same `run/`, with the other client."""

    store = Path(f"{folder}-store")
    store.mkdir()

    def client(_target: Target, _folder: Path, _workers: int | None) -> LocalClient:
        return LocalClient(store, executor=pool, settings=TwinSettings(idle_timeout_s=300.0))

    return execute.start(plan, output=Path(folder), client_factory=client)


def records(folder: str | Path) -> list[dict[str, Any]]:
    """The lines of `results.jsonl` without what may differ."""
    lines = [json.loads(line) for line in Path(folder, "results.jsonl").read_bytes().splitlines()]
    return [{name: value for name, value in line.items() if name not in UNLIKE} for line in lines]


def journal(folder: str | Path) -> dict[str, list[tuple[Any, ...]]]:
    """What the journal says of batches, chunks and jobs, without ids and times."""
    columns = {
        "run": "digest, state, total, recorded",
        "batches": "k, id IS NULL, state, sequence, first_index, next_position, known, status",
        "chunks": "k, first, count, state",
        "jobs": "idx, attempt, retries, moves, fate, k, position, content, job_id IS NULL, status",
        "extras": "kind, jobs, outcome",
    }
    with closing(sqlite3.connect(Path(folder, "journal.db"))) as database:
        return {
            table: database.execute(f"SELECT {names} FROM {table} ORDER BY 1, 2").fetchall() for table, names in columns.items()
        }


def batches_of(server: TwinServer, run: Run) -> list[dict[str, Any]]:
    """The run's batches as the server has them, in order."""
    return [server.data("GET", f"/api/v2/batches/{batch_id}") for batch_id in run.batch_ids]


def jobs_of(server: TwinServer, run: Run) -> list[dict[str, Any]]:
    """Every job that the server has in any batch with the run's tag, in order of creation."""
    batches = server.data("GET", "/api/v1/batches", params={"tag": f"pcs-run:{run.uuid}", "limit": 100})
    assert {batch["id"] for batch in batches} == set(run.batch_ids)
    query = {"order_by": "creation_order", "order_by_direction": "ASC", "limit": 100}
    return [job for batch in run.batch_ids for job in server.data("GET", "/api/v2/jobs", params={"batch_id": batch, **query})]


def check_whole(server: TwinServer, run: Run, total: int) -> None:
    """Nothing lost, nothing twice: each record's job is on the server, and no other one is."""
    assert (run.state, run.counts, run.exit_code, run.strangers) == ("finished", {"DONE": total}, 0, ())
    made = list(run.records)
    assert [record.index for record in made] == list(range(total))
    assert sorted(record.job_id for record in made) == sorted(job["id"] for job in jobs_of(server, run))
    assert not any(batch["open"] for batch in batches_of(server, run))


def test_a_word_on_the_command_line_moves_a_run_to_the_cloud(server: TwinServer, capsys: pytest.CaptureFixture[str]) -> None:
    """`-t local` and `-t twin` give the same folder with the same records, and so the same tables."""
    spec = str(write("batch: {chunk: 4}"))
    assert main([spec, "-t", "local", "-o", "here", "--workers", "1"]) == 0
    assert main([spec, "-t", "twin", "-o", "there", "-q", "--new"]) == 0
    assert capsys.readouterr().out == "here\nthere\n"
    assert len(records("here")) == 11
    assert records("here") == records("there")
    for name in ("results.csv", "counts.csv", "spec.yaml"):
        assert Path("here", name).read_bytes() == Path("there", name).read_bytes()
    here, there = ({path.name for path in Path(folder).iterdir()} for folder in ("here", "there"))
    assert here - there == {"twin.db"}
    assert there - here == set()
    check_whole(server, pcs_runner.open_run("there"), 11)
    manifests = [json.loads(Path(folder, "manifest.json").read_text(encoding="utf-8")) for folder in ("here", "there")]
    assert manifests[0]["devices"] == manifests[1]["devices"]
    assert manifests[1]["target"]["backend"] == "pcs"
    secrets = (server.line["password"], server.line["username"])
    assert not [
        path for path in Path("there").rglob("*") if path.is_file() and any(one.encode() in path.read_bytes() for one in secrets)
    ]


VARIANTS: Mapping[str, tuple[str, str, int]] = {
    "open": ("batch: {chunk: 4}", SWEEP, 1),
    "closed": ("batch: {open: false}", SWEEP, 1),
    "several": ("batch: {max_jobs: 4, chunk: 3}", SWEEP, 3),
    "several_closed": ("batch: {open: false, max_jobs: 4}", SWEEP, 3),
    "own_sequences": ("batch: {chunk: 4}", BUILT, 1),
    "own_sequences_closed": ("batch: {open: false}", BUILT, 1),
    "split": ("batch: {split: sequence, chunk: 2}", BUILT, 3),
    "seeded": ("seed: 5", SWEEP, 1),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_two_clients_can_be_swapped(variant: str, server: TwinServer, pool: Executor) -> None:
    """`run/` leaves the same journal and the same records, whichever client it works with."""
    target, jobs, batches = VARIANTS[variant]
    plan = planned(target=target, jobs=jobs)
    served, embedded = on_cloud(plan), on_embedded(plan, pool)
    assert records("served") == records("embedded")
    assert journal("served") == journal("embedded")
    assert len(served.batch_ids) == len(embedded.batch_ids) == batches
    check_whole(server, served, plan.total_jobs or 0)


def test_how_the_jobs_travel(server: TwinServer) -> None:
    """Variables of one sequence, or a sequence of their own, or a batch for each sequence."""
    shared = on_cloud(planned(target="batch: {open: false}"), "shared")
    own = on_cloud(planned(target="batch: {open: false}", jobs=BUILT), "own")
    split = on_cloud(planned(target="batch: {split: sequence}", jobs=BUILT), "split")
    assert batches_of(server, shared)[0]["sequence_builder"]
    assert {tuple(job["variables"]) for job in jobs_of(server, shared)} == {("omega",)}
    assert batches_of(server, own)[0]["sequence_builder"] is None
    assert {job["variables"] for job in jobs_of(server, own)} == {None}
    own_sequences = {server.data("GET", f"/api/v2/jobs/{job['id']}")["sequence"] for job in jobs_of(server, own)}
    assert len(own_sequences) == 9
    builders = [batch["sequence_builder"] for batch in batches_of(server, split)]
    assert (len(builders), len(set(builders)), None in builders) == (3, 3, False)
    assert [job["variables"] for job in jobs_of(server, split)] == [{"omega": omega} for omega in (2, 4, 6)] * 3


class Listener(ThreadingHTTPServer):
    """A webhook that remembers what it was told."""

    daemon_threads = True

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Hook)


class _Hook(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  the name of the base class
        """Nothing on stderr."""


def test_webhook_tags_and_both_configurations_arrive(server: TwinServer) -> None:
    with Listener() as hook:
        threading.Thread(target=hook.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        url = f"http://127.0.0.1:{hook.server_port}/hook"
        configuration = "configuration: {precision: high}"
        target = f"batch: {{tags: [mine, calibration], webhook: '{url}', {configuration}}}\n    seed: 3"
        more = "config: {noise_model: {relaxation_rate: 0.5}, observables: [{observable: occupation}]}"
        run = on_cloud(
            planned(
                target=target,
                more=more,
                jobs="{runs: 25, sweep: {grid: {omega: [2.0, 6.0]}}}",
                register=FREE_PAIR,
                device="MockDevice",
            )
        )
        jobs = jobs_of(server, run)
        waiting = threading.Event()
        for _ in range(200):
            if len(hook.told) == 2:
                break
            waiting.wait(0.05)
        hook.shutdown()
    (batch,) = batches_of(server, run)
    assert [one["id"] for one in hook.told] == [job["id"] for job in jobs]
    assert [one["result"]["counter"] for one in hook.told] == [dict(record.counts) for record in run.records]
    assert set(batch["tags"]) >= {"mine", "calibration", f"pcs-run:{run.uuid}", f"pcs-run:{run.uuid}:0"}
    assert batch["webhook"] == url
    assert batch["configuration"] == {"precision": "high", "seed": 3, "first_index": 0, "engine": "qutip"}
    config = json.loads(batch["backend_configuration"])
    assert config["noise_model"]["relaxation_rate"] == 0.5
    assert [one["observable"] for one in config["observables"]] == ["occupation"]


def test_a_target_has_its_own_runs_device_and_config(server: TwinServer) -> None:
    write(
        "batch: {device_type: EMU_MPS}\n    runs: 15\n    device: MockDevice\n    config: {with_modulation: true}",
        register=FREE_PAIR,
        device="DigitalAnalogDevice",
    )
    local, cloud = pcs_runner.plan("cloud.yaml", "local"), pcs_runner.plan("cloud.yaml", "twin")
    assert (local.total_runs, cloud.total_runs) == (11 * 40, 11 * 15)
    run = on_cloud(cloud)
    (batch,) = batches_of(server, run)
    assert batch["device_type"] == "EMU_MPS"
    assert json.loads(batch["sequence_builder"])["device"]["name"] == "MockDevice"
    assert json.loads(batch["backend_configuration"])["with_modulation"] is True
    assert {sum(record.counts.values()) for record in run.records} == {15}
    assert list(run.manifest["devices"]) == ["MockDevice"]


def test_records_are_written_while_the_batch_is_running(server: TwinServer) -> None:
    """In order, and readable by anybody: the file is opened anew at each event."""
    seen: list[tuple[int, int, str]] = []
    batch_ids: list[str] = []

    def look(event: Event) -> None:
        if event.kind == "batch_created":
            batch_ids.append(event.batch_id)
        if event.kind == "recorded":
            lines = records("served")
            assert [line["index"] for line in lines] == list(range(len(lines)))
            status = server.data("GET", f"/api/v1/batches/{batch_ids[0]}/status")["status"]
            seen.append((event.number or 0, len(lines), status))

    jobs = "{runs: 40, sweep: {grid: {omega: {linspace: {start: 1, stop: 10, num: 40}}}}}"
    run = on_cloud(planned(target="batch: {chunk: 4}", jobs=jobs), on_event=look)
    check_whole(server, run, 40)
    assert all(number == lines for number, lines, _ in seen)
    assert [number for number, _, status in seen if status == "RUNNING" and 0 < number < 40]


def test_a_cancelled_run_leaves_nothing_open(server: TwinServer) -> None:
    """Interrupted in the middle, then `cancel` over HTTP."""

    def interrupt(event: Event) -> None:
        if event.kind == "submitted" and (event.number or 0) >= 8:
            raise KeyboardInterrupt

    plan = planned(target="batch: {chunk: 4}")
    with pytest.raises(pcs_runner.errors.InterruptedRunError):
        on_cloud(plan, on_event=interrupt)
    code = main(["cancel", "served", "-q"])
    run = pcs_runner.open_run("served")
    assert (code, run.state, run.exit_code) == (0, "cancelled", 1)
    assert set(run.counts) <= {"DONE", "CANCELED"}
    assert run.recorded == 11
    assert not any(batch["open"] for batch in batches_of(server, run))


def killed_at(word: str, folder: str, *options: str) -> int:
    """Run the spec in a process of its own and kill it with -9 at the first such event in the middle of it."""
    command = [sys.executable, "-m", "pcs_runner", "cloud.yaml", "-t", "twin", "-o", folder, "--json", "-q", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True) as runner:
        assert runner.stdout is not None
        for line in runner.stdout:
            event = json.loads(line)
            if event["event"] == word and event.get("number", 0) < event.get("total", 1):
                os.killpg(runner.pid, signal.SIGKILL)
                return int(event.get("number", 0))
        pytest.fail(f"it ended with {runner.wait()} before it said {word}")


@pytest.mark.slow
def test_a_killed_runner_is_resumed_over_http(server: TwinServer) -> None:
    """SIGKILL while sending and while recording: no job is lost, none is on the server twice, the records are the same."""
    jobs = "{runs: 40, sweep: {grid: {omega: {linspace: {start: 1, stop: 10, num: 60}}}}}"
    write("batch: {chunk: 5}", jobs=jobs)
    whole = on_cloud(pcs_runner.plan("cloud.yaml", "twin"), "whole")
    check_whole(server, whole, 60)
    for word, options in (("submitted", ("--new",)), ("recorded", ())):
        killed_at(word, "killed", *options)
        assert not pcs_runner.open_run("killed").ended
    run = pcs_runner.resume("killed")
    check_whole(server, run, 60)
    assert len(run.batch_ids) == 1
    assert records("killed") == records("whole")
    assert Path("killed", "counts.csv").read_bytes() == Path("whole", "counts.csv").read_bytes()


def test_a_run_that_this_machine_forgot_is_found_on_the_service(server: TwinServer) -> None:
    """The folder is lost after everything was sent: nothing is paid twice."""
    plan = planned(target="batch: {chunk: 4}")
    first = on_cloud(plan)
    kept = records("served")
    import shutil

    shutil.rmtree("served")
    again = pcs_runner.run(pcs_runner.plan("cloud.yaml", "twin"), output="found")
    assert (again.uuid, again.batch_ids) == (first.uuid, first.batch_ids)
    assert records("found") == kept
    check_whole(server, again, 11)


def test_batches_and_jobs_are_the_same_objects_over_http(server: TwinServer) -> None:
    """What a run sent can be looked at through `Batch` and `Job`."""
    run = on_cloud(planned(target="batch: {chunk: 4}"))
    with Client.from_environment() as client:
        batch = client.get_batch(run.batch_ids[0])
        assert (batch.open, batch.status, batch.jobs_count) == (False, "DONE", 11)
        assert [job.result for job in batch.ordered_jobs] == [dict(record.counts) for record in run.records]


def test_what_went_wrong_on_the_way_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    spec = str(write())
    ask = partial(main, [spec, "-t", "twin", "-o", "refused", "-q"])
    monkeypatch.setenv("PASQAL_PASSWORD", "wrong")
    assert ask() == 3
    assert "refuses user name or password of the environment: Wrong email or password." in capsys.readouterr().err
    monkeypatch.delenv("PASQAL_PASSWORD")
    monkeypatch.delenv("PASQAL_USERNAME")
    assert ask() == 2
    assert "nobody is logged in to Pasqal Cloud" in capsys.readouterr().err
    assert not Path("refused").exists()


TOO_LARGE = {
    "constants": "{omega: 6.0}",
    "device": "MockDevice",
    "register": "{rectangle: {rows: 1, columns: atoms, spacing: 7}}",
    "jobs": "{runs: 40, sweep: {grid: {atoms: [1, 60, 2]}}}",
}
"""Three jobs, the second of which no machine can simulate."""


def test_failed_jobs_are_sent_again_and_recorded_with_their_reason() -> None:
    run = on_cloud(planned(target="batch: {on_failure: {retries: 1}}", **TOO_LARGE))
    records = list(run.records)
    assert [(record.status, record.attempt) for record in records] == [("DONE", 1), ("ERROR", 2), ("DONE", 1)]
    assert "TiB" in records[1].errors[0]
    assert records[1].counts == {}
    assert (run.exit_code, run.state) == (1, "finished")


def test_the_policy_stop_cancels_what_comes_after_a_failed_job() -> None:
    run = on_cloud(planned(target="batch: {chunk: 1, on_failure: {policy: stop}}", **TOO_LARGE))
    statuses = [record.status for record in run.records]
    assert statuses[:2] == ["DONE", "ERROR"]
    assert statuses[2] in {"CANCELED", "DONE"}  # the service may have begun it before it was told
    assert (run.exit_code, run.state) == (1, "stopped")
