"""A group of jobs from variables to results: built, sampled, integrated together, and then drawn one by one."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pcs_runner.emulator.engines import EngineResult, shots
from pcs_runner.emulator.engines.batched.coverage import FINEST, covers
from pcs_runner.emulator.engines.batched.integrate import DEFAULT_ACCURACY, Point, integrate
from pcs_runner.emulator.engines.batched.memory import does_not_fit, machine_limit
from pcs_runner.emulator.engines.batched.observables import BY_PULSER, Moment, Watch, moments
from pcs_runner.emulator.engines.batched.points import sample
from pcs_runner.emulator.engines.batched.shots import bitstrings, draw, generator, misread
from pcs_runner.emulator.engines.batched.template import Templates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np

    from pcs_runner.emulator.engines import EngineJob, EngineSettings
    from pcs_runner.emulator.engines.batched.observables import Record
    from pcs_runner.emulator.engines.batched.points import Physics

ENERGY_SHARE = 1e-3
"""Energies weigh the little that is left in blockaded states by their interaction: then the accuracy is made this much finer.
Measured at 116 rad/µs between neighbours: an infidelity of 2e-8 is 1e-3 of the mean of H², 4e-13 is 2e-5 of it."""

HELD_BYTES = 2**28
"""Samples that are held at once: the rest of a group waits until these are integrated."""

OWN_STREAM = 5
"""Last word of the entropy of the shots; 1 to 4 are taken by `engines.shots`."""

_one_at_a_time = threading.Lock()


class UnsupportedError(ValueError):
    """The engine does not cover what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settings:
    """A config as the engine uses it.

    Attributes:
        options: Arguments of Pulser's config class, by name.
        accuracy: Allowed infidelity of a point.
    """

    options: Mapping[str, Any]
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """What is integrated for the jobs that share it.

    Attributes:
        jobs: Of equal physics.
        physics: Their drive and register.
        noise: The noise model that holds.
        is_stochastic: Whether shots are drawn from several trajectories.
        observables: What is measured, the job's shots among it; `num_shots` is that of the first job.
        tag: Of the job's shots.
        moments: When.
    """

    jobs: tuple[EngineJob, ...]
    physics: Physics
    noise: Any
    is_stochastic: bool
    observables: tuple[Any, ...]
    tag: str
    moments: tuple[Moment, ...]


def run_group(sequence: str, jobs: Sequence[EngineJob], settings: EngineSettings) -> Iterator[EngineResult]:
    """Results of a group, see `BatchedEngine.run`."""
    if (reason := covers(sequence, settings)) is not None:
        raise UnsupportedError(f"engine batched does not take this sequence: {reason}; use engine auto or qutip")
    with shots.quiet():
        prepare = _preparation(sequence, settings)
    held: list[Task] = []
    for alike in _same_physics(jobs, prepare.settings):
        try:
            with shots.quiet(), _one_at_a_time:
                held.append(prepare.task(alike))
        except Exception as error:  # noqa: BLE001 - a job's failure is data
            text = f"{type(error).__name__}: {error}"
            yield from (EngineResult(position=job.position, error=text) for job in alike)
        if sum(task.physics.nbytes for task in held) > HELD_BYTES:
            yield from _integrated(held, prepare.settings)
            held = []
    yield from _integrated(held, prepare.settings)


@lru_cache(maxsize=4)
def _preparation(sequence: str, settings: EngineSettings) -> _Preparation:
    """Read once for all groups of a sequence: 50 ms, and the templates that were built."""
    import pulser

    return _Preparation(pulser.Sequence.from_abstract_repr(sequence), read_settings(settings))


