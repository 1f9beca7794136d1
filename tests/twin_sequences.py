"""Small sequences that the tests of the twin run, in Pulser's abstract representation."""

from __future__ import annotations

import math
from functools import lru_cache

PI_NS = 500
"""Duration of the pulses here, in ns."""

PI_OMEGA = math.pi / (PI_NS / 1000)
"""Rabi frequency of a pi pulse of that duration, in rad/µs."""


@lru_cache
def rabi() -> str:
    """One atom, one resonant pulse with the variable `omega`; MockDevice, so no limit of runs."""
    import pulser

    sequence = pulser.Sequence(pulser.Register({"q0": (0, 0)}), pulser.MockDevice)
    sequence.declare_channel("ryd", "rydberg_global")
    omega = sequence.declare_variable("omega")
    sequence.add(pulser.Pulse.ConstantPulse(PI_NS, omega, 0, 0), "ryd")
    return str(sequence.to_abstract_repr())


@lru_cache
def built_rabi(omega: float = PI_OMEGA) -> str:
    """The same with its variable built in."""
    import pulser

    return str(pulser.Sequence.from_abstract_repr(rabi()).build(omega=omega).to_abstract_repr())


@lru_cache
def typed() -> str:
    """AnalogDevice (max_runs 2000) with an integer variable `t` and an array `omegas` of two."""
    import pulser

    register = pulser.Register.from_coordinates([(0, 0), (0, 7)], prefix="q").with_automatic_layout(pulser.AnalogDevice)
    sequence = pulser.Sequence(register, pulser.AnalogDevice)
    sequence.declare_channel("ryd", "rydberg_global")
    omegas, t = sequence.declare_variable("omegas", size=2), sequence.declare_variable("t", dtype=int)
    sequence.add(pulser.Pulse.ConstantPulse(t, omegas[0], 0, 0), "ryd")
    sequence.add(pulser.Pulse.ConstantPulse(t, omegas[1], 0, 0), "ryd")
    return str(sequence.to_abstract_repr())


@lru_cache
def mappable() -> str:
    """Two atoms whose traps come with the job."""
    import pulser

    layout = pulser.Register.from_coordinates([(0, 0), (0, 7)], prefix="q").with_automatic_layout(pulser.AnalogDevice).layout
    assert layout is not None
    sequence = pulser.Sequence(layout.make_mappable_register(2), pulser.AnalogDevice)
    sequence.declare_channel("ryd", "rydberg_global")
    sequence.add(pulser.Pulse.ConstantPulse(200, 5.0, 0, 0), "ryd")
    return str(sequence.to_abstract_repr())


@lru_cache
def long() -> str:
    """Twelve atoms for 20 µs: far longer than any test waits."""
    import pulser

    register = pulser.Register.rectangle(3, 4, spacing=6.0, prefix="q")
    sequence = pulser.Sequence(register, pulser.MockDevice)
    sequence.declare_channel("ryd", "rydberg_global")
    sequence.add(pulser.Pulse.ConstantPulse(20_000, 9.0, 3.0, 0), "ryd")
    return str(sequence.to_abstract_repr())


@lru_cache
def empty() -> str:
    """A register and a channel, and nothing that happens."""
    import pulser

    sequence = pulser.Sequence(pulser.Register({"q0": (0, 0)}), pulser.MockDevice)
    sequence.declare_channel("ryd", "rydberg_global")
    return str(sequence.to_abstract_repr())


@lru_cache
def two_bases() -> str:
    """A digital pi pulse and a Rydberg channel that does nothing to it, unmeasured: three levels, read in the digital basis."""
    import pulser

    sequence = pulser.Sequence(pulser.Register({"q0": (0, 0)}), pulser.MockDevice)
    sequence.declare_channel("ryd", "rydberg_global")
    sequence.declare_channel("raman", "raman_global")
    sequence.add(pulser.Pulse.ConstantPulse(PI_NS, PI_OMEGA, 0, 0), "raman")
    sequence.add(pulser.Pulse.ConstantPulse(100, 0.0, 1.0, 0), "ryd")
    return str(sequence.to_abstract_repr())
