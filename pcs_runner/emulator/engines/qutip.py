"""Engine `qutip`: Pulser's own simulator, `pulser_simulation.QutipBackendV2`, one job after the other.

Pulser draws noise and shots from NumPy's global generator: it is seeded for each job from the job's entropy and restored after.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pcs_runner.emulator.engines import EngineResult, shots
from pcs_runner.emulator.engines.demands import read_demands, takes_jumps
from pcs_runner.emulator.engines.sizes import bytes_text, memory_bytes, qutip_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pcs_runner.emulator.engines import EngineJob, EngineSettings

_one_at_a_time = threading.Lock()


class QutipEngine:
    """Integrates the Schrödinger or master equation with QuTiP at its own tolerances; `accuracy` is not used."""

    name = "qutip"
    group_size = 4

    def run(self, sequence: str, jobs: Sequence[EngineJob], settings: EngineSettings) -> Iterator[EngineResult]:
        """Simulate the jobs one by one.

        A job that fails gives an `EngineResult` with its error, and the others go on.

        Raises:
            Exception: The sequence or the config cannot be read, so no job can run.
        """
        from pulser_simulation import QutipConfig

        problem = too_large(sequence, settings.config)
        if problem is not None:
            yield from (EngineResult(position=job.position, error=problem) for job in jobs)
            return
        with shots.quiet():
            source = _loaded(sequence)
            options = shots.config_options(settings.config, QutipConfig)
        for job in jobs:
            try:
                with _one_at_a_time, shots.quiet(), _lookups_kept(), _seeded(job.entropy):
                    result = _simulate(shots.built(source, job.variables), job, options)
            except Exception as error:  # noqa: BLE001 - a job's failure is data
                result = EngineResult(position=job.position, error=f"{type(error).__name__}: {error}")
            yield result


def too_large(sequence: str, config: str | None) -> str | None:
    """Why a sequence does not fit into this machine's memory, or None: QuTiP itself would try until the machine gives in."""
    demands, memory = read_demands(sequence, config), memory_bytes()
    needed = qutip_bytes(demands, jumps=takes_jumps(config))
    if memory is None or needed <= memory:
        return None
    return f"qutip needs {bytes_text(needed)} for {demands.text()}, and this machine has {bytes_text(memory)}"


@lru_cache(maxsize=8)
def _loaded(sequence: str) -> Any:
    """The `pulser.Sequence`; groups of one sequence follow each other, and reading it costs as much as a small job."""
    import pulser

    return pulser.Sequence.from_abstract_repr(sequence)


@contextmanager
def _seeded(entropy: tuple[int, ...]) -> Iterator[None]:
    """Draw everything from the entropy: the global generators, and QuTiP's Monte Carlo solver, which would ask the system."""
    import numpy as np

    qutip: Any = import_module("qutip")
    solver = qutip.mcsolve
    seeds = np.random.SeedSequence((*entropy, shots.MONTE_CARLO))

    def mcsolve(*arguments: Any, **options: Any) -> Any:
        return solver(*arguments, **{"seeds": seeds.spawn(1)[0], **options})

    qutip.mcsolve = mcsolve
    try:
        with shots.seeded(entropy):
            yield
    finally:
        qutip.mcsolve = solver


@contextmanager
def _lookups_kept() -> Iterator[None]:
    """Keep QuTiP from rebuilding its dispatch tables to what they were, four times for each Hamiltonian: 9/10 of a small job.

    Pulser enters `CoreOptions(default_dtype="CSR")` there. Tables depend on that option only in the scopes "missing" and "full"
    (`qutip/core/data/dispatch.pyx`, 5.3), so in the scope "creation", QuTiP's default, they stay the same.
    """
    qutip: Any = import_module("qutip")
    hooks = getattr(qutip.CoreOptions, "_properties", {})
    names = ("default_dtype", "default_dtype_scope") if qutip.settings.core["default_dtype_scope"] == "creation" else ()
    taken = {name: hooks.pop(name) for name in names if name in hooks}
    try:
        yield
    finally:
        hooks.update(taken)


def _simulate(sequence: Any, job: EngineJob, options: Mapping[str, Any]) -> EngineResult:
    from pulser_simulation import QutipBackendV2, QutipConfig

    noise, trajectories, is_stochastic = shots.noise_in_use(sequence, options)
    drawn = -(-job.runs // trajectories) if is_stochastic else job.runs
    observables, tag = shots.with_shots(options.get("observables", ()), drawn, sequence)
    fields = {**options, "observables": observables, "noise_model": noise, "prefer_device_noise_model": False}
    config = QutipConfig(**{**fields, "n_trajectories": trajectories})
    results = QutipBackendV2(sequence, config=config).run()
    raw = shots.shot_order(results.get_result(tag, 1.0), job)
    return EngineResult(position=job.position, raw=raw, serialised_results=shots.serialised(results, tag, raw, options))
