"""Runs on the real twin, killed with -9 and resumed: the same results as an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pcs_runner.run import execute

ROOT = Path(__file__).resolve().parent.parent

SPEC = """\
version: 1
name: kill-me
sequence:
  device: AnalogDevice
  register:
    from_coordinates: {coords: [[0, 0]]}
    automatic_layout: true
  channels: {ising: rydberg_global}
  operations:
    - {op: pulse, duration: t, amplitude: 6.283185307179586, detuning: 0}
  measurement: ground-rydberg
jobs:
  runs: 100
  sweep: {grid: {t: {arange: {start: 40, stop: 1281, step: 40}}}}
batch: {chunk: 3}
targets: {local: {engine: qutip}}  # in groups of four, so that there is a middle to be killed in
"""

CODE = """\
import sys
import pcs_runner

if __name__ == "__main__":
    spec, folder = sys.argv[1:]
    run = pcs_runner.run(pcs_runner.plan(spec), output=folder, workers=1, on_event=lambda event: print(event, flush=True))
    sys.exit(run.exit_code)
"""


def process(spec: Path, folder: Path) -> subprocess.Popen[str]:
    """A runner of its own, in a session of its own so that its workers can be killed with it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    script = spec.parent / "go.py"
    script.write_text(CODE)
    command = [sys.executable, str(script), str(spec), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def wait_for(runner: subprocess.Popen[str], word: str) -> None:
    assert runner.stdout is not None
    for line in runner.stdout:
        if line.startswith(word):
            return
    pytest.fail(f"it ended with {runner.wait()} before it said {word}")


def same(folder: Path) -> list[object]:
    """The records without ids and times."""
    return [
        (r.index, r.point, r.variables, r.runs, r.status, r.counts, r.duration_ns, r.sequence, r.attempt)
        for r in execute.open_run(folder).records
    ]


@pytest.mark.slow
def test_killed_and_resumed(tmp_path: Path) -> None:
    """SIGKILL while submitting, while running and while recording."""
    spec = tmp_path / "kill-me.yaml"
    spec.write_text(SPEC)
    whole = process(spec, tmp_path / "whole")
    wait_for(whole, "finished")
    assert whole.wait(60) == 0
    folder = tmp_path / "killed"
    for word, delay_s in (("batch_created", 0.0), ("submitted", 0.02), ("recorded", 0.01)):
        runner = process(spec, folder)
        wait_for(runner, word)
        time.sleep(delay_s)
        os.killpg(runner.pid, signal.SIGKILL)
        runner.wait(60)
        assert not execute.open_run(folder).ended
    runner = process(spec, folder)
    wait_for(runner, "finished")
    assert runner.wait(60) == 0
    assert same(folder) == same(tmp_path / "whole")
    assert len(execute.open_run(folder).batch_ids) == 1
    assert (folder / "results.csv").read_bytes() == (tmp_path / "whole" / "results.csv").read_bytes()
    assert (folder / "counts.csv").read_bytes() == (tmp_path / "whole" / "counts.csv").read_bytes()


@pytest.mark.slow
def test_resumed_from_the_folder_alone(tmp_path: Path) -> None:
    """The spec is gone: the run folder has everything."""
    spec = tmp_path / "kill-me.yaml"
    spec.write_text(SPEC)
    folder = tmp_path / "run"
    runner = process(spec, folder)
    wait_for(runner, "submitted")
    os.killpg(runner.pid, signal.SIGKILL)
    runner.wait(60)
    spec.unlink()
    run = execute.resume(folder, workers=1)
    assert (run.state, run.counts, run.exit_code) == ("finished", {"DONE": 32}, 0)
