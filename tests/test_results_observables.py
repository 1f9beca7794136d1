"""What an engine computed beside the shots arrives as plain data, and nonsense is left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import pcs_runner
from pcs_runner.results.observables import observables

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """\
version: 1
name: observed
sequence:
  device: MockDevice
  register: {q0: [0, 0], q1: [7, 0]}
  channels: {g: rydberg_global}
  operations:
    - {op: pulse, duration: 400, amplitude: om, detuning: 0}
jobs: {runs: 50, sweep: {grid: {om: [3, 6]}}}
config:
  observables: [{observable: occupation, evaluation_times: [0.5, 1.0]}]
targets: {local: {engine: ENGINE}}
"""


@pytest.mark.parametrize("engine", ["qutip", "batched"])
def test_an_observable_of_the_config_is_in_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "observed.yaml").write_text(SPEC.replace("ENGINE", engine), encoding="utf-8")
    run = pcs_runner.run(pcs_runner.plan("observed.yaml"), workers=1)
    for record in run.records:
        assert set(record.observables) == {"occupation"}
        found = record.observables["occupation"]
        assert found["times"] == [0.5, 1.0]
        ones = [sum(n for bits, n in record.counts.items() if bits[atom] == "1") / 50 for atom in (0, 1)]
        for value, counted in zip(found["values"][1], ones, strict=True):
            assert value == pytest.approx(counted, abs=5 * 0.5 / 50**0.5)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", json.dumps({"tagmap": {"energy": "a"}}), json.dumps({"tagmap": 3})])
def test_what_is_no_result_has_no_observables(text: str | None) -> None:
    assert observables(text) == {}


def test_shots_at_the_end_are_the_counts_and_no_observable() -> None:
    body = {"tagmap": {"bitstrings": "a", "energy": "b"}, "times": {"a": [1.0], "b": [1.0]}, "results": {"a": [{}], "b": [2.5]}}
    assert observables(json.dumps(body)) == {"energy": {"times": [1.0], "values": [2.5]}}
