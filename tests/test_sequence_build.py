"""The abstract representation that is handed to Pulser: its parts, its names, and Pulser's refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pulser
import pytest

from pcs_runner.sequence.build import RegisterError, abstract_representation, build, built_text, load_sequence
from pcs_runner.sequence.devices import resolve_device
from pcs_runner.spec.tables import Inputs
from spec_text import planned, spec_text

if TYPE_CHECKING:
    from pathlib import Path

    from pcs_runner.sequence.devices import ResolvedDevice


@pytest.fixture
def device(tmp_path: Path) -> ResolvedDevice:
    return resolve_device("AnalogDevice", Inputs(tmp_path), {})


def form(register: dict[str, Any]) -> dict[str, Any]:
    """A form without operations, as a template gives it."""
    fields = {"channels": {"ising": "rydberg_global"}, "measurement": None}
    return {"register": register, "fields": fields, "variables": {}, "operations": []}


def square(side: int, *, automatic_layout: bool) -> dict[str, Any]:
    arguments = {"side": side, "spacing": 6.0, "prefix": "q"}
    return {"constructor": "square", "arguments": arguments, "automatic_layout": automatic_layout}


def test_the_representation_holds_the_device_in_full_and_who_wrote_it(device: ResolvedDevice) -> None:
    body = json.loads(abstract_representation(form(square(1, automatic_layout=True)), device, "mine"))
    assert body["name"] == "mine"
    assert body["version"] == "1"
    assert body["pulser_version"] == pulser.__version__
    assert body["device"] == json.loads(pulser.AnalogDevice.to_abstract_repr())
    assert body["measurement"] is None
    assert body["layout"]["coordinates"]


def test_atoms_by_name_keep_their_order_and_need_no_layout(device: ResolvedDevice) -> None:
    register = {"atoms": [["b", [0, 0]], ["a", [6, 0.5]]]}
    body = json.loads(abstract_representation(form(register), device, "mine"))
    assert body["register"] == [{"name": "b", "x": 0, "y": 0}, {"name": "a", "x": 6, "y": 0.5}]
    assert "layout" not in body


@pytest.mark.parametrize(
    ("register", "message"),
    [
        (square(0, automatic_layout=False), "The number of atoms per side (`side` = 0) must be greater than or equal to 1."),
        (square(10, automatic_layout=True), "100 atoms, AnalogDevice allows 80"),
    ],
)
def test_a_register_that_pulser_refuses_is_a_register_error(
    device: ResolvedDevice, register: dict[str, Any], message: str
) -> None:
    with pytest.raises(RegisterError) as caught:
        abstract_representation(form(register), device, "mine")
    assert str(caught.value) == message


def test_a_sequence_without_variables_is_built_already(tmp_path: Path) -> None:
    plan = planned(tmp_path, spec_text("{op: pulse, duration: 100, amplitude: 1}"))
    sequence = load_sequence(plan.sequence(plan.sequence_ids[0]))
    built, warnings = build(sequence, {})
    assert built is sequence
    assert warnings == []
    assert json.loads(built_text(built))["variables"] == {}


def test_what_pulser_warns_of_comes_with_the_built_sequence(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: t, amplitude: 1}",
        device="AnalogDevice",
        more="  clock: round\n",
        jobs="{runs: 1, sweep: {grid: {t: [100]}}}",
    )
    plan = planned(tmp_path, text)
    built, warnings = build(plan.loaded_sequence(plan.sequence_ids[0]), {"t": 101})
    assert built.get_duration() == 104
    assert warnings == [
        "A duration of 101 ns is not a multiple of the channel's clock period (4 ns). It was rounded up to 104 ns."
    ]


def test_a_built_sequence_has_the_values_in_it(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: t, amplitude: x}", jobs="{runs: 1, sweep: {points: [{t: 100, x: 2}, {t: 200, x: 3}]}}"
    )
    plan = planned(tmp_path, text)
    bodies = [json.loads(plan.built_sequence(job)) for job in plan.jobs()]
    assert [body["variables"] for body in bodies] == [{}, {}]
    waveforms = [body["operations"][0]["amplitude"] for body in bodies]
    assert waveforms == [
        {"kind": "constant", "duration": 100, "value": 2.0},
        {"kind": "constant", "duration": 200, "value": 3.0},
    ]


@pytest.mark.parametrize(
    ("register", "more"),
    [
        ("{triangular_lattice: {rows: 2, atoms_per_row: 3, spacing: 6}, automatic_layout: true}", ""),
        ("{define_register: {trap_ids: [4, 8], qubit_ids: [a, b]}}", "  layout: TriangularLatticeLayout(61, 5.0µm)\n"),
        ("{hexagon: {layers: 1, spacing: 7.3, prefix: atom}}", ""),
        ("{cubic: {side: 2, spacing: 6}}", ""),
    ],
)
def test_registers_and_layouts_are_printed_as_pulser_prints_them(tmp_path: Path, register: str, more: str) -> None:
    device = "MockDevice" if "cubic" in register else "AnalogDevice"
    plan = planned(tmp_path, spec_text("{op: pulse, duration: 100, amplitude: 1}", register=register, device=device, more=more))
    text = plan.sequence(plan.sequence_ids[0])
    ours, pulsers = json.loads(text), json.loads(load_sequence(text).to_abstract_repr())
    for part in ("register", "layout"):
        assert json.dumps(ours.get(part)) == json.dumps(pulsers.get(part))
