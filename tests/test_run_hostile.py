"""What a service says is text from outside: it reaches no terminal, table or file name unchecked."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.cli.progress import Follower
from pcs_runner.cli.session import Session
from pcs_runner.errors import InterruptedRunError, ServiceError, UsageError
from pcs_runner.pcs.protocol import BatchStatus
from pcs_runner.run.directory import RunFolder
from pcs_runner.run.execute import cancel, start
from small_plan import Bench, small_plan
from stand_in_client import Service, StandInClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.pcs.protocol import JobResult

HOSTILE = "\x1b[2J\x1b]0;owned\x07=HYPERLINK(1)<script>\u202e../../etc/passwd\x9b31m"
CONTROLS = ("\x1b", "\x07", "\x9b", "\u202e")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder: these tests make many syncs and need none of them."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


class Hostile(StandInClient):
    """Says terrible things in every field that is not an id."""

    def batch_status(self, batch_id: str) -> BatchStatus:
        status = super().batch_status(batch_id)
        counts = {**status.jobs_count_per_status, HOSTILE: 1}
        return BatchStatus(status=status.status if status.status == "DONE" else HOSTILE, jobs_count_per_status=counts)

    def _job(self, job: Any, **more: Any) -> Any:
        made = super()._job(job, **more)
        if made.status == "ERROR":
            made.errors = [HOSTILE * 1000] * 1000
            made.end_timestamp = HOSTILE
        return made


def test_nothing_of_it_gets_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither to the screen, nor into the log, the records and the tables; and no file has its name."""
    service = Service()
    service.failures = {3.0: 1}
    with Follower(Session()) as follower:
        run = start(small_plan(tmp_path, 8), on_event=follower, client_factory=lambda *_: Hostile(service))
    assert run.counts == {"DONE": 7, "ERROR": 1}
    screen = capsys.readouterr()
    files = [path for path in run.folder.iterdir() if path.suffix in {".jsonl", ".csv", ".log", ".json"}]
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    for name, text in {"stdout": screen.out, "stderr": screen.err, **texts}.items():
        assert not any(control in text for control in CONTROLS), name
    assert (run.folder / "results.jsonl").stat().st_size < 100_000
    assert "job 3 failed" in screen.err
    cells = [cell for line in texts["results.csv"].splitlines() for cell in line.split(",")]
    assert not any(cell.startswith(("=", "+", "@")) for cell in cells)
    assert "'=g" in cells
    assert not any("passwd" in path.name for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counter": {"=1": 10}}, "bitstring '=1' for 2 atoms"),
        ({"counter": {"../": 10}}, "bitstring '../' for 2 atoms"),
        ({"raw": ["\x1b["] * 10}, "the raw bitstrings are not the ones that were counted"),
        ({"counter": {"11": 10}, "raw": ["11"] * 9 + ["00"]}, "the raw bitstrings are not the ones that were counted"),
    ],
)
def test_bitstrings_are_checked_before_anything_is_written(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    bench = Bench(small_plan(tmp_path, 6))

    def wrong(result: JobResult) -> JobResult:
        return replace(result, **change)

    bench.service.wrong_result = wrong
    with pytest.raises(ServiceError, match=message):
        bench.start()
    folder = Path(bench.told("created")[0].message)
    assert not (folder / "results.jsonl").exists() or (folder / "results.jsonl").stat().st_size == 0


def test_modes(tmp_path: Path) -> None:
    """The folder is the user's alone, and so is what holds results, also when it is copied out of it."""
    old = os.umask(0o022)
    try:
        run = Bench(small_plan(tmp_path, 6)).start()
    finally:
        os.umask(old)
    assert stat.S_IMODE(run.folder.stat().st_mode) == 0o700
    for name in (
        "journal.db",
        "manifest.json",
        "results.jsonl",
        "results.csv",
        "counts.csv",
        "spec.yaml",
        "sequences/aaaaaaaa.json",
    ):
        assert stat.S_IMODE((run.folder / name).stat().st_mode) == 0o600, name


@pytest.mark.parametrize("backend", ["local", "pcs"])
@pytest.mark.parametrize("existed", [False, True])
def test_a_client_that_cannot_be_made_leaves_no_folder(tmp_path: Path, backend: str, existed: bool) -> None:
    """Nobody is logged in, or the twin cannot be opened: as if nothing had been typed."""
    folder = tmp_path / "own"
    if existed:
        folder.mkdir()

    def refuse(_target: Any, place: Path, _workers: int | None) -> Any:
        if backend == "local":
            (place / "twin.db").touch()
        raise UsageError("nobody is logged in")

    plan = small_plan(tmp_path, 6, backend=backend)
    for output in (folder, None):
        with pytest.raises(UsageError, match="nobody is logged in"):
            start(plan, output=output, client_factory=refuse)
    assert (list(folder.iterdir()) == []) if existed else not folder.exists()
    assert [path for path in (tmp_path / "runs" / "small").iterdir() if path.is_dir()] == []
    bench = Bench(plan)
    bench.check_whole(bench.start(output=folder))


def test_cancelling_a_local_run_runs_nothing(tmp_path: Path) -> None:
    """The twin is opened to look and to cancel: no engine, no worker, and what is not done is CANCELED."""
    from pcs_runner import api

    (tmp_path / "tiny.yaml").write_text(SPEC)

    def stop(event: Any) -> None:
        if event.kind == "batch_created":
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        api.run(api.plan(tmp_path / "tiny.yaml", check=False), output=tmp_path / "here", on_event=stop, workers=1)
    plan = api.plan(tmp_path / "tiny.yaml", check=False)
    run = cancel(tmp_path / "here", make_plan=lambda _folder: plan)
    assert (run.state, run.counts) == ("cancelled", {"CANCELED": 3})
    assert RunFolder(run.folder).journal.is_file()


SPEC = """\
version: 1
name: tiny
sequence:
  device: AnalogDevice
  register: {from_coordinates: {coords: [[0, 0]]}, automatic_layout: true}
  channels: {ising: rydberg_global}
  operations: [{op: pulse, duration: t, amplitude: 6.28, detuning: 0}]
jobs: {runs: 20, sweep: {grid: {t: [100, 500, 1000]}}}
"""
