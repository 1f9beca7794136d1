"""`reuse: true`: what earlier runs measured is taken over, only the rest is sent, and nothing is counted twice."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pcs_runner
from pcs_runner.cli import main
from pcs_runner.errors import StorageError
from pcs_runner.run import reuse
from pcs_runner.run.directory import RunFolder
from pcs_runner.run.journal import Journal
from pcs_runner.run.reuse import Reused
from twin_server import TwinServer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pcs_runner.results.record import JobRecord
    from pcs_runner.run.outcome import Run

SPEC = """\
version: 1
name: again
constants: {{spacing: 7.0}}
sequence:
  device: {device}
  register:
    from_coordinates: {{coords: [[0, 0], [spacing, 0]]}}
    automatic_layout: true
  channels: {{ising: rydberg_global}}
  operations: [{{op: pulse, duration: 300, amplitude: omega, detuning: 0}}]
jobs: {{runs: {runs}, repeat: {repeat}, sweep: {{grid: {{omega: {omega}}}}}}}
reuse: {reuse}
results: {{raw: {raw}, report: false{results}}}
seed: {seed}
targets:
  local: {{engine: '{engine}'}}
  cloud: {{backend: pcs, batch: {{device_type: {device_type}}}{cloud}}}
"""
DEFAULTS: dict[str, Any] = {
    "device": "AnalogDevice",
    "runs": 100,
    "repeat": 1,
    "omega": [1, 2, 3],
    "reuse": "true",
    "raw": "false",
    "results": "",
    "seed": 0,
    "engine": "auto",
    "device_type": "EMU_FREE",
    "cloud": "",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def spec(**parts: Any) -> Path:
    path = Path("again.yaml")
    path.write_text(SPEC.format(**{**DEFAULTS, **parts}), encoding="utf-8")
    return path


def run(target: str | None = None, *, new: bool = False, **parts: Any) -> Run:
    """A run of the spec with these parts, with one worker."""
    done: Run = pcs_runner.run(pcs_runner.plan(spec(**parts), target), workers=1 if target is None else None, new=new)
    return done


def whole(**parts: Any) -> Run:
    """The same measured anew."""
    done: Run = pcs_runner.run(pcs_runner.plan(spec(**{**parts, "reuse": "false"})), output="whole", workers=1, new=True)
    return done


def sent(of: Run) -> int:
    """How many jobs a run sent."""
    journal = Journal.open(of.folder / "journal.db")
    try:
        return journal.sent()
    finally:
        journal.close()


def measured(record: JobRecord) -> tuple[Any, ...]:
    """A record without ids, times and origins."""
    return (record.index, record.point, record.variables, record.runs, record.status, record.counts, record.raw, record.sequence)


def pieces(of: Run) -> Counter[tuple[str, int]]:
    """Every measurement that the records of a run are made of."""
    own = [{"run": of.uuid, "index": record.index} for record in of.records if not record.origins]
    return Counter((one["run"], one["index"]) for one in [*own, *(one for record in of.records for one in record.origins)])


def summary(of: Run) -> tuple[int, ...]:
    told = of.manifest["reuse"]
    return tuple(told[kind] for kind in ("reuse", "add", "extend", "failed"))


def test_an_extended_sweep_runs_only_what_is_new() -> None:
    """And is equal to a run of the whole: records, tables and dataset."""
    first = run()
    assert (sent(first), summary(first)) == (3, (0, 3, 0, 0))
    longer = run(omega=[1, 2, 3, 4, 5])
    assert (sent(longer), summary(longer), longer.counts) == (2, (3, 2, 0, 0), {"DONE": 5})
    assert longer.manifest["reuse"]["sources"] == [first.folder.name]
    entire = whole(omega=[1, 2, 3, 4, 5])
    assert [measured(one) for one in longer.records] == [measured(one) for one in entire.records]
    made = list(longer.records)
    assert [one.job_id for one in made[:3]] == [one.job_id for one in first.records]
    assert made[1].origins == [{"run": first.uuid, "index": 1, "job_id": made[1].job_id, "runs": 100}]
    assert not any(one.origins for one in made[3:])
    assert (longer.folder / "counts.csv").read_bytes() == (entire.folder / "counts.csv").read_bytes()
    assert (longer.to_xarray()["occupation"].values == entire.to_xarray()["occupation"].values).all()
    assert pcs_runner.open_run(longer.folder).state == "finished"


def test_new_points_between_old_ones_are_the_draws_of_their_index() -> None:
    """What is sent does not depend on what is not: a new point has the counts that it would have in a run of the whole."""
    run(omega=[1, 3, 5])
    longer = run(omega=[1, 2, 3, 4, 5])
    entire = list(whole(omega=[1, 2, 3, 4, 5]).records)
    made = list(longer.records)
    assert sent(longer) == 2
    assert [bool(one.origins) for one in made] == [True, False, True, False, True]
    assert [measured(made[1]), measured(made[3])] == [measured(entire[1]), measured(entire[3])]


def test_more_runs_add_the_missing_shots() -> None:
    first = run(raw="true")
    more = run(runs=200, raw="true")
    assert (sent(more), summary(more)) == (3, (0, 0, 3, 0))
    for old, new in zip(first.records, more.records, strict=True):
        assert sum(new.counts.values()) == new.runs == 200
        assert new.raw is not None
        assert old.raw is not None
        assert list(new.raw[:100]) == list(old.raw)
        assert list(new.raw[100:]) != list(old.raw)  # not the same draws of the seed once more
        assert [(one["run"], one["index"], one["runs"]) for one in new.origins] == [
            (first.uuid, new.index, 100),
            (more.uuid, new.index, 100),
        ]
    third = run(runs=250, raw="true")
    assert summary(third) == (0, 0, 3, 0)
    assert all([one["runs"] for one in record.origins] == [100, 100, 50] for record in third.records)
    assert run(runs=250, raw="true", new=True).manifest["reuse"]["reuse"] == 3


def test_a_plan_says_what_it_would_take_over(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    path = spec(omega=[1, 2, 3, 4])
    assert main(["plan", str(path)]) == 0
    assert "reuse      reuse 3 / add 1 / extend 0 / failed 0, 300 runs from 1 earlier run folder\n" in capsys.readouterr().out
    assert main(["plan", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["reuse"]
    assert (told["reuse"], told["add"], told["extend"], told["failed"], told["runs"]) == (3, 1, 0, 0, 300)
    assert main([str(path), "--workers", "1"]) == 0
    assert "earlier runs: reuse 3 / add 1 / extend 0 / failed 0" in capsys.readouterr().err


def test_without_the_word_nothing_is_taken_over(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    longer = run(omega=[1, 2, 3, 4], reuse="false")
    assert (sent(longer), longer.manifest.get("reuse")) == (4, None)
    assert not (longer.folder / "reused.jsonl").exists()
    assert main(["plan", str(spec(reuse="false"))]) == 0
    assert "reuse" not in capsys.readouterr().out


def test_when_all_is_there_nothing_is_sent() -> None:
    run(omega=[1, 2, 3, 4])
    part = run(omega=[2, 4])
    assert (sent(part), summary(part), part.batch_ids, part.counts) == (0, (2, 0, 0, 0), (), {"DONE": 2})
    assert [record.point["omega"] for record in part.records] == [2, 4]
    assert pcs_runner.verify(part.folder).findings == ()


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"engine": "qutip"}, {"device": "DigitalAnalogDevice"}, {"results": "}\nconfig: {with_modulation: true"}],
)
def test_what_was_measured_otherwise_is_not_the_same(other: dict[str, Any]) -> None:
    run(**other)
    assert summary(run(omega=[1, 2, 3, 4])) == (0, 4, 0, 0)


def test_a_point_with_more_runs_is_run_again_and_the_plan_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Of 100 shots, 40 cannot be chosen."""
    run()
    assert main(["plan", str(spec(runs=40))]) == 0
    out = capsys.readouterr().out
    assert "reuse 0 / add 3 / extend 0 / failed 0; of 3 added jobs an earlier run has more runs than are asked for" in out


