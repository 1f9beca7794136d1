"""Engine `batched` against QuTiP: states on random sequences, counts, observables, and that nothing depends on the grouping."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pulser
import pytest
from pulser.backend import Results
from pulser.backend.default_observables import (
    BitStrings,
    CorrelationMatrix,
    Energy,
    EnergySecondMoment,
    EnergyVariance,
    Expectation,
    Fidelity,
    Occupation,
)
from pulser.devices import MockDevice
from pulser_simulation import QutipConfig, QutipOperator, QutipState

from pcs_runner.emulator.engines import EngineJob, EngineSettings
from pcs_runner.emulator.engines.batched import BatchedEngine, integrate
from pcs_runner.emulator.engines.batched.kernels import advance
from pcs_runner.emulator.engines.batched.points import sample
from pcs_runner.emulator.engines.qutip import QutipEngine
from random_sequences import KINDS, Builder, infidelity, reference_states

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pcs_runner.emulator.engines import EngineResult
    from random_sequences import Case

ACCURACY = 1e-5
TRAJECTORIES = 2


def batched_states(case: Case, seed: int, accuracy: float = ACCURACY) -> list[tuple[NDArray[np.complex128], float]]:
    """Final states and their estimates, one for each trajectory."""
    sequence, modulated, noise = case
    np.random.seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = noise or pulser.NoiseModel()
        physics = sample(sequence, with_modulation=modulated, noise=model, trajectories=TRAJECTORIES if noise else 1)
    end = (float(physics.duration_ns),)
    points = [
        integrate.Point(drive=drive, interaction=interaction, times_ns=end)
        for drive, interaction in zip(physics.drives, physics.interactions, strict=True)
    ]
    found = sorted(integrate.integrate(points, accuracy, lambda index, time, state: state), key=lambda one: one.index)
    return [(one.records[0], one.estimate) for one in found]


def check_states(seed: int) -> None:
    """States within the accuracy of a tight QuTiP, and estimates that do not flatter."""
    kind = KINDS[seed % len(KINDS)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case = Builder(seed).sequence(kind)
    print(f"seed {seed}: {kind}, {len(case[0].register.qubit_ids)} atoms")
    found = batched_states(case, seed)
    reference = reference_states(case, TRAJECTORIES, seed)
    for (state, estimate), expected in zip(found, reference, strict=True):
        missed = infidelity(state, expected)
        print(f"infidelity {missed:.1e}, estimate {estimate:.1e}")
        assert missed < ACCURACY
        assert missed < estimate + 1e-9, "the estimate is an upper one, but for the tolerance of the reference"


@pytest.mark.parametrize("seed", range(36))
def test_states_are_those_of_qutip(seed: int) -> None:
    check_states(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 460, 12))
def test_states_are_those_of_qutip_on_hundreds(first: int) -> None:
    for seed in range(first, first + 12):
        check_states(seed)


def wrong(change: str) -> Any:
    """The kernel with a mistake."""

    def broken(state: Any, tangents: Any, turns: Any, scales: Any, tables: Any, which: Any, rows: Any) -> None:
        if change == "sign of the detuning":
            turns = turns * np.array([1.0, -1.0])[:, None]
        elif change == "sign of the interaction":
            tables = tables * np.array([1.0, -1.0])
        elif change == "rotation too small":
            tangents = tangents * 0.98
        elif change == "order of the atoms":
            rows = rows[::-1].copy()
        advance(state, tangents, turns, scales, tables, which, rows)

    return broken


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("none", "local"),
        ("sign of the detuning", "global"),
        ("sign of the interaction", "global"),
        ("rotation too small", "resonant"),
        ("order of the atoms", "local"),
    ],
)
def test_a_broken_kernel_is_seen(change: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself can fail: each mistake shows as more than a hundred times what is allowed."""
    seed = KINDS.index(kind)
    case = Builder(seed).sequence(kind)
    reference = reference_states(case, TRAJECTORIES, seed)[0]
    monkeypatch.setattr(integrate, "advance", wrong(change))
    missed = infidelity(batched_states(case, seed)[0][0], reference)
    assert (missed < ACCURACY) if change == "none" else (missed > 1e-3)


