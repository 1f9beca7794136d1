"""Engine `qutip`: Pulser's own simulator, `pulser_simulation.QutipBackendV2`, one job after the other.

Pulser draws noise and shots from NumPy's global generator: it is seeded for each job from the job's entropy and restored after.
"""

from __future__ import annotations

import json
import threading
import uuid
import warnings
from collections import Counter
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pcs_runner.emulator.engines import EngineResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pcs_runner.emulator.engines import EngineJob, EngineSettings

ONE_STATE = {"ground-rydberg": "r", "digital": "h", "XY": "d"}
"""Measurement basis -> state that reads 1 (Pulser's conventions page)."""

TRAJECTORIES = 40
"""Noise trajectories when a config names none: Pulser's own number for the noise model of a device."""

SHUFFLE, MONTE_CARLO = 1, 2
"""Last word of the entropy of the streams beside NumPy's global one."""

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
        import pulser

        with _quiet():
            source = pulser.Sequence.from_abstract_repr(sequence)
            options = _config_options(settings.config)
        for job in jobs:
            try:
                with _one_at_a_time, _quiet(), _lookups_kept(), _seeded(job.entropy):
                    result = _simulate(_built(source, job.variables), job, options)
            except Exception as error:  # noqa: BLE001 - a job's failure is data
                result = EngineResult(position=job.position, error=f"{type(error).__name__}: {error}")
            yield result


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _seeded(entropy: tuple[int, ...]) -> Iterator[None]:
    """Draw everything from the entropy: NumPy's global generator, and QuTiP's Monte Carlo solver, which would ask the system."""
    import numpy as np

    qutip: Any = import_module("qutip")
    state, solver = np.random.get_state(), qutip.mcsolve
    seeds = np.random.SeedSequence((*entropy, MONTE_CARLO))

    def mcsolve(*arguments: Any, **options: Any) -> Any:
        return solver(*arguments, **{"seeds": seeds.spawn(1)[0], **options})

    np.random.seed(np.random.SeedSequence(entropy).generate_state(16))
    qutip.mcsolve = mcsolve
    try:
        yield
    finally:
        qutip.mcsolve = solver
        np.random.set_state(state)


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


def _built(source: Any, variables: Mapping[str, Any]) -> Any:
    if source.is_parametrized() or source.is_register_mappable():
        return source.build(**variables)
    return source


def _config_options(text: str | None) -> dict[str, Any]:
    """Arguments of `QutipConfig`, from an `EmulationConfig` in abstract representation; only observables without one."""
    from pulser_simulation import QutipConfig

    if text is None:
        return {}
    body = json.loads(text)
    options: dict[str, Any] = dict(QutipConfig.from_abstract_repr(text)._backend_options)
    if "n_trajectories" not in body:
        options["n_trajectories"] = None
    return options


def _simulate(sequence: Any, job: EngineJob, options: Mapping[str, Any]) -> EngineResult:
    from pulser_simulation import QutipBackendV2, QutipConfig

    noise, trajectories, is_stochastic = _noise(sequence, options)
    shots = -(-job.runs // trajectories) if is_stochastic else job.runs
    observables, tag = _with_shots(options.get("observables", ()), shots, sequence)
    fields = {**options, "observables": observables, "noise_model": noise, "prefer_device_noise_model": False}
    config = QutipConfig(**{**fields, "n_trajectories": trajectories})
    results = QutipBackendV2(sequence, config=config).run()
    raw = _shot_order(results.get_result(tag, 1.0), job)
    return EngineResult(position=job.position, raw=raw, serialised_results=_serialised(results, tag, raw, options))


def _noise(sequence: Any, options: Mapping[str, Any]) -> tuple[Any, int, bool]:
    """The noise model that holds, the number of its trajectories, and whether shots are drawn from each of them."""
    from pulser import NoiseModel
    from pulser_simulation.simulation import _has_stochastic_noise

    noise = options.get("noise_model") or NoiseModel()
    if options.get("prefer_device_noise_model") and sequence.device.noise_model is not None:
        noise = sequence.device.noise_model  # resolved here: Pulser would take the readout errors of the other one
    is_stochastic = bool(_has_stochastic_noise(noise))
    default = TRAJECTORIES if is_stochastic else 1
    return noise, noise.runs or options.get("n_trajectories") or default, is_stochastic


def _with_shots(observables: Sequence[Any], shots: int, sequence: Any) -> tuple[list[Any], str]:
    """The observables with `shots` bitstrings at the end of the sequence among them, and the tag of these."""
    from pulser.backend import BitStrings

    one_state: Any = _one_state(sequence)
    kept = [observable for observable in observables if observable.tag != "bitstrings"]
    times = {1.0}
    for observable in observables:
        if observable.tag == "bitstrings":
            one_state = observable.one_state or one_state
            times.update(map(float, observable.evaluation_times if observable.evaluation_times is not None else ()))
    ours = BitStrings(evaluation_times=sorted(times), num_shots=shots, one_state=one_state)
    return [*kept, ours], ours.tag


def _one_state(sequence: Any) -> str | None:
    """The state that reads 1, None where the simulated states say it. Both bases and no measurement: digital, as in Pulser."""
    if sequence.is_measured():
        return ONE_STATE[sequence.get_measurement_basis()]
    bases = {channel.basis for channel in sequence.declared_channels.values()}
    return "h" if {"ground-rydberg", "digital"} <= bases else None


def _shot_order(counts: Mapping[str, int], job: EngineJob) -> list[str]:
    """`runs` of the bitstrings that were drawn, in random order: shots are exchangeable, so permuted counts are a record."""
    import numpy as np

    drawn = [bits for bits in sorted(counts) for _ in range(counts[bits])]
    stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence((*job.entropy, SHUFFLE))))
    return [drawn[index] for index in stream.permutation(len(drawn))[: job.runs]]


def _serialised(results: Any, tag: str, raw: Sequence[str], options: Mapping[str, Any]) -> str:
    """The results in abstract representation, with the counts that were kept and ids that say the same at every run.

    An observable keeps the uuid of its config (Pulser looks values up by it); ours gets one made from its tag.
    """
    body = json.loads(results.to_abstract_repr(skip_validation=True))
    given = {observable.tag: str(observable.uuid) for observable in options.get("observables", ())}
    renamed = {old: given.get(name, str(uuid.uuid5(uuid.NAMESPACE_OID, name))) for name, old in body["tagmap"].items()}
    body["tagmap"] = {name: renamed[old] for name, old in body["tagmap"].items()}
    for part in ("results", "times", "aggregation_methods"):
        body[part] = {renamed[old]: value for old, value in body[part].items()}
    body["results"][body["tagmap"][tag]][-1] = dict(sorted(Counter(raw).items()))
    return json.dumps(body, separators=(",", ":"))
