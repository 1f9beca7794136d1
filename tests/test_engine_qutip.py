"""Engine `qutip`: the physics, exactly `runs` shots whatever the noise, and the same draws at every call."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from pcs_runner.emulator.engines import EngineJob, EngineResult, EngineSettings
from pcs_runner.emulator.engines import qutip as engine_module
from pcs_runner.emulator.engines.qutip import QutipEngine
from twin_sequences import PI_OMEGA, empty, mappable, rabi, two_bases, typed


def run(
    sequence: str, *variables: dict[str, Any], runs: int = 100, config: str | None = None, seed: int = 0
) -> list[EngineResult]:
    jobs = [EngineJob(position=k, variables=v, runs=runs, entropy=(17, seed, k)) for k, v in enumerate(variables)]
    return list(QutipEngine().run(sequence, jobs, EngineSettings(config=config)))


def config(**options: Any) -> str:
    import pulser
    from pulser.backend import EmulationConfig, Occupation

    noise = pulser.NoiseModel(**options.pop("noise", {}))
    observables = options.pop("observables", None) or [Occupation()]
    return str(EmulationConfig(observables=observables, noise_model=noise, **options).to_abstract_repr())


def test_a_pi_pulse_excites_every_shot_and_half_of_one_half_of_them() -> None:
    none, half, whole = run(rabi(), {"omega": 0.0}, {"omega": PI_OMEGA / 2}, {"omega": PI_OMEGA}, runs=1000)
    assert set(none.raw) == {"0"}
    assert abs(Counter(half.raw)["1"] - 500) < 5 * math.sqrt(250)
    assert set(whole.raw) == {"1"}


def test_the_first_character_is_the_first_atom() -> None:
    import pulser

    register = pulser.Register({"a": (0, 0), "b": (0, 50)})
    sequence = pulser.Sequence(register, pulser.MockDevice)
    sequence.declare_channel("local", "rydberg_local", initial_target="a")
    sequence.add(pulser.Pulse.ConstantPulse(500, PI_OMEGA, 0, 0), "local")
    (result,) = run(sequence.to_abstract_repr(), {}, runs=20)
    assert set(result.raw) == {"10"}


def test_shots_are_in_random_order_and_the_same_at_every_call() -> None:
    first, second = (run(rabi(), {"omega": PI_OMEGA / 2}, runs=200)[0] for _ in range(2))
    assert first == second
    changes = sum(a != b for a, b in zip(first.raw, first.raw[1:], strict=False))
    assert 60 < changes < 140  # 100 expected, 7 the standard deviation; sorted shots would give 1
    assert run(rabi(), {"omega": PI_OMEGA / 2}, runs=200, seed=1)[0].raw != first.raw


def test_the_callers_random_generator_is_left_as_it_was() -> None:
    np.random.seed(5)
    expected = np.random.random(3)
    np.random.seed(5)
    run(rabi(), {"omega": 1.0})
    assert (np.random.random(3) == expected).all()


@pytest.mark.parametrize(
    ("noise", "trajectories", "runs"),
    [
        ({"temperature": 50.0}, 7, 30),
        ({"temperature": 50.0}, 7, 3),
        ({"state_prep_error": 0.3}, None, 50),
        ({"p_false_pos": 0.3, "p_false_neg": 0.1}, None, 50),
        ({"relaxation_rate": 1.0}, None, 50),
        ({"relaxation_rate": 1.0}, 9, 50),
        ({"relaxation_rate": 1.0, "temperature": 50.0}, 4, 50),
    ],
)
def test_noise_gives_exactly_the_runs_and_the_same_at_every_call(
    noise: dict[str, Any], trajectories: int | None, runs: int
) -> None:
    options = {} if trajectories is None else {"n_trajectories": trajectories}
    text = config(noise=noise, **options)
    first, second = (run(rabi(), {"omega": PI_OMEGA / 2}, runs=runs, config=text)[0] for _ in range(2))
    assert first.error is None
    assert len(first.raw) == runs
    assert first == second
    body = json.loads(first.serialised_results or "")
    assert body["results"][body["tagmap"]["bitstrings"]] == [dict(sorted(Counter(first.raw).items()))]


def test_without_a_number_of_trajectories_noise_is_averaged_over_forty() -> None:
    body = json.loads(config(noise={"state_prep_error": 0.5}, n_trajectories=1))
    del body["n_trajectories"]
    (result,) = run(rabi(), {"omega": PI_OMEGA}, runs=400, config=json.dumps(body))
    assert 0.2 < Counter(result.raw)["1"] / 400 < 0.8  # one trajectory would give all or nothing


def test_the_monte_carlo_solver_draws_from_the_seed_too() -> None:
    body = json.loads(config(noise={"relaxation_rate": 2.0}, n_trajectories=3))
    text = json.dumps({**body, "solver": "MonteCarlo"})
    first, second = (run(rabi(), {"omega": PI_OMEGA / 2}, runs=50, config=text)[0] for _ in range(2))
    assert first.error is None
    assert first == second


def test_jumps_need_no_density_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    import pulser

    atoms = pulser.Sequence(pulser.Register.rectangle(1, 12, spacing=7, prefix="q"), pulser.MockDevice)
    atoms.declare_channel("ising", "rydberg_global")
    atoms.add(pulser.Pulse.ConstantPulse(100, 1, 0, 0), "ising")
    body = json.loads(config(noise={"relaxation_rate": 2.0}, n_trajectories=3))
    monkeypatch.setattr(engine_module, "memory_bytes", lambda: 2**30)
    assert "qutip needs 13.1 GiB" in str(engine_module.too_large(atoms.to_abstract_repr(), json.dumps(body)))
    assert engine_module.too_large(atoms.to_abstract_repr(), json.dumps({**body, "solver": "MonteCarlo"})) is None


def test_observables_of_the_config_come_serialised_beside_the_counts() -> None:
    from pulser.backend import BitStrings, Occupation, Results

    occupation = Occupation(evaluation_times=[0.5, 1.0])
    text = config(observables=[occupation, BitStrings(evaluation_times=[0.0, 1.0], num_shots=3)])
    (result,) = run(rabi(), {"omega": PI_OMEGA}, runs=10, config=text)
    results = Results.from_abstract_repr(result.serialised_results or "")
    assert results.final_bitstrings == {"1": 10}
    assert results.get_result("bitstrings", 0.0) == {"0": 10}
    assert [round(float(value[0]), 3) for value in results.occupation] == [0.5, 1.0]
    assert results.get_result(occupation, 1.0)[0] == pytest.approx(1.0, abs=1e-3)


def test_what_is_serialised_is_the_same_at_every_call() -> None:
    (first,), (second,) = run(rabi(), {"omega": 1.0}), run(rabi(), {"omega": 1.0})
    assert first.serialised_results == second.serialised_results


def test_an_initial_state_and_modulation_are_taken() -> None:
    from pulser_simulation import QutipState

    state = QutipState.from_state_amplitudes(eigenstates=("r", "g"), amplitudes={"r": 1.0})
    (result,) = run(rabi(), {"omega": 0.0}, config=config(initial_state=state))
    assert set(result.raw) == {"1"}
    (modulated,) = run(typed(), {"omegas": [1.0, 1.0], "t": 100}, config=config(with_modulation=True))
    assert json.loads(modulated.serialised_results or "")["total_duration"] > 200


def test_three_levels_are_read_in_the_digital_basis() -> None:
    (result,) = run(two_bases(), {}, runs=20)
    assert set(result.raw) == {"1"}


def test_traps_come_as_qubits() -> None:
    (result,) = run(mappable(), {"qubits": {"q0": 0, "q1": 1}}, runs=20)
    assert result.error is None
    assert {len(bits) for bits in result.raw} == {2}


@pytest.mark.parametrize(
    ("sequence", "variables", "error"),
    [
        (empty(), {}, "ValueError: No instructions given for the channels in the sequence."),
        (mappable(), {"qubits": {"q0": 999, "q1": 1}}, "ValueError: "),
        (typed(), {"omegas": [1.0, 1.0], "t": 0}, "ValueError: "),
    ],
)
def test_a_job_that_cannot_be_simulated_says_why(sequence: str, variables: dict[str, Any], error: str) -> None:
    (result,) = run(sequence, variables)
    assert result.raw == ()
    assert str(result.error).startswith(error)


def test_one_failing_job_leaves_the_others() -> None:
    good, bad, last = run(typed(), *({"omegas": [o, 1.0], "t": 100} for o in (1.0, 1e6, 2.0)))
    assert (good.error, last.error) == (None, None)
    assert str(bad.error).startswith("ValueError: The pulse's amplitude goes over the maximum")


def test_an_option_that_pulser_does_not_know_is_an_error_of_the_group() -> None:
    body = {**json.loads(config()), "bond_dimension": 7}
    with pytest.raises(ValueError, match="unexpected keyword arguments"):
        run(rabi(), {"omega": 1.0}, config=json.dumps(body))


def test_keeping_qutips_lookups_changes_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    noisy = config(noise={"relaxation_rate": 1.0, "temperature": 50.0}, n_trajectories=2)
    quick = run(rabi(), {"omega": 3.0}, config=noisy) + run(two_bases(), {})
    monkeypatch.setattr(engine_module, "_lookups_kept", nullcontext)
    assert run(rabi(), {"omega": 3.0}, config=noisy) + run(two_bases(), {}) == quick
