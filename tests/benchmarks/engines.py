"""Engine `batched` alone against QuTiP, as a table: `python tests/benchmarks/engines.py`.

A sweep of 200 points over amplitude and final detuning of a 4 µs adiabatic sequence, 1,000 shots each, on a weakly
(AnalogDevice, 6 µm, 19 rad/µs between neighbours) and a strongly interacting register (MockDevice, 5 µm, 347 rad/µs), two rows
of atoms. The engine gets the sequence as JSON and gives shots; the peer is the loop that everyone writes, `build` and one
`QutipBackendV2` a point, and the best that QuTiP does when it is tuned (`vern7`, `evaluation_times="Minimal"`). The peers run
in the same process, on some of the points (said in the table), each in turn with the engine. Set OMP_NUM_THREADS=1. A first run
compiles the kernels and caches them; that is not timed.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pulser
from pulser.devices import AnalogDevice, MockDevice
from pulser_simulation import QutipBackendV2, QutipEmulator

from pcs_runner.emulator.engines import EngineJob, EngineSettings
from pcs_runner.emulator.engines.batched import BatchedEngine, integrate
from pcs_runner.emulator.engines.batched.points import sample

if TYPE_CHECKING:
    from collections.abc import Callable

REGISTERS = {"weak": (AnalogDevice, 6.0), "strong": (MockDevice, 5.0)}
"""Name -> device and spacing, µm."""

HEADER = (
    "register  n   points  batched s (spread)   a point ms   qutip ms (spread, points)   tuned ms (points)   "
    "ratio default  ratio tuned   infidelity max (points)   estimate max"
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table; times in s for the whole sweep of the engine, and for one point of a peer."""

    register: str
    atoms: int
    points: int
    batched: list[float]
    default: list[float]
    tuned: list[float]
    infidelities: list[float]
    estimate: float

    def text(self) -> str:
        best = min(self.batched)
        default, tuned = statistics.median(self.default), statistics.median(self.tuned)
        return (
            f"{self.register:8s} {self.atoms:2d} {self.points:7d}"
            f"   {best:8.3f} ({best:.3f}-{max(self.batched):.3f})  {1e3 * best / self.points:8.2f}"
            f"   {1e3 * default:9.1f} ({1e3 * min(self.default):.0f}-{1e3 * max(self.default):.0f}, {len(self.default)})"
            f"   {1e3 * tuned:9.1f} ({len(self.tuned)})"
            f"   {default * self.points / best:8.0f}   {tuned * self.points / best:8.0f}"
            f"       {max(self.infidelities, default=float('nan')):.1e} ({len(self.infidelities)})       {self.estimate:.1e}"
        )