@pytest.mark.parametrize("accuracy", [1e-3, 1e-5, 1e-8])
def test_accuracy_is_a_setting(accuracy: float) -> None:
    case = Builder(14).sequence("resonant")
    reference = reference_states(case, 1, 14)[0]
    state, estimate = batched_states(case, 14, accuracy)[0]
    assert estimate <= accuracy
    assert infidelity(state, reference) < accuracy


def rabi(device: Any = MockDevice, atoms: int = 4, spacing: float = 6.0) -> str:
    """A resonant pulse of 800 ns, amplitude and detuning open."""
    register = pulser.Register.rectangle(1, atoms, spacing=spacing, prefix="q")
    sequence = pulser.Sequence(register, device)
    sequence.declare_channel("g", "rydberg_global")
    amplitude, detuning = sequence.declare_variable("amplitude"), sequence.declare_variable("detuning")
    sequence.add(pulser.Pulse.ConstantPulse(800, amplitude, detuning, 0.3), "g")
    sequence.measure("ground-rydberg")
    return sequence.to_abstract_repr()


def jobs_of(count: int, runs: int = 400) -> list[EngineJob]:
    return [
        EngineJob(position=k, variables={"amplitude": 3.0 + 0.9 * k, "detuning": 5.0 - 1.7 * k}, runs=runs, entropy=(11, k))
        for k in range(count)
    ]


def run(engine: Any, sequence: str, jobs: Sequence[EngineJob], config: str | None = None) -> list[EngineResult]:
    results = list(engine.run(sequence, jobs, EngineSettings(config=config)))
    assert [result.error for result in results if result.error] == []
    return sorted(results, key=lambda result: result.position)


@pytest.mark.parametrize(
    "noise",
    [None, pulser.NoiseModel(p_false_pos=0.1), pulser.NoiseModel(laser_waist=20.0), pulser.NoiseModel(temperature=50.0)],
    ids=["clean", "readout", "beam", "doppler"],
)
def test_results_do_not_depend_on_the_group(noise: Any) -> None:
    """One by one, all together, shuffled, in pairs: the same shots and the same numbers, to the last bit."""
    sequence, jobs = rabi(), jobs_of(7)
    options = {"noise_model": noise, "n_trajectories": 3} if noise else {}
    observables = [Occupation(evaluation_times=[0.37, 1.0]), Energy()]
    config = QutipConfig(observables=observables, **options).to_abstract_repr()
    together = run(BatchedEngine(), sequence, jobs, config)
    alone = [run(BatchedEngine(), sequence, [job], config)[0] for job in jobs]
    shuffled = run(BatchedEngine(), sequence, [jobs[k] for k in (5, 2, 0, 6, 1, 4, 3)], config)
    pairs = [result for k in range(0, 7, 2) for result in run(BatchedEngine(), sequence, jobs[k : k + 2], config)]
    assert together == alone == shuffled == pairs


def test_points_of_other_durations_share_blocks() -> None:
    """Lanes with steps and tables of their own give what each gives alone."""
    register = pulser.Register.square(2, spacing=6.5, prefix="q")
    sequence = pulser.Sequence(register, MockDevice)
    sequence.declare_channel("g", "rydberg_global")
    duration = sequence.declare_variable("duration", dtype=int)
    sequence.add(pulser.Pulse.ConstantPulse(duration, 9.0, 2.0, 0.0), "g")
    text = sequence.to_abstract_repr()
    jobs = [EngineJob(position=k, variables={"duration": 100 + 37 * k}, runs=200, entropy=(3, k)) for k in range(6)]
    assert run(BatchedEngine(), text, jobs) == [run(BatchedEngine(), text, [job])[0] for job in jobs]


