"""The experiments in `specs/gallery` are, point by point, the sequences that somebody writes by hand with Pulser."""

from __future__ import annotations

import math
from math import pi
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pulser import Pulse, Register, Sequence
from pulser.devices import AnalogDevice, DigitalAnalogDevice, MockDevice
from pulser.waveforms import BlackmanWaveform, ConstantWaveform, InterpolatedWaveform, RampWaveform

import pcs_runner
from spec_text import assert_same, built

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Sequence as Points

FOLDER = Path(__file__).resolve().parent.parent / "specs" / "gallery"
COMPARED = 8
"""So many points of each experiment are compared, from the first to the last."""


def ising(register: Any, device: Any = AnalogDevice) -> Any:
    """A sequence with a global Rydberg channel."""
    sequence = Sequence(register, device)
    sequence.declare_channel("ising", "rydberg_global")
    return sequence


def analog(*places: tuple[float, float]) -> Any:
    """Atoms at the centre of an AnalogDevice, on a layout made for it."""
    return Register.from_coordinates(places, prefix="q").with_automatic_layout(AnalogDevice)


def measured(sequence: Any, basis: str = "ground-rydberg") -> Any:
    """The sequence, measured."""
    sequence.measure(basis)
    return sequence


def constant(duration: int, amplitude: float, detuning: float = 0, phase: float = 0) -> Any:
    """A square pulse."""
    return Pulse.ConstantPulse(duration, amplitude, detuning, phase)


def add(sequence: Any, *pulses: Any, channel: str = "ising") -> Any:
    """The sequence with these pulses."""
    for pulse in pulses:
        sequence.add(pulse, channel)
    return sequence


def rabi(t: int, delta: float) -> Any:
    return measured(add(ising(analog((0, 0))), constant(t, 2 * pi, delta)))


HALF = 1000 * (pi / 2) / 252
"""rad/µs: pi/2 in 252 ns."""


def ramsey(T: int, phi: float) -> Any:  # noqa: N803 - the spec's name
    sequence = add(ising(analog((0, 0))), constant(252, HALF))
    sequence.delay(T, "ising")
    return measured(add(sequence, constant(252, HALF, phase=phi)))


def echo(echo: int, delta: float) -> Any:
    sequence = add(ising(analog((0, 0))), constant(252, HALF), constant(500, 0, delta))
    if echo:
        add(sequence, constant(504, HALF))
    return measured(add(sequence, constant(500, 0, delta), constant(252, HALF)))


def xy8(n: int, error: float, omega: float) -> Any:
    assert omega == pytest.approx((1 + error) * 10 * pi)
    sequence = add(ising(Register({"q0": (0, 0)}), MockDevice), constant(100, omega / 2))
    for axis in "xyxyyxyx" * n:
        sequence.delay(100, "ising")
        add(sequence, constant(100, omega, phase=pi / 2 if axis == "y" else 0))
        sequence.delay(100, "ising")
    return measured(add(sequence, constant(100, omega / 2, phase=pi)))


def blockade(distance: float) -> Any:
    return measured(add(ising(analog((0, 0), (distance, 0))), constant(1000, pi)))


def afm_ramp(t_sweep: int, d_end: float) -> Any:
    u = AnalogDevice.interaction_coeff / 6**6
    omega, d_start = 0.6 * u, -6 * u
    register = Register.rectangle(2, 3, 6, prefix="q").with_automatic_layout(AnalogDevice)
    return measured(
        add(
            ising(register),
            Pulse.ConstantDetuning(RampWaveform(252, 0, omega), d_start, 0),
            Pulse.ConstantAmplitude(omega, RampWaveform(t_sweep, d_start, d_end), 0),
            Pulse.ConstantDetuning(RampWaveform(500, omega, 0), d_end, 0),
        )
    )


