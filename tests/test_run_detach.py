"""`--detach`: everything is sent, nothing is waited for, and `resume` collects the results."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pcs_runner.cli import main
from pcs_runner.errors import UsageError
from small_plan import Bench, small_plan

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder: these tests make many syncs and need none of them."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def test_everything_is_sent_and_closed(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 14, backend="pcs", max_jobs=6), is_twin=False)
    bench.service.speed = 0
    run = bench.start(detach=True)
    assert (run.state, run.recorded, run.ended, run.exit_code) == ("running", 0, False, 0)
    assert [len(batch.jobs) for batch in bench.service.batches] == [6, 6, 2]
    assert not any(batch.open for batch in bench.service.batches)
    assert bench.service.calls["batch_status"] == 0
    assert [event.message for event in bench.told("detached")] == ["14 jobs go on at PCS"]
    bench.service.speed = 3
    bench.check_whole(bench.resume(run.folder))
    assert len(bench.service.all_jobs()) == 14


def test_with_retries_left_the_batch_stays_open(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 14, backend="pcs", on_failure={"retries": 1}), is_twin=False)
    bench.service.failures = {3.0: 1}
    run = bench.start(detach=True)
    assert bench.service.batches[0].open
    assert bench.told("detached")[0].message == "14 jobs and an open batch, which holds its device, go on at PCS"
    bench.check_whole(bench.resume(run.folder))
    assert len(bench.service.batches) == 1


def test_twice_is_once(tmp_path: Path) -> None:
    """A run that was detached is followed by the next command, detached or not."""
    bench = Bench(small_plan(tmp_path, 14, backend="pcs"), is_twin=False)
    first = bench.start(detach=True)
    assert bench.start(detach=True).folder == first.folder
    bench.check_whole(bench.start())
    assert len(bench.service.all_jobs()) == 14


def test_an_interrupted_submission_goes_on_detached(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 14, backend="pcs"), is_twin=False)

    def stop(name: str, when: str) -> None:
        if (name, when) == ("add_jobs", "after") and bench.service.calls[name] == 2:
            raise KeyboardInterrupt

    bench.service.hook = stop
    with pytest.raises(BaseException, match="interrupted; 8 jobs go on at PCS"):
        bench.start(detach=True)
    bench.service.hook = lambda _name, _when: None
    run = bench.start(detach=True)
    assert len(bench.service.all_jobs()) == 14
    bench.check_whole(bench.resume(run.folder))


def test_on_this_machine_it_makes_no_sense(tmp_path: Path) -> None:
    """Nothing is made, nothing is sent."""
    bench = Bench(small_plan(tmp_path, 14))
    with pytest.raises(UsageError, match="--detach makes no sense on the target local") as caught:
        bench.start(detach=True)
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_the_refusal_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "tiny"]) == 0
    assert main(["-q", "tiny.yaml", "--detach"]) == 2
    assert "error: --detach makes no sense on the target local: the local twin runs only as long" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
