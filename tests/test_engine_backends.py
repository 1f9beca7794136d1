"""Any Pulser backend as an engine: emu-sv and emu-mps by name, a class of the user's own; the same draws at every call."""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pcs_runner.emulator.client import LocalClient
from pcs_runner.emulator.engines import EngineJob, EngineResult, EngineSettings, catalogue
from pcs_runner.emulator.settings import TwinSettings
from pcs_runner.pcs import RefusedError
from test_emulator_client import request
from twin_sequences import PI_OMEGA, rabi, two_bases

if TYPE_CHECKING:
    from pathlib import Path

needs_emu = pytest.mark.skipif(
    find_spec("emu_sv") is None or find_spec("emu_mps") is None, reason="emu-sv and emu-mps are not installed (extra emu)"
)


def run(
    engine: str, sequence: str, *variables: dict[str, Any], runs: int = 60, config: str | None = None, seed: int = 0
) -> list[EngineResult]:
    jobs = [EngineJob(position=k, variables=v, runs=runs, entropy=(17, seed, k)) for k, v in enumerate(variables)]
    return list(catalogue.load(engine).run(sequence, jobs, EngineSettings(config=config)))


def config(noise: dict[str, Any] | None = None, **options: Any) -> str:
    import pulser
    from pulser.backend import EmulationConfig, Occupation

    made: Any = EmulationConfig(observables=[Occupation()], noise_model=pulser.NoiseModel(**noise or {}))
    return json.dumps({**json.loads(made.to_abstract_repr()), **options})


@lru_cache
def chain(atoms: int = 3, duration: int = 200) -> str:
    """Atoms 6 µm apart, a resonant pulse with the variable `omega`."""
    import pulser

    sequence = pulser.Sequence(pulser.Register.rectangle(1, atoms, spacing=6.0, prefix="q"), pulser.MockDevice)
    sequence.declare_channel("ryd", "rydberg_global")
    sequence.add(pulser.Pulse.ConstantPulse(duration, sequence.declare_variable("omega"), 0, 0), "ryd")
    return str(sequence.to_abstract_repr())


def test_a_class_of_the_users_own_runs_and_draws_from_the_seed_only(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (run("twin_backends:Coin", chain(2), {"omega": 1.0}, {"omega": 1.0}) for _ in range(2))
    assert first == second
    assert [result.error for result in first] == [None, None]
    assert first[0].raw != first[1].raw
    assert run("twin_backends:Coin", chain(2), {"omega": 1.0}, seed=1)[0].raw != first[0].raw
    assert set(first[0].raw) == {"00", "01", "10", "11"}
    assert capsys.readouterr().out == ""


def test_the_callers_generators_are_left_as_they_were() -> None:
    random.seed(5)
    np.random.seed(5)
    expected = (random.random(), np.random.random())
    random.seed(5)
    np.random.seed(5)
    run("twin_backends:Coin", chain(2), {"omega": 1.0})
    assert (random.random(), np.random.random()) == expected


@pytest.mark.parametrize("noise", [{"temperature": 50.0}, {"relaxation_rate": 1.0}])
def test_a_class_that_forgets_the_trajectories_still_gives_all_the_shots(noise: dict[str, Any]) -> None:
    (result,) = run("twin_backends:Forgetful", chain(2), {"omega": 1.0}, runs=30, config=config(noise, n_trajectories=7))
    assert result.error is None
    assert len(result.raw) == 30
    body = json.loads(result.serialised_results or "")
    assert body["results"][body["tagmap"]["bitstrings"]] == [dict(sorted(Counter(result.raw).items()))]


def test_options_of_the_class_go_through_the_config_and_others_are_refused() -> None:
    (result,) = run("twin_backends:Strict", chain(2), {"omega": 1.0}, config=config(sides=3))
    assert result.error is None
    assert catalogue.config_problem("twin_backends:Strict", config(sides=3)) is None
    problem = catalogue.config_problem("twin_backends:Strict", config(edges=3))
    assert str(problem).startswith("ValueError: 'Config' received unexpected keyword arguments: {'edges'}")


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        (
            "twin_backends:NoBackend",
            "TypeError: twin_backends:NoBackend is not a class that keeps pulser.backend.EmulatorBackend",
        ),
        ("twin_backends:Nothing", "AttributeError: module 'twin_backends' has no attribute 'Nothing'"),
        (
            "twin_backends.more:Coin",
            "ModuleNotFoundError: No module named 'twin_backends.more'; 'twin_backends' is not a package",
        ),
    ],
)
def test_what_is_no_backend_says_so(where: str, problem: str) -> None:
    assert catalogue.config_problem(catalogue.check_name(where), None) == problem


