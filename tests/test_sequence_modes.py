"""XY mode, EOM mode, DMM, masks and timing with all their options, against sequences written by hand with Pulser."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from pulser import Pulse, Register, Sequence
from pulser.devices import AnalogDevice, DigitalAnalogDevice, MockDevice
from pulser.waveforms import BlackmanWaveform, ConstantWaveform, RampWaveform

from spec_text import TWO_ATOMS, assert_same, built, planned, spec_text

if TYPE_CHECKING:
    from pathlib import Path


def assert_equal(made: Any, expected: Any) -> None:
    """Assert the same samples for every atom, and the same abstract representation but for its name."""
    assert_same(made, expected)
    ours, theirs = (json.loads(one.to_abstract_repr()) for one in (made, expected))
    for body in (ours, theirs):
        del body["name"]
    assert ours == theirs


def test_xy_mode_has_a_magnetic_field_and_an_slm_mask(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: 100, amplitude: {kind: blackman, area: pi}}",
        "{op: pulse, duration: 200, amplitude: 2, detuning: -1, phase: pi/2}",
        register="{q0: [0, 0], q1: [8, 0], q2: [4, 4*sqrt(3)]}",
        channels="{mw: mw_global}",
        more="  measurement: XY\n  magnetic_field: [0, 10*b, 30]\n  slm_mask_targets: [q1, q2]\n",
        jobs="{runs: 1, sweep: {grid: {b: [0, 1]}}}",
    )
    plan = planned(tmp_path, text)
    assert len(plan.sequence_ids) == 2, "Pulser cannot parametrise a magnetic field"
    for number, field in enumerate([0, 10]):
        expected = Sequence(Register({"q0": (0, 0), "q1": (8, 0), "q2": (4, 4 * math.sqrt(3))}), MockDevice)
        expected.declare_channel("mw", "mw_global")
        expected.set_magnetic_field(0, field, 30)
        expected.config_slm_mask(["q1", "q2"])
        expected.add(Pulse.ConstantDetuning(BlackmanWaveform(100, math.pi), 0, 0), "mw")
        expected.add(Pulse.ConstantPulse(200, 2, -1, math.pi / 2), "mw")
        expected.measure("XY")
        assert_equal(built(plan, number), expected)


def test_every_option_of_eom_mode(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: 200, amplitude: 1}",
        "{op: enable_eom_mode, amp_on: omega, detuning_on: 0, optimal_detuning_off: -1 - omega, correct_phase_drift: true}",
        "{op: add_eom_pulse, duration: 2*t, phase: pi/3, post_phase_shift: pi/7, protocol: no-delay, correct_phase_drift: true}",
        "{op: delay, time: 100, at_rest: true}",
        "{op: modify_eom_setpoint, amp_on: omega/2, detuning_on: 1, optimal_detuning_off: -2, correct_phase_drift: true}",
        "{op: add_eom_pulse, duration: t, phase: 0, protocol: wait-for-all}",
        "{op: disable_eom_mode, correct_phase_drift: true}",
        "{op: pulse, duration: 200, amplitude: 1}",
        device="AnalogDevice",
        register="{from_coordinates: {coords: [[0, 0]]}, automatic_layout: true}",
        jobs="{runs: 1, sweep: {zip: {omega: [2*pi, pi], t: [100, 200]}}}",
    )
    plan = planned(tmp_path, text)
    for number, (omega, t) in enumerate([(2 * math.pi, 100), (math.pi, 200)]):
        register = Register.from_coordinates([(0, 0)], prefix="q").with_automatic_layout(AnalogDevice)
        expected = Sequence(register, AnalogDevice)
        expected.declare_channel("ising", "rydberg_global")
        expected.add(Pulse.ConstantPulse(200, 1, 0, 0), "ising")
        expected.enable_eom_mode("ising", omega, 0, optimal_detuning_off=-1 - omega, correct_phase_drift=True)
        expected.add_eom_pulse("ising", 2 * t, math.pi / 3, math.pi / 7, protocol="no-delay", correct_phase_drift=True)
        expected.delay(100, "ising", at_rest=True)
        expected.modify_eom_setpoint("ising", omega / 2, 1, optimal_detuning_off=-2, correct_phase_drift=True)
        expected.add_eom_pulse("ising", t, 0, protocol="wait-for-all")
        expected.disable_eom_mode("ising", correct_phase_drift=True)
        expected.add(Pulse.ConstantPulse(200, 1, 0, 0), "ising")
        expected.measure("ground-rydberg")
        assert_same(built(plan, number), expected)


def test_a_dmm_has_its_map_its_protocol_and_delays_beside_a_global_channel(tmp_path: Path) -> None:
    text = spec_text(
        "{op: config_detuning_map, detuning_map: {q0: 1, q1: 0.5}, dmm_id: dmm_0}",
        "{op: add_dmm_detuning, waveform: {kind: ramp, duration: 200, start: 0, stop: -d}}",
        "{op: pulse, channel: ising, duration: 200, amplitude: 5, protocol: wait-for-all}",
        "{op: add_dmm_detuning, duration: 100, waveform: -d, protocol: no-delay}",
        "{op: delay, channel: dmm_0, time: 60}",
        "{op: align, channels: [ising, dmm_0], at_rest: false}",
        "{op: pulse, channel: ising, duration: 100, amplitude: 2}",
        device="DigitalAnalogDevice",
        register=TWO_ATOMS,
        jobs="{runs: 1, sweep: {grid: {d: [10, 20]}}}",
    )
    plan = planned(tmp_path, text)
    for number, depth in enumerate([10, 20]):
        register = Register({"q0": (0, 0), "q1": (6, 0)})
        expected = Sequence(register, DigitalAnalogDevice)
        expected.declare_channel("ising", "rydberg_global")
        expected.config_detuning_map(register.define_detuning_map({"q0": 1, "q1": 0.5}), "dmm_0")
        expected.add_dmm_detuning(RampWaveform(200, 0, -depth), "dmm_0")
        expected.add(Pulse.ConstantPulse(200, 5, 0, 0), "ising", protocol="wait-for-all")
        expected.add_dmm_detuning(ConstantWaveform(100, -depth), "dmm_0", protocol="no-delay")
        expected.delay(60, "dmm_0")
        expected.align("ising", "dmm_0", at_rest=False)
        expected.add(Pulse.ConstantPulse(100, 2, 0, 0), "ising")
        expected.measure("ground-rydberg")
        assert_equal(built(plan, number), expected)


def test_the_slm_mask_of_an_ising_sequence_uses_the_dmm(tmp_path: Path) -> None:
    text = spec_text(
        "{op: config_slm_mask, qubits: [q1], dmm_id: dmm_0}",
        "{op: pulse, duration: 100, amplitude: 2}",
        "{op: add_dmm_detuning, duration: 100, waveform: -5}",
        register=TWO_ATOMS,
    )
    expected = Sequence(Register({"q0": (0, 0), "q1": (6, 0)}), MockDevice)
    expected.config_slm_mask(["q1"], "dmm_0")
    expected.declare_channel("ising", "rydberg_global")
    expected.add(Pulse.ConstantPulse(100, 2, 0, 0), "ising")
    expected.add_dmm_detuning(ConstantWaveform(100, -5), "dmm_0")
    expected.measure("ground-rydberg")
    assert_same(built(planned(tmp_path, text)), expected)


def test_two_dmms_of_a_virtual_device_have_names_of_their_own(tmp_path: Path) -> None:
    text = spec_text(
        "{op: config_detuning_map, detuning_map: {q0: 1}}",
        "{op: config_detuning_map, detuning_map: {q1: 1}}",
        "{op: add_dmm_detuning, duration: 100, waveform: -5}",
        "{op: add_dmm_detuning, duration: 100, waveform: -3, dmm_name: dmm_0_1}",
        "{op: pulse, channel: ising, duration: 100, amplitude: 2, protocol: no-delay}",
        register=TWO_ATOMS,
    )
    register = Register({"q0": (0, 0), "q1": (6, 0)})
    expected = Sequence(register, MockDevice)
    expected.declare_channel("ising", "rydberg_global")
    expected.config_detuning_map(register.define_detuning_map({"q0": 1}), "dmm_0")
    expected.config_detuning_map(register.define_detuning_map({"q1": 1}), "dmm_0")
    expected.add_dmm_detuning(ConstantWaveform(100, -5), "dmm_0")
    expected.add_dmm_detuning(ConstantWaveform(100, -3), "dmm_0_1")
    expected.add(Pulse.ConstantPulse(100, 2, 0, 0), "ising", protocol="no-delay")
    expected.measure("ground-rydberg")
    assert_same(built(planned(tmp_path, text)), expected)
