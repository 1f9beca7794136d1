"""Facts of Pulser's abstract representation that cost a day when unknown, each held fast."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pulser import Pulse, Register, Sequence
from pulser.devices import AnalogDevice, MockDevice
from pulser.waveforms import CompositeWaveform, ConstantWaveform, InterpolatedWaveform, RampWaveform

import pcs_runner
from spec_text import TWO_ATOMS, assert_same, built, planned, spec_text

if TYPE_CHECKING:
    from pathlib import Path

    from pcs_runner.plan import Plan


def operations(plan: Plan) -> list[dict[str, Any]]:
    """The operations of the plan's first sequence, as they travel."""
    found: list[dict[str, Any]] = json.loads(plan.sequence(plan.sequence_ids[0]))["operations"]
    return found


def refused(folder: Path, text: str) -> list[str]:
    """What is wrong with a spec, each as `path: message`."""
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return [f"{problem.path}: {problem.message}" for problem in pcs_runner.validate(path)]


def test_a_scalar_variable_is_an_index_expression(tmp_path: Path) -> None:
    text = spec_text("{op: pulse, duration: 100, amplitude: omega}", jobs="{runs: 1, sweep: {grid: {omega: [1, 2]}}}")
    (pulse,) = operations(planned(tmp_path, text))
    assert pulse["amplitude"]["value"] == {"expression": "index", "lhs": {"variable": "omega"}, "rhs": 0}


def test_a_list_with_a_variable_element_is_list_arithmetic(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: 100, amplitude: {kind: interpolated, values: [1, x, 2]}}",
        jobs="{runs: 1, sweep: {grid: {x: [3, 4]}}}",
    )
    plan = planned(tmp_path, text)
    x = {"expression": "index", "lhs": {"variable": "x"}, "rhs": 0}
    assert operations(plan)[0]["amplitude"]["values"] == {
        "expression": "add",
        "lhs": [1, 0, 2],
        "rhs": {"expression": "mul", "lhs": x, "rhs": [0, 1, 0]},
    }
    body = json.loads(plan.sequence(plan.sequence_ids[0]))
    body["operations"][0]["amplitude"]["values"] = [1, x, 2]
    with pytest.raises(Exception, match="is not valid under any of the given schemas"):
        Sequence.from_abstract_repr(json.dumps(body))


def test_a_plain_number_beside_a_waveform_has_duration_0_and_two_such_constants_are_refused(tmp_path: Path) -> None:
    beside = spec_text("{op: pulse, amplitude: {kind: blackman_max, max_val: 5, area: pi}, detuning: 2}")
    assert operations(planned(tmp_path, beside))[0]["detuning"] == {"kind": "constant", "duration": 0, "value": 2}
    zero = "{kind: constant, duration: 0, value: 1}"
    found = refused(tmp_path, spec_text(f"{{op: pulse, amplitude: {zero}, detuning: {zero}}}"))
    assert found == ["sequence.operations[0]: 0 ns, and a duration must be positive"]


def test_from_coordinates_centres_and_a_mapping_of_coordinates_does_not(tmp_path: Path) -> None:
    pulse = "{op: pulse, duration: 100, amplitude: 1}"
    for register, expected in (
        ("{from_coordinates: {coords: [[0, 0], [6, 0]]}}", [(-3, 0), (3, 0)]),
        ("{from_coordinates: {coords: [[0, 0], [6, 0]], center: false}}", [(0, 0), (6, 0)]),
        (TWO_ATOMS, [(0, 0), (6, 0)]),
    ):
        places = built(planned(tmp_path, spec_text(pulse, register=register))).register.qubits
        np.testing.assert_allclose([place.as_array() for place in places.values()], expected)


def test_a_phase_shift_is_in_the_digital_basis_unless_told_otherwise(tmp_path: Path) -> None:
    text = spec_text(
        "{op: target, target: q0}",
        "{op: phase_shift, phi: pi/2, targets: [q0]}",
        "{op: pulse, duration: 100, amplitude: 1}",
        channels="{raman: raman_local}",
        more="  measurement: digital\n",
    )
    expected = Sequence(Register({"q0": (0, 0)}), MockDevice)
    expected.declare_channel("raman", "raman_local", initial_target="q0")
    expected.phase_shift(math.pi / 2, "q0")
    expected.add(Pulse.ConstantPulse(100, 1, 0, 0), "raman")
    expected.measure("digital")
    made = built(planned(tmp_path, text))
    assert_same(made, expected)
    assert made.current_phase_ref("q0", "digital") == math.pi / 2
    ising = spec_text("{op: phase_shift, phi: pi/2, targets: [q0]}", "{op: pulse, duration: 100, amplitude: 1}")
    assert refused(tmp_path, ising) == [
        "sequence.operations[0]: no declared channel drives the digital basis, in which this shifts the phase"
    ]