def test_equal_points_are_integrated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeated jobs share the state, and draw shots of their own."""
    seen: list[int] = []
    original = integrate._attempt

    def counted(lanes: Any, *rest: Any) -> Any:
        seen.append(len(lanes))
        return original(lanes, *rest)

    monkeypatch.setattr(integrate, "_attempt", counted)
    first = jobs_of(1)[0]
    same = [EngineJob(position=k, variables=dict(first.variables), runs=100 + k, entropy=(1, k)) for k in range(5)]
    results = run(BatchedEngine(), rabi(), same)
    assert seen == [1]
    assert [len(result.raw) for result in results] == [100, 101, 102, 103, 104]
    assert results[0].raw != results[1].raw[:100]


@pytest.mark.parametrize(
    "noise",
    [None, pulser.NoiseModel(p_false_pos=0.1, p_false_neg=0.05, temperature=50.0), pulser.NoiseModel(laser_waist=20.0)],
    ids=["clean", "doppler", "beam"],
)
def test_results_have_the_shape_and_values_of_qutip(noise: Any) -> None:
    """Tags, ids, times and values agree; counts within shot noise."""
    flip = [(1.0, [({"rg": 1.0, "gr": 1.0}, [0])])]
    observables = [
        Occupation(evaluation_times=[0.0, 0.333, 1.0]),
        CorrelationMatrix(),
        CorrelationMatrix(tag_suffix="ground", one_state="g"),
        Energy(evaluation_times=[0.1, 1.0]),
        EnergySecondMoment(),
        BitStrings(evaluation_times=[0.5, 1.0], num_shots=100),
        BitStrings(tag_suffix="more", num_shots=33),
        Fidelity(QutipState.from_state_amplitudes(eigenstates=("r", "g"), amplitudes={"rggr": 1.0})),
        Expectation(QutipOperator.from_operator_repr(eigenstates=("r", "g"), n_qudits=4, operations=flip)),
        *([] if noise else [EnergyVariance()]),
    ]
    options = {"noise_model": noise, "n_trajectories": 100} if noise else {}
    config = QutipConfig(observables=observables, default_evaluation_times=[0.5, 1.0], **options).to_abstract_repr()
    jobs = jobs_of(1, runs=4000)
    (ours,), (theirs,) = (run(engine, rabi(), jobs, config) for engine in (BatchedEngine(), QutipEngine()))
    one, other = json.loads(str(ours.serialised_results)), json.loads(str(theirs.serialised_results))
    assert {**one, "results": None} == {**other, "results": None}
    Results.from_abstract_repr(str(ours.serialised_results))
    for tag, identifier in one["tagmap"].items():
        values, expected = one["results"][identifier], other["results"][identifier]
        if not tag.startswith("bitstrings"):
            np.testing.assert_allclose(values, expected, rtol=1e-3, atol=2e-4)
            continue
        for counts, others in zip(values, expected, strict=True):
            assert_same_distribution(counts, others)
    assert len(ours.raw) == 4000


@pytest.mark.parametrize(
    ("noise", "changes_it"),
    [
        (pulser.NoiseModel(dmm_sigma=0.3), True),
        (pulser.NoiseModel(detuning_map_spot_waist=4.0), True),
        (pulser.NoiseModel(dmm_sigma=0.3, detuning_map_spot_waist=4.0, detuning_sigma=0.5, amp_sigma=0.1), True),
        (pulser.NoiseModel(), False),
    ],
    ids=["sigma", "crosstalk", "all", "none"],
)
def test_noise_of_a_detuning_map_is_that_of_qutip(noise: Any, changes_it: bool) -> None:
    """Occupations agree, and the noise does what it is for."""
    register = pulser.Register.rectangle(1, 3, spacing=6.0, prefix="q")
    sequence = pulser.Sequence(register, MockDevice)
    sequence.declare_channel("g", "rydberg_global")
    sequence.config_detuning_map(register.define_detuning_map({"q0": 0.75, "q2": 0.25}), "dmm_0")
    sequence.add_dmm_detuning(pulser.RampWaveform(600, -1.0, -12.0), "dmm_0")
    sequence.add(pulser.Pulse.ConstantPulse(600, 6.0, 2.0, 0.3), "g", protocol="no-delay")
    sequence.measure("ground-rydberg")

    def occupation(engine: Any, model: Any) -> Any:
        options = {"noise_model": model, "n_trajectories": 30}
        config = QutipConfig(observables=[Occupation()], **options).to_abstract_repr()
        job = EngineJob(position=0, variables={}, runs=300, entropy=(5, 1))
        (result,) = run(engine, sequence.to_abstract_repr(), [job], config)
        found = json.loads(str(result.serialised_results))
        return np.array(found["results"][found["tagmap"]["occupation"]][-1])

    ours = occupation(BatchedEngine(), noise)
    np.testing.assert_allclose(ours, occupation(QutipEngine(), noise), rtol=1e-3, atol=2e-4)
    assert (np.abs(ours - occupation(BatchedEngine(), pulser.NoiseModel())).max() > 5e-3) == changes_it


def assert_same_distribution(one: dict[str, int], other: dict[str, int]) -> None:
    """Two samples of one distribution: chi-square over the strings that are not rare, 5 sigma."""
    total_one, total_other = sum(one.values()), sum(other.values())
    assert total_one == total_other
    chi, degrees = 0.0, 0
    for bits in {*one, *other}:
        a, b = one.get(bits, 0), other.get(bits, 0)
        if a + b >= 10:
            chi, degrees = chi + (a - b) ** 2 / (a + b), degrees + 1
    assert chi < degrees + 5 * np.sqrt(2 * degrees) + 5


def test_a_job_that_fails_leaves_the_others() -> None:
    """Pulser's own message, and the rest of the group."""
    register = pulser.Register.square(2, spacing=6.5, prefix="q").with_automatic_layout(pulser.AnalogDevice)
    sequence = pulser.Sequence(register, pulser.AnalogDevice)
    sequence.declare_channel("g", "rydberg_global")
    sequence.add(pulser.Pulse.ConstantPulse(400, sequence.declare_variable("amplitude"), 0.0, 0.0), "g")
    amplitudes = (3.0, 900.0, float("nan"), 4.0)
    jobs = [EngineJob(position=k, variables={"amplitude": value}, runs=10, entropy=(k,)) for k, value in enumerate(amplitudes)]
    results = sorted(BatchedEngine().run(sequence.to_abstract_repr(), jobs, EngineSettings()), key=lambda one: one.position)
    assert [len(result.raw) for result in results] == [10, 0, 0, 10]
    assert results[1].error == ("ValueError: The pulse's amplitude goes over the maximum value allowed for the chosen channel.")
    assert results[2].error == (
        "ValueError: a sample of the sequence is infinite or not a number: look at the variables that enter its waveforms"
    )


