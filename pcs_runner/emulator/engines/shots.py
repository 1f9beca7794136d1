"""What every engine that runs a Pulser backend shares: seeding, how noise and shots go into a config, and how shots come out."""

from __future__ import annotations

import json
import random
import sys
import uuid
import warnings
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pcs_runner.emulator.engines import EngineJob

ONE_STATE = {"ground-rydberg": "r", "digital": "h", "XY": "d"}
"""Measurement basis -> state that reads 1 (Pulser's conventions page)."""

TRAJECTORIES = 40
"""Noise trajectories when a config names none: Pulser's own number for the noise model of a device."""

SHUFFLE, MONTE_CARLO, PYTHON, TORCH = 1, 2, 3, 4
"""Last word of the entropy of the streams beside NumPy's global one."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without Pulser's warnings: they were said when the plan was checked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def seeded(entropy: tuple[int, ...]) -> Iterator[None]:
    """Draw from the job's entropy: NumPy's global generator, Python's, and PyTorch's when it is loaded; all restored after."""
    import numpy as np

    torch: Any = sys.modules.get("torch")
    numpy_state, python_state = np.random.get_state(), random.getstate()
    torch_state = None if torch is None else torch.get_rng_state()
    np.random.seed(np.random.SeedSequence(entropy).generate_state(16))
    random.seed(_number(entropy, PYTHON))
    if torch is not None:
        torch.manual_seed(_number(entropy, TORCH))
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        if torch is not None:
            torch.set_rng_state(torch_state)


def _number(entropy: tuple[int, ...], stream: int) -> int:
    import numpy as np

    return int(np.random.SeedSequence((*entropy, stream)).generate_state(1, np.uint64)[0])


def built(source: Any, variables: Mapping[str, Any]) -> Any:
    """The job's own `pulser.Sequence`."""
    if source.is_parametrized() or source.is_register_mappable():
        return source.build(**variables)
    return source


def config_options(text: str | None, config_type: Any) -> dict[str, Any]:
    """Arguments of a config class, from an `EmulationConfig` in abstract representation; `n_trajectories` None when not said.

    Raises:
        ValueError: The class does not know one of them.
    """
    if text is None:
        return {}
    options: dict[str, Any] = dict(config_type.from_abstract_repr(text)._backend_options)
    if "n_trajectories" not in json.loads(text):
        options["n_trajectories"] = None
    return options


def noise_in_use(sequence: Any, options: Mapping[str, Any]) -> tuple[Any, int, bool]:
    """The noise model that holds, the number of its trajectories, and whether shots are drawn from each of them."""
    from pulser import NoiseModel
    from pulser_simulation.simulation import _has_stochastic_noise

    noise = options.get("noise_model") or NoiseModel()
    if options.get("prefer_device_noise_model") and sequence.device.noise_model is not None:
        noise = sequence.device.noise_model  # resolved here: Pulser would take the readout errors of the other one
    is_stochastic = bool(_has_stochastic_noise(noise))
    default = TRAJECTORIES if is_stochastic else 1
    return noise, noise.runs or options.get("n_trajectories") or default, is_stochastic


def with_shots(observables: Sequence[Any], shots: int, sequence: Any) -> tuple[list[Any], str]:
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


def shot_order(counts: Mapping[str, int], job: EngineJob) -> list[str]:
    """`runs` of the bitstrings that were drawn, in random order: shots are exchangeable, so permuted counts are a record."""
    import numpy as np

    drawn = [bits for bits in sorted(counts) for _ in range(counts[bits])]
    stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence((*job.entropy, SHUFFLE))))
    return [drawn[index] for index in stream.permutation(len(drawn))[: job.runs]]


def serialised(results: Any, tag: str, raw: Sequence[str], options: Mapping[str, Any]) -> str:
    """The results in abstract representation, with the counts that were kept and ids that say the same at every run.

    An observable keeps the uuid of its config (Pulser looks values up by it); ours gets one made from its tag. What nobody asked
    for is left out: emu-sv and emu-mps add how long each step took.
    """
    body = json.loads(results.to_abstract_repr(skip_validation=True))
    given = {observable.tag: str(observable.uuid) for observable in options.get("observables", ())}
    given.setdefault(tag, str(uuid.uuid5(uuid.NAMESPACE_OID, tag)))
    renamed = {old: given[name] for name, old in sorted(body["tagmap"].items()) if name in given}
    body["tagmap"] = {name: renamed[old] for name, old in sorted(body["tagmap"].items()) if old in renamed}
    for part in ("results", "times", "aggregation_methods"):
        body[part] = {new: body[part][old] for old, new in renamed.items()}
    body["results"][body["tagmap"][tag]][-1] = dict(sorted(Counter(raw).items()))
    return json.dumps(body, separators=(",", ":"))