def test_a_twin_that_others_reach_loads_no_class_by_name(tmp_path: Path) -> None:
    own = request(1.0, configuration={"engine": "twin_backends:Coin"}, open=False)
    with LocalClient(tmp_path / "own") as client:
        assert client.create_batch(own).close(wait=True).status == "DONE"
    with (
        LocalClient(tmp_path / "served", settings=TwinSettings()) as client,
        pytest.raises(RefusedError, match=r"^this twin does not load 'twin_backends:Coin'$"),
    ):
        client.create_batch(own)


@needs_emu
def test_emu_sv_has_qutips_physics_and_repeats_itself() -> None:
    text = config()
    first, second = (run("emu-sv", chain(), {"omega": 9.0}, runs=200, config=text)[0] for _ in range(2))
    assert first.error is None
    assert first == second
    (reference,) = run("qutip", chain(), {"omega": 9.0}, config=text)
    assert occupation(first) == pytest.approx(occupation(reference), abs=2e-3)


@needs_emu
@pytest.mark.parametrize(
    "text",
    [
        config({"temperature": 50.0, "p_false_pos": 0.1, "p_false_neg": 0.1}, n_trajectories=3),
        config({"relaxation_rate": 1.0}),
        config({"relaxation_rate": 1.0}, n_trajectories=3, solver="montecarlo"),
        config({"relaxation_rate": 1.0, "temperature": 50.0}, n_trajectories=3),
    ],
    ids=["stochastic", "master equation", "jumps", "both"],
)
def test_noise_in_emu_sv_gives_exactly_the_runs_and_the_same_at_every_call(text: str) -> None:
    first, second = (run("emu-sv", rabi(), {"omega": PI_OMEGA / 2}, runs=50, config=text)[0] for _ in range(2))
    assert first.error is None
    assert len(first.raw) == 50
    assert first == second


@needs_emu
@pytest.mark.slow
def test_emu_mps_has_qutips_physics_and_repeats_itself() -> None:
    text = config(dt=20.0, optimize_qubit_ordering=False)  # searching for an order costs 20 s here
    first, second = (run("emu-mps", chain(), {"omega": 9.0}, runs=50, config=text)[0] for _ in range(2))
    assert first.error is None
    assert first == second
    (reference,) = run("qutip", chain(), {"omega": 9.0}, config=config())
    assert occupation(first) == pytest.approx(occupation(reference), abs=1e-2)
    noisy = config({"relaxation_rate": 1.0}, dt=50.0, n_trajectories=2, optimize_qubit_ordering=False)
    first, second = (run("emu-mps", chain(3, 100), {"omega": 9.0}, runs=5, config=noisy)[0] for _ in range(2))
    assert (first.error, len(first.raw)) == (None, 5)
    assert first == second


@needs_emu
def test_what_a_backend_cannot_do_is_an_error_of_the_job() -> None:
    (result,) = run("emu-sv", two_bases(), {})
    assert result.raw == ()
    assert result.error is not None


def occupation(result: EngineResult) -> list[float]:
    body = json.loads(result.serialised_results or "")
    values: list[float] = body["results"][body["tagmap"]["occupation"]][-1]
    return values
