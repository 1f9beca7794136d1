"""From a spec to results on the command line: exit code, stdout and stderr of real runs on the local twin."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SPEC = """\
version: 1
name: tiny
constants: {omega: 2*pi}
sequence:
  device: AnalogDevice
  register:
    from_coordinates: {coords: [[0, 0]]}
    automatic_layout: true
  channels: {ising: rydberg_global}
  operations:
    - {op: pulse, duration: t, amplitude: omega, detuning: 0}
jobs:
  runs: 20
  sweep: {grid: {t: [100, 500, 1000]}}
targets:
  qpu: {backend: pcs, batch: {device_type: FRESNEL_CAN1}}
"""

DEVICE_LIMITS = "max_runs 2000, max_atom_num 80, max_radial_distance 38 µm, min_atom_distance 5 µm, max_sequence_duration 6000 ns"
CHANNEL_LIMITS = (
    "max_amp 12.5664 rad/µs, max_abs_detuning 125.664 rad/µs, min_duration 16 ns, max_duration 100000000 ns, clock_period 4 ns"
)
RUN_FOLDER = re.compile(r"runs/tiny/\d{8}T\d{6}Z-[0-9a-f]{8}")


def pcs_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`pcs-run ...` in a folder, without a terminal."""
    command = [sys.executable, "-m", "pcs_runner", *arguments]
    nobody = "http://127.0.0.1:9"  # no test asks the real service
    environ = os.environ | {"PCS_RUNNER_CORE_URL": nobody, "PCS_RUNNER_TOKEN_URL": nobody}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder with a spec that has been run, and how that went."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(SPEC, encoding="utf-8")
    return folder, pcs_run(folder, "tiny.yaml", "--workers", "1")


Finished = tuple[Path, "subprocess.CompletedProcess[str]"]


