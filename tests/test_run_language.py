"""Variants, repeats and mappable registers run: on this machine and over HTTP the same records, resumed as they were."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

import pcs_runner
from twin_server import TwinServer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEC = """
version: 1
name: language
sequence:
  device: AnalogDevice
  layout: TriangularLatticeLayout(61, 5.0µm)
  register: {mappable: {n_qubits: 3}}
  channels: {ising: rydberg_global}
  operations:
    - {op: repeat, repeats: n, operations: [{op: pulse, duration: 200, amplitude: omega}]}
variants:
  mapped: {}
  fixed: {sequence: {register: {define_register: {trap_ids: [4, 8]}}}}
jobs:
  runs: 30
  sweep:
    concat:
      - grid: {variant: [mapped], n: [1, 2], qubits: [[4, 8, 12], {q0: 5}], omega: [2, 6]}
      - grid: {variant: [fixed], n: [1], qubits: [[0]], omega: [2, 6]}
batch: {split: %s}
targets:
  local: {engine: qutip, workers: 1}
  twin: {backend: pcs, batch: {device_type: EMU_FREE}}
"""
UNLIKE = ("batch_id", "job_id", "started_at", "ended_at")


@pytest.fixture(scope="module")
def server() -> Iterator[TwinServer]:
    with serving("--workers", "1") as twin:
        yield twin


@pytest.fixture(autouse=True)
def environment(server: TwinServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose cloud is the twin, with an empty home."""
    for name in [name for name in os.environ if name.startswith(("PASQAL_", "PCS_RUNNER_"))]:
        monkeypatch.delenv(name)
    values = {"PCS_RUNNER_POLL_S": "0.05", "PCS_RUNNER_SETTLE_S": "1", "PASQAL_CONFIG_ROOT": str(tmp_path)}
    for name, value in {**server.environment, **values, "XDG_CACHE_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)


def records(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run without what may differ."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key not in UNLIKE} for line in lines]


@pytest.mark.parametrize("split", ["null", "sequence"])
def test_a_run_of_the_whole_language_is_the_same_here_and_over_http(tmp_path: Path, split: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(SPEC.replace("batch: {split: %s}\n", "" if split == "null" else f"batch: {{split: {split}}}\n"))
    for target in ("local", "twin"):
        run = pcs_runner.run(pcs_runner.plan(path, target), output=tmp_path / target, new=True)  # the service remembers
        assert run.exit_code == 0
    here, there = records(tmp_path / "local"), records(tmp_path / "twin")
    assert [line["status"] for line in here] == ["DONE"] * 10
    assert [line["variables"] for line in here] == [line["variables"] for line in there]
    assert [line["point"] for line in here] == [line["point"] for line in there]
    assert [{len(bits) for bits in line["counts"]} for line in there] == [{3}, {3}, {1}, {1}] * 2 + [{2}, {2}]
    assert here[2]["variables"] == {"omega": 2.0, "qubits": {"q0": 5}}
    assert here[8]["variables"] == {"omega": 2.0}
    assert len({line["sequence"] for line in here}) == 3
    again = pcs_runner.resume(tmp_path / "twin")
    assert again.exit_code == 0
    assert records(tmp_path / "twin") == there
