"""What the runner costs a job beside the engine, and a whole run against a plain Python loop over the same points.

    python tests/benchmarks/overhead.py [--jobs N] [--peer-jobs N] [--rounds N] [--cpu]

Method. First table: `FreeEngine` answers at once, with canned shots, in place of the simulator in the worker. Everything else
is the real thing: plan with every point built by Pulser, journal, batch, queue, a worker process, checks of the results,
files. Two sizes are run; what a job costs is the slope between them, and what
every run costs whatever its size (the worker's start) is the intercept. `built` jobs carry a sequence of
their own each, because their spacing is swept; there are a tenth as many of them.
Second table: the real engine `qutip` with one worker, against a loop that builds, runs and writes the same points with
Pulser alone in a process that has imported it. `beside` is the run's time minus the time that the worker spent on its groups.
With `--cpu` times are processor time, of this process and of the worker's groups, for a machine that is not idle.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Spread, machine, print_table

import pcs_runner
from pcs_runner.emulator.client import LocalClient
from pcs_runner.emulator.engines import EngineResult, catalogue
from pcs_runner.run.execute import start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pcs_runner.emulator.engines import EngineJob, EngineSettings
    from pcs_runner.emulator.workers import GroupTask, Outcome

SPEC = """\
version: 1
name: overhead
constants: {spacing: 8.0, omega: 6.0}
sequence:
  device: AnalogDevice
  register: {from_coordinates: {coords: [[0, 0], [spacing, 0]]}, automatic_layout: true}
  channels: {ising: rydberg_global}
  operations: [{op: pulse, duration: 500, amplitude: omega}]
jobs:
  runs: 100
  sweep: {grid: {NAME: {linspace: {start: START, stop: STOP, num: NUM}}}}
targets: {local: {engine: qutip}}
"""
SWEPT = {
    "shared": {"NAME": "omega", "START": "1", "STOP": "12"},
    "built": {"NAME": "spacing", "START": "6", "STOP": "30"},
}


CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


class FreeEngine:
    """Half of the shots 01, half 10, at once."""

    name = "free"
    group_size = 4

    def run(self, sequence: str, jobs: Sequence[EngineJob], settings: EngineSettings) -> Iterator[EngineResult]:
        """Yield a canned result for each job."""
        for job in jobs:
            yield EngineResult(position=job.position, raw=["01", "10"] * (job.runs // 2))


def use_free_engine() -> None:
    """Answer for every engine in this worker."""
    vars(catalogue)["load"] = lambda name: FreeEngine()


def timed(clock: str, task: Callable[[GroupTask], list[Outcome]], group: GroupTask) -> tuple[list[Outcome], float]:
    """Run a group in the worker; what it gave, and the seconds it took there."""
    begun = CLOCKS[clock]()
    outcomes = task(group)
    return outcomes, CLOCKS[clock]() - begun


class TimedPool(ProcessPoolExecutor):
    """A pool of one spawned worker that adds up the time its tasks take."""

    def __init__(self, *, free: bool, clock: str) -> None:
        super().__init__(1, mp_context=multiprocessing.get_context("spawn"), initializer=use_free_engine if free else None)
        self.inside_s = 0.0
        self._clock = clock

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a task; the future gives what the task gave."""
        outer: Future[Any] = Future()
        super().submit(timed, self._clock, fn, *args, **kwargs).add_done_callback(lambda inner: self._land(inner, outer))
        return outer

    def _land(self, inner: Future[Any], outer: Future[Any]) -> None:
        if (error := inner.exception()) is not None:
            outer.set_exception(error)
            return
        result, seconds = inner.result()
        self.inside_s += seconds
        outer.set_result(result)


def write_spec(folder: Path, kind: str, jobs: int) -> Path:
    """The spec of so many jobs, whose sequence is shared or built for each."""
    text = SPEC
    for word, value in {**SWEPT[kind], "NUM": str(jobs)}.items():
        text = text.replace(word, value)
    path = folder / f"{kind}-{jobs}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def run_s(spec: Path, clock: str, *, free: bool) -> tuple[float, float, float]:
    """Run a spec with one worker.

    Returns:
        Seconds to plan with every check, to run until the results are on disk, and of that inside the worker's groups.
    """
    now = CLOCKS[clock]
    with tempfile.TemporaryDirectory() as folder, TimedPool(free=free, clock=clock) as pool:
        begun = now()
        plan = pcs_runner.plan(spec)
        planned = now()
        run = start(
            plan,
            output=Path(folder, "run"),
            client_factory=lambda target, place, workers: LocalClient(place, workers=1, executor=pool),
        )
        ended = now()
        assert run.counts == {"DONE": plan.total_jobs}
        others_s = pool.inside_s if clock == "processor" else 0.0
        return planned - begun, ended - planned + others_s, pool.inside_s