def test_a_run_prints_its_folder_and_says_what_it_did(finished: Finished) -> None:
    folder, process = finished
    assert process.returncode == 0, process.stderr
    assert RUN_FOLDER.fullmatch(process.stdout.strip())
    run = process.stdout.strip()
    lines = process.stderr.splitlines()
    assert "validated tiny on local: 3 points, 3 jobs, 60 runs, 1 sequence" in lines
    assert f"run folder {run}" in lines
    assert "submitted 3 of 3" in lines
    assert any(line.startswith("collected 3 of 3") for line in lines)
    assert lines[-3:] == ["finished: 3 DONE", f"results: {run}/results.csv", f"report: {run}/report.html"]
    records = [json.loads(line) for line in (folder / run / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(record["index"], record["point"]["t"], record["status"]) for record in records] == [
        (0, 100, "DONE"),
        (1, 500, "DONE"),
        (2, 1000, "DONE"),
    ]
    assert records[1]["counts"] == {"1": 20}


def test_a_finished_plan_says_so_and_sends_nothing(finished: Finished) -> None:
    folder, process = finished
    again = pcs_run(folder, "run", "tiny.yaml")
    assert (again.returncode, again.stdout) == (0, process.stdout)
    assert "this plan has been run already; --new runs it again" in again.stderr.splitlines()
    assert len(list((folder / "runs" / "tiny").glob("[0-9]*"))) == 1


def test_status_of_a_finished_run(finished: Finished) -> None:
    folder, process = finished
    run = process.stdout.strip()
    status = pcs_run(folder, "status", run)
    assert (status.returncode, status.stderr) == (0, "")
    lines = status.stdout.splitlines()
    assert lines[:3] == [f"run      {run}", "state    finished", "jobs     3 of 3 recorded: 3 DONE"]
    assert f"file     {run}/results.csv" in lines
    body = json.loads(pcs_run(folder, "status", run, "--json").stdout)
    assert {key: body[key] for key in ("folder", "state", "counts", "exit_code")} == {
        "folder": run,
        "state": "finished",
        "counts": {"DONE": 3},
        "exit_code": 0,
    }


@pytest.mark.parametrize("command", ["resume", "cancel", "retry"])
def test_a_finished_run_is_left_as_it_is(finished: Finished, command: str) -> None:
    folder, process = finished
    run = process.stdout.strip()
    before = (folder / run / "results.jsonl").read_bytes()
    again = pcs_run(folder, command, run)
    assert (again.returncode, again.stdout) == (0, process.stdout), again.stderr
    assert (folder / run / "results.jsonl").read_bytes() == before


def test_json_events_go_to_stdout(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SPEC, encoding="utf-8")
    process = pcs_run(tmp_path, "-q", "--json", "-o", "here", "tiny.yaml", "--workers", "1")
    assert (process.returncode, process.stderr) == (0, "")
    events = [json.loads(line) for line in process.stdout.splitlines()]
    assert events[0] == {"event": "created", "message": "here", "total": 3}
    assert events[-1]["event"] == "finished"
    assert events[-1]["counts"] == {"DONE": 3}
    assert {"event": "submitted", "number": 3, "total": 3} in events
    assert {"event": "recorded", "number": 3, "total": 3} in events


LONG = SPEC.replace("[100, 500, 1000]", "{arange: {start: 100, stop: 2500, step: 60}}")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`pcs-run ...` in a process group of its own, once it has collected something."""
    command = [sys.executable, "-m", "pcs_runner", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, text=True, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("collected"):
            return process
    raise AssertionError(f"ended with {process.wait()} before anything was collected")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_does(tmp_path: Path, sent: signal.Signals) -> None:
    (tmp_path / "tiny.yaml").write_text(LONG, encoding="utf-8")
    process = start(tmp_path, "-o", "here", "tiny.yaml", "--workers", "1")
    process.send_signal(signal.SIGSTOP)
    second = pcs_run(tmp_path, "resume", "here")
    process.send_signal(sent)
    process.send_signal(signal.SIGCONT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (130, ""), stderr
    assert stderr.splitlines()[-2].startswith("error: interrupted; ")
    assert stderr.splitlines()[-1] == "next: pcs-run resume here"

    assert (second.returncode, second.stdout) == (3, "")
    assert re.search(rf"^error: .*\b{process.pid}\b", second.stderr), second.stderr

    resumed = pcs_run(tmp_path, "resume", "here")
    assert (resumed.returncode, resumed.stdout) == (0, "here\n"), resumed.stderr
    assert re.match(r"resuming: \d+ of 40 jobs are there\n", resumed.stderr)
    assert "finished: 40 DONE" in resumed.stderr.splitlines()
    records = [json.loads(line) for line in (tmp_path / "here" / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["index"] for record in records] == list(range(40))


def test_a_run_goes_on_when_nobody_reads_its_events(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SPEC, encoding="utf-8")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        command = [sys.executable, "-m", "pcs_runner", "-q", "--json", "-o", "here", "tiny.yaml"]
        process = subprocess.run(command, cwd=tmp_path, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=120)
    assert (process.returncode, process.stderr) == (0, "")
    assert (tmp_path / "here" / "results.csv").is_file()


def test_plan_prints_what_would_happen(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SPEC, encoding="utf-8")
    process = pcs_run(tmp_path, "plan", "tiny.yaml")
    assert (process.returncode, process.stderr) == (0, ""), process.stderr
    body = json.loads(pcs_run(tmp_path, "plan", "tiny.yaml", "--json", "-q").stdout)
    assert process.stdout.splitlines() == [
        "plan       tiny on target local (local, engine auto)",
        "points     3, 0 dropped by where",
        "jobs       3",
        "runs       60 in all",
        "atoms      1",
        "duration   100..1000 ns",
        "sequences  1, one sequence; jobs carry its variables",
        "engine     batched  1 atom, ground-rydberg, no noise",
        "names      t  sequence variable (int)",
        f"device     AnalogDevice: {DEVICE_LIMITS}",
        f"channels   rydberg_global  {CHANNEL_LIMITS}",
        "cost       free",
        f"digest     {body['digest']}",
    ]
    assert (body["points"], body["jobs"], body["runs"]) == (3, 3, 60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.yaml"]


def test_a_real_device_is_not_used_without_a_yes(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SPEC, encoding="utf-8")
    process = pcs_run(tmp_path, "-q", "tiny.yaml", "-t", "qpu")
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == (
        "error: Send 3 jobs (60 runs, cost unknown) to FRESNEL_CAN1, a real device? "
        "There is no terminal to ask on, and nothing was sent\n"
        "next: pcs-run -q tiny.yaml -t qpu --yes\n"
    )
    assert not (tmp_path / "runs").exists()


WRONG = SPEC.replace("runs: 20", "runs: 1e3.5").replace("name: tiny", "name: Tiny").replace("amplitude", "amplitud")


def test_validate_reports_every_problem_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(SPEC, encoding="utf-8")
    process = pcs_run(tmp_path, "validate", "tiny.yaml", "wrong.yaml")
    assert process.returncode == 2
    places = [line.split(": ")[:2] for line in process.stdout.splitlines() if line.startswith("wrong.yaml:")]
    assert ["wrong.yaml:2:7", "name"] in places
    assert process.stderr.splitlines()[-1] == "next: pcs-run validate wrong.yaml"
    assert "tiny.yaml:" not in process.stdout

    problems = json.loads(pcs_run(tmp_path, "validate", "wrong.yaml", "--format", "json").stdout)
    assert [[f"{one['file']}:{one['line']}:{one['column']}", one["path"]] for one in problems] == places

    annotations = pcs_run(tmp_path, "validate", "wrong.yaml", "--format", "github").stdout.splitlines()
    assert len(annotations) == len(problems)
    assert annotations[0].startswith("::error file=wrong.yaml,line=2,col=7,title=name::")


def test_a_wrong_spec_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    process = pcs_run(tmp_path, "wrong.yaml", "--json")
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1] == "next: pcs-run validate wrong.yaml"
    (error,) = [json.loads(line) for line in process.stdout.splitlines()]
    assert (error["event"], error["exit_code"]) == ("error", 2)
    assert error["problems"][0]["line"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wrong.yaml"]


def test_a_schema_error_does_not_load_pulser(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    for command in ("validate", "run"):
        code = (
            "import sys; from pcs_runner.cli import main; "
            f"code = main([{command!r}, 'wrong.yaml']); "
            "print(code, [m for m in ('pulser', 'numba', 'requests') if m in sys.modules])"
        )
        process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert process.stdout.splitlines()[-1] == "2 []"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("nowhere.yaml", "nowhere.yaml"),
        (".", "."),
    ],
)
def test_a_spec_that_cannot_be_read_is_one_message(tmp_path: Path, argument: str, message: str) -> None:
    process = pcs_run(tmp_path, argument)
    assert (process.returncode, process.stdout) == (2, "")
    lines = process.stderr.splitlines()
    assert lines[0].startswith(message)
    assert lines[-1] == f"next: pcs-run validate {argument}"
    assert "Traceback" not in process.stderr
