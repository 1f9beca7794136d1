"""Any Pulser `EmulatorBackend` as an engine: emu-sv, emu-mps, and classes given as `package.module:Class`.

Backends draw from global generators (NumPy's, Python's, PyTorch's): these are seeded for each job from the job's entropy and
restored after. One job runs at a time in a process.
"""

from __future__ import annotations

import contextlib
import io
import threading
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pcs_runner.emulator.engines import EngineResult, shots

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pcs_runner.emulator.engines import EngineJob, EngineSettings

_one_at_a_time = threading.Lock()


class PulserBackendEngine:
    """Runs jobs one after the other on a backend class; `accuracy` is not used, the class's own options go into `config`.

    Args:
        name: Of the engine.
        where: `package.module:Class`.
        averages: Whether the class simulates dissipation by a density matrix, so that noise that is the same in every shot needs
            no trajectories; unless its config says `solver: montecarlo`.
        knows_trajectories: Whether it runs `n_trajectories` times and joins the shots. Of a class that may not, every trajectory
            is asked for all the shots.
    """

    group_size = 1

    def __init__(
        self,
        *,
        name: str,
        where: str,
        averages: bool = False,
        knows_trajectories: bool = False,
    ) -> None:
        self.name = name
        self.where = where
        self._averages = averages
        self._knows_trajectories = knows_trajectories

    def is_installed(self) -> bool:
        """Whether the package is there; it is not imported."""
        return find_spec(self.where.split(":")[0].split(".")[0]) is not None

    def backend(self) -> Any:
        """The class.

        Raises:
            TypeError: It is not an `EmulatorBackend`.
            ImportError: Its module is not there.
            AttributeError: The module has no such class.
        """
        from pulser.backend import EmulatorBackend

        module, _, attribute = self.where.partition(":")
        with _one_at_a_time, shots.quiet(), _mute():
            found = getattr(import_module(module), attribute)
        if not (isinstance(found, type) and issubclass(found, EmulatorBackend)):
            raise TypeError(f"{self.where} is not a class that keeps pulser.backend.EmulatorBackend")
        return found

    def config_problem(self, config: str | None) -> str | None:
        """What the class says of a config (abstract representation, a JSON string), None when it takes it. Imports the class."""
        try:
            backend = self.backend()
            with _one_at_a_time, shots.quiet(), _mute():
                shots.config_options(config, backend.config_type)
        except Exception as error:  # noqa: BLE001 - whatever a foreign class raises, it is said
            return f"{type(error).__name__}: {error}"
        return None

    def run(self, sequence: str, jobs: Sequence[EngineJob], settings: EngineSettings) -> Iterator[EngineResult]:
        """Simulate the jobs one by one.

        A job that fails gives an `EngineResult` with its error, and the others go on.

        Raises:
            Exception: The class, the sequence or the config cannot be read, so no job can run.
        """
        import pulser

        backend = self.backend()
        with _one_at_a_time, shots.quiet(), _mute():
            source = pulser.Sequence.from_abstract_repr(sequence)
            options = shots.config_options(settings.config, backend.config_type)
        for job in jobs:
            try:
                with _one_at_a_time, shots.quiet(), _mute(), shots.seeded(job.entropy):
                    result = self._simulate(backend, shots.built(source, job.variables), job, options)
            except Exception as error:  # noqa: BLE001 - a job's failure is data
                result = EngineResult(position=job.position, error=f"{type(error).__name__}: {error}")
            yield result

    def _simulate(self, backend: Any, sequence: Any, job: EngineJob, options: Mapping[str, Any]) -> EngineResult:
        from pulser.backend import Results

        noise, trajectories, drawn = self._plan_shots(sequence, job, options)
        observables, tag = shots.with_shots(options.get("observables", ()), drawn, sequence)
        fields = {**options, "observables": observables, "noise_model": noise, "n_trajectories": trajectories}
        config = backend.config_type(**{**fields, "prefer_device_noise_model": False})
        results = backend(sequence, config=config).run()
        if not isinstance(results, Results):
            results = Results.aggregate(list(results))
        raw = shots.shot_order(results.get_result(tag, 1.0), job)
        return EngineResult(position=job.position, raw=raw, serialised_results=shots.serialised(results, tag, raw, options))

    def _plan_shots(self, sequence: Any, job: EngineJob, options: Mapping[str, Any]) -> tuple[Any, int, int]:
        """The noise model, the number of trajectories, and the shots to draw from each, so that there are at least `runs`."""
        noise, trajectories, is_stochastic = shots.noise_in_use(sequence, options)
        averages = self._averages and options.get("solver") != "montecarlo"
        jumps = bool(set(noise.noise_types) - {"SPAM"}) and not averages
        if not is_stochastic and not jumps:
            return noise, 1, job.runs
        if not is_stochastic:
            trajectories = noise.runs or options.get("n_trajectories") or shots.TRAJECTORIES
        return noise, trajectories, -(-job.runs // trajectories) if self._knows_trajectories else job.runs


@contextlib.contextmanager
def _mute() -> Iterator[None]:
    """Drop what a backend prints: stdout is for results."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


EMU_SV = PulserBackendEngine(name="emu-sv", where="emu_sv:SVBackend", averages=True, knows_trajectories=True)
EMU_MPS = PulserBackendEngine(name="emu-mps", where="emu_mps:MPSBackend", knows_trajectories=True)
