"""`repeat` is the operations written out, and how often they are repeated decides which sequence a job has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pulser import Pulse, Register, Sequence
from pulser.devices import MockDevice

import pcs_runner
from spec_text import assert_same, built, planned, spec_text

if TYPE_CHECKING:
    from pathlib import Path

    from pcs_runner.plan import Plan


def pulses(*amplitudes: float, duration: int = 100) -> Any:
    """Square pulses one after another on one atom."""
    sequence = Sequence(Register({"q0": (0, 0)}), MockDevice)
    sequence.declare_channel("ising", "rydberg_global")
    for amplitude in amplitudes:
        sequence.add(Pulse.ConstantPulse(duration, amplitude, 0, 0), "ising")
    sequence.measure("ground-rydberg")
    return sequence


def pulse(amplitude: str) -> str:
    """A pulse of 100 ns."""
    return f"{{op: pulse, duration: 100, amplitude: {amplitude}}}"


def repeat(repeats: str, *operations: str, index: str = "") -> str:
    """A repeat."""
    named = f", index: {index}" if index else ""
    return f"{{op: repeat, repeats: {repeats}{named}, operations: [{', '.join(operations)}]}}"


def assert_pulses(plan: Plan, *points: list[float]) -> None:
    """Assert the amplitudes of each job's pulses, in the order of the jobs."""
    assert plan.total_jobs == len(points)
    for number, amplitudes in enumerate(points):
        assert_same(built(plan, number), pulses(*amplitudes))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (repeat("3", pulse("2")), [2, 2, 2]),
        (repeat("3", pulse("k + 1"), index="k"), [1, 2, 3]),
        (repeat("2", pulse("k + 1"), repeat("2", pulse("k + 10*j"), index="j"), index="k"), [1, 0, 10, 2, 1, 11]),
        (repeat("2", repeat("k + 1", pulse("k + 1")), index="k"), [1, 2, 2]),
        (repeat("n*(n > 1)", pulse("1")), [1, 1]),
        (repeat('"[1, 3][n - 1]"', pulse('"[5, 6, 7][k]"'), index="k"), [5, 6, 7]),
    ],
)
def test_operations_are_repeated_and_the_index_counts_from_0(tmp_path: Path, operation: str, expected: list[float]) -> None:
    constants = "{n: 2}" if "n*" in operation or "n -" in operation else "{}"
    assert_pulses(planned(tmp_path, spec_text(operation, constants=constants)), expected)


def test_0_repeats_is_not_at_all_and_0_or_1_is_a_condition(tmp_path: Path) -> None:
    text = spec_text(
        pulse("1"),
        repeat("with_echo", pulse("2")),
        repeat("1 - with_echo", pulse("3")),
        repeat("0", pulse("4")),
        jobs="{runs: 1, sweep: {grid: {with_echo: [0, 1]}}}",
    )
    plan = planned(tmp_path, text)
    assert_pulses(plan, [1, 3], [1, 2])
    assert plan.summary()["names"] == {"with_echo": "a sequence for each value"}


def test_each_number_of_repeats_is_a_sequence_of_its_own_with_its_own_variables(tmp_path: Path) -> None:
    text = spec_text(
        repeat("n", pulse('"min(x, k + 1)"'), pulse("x"), index="k"),
        jobs="{runs: 1, sweep: {grid: {n: [1, 2, 1], x: [2, 3]}}}",
    )
    plan = planned(tmp_path, text)
    assert_pulses(plan, [1, 2], [1, 3], [1, 2, 2, 2], [1, 3, 2, 3], [1, 2], [1, 3])
    assert list(plan.jobs_by_sequence.values()) == [4, 2]
    assert [dict(job.variables) for job in plan.jobs()][:3] == [
        {"x": 2.0, "_e0": 1.0},
        {"x": 3.0, "_e0": 1.0},
        {"x": 2.0, "_e0": 1.0, "_e1": 2.0},
    ]
    assert plan.summary()["names"]["n"] == "a sequence for each value"


def test_what_does_not_use_the_index_is_one_variable_however_often_it_is_repeated(tmp_path: Path) -> None:
    text = spec_text(repeat("50", pulse('"min(x, 2)"'), index="k"), jobs="{runs: 1, sweep: {grid: {x: [1, 3]}}}")
    assert [dict(job.variables) for job in planned(tmp_path, text).jobs()] == [{"_e0": 1.0}, {"_e0": 2.0}]


def test_a_repeat_that_varies_by_group_only_is_decided_in_each_group(tmp_path: Path) -> None:
    text = spec_text(repeat("n", pulse("1")), jobs="[{runs: 1, let: {n: 1}}, {runs: 1, let: {n: 3}}]")
    plan = planned(tmp_path, text)
    assert_pulses(plan, [1], [1, 1, 1])
    assert len(plan.sequence_ids) == 2


@pytest.mark.parametrize(
    ("operation", "jobs", "expected"),
    [
        (
            repeat("1.5", pulse("1")),
            "{runs: 1}",
            "9:29: sequence.operations[0].repeats: repeats is 1.5, and Pulser takes an integer here",
        ),
        (
            repeat("n", pulse("1")),
            "{runs: 1, sweep: {grid: {n: [1, -1, -2]}}}",
            "9:29: sequence.operations[0].repeats: repeats is -1, less than 0 (2 of 3 points, first: n=-1)",
        ),
        (
            repeat("1000", repeat("101", pulse("1"))),
            "{runs: 1}",
            "9:29: sequence.operations[0].repeats: this makes more than 100000 operations",
        ),
        (
            repeat("2", pulse("j"), index="k"),
            "{runs: 1}",
            '9:93: sequence.operations[0].operations[0].amplitude: unknown name "j"',
        ),
        (
            repeat("2", pulse("k"), index="k"),
            "{runs: 1, sweep: {grid: {k: [1]}}}",
            '9:39: sequence.operations[0].index: "k" is an axis already',
        ),
        (
            repeat("2", repeat("2", pulse("k"), index="k"), index="k"),
            "{runs: 1}",
            '9:87: sequence.operations[0].operations[0].index: "k" is the index of an outer repeat already',
        ),
        (
            repeat("2", pulse("pi"), index="pi"),
            "{runs: 1}",
            '9:39: sequence.operations[0].index: an index cannot be called "pi", which is a predefined name',
        ),
        (
            repeat("2", pulse("15*k"), repeat("1", pulse("1")), index="k"),
            "{runs: 1}",
            (
                "9:93: sequence.operations[0].operations[0].amplitude: amplitude reaches 15 rad/µs, "
                "rydberg_global of AnalogDevice allows 12.5664"
            ),
        ),
    ],
)
def test_a_faulty_repeat_is_refused_where_it_stands(tmp_path: Path, operation: str, jobs: str, expected: str) -> None:
    path = tmp_path / "a.yaml"
    register = "{from_coordinates: {coords: [[0, 0]]}, automatic_layout: true}"
    device = "AnalogDevice" if "15*k" in operation else "MockDevice"
    path.write_text(spec_text(operation, jobs=jobs, device=device, register=register), encoding="utf-8")
    assert [str(problem).removeprefix(f"{path}:") for problem in pcs_runner.validate(path)] == [expected]