def test_bits_are_in_the_order_of_the_register() -> None:
    """A pi pulse on the first atom reads 1000."""
    sequence = pulser.Sequence(pulser.Register.rectangle(1, 4, spacing=30.0, prefix="q"), MockDevice)
    sequence.declare_channel("l", "rydberg_local", initial_target="q0")
    sequence.add(pulser.Pulse.ConstantPulse(500, 2.0 * np.pi, 0.0, 0.0), "l")
    (result,) = run(BatchedEngine(), sequence.to_abstract_repr(), [EngineJob(position=0, variables={}, runs=50, entropy=(1,))])
    assert set(result.raw) == {"1000"}


def test_the_smallest_steps_are_not_passed_off_as_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """When even these disagree, there is no result."""
    monkeypatch.setattr(integrate, "NARROWEST_NS", 64.0)
    monkeypatch.setattr(integrate, "first_unit", lambda *rest: 64.0)
    point = integrate.Point(
        drive=sample(Builder(2).sequence("resonant")[0], with_modulation=False, noise=pulser.NoiseModel(), trajectories=1).drives[
            0
        ],
        interaction=np.array([[0.0, 100.0], [100.0, 0.0]]),
        times_ns=(500.0,),
    )
    (found,) = integrate.integrate([point], 1e-9, lambda index, time, state: state)
    assert found.records == ()


def test_fifteen_atoms_with_few_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven pairs and a single atom, far from each other, are a product of small registers; tables made as needed."""
    monkeypatch.setattr(integrate, "TABLE_BYTES", 1)
    pairs = [(200.0 * (k // 2), 6.0 * (k % 2)) for k in range(15)]
    states = []
    for places in (pairs, pairs[:2], pairs[:1]):
        sequence = pulser.Sequence(pulser.Register.from_coordinates(places, prefix="q"), MockDevice)
        sequence.declare_channel("g", "rydberg_global")
        sequence.add(pulser.Pulse.ConstantPulse(101, 12.0, -3.0, 0.0), "g")
        sequence.add(pulser.Pulse.ConstantPulse(70, 9.0, 13.0, 1.0), "g", protocol="no-delay")
        states.append(batched_states((sequence, False, None), 0)[0][0])
    product: NDArray[np.complex128] = states[2]
    for _ in range(7):
        product = np.kron(states[1], product).astype(np.complex128)
    assert infidelity(states[0], product) < ACCURACY
