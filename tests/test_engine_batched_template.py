"""Points taken from a template are those of Pulser's own build and sampler, sample by sample."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pulser
import pytest
from pulser.devices import AnalogDevice, DigitalAnalogDevice, MockDevice
from pulser.waveforms import BlackmanWaveform, ConstantWaveform, InterpolatedWaveform, RampWaveform

from pcs_runner.emulator.engines.batched.points import sample
from pcs_runner.emulator.engines.batched.template import Templates
from random_sequences import Builder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.emulator.engines.batched.points import Physics


class Counting:
    """Builds in full, and counts how often."""

    def __init__(self, source: Any) -> None:
        self.source, self.count = source, 0

    def __call__(self, variables: Mapping[str, Any]) -> tuple[Any, Physics]:
        self.count += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            built = self.source.build(**variables)
            return built, sample(built, with_modulation=False, noise=pulser.NoiseModel(), trajectories=1)


def random_source(seed: int) -> tuple[Any, list[dict[str, Any]]]:
    """A random parametrised sequence with eight points, half of them of one duration."""
    builder = Builder(seed)
    random = builder.random
    device = (MockDevice, AnalogDevice, DigitalAnalogDevice)[seed % 3]
    register = pulser.Register.square(2, spacing=7.0, prefix="q")
    if device is AnalogDevice:
        register = register.with_automatic_layout(device)
    sequence = pulser.Sequence(register, device)
    channels = ["g", "h"] if device is MockDevice and random.integers(2) else ["g"]
    for channel in channels:
        sequence.declare_channel(channel, "rydberg_global")
    a, d = sequence.declare_variable("a"), sequence.declare_variable("d", size=2)
    t = sequence.declare_variable("t", dtype=int)
    phase = sequence.declare_variable("phase") if random.integers(2) else 0.4
    pulses = [
        lambda: pulser.Pulse.ConstantDetuning(RampWaveform(t, 0.0, a), d[0], phase),
        lambda: pulser.Pulse.ConstantAmplitude(a, RampWaveform(400, d[0], d[1]), phase),
        lambda: pulser.Pulse(BlackmanWaveform(300, a * 0.2), ConstantWaveform(300, d[1]), phase, 0.2 * int(random.integers(2))),
        lambda: pulser.Pulse(InterpolatedWaveform(500, d**2 * 0.02), InterpolatedWaveform(500, d), phase),
        lambda: pulser.Pulse.ConstantPulse(100, 1.0, -3.0, 0.4),
        lambda: pulser.Pulse.ConstantPulse(100, 0.0, d[0], phase),
    ]
    for which in random.integers(0, len(pulses), 4):
        sequence.add(pulses[which](), channels[int(random.integers(len(channels)))], protocol="no-delay")
        if random.integers(4) == 0:
            sequence.delay(100, channels[0])
    if random.integers(3) == 0:
        sequence.phase_shift(0.7, *sequence.register.qubit_ids, basis="ground-rydberg")
        sequence.add(pulses[1](), "g")
    points = []
    for k in range(8):
        point = {"a": builder.number(1, 6), "d": [builder.number(-15, 15), builder.number(-15, 15)]}
        point |= {"t": 400 if k % 2 else int(4 * random.integers(30, 100)), "phase": 0.4 if k % 3 else builder.number(0, 3)}
        points.append({name: value for name, value in point.items() if name in sequence.declared_variables})
    return sequence, points


@pytest.mark.parametrize("seed", range(30))
def test_points_are_those_of_pulser(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, points = random_source(seed)
    print(f"seed {seed}: {[call.name for call in source._to_build_calls]}")
    in_full = Counting(source)
    templates = Templates(source, in_full)
    for variables in points:
        ours, (_, expected) = templates.physics(variables), Counting(source)(variables)
        assert ours.duration_ns == expected.duration_ns
        assert np.abs(ours.drives[0].values - expected.drives[0].values).max() < 1e-12
        np.testing.assert_array_equal(ours.interactions[0], expected.interactions[0])


def test_a_template_serves_all_points_of_its_durations_and_phases() -> None:
    register = pulser.Register.square(2, spacing=7.0, prefix="q")
    sequence = pulser.Sequence(register, MockDevice)
    sequence.declare_channel("g", "rydberg_global")
    a, t = sequence.declare_variable("a"), sequence.declare_variable("t", dtype=int)
    sequence.add(pulser.Pulse.ConstantPulse(t, a, 0.0, 0.0), "g")
    in_full = Counting(sequence)
    templates = Templates(sequence, in_full)
    for duration in (100, 200, 300):
        for amplitude in range(1, 6):
            templates.physics({"a": amplitude, "t": duration})
    assert in_full.count == 3


def test_pulser_is_asked_when_it_objects() -> None:
    register = pulser.Register.square(2, spacing=7.0, prefix="q").with_automatic_layout(AnalogDevice)
    sequence = pulser.Sequence(register, AnalogDevice)
    sequence.declare_channel("g", "rydberg_global")
    sequence.add(pulser.Pulse.ConstantPulse(400, sequence.declare_variable("a"), 0.0, 0.0), "g")
    templates = Templates(sequence, Counting(sequence))
    templates.physics({"a": 3.0})
    with pytest.raises(ValueError, match="amplitude goes over the maximum value"):
        templates.physics({"a": 100.0})
    with pytest.raises(TypeError, match="Did not receive values for variables"):
        templates.physics({})