def sequence_of(register: str, atoms: int) -> Any:
    """The adiabatic sequence, parametrised by amplitude and final detuning (rad/µs)."""
    device, spacing = REGISTERS[register]
    places = pulser.Register.rectangle(atoms // 2, 2, spacing=spacing, prefix="q")
    if device is AnalogDevice:
        places = places.with_automatic_layout(device)
    sequence = pulser.Sequence(places, device)
    sequence.declare_channel("ising", "rydberg_global")
    omega, final = sequence.declare_variable("omega"), sequence.declare_variable("final")
    ramp = pulser.RampWaveform
    sequence.add(pulser.Pulse.ConstantDetuning(ramp(500, 0.0, omega), -25.0, 0.0), "ising")
    sequence.add(pulser.Pulse.ConstantAmplitude(omega, ramp(3000, -25.0, final), 0.0), "ising")
    sequence.add(pulser.Pulse.ConstantDetuning(ramp(500, omega, 0.0), final, 0.0), "ising")
    sequence.measure("ground-rydberg")
    return sequence


def variables_of(points: int) -> list[dict[str, float]]:
    return [{"omega": 6.0 + 5.0 * k / points, "final": 10.0 + 15.0 * ((7 * k) % points) / points} for k in range(points)]


def timed(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def batched(text: str, variables: list[dict[str, float]]) -> None:
    jobs = [EngineJob(position=k, variables=one, runs=1000, entropy=(1, k)) for k, one in enumerate(variables)]
    results = list(BatchedEngine().run(text, jobs, EngineSettings()))
    assert all(len(result.raw) == 1000 for result in results)


def default(sequence: Any, one: dict[str, float]) -> None:
    QutipBackendV2(sequence.build(**one)).run().final_bitstrings  # noqa: B018


def tuned(sequence: Any, one: dict[str, float]) -> None:
    emulator = QutipEmulator.from_sequence(sequence.build(**one), evaluation_times="Minimal")
    emulator.run(method="vern7").sample_final_state(1000)


def estimates(sequence: Any, variables: list[dict[str, float]]) -> list[tuple[Any, float]]:
    """Final states and estimates of the engine's integrator."""
    points = []
    for one in variables:
        physics = sample(sequence.build(**one), with_modulation=False, noise=pulser.NoiseModel(), trajectories=1)
        end = (float(physics.duration_ns),)
        points.append(integrate.Point(drive=physics.drives[0], interaction=physics.interactions[0], times_ns=end))
    found = integrate.integrate(points, integrate.DEFAULT_ACCURACY, lambda index, moment, state: state)
    return [(one.records[0], one.estimate) for one in sorted(found, key=lambda one: one.index)]


def infidelity(sequence: Any, one: dict[str, float], state: Any) -> float:
    """Of a state against QuTiP at tolerances of 1e-10."""
    emulator = QutipEmulator.from_sequence(sequence.build(**one), evaluation_times="Minimal")
    exact = emulator.run(atol=1e-10, rtol=1e-10, nsteps=10**8)[-1].state.full().ravel()[::-1]
    return float(1.0 - abs(np.vdot(exact, state)) ** 2 / np.vdot(exact, exact).real)


def measure(register: str, atoms: int, options: argparse.Namespace) -> Row:
    sequence = sequence_of(register, atoms)
    text, variables = sequence.to_abstract_repr(), variables_of(options.points)
    batched(text, variables[:5])
    several = variables[:: max(1, options.points // options.peer_points)][: options.peer_points]
    times: dict[str, list[float]] = {"batched": [], "default": [], "tuned": []}
    for k in range(max(options.repeats, len(several))):
        if k < options.repeats:
            times["batched"].append(timed(lambda: batched(text, variables)))
        if k < len(several):
            times["default"].append(timed(lambda k=k: default(sequence, several[k])))  # type: ignore[misc]
            times["tuned"].append(timed(lambda k=k: tuned(sequence, several[k])))  # type: ignore[misc]
    checked = several[: options.checked]
    states = estimates(sequence, variables[:: max(1, options.points // 40)])
    own = estimates(sequence, checked)
    missed = [infidelity(sequence, one, state) for one, (state, _) in zip(checked, own, strict=True)]
    worst = max(estimate for _, estimate in (*states, *own))
    return Row(register=register, atoms=atoms, points=options.points, infidelities=missed, estimate=worst, **times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--atoms", type=int, nargs="+", default=[6, 8, 10, 12])
    parser.add_argument("--registers", nargs="+", default=list(REGISTERS), choices=list(REGISTERS))
    parser.add_argument("--repeats", type=int, default=3, help="runs of the whole sweep by the engine")
    parser.add_argument("--peer-points", type=int, default=5, help="points that each peer simulates")
    parser.add_argument("--checked", type=int, default=3, help="points whose state is compared with a tight QuTiP")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(json.dumps({"machine": platform.processor() or platform.machine(), "python": platform.python_version()}))
    print(HEADER)
    for register in options.registers:
        for atoms in options.atoms:
            print(measure(register, atoms, options).text(), flush=True)


if __name__ == "__main__":
    main()
