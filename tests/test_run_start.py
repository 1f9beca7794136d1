"""Which folder a run goes to, who may write there, and what lies in it afterwards."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.errors import InterruptedRunError, RunHeldError, StorageError, UsageError
from pcs_runner.run import execute, lock
from pcs_runner.run.directory import RunFolder, check_free
from pcs_runner.run.events import KINDS, Event
from pcs_runner.run.session import Effects
from small_plan import Bench, small_plan

if TYPE_CHECKING:
    from collections.abc import Callable


def interrupt(bench: Bench) -> Path:
    """Start a run and press Ctrl-C in the middle; its folder."""

    def stop(name: str, _when: str) -> None:
        if name == "add_jobs" and bench.service.calls[name] == 2:
            raise KeyboardInterrupt

    bench.service.hook = stop
    with pytest.raises(InterruptedRunError):
        bench.start()
    bench.service.hook = lambda _name, _when: None
    return Path(bench.told("created")[0].message)


def test_an_undisturbed_run(tmp_path: Path) -> None:
    """Folder, files, modes, events."""
    bench = Bench(small_plan(tmp_path, 10))
    run = bench.start()
    bench.check_whole(run)
    assert run.folder.parent == tmp_path / "runs" / "small"
    assert run.folder.name.endswith("Z-01234567")
    names = {path.name for path in run.folder.iterdir()} - {"run.lock"}
    assert names == {
        "spec.yaml",
        "manifest.json",
        "inputs",
        "sequences",
        "journal.db",
        "results.jsonl",
        "report.html",
        "results.csv",
        "counts.csv",
        "run.log",
    }
    assert stat.S_IMODE(run.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((run.folder / "journal.db").stat().st_mode) == 0o600
    assert (run.folder / "inputs" / "sequences" / "a.json").read_bytes() == b"{}"
    assert (run.folder / "sequences" / "aaaaaaaa.json").read_text() == '{"sequence": "aaaaaaaa"}'
    assert (run.exit_code, run.total, run.recorded) == (0, 10, 10)
    assert bench.kinds()[0] == "created"
    assert bench.kinds()[-1] == "finished"
    assert set(bench.kinds()) <= set(KINDS)
    assert "submitted 10/10" in (run.folder / "run.log").read_text()
    assert "+00:00 INFO pcs_runner.run: finished" in (run.folder / "run.log").read_text()


def test_what_is_sent(tmp_path: Path) -> None:
    """Tags to be found by, and for a twin where its randomness begins."""
    bench = Bench(small_plan(tmp_path, 10, max_jobs=6, tags=["mine"], configuration={"shots_mode": "x", "seed": 9}))
    run = bench.start()
    tags = [f"pcs-run:{run.uuid}", f"pcs-run:{run.uuid}:1", "pcs-plan:0123456789abcdef", "mine"]
    second = bench.service.batches[1].request
    assert list(second.tags) == tags
    assert second.configuration == {"shots_mode": "x", "seed": 0, "first_index": 6, "engine": "auto"}
    assert second.sequence_builder == '{"sequence": "aaaaaaaa"}'
    assert second.device_type == "EMU_FREE"


def test_a_cloud_gets_the_users_configuration_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCS_RUNNER_SETTLE_S", "0")
    bench = Bench(small_plan(tmp_path, 4, backend="pcs", configuration={"dt": 10}), is_twin=False)
    bench.start()
    assert bench.service.batches[0].request.configuration == {"dt": 10}


def test_several_sequences_travel_with_their_jobs(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 10, sequences=("aaaaaaaa", "bbbbbbbb")))
    bench.check_whole(bench.start())
    assert bench.service.batches[0].request.sequence_builder is None
    assert bench.service.all_jobs()[1].request.sequence == '{"sequence": "bbbbbbbb", "x": 1.0}'
    assert bench.service.all_jobs()[1].request.variables is None


def test_split_makes_a_batch_of_each_sequence(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 10, split="sequence", sequences=("aaaaaaaa", "bbbbbbbb")))
    bench.check_whole(bench.start())
    assert [batch.request.sequence_builder for batch in bench.service.batches] == [
        '{"sequence": "aaaaaaaa"}',
        '{"sequence": "bbbbbbbb"}',
    ]
    assert [job.request.variables for job in bench.service.batches[1].jobs] == [{"x": float(x)} for x in (1, 3, 5, 7, 9)]


def test_the_same_plan_is_not_run_twice(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 10))
    first = bench.start()
    calls = bench.service.calls.total()
    assert bench.start() == first
    assert bench.kinds()[-1] == "already_finished"
    assert bench.service.calls.total() == calls
    assert bench.resume(first.folder) == first


def test_new_runs_it_again(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 10))
    first, second = bench.start(), bench.start(new=True)
    assert first.folder != second.folder
    assert second.counts == {"DONE": 10}
    assert bench.start().folder == second.folder


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 20))
    folder = interrupt(bench)
    assert execute.open_run(folder).state == "running"
    run = bench.start()
    assert run.folder == folder
    bench.check_whole(run)
    assert len(bench.service.all_jobs()) == 20
    assert "resumed" in bench.kinds()


def test_the_interruption_says_how_to_go_on(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 20))
    bench.service.hook = lambda _name, _when: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(InterruptedRunError) as caught:
        bench.start()
    folder = bench.told("created")[0].message
    assert caught.value.hint == f"Resume it with `pcs-run resume {folder}`."
    assert caught.value.exit_code == 130


def test_an_own_folder(tmp_path: Path) -> None:
    """New, empty, of this plan, of another plan, of somebody else."""
    bench = Bench(small_plan(tmp_path, 10))
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty", "deep/er"):
        run = bench.start(output=tmp_path / name)
        assert run.folder == tmp_path / name
        assert run.counts == {"DONE": 10}
        assert bench.start(output=tmp_path / name) == run
    with pytest.raises(UsageError, match="holds a run of this plan already"):
        bench.start(output=tmp_path / "new", new=True)
    other = Bench(small_plan(tmp_path, 10, digest="f" * 64))
    with pytest.raises(UsageError, match="holds a run of another plan"):
        other.start(output=tmp_path / "new")


def test_somebody_elses_folder_is_not_touched(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 10))
    folder = tmp_path / "thesis"
    folder.mkdir(mode=0o755)
    (folder / "chapter1.tex").write_text("x")
    with pytest.raises(UsageError) as caught:
        bench.start(output=folder)
    assert str(caught.value) == f"{folder} holds something else: chapter1.tex"
    assert [path.name for path in folder.iterdir()] == ["chapter1.tex"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    with pytest.raises(UsageError, match="cannot be a run folder"):
        bench.start(output=folder / "chapter1.tex")
    assert bench.service.calls.total() == 0


def test_a_second_process_is_told_who_holds_the_run(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 20))
    folder = interrupt(bench)
    code = (
        "import sys, pathlib\nfrom pcs_runner.run import lock\n"
        "with lock.holding(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        attempts: list[Callable[[], Any]] = [bench.start, lambda: bench.resume(folder)]
        for attempt in attempts:
            with pytest.raises(RunHeldError) as caught:
                attempt()
            assert str(caught.value) == f"the run {folder} is held by process {other.pid} on {os.uname().nodename}"
            assert "Ctrl-C" in caught.value.hint
        held_by = execute.open_run(folder).held_by
        assert held_by is not None
        assert held_by[1] == other.pid
        other.stdin.close()
    assert execute.open_run(folder).held_by is None
    bench.check_whole(bench.start())


def test_a_folder_that_was_left_half_made(tmp_path: Path) -> None:
    """A process died while it filled an own folder: nothing was sent, and the folder can be used."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name in (".incomplete", "spec.yaml", "run.lock"):
        (folder / name).write_text("")
    (folder / "inputs").mkdir()
    bench = Bench(small_plan(tmp_path, 10))
    bench.check_whole(bench.start(output=folder))


