"""Each relaxation of the inline form is the sequence that somebody writes by hand with Pulser."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pulser
import pytest
from pulser import Pulse, Register, Register3D, Sequence
from pulser.devices import AnalogDevice, MockDevice
from pulser.waveforms import (
    BlackmanWaveform,
    CompositeWaveform,
    ConstantWaveform,
    CustomWaveform,
    InterpolatedWaveform,
    KaiserWaveform,
    RampWaveform,
)

import pcs_runner
from spec_text import TWO_ATOMS, assert_same, built, planned, spec_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def by_hand(*pulses: Any, register: Any = None) -> Any:
    """A measured sequence of pulses on a global channel of MockDevice."""
    sequence = Sequence(register or Register.from_coordinates([(0, 0)], prefix="q"), MockDevice)
    sequence.declare_channel("ising", "rydberg_global")
    for pulse in pulses:
        sequence.add(pulse, "ising")
    sequence.measure("ground-rydberg")
    return sequence


WAVEFORMS: list[tuple[str, Callable[[], Any]]] = [
    ("{kind: constant, duration: 100, value: 2*pi}", lambda: ConstantWaveform(100, 2 * math.pi)),
    ("{kind: ramp, duration: 50 + 50, start: 0, stop: 1.5*2}", lambda: RampWaveform(100, 0, 3)),
    ("{kind: blackman, duration: 100, area: pi/2}", lambda: BlackmanWaveform(100, math.pi / 2)),
    ("{kind: blackman_max, max_val: 5, area: pi/2}", lambda: BlackmanWaveform.from_max_val(5, math.pi / 2)),
    ("{kind: kaiser, duration: 100, area: pi/2}", lambda: KaiserWaveform(100, math.pi / 2)),
    ("{kind: kaiser, duration: 100, area: pi/2, beta: 10 + 2}", lambda: KaiserWaveform(100, math.pi / 2, 12)),
    ("{kind: kaiser_max, max_val: 5, area: pi/2}", lambda: KaiserWaveform.from_max_val(5, math.pi / 2)),
    ("{kind: interpolated, duration: 100, values: [0, pi, 0]}", lambda: InterpolatedWaveform(100, [0, math.pi, 0])),
    (
        "{kind: interpolated, duration: 100, values: [0, 1 + 1, 0], times: [0, 1/4, 1]}",
        lambda: InterpolatedWaveform(100, [0, 2, 0], times=[0, 0.25, 1]),
    ),
    ("{kind: custom, samples: [0, 1/2, pi, 1]}", lambda: CustomWaveform([0, 0.5, math.pi, 1])),
    (
        "{kind: composite, waveforms: [{kind: ramp, duration: 100, start: 0, stop: 3}, {kind: constant, duration: 6, value: 3}]}",
        lambda: CompositeWaveform(RampWaveform(100, 0, 3), ConstantWaveform(6, 3)),
    ),
]


@pytest.mark.parametrize(("text", "waveform"), WAVEFORMS, ids=[text for text, _ in WAVEFORMS])
def test_every_waveform_takes_expressions_and_lends_its_duration_to_a_plain_number(
    tmp_path: Path, text: str, waveform: Callable[[], Any]
) -> None:
    plan = planned(tmp_path, spec_text(f"{{op: pulse, amplitude: {text}, detuning: -1}}"))
    made = waveform()
    assert_same(built(plan), by_hand(Pulse(made, ConstantWaveform(made.duration, -1), 0)))


@pytest.mark.parametrize(
    ("operation", "pulse"),
    [
        ("{op: pulse, duration: 100, amplitude: 5}", lambda: Pulse.ConstantPulse(100, 5, 0, 0)),
        (
            "{op: pulse, duration: 100, amplitude: 5, detuning: 2*pi, phase: pi}",
            lambda: Pulse.ConstantPulse(100, 5, 2 * math.pi, math.pi),
        ),
        (
            "{op: pulse, duration: 100, amplitude: {kind: ramp, start: 0, stop: 5}, detuning: {kind: ramp, start: -5, stop: 5}}",
            lambda: Pulse(RampWaveform(100, 0, 5), RampWaveform(100, -5, 5), 0),
        ),
        (
            "{op: pulse, duration: 6, amplitude: {kind: custom, samples: [0, 5]}, detuning: {kind: custom, samples: [1, 1]}}",
            lambda: Pulse(CustomWaveform([0, 5]), ConstantWaveform(2, 1), 0),
        ),
        (
            "{op: pulse, amplitude: 5, detuning: {kind: ramp, duration: 100, start: -5, stop: 5}}",
            lambda: Pulse(ConstantWaveform(100, 5), RampWaveform(100, -5, 5), 0),
        ),
        (
            "{op: pulse, amplitude: 1, detuning: {kind: custom, samples: [1, 2, 3, 4]}}",
            lambda: Pulse(ConstantWaveform(4, 1), CustomWaveform([1, 2, 3, 4]), 0),
        ),
        (
            "{op: pulse, duration: 100, amplitude: {kind: blackman, area: pi}, detuning: 0, post_phase_shift: pi/2}",
            lambda: Pulse(BlackmanWaveform(100, math.pi), ConstantWaveform(100, 0), 0, post_phase_shift=math.pi / 2),
        ),
        (
            "{op: pulse_arbitrary_phase, duration: 100, amplitude: 5, phase: {kind: ramp, start: 0, stop: pi}}",
            lambda: Pulse.ArbitraryPhase(ConstantWaveform(100, 5), RampWaveform(100, 0, math.pi)),
        ),
        (
            "{op: pulse_arbitrary_phase, duration: 100, amplitude: {kind: interpolated, values: [0, 5, 0]}, phase: 1}",
            lambda: Pulse.ArbitraryPhase(InterpolatedWaveform(100, [0, 5, 0]), ConstantWaveform(100, 1)),
        ),
    ],
)
def test_a_duration_serves_every_waveform_that_states_none_and_a_number_is_a_constant(
    tmp_path: Path, operation: str, pulse: Callable[[], Any]
) -> None:
    assert_same(built(planned(tmp_path, spec_text(operation))), by_hand(pulse()))


def test_fields_with_a_default_may_be_left_out(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        spec_text(
            "{op: pulse, duration: 100, amplitude: 5}",
            "{op: delay, time: 2*50}",
            "{op: pulse, duration: 100, amplitude: 5, phase: 1, protocol: no-delay}",
            "{op: phase_shift, phi: pi/4, targets: [0, 1], basis: ground-rydberg}",
            "{op: pulse, duration: 100, amplitude: 5}",
            "{op: truncate, duration: 380}",
            register=TWO_ATOMS,
        ),
    )
    expected = Sequence(Register({"q0": (0, 0), "q1": (6, 0)}), MockDevice)
    expected.declare_channel("ising", "rydberg_global")
    expected.add(Pulse.ConstantPulse(100, 5, 0, 0), "ising")
    expected.delay(100, "ising")
    expected.add(Pulse.ConstantPulse(100, 5, 0, 1), "ising", protocol="no-delay")
    expected.phase_shift_index(math.pi / 4, 0, 1, basis="ground-rydberg")
    expected.add(Pulse.ConstantPulse(100, 5, 0, 0), "ising")
    expected.truncate(380)
    expected.measure("ground-rydberg")
    assert_same(built(plan), expected)


def test_local_channels_are_pointed_aligned_and_named(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        spec_text(
            "{op: target, channel: raman, target: 1}",
            "{op: pulse, channel: raman, duration: 100, amplitude: 5}",
            "{op: align, channels: [raman, ising]}",
            "{op: pulse, channel: ising, duration: 100, amplitude: 5}",
            "{op: target, channel: raman, target: [0]}",
            "{op: pulse, channel: raman, duration: 100, amplitude: 3, protocol: wait-for-all}",
            register=TWO_ATOMS,
            channels="{raman: raman_local, ising: rydberg_global}",
        ),
    )
    expected = Sequence(Register({"q0": (0, 0), "q1": (6, 0)}), MockDevice)
    expected.declare_channel("raman", "raman_local", initial_target="q1")
    expected.declare_channel("ising", "rydberg_global")
    expected.add(Pulse.ConstantPulse(100, 5, 0, 0), "raman")
    expected.align("raman", "ising")
    expected.add(Pulse.ConstantPulse(100, 5, 0, 0), "ising")
    expected.target("q0", "raman")
    expected.add(Pulse.ConstantPulse(100, 3, 0, 0), "raman", protocol="wait-for-all")
    expected.measure("ground-rydberg")
    assert_same(built(plan), expected)


def test_eom_mode_takes_expressions(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        spec_text(
            "{op: enable_eom_mode, amp_on: 2*pi, detuning_on: 0}",
            "{op: add_eom_pulse, duration: 25*4, phase: 0}",
            "{op: modify_eom_setpoint, amp_on: pi, detuning_on: 0}",
            "{op: add_eom_pulse, duration: 100, phase: pi/2}",
            "{op: disable_eom_mode}",
            device="AnalogDevice",
            register="{from_coordinates: {coords: [[0, 0]]}, automatic_layout: true}",
        ),
    )
    register = Register.from_coordinates([(0, 0)], prefix="q").with_automatic_layout(AnalogDevice)
    expected = Sequence(register, AnalogDevice)
    expected.declare_channel("ising", "rydberg_global")
    expected.enable_eom_mode("ising", 2 * math.pi, 0, optimal_detuning_off=0)
    expected.add_eom_pulse("ising", 100, 0)
    expected.modify_eom_setpoint("ising", math.pi, 0, optimal_detuning_off=0)
    expected.add_eom_pulse("ising", 100, math.pi / 2)
    expected.disable_eom_mode("ising")
    expected.measure("ground-rydberg")
    assert_same(built(plan), expected)


REGISTERS: list[tuple[str, Callable[[], Any]]] = [
    ("{square: {side: 2, spacing: 3 + 3}}", lambda: Register.square(2, 6, prefix="q")),
    ("{rectangle: {rows: 2, columns: 3, spacing: 7, prefix: a}}", lambda: Register.rectangle(2, 3, 7, prefix="a")),
    (
        "{rectangular_lattice: {rows: 2, columns: 3, row_spacing: 5, col_spacing: 6}}",
        lambda: Register.rectangular_lattice(2, 3, 5, 6, prefix="q"),
    ),
    ("{triangular_lattice: {rows: 2, atoms_per_row: 3, spacing: 5}}", lambda: Register.triangular_lattice(2, 3, 5, prefix="q")),
    ("{hexagon: {layers: 1, spacing: 5}}", lambda: Register.hexagon(1, 5, prefix="q")),
    ("{max_connectivity: {n_qubits: 5, spacing: 5}}", lambda: Register.max_connectivity(5, MockDevice, 5, prefix="q")),
    (
        "{from_coordinates: {coords: [[0, 0], [0, 2*3]], center: false}}",
        lambda: Register.from_coordinates([(0, 0), (0, 6)], center=False, prefix="q"),
    ),
    (
        "{from_coordinates: {coords: [[0, 0], [0, 6]], labels: [left, right]}}",
        lambda: Register.from_coordinates([(0, 0), (0, 6)], labels=["left", "right"]),
    ),
    (
        "{from_coordinates: {coords: [[0, 0, 0], [0, 6, 6]]}}",
        lambda: Register3D.from_coordinates([(0, 0, 0), (0, 6, 6)], prefix="q"),
    ),
    ("{cubic: {side: 2, spacing: 6}}", lambda: Register3D.cubic(2, 6, prefix="q")),
    ("{cuboid: {rows: 1, columns: 2, layers: 3, spacing: 6}}", lambda: Register3D.cuboid(1, 2, 3, 6, prefix="q")),
    ("{a: [0, 0], b: [-6, 2*pi]}", lambda: Register({"a": (0, 0), "b": (-6, 2 * math.pi)})),
    ("{a: [0, 0, 0], b: [0, 0, 6]}", lambda: Register3D({"a": (0, 0, 0), "b": (0, 0, 6)})),
    ("[{name: b, x: 0, y: 0}, {name: a, x: 6, y: 0}]", lambda: Register({"b": (0, 0), "a": (6, 0)})),
]


@pytest.mark.parametrize(("text", "register"), REGISTERS, ids=[text for text, _ in REGISTERS])
def test_a_register_is_what_pulsers_constructor_makes(tmp_path: Path, text: str, register: Callable[[], Any]) -> None:
    plan = planned(tmp_path, spec_text("{op: pulse, duration: 100, amplitude: 1}", register=text))
    expected = register()
    assert plan.atoms(plan.sequence_ids[0]) == expected.qubit_ids
    assert_same(built(plan), by_hand(Pulse.ConstantPulse(100, 1, 0, 0), register=expected))


def test_an_automatic_layout_is_the_one_that_pulser_makes_for_the_device(tmp_path: Path) -> None:
    register = "{square: {side: 3, spacing: 6}, automatic_layout: true}"
    text = spec_text("{op: pulse, duration: 100, amplitude: 1}", register=register, device="AnalogDevice")
    expected = Register.square(3, 6, prefix="q").with_automatic_layout(AnalogDevice)
    made = built(planned(tmp_path, text))
    assert expected.layout is not None
    assert made.register.layout.static_hash() == expected.layout.static_hash()
    assert made.register == expected


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    text = spec_text(
        "{op: pulse, amplitude: 5}",
        "{op: pulse, channel: none, duration: 100, amplitude: 2 +}",
        "{op: pulse, channel: a, amplitude: {kind: ramp, start: 0, stop: 1}}",
        "{op: align, channels: [a, c]}",
        channels="{a: rydberg_global, b: raman_local}",
        register="[{name: a, x: 0, y: 0}, {name: a, x: 6, y: 0, z: 0}]",
    )
    path.write_text(text, encoding="utf-8")
    assert [str(problem).removeprefix(f"{path}:") for problem in pcs_runner.validate(path)] == [
        "6:13: sequence.register: some atoms have two coordinates and others three",
        "6:13: sequence.register: two atoms have the same name",
        "9:7: sequence.operations[0]: no channel is named, and 2 are declared: a, b",
        "9:7: sequence.operations[0]: no duration: amplitude and detuning are plain numbers",
        '10:28: sequence.operations[1].channel: channel "none" is not declared',
        "10:63: sequence.operations[1].amplitude: the expression ends too early",
        "11:42: sequence.operations[2].amplitude: the waveform has no duration",
        '12:33: sequence.operations[3].channels[1]: channel "c" is not declared',
    ]


def test_pulser_is_as_it_was_when_this_was_written() -> None:
    """The forms above are those of this version; a new one asks for a look at what it can do."""
    assert pulser.__version__.startswith("1.")