def test_shots_in_order_are_not_taken_from_a_run_without() -> None:
    run()
    assert summary(run(raw="true", new=True)) == (0, 3, 0, 0)
    assert summary(run(raw="true", new=True)) == (3, 0, 0, 0)


def test_equal_jobs_are_measurements_of_their_own() -> None:
    """A point that stands twice in the plan needs two earlier measurements; the merged one goes with its parts."""
    first = run(omega=[2])
    twice = run(omega=[2], repeat=2)
    assert summary(twice) == (1, 1, 0, 0)
    extended = run(omega=[2], runs=200, repeat=2)
    assert summary(extended) == (0, 0, 2, 0)
    assert max(pieces(extended).values()) == 1
    assert (first.uuid, 0) in pieces(extended)
    thrice = run(omega=[2], runs=200, repeat=3)
    assert summary(thrice) == (2, 1, 0, 0)
    assert max(pieces(thrice).values()) == 1


def test_a_failed_job_is_run_again() -> None:
    first = run(engine="twin_backends:Deadly", omega=[2, 6])
    assert first.counts == {"DONE": 1, "ERROR": 1}
    again = run(engine="twin_backends:Deadly", omega=[2, 6], new=True)
    assert (sent(again), summary(again), again.counts) == (1, (1, 0, 0, 1), {"DONE": 1, "ERROR": 1})


