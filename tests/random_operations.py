"""Random sequences over the whole operation set, parametrised or not, from a seed."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from pulser import Pulse, Register, Sequence
from pulser.channels import Rydberg
from pulser.channels.eom import RydbergBeam, RydbergEOM
from pulser.devices import AnalogDevice, MockDevice
from pulser.register import Register3D
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

KINDS = ("global", "local", "eom", "dmm", "slm", "xy", "mappable", "layouts", "space")
FUNCTIONS = (abs, np.floor, np.ceil, np.sqrt, np.exp, np.sin, np.cos, np.tan, np.tanh, np.log, np.log2)
SMOOTH = (np.sin, np.cos, np.tanh)


class Maker:
    """Makes a random sequence.

    Args:
        seed: Of everything.
    """

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.parametrised = bool(self.random.integers(3))
        self.numbers: list[Any] = []
        self.times: list[Any] = []
        self.arrays: list[Any] = []

    def make(self, kind: str) -> Any:
        """A sequence of a kind; the same for the same seed."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(self, f"_{kind}")()

    def chance(self, of: int) -> bool:
        return not self.random.integers(of)

    def choice(self, *items: Any) -> Any:
        return items[int(self.random.integers(len(items)))]

    # ---- numbers and expressions

    def number(self, low: float = 0.1, high: float = 5.0) -> float:
        value = float(self.random.uniform(low, high))
        return float(self.choice(value, round(value, 2), float(round(value)) or 1.0, np.pi / self.choice(1, 2, 3, 4)))

    def value(self, low: float = 0.1, high: float = 5.0) -> Any:
        """A number, or an expression of the variables."""
        return self.expression() if self.numbers and self.chance(2) else self.number(low, high)

    def expression(self, depth: int = 2) -> Any:
        item = self.choice(*self.numbers)
        if depth == 0 or self.chance(3):
            return item
        other = self.choice(self.number(), int(self.random.integers(1, 9)), self.expression(depth - 1))
        kind = int(self.random.integers(9))
        if kind == 8:
            return self.choice(*FUNCTIONS)(self.expression(depth - 1))
        left, right = (item, other) if self.chance(2) else (other, item)
        operations = (
            lambda: left + right,
            lambda: left - right,
            lambda: left * right,
            lambda: left / right,
            lambda: left % right,
            lambda: item**2,
            lambda: left**right,
            lambda: -item,
        )
        return operations[kind]()

    def positive(self) -> Any:
        """An amplitude: squares and bare variables are not negative where the variables are not."""
        if not self.numbers or self.chance(2):
            return self.number()
        item = self.choice(*self.numbers)
        return self.choice(item, 2 * item, item / 3, abs(item), item**2, 1 + np.sin(item), item * np.pi)

    def time(self) -> Any:
        """A duration in ns, a multiple of 4 mostly."""
        plain = 4 * int(self.random.integers(25, 150)) + (int(self.random.integers(4)) if self.chance(9) else 0)
        if not self.times or self.chance(2):
            return plain
        item = self.choice(*self.times)
        return self.choice(item, 2 * item, item + 100, item * 3 - 52, item / 2, np.floor(item * 1.5))

    def variables(self, sequence: Any) -> None:
        if not self.parametrised:
            return
        self.numbers = [sequence.declare_variable(name) for name in ("omega", "delta_0")[: int(self.random.integers(1, 3))]]
        self.times = [sequence.declare_variable("t", dtype=int)] + ([sequence.declare_variable("wait")] if self.chance(3) else [])
        if self.chance(2):
            array = sequence.declare_variable("shape", size=int(self.random.integers(2, 5)))
            self.arrays.append(array)
            self.numbers.append(array[int(self.random.integers(array.size))])
        if self.chance(6):
            sequence.declare_variable(self.choice("unused", "pi", "min", "my name"), size=self.choice(1, 2))

    # ---- waveforms and operations

    def waveform(self, duration: Any, *, positive: bool = False, depth: int = 1) -> Any:
        number = self.positive if positive else self.value
        kind = int(self.random.integers(7))
        if kind == 0:
            return ConstantWaveform(duration, number())
        if kind == 1:
            return RampWaveform(duration, number(), number())
        if kind == 2:
            return BlackmanWaveform(duration, number())
        if kind == 3:
            if self.arrays and self.chance(2):
                array = self.choice(*self.arrays)
                return InterpolatedWaveform(
                    duration, self.choice(array, 2 * array, array + np.ones(array.size)), times=np.linspace(0, 1, array.size)
                )
            values = self.random.uniform(0.1, 4.0, int(self.random.integers(2, 8)))
            return InterpolatedWaveform(duration, values, times=self.choice(None, np.linspace(0, 1, len(values)) ** 2))
        if kind == 4:
            return KaiserWaveform(duration, number(), beta=self.choice(14.0, 7.5))
        if kind == 5 and not self.parametrised and isinstance(duration, int):
            return CustomWaveform(self.random.uniform(0.1, 2.0, duration))
        if depth and isinstance(duration, int) and duration >= 48:
            part = duration // 2
            first, second = (
                self.waveform(part, positive=positive, depth=0),
                self.waveform(duration - part, positive=positive, depth=0),
            )
            return CompositeWaveform(first, second)
        return RampWaveform(duration, number(), number())

    def pulse(self, *, shift: bool) -> Any:
        duration, more = self.time(), {"post_phase_shift": self.choice(0.0, self.value()) if shift else 0.0}
        kind = int(self.random.integers(7))
        if kind == 0:
            return Pulse.ConstantPulse(duration, self.positive(), self.value(), self.value(), **more)
        if kind == 1:
            return Pulse.ConstantDetuning(self.waveform(duration, positive=True), self.value(), self.value(), **more)
        if kind == 2:
            return Pulse.ConstantAmplitude(self.positive(), self.waveform(duration), 0, **more)
        if kind == 3:
            maximum = self.choice(BlackmanWaveform, KaiserWaveform).from_max_val(self.number(), self.number())
            return Pulse.ConstantDetuning(maximum, self.value(), 0.0)
        if kind == 4:
            return Pulse.ArbitraryPhase(self.waveform(duration, positive=True), self.waveform(duration), **more)
        return Pulse(self.waveform(duration, positive=True), self.waveform(duration), self.choice(0, self.value()), **more)

    def operations(self, sequence: Any, channels: list[str], count: int = 4) -> None:
        protocols = ("min-delay", "no-delay", "wait-for-all")
        for _ in range(count):
            channel = self.choice(*channels)
            on_all = sequence.declared_channels[channel].addressing == "Global"
            sequence.add(self.pulse(shift=on_all), channel, protocol=self.choice(*protocols))
            if self.chance(3):
                sequence.delay(self.time(), channel, at_rest=self.chance(2))
            if self.chance(4):
                self.shift(sequence, channel)
            if len(channels) > 1 and self.chance(3):
                sequence.align(*channels, at_rest=self.chance(2))

    def shift(self, sequence: Any, channel: str) -> None:
        basis = sequence.declared_channels[channel].basis
        count = len(sequence.get_register(include_mappable=True).qubit_ids)
        sequence.phase_shift_index(self.value(), *range(count), basis=basis)

    def end(self, sequence: Any, basis: str = "ground-rydberg") -> Any:
        if self.chance(6):
            sequence.truncate(self.choice(120, self.time()))
        if not self.chance(3):
            sequence.measure(basis)
        return sequence

    # ---- registers

    def register(self) -> Any:
        prefix, spacing = self.choice("q", "atom", None), self.choice(5.0, 6.5, 7.25, float(self.random.uniform(5, 8)))
        return self.choice(
            lambda: Register.square(2, spacing, prefix=prefix),
            lambda: Register.rectangle(2, 3, spacing, prefix=prefix),
            lambda: Register.rectangular_lattice(2, 2, spacing, spacing + 1.5, prefix=prefix),
            lambda: Register.triangular_lattice(2, 3, spacing, prefix=prefix),
            lambda: Register.hexagon(1, spacing, prefix=prefix),
            lambda: Register.from_coordinates(self.random.uniform(0, 4, (3, 2)) + np.arange(3)[:, None] * 8, prefix=prefix or ""),
            lambda: Register({"left": (-3.0, 0.0), "0": (4.0, 1.0), "c d": (0.0, 9.5)}),
        )()

    # ---- kinds

    def _global(self) -> Any:
        sequence = Sequence(self.register(), MockDevice)
        sequence.declare_channel("ising", "rydberg_global")
        self.variables(sequence)
        self.operations(sequence, ["ising"])
        return self.end(sequence)

    def _local(self) -> Any:
        register = self.register()
        sequence = Sequence(register, MockDevice)
        sequence.declare_channel("g", "rydberg_global")
        sequence.declare_channel("l", "rydberg_local", initial_target=register.qubit_ids[0])
        sequence.declare_channel("raman", "raman_local", initial_target=list(register.qubit_ids[:2]))
        self.variables(sequence)
        if self.parametrised:
            atoms = sequence.declare_variable("atoms", size=2, dtype=int)
            sequence.target_index(atoms[0], "l")
            if self.chance(2):
                sequence.target_index(atoms, "raman")
            sequence.phase_shift_index(self.value(), atoms[0], atoms[1], basis="digital")
        self.operations(sequence, ["g", "l", "raman"], 6)
        sequence.target(register.qubit_ids[-1], "l")
        self.operations(sequence, ["l"], 1)
        return self.end(sequence, self.choice("ground-rydberg", "digital"))

    def _eom(self) -> Any:
        eom = RydbergEOM(
            mod_bandwidth=24, limiting_beam=RydbergBeam.RED, max_limiting_amp=40 * np.pi, intermediate_detuning=700 * np.pi,
            controlled_beams=tuple(RydbergBeam),
        )  # fmt: skip
        channel = Rydberg.Global(250.0, 80.0, mod_bandwidth=5, eom_config=eom, clock_period=1, min_duration=1, max_duration=None)
        made = replace(
            MockDevice, channel_objects=(channel,), channel_ids=("rydberg_global",), reusable_channels=False, name="Fast"
        )
        device: Any = AnalogDevice if self.chance(3) else made
        register = self.register() if device is made else Register.square(2, 6.0, prefix="q").with_automatic_layout(device)
        sequence = Sequence(register, device)
        sequence.declare_channel("ch 0", "rydberg_global")
        self.variables(sequence)
        sequence.enable_eom_mode(
            "ch 0", self.positive() if device is made else 2.0, self.choice(0.0, 1.0), -10.0, correct_phase_drift=self.chance(2)
        )
        sequence.add_eom_pulse(
            "ch 0", self.time(), self.value(), post_phase_shift=self.value(), correct_phase_drift=self.chance(2)
        )
        sequence.delay(self.time(), "ch 0")
        sequence.modify_eom_setpoint(
            "ch 0", 3.0, 0.0, optimal_detuning_off=self.choice(0.0, -5.0), correct_phase_drift=self.chance(2)
        )
        sequence.add_eom_pulse("ch 0", 100, np.pi / 2, protocol="no-delay")
        if self.chance(2):
            sequence.disable_eom_mode("ch 0", correct_phase_drift=self.chance(2))
        return self.end(sequence)

    def _dmm(self) -> Any:
        register = self.register()
        sequence = Sequence(register, MockDevice)
        weights = dict(zip(register.qubit_ids, [1.0, 0.5, 0.25, 0.1], strict=False))
        sequence.config_detuning_map(register.define_detuning_map(weights, slug=self.choice(None, "mine")), "dmm_0")
        if self.chance(2):
            sequence.declare_channel("g", "rydberg_global")
        self.variables(sequence)
        sequence.add_dmm_detuning(self.choice(RampWaveform(400, -8.0, 0.0), ConstantWaveform(self.time(), -4.0)), "dmm_0")
        sequence.add_dmm_detuning(RampWaveform(self.time(), -self.positive(), 0.0), "dmm_0", protocol="min-delay")
        if "g" in sequence.declared_channels:
            self.operations(sequence, ["g"], 2)
        return self.end(sequence)

    def _slm(self) -> Any:
        register = self.register()
        sequence = Sequence(register, MockDevice)
        sequence.declare_channel("g", "rydberg_global")
        sequence.config_slm_mask(list(register.qubit_ids[:2]), "dmm_0")
        self.variables(sequence)
        self.operations(sequence, ["g"], 3)
        return self.end(sequence)

    def _xy(self) -> Any:
        register = self.register()
        sequence = Sequence(register, MockDevice)
        if self.chance(2):
            sequence.set_magnetic_field(self.number(), self.number(), 30.0)
        if self.chance(2):
            sequence.config_slm_mask(list(register.qubit_ids[:1]))
        sequence.declare_channel("mw", "mw_global")
        self.variables(sequence)
        self.operations(sequence, ["mw"], 3)
        return self.end(sequence, "XY")

    def _mappable(self) -> Any:
        layout = self.choice(
            TriangularLatticeLayout(40, 5.0), SquareLatticeLayout(5, 6, 5.5), RectangularLatticeLayout(4, 5, 6, 7)
        )
        sequence = Sequence(layout.make_mappable_register(3, prefix=self.choice("q", "a")), MockDevice)
        sequence.declare_channel("g", "rydberg_global")
        sequence.declare_channel("l", "rydberg_local")
        sequence.target_index(1, "l")
        self.variables(sequence)
        self.operations(sequence, ["g", "l"], 3)
        return self.end(sequence)

    def _layouts(self) -> Any:
        layout = self.choice(TriangularLatticeLayout(61, 5.0), SquareLatticeLayout(6, 7, 5.0))
        names = self.choice(None, ["x", "y", "z"])
        register = layout.define_register(3, 9, 17, qubit_ids=names)
        if self.chance(2):
            register = Register.from_coordinates([(0, 0), (6, 1), (1, 7)], prefix="q").with_automatic_layout(AnalogDevice)
        sequence = Sequence(register, AnalogDevice)
        sequence.declare_channel("ising", "rydberg_global")
        self.variables(sequence)
        sequence.add(Pulse.ConstantPulse(400, 2.0, self.value(), self.value()), "ising")
        return self.end(sequence)

    def _space(self) -> Any:
        register = self.choice(
            lambda: Register3D.cubic(2, 6.5, prefix="q"),
            lambda: Register3D.cuboid(2, 3, 1, 5.5, prefix="a"),
            lambda: Register3D.from_coordinates(np.eye(3) * 9.25, center=self.chance(2), prefix="q"),
        )()
        sequence = Sequence(register, MockDevice)
        sequence.declare_channel("ising", "rydberg_global")
        self.variables(sequence)
        self.operations(sequence, ["ising"], 3)
        return self.end(sequence)