def read_settings(settings: EngineSettings) -> Settings:
    """Read the config; QuTiP is loaded only for an observable that needs its states."""
    accuracy = settings.accuracy or DEFAULT_ACCURACY
    if settings.config is None:
        return Settings(options={}, accuracy=accuracy)
    wanted = {one.get("observable") for one in json.loads(settings.config).get("observables", ())}
    if any(str(one).startswith("energy") for one in wanted):
        accuracy = max(accuracy * ENERGY_SHARE, FINEST)
    if wanted & BY_PULSER:
        from pulser_simulation import QutipConfig

        return Settings(options=shots.config_options(settings.config, QutipConfig), accuracy=accuracy)
    from pulser.backend import EmulationConfig

    return Settings(options=shots.config_options(settings.config, EmulationConfig), accuracy=accuracy)


def _same_physics(jobs: Sequence[EngineJob], settings: Settings) -> list[tuple[EngineJob, ...]]:
    """Jobs with equal variables, unless noise is drawn for each of them."""
    together: dict[str, list[EngineJob]] = defaultdict(list)
    noise = settings.options.get("noise_model")
    noisy = bool(settings.options.get("prefer_device_noise_model")) or bool(noise is not None and noise.noise_types)
    for job in jobs:
        key = json.dumps(job.variables, sort_keys=True)
        together[f"{job.position} {key}" if noisy else key].append(job)
    return [tuple(alike) for alike in together.values()]


def _noise_in_use(sequence: Any, settings: Settings) -> tuple[Any, int, bool]:
    """As `shots.noise_in_use`, which loads QuTiP; without noise that is not needed."""
    from pulser import NoiseModel

    noise = settings.options.get("noise_model")
    if not settings.options.get("prefer_device_noise_model") and not (noise and noise.noise_types):
        return noise or NoiseModel(), 1, False
    return shots.noise_in_use(sequence, settings.options)


