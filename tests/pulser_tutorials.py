"""What Pulser's public tutorials build, written anew: one small sequence for each of their subjects."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from pulser import Pulse, Register, Sequence
from pulser.channels import Microwave, Raman, Rydberg
from pulser.channels.dmm import DMM
from pulser.devices import AnalogDevice, Device, DigitalAnalogDevice, MockDevice, VirtualDevice
from pulser.register import Register3D
from pulser.register.register_layout import RegisterLayout
from pulser.register.special_layouts import RectangularLatticeLayout, SquareLatticeLayout, TriangularLatticeLayout
from pulser.waveforms import (
    BlackmanWaveform,
    CompositeWaveform,
    ConstantWaveform,
    CustomWaveform,
    InterpolatedWaveform,
    KaiserWaveform,
    RampWaveform,
)

TUTORIALS: dict[str, Callable[[], Any]] = {}
"""By name: a function that makes a `pulser.Sequence`."""


def tutorial(make: Callable[[], Any]) -> Callable[[], Any]:
    TUTORIALS[make.__name__] = make
    return make


def on(register: Any, device: Any, **channels: str) -> Any:
    sequence = Sequence(register, device)
    for name, channel in channels.items():
        sequence.declare_channel(name, channel)
    return sequence


def row(count: int, spacing: float = 6.0) -> Any:
    return Register.rectangle(1, count, spacing, prefix="q")


@tutorial
def first_sequence() -> Any:
    sequence = on(
        Register.rectangle(1, 2, 8.0, prefix="q").with_automatic_layout(AnalogDevice), AnalogDevice, ch="rydberg_global"
    )
    sequence.add(Pulse(RampWaveform(1000, 0, np.pi), ConstantWaveform(1000, 0), 0), "ch")
    sequence.measure("ground-rydberg")
    return sequence


@tutorial
def creating_sequences() -> Any:
    square = np.array([[i, j] for i in range(4) for j in range(4)], dtype=float) - 1.5
    register = Register(dict(enumerate(square * 5)))
    sequence: Any = Sequence(register, DigitalAnalogDevice)  # atoms called by numbers, as the tutorial has it
    sequence.declare_channel("ch0", "raman_local", initial_target=4)
    sequence.declare_channel("ch1", "rydberg_local", initial_target=4)
    simple = Pulse.ConstantPulse(200, 2, -10, 0)
    sequence.add(simple, "ch0")
    sequence.delay(100, "ch1")
    complicated = Pulse(BlackmanWaveform(1000, np.pi / 2), RampWaveform(1000, -20, 20), phase=0)
    sequence.add(complicated, "ch1")
    sequence.target(9, "ch0")
    sequence.add(simple, "ch0", protocol="min-delay")
    sequence.add(simple, "ch0", protocol="wait-for-all")
    sequence.target(9, "ch1")
    sequence.add(complicated, "ch1", protocol="no-delay")
    sequence.measure(basis="ground-rydberg")
    return sequence


@tutorial
def antiferromagnet() -> Any:
    omega = 2.3 * 2 * np.pi
    rise, fall, start, stop = 252, 500, -6 * 2 * np.pi, 2 * 2 * np.pi
    sweep = int((stop - start) / (2 * np.pi * 10) * 1000) // 4 * 4
    sequence = on(Register.rectangle(3, 3, 7.0, prefix="q"), MockDevice, ising="rydberg_global")
    sequence.add(Pulse.ConstantDetuning(RampWaveform(rise, 0.0, omega), start, 0.0), "ising")
    sequence.add(Pulse.ConstantAmplitude(omega, RampWaveform(sweep, start, stop), 0.0), "ising")
    sequence.add(Pulse.ConstantDetuning(RampWaveform(fall, omega, 0.0), stop, 0.0), "ising")
    return sequence


@tutorial
def antiferromagnet_optimised() -> Any:
    sequence = on(Register.square(3, 7.0, prefix="q").with_automatic_layout(AnalogDevice), AnalogDevice, ising="rydberg_global")
    amplitudes, detunings = sequence.declare_variable("amplitudes", size=3), sequence.declare_variable("detunings", size=3)
    time = sequence.declare_variable("time", dtype=int)
    sequence.add(Pulse(InterpolatedWaveform(time, amplitudes), InterpolatedWaveform(time, detunings), 0), "ising")
    return sequence


@tutorial
def rydberg_crystal() -> Any:
    sequence = on(row(9, 6.5), MockDevice, ising="rydberg_global")
    amplitude = InterpolatedWaveform(3000, [1e-9, 12.0, 12.0, 1e-9])
    sequence.add(Pulse(amplitude, InterpolatedWaveform(3000, [-30.0, 0.0, 30.0]), 0), "ising")
    return sequence


@tutorial
def blockade_radius() -> Any:
    sequence = on(Register.from_coordinates([(-3, 0), (3, 0)], center=False, prefix="atom"), AnalogDevice, r="rydberg_global")
    sequence.add(Pulse.ConstantPulse(1000, np.pi, 0.0, 0.0), "r")
    return sequence


@tutorial
def controlled_z() -> Any:
    register = Register.from_coordinates([(0, 0), (-4, 0), (4, 0)], labels=["target", "control1", "control2"], center=False)
    sequence = Sequence(register, DigitalAnalogDevice)
    sequence.declare_channel("ryd", "rydberg_local", initial_target="control1")
    sequence.declare_channel("raman", "raman_local", initial_target="control1")
    pi_pulse, two_pi = BlackmanWaveform.from_max_val(10, np.pi), BlackmanWaveform.from_max_val(10, 2 * np.pi)
    for qubit in ("control1", "control2", "target"):
        sequence.target(qubit, "raman")
        sequence.add(Pulse.ConstantDetuning(pi_pulse, 0, 0), "raman")
    sequence.align("raman", "ryd")
    for qubit, waveform in (("control1", pi_pulse), ("target", two_pi), ("control1", pi_pulse)):
        sequence.target(qubit, "ryd")
        sequence.add(Pulse.ConstantDetuning(waveform, 0, 0), "ryd", "wait-for-all")
    sequence.measure("digital")
    return sequence


@tutorial
def virtual_z() -> Any:
    sequence = Sequence(row(2, 10.0), DigitalAnalogDevice)
    sequence.declare_channel("raman", "raman_local", initial_target="q0")
    half = BlackmanWaveform(1000, np.pi / 2)
    sequence.add(Pulse.ConstantDetuning(half, 0, np.pi / 2, post_phase_shift=np.pi), "raman")
    sequence.phase_shift(np.pi, "q0", "q1", basis="digital")
    sequence.add(Pulse.ConstantDetuning(half, 0, 3 * np.pi / 2), "raman")
    sequence.target("q1", "raman")
    sequence.add(Pulse.ConstantDetuning(half, 0, -np.pi / 2), "raman")
    return sequence


@tutorial
def parametrised() -> Any:
    sequence = Sequence(row(3), MockDevice)
    sequence.declare_channel("rydberg", "rydberg_global")
    sequence.declare_channel("raman", "raman_local", initial_target="q0")
    values = sequence.declare_variable("omega_max_and_detuning", size=2)
    rise = sequence.declare_variable("rise", dtype=int)
    target = sequence.declare_variable("target", dtype=int)
    ramp = RampWaveform(rise, 0.0, values[0])
    sequence.add(Pulse.ConstantDetuning(ramp, -values[1], 0), "rydberg")
    sequence.add(Pulse.ConstantAmplitude(values[0], RampWaveform(rise * 2 + 100, -values[1], values[1] / 2), 0), "rydberg")
    sequence.add(Pulse.ConstantDetuning(BlackmanWaveform(400, 2 * np.pi * np.sin(values[1]) ** 2), 0, 0), "rydberg")
    sequence.target_index(target, "raman")
    sequence.add(Pulse.ConstantPulse(200, abs(values[0]) % 7, 0, np.pi / 4), "raman")
    sequence.phase_shift_index(values[0] - 1, target, basis="digital")
    return sequence


@tutorial
def qaoa_for_mis() -> Any:
    places = {"q0": (0, 0), "q1": (3.5, -5.5), "q2": (5.7, 0.1), "q3": (-1.8, -4.6), "q4": (-7.0, 5.0)}
    sequence = on(Register(places), MockDevice, ch0="rydberg_global")
    times = sequence.declare_variable("t_list", size=4, dtype=int)
    steps = sequence.declare_variable("s_list", size=4, dtype=int)
    for t, s in zip(times, steps, strict=True):
        sequence.add(Pulse.ConstantPulse(t, 6.28, 0.0, 0), "ch0")
        sequence.add(Pulse.ConstantPulse(s, 6.28, 12.5, 0), "ch0")
    sequence.measure("ground-rydberg")
    return sequence


@tutorial
def adiabatic_mis() -> Any:
    layout = TriangularLatticeLayout(61, 5.0)
    register = layout.define_register(9, 10, 21, 35, 52, qubit_ids=["a", "b", "c", "d", "e"])
    sequence = on(register, AnalogDevice, ising="rydberg_global")
    amplitude, detuning = InterpolatedWaveform(4000, [1e-9, 8.0, 1e-9]), InterpolatedWaveform(4000, [-15.0, 0.0, 15.0])
    sequence.add(Pulse(amplitude, detuning, 0), "ising")
    return sequence


@tutorial
def weighted_mis_with_detuning_map() -> Any:
    register = Register({f"q{i}": xy for i, xy in enumerate([(0, 0), (5, 0), (5, 5), (10, 10)])})
    sequence = Sequence(register, MockDevice)
    weights = register.define_detuning_map({"q0": 1.0, "q1": 0.5, "q3": 0.25})
    sequence.config_detuning_map(weights, "dmm_0")
    sequence.declare_channel("ising", "rydberg_global")
    sequence.add(Pulse.ConstantDetuning(InterpolatedWaveform(1000, [0.1, 6.0, 6.0, 0.1]), 5.0, 0), "ising")
    sequence.add_dmm_detuning(RampWaveform(1000, -30, 0), "dmm_0")
    sequence.add_dmm_detuning(ConstantWaveform(100, -5), "dmm_0", protocol="min-delay")
    return sequence


@tutorial
def dmm_on_a_layout() -> Any:
    layout = RegisterLayout([(0.0, 0.0), (0.0, 6.0), (6.0, 0.0), (6.0, 6.0)], slug="four")
    sequence = Sequence(layout.define_register(0, 3), DigitalAnalogDevice.to_virtual())
    sequence.config_detuning_map(layout.define_detuning_map({0: 0.3, 2: 1.0}, slug="two"), "dmm_0")
    sequence.add_dmm_detuning(RampWaveform(400, 0, -8), "dmm_0")
    return sequence


@tutorial
def composite_waveforms() -> Any:
    sequence = on(row(1), MockDevice, r="rydberg_global")
    waveform = CompositeWaveform(BlackmanWaveform(400, np.pi), ConstantWaveform(100, 2.0), RampWaveform(200, 2.0, 0.0))
    nested = CompositeWaveform(RampWaveform(300, -5, 5), CompositeWaveform(ConstantWaveform(100, 5), RampWaveform(300, 5, 0)))
    sequence.add(Pulse(waveform, nested, 0.25), "r")
    sequence.add(Pulse.ConstantDetuning(waveform, -1.5, 0), "r")
    return sequence


@tutorial
def interpolated_and_custom_waveforms() -> Any:
    sequence = on(row(1), MockDevice, r="rydberg_global")
    shape = InterpolatedWaveform(500, [1.0, 4.0, 3.0, 0.5], times=[0.0, 0.2, 0.7, 1.0])
    sequence.add(Pulse(shape, CustomWaveform(np.linspace(-1, 1, 500) ** 3), 0), "r")
    sequence.add(Pulse.ConstantDetuning(KaiserWaveform(600, 2.5), 0, 0), "r")
    sequence.add(Pulse.ConstantDetuning(KaiserWaveform.from_max_val(7.0, 1.5, beta=8.0), 0, 0), "r")
    return sequence


@tutorial
def eom_mode() -> Any:
    sequence = on(row(2).with_automatic_layout(AnalogDevice), AnalogDevice, r="rydberg_global")
    sequence.add(Pulse.ConstantPulse(400, 1.0, 0.0, 0.0), "r")
    sequence.enable_eom_mode("r", amp_on=1.0, detuning_on=0.0, optimal_detuning_off=-10.0, correct_phase_drift=True)
    sequence.add_eom_pulse("r", duration=100, phase=0.0)
    sequence.delay(200, "r")
    sequence.modify_eom_setpoint("r", amp_on=2.0, detuning_on=1.0)
    sequence.add_eom_pulse("r", duration=60, phase=np.pi / 2, post_phase_shift=0.5, protocol="no-delay", correct_phase_drift=True)
    sequence.disable_eom_mode("r", correct_phase_drift=True)
    sequence.delay(100, "r", at_rest=True)
    return sequence


@tutorial
def slm_mask_and_detuning() -> Any:
    sequence = Sequence(row(3), MockDevice)
    sequence.declare_channel("global", "rydberg_global")
    sequence.config_slm_mask(["q1"], "dmm_0")
    sequence.add(Pulse.ConstantDetuning(BlackmanWaveform(600, np.pi), 0, 0), "global")
    return sequence


@tutorial
def xy_chain() -> Any:
    register = Register.from_coordinates([(-8.0, 0.0), (0.0, 0.0), (8.0, 0.0)], center=False, prefix="q")
    sequence = Sequence(register, MockDevice)
    sequence.set_magnetic_field(0.0, 10.0, 30.0)
    sequence.config_slm_mask(["q1", "q2"])
    sequence.declare_channel("MW", "mw_global")
    sequence.add(Pulse.ConstantDetuning(BlackmanWaveform(1000, np.pi), 0, 0), "MW")
    sequence.add(Pulse.ConstantPulse(800, 0.0, 0.0, 0.0), "MW")
    sequence.measure("XY")
    return sequence


@tutorial
def microwave_engineering() -> Any:
    sequence = on(Register.from_coordinates([(0, 0), (15, 0)], prefix="q"), MockDevice, MW="mw_global")
    t = sequence.declare_variable("t", dtype=int)
    half = BlackmanWaveform(200, np.pi / 2)
    for phase in (0.0, -np.pi / 2, np.pi / 2, np.pi):
        sequence.delay(t, "MW")
        sequence.add(Pulse.ConstantDetuning(half, 0, phase), "MW")
    sequence.delay(2 * t, "MW")
    return sequence


@tutorial
def mappable_register() -> Any:
    layout = TriangularLatticeLayout(100, 5.0)
    sequence = on(layout.make_mappable_register(6), MockDevice, r="rydberg_global")
    sequence.declare_channel("l", "rydberg_local")
    sequence.target_index(0, "l")
    omega = sequence.declare_variable("omega")
    sequence.add(Pulse.ConstantPulse(400, omega, 0, 0), "r")
    sequence.add(Pulse.ConstantPulse(400, omega / 2, 0, 0), "l")
    return sequence


@tutorial
def layouts_square_and_rectangular() -> Any:
    return on(SquareLatticeLayout(7, 4, 5).square_register(2), MockDevice, r="rydberg_global")


@tutorial
def rectangular_layout() -> Any:
    sequence = on(RectangularLatticeLayout(4, 5, 6.0, 7.5).define_register(3, 7, 11), MockDevice, r="rydberg_global")
    sequence.delay(100, "r")
    return sequence


@tutorial
def quantum_evolution_kernel() -> Any:
    places = np.array([[-2.1, 4.9], [5.2, 3.1], [-6.3, -2.8], [1.4, -5.5]])
    sequence = on(Register.from_coordinates(places, prefix="q", center=False), MockDevice, ising="rydberg_global")
    sequence.add(Pulse.ConstantPulse(660, 2 * np.pi, 0.0, 0.0), "ising")
    sequence.truncate(400)
    return sequence


@tutorial
def shadow_estimation_for_vqs() -> Any:
    sequence = Sequence(Register3D.cubic(2, 6.0, prefix="q"), MockDevice)
    sequence.declare_channel("ising", "rydberg_global")
    angles = sequence.declare_variable("angles", size=5)
    for angle in angles:
        sequence.add(Pulse.ConstantAmplitude(3.0, RampWaveform(200, angle, -angle), np.tanh(angle)), "ising")
    return sequence


@tutorial
def arbitrary_phase() -> Any:
    sequence = on(row(2), MockDevice, r="rydberg_global")
    sequence.add(Pulse.ArbitraryPhase(ConstantWaveform(500, 4.0), RampWaveform(500, 0.0, 2.0)), "r")
    sequence.add(Pulse.ArbitraryPhase(BlackmanWaveform(400, 2.0), InterpolatedWaveform(400, [0.0, 1.0, 0.5])), "r")
    return sequence


@tutorial
def virtual_device() -> Any:
    device = VirtualDevice(
        name="Mine",
        dimensions=3,
        rydberg_level=75,
        channel_objects=(
            Rydberg.Global(None, None, clock_period=2),
            Raman.Local(None, None, max_targets=3),
            Microwave.Global(None, None),
        ),
        dmm_objects=(DMM(bottom_detuning=-100),),
        reusable_channels=True,
    )
    sequence = Sequence(Register3D({"x": (0, 0, 0), "y": (0, 5.5, 1.25)}), device)
    sequence.declare_channel("r", "rydberg_global")
    sequence.declare_channel("raman", "raman_local", initial_target=["x", "y"])
    sequence.add(Pulse.ConstantPulse(500, 1.5, -2.0, 0.5), "r")
    sequence.add(Pulse.ConstantPulse(300, 1.0, 0.0, 0.0), "raman")
    return sequence


@tutorial
def hardware_like_device() -> Any:
    device: Device = replace(AnalogDevice, name="Machine", max_runs=50)
    sequence = on(Register.hexagon(1, 6.0, prefix="q").with_automatic_layout(device), device, r="rydberg_global")
    sequence.add(Pulse.ConstantPulse(402, 2.0, 0.0, 0.0), "r")
    sequence.measure()
    return sequence


def made(name: str) -> Any:
    """A tutorial's sequence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TUTORIALS[name]()
