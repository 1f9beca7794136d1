"""How a sweep scales: workers, Dask over the pool, and other engines. `python tests/benchmarks/scaling.py [--dask ADDRESS]`.

Every measurement is on warm workers: Pulser is imported and kernels are compiled. Tables show min / median / max of the rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measure import Spread, in_rounds, machine, print_table

from pcs_runner.emulator.client import LocalClient
from pcs_runner.emulator.dask_pool import LOCAL, DaskWorkers
from pcs_runner.emulator.engines import EngineJob, EngineSettings, catalogue
from pcs_runner.emulator.workers import GroupTask, Workers, one_thread
from pcs_runner.pcs.protocol import BatchRequest, JobRequest

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS = 200
"""Empty groups in a measurement of what a task costs."""


def sequence(atoms: int, duration_ns: int) -> str:
    """A chain of atoms 7 µm apart, one pulse with the variables `omega` and `delta`."""
    import pulser

    register = pulser.Register.rectangle(1, atoms, spacing=7.0, prefix="q")
    made = pulser.Sequence(register, pulser.MockDevice)
    made.declare_channel("ryd", "rydberg_global")
    omega, delta = made.declare_variable("omega"), made.declare_variable("delta")
    made.add(pulser.Pulse.ConstantPulse(duration_ns, omega, delta, 0), "ryd")
    return str(made.to_abstract_repr())


def sweep_s(workers: Workers, text: str, points: int, engine: str) -> Callable[[], float]:
    """Measures one sweep through the twin: accepted, simulated, stored, on workers that live on."""
    jobs = [JobRequest(runs=200, variables={"omega": 5 + k / points, "delta": k / points}) for k in range(points)]
    request = BatchRequest(sequence_builder=text, jobs=jobs, open=False, configuration={"engine": engine})
    client = LocalClient(Path(tempfile.mkdtemp()), workers=workers)

    def measure() -> float:
        begun_s = time.perf_counter()
        batch = client.create_batch(request).close(wait=True)
        elapsed_s = time.perf_counter() - begun_s
        if batch.jobs_count_per_status != {"DONE": points}:
            raise RuntimeError(f"{engine}: {batch.jobs_count_per_status}")
        return elapsed_s

    return measure


def tasks_ms(workers: Workers) -> Callable[[], float]:
    """Measures what a task costs beside its work, in ms: groups without jobs, and without a sequence to read."""
    task = GroupTask(engine="qutip", sequence="", config=None, accuracy=None, seed=0, first_index=0, jobs=())

    def measure() -> float:
        begun_s = time.perf_counter()
        for future in [workers.submit(task) for _ in range(TASKS)]:
            future.result()
        return 1000 * (time.perf_counter() - begun_s) / TASKS

    return measure


def job_s(engine: str, text: str) -> Callable[[], float]:
    """Measures one job in this process."""
    job = EngineJob(position=0, variables={"omega": 5.0, "delta": 1.0}, runs=200, entropy=(1, 2, 3))

    def measure() -> float:
        begun_s = time.perf_counter()
        (result,) = catalogue.load(engine).run(text, [job], EngineSettings())
        if result.error is not None:
            raise RuntimeError(f"{engine}: {result.error}")
        return time.perf_counter() - begun_s

    return measure


def table(title: str, unit: str, measured: dict[str, Spread], peer: str) -> None:
    """One row a measurement, and its ratio to a peer of the same round."""
    rows = [[name, spread.text(3), measured[peer].over(spread).text()] for name, spread in measured.items()]
    print_table(title, ["", unit, f"{peer} is so many times that"], rows)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--points", type=int, default=48, help="of the sweep with qutip; batched gets ten times as many")
    options.add_argument("--atoms", type=int, default=8)
    options.add_argument("--dask", default=LOCAL, metavar="ADDRESS")
    options.add_argument("--emu-atoms", type=int, default=10)
    given = options.parse_args()
    one_thread()
    print(f"{machine()}; {given.rounds} rounds", flush=True)
    text = sequence(given.atoms, 1000)
    pools = {"pool, 1 worker": Workers(1), "pool, 2 workers": Workers(2), "Dask, 2 workers": DaskWorkers(given.dask, 2)}
    try:
        for engine, points in (("qutip", given.points), ("batched", 10 * given.points)):
            actions = {name: sweep_s(pool, text, points, engine) for name, pool in pools.items()}
            title = f"{points} points of {given.atoms} atoms, 1 µs, engine {engine}"
            table(title, "s", in_rounds(actions, given.rounds), "pool, 1 worker")
        empty = {name: tasks_ms(pool) for name, pool in pools.items() if "2" in name}
        table("A task without work", "ms a task", in_rounds(empty, given.rounds), "pool, 2 workers")
    finally:
        for pool in pools.values():
            pool.close()
    engines = ["qutip", "batched", *(name for name, engine in catalogue.BACKENDS.items() if engine.is_installed())]
    text = sequence(given.emu_atoms, 1000)
    jobs = {name: job_s(name, text) for name in engines}
    table(f"One job of {given.emu_atoms} atoms, 1 µs, one thread", "s", in_rounds(jobs, given.rounds), "qutip")


if __name__ == "__main__":
    main()