def z2_quench(t: int) -> Any:
    omega = 2 * pi
    sequence = add(
        ising(Register.rectangle(1, 7, 6, prefix="q"), MockDevice),
        Pulse.ConstantDetuning(RampWaveform(200, 0, omega), -2 * omega, 0),
        Pulse.ConstantAmplitude(omega, RampWaveform(1500, -2 * omega, 2 * omega), 0),
        constant(3000, omega),
    )
    sequence.truncate(t)
    return measured(sequence)


def z2_phase_diagram(spacing: float, d_end: float) -> Any:
    omega = 2 * pi
    amplitude = InterpolatedWaveform(3000, [0, omega, omega, 0])
    detuning = InterpolatedWaveform(3000, [-2 * omega, -2 * omega, d_end, d_end])
    return measured(add(ising(Register.rectangle(1, 7, spacing, prefix="q"), MockDevice), Pulse(amplitude, detuning, 0)))


def mis(qubits: list[int] | dict[str, int], t: int) -> Any:
    layout = AnalogDevice.calibrated_register_layouts["TriangularLatticeLayout(61, 5.0µm)"]
    traps = list(qubits.values()) if isinstance(qubits, dict) else qubits
    register = layout.define_register(*traps, qubit_ids=[f"q{number}" for number in range(len(traps))])
    amplitude = InterpolatedWaveform(t, [1e-9, 2 * pi, 1e-9])
    detuning = InterpolatedWaveform(t, [-3 * pi, 0, 3 * pi])
    return measured(add(ising(register), Pulse(amplitude, detuning, 0)))


def mwis(ends: float, t: int) -> Any:
    register = Register({"left": (-6, 0), "middle": (0, 0), "right": (6, 0)})
    sequence = ising(register, DigitalAnalogDevice)
    weights = {"left": 1 - ends, "middle": 0.0, "right": 1 - ends}
    sequence.config_detuning_map(register.define_detuning_map(weights), "dmm_0")
    d_end = 6 * pi
    sequence.add_dmm_detuning(RampWaveform(t, 0, -2 * d_end), "dmm_0")
    pulse = Pulse(InterpolatedWaveform(t, [0, 2 * pi, 0]), RampWaveform(t, -d_end, d_end), 0)
    sequence.add(pulse, "ising", protocol="no-delay")
    return measured(sequence)


def random_starts(a: list[float], d: list[float], steps: int, t: int) -> Any:
    assert t == 4 * steps
    register = Register.square(2, 6, prefix="q").with_automatic_layout(AnalogDevice)
    amplitude = InterpolatedWaveform(t, [0, a[0] * 3 * pi, a[1] * 3 * pi, 0])
    detuning = InterpolatedWaveform(t, [one * 4 * pi for one in d])
    return measured(add(ising(register), Pulse(amplitude, detuning, 0)))


def xy_chain(angle: float, t: int) -> Any:
    sequence = Sequence(Register({"a": (0, 0), "b": (25, 0), "c": (50, 0), "d": (75, 0)}), MockDevice)
    sequence.declare_channel("mw", "mw_global")
    sequence.set_magnetic_field(30 * math.cos(angle), 30 * math.sin(angle), 0)
    sequence.config_slm_mask(["b", "c", "d"])
    sequence.add(constant(200, 5 * pi), "mw")
    sequence.delay(t, "mw")
    return measured(sequence, "XY")


def floquet(n: int, theta: float) -> Any:
    sequence = ising(Register.from_coordinates([(0, 0), (8, 0)], prefix="q"), MockDevice)
    for k in range(n):
        add(sequence, constant(100, 10 * theta, phase=k * pi / 8), constant(200, 0, 1.6 * pi))
    return measured(sequence)


def eom(omega: float, t: int) -> Any:
    sequence = ising(analog((0, 0)))
    sequence.enable_eom_mode("ising", omega, 0, optimal_detuning_off=0, correct_phase_drift=True)
    sequence.add_eom_pulse("ising", t, 0, correct_phase_drift=True)
    sequence.modify_eom_setpoint("ising", omega / 2, 0, correct_phase_drift=True)
    sequence.add_eom_pulse("ising", t, 0, post_phase_shift=pi / 2)
    sequence.disable_eom_mode("ising", correct_phase_drift=True)
    return measured(sequence)


