"""`-S path=value` and `--select` change a spec as if the file said it, are recorded, and a resumed run has the same plan."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pcs_runner
from pcs_runner.errors import SpecError, UsageError
from pcs_runner.run.directory import RunFolder
from pcs_runner.run.execute import plan_of
from pcs_runner.spec.document import parse_document
from pcs_runner.spec.overrides import override, read_settings, select
from spec_text import spec_text

if TYPE_CHECKING:
    from collections.abc import Mapping

PULSE = "{op: pulse, duration: t, amplitude: omega}"
JOBS = "{runs: 10, sweep: {grid: {t: [100, 200], omega: {linspace: {start: 1, stop: 5, num: 5}}}}}"
TEXT = spec_text(PULSE, jobs=JOBS)
FIRST = "{runs: 1, sweep: {grid: {t: [100], omega: [1, 4]}}}"
GROUPS = f"[{FIRST}, {{runs: 1, sweep: {{grid: {{t: [200], omega: [2, 5]}}}}, where: omega < 9}}]"


def written(folder: Path, text: str = TEXT) -> Path:
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def points(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [dict(job.point) for job in pcs_runner.plan(path, check=False, **options).jobs()]


@pytest.mark.parametrize(
    ("settings", "data"),
    [
        (["jobs.runs=20"], {"jobs.runs": 20}),
        (["a=1e3", "b=yes", "c=[1, x]", "d={e: null}"], {"a": 1000.0, "b": "yes", "c": [1, "x"], "d": {"e": None}}),
        (["jobs.where=t == 3"], {"jobs.where": "t == 3"}),
        (["name=", "name=b"], {"name": "b"}),
    ],
)
def test_values_are_read_as_the_file_is(settings: list[str], data: Mapping[str, Any]) -> None:
    assert read_settings(settings) == data


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sweep.grid.omega.linspace.num": 2, "sweep.grid.t": [300]}, [{"t": 300, "omega": 1.0}, {"t": 300, "omega": 5.0}]),
        ({"jobs.sweep": {"grid": {"t": [100], "omega": [2]}}}, [{"t": 100, "omega": 2}]),
        ({"jobs.sweep.grid.t[1]": 104, "where": "omega > 4"}, [{"t": 100, "omega": 5.0}, {"t": 104, "omega": 5.0}]),
        ({"jobs.sweep.grid.t": [100], "jobs.sweep.grid.t[0]": 400, "where": "omega < 2"}, [{"t": 400, "omega": 1.0}]),
    ],
)
def test_a_plan_is_that_of_the_changed_file(
    tmp_path: Path, changes: Mapping[str, Any], expected: list[Mapping[str, Any]]
) -> None:
    assert points(written(tmp_path), overrides=changes) == expected


def test_new_keys_make_their_mappings(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="the budget allows 7"):
        pcs_runner.plan(written(tmp_path), overrides={"budget.max_runs": 7})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sweep.grid.omega.linspace.numb": 2},
            '-S jobs.sweep.grid.omega.linspace.numb=2: jobs.sweep.grid.omega.linspace.numb: unknown key "numb"',
        ),
        ({"runs": 0}, "-S jobs.runs=0: jobs.runs: runs is 0, less than 1"),
        (
            {"sequence.operations[0].phase": "phi"},
            '-S sequence.operations[0].phase=phi: sequence.operations[0].phase: unknown name "phi"',
        ),
    ],
)
def test_what_is_wrong_stands_at_the_setting(tmp_path: Path, changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        pcs_runner.plan(written(tmp_path), overrides=changes)
    assert [str(problem) for problem in caught.value.problems] == [message]


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        pcs_runner.plan(written(tmp_path), overrides={"batch.password": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["jobs.runs"], '-S takes path=value, this is "jobs.runs"'),
        (["jobs.runs=[1"], "-S jobs.runs=[1: "),
        (["jobs.runs.x=1"], "-S: jobs.runs is a value, it has no x"),
        (["sequence.operations[7].op=delay"], "-S: sequence.operations has 1 items, there is no [7]"),
        (["jobs[0].runs=1"], "-S: jobs is a mapping, it has no [0]"),
        (["sequence.operations.op=delay"], "-S: sequence.operations is a list, it has no op"),
        (["jobs..runs=3"], '-S: "jobs..runs" is not a path'),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path, settings: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        pcs_runner.plan(written(tmp_path), overrides=read_settings(settings))
    assert caught.value.message.startswith(message)


def test_a_selection_is_added_to_where_of_every_group(tmp_path: Path) -> None:
    path = written(tmp_path, spec_text(PULSE, jobs=GROUPS))
    assert points(path, select="omega > 3 or t > 300") == [{"t": 100, "omega": 4}, {"t": 200, "omega": 5}]
    document = parse_document(path.read_bytes(), file="a.yaml", folder=tmp_path)
    assert select(document, "omega > 3").overrides == {
        "jobs[0].where": "omega > 3",
        "jobs[1].where": "(omega < 9) and (omega > 3)",
    }


def test_the_document_as_written_is_left_alone(tmp_path: Path) -> None:
    document = parse_document(TEXT.encode(), file="a.yaml", folder=tmp_path)
    changed = override(document, {"runs": 3})
    assert (document.data["jobs"]["runs"], changed.data["jobs"]["runs"]) == (10, 3)
    assert changed.data_bytes == document.data_bytes
    assert changed.problem(("sequence", "device"), "x").line == 5


def test_a_run_keeps_its_changes_and_is_the_same_plan_when_it_goes_on(tmp_path: Path) -> None:
    plan = pcs_runner.plan(written(tmp_path), overrides={"sweep.grid.t": [100], "targets.local.seed": 7}, select="omega > 3")
    run = pcs_runner.run(plan, output=tmp_path / "run", workers=1)
    folder = RunFolder(tmp_path / "run")
    manifest = json.loads(folder.manifest.read_text(encoding="utf-8"))
    assert manifest["overrides"] == {"jobs.sweep.grid.t": [100], "targets.local.seed": 7, "jobs.where": "omega > 3"}
    assert (folder.path / "spec.yaml").read_text(encoding="utf-8") == TEXT
    again = plan_of(folder)
    assert again.digest == plan.digest != pcs_runner.plan(written(tmp_path), check=False).digest
    assert [dict(job.point) for job in again.jobs()] == [record.point for record in run.records]
    assert again.target.seed == 7


def printed(*arguments: str) -> str:
    """What `pcs-run` prints on stdout."""
    command = [sys.executable, "-m", "pcs_runner", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_the_points_of_a_plan_are_listed(tmp_path: Path) -> None:
    path = str(written(tmp_path))
    changes = ["-S", "sweep.grid.omega.linspace.num=3", "--select", "t < 150"]
    rows = list(csv.DictReader(io.StringIO(printed("plan", path, "--points", *changes))))
    assert [(row["index"], row["t"], row["omega"], row["runs"], row["duration_ns"]) for row in rows] == [
        ("0", "100", "1.0", "10", "100"),
        ("1", "100", "3.0", "10", "100"),
        ("2", "100", "5.0", "10", "100"),
    ]
    lines = [json.loads(line) for line in printed("plan", path, "--points", "--json", *changes).splitlines()]
    assert [line["variables"] for line in lines] == [{"t": 100, "omega": value} for value in (1.0, 3.0, 5.0)]
    assert {line["sequence"] for line in lines} == {rows[0]["sequence"]}
    assert printed("validate", path, "--json", *changes).strip() == "[]"