class _Preparation:
    """Builds and samples the jobs of one sequence.

    Args:
        source: `pulser.Sequence`.
        settings: Of the group.
    """

    def __init__(self, source: Any, settings: Settings) -> None:
        self.settings = settings
        self._source = source
        self._options = settings.options
        self._noise, self._trajectories, self._is_stochastic = _noise_in_use(source, settings)
        self._with_modulation = bool(settings.options.get("with_modulation"))
        as_programmed = not self._is_stochastic and not self._with_modulation and set(self._noise.noise_types) <= {"SPAM"}
        self._templates = Templates(source, self._built) if as_programmed else None

    def task(self, jobs: tuple[EngineJob, ...]) -> Task:
        """What these jobs of equal physics share."""
        if self._templates is not None:
            physics = self._templates.physics(jobs[0].variables)
        else:
            with shots.seeded(jobs[0].entropy):
                physics = self._built(jobs[0].variables)[1]
        drawn = -(-jobs[0].runs // self._trajectories) if self._is_stochastic else jobs[0].runs
        observables, tag = shots.with_shots(self._options.get("observables", ()), drawn, self._source)
        default_times = self._options.get("default_evaluation_times", (1.0,))
        return Task(
            jobs=jobs,
            physics=physics,
            noise=self._noise,
            is_stochastic=self._is_stochastic,
            observables=tuple(observables),
            tag=tag,
            moments=moments(observables, default_times, physics.duration_ns),
        )

    def _built(self, variables: Mapping[str, Any]) -> tuple[Any, Physics]:
        sequence = shots.built(self._source, variables)
        if (reason := does_not_fit(len(sequence.register.qubit_ids), machine_limit())) is not None:
            raise UnsupportedError(reason)
        trajectories = self._trajectories if self._is_stochastic else 1
        return sequence, sample(sequence, with_modulation=self._with_modulation, noise=self._noise, trajectories=trajectories)


def _integrated(tasks: Sequence[Task], settings: Settings) -> Iterator[EngineResult]:
    """Integrate all trajectories of all tasks together; a task's jobs are drawn when its last trajectory is there."""
    config = _Config(settings.options)
    watches = [Watch(task.physics, config) for task in tasks]
    places = [(k, path) for k, task in enumerate(tasks) for path in range(len(task.physics.drives))]
    points = [_point(tasks[k], path) for k, path in places]
    found: list[dict[int, tuple[Record, ...] | str]] = [{} for _ in tasks]

    def observe(index: int, time: int, state: np.ndarray[Any, Any]) -> Record:
        k = places[index][0]
        later = [moment for moment in tasks[k].moments if moment.time_ns > 0.0]
        return watches[k].record(later[time], state)

    for evolution in integrate(points, settings.accuracy, observe):
        k, path = places[evolution.index]
        found[k][path] = _with_start(tasks[k], watches[k], evolution.records) if evolution.records else (
            f"AccuracyError: the smallest step leaves an infidelity of {evolution.estimate:.1e}"
        )  # fmt: skip
        if len(found[k]) == len(tasks[k].physics.drives):
            yield from _results(tasks[k], [found[k].pop(path) for path in sorted(found[k])], config, settings)


def _point(task: Task, path: int) -> Point:
    times = tuple(moment.time_ns for moment in task.moments if moment.time_ns > 0.0)
    return Point(drive=task.physics.drives[path], interaction=task.physics.interactions[path], times_ns=times)


def _with_start(task: Task, watch: Watch, records: tuple[Record, ...]) -> tuple[Record, ...]:
    """The records, with that of the start before them when something is measured there."""
    import numpy as np

    if task.moments[0].time_ns > 0.0:
        return records
    state = np.zeros(2 ** len(task.physics.atoms), dtype=complex)
    state[0] = 1.0
    return watch.record(task.moments[0], state), *records


class _Config:
    """What Pulser's observables ask of a config."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.default_num_shots = options.get("default_num_shots", 1000)


def _results(task: Task, paths: list[tuple[Record, ...] | str], config: _Config, settings: Settings) -> Iterator[EngineResult]:
    for job in task.jobs:
        failed = next((path for path in paths if isinstance(path, str)), None)
        if failed is not None:
            yield EngineResult(position=job.position, error=failed)
            continue
        yield _drawn(task, job, [path for path in paths if not isinstance(path, str)], config, settings)


def _drawn(task: Task, job: EngineJob, paths: list[tuple[Record, ...]], config: _Config, settings: Settings) -> EngineResult:
    """Draw a job's shots and put its results together."""
    from pulser.backend import Results

    stream = generator((*job.entropy, OWN_STREAM))
    total = sum(task.physics.repetitions)
    each = -(-job.runs // total) if task.is_stochastic else job.runs
    parts, raw = [], []
    for records, repetitions in zip(paths, task.physics.repetitions, strict=True):
        for _ in range(repetitions):
            part = Results(atom_order=task.physics.atoms, total_duration=task.physics.duration_ns)
            raw += _store(part, task, records, each, config, stream)
            parts.append(part)
    if len(parts) > 1:
        raw = [raw[place] for place in stream.permutation(len(raw))[: job.runs]]
    results = Results.aggregate(parts)
    return EngineResult(
        position=job.position, raw=raw, serialised_results=shots.serialised(results, task.tag, raw, settings.options)
    )


def _store(part: Any, task: Task, records: tuple[Record, ...], each: int, config: _Config, stream: Any) -> list[str]:
    """Fill the results of one trajectory; returns the shots at the end, in order."""
    final: list[str] = []
    for moment, record in zip(task.moments, records, strict=True):
        for observable in moment.observables:
            if observable._base_tag != "bitstrings":
                part._store(observable=observable, time=moment.relative, value=record.values[observable.tag])
                continue
            count = each if observable.tag == task.tag else observable._num_shots or config.default_num_shots
            read = _shots(task, observable, record, count, stream)
            part._store(observable=observable, time=moment.relative, value=Counter(read))
            if observable.tag == task.tag and moment.relative == 1.0:
                final = read
    return final


def _shots(task: Task, observable: Any, record: Record, count: int, stream: Any) -> list[str]:
    atoms = len(task.physics.atoms)
    states = draw(record.steps, count, stream)  # type: ignore[arg-type]
    if observable.one_state == "g":
        states = states ^ (2**atoms - 1)
    return bitstrings(misread(states, atoms, task.noise.p_false_pos, task.noise.p_false_neg, stream), atoms)
