"""`pcs-run export`: results of a run from what is on disk, and the sequence that a spec compiles to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pulser import Sequence

from pcs_runner import api
from pcs_runner.cli import main

SPEC = """\
version: 1
name: rabi
sequence:
  device: AnalogDevice
  register: {from_coordinates: {coords: [[0, 0]]}, automatic_layout: true}
  channels: {ising: rydberg_global}
  operations: [{op: pulse, duration: t, amplitude: 2*omega}]
jobs:
  runs: 10
  sweep: {grid: {omega: [1.0, 2.0], t: [100, 200]}}
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.yaml").write_text(SPEC)
    return Path("spec.yaml")


def test_one_parametrised_sequence_is_an_object(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "spec.yaml", "--to", "sequence"]) == 0
    sequence = Sequence.from_abstract_repr(capsys.readouterr().out)
    assert set(sequence.declared_variables) == {"omega", "t"}
    assert sequence.build(omega=1.5, t=400).get_duration() == 400


def test_built_sequences_are_a_list_in_the_order_of_the_jobs(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "spec.yaml", "--to", "sequence", "--built"]) == 0
    bodies = json.loads(capsys.readouterr().out)
    assert [body["operations"][0]["amplitude"]["value"] for body in bodies] == [2.0, 2.0, 4.0, 4.0]
    assert [Sequence.from_abstract_repr(json.dumps(body)).get_duration() for body in bodies] == [100, 200, 100, 200]


def test_several_sequences_are_a_list(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec.write_text(SPEC.replace("coords: [[0, 0]]", "coords: [[0, 0], [d, 0]]").replace("{omega:", "{d: [6, 7, 8], omega:"))
    assert main(["export", "spec.yaml", "--to", "sequence", "-o", "all.json"]) == 0
    assert capsys.readouterr().out == "all.json\n"
    assert len(json.loads(Path("all.json").read_text())) == 3
    assert main(["export", "spec.yaml", "--to", "sequence", "-o", "all.json"]) == 2
    assert "all.json exists already" in capsys.readouterr().err


def test_changes_of_the_spec_are_exported(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "export",
        "spec.yaml",
        "--to",
        "sequence",
        "--built",
        "-S",
        "jobs.sweep.grid.omega=[3.0, 1.0]",
        "--select",
        "t < 200",
    ]
    assert main(words) == 0
    bodies = json.loads(capsys.readouterr().out)
    pulses = [body["operations"][0]["amplitude"] for body in bodies]
    assert [(pulse["value"], pulse["duration"]) for pulse in pulses] == [(6.0, 100), (2.0, 100)]


def test_what_is_exported_is_imported_again(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "spec.yaml", "--to", "sequence", "-o", "s.json"]) == 0
    assert main(["import", "s.json", "-o", "again.yaml"]) == 0
    assert "- {op: pulse, duration: t, amplitude: 2*omega}" in Path("again.yaml").read_text()
    assert "name: rabi" in Path("again.yaml").read_text()


def test_a_spec_that_is_wrong_exports_nothing(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec.write_text(SPEC.replace("2*omega", "20*omega"))
    assert main(["export", "spec.yaml", "--to", "sequence"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "amplitude reaches" in printed.err


def test_results_of_a_run_come_from_what_is_on_disk(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api.run(api.plan(spec), output="out")
    kept = {name: (Path("out") / name).read_bytes() for name in ("results.csv", "counts.csv", "results.jsonl")}
    for name in ("results.csv", "counts.csv"):
        (Path("out") / name).unlink()
    assert main(["export", "out", "--to", "csv", "--to", "counts", "--to", "jsonl"]) == 0
    assert capsys.readouterr().out.splitlines() == ["out/results.csv", "out/counts.csv", "out/results.jsonl"]
    assert {name: (Path("out") / name).read_bytes() for name in kept} == kept
    assert main(["export", "out", "--to", "jsonl", "-o", "copy.jsonl"]) == 0
    assert Path("copy.jsonl").read_bytes() == kept["results.jsonl"]


def test_what_is_asked_for_wrongly(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def first(*words: str) -> str:
        assert main(["export", *words]) == 2
        return capsys.readouterr().err.splitlines()[0]

    assert first("spec.yaml", "--to", "csv") == 'error: spec.yaml is a spec, and is not exported to "csv"'
    assert first("spec.yaml", "--to", "sequence", "--to", "sequence", "-o", "x") == "error: -o takes one format, 2 are asked for"
    assert first("none.yaml", "--to", "sequence").startswith("none.yaml: no such file")
    Path("empty").mkdir()
    assert first("empty", "--to", "csv").startswith("error: empty holds no run")
    shutil.rmtree("empty")
    api.run(api.plan(spec), output="out")
    assert first("out", "--to", "csv", "--select", "t < 1") == "error: --select is for a spec, and out is a run"
    assert first("out", "--to", "sequences").startswith('error: out is a run, and is not exported to "sequences"')