def test_a_job_that_is_extended_and_fails_can_be_retried() -> None:
    """Its record says that it failed; what was taken over is merged when the missing runs are there."""
    run(engine="twin_backends:Deadly", omega=[2, 3])
    again = run(engine="twin_backends:Deadly", omega=[2, 3], runs=300)
    retried = pcs_runner.retry(again.folder)
    assert retried.counts == {"DONE": 2}
    assert all(sum(record.counts.values()) == 300 for record in retried.records)


@pytest.mark.parametrize("lost", ["journal", "journal and results"])
def test_a_lost_journal_is_rebuilt(lost: str) -> None:
    run()
    longer = run(omega=[1, 2, 3, 4, 5])
    before = [record.to_line() for record in longer.records]
    (longer.folder / "journal.db").unlink()
    if "results" in lost:
        (longer.folder / "results.jsonl").unlink()
    rebuilt = pcs_runner.resume(longer.folder, workers=1)
    assert (rebuilt.state, sent(rebuilt)) == ("finished", 2)
    assert [record.to_line() for record in rebuilt.records] == before


def test_the_decision_is_kept_with_the_run() -> None:
    """The earlier run may go; what was taken over stays in the folder, and is verified."""
    first = run()
    longer = run(omega=[1, 2, 3, 4])
    shutil.rmtree(first.folder)
    assert pcs_runner.verify(longer.folder).findings == ()
    lines = (longer.folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
    changed = json.loads(lines[0])
    changed["counts"] = {"11": 100}
    (longer.folder / "results.jsonl").write_text(
        "\n".join([json.dumps(changed, separators=(",", ":")), *lines[1:]]) + "\n", encoding="utf-8"
    )
    found = [str(finding) for finding in pcs_runner.verify(longer.folder).findings]
    assert any("line 1: it lacks shots that were taken over from an earlier run" in one for one in found)


def test_a_damaged_decision_is_not_guessed() -> None:
    run()
    longer = run(omega=[1, 2, 3, 4])
    (longer.folder / "reused.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="it has 0 jobs, manifest"):
        Reused(RunFolder(longer.folder))
    (longer.folder / "journal.db").unlink()
    with pytest.raises(StorageError, match="is damaged"):
        pcs_runner.resume(longer.folder)


def test_records_that_cannot_be_right_are_not_taken_over() -> None:
    """A torn line, a wrong sum, a foreign file: what follows or is wrong is measured again."""
    first = run(omega=[1, 2, 3, 4])
    lines = (first.folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
    wrong = json.loads(lines[1])
    wrong["counts"] = {"00": 7}
    (first.folder / "results.jsonl").write_text("\n".join([lines[0], json.dumps(wrong), lines[2], "{nonsense", ""]))
    assert summary(run(omega=[1, 2, 3, 4, 5])) == (2, 3, 0, 0)


def test_blocks_of_many_decisions_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "BLOCK", 3)
    run(omega=list(range(1, 12)), runs=5)
    longer = run(omega=[3, 9.5, 4, 1, 2, 7, 8.5, 5, 6, 9, 10, 11, 8, 3.25], runs=5)
    assert summary(longer) == (11, 3, 0, 0)
    plan = pcs_runner.plan(Path("again.yaml"))
    taken = Reused(RunFolder(longer.folder))
    jobs = list(plan.jobs())
    for job in [*jobs, *reversed(jobs), jobs[0], jobs[-1]]:
        assert taken.is_whole(job) == (job.point["omega"] not in (9.5, 8.5, 3.25))


@pytest.mark.parametrize("seed", range(3))
def test_whatever_was_run_before_nothing_is_counted_twice(seed: int) -> None:
    """Random histories: each record has its runs, no measurement is in two jobs, and what is sent is what is missing."""
    draw = random.Random(seed)
    for _ in range(5):
        values: Sequence[int] = draw.choices(range(1, 6), k=draw.randint(1, 5))
        runs, repeat = draw.choice([10, 20, 35]), draw.choice([1, 1, 2])
        made = run(omega=list(values), runs=runs, repeat=repeat, new=True)
        assert all(sum(record.counts.values()) == record.runs == runs for record in made.records)
        assert max(pieces(made).values()) == 1, (seed, values, runs, repeat)
        told = made.manifest["reuse"]
        assert sent(made) == told["add"] + told["extend"] + told["failed"]
        assert pcs_runner.verify(made.folder).findings == ()


@pytest.fixture(scope="module")
def server() -> Iterator[TwinServer]:
    with serving("--workers", "1") as twin:
        yield twin


@pytest.fixture
def cloud(server: TwinServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwinServer:
    """A user whose cloud is the twin."""
    for name in [name for name in os.environ if name.startswith(("PASQAL_", "PCS_RUNNER_"))]:
        monkeypatch.delenv(name)
    values = {**server.environment, "PCS_RUNNER_POLL_S": "0.05", "PCS_RUNNER_SETTLE_S": "1", "XDG_CACHE_HOME": str(tmp_path)}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return server


def test_over_http_only_the_missing_jobs_are_sent(cloud: TwinServer) -> None:
    first = run("cloud")
    longer = run("cloud", omega=[1, 2, 3, 4], runs=150)
    assert summary(longer) == (0, 1, 3, 0)
    jobs = cloud.data("GET", "/api/v2/jobs", params={"batch_id": longer.batch_ids[0], "limit": 100})
    assert sorted(job["runs"] for job in jobs) == [50, 50, 50, 150]
    assert all(record.origins[0]["run"] == first.uuid for record in list(longer.records)[:3])
    assert pcs_runner.verify(longer.folder).findings == ()
    (longer.folder / "journal.db").unlink()
    assert [one.to_line() for one in pcs_runner.resume(longer.folder).records] == [one.to_line() for one in longer.records]
    part = run("cloud", omega=[2, 4], runs=150)
    assert (summary(part), part.batch_ids) == ((2, 0, 0, 0), ())
    (part.folder / "journal.db").unlink()
    assert pcs_runner.resume(part.folder).counts == {"DONE": 2}
    assert summary(run(omega=[2, 4])) == (0, 2, 0, 0)  # this machine is another place


@pytest.mark.parametrize(("word", "kinds"), [("", None), (", reuse: true", (3, 1, 0, 0))])
def test_on_a_qpu_only_the_target_s_own_word_counts(
    cloud: TwinServer, capsys: pytest.CaptureFixture[str], word: str, kinds: tuple[int, ...] | None
) -> None:
    """Days differ there: it is off unless the target itself has it, and the user is told."""
    del cloud
    parts = {"device_type": "FRESNEL", "cloud": word, "name": "again"}
    spec(**parts)
    assert main(["again.yaml", "-t", "cloud", "--yes", "--new", "-o", "runs/again/20260101T000000Z-first"]) == 0
    capsys.readouterr()
    spec(**parts, omega=[1, 2, 3, 4])
    assert main(["again.yaml", "-t", "cloud", "--yes", "--new", "-o", "second"]) == 0
    err = capsys.readouterr().err
    second = pcs_runner.open_run("second")
    if kinds is None:
        assert second.manifest.get("reuse") is None
        assert "earlier runs are not reused on FRESNEL, where days differ; `reuse: true` in the target does it" in err
    else:
        assert summary(second) == kinds