def parametrised() -> Any:
    """A sequence with variables of both types and sizes, and most of what can be done with them."""
    register = Register({"q0": (0.0, 0.0), "q1": (6.5, 0.0)})
    sequence = Sequence(register, MockDevice)
    sequence.declare_channel("ising", "rydberg_global")
    sequence.declare_channel("raman", "raman_local", initial_target="q1")
    omega = sequence.declare_variable("omega")
    delta = sequence.declare_variable("delta", size=3)
    t = sequence.declare_variable("t", dtype=int)
    atom = sequence.declare_variable("atom", dtype=int)
    sequence.add(Pulse.ConstantDetuning(RampWaveform(t * 2, 0, omega), delta[0], 0.25), "ising")
    sequence.add(Pulse.ConstantAmplitude(omega / 2, InterpolatedWaveform(500, delta * 2, times=[0, 0.25, 1]), -omega), "ising")
    sequence.delay(t, "ising")
    sequence.target_index(atom, "raman")
    wave = CompositeWaveform(ConstantWaveform(100, 1.5), RampWaveform(t, 1.5, abs(np.sin(delta[2]))))
    sequence.add(Pulse(wave, CompositeWaveform(ConstantWaveform(100, 0), ConstantWaveform(t, 0)), 0), "raman")
    sequence.phase_shift_index(omega**2, atom, basis="digital")
    sequence.align("ising", "raman")
    sequence.measure("digital")
    return sequence


POINTS = "{omega: [3.5], delta: [[1, -2, 0.5]], t: [100], atom: [0, 1]}"


@pytest.mark.parametrize("indent", [None, 1])
def test_json_pasted_as_yaml_is_the_same_sequence(tmp_path: Path, indent: int | None) -> None:
    text = parametrised().to_abstract_repr(json_dumps_options={"indent": indent} if indent else {})
    pasted = text.replace("\n", "\n  ")
    spec = f"version: 1\nname: a\nsequence:\n  {pasted}\njobs: {{runs: 1, sweep: {{grid: {POINTS}}}}}\n"
    plan = planned(tmp_path, spec)
    assert len(plan.sequence_ids) == 1
    printed, ours = json.loads(text), json.loads(plan.sequence(plan.sequence_ids[0]))
    for operation in ours["operations"]:
        operation.pop("at_rest", None)  # Pulser leaves its defaults out
    assert ours["operations"] == printed["operations"]
    assert {name: one["type"] for name, one in ours["variables"].items()} == {
        name: one["type"] for name, one in printed["variables"].items()
    }
    for number in (0, 1):
        expected = parametrised().build(omega=3.5, delta=[1, -2, 0.5], t=100, atom=number)
        assert_same(built(plan, number), expected)


def test_the_zeros_that_pulser_prints_for_variables_are_no_values(tmp_path: Path) -> None:
    body = json.loads(parametrised().to_abstract_repr())
    assert body["variables"]["omega"]["value"] == [0.0]
    points = POINTS.replace("omega: [3.5], ", "")
    found = refused(
        tmp_path, f"version: 1\nname: a\nsequence: {json.dumps(body)}\njobs: {{runs: 1, sweep: {{grid: {points}}}}}\n"
    )
    assert set(found) == {
        'sequence.variables.omega: nothing binds the sequence\'s variable "omega"',
        *(
            f'sequence.operations{place}: unknown name "omega"'
            for place in ("[1].amplitude.stop", "[2].amplitude.value", "[2].phase", "[6].phi")
        ),
    }


def test_a_built_sequence_of_a_device_with_layouts_is_pasted_whole(tmp_path: Path) -> None:
    register = Register.rectangle(2, 2, 6, prefix="q").with_automatic_layout(AnalogDevice)
    sequence = Sequence(register, AnalogDevice)
    sequence.declare_channel("ising", "rydberg_global")
    sequence.add(Pulse.ConstantDetuning(RampWaveform(500, 0, 5), -3, 0), "ising")
    sequence.measure("ground-rydberg")
    plan = planned(tmp_path, f"version: 1\nname: a\nsequence: {sequence.to_abstract_repr()}\njobs: {{runs: 1}}\n")
    assert_same(built(plan), sequence)
    assert built(plan).register.layout == register.layout


def test_a_built_target_that_a_variable_chose_can_be_printed(tmp_path: Path) -> None:
    """Pulser 1.9 raises a TypeError when it prints such a sequence; jobs that carry theirs need it printed."""
    text = spec_text(
        "{op: target, target: atom}",
        "{op: pulse, duration: 100, amplitude: 1}",
        register="{q0: [0, 0], q1: [a, 0]}",
        channels="{raman: raman_local}",
        more="  measurement: digital\n",
        jobs="{runs: 1, sweep: {grid: {a: [5, 6], atom: [0, 1]}}}",
    )
    plan = planned(tmp_path, text)
    assert [json.loads(plan.built_sequence(job))["operations"][0]["target"] for job in plan.jobs()] == [0, 1, 0, 1]