def test_a_disk_that_is_full_before_anything_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, and nothing is left behind."""
    bench = Bench(small_plan(tmp_path, 10))
    (tmp_path / "empty").mkdir()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pcs_runner.run.manifest.write_bytes", full)
    for arguments in ({}, {"output": tmp_path / "own"}, {"output": tmp_path / "empty"}):
        with pytest.raises(UsageError, match="No space left on device"):
            bench.start(**arguments)
    assert not (tmp_path / "own").exists()
    assert list((tmp_path / "empty").iterdir()) == []
    assert [path for path in (tmp_path / "runs" / "small").iterdir() if path.is_dir()] == []
    assert bench.service.calls.total() == 0


def test_a_disk_that_is_full_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3, and the run goes on when there is room again."""
    bench = Bench(small_plan(tmp_path, 10))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "results.jsonl")

    with monkeypatch.context() as patch:
        patch.setattr("pcs_runner.run.collect.jsonl.append", full)
        with pytest.raises(StorageError, match=r"results\.jsonl: No space left on device") as caught:
            bench.start()
    assert caught.value.exit_code == 3
    bench.check_whole(bench.start())


def test_a_run_folder_of_a_changed_spec_is_refused(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 20))
    folder = interrupt(bench)
    other = Bench(small_plan(tmp_path, 20, digest="f" * 64), service=bench.service)
    with pytest.raises(UsageError, match="gives another plan"):
        other.resume(folder)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"it has no journal\.db"):
        execute.open_run(tmp_path)


