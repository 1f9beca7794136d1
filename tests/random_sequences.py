"""Random sequences over what engine `batched` covers, from a seed, and their states by QuTiP at tight tolerances."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pulser
from pulser.channels import DMM, Rydberg
from pulser.channels.eom import RydbergBeam, RydbergEOM
from pulser.devices import AnalogDevice, MockDevice
from pulser.waveforms import BlackmanWaveform, ConstantWaveform, InterpolatedWaveform, KaiserWaveform, RampWaveform

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

KINDS = ("global", "phases", "resonant", "local", "channels", "dmm", "slm", "eom", "modulation", "space", "mappable", "noise")
"""The coverage list of the engine."""

Case = tuple[Any, bool, Any]
"""A built sequence, whether its output is modulated, and a noise model or None."""


@dataclass
class Builder:
    """Makes a random sequence.

    Args:
        seed: Of everything.
    """

    seed: int

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def number(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))

    def energy(self) -> float:
        """Interaction of nearest neighbours, 5 to 1,500 rad/µs, evenly in its logarithm."""
        return float(np.exp(self.random.uniform(np.log(5.0), np.log(1500.0))))

    def duration(self) -> int:
        return int(self.random.integers(60, 400))

    def waveform(self, duration: int, low: float, high: float) -> Any:
        """A random waveform within bounds."""
        kind = self.random.integers(4)
        if kind == 0:
            return ConstantWaveform(duration, self.number(low, high))
        if kind == 1:
            return RampWaveform(duration, self.number(low, high), self.number(low, high))
        if kind == 2:
            return InterpolatedWaveform(duration, np.clip(self.random.uniform(low, high, 5), low, high))
        area = self.number(0.5, 1.0) * high * duration * 0.3e-3
        return BlackmanWaveform(duration, area) if self.random.integers(2) else KaiserWaveform(duration, area)

    def pulse(self, amplitude: float = 15.0, detuning: float = 40.0) -> Any:
        duration = self.duration()
        return pulser.Pulse(
            self.waveform(duration, 0.0, amplitude),
            self.waveform(duration, -detuning, detuning),
            self.number(-3.0, 6.0),
        )

    def positions(self, device: Any, dimensions: int = 2) -> NDArray[np.float64]:
        """A lattice of 2 to 5 atoms, slightly disordered, µm."""
        spacing = (device.interaction_coeff / self.energy()) ** (1 / 6)
        count = int(self.random.integers(2, 6))
        lattice = np.array([[x, y, z] for x in range(3) for y in range(2) for z in range(2)])[:, :dimensions]
        lattice = np.unique(lattice, axis=0)
        chosen = lattice[self.random.permutation(len(lattice))[:count]]
        places = chosen + self.random.uniform(0.0, 0.08, chosen.shape)
        distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
        return np.asarray(spacing / distances[distances > 0].min() * places)

    def register(self, device: Any, dimensions: int = 2) -> Any:
        cls = pulser.Register if dimensions == 2 else pulser.register.Register3D
        return cls.from_coordinates(self.positions(device, dimensions), prefix="q", center=False)

    def sequence(self, kind: str) -> Case:
        """A sequence of a kind."""
        method: Callable[[], Case] = getattr(self, f"_{kind}")
        return method()

    def _on(self, sequence: Any, channel: str, pulses: int, **options: float) -> None:
        for _ in range(pulses):
            sequence.add(self.pulse(**options), channel, protocol="no-delay")
            if self.random.integers(3) == 0:
                sequence.delay(int(self.random.integers(20, 120)), channel)

    def _global(self) -> Case:
        sequence = pulser.Sequence(self.register(MockDevice), MockDevice)
        sequence.declare_channel("g", "rydberg_global")
        self._on(sequence, "g", 2)
        return sequence, False, None

    def _phases(self) -> Case:
        sequence = pulser.Sequence(self.register(MockDevice), MockDevice)
        sequence.declare_channel("g", "rydberg_global")
        duration = self.duration()
        sequence.add(pulser.Pulse.ArbitraryPhase(self.waveform(duration, 0, 12.0), self.waveform(duration, -3.0, 3.0)), "g")
        sequence.phase_shift(self.number(0, 6), *sequence.register.qubit_ids, basis="ground-rydberg")
        self._on(sequence, "g", 2)
        return sequence, False, None

    def _resonant(self) -> Case:
        sequence = pulser.Sequence(self.register(MockDevice), MockDevice)
        sequence.declare_channel("g", "rydberg_global")
        sequence.add(pulser.Pulse.ConstantPulse(int(self.random.integers(400, 900)), self.number(4, 15), 0.0, 0.0), "g")
        return sequence, False, None

    def _local(self) -> Case:
        sequence = pulser.Sequence(self.register(MockDevice), MockDevice)
        atoms = list(sequence.register.qubit_ids)
        sequence.declare_channel("l", "rydberg_local", initial_target=atoms[0])
        for atom in self.random.permutation(atoms)[:3]:
            sequence.target(str(atom), "l")
            sequence.add(self.pulse(), "l")
        return sequence, False, None

    def _channels(self) -> Case:
        sequence = pulser.Sequence(self.register(MockDevice), MockDevice)
        atoms = list(sequence.register.qubit_ids)
        sequence.declare_channel("g", "rydberg_global")
        sequence.declare_channel("l", "rydberg_local", initial_target=atoms[-1])
        sequence.declare_channel("h", "rydberg_global")
        self._on(sequence, "g", 1)
        self._on(sequence, "l", 2)
        self._on(sequence, "h", 1)
        return sequence, False, None

    def _with_dmm(self) -> Any:
        channel = DMM(bottom_detuning=-100.0, total_bottom_detuning=-1000.0, clock_period=1, min_duration=1, max_duration=10**6)
        return replace(MockDevice, dmm_objects=(channel,), reusable_channels=False, name="WithDMM")

    def _dmm(self) -> Case:
        device = self._with_dmm()
        register = self.register(device)
        weights = self.random.uniform(0.1, 1.0, len(register.qubit_ids))
        sequence = pulser.Sequence(register, device)
        detuning_map = register.define_detuning_map(
            dict(zip(register.qubit_ids, (weights / weights.max()).tolist(), strict=True))
        )
        sequence.config_detuning_map(detuning_map, "dmm_0")
        sequence.declare_channel("g", "rydberg_global")
        self._on(sequence, "g", 1)
        duration = self.duration()
        sequence.add_dmm_detuning(RampWaveform(duration, self.number(-60, 0), self.number(-60, 0)), "dmm_0")
        self._on(sequence, "g", 1)
        return sequence, False, None

    def _slm(self) -> Case:
        device = self._with_dmm()
        sequence = pulser.Sequence(self.register(device), device)
        sequence.declare_channel("g", "rydberg_global")
        sequence.config_slm_mask([sequence.register.qubit_ids[0]], "dmm_0")
        self._on(sequence, "g", 2)
        return sequence, False, None

    def _modulated_device(self) -> Any:
        eom = RydbergEOM(
            mod_bandwidth=24, limiting_beam=RydbergBeam.RED, max_limiting_amp=40 * np.pi, intermediate_detuning=700 * np.pi,
            controlled_beams=tuple(RydbergBeam),
        )  # fmt: skip
        channel = Rydberg.Global(
            250.0, 80.0, mod_bandwidth=self.number(3, 8), eom_config=eom, clock_period=1, min_duration=1, max_duration=None
        )
        return replace(
            MockDevice, channel_objects=(channel,), channel_ids=("rydberg_global",), reusable_channels=False, name="Slow"
        )

    def _eom(self) -> Case:
        device = self._modulated_device()
        sequence = pulser.Sequence(self.register(device), device)
        sequence.declare_channel("g", "rydberg_global")
        self._on(sequence, "g", int(self.random.integers(2)))
        sequence.enable_eom_mode("g", amp_on=self.number(3, 12), detuning_on=0.0, optimal_detuning_off=self.number(-20, 0))
        sequence.add_eom_pulse("g", self.duration(), self.number(0, 3))
        sequence.delay(int(self.random.integers(20, 100)), "g")
        sequence.add_eom_pulse("g", self.duration(), self.number(0, 3))
        if self.random.integers(2):
            sequence.disable_eom_mode("g")
            self._on(sequence, "g", 1)
        return sequence, bool(self.random.integers(2)), None

    def _modulation(self) -> Case:
        device = self._modulated_device()
        sequence = pulser.Sequence(self.register(device), device)
        sequence.declare_channel("g", "rydberg_global")
        self._on(sequence, "g", 2)
        return sequence, True, None

    def _space(self) -> Case:
        sequence = pulser.Sequence(self.register(MockDevice, 3), MockDevice)
        sequence.declare_channel("g", "rydberg_global")
        self._on(sequence, "g", 2)
        return sequence, False, None

    def _mappable(self) -> Case:
        layout = pulser.register.special_layouts.TriangularLatticeLayout(40, self.number(5.0, 9.0))
        sequence = pulser.Sequence(layout.make_mappable_register(4), AnalogDevice)
        sequence.declare_channel("g", "rydberg_global")
        amplitude = sequence.declare_variable("amplitude")
        for _ in range(2):
            duration = 4 * self.duration()
            sequence.add(
                pulser.Pulse(ConstantWaveform(duration, amplitude), RampWaveform(duration, self.number(-20, 0), 20.0), 0.0), "g"
            )
        places = self.random.permutation(12)[:4].tolist()
        traps = {f"q{k}": int(place) for k, place in enumerate(places)}
        return sequence.build(qubits=traps, amplitude=self.number(1, 9)), False, None

    def _noise(self) -> Case:
        sequence, modulated, _ = self.sequence(str(self.random.choice(["global", "local", "dmm"])))
        noise = pulser.NoiseModel(
            temperature=self.number(20, 100), amp_sigma=self.number(0.01, 0.1), laser_waist=self.number(50, 200),
            state_prep_error=0.1, p_false_pos=0.02, p_false_neg=0.05, detuning_sigma=self.number(0.1, 1.0),
        )  # fmt: skip
        return sequence, modulated, noise


def reference_states(case: Case, trajectories: int, seed: int) -> list[NDArray[np.complex128]]:
    """Final states by QuTiP, one for each trajectory, with the first atom as the most significant bit and 1 = Rydberg."""
    from pulser_simulation import QutipEmulator

    sequence, modulated, noise = case
    np.random.seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        emulator = QutipEmulator.from_sequence(
            sequence, evaluation_times="Minimal", with_modulation=modulated, noise_model=noise, n_trajectories=trajectories
        )
        options: dict[str, Any] = {"atol": 1e-10, "rtol": 1e-10, "nsteps": 10**8}
        emulator._validate_options(options)
        states = []
        for hamiltonian, _ in emulator._hamiltonians:
            result = emulator._run_solver(hamiltonian, **options)
            states.append(result[-1].state.full().ravel()[::-1])
    return states


def infidelity(one: NDArray[np.complex128], other: NDArray[np.complex128]) -> float:
    """`1 - |<one|other>|²` of the normalised states."""
    overlap = abs(np.vdot(one, other)) ** 2 / (np.vdot(one, one).real * np.vdot(other, other).real)
    return float(1.0 - overlap)