def blackman(duration: int, area: float, phase: float = 0) -> Any:
    """A resonant Blackman pulse."""
    return Pulse.ConstantDetuning(BlackmanWaveform(duration, area), 0, phase)


def cz(control_in: int, target_in: int) -> Any:
    sequence = Sequence(Register({"control": (0, 0), "target": (5, 0)}), DigitalAnalogDevice)
    sequence.declare_channel("ryd", "rydberg_local", initial_target="control")
    sequence.declare_channel("raman", "raman_local", initial_target="control")
    if control_in:
        sequence.add(blackman(200, pi), "raman")
    sequence.target("target", "raman")
    if target_in:
        sequence.add(blackman(200, pi), "raman")
    sequence.add(blackman(200, pi / 2, pi / 2), "raman")
    sequence.align("ryd", "raman")
    sequence.add(blackman(200, pi), "ryd")
    sequence.target("target", "ryd")
    sequence.add(blackman(400, 2 * pi), "ryd")
    sequence.target("control", "ryd")
    sequence.add(blackman(200, pi), "ryd")
    sequence.align("ryd", "raman")
    sequence.add(blackman(200, pi / 2, -pi / 2), "raman")
    return measured(sequence, "digital")


def digital(theta: float, phi: float) -> Any:
    sequence = Sequence(Register({"q0": (0, 0), "q1": (20, 0)}), DigitalAnalogDevice)
    sequence.declare_channel("raman", "raman_local", initial_target="q0")
    sequence.add(blackman(200, theta), "raman")
    sequence.phase_shift(phi, "q0")
    sequence.add(blackman(200, theta), "raman")
    sequence.target("q1", "raman")
    sequence.add(blackman(200, 2 * theta, pi / 2), "raman")
    return measured(sequence, "digital")


def spectrum(variant: str = "", delta: float = 0) -> Any:
    sequence = ising(analog((0, 0)))
    if variant == "dark":
        sequence.delay(2000, "ising")
    elif variant == "bright":
        sequence.add(constant(500, 2 * pi), "ising")
    else:
        sequence.add(Pulse(ConstantWaveform(2000, pi / 2), ConstantWaveform(2000, delta), 0), "ising")
    return measured(sequence)


BY_HAND: Mapping[str, Callable[..., Any]] = {
    "afm-ramp": afm_ramp,
    "blockade": blockade,
    "cz": cz,
    "digital": digital,
    "echo": echo,
    "eom": eom,
    "floquet": floquet,
    "mis": mis,
    "mwis": mwis,
    "rabi": rabi,
    "ramsey": ramsey,
    "random-starts": random_starts,
    "spectrum": spectrum,
    "xy-chain": xy_chain,
    "xy8": xy8,
    "z2-phase-diagram": z2_phase_diagram,
    "z2-quench": z2_quench,
}


def some_of(total: int) -> Points[int]:
    """Indices from the first job to the last, evenly spaced."""
    count = min(COMPARED, total)
    return [number * (total - 1) // max(1, count - 1) for number in range(count)]


def test_the_gallery_has_sixteen_experiments_and_each_is_written_by_hand() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted(BY_HAND)
    assert len(BY_HAND) >= 16


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_each_point_is_the_sequence_that_is_written_by_hand(name: str) -> None:
    plan = pcs_runner.plan(FOLDER / f"{name}.yaml", check=False)
    assert plan.total_jobs is not None
    for index in some_of(plan.total_jobs):
        job = next(plan.jobs(index))
        made = built(plan, index)
        assert_same(made, BY_HAND[name](**job.point))
        assert made.register.qubit_ids == plan.job_atoms(job)


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_every_point_of_the_gallery_passes_the_checks_without_a_warning(name: str) -> None:
    assert pcs_runner.validate(FOLDER / f"{name}.yaml") == []
