"""The identity of a plan: what changes it, what leaves it alone, and two values that must not change by accident."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pulser
import pytest
from pulser import Pulse, Register, Sequence
from pulser.devices import AnalogDevice

from spec_text import planned

ROOT = Path(__file__).resolve().parent.parent

SPEC = """\
version: 1
name: ramp
constants: {spacing: 6, U: interaction_coeff/spacing**6}
sequence:
  device: AnalogDevice
  register:
    rectangle: {rows: 1, columns: 2, spacing: spacing}
    automatic_layout: true
  channels: {ising: rydberg_global}
  operations:
    - {op: pulse, duration: t, amplitude: omega, detuning: {kind: ramp, start: -d, stop: d}}
jobs:
  runs: 100
  sweep:
    grid:
      t: [100, 200]
      d: {linspace: {start: U, stop: 2*U, num: 3}}
  let: {omega: 0.6*U}
seed: 0
targets:
  local: {engine: auto}
  same: {}
  emulator: {backend: pcs, batch: {device_type: EMU_MPS}}
"""
GOLDEN = "69e306685fc228a4f81e319eb41b319d0a18e8cadb2b76ef7e686655973ad7f8"
GOLDEN_FILE = "2f9ff3b95d2936be57f6e107b8a0928dccea5f1d03823d3cc1499a310a4a4368"

STABLE = {
    "comments": [("version: 1", "# hello\nversion: 1  # one")],
    "order of keys": [("version: 1\nname: ramp\n", "name: ramp\nversion: 1\n"), ("start: U, stop: 2*U", "stop: 2*U, start: U")],
    "quotes and styles": [("t: [100, 200]", "t:\n      - 100\n      - 200"), ("0.6*U", "'0.6*U'")],
    "numbers of equal value": [("[100, 200]", "[100.0, 2e2]"), ("spacing: 6,", "spacing: 6.0,"), ("0.6*U", "0.60*U")],
    "the name of the spec": [("name: ramp", "name: other")],
    "a description": [("name: ramp", "name: ramp\ndescription: Ramp.")],
    "tags": [("seed: 0", "seed: 0\nbatch: {tags: [thesis]}")],
    "how jobs travel": [("seed: 0", "seed: 0\nbatch: {chunk: 7, open: false, max_jobs: 3}")],
    "what happens to failed jobs": [("seed: 0", "seed: 0\nbatch: {on_failure: {policy: stop, retries: 3}}")],
    "workers": [("{engine: auto}", "{engine: auto, workers: 3}")],
    "results": [("seed: 0", "seed: 0\nresults: {directory: elsewhere, formats: [csv], raw: true, report: false}")],
    "budget": [("seed: 0", "seed: 0\nbudget: {max_runs: 1000000}")],
    "other targets": [("  same: {}", "  another: {runs: 7}")],
    "an expression of the same value": [("0.6*U", "U*3/5")],
    "a name of a group": [("  runs: 100", "  name: first\n  runs: 100")],
    "the same points in another form": [("d: {linspace: {start: U, stop: 2*U, num: 3}}", "d: [U, 1.5*U, 2*U]")],
    "defaults that are written down": [("amplitude: omega", "amplitude: omega, phase: 0, channel: ising, protocol: min-delay")],
}

CHANGES = {
    "runs": [("runs: 100", "runs: 101")],
    "a point": [("[100, 200]", "[100, 204]")],
    "the order of points": [("[100, 200]", "[200, 100]")],
    "one point less": [("[100, 200]", "[100]")],
    "which axis is slowest": [("      t: [100, 200]\n", ""), ("num: 3}}", "num: 3}}\n      t: [100, 200]")],
    "a shuffle": [("  runs: 100", "  runs: 100\n  order: {shuffle: 1}")],
    "repeat": [("  runs: 100", "  runs: 100\n  repeat: 2")],
    "where": [("  runs: 100", "  runs: 100\n  where: t < 200")],
    "an amplitude in its seventh digit": [("0.6*U", "0.6000001*U")],
    "a phase": [("amplitude: omega", "amplitude: omega, phase: 0.1")],
    "spacing": [("spacing: 6,", "spacing: 6.01,")],
    "the name of a channel": [("{ising:", "{rydberg:")],
    "the basis": [("  channels:", "  measurement: null\n  channels:")],
    "another operation": [("stop: d}}\n", "stop: d}}\n    - {op: delay, time: 100}\n")],
    "seed": [("seed: 0", "seed: 1")],
    "seed of the target": [("{engine: auto}", "{engine: auto, seed: 1}")],
    "engine": [("engine: auto", "engine: qutip")],
    "accuracy": [("{engine: auto}", "{engine: auto, accuracy: 0.01}")],
    "config": [("seed: 0", "seed: 0\nconfig: {with_modulation: true}")],
    "configuration": [("seed: 0", "seed: 0\nbatch: {configuration: {dt: 10}}")],
    "device type": [("seed: 0", "seed: 0\nbatch: {device_type: EMU_TN}")],
    "device": [("device: AnalogDevice", "device: WeightedAnalogDevice")],
}


def digest(folder: Path, text: str, target: str | None = None) -> str:
    return planned(folder, text, target, check=False).digest


def changed(edits: list[tuple[str, str]]) -> str:
    text = SPEC
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_the_identity_is_what_it_has_always_been(tmp_path: Path) -> None:
    """Changing this value makes every unfinished run unknown, and it would be paid twice: bump the format and say so."""
    assert digest(tmp_path, SPEC) == GOLDEN


@pytest.mark.parametrize("edits", STABLE.values(), ids=STABLE.keys())
def test_what_is_no_experiment_leaves_the_identity_alone(tmp_path: Path, edits: list[tuple[str, str]]) -> None:
    assert digest(tmp_path, changed(edits)) == GOLDEN


@pytest.mark.parametrize("edits", CHANGES.values(), ids=CHANGES.keys())
def test_another_experiment_has_another_identity(tmp_path: Path, edits: list[tuple[str, str]]) -> None:
    assert digest(tmp_path, changed(edits)) != GOLDEN


def test_every_change_gives_an_identity_of_its_own(tmp_path: Path) -> None:
    same = {"where", "seed of the target"}  # as `one point less` and `seed`: the same jobs said otherwise
    found = [digest(tmp_path, changed(edits)) for name, edits in CHANGES.items() if name not in same]
    assert len(set(found)) == len(found)
    assert digest(tmp_path, changed(CHANGES["where"])) == digest(tmp_path, changed(CHANGES["one point less"]))


def test_targets_that_differ_in_nothing_are_one_plan_and_backends_are_not(tmp_path: Path) -> None:
    assert digest(tmp_path, SPEC, "same") == GOLDEN
    assert digest(tmp_path, SPEC, "emulator") != GOLDEN


def test_the_identity_does_not_hang_on_the_hash_seed_of_python(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SPEC, encoding="utf-8")
    code = "import pcs_runner; print(pcs_runner.plan('a.yaml', check=False).digest)"
    for seed in ("0", "1", "4711"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        process = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert process.stdout.strip() == GOLDEN


def test_the_identity_does_not_hang_on_pulsers_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulser, "__version__", "1.99.0")
    assert digest(tmp_path, SPEC) == GOLDEN
    assert file_digest(tmp_path, sequence_body() | {"pulser_version": "1.99.0"}) == GOLDEN_FILE


def device_body(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(AnalogDevice.to_abstract_repr())
    return body | changes


def test_a_recalibrated_device_is_the_same_device(tmp_path: Path) -> None:
    """Other limits and another version, but the same name and Rydberg level; a file, or the mapping in full."""
    recalibrated = device_body(max_runs=500, min_atom_distance=4.5, pulser_version="1.99.0")
    recalibrated["channels"][0]["max_abs_detuning"] = 200.0
    text = SPEC.replace("device: AnalogDevice", "device: {file: device.json}")
    (tmp_path / "device.json").write_text(json.dumps(recalibrated), encoding="utf-8")
    assert digest(tmp_path, text) == GOLDEN
    assert digest(tmp_path, SPEC.replace("device: AnalogDevice", f"device: {json.dumps(recalibrated)}")) == GOLDEN
    (tmp_path / "device.json").write_text(json.dumps(device_body(name="Other")), encoding="utf-8")
    assert digest(tmp_path, text) != GOLDEN
    (tmp_path / "device.json").write_text(json.dumps(device_body(rydberg_level=61)), encoding="utf-8")
    assert digest(tmp_path, text) != GOLDEN


def sequence_body() -> dict[str, Any]:
    """A sequence with two variables, as Pulser prints it."""
    register = Register.from_coordinates([(0, 0)], prefix="q").with_automatic_layout(AnalogDevice)
    sequence = Sequence(register, AnalogDevice)
    sequence.declare_channel("ising", "rydberg_global")
    t, omega = sequence.declare_variable("t", dtype=int), sequence.declare_variable("omega")
    sequence.add(Pulse.ConstantPulse(t, omega, 0, 0), "ising")
    sequence.measure("ground-rydberg")
    body: dict[str, Any] = json.loads(sequence.to_abstract_repr())
    return body


def file_digest(folder: Path, body: dict[str, Any], file: str = "s.json") -> str:
    (folder / file).write_text(json.dumps(body), encoding="utf-8")
    jobs = "{runs: 10, sweep: {points: [{t: 100, omega: 2}, {t: 200, omega: 3}]}}"
    return digest(folder, f"version: 1\nname: a\nsequence: {{file: {file}}}\njobs: {jobs}\n")


def test_a_file_is_its_content_without_versions_and_without_the_devices_spec(tmp_path: Path) -> None:
    body = sequence_body()
    assert file_digest(tmp_path, body) == GOLDEN_FILE
    assert file_digest(tmp_path, body, "renamed.json") == GOLDEN_FILE
    assert file_digest(tmp_path, dict(reversed(body.items()))) == GOLDEN_FILE
    assert file_digest(tmp_path, body | {"device": device_body(max_runs=7, pulser_version="1.99.0")}) == GOLDEN_FILE
    assert file_digest(tmp_path, body | {"device": device_body(name="Other")}) != GOLDEN_FILE
    body["operations"][0]["phase"] = 0.5
    assert file_digest(tmp_path, body) != GOLDEN_FILE


def test_pasted_in_and_in_a_file_a_sequence_has_the_same_jobs_and_its_own_identity(tmp_path: Path) -> None:
    """The forms differ in what they leave to Pulser, so they may be two plans; each is stable."""
    body = sequence_body()
    jobs = {"runs": 10, "sweep": {"points": [{"t": 100, "omega": 2}, {"t": 200, "omega": 3}]}}
    spec = {"version": 1, "name": "a", "sequence": body, "jobs": jobs}
    pasted = planned(tmp_path, json.dumps(spec), check=False)
    again = planned(tmp_path, json.dumps(spec | {"sequence": body | {"pulser_version": "1.99.0"}}), check=False)
    assert pasted.digest == again.digest