def loop_s(spec: Path, folder: Path, clock: str) -> float:
    """What a user writes without a runner: build, simulate, write a line; the same points and shots, seconds."""
    import numpy as np
    from pulser import Pulse, Register, Sequence
    from pulser.backend import BitStrings
    from pulser.devices import AnalogDevice
    from pulser_simulation import QutipBackendV2, QutipConfig

    plan = pcs_runner.plan(spec, check=False)
    begun = CLOCKS[clock]()
    np.random.seed(0)
    register = Register.from_coordinates([(0, 0), (8, 0)], prefix="q").with_automatic_layout(AnalogDevice)
    sequence = Sequence(register, AnalogDevice)
    sequence.declare_channel("ising", "rydberg_global")
    omega = sequence.declare_variable("omega")
    sequence.add(Pulse.ConstantPulse(500, omega, 0, 0), "ising")
    sequence.measure("ground-rydberg")
    with (folder / "loop.jsonl").open("w", encoding="utf-8") as file:
        for job in plan.jobs():
            config = QutipConfig(observables=[BitStrings(num_shots=job.runs)])
            results: Any = QutipBackendV2(sequence.build(**job.variables), config=config).run()
            counts = Counter(results.bitstrings[-1])
            file.write(json.dumps({"variables": job.variables, "counts": counts}) + "\n")
    return CLOCKS[clock]() - begun


def free_rows(folder: Path, jobs: int, rounds: int, clock: str) -> list[tuple[str, ...]]:
    """Slope and intercept of runs whose engine is free."""
    rows = []
    for kind in SWEPT:
        many = jobs if kind == "shared" else jobs // 10
        few = many // 10
        small, large = write_spec(folder, kind, few), write_spec(folder, kind, many)
        plan_ms, run_ms, total_ms, fixed = [], [], [], []
        for _ in range(rounds):
            less, more = run_s(small, clock, free=True), run_s(large, clock, free=True)
            per_job = [(b - a) / (many - few) * 1e3 for a, b in zip(less, more, strict=True)]
            plan_ms.append(per_job[0])
            run_ms.append(per_job[1])
            total_ms.append(per_job[0] + per_job[1])
            fixed.append(less[0] + less[1] - few * total_ms[-1] / 1e3)
        texts = [Spread(tuple(values)).text() for values in (plan_ms, run_ms, total_ms, fixed)]
        rows.append((kind, f"{few}, {many}", *texts, "2 ms" if kind == "shared" else ""))
    return rows


def real_row(folder: Path, jobs: int, rounds: int, clock: str) -> tuple[str, ...]:
    """A real run of one worker against the loop."""
    spec = write_spec(folder, "shared", jobs)
    loop, ours, beside = [], [], []
    for _ in range(rounds):
        loop.append(loop_s(spec, folder, clock))
        plan_s, wall_s, inside_s = run_s(spec, clock, free=False)
        ours.append(plan_s + wall_s)
        beside.append((plan_s + wall_s - inside_s) / jobs * 1e3)
    spreads = [Spread(tuple(values)) for values in (loop, ours)]
    return (str(jobs), *(one.text() for one in spreads), spreads[1].over(spreads[0]).text(), Spread(tuple(beside)).text(1))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--peer-jobs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="Processor time instead of wall time: the machine is not idle.")
    options = parser.parse_args()
    clock = "processor" if options.cpu else "wall"
    title = f"{machine()}, {options.rounds} rounds, {clock} time, min / median / max"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_s(write_spec(folder, "shared", 2), clock, free=True)  # this process imports what it needs
        head = ("sequence", "jobs", "plan, ms a job", "run, ms a job", "both, ms a job", "fixed, s", "goal")
        print_table(f"Free engine: {title}", head, free_rows(folder, options.jobs, options.rounds, clock))
        peer_head = ("jobs", "plain loop, s", "runner, one worker, s", "ratio", "beside the engine, ms a job")
        print_table(f"Engine qutip: {title}", peer_head, [real_row(folder, options.peer_jobs, options.rounds, clock)])


if __name__ == "__main__":
    main()
