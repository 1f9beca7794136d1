"""Ctrl-C and SIGTERM: the run ends within seconds, says what goes on, and can be resumed; a second one leaves at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pcs_runner.errors import InterruptedRunError
from pcs_runner.run.execute import open_run
from small_plan import Bench, small_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder: these tests make many syncs and need none of them."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


MOMENTS = [
    *((call, "before") for call in ("create_batch", "add_jobs", "batch_status", "list_jobs", "results", "close_batch")),
    *((call, "after") for call in ("create_batch", "add_jobs", "close_batch")),
    ("list_batches", "before"),
]


@pytest.mark.parametrize("backend", ["local", "pcs"])
@pytest.mark.parametrize(("call", "moment"), MOMENTS)
def test_in_every_phase(tmp_path: Path, backend: str, call: str, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it hits, the run goes on afterwards, and every job was sent once."""
    monkeypatch.setenv("PCS_RUNNER_SETTLE_S", "40")
    bench = Bench(small_plan(tmp_path, 14, backend=backend), is_twin=backend == "local")
    hit = False

    def stop(name: str, when: str) -> None:
        nonlocal hit
        if (name, when) == (call, moment) and not hit and bench.told("created"):
            hit = True
            raise KeyboardInterrupt

    bench.service.hook = stop
    with pytest.raises(InterruptedRunError) as caught:
        bench.start()
    folder = Path(bench.told("created")[0].message)
    resume = f"Resume it with `pcs-run resume {folder}`."
    if backend == "local":
        assert (str(caught.value), caught.value.hint) == ("interrupted; nothing runs any more, and what is done is kept", resume)
    else:
        assert str(caught.value).startswith("interrupted; ")
        assert str(caught.value).endswith("at PCS")
        assert caught.value.hint.endswith(resume)
    assert f"InterruptedRunError: {caught.value}" in (folder / "run.log").read_text()
    bench.check_whole(bench.resume(folder))
    assert len(bench.service.all_jobs()) == 14


def test_what_goes_on_is_counted(tmp_path: Path) -> None:
    """On the cloud: how many jobs, and how to cancel them."""
    bench = Bench(small_plan(tmp_path, 14, backend="pcs"), is_twin=False)
    bench.service.speed = 0

    def stop(name: str, _when: str) -> None:
        if name == "batch_status" and bench.service.calls[name] == 5:
            raise KeyboardInterrupt

    bench.service.hook = stop
    with pytest.raises(InterruptedRunError) as caught:
        bench.start()
    folder = bench.told("created")[0].message
    assert str(caught.value) == "interrupted; 14 jobs go on at PCS"
    assert caught.value.hint == f"Cancel them with `pcs-run cancel {folder}`. Resume it with `pcs-run resume {folder}`."


SPEC = """\
version: 1
name: tiny
sequence:
  device: AnalogDevice
  register: {from_coordinates: {coords: [[0, 0]]}, automatic_layout: true}
  channels: {ising: rydberg_global}
  operations: [{op: pulse, duration: t, amplitude: 6.28, detuning: 0}]
jobs: {runs: 20, sweep: {grid: {t: {arange: {start: 100, stop: 2500, step: 20}}}}}
batch: {chunk: 5}
"""

SLOW_TO_CLOSE = """\
import sys, time
from pcs_runner.cli import main
from pcs_runner.emulator.client import LocalClient

close = LocalClient.close

def slowly(self):
    print("closing", file=sys.stderr, flush=True)
    time.sleep(60)
    close(self)

if __name__ == "__main__":
    LocalClient.close = slowly
    sys.exit(main())
"""


def begun(command: list[str], folder: Path, word: str) -> subprocess.Popen[str]:
    """A process that has said a word on stderr."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    wait_for(process, word)
    return process


def wait_for(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(word):
            return
    pytest.fail(f"it ended with {process.wait()} before it said {word}")


@pytest.mark.slow
@pytest.mark.parametrize(("word", "sent"), [("submitted", signal.SIGINT), ("collected", signal.SIGTERM)])
def test_a_real_process_ends_within_seconds(tmp_path: Path, word: str, sent: signal.Signals) -> None:
    (tmp_path / "tiny.yaml").write_text(SPEC)
    process = begun([sys.executable, "-m", "pcs_runner", "tiny.yaml", "-o", "here", "--workers", "1"], tmp_path, word)
    begin = time.monotonic()
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - begin < 5
    assert process.returncode == 130
    assert stderr.splitlines()[-2:] == [
        "error: interrupted; nothing runs any more, and what is done is kept",
        "next: pcs-run resume here",
    ]


@pytest.mark.slow
def test_a_second_one_leaves_at_once(tmp_path: Path) -> None:
    """While the first one is still cleaning up; and the run can be resumed."""
    (tmp_path / "tiny.yaml").write_text(SPEC)
    (tmp_path / "slow.py").write_text(SLOW_TO_CLOSE)
    process = begun([sys.executable, "slow.py", "tiny.yaml", "-o", "here", "--workers", "1"], tmp_path, "submitted")
    process.send_signal(signal.SIGINT)
    wait_for(process, "closing")
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - begin < 2
    assert process.returncode == 130
    assert "left at once; what was sent is known, and the same command goes on" in stderr
    assert open_run(tmp_path / "here").held_by is None
    done = subprocess.run(
        [sys.executable, "-m", "pcs_runner", "-q", "resume", "here"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0
    assert open_run(tmp_path / "here").counts == {"DONE": 120}
