"""Observables over counts: what is read, what is refused and where, and that values and errors are those of the shots."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pcs_runner
from pcs_runner.results.estimates import Estimator, Register
from pcs_runner.results.statistics import Shots, correlations, occupations
from pcs_runner.results.sublattices import SublatticeError, signs
from pcs_runner.spec.expressions import ExpressionError
from pcs_runner.spec.observables import parse_observable
from recorded_run import SPEC

if TYPE_CHECKING:
    from pathlib import Path

SQUARE = Register(atoms=("a", "b", "c"), positions=((0, 0), (5, 0), (10, 0)))
ALL = {
    "mean": "n_mean",
    "density": "occupation",
    "one": "occupation[1]",
    "named": "occupation['b']",
    "pair": "correlation[0, 2]",
    "same": "correlation[1, 1]",
    "staggered": "staggered_magnetization",
    "p": "probability['101']",
    "mixed": "sqrt(abs(correlation[0, 1])) + 2*probability['101']**2 - occupation[0]*n_mean/3",
}


def by_hand(shots: np.ndarray) -> dict[str, float]:
    """The observables from the shots themselves, by their formulas."""
    m = shots.mean(axis=0)

    def pair(i: int, j: int) -> float:
        return float((shots[:, i] * shots[:, j]).mean() - m[i] * m[j])

    p = float((shots == [1, 0, 1]).all(axis=1).mean())
    return {
        "mean": m.sum(),
        "density": m.mean(),
        "one": m[1],
        "named": m[1],
        "pair": pair(0, 2),
        "same": pair(1, 1),
        "staggered": float(((2 * shots - 1) @ [1, -1, 1] / 3).mean()),
        "p": p,
        "mixed": math.sqrt(abs(pair(0, 1))) + 2 * p**2 - m[0] * m.sum() / 3,
    }


def shots_of(counts: dict[str, int]) -> np.ndarray:
    return np.array([[int(bit) for bit in bits] for bits, count in counts.items() for _ in range(count)])


NO_SUBLATTICES = "the register has no two sublattices: atoms 0 and 1 are neighbours on the same one"

some_counts = st.dictionaries(st.sampled_from([f"{n:03b}" for n in range(8)]), st.integers(0, 6), min_size=1).filter(
    lambda counts: sum(counts.values()) > 1
)


@settings(max_examples=60, deadline=None)
@given(some_counts)
def test_values_and_errors_are_those_of_the_shots(counts: dict[str, int]) -> None:
    """The jackknife by brute force: every shot is left out once and everything computed again."""
    shots = shots_of(counts)
    value = by_hand(shots)
    left_out = [by_hand(np.delete(shots, k, axis=0)) for k in range(len(shots))]
    found = Estimator(ALL, SQUARE).estimate(counts)
    for name in ALL:
        spread = np.array([one[name] for one in left_out])
        error = math.sqrt((len(shots) - 1) / len(shots) * ((spread - spread.mean()) ** 2).sum())
        assert found[name]["value"] == pytest.approx(value[name], abs=1e-9), name
        # a square root near zero turns rounding of 1e-16 into 1e-8
        assert found[name]["error"] == pytest.approx(error, abs=1e-6), name


@settings(max_examples=40, deadline=None)
@given(some_counts)
def test_matrices_agree_with_the_expressions(counts: dict[str, int]) -> None:
    shots = Shots.of(counts)
    assert shots is not None
    values, errors = correlations(shots)
    means, mean_errors = occupations(shots)
    texts = {f"{i}{j}": f"correlation[{i}, {j}]" for i in range(3) for j in range(3)}
    texts |= {f"{i}": f"occupation[{i}]" for i in range(3)}
    found = Estimator(texts, SQUARE).estimate(counts)
    for i in range(3):
        assert found[f"{i}"]["value"] == pytest.approx(means[i], abs=1e-12)
        assert found[f"{i}"]["error"] == pytest.approx(mean_errors[i], abs=1e-9)
        for j in range(3):
            assert found[f"{i}{j}"]["value"] == pytest.approx(values[i, j], abs=1e-12)
            assert found[f"{i}{j}"]["error"] == pytest.approx(errors[i, j], abs=1e-7)


def test_errors_are_the_spread_of_repeated_jobs() -> None:
    """2000 jobs of 200 shots: the mean of the errors is the standard deviation of the values, within five per cent."""
    generator = np.random.Generator(np.random.PCG64(7))
    p = np.array([0.3, 0.05, 0.05, 0.6])
    rows = generator.multinomial(200, p, size=2000)
    register = Register(atoms=("a", "b"), positions=None)
    estimator = Estimator({"c": "correlation[0, 1]", "ratio": "probability['11']/n_mean"}, register)
    found = [estimator.estimate(dict(zip(("00", "01", "10", "11"), map(int, row), strict=True))) for row in rows]
    for name in ("c", "ratio"):
        values = np.array([one[name]["value"] for one in found], dtype=float)
        errors = np.array([one[name]["error"] for one in found], dtype=float)
        assert errors.mean() == pytest.approx(values.std(), rel=0.05), name


def test_what_has_no_value_is_none() -> None:
    estimator = Estimator({"n": "n_mean", "r": "1/n_mean"}, SQUARE)
    nothing = {"value": None, "error": None}
    assert estimator.estimate({}) == {"n": nothing, "r": nothing}
    assert estimator.estimate({"000": 5}) == {"n": {"value": 0.0, "error": 0.0}, "r": nothing}
    assert estimator.estimate({"010": 1}) == {"n": {"value": 1.0, "error": None}, "r": {"value": 1.0, "error": None}}
    only_one = estimator.estimate({"000": 1, "010": 1})["r"]
    assert only_one == {"value": 2.0, "error": None}, "without that shot there is no ratio"


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("foo + 1", 'unknown name "foo"', 0),
        ("occupation[i]", "occupation[...] takes one atom: its number, from 0, or its name in quotes", 11),
        ("1 + occupation[0, 1]", "occupation[...] takes one atom: its number, from 0, or its name in quotes", 15),
        ("correlation[0]", "correlation[...] takes two atoms: their numbers, from 0, or their names in quotes", 12),
        ("correlation", "correlation[...] takes two atoms: their numbers, from 0, or their names in quotes", 0),
        ("probability[01]", "probability[...] takes one bitstring in quotes, as in probability['0101']", 12),
        ("probability['012']", "probability[...] takes one bitstring in quotes, as in probability['0101']", 12),
        ("occupation[-1]", "occupation[...] takes one atom: its number, from 0, or its name in quotes", 11),
        ("occupation[0", '"[" is not closed', 10),
        ("occupation[0] n_mean", 'an operator is missing between "occupation[0]" and "n_mean"', 14),
        ("[n_mean, 1]", "an observable is a number: no lists here", 0),
        ("n_mean[0]", "an observable is a number: no lists here", 0),
        ("2*pi", "nothing here is computed from the counts", 0),
        ("_0 + occupation[0]", 'unknown name "_0"', 0),
        ("n_mean + interaction_coeff", 'unknown name "interaction_coeff"', 9),
        ("", "the expression is empty", 0),
    ],
)
def test_what_is_no_observable_is_refused(text: str, message: str, offset: int) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse_observable(text)
    assert (refused.value.message, refused.value.offset) == (message, offset)


def test_what_does_not_fit_the_register_is_a_fault() -> None:
    texts = {"a": "1 + occupation[3]", "b": "occupation['x']", "c": "probability['01']", "d": "n_mean"}
    faults = Estimator(texts, SQUARE).faults
    assert {name: (error.message, error.offset) for name, error in faults.items()} == {
        "a": ("no atom is number 3: there are 3, from 0", 4),
        "b": ("no atom is called 'x'", 0),
        "c": ("the bitstring '01' is for 2 atoms, the register has 3", 0),
    }
    assert Estimator(texts, SQUARE).estimate({"000": 2})["a"] == {"value": None, "error": None}


# ---- sublattices


def test_a_square_lattice_is_a_checkerboard() -> None:
    """Also with an even number of columns, where every other atom of the register would be stripes."""
    positions = [(6.0 * x, 6.0 * y) for y in range(4) for x in range(4)]
    assert signs(positions) == [(-1) ** (x + y) for y in range(4) for x in range(4)]


def test_small_displacements_and_dimers_have_sublattices() -> None:
    assert signs([(0, 0), (5.001, 0), (10, 0.002)]) == [1, -1, 1]
    assert signs([(0, 0), (5, 0), (12, 0), (17, 0)]) == [1, -1, 1, -1]
    assert signs([(0, 0)]) == [1]


@pytest.mark.parametrize("positions", [None, [(0, 0), (5, 0), (2.5, 4.33)]])
def test_a_register_without_sublattices_is_refused(positions: list[tuple[float, float]] | None) -> None:
    with pytest.raises(SublatticeError):
        signs(positions)


# ---- in a spec


def spec(tmp_path: Path, observables: str, register: str = "{q0: [0, 0], q1: [7, 0]}") -> Path:
    path = tmp_path / "spec.yaml"
    text = SPEC.replace("{q0: [0, 0], q1: [7, 0]}", register).replace(
        "JOBS", "{runs: 20, sweep: {grid: {t: [100, 200]}}, let: {om: 2}}"
    )
    path.write_text(text.replace("RESULTS", f"\n  observables:\n    {observables}"), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("observables", "register", "problem"),
    [
        ("m: occupation[0] + foo", "", '{0}:12:24: results.observables.m: unknown name "foo" in "occupation[0] + foo"'),
        ("t: n_mean", "", '{0}:12:5: results.observables.t: an observable cannot be called "t", which is a name of the points'),
        (
            "runs: n_mean",
            "",
            '{0}:12:5: results.observables.runs: an observable cannot be called "runs", which results have anyway',
        ),
        ("m: 1 - occupation[2]", "", "{0}:12:12: results.observables.m: no atom is number 2: there are 2, from 0"),
        ("m: \"probability['0']\"", "", "{0}:12:8: results.observables.m: the bitstring '0' is for 1 atoms, the register has 2"),
        (
            "m: staggered_magnetization",
            "{a: [0, 0], b: [6, 0], c: [3, 5.196]}",
            "{0}:12:8: results.observables.m: staggered_magnetization: " + NO_SUBLATTICES,
        ),
    ],
)
def test_problems_have_their_place(tmp_path: Path, observables: str, register: str, problem: str) -> None:
    path = spec(tmp_path, observables, register or "{q0: [0, 0], q1: [7, 0]}")
    assert [str(one) for one in pcs_runner.validate(path)] == [problem.format(path)]


def test_observables_come_out_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the records, the table and the status of a real run."""
    monkeypatch.chdir(tmp_path)
    path = spec(tmp_path, "m: staggered_magnetization\n    p: \"probability['00']\"")
    run = pcs_runner.run(pcs_runner.plan(path), workers=1)
    for record in run.records:
        p = record.counts.get("00", 0) / 20
        assert record.estimates["p"] == {"value": pytest.approx(p), "error": pytest.approx(math.sqrt(p * (1 - p) / 19))}
    header, first, *_ = run.results_csv_path.read_text(encoding="utf-8").splitlines()
    assert header.endswith(",occupation_q0,occupation_q1,m,m_error,p,p_error")
    assert float(first.split(",")[-2]) == next(iter(run.records)).estimates["p"]["value"]
    last = run.last_record
    assert last is not None
    assert last == list(run.records)[-1]