@pytest.mark.parametrize("damage", ["torn", "cut", "missing", "garbage", "unknown_line"])
def test_results_that_do_not_agree_with_the_journal(tmp_path: Path, damage: str) -> None:
    """Repaired before anything is appended: what is lost is fetched again, what is unknown is cut."""
    whole = Bench(small_plan(tmp_path / "whole", 20))
    expected = whole.start().results_path.read_bytes()
    bench = Bench(small_plan(tmp_path, 20))
    folder = interrupt(bench)
    path = folder / "results.jsonl"
    body = path.read_bytes()
    assert body.count(b"\n") >= 2
    if damage == "torn":
        path.write_bytes(body + b'{"index":99,"gro')
    elif damage == "cut":
        path.write_bytes(body[: len(body) // 2])
    elif damage == "missing":
        path.unlink()
    elif damage == "garbage":
        path.write_bytes(b"\0" * len(body))
    else:
        number = body.count(b"\n")
        path.write_bytes(body + body.splitlines()[-1].replace(b'{"index":%d' % (number - 1), b'{"index":%d' % number) + b"\n")
    run = bench.start()
    bench.check_whole(run)
    assert run.results_path.read_bytes() == expected


def test_the_manifest(tmp_path: Path) -> None:
    """Everything that says where a number came from."""
    subprocess.run(["git", "init", "-q", str(tmp_path / "work")], check=True)
    spec = tmp_path / "work" / "small.yaml"
    spec.write_text("version: 1\n")
    git = ["git", "-C", str(tmp_path / "work"), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    plan = small_plan(tmp_path, 10)
    plan.document.file = str(spec)  # type: ignore[misc]
    bench = Bench(plan)
    run = bench.start(overrides={"jobs.runs": 10})
    manifest = run.manifest
    assert manifest["spec"]["file"] == "small.yaml"
    assert manifest["digest"] == plan.digest
    assert manifest["engines"] == [{"engine": "qutip", "reason": "the sequence cannot be read", "jobs": plan.total_jobs}]
    assert manifest["git"]["dirty"] is False
    assert len(manifest["git"]["commit"]) == 40
    assert manifest["packages"]["pulser-core"]
    assert manifest["devices"]["AnalogDevice"]["spec"] == {"name": "AnalogDevice"}
    assert manifest["bit_order"] == "leftmost = first atom of the register"
    assert manifest["registers"] == [{"atoms": ["q0", "q1"], "sequences": ["aaaaaaaa"]}]
    assert manifest["overrides"] == {"jobs.runs": 10}
    assert manifest["target"]["batch"]["chunk"] == 4
    assert manifest["counts"] == {"DONE": 10}
    assert manifest["state"] == "finished"
    times = [datetime.fromisoformat(manifest["times"][name]) for name in ("created", "started", "ended")]
    assert times == sorted(times)
    assert times[0].tzinfo == UTC
    assert RunFolder(run.folder).devices() == {"AnalogDevice": '{"name": "AnalogDevice"}'}


def test_what_one_means_is_what_pulser_says() -> None:
    """The manifest's text agrees with Pulser's own inference."""
    from pulser_simulation import QutipState

    from pcs_runner.run.manifest import ONE_MEANS

    bases: dict[str, Any] = {"ground-rydberg": ("r", "g"), "digital": ("g", "h"), "XY": ("u", "d")}
    for basis, states in bases.items():
        state = QutipState.from_state_amplitudes(eigenstates=states, amplitudes={states[0]: 1.0})
        assert f"state {state.infer_one_state()}," in ONE_MEANS[basis]


def test_an_event_as_data_and_as_a_line() -> None:
    event = Event(kind="submitted", number=0, total=20)
    assert event.as_dict() == {"kind": "submitted", "number": 0, "total": 20}
    assert str(event) == "submitted 0/20"
    assert str(Event(kind="status", counts={"DONE": 2}, message="a\nb")) == "status DONE=2 a b"


def test_a_note_of_a_dead_holder_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "run.holder").write_text(json.dumps({"host": "there", "pid": 1}))
    with lock.holding(tmp_path):
        pass
    assert not (tmp_path / "run.holder").exists()


def test_a_run_that_another_process_made_meanwhile_is_gone_on_with(tmp_path: Path) -> None:
    """Between the look at the folder and its making: the same plan's run is the run, another plan's is refused."""
    other = Bench(small_plan(tmp_path, 3, digest="f" * 64))
    for first, folder in ((Bench(small_plan(tmp_path, 6)), tmp_path / "same"), (other, tmp_path / "another")):
        second = Bench(small_plan(tmp_path, 6), service=first.service)

        def new_uuid(first: Bench = first, folder: Path = folder) -> str:
            first.start(output=folder)
            return "late"

        second._shared["effects"] = Effects(new_uuid=new_uuid)
        if first is other:
            with pytest.raises(UsageError, match="holds a run of another plan"):
                second.start(output=folder)
        else:
            assert second.start(output=folder).uuid == execute.open_run(folder).uuid != "late"
        assert len(first.service.all_jobs()) == first.plan.total_jobs


def test_a_folder_that_has_become_a_run_is_not_somebody_elses(tmp_path: Path) -> None:
    """The look at it found no run, and the next one its files."""
    check_free(Bench(small_plan(tmp_path, 3)).start().folder)


@pytest.mark.parametrize("moment", ["opened", "written"])
def test_a_log_that_cannot_be_written_stops_no_run(tmp_path: Path, moment: str) -> None:
    """Neither when the file cannot be opened, nor when it is full at the end."""
    bench = Bench(small_plan(tmp_path, 3))

    def spoil(event: Event) -> None:
        if event.kind == "created":
            log = Path(event.message) / "run.log"
            log.mkdir() if moment == "opened" else log.symlink_to("/dev/full")

    bench._shared["on_event"] = spoil
    bench.check_whole(bench.start())
