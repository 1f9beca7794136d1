"""A sequence read by way of one that differs in its register alone is the one that Pulser reads; so is what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pulser import Sequence

import pcs_runner
from pcs_runner.errors import SpecError
from pcs_runner.sequence.build import load_sequence
from pcs_runner.sequence.siblings import Siblings
from spec_text import planned, spec_text

if TYPE_CHECKING:
    from pathlib import Path

PULSES = (
    "{op: pulse, duration: 500, amplitude: omega, detuning: {kind: ramp, start: -omega, stop: 3}, phase: 1}",
    "{op: phase_shift, phi: 0.5, targets: [q0, q1], basis: ground-rydberg}",
    "{op: pulse, duration: t, amplitude: 1, detuning: 0, post_phase_shift: 0.2}",
)
LINE = "{from_coordinates: {coords: [[0, 0], [d, 0]]}, automatic_layout: true}"
SWEPT = "{runs: 10, sweep: {grid: {omega: [1.0, 2.0], t: [100, 200], d: [5.5, 6, 7.25, 30]}}}"
XY = {
    "register": "{q0: [0, 0], q1: [d, 0]}",
    "channels": "{c: mw_global}",
    "more": "  magnetic_field: [0, 10, 30]\n  measurement: XY\n",
}


def with_sequences(folder: Path, text: str) -> list[tuple[str, Any]]:
    """Each distinct sequence of a plan, and how it is read after the ones before it."""
    plan, siblings = planned(folder, text), Siblings()
    texts = [plan.sequence(name) for name in plan.sequence_ids]
    return [(one, siblings.load(one)) for one in texts]


TWO = "{runs: 1, sweep: {grid: {d: [6, 7]}}}"
PULSE = "{op: pulse, channel: c, duration: 100, amplitude: 1}"


@pytest.mark.parametrize(
    "text",
    [
        spec_text(*PULSES, device="AnalogDevice", register=LINE, jobs=SWEPT),
        spec_text("{op: target, target: 1}", PULSE, register="{q0: [0, 0], q1: [0, d]}", channels="{c: rydberg_local}", jobs=TWO),
        spec_text(PULSE, **XY, jobs=TWO),
        spec_text(PULSE, register="{a: [0, 0, 0], b: [0, 0, d]}", channels="{c: rydberg_global}", jobs=TWO),
    ],
    ids=["layouts and variables", "local targets", "xy", "3D"],
)
def test_it_is_the_sequence_that_pulser_reads(tmp_path: Path, text: str) -> None:
    for one, read in with_sequences(tmp_path, text):
        assert read.to_abstract_repr() == load_sequence(one).to_abstract_repr()


def test_only_the_first_is_read_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole: list[str] = []
    read = Sequence.from_abstract_repr

    def counted(text: str) -> Any:
        whole.append(text)
        return read(text)

    monkeypatch.setattr(Sequence, "from_abstract_repr", counted)
    text = spec_text(*PULSES, device="AnalogDevice", register=LINE, jobs=SWEPT)
    assert len(planned(tmp_path, text).sequence_ids) == 4
    assert len(whole) == 1


def test_a_detuning_map_lies_where_the_atoms_are(tmp_path: Path) -> None:
    operations = (
        "{op: config_detuning_map, dmm_id: dmm_0, detuning_map: {q0: 0.5, q1: 1}}",
        "{op: add_dmm_detuning, dmm_name: dmm_0, duration: 100, waveform: -1}",
        "{op: pulse, duration: 100, amplitude: 1}",
    )
    text = spec_text(*operations, register="{q0: [0, 0], q1: [d, 0]}", jobs="{runs: 1, sweep: {grid: {d: [6, 7]}}}")
    for one, read in with_sequences(tmp_path, text):
        traps = json.loads(read.to_abstract_repr())["operations"][0]["detuning_map"]["traps"]
        assert [trap["x"] for trap in traps] == [row["x"] for row in json.loads(one)["register"]]


def test_a_register_that_is_refused_is_told_as_if_it_stood_alone(tmp_path: Path) -> None:
    register = "{a: [0, 0], b: [d, 0]}"
    both = spec_text(
        PULSES[0], device="AnalogDevice", register=register, jobs="{runs: 1, sweep: {grid: {omega: [1], d: [6, 4, 9]}}}"
    )
    with pytest.raises(SpecError) as caught:
        planned(tmp_path, both)
    (problem,) = caught.value.problems
    assert problem.message == "a and b are 4 µm apart, AnalogDevice asks for 5 µm (1 of 3 points, first: omega=1, d=4)"


def test_durations_and_built_texts_are_those_of_pulser(tmp_path: Path) -> None:
    plan = planned(tmp_path, spec_text(*PULSES, device="AnalogDevice", register=LINE, jobs=SWEPT))
    for job in plan.jobs():
        alone = load_sequence(plan.sequence(job.sequence)).build(**job.variables)
        assert plan.duration_ns(job) == alone.get_duration()
        assert plan.built_sequence(job) == alone.to_abstract_repr(skip_validation=True)
    assert pcs_runner.plan(tmp_path / "a.yaml").digest == plan.digest
