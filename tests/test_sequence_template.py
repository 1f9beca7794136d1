"""What varies decides: which names become variables of which type, which give sequences of their own, what each job sends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pulser
import pytest
from pulser import Pulse, Register, Sequence
from pulser.devices import AnalogDevice, MockDevice
from pulser.parametrized import ParamObj
from pulser.waveforms import ConstantWaveform, InterpolatedWaveform, RampWaveform

import pcs_runner
from spec_text import assert_same, built, planned, spec_text

if TYPE_CHECKING:
    from pathlib import Path

    from pcs_runner.plan import Plan

PULSE = "{op: pulse, duration: 100, amplitude: %s, detuning: 0}"


def variables_of(plan: Plan) -> dict[str, tuple[str, int | None]]:
    """Name -> type and size of the sequence variables, in order."""
    return {one.name: (one.type, one.size) for one in plan.expansion.template.variables}


def sent(plan: Plan) -> list[str]:
    """The variables of every job as JSON, the way they travel."""
    return [json.dumps(dict(job.variables)) for job in plan.jobs()]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("{op: pulse, duration: x, amplitude: 1}", ("int", None)),
        ("{op: pulse, duration: 2*x + 16, amplitude: 1}", ("int", None)),
        ("{op: pulse, duration: 16 - (-x), amplitude: 1}", ("int", None)),
        ("{op: delay, time: x}", ("int", None)),
        ("{op: pulse, duration: 16, amplitude: x/100}", ("float", None)),
        ("{op: pulse, duration: 16, amplitude: 1, detuning: {kind: ramp, start: 0, stop: x}}", ("float", None)),
        ("{op: pulse, duration: 16, amplitude: 1, phase: x}", ("float", None)),
        ("{op: pulse, duration: 1600/x, amplitude: 1}", ("float", None)),
        ("{op: pulse, duration: 4*floor(x/4 + 0.5), amplitude: 1}", ("float", None)),
        ("{op: pulse, amplitude: {kind: constant, duration: x, value: x/100}}", ("int", None)),
        ("{op: phase_shift, phi: 1, targets: [x], basis: ground-rydberg}", ("int", None)),
    ],
)
def test_the_place_of_a_name_decides_its_type(tmp_path: Path, operation: str, expected: tuple[str, int | None]) -> None:
    text = spec_text(operation, PULSE % 1, jobs="{runs: 1, sweep: {grid: {x: [100, 200]}}}")
    plan = planned(tmp_path, text, check=False)
    assert variables_of(plan) == {"x": expected}
    first = next(plan.jobs())
    assert json.dumps(first.variables["x"]) == ("100" if expected[0] == "int" else "100.0")


def test_on_the_wire_ints_are_ints_floats_are_floats_and_arrays_are_lists_even_of_size_1(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        spec_text(
            "{op: pulse, duration: t, amplitude: omega, detuning: 'one[0]'}",
            "{op: pulse, duration: 100, amplitude: {kind: interpolated, values: curve}}",
            "{op: pulse, duration: 'times[1]', amplitude: 1}",
            jobs="{runs: 1, sweep: {points: [{t: 100.0, omega: 1, one: [2], curve: [0, 5, 0], times: [16, 20]}]}}",
        ),
    )
    assert variables_of(plan) == {
        "t": ("int", None),
        "omega": ("float", None),
        "one": ("float", 1),
        "curve": ("float", 3),
        "times": ("int", 2),
    }
    assert sent(plan) == ['{"t": 100, "omega": 1.0, "one": [2.0], "curve": [0.0, 5.0, 0.0], "times": [16, 20]}']
    expected = Sequence(Register.from_coordinates([(0, 0)], prefix="q"), MockDevice)
    expected.declare_channel("ising", "rydberg_global")
    expected.add(Pulse.ConstantPulse(100, 1, 2, 0), "ising")
    expected.add(Pulse(InterpolatedWaveform(100, [0, 5, 0]), ConstantWaveform(100, 0), 0), "ising")
    expected.add(Pulse.ConstantPulse(20, 1, 0, 0), "ising")
    expected.measure("ground-rydberg")
    assert_same(built(plan), expected)


def test_a_constant_that_depends_on_an_axis_varies_and_one_that_does_not_is_folded_in(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        spec_text(
            PULSE % "omega + offset",
            constants="{base: 2, omega: 3*base, offset: 1/4}",
            jobs="{runs: 1, sweep: {grid: {base: [1, 2]}}}",
        ),
    )
    assert variables_of(plan) == {"omega": ("float", None)}
    assert sent(plan) == ['{"omega": 3.0}', '{"omega": 6.0}']
    assert [job.point for job in plan.jobs()] == [{"base": 1}, {"base": 2}]
    assert [float(pulser.sampler.sample(built(plan, index)).channel_samples["ising"].amp[0]) for index in (0, 1)] == [3.25, 6.25]


def test_a_name_varies_by_what_it_depends_on_and_never_by_its_values(tmp_path: Path) -> None:
    text = spec_text(PULSE % "omega", jobs="{runs: 1, sweep: {grid: {x: [1, 2, 3]}}, let: {omega: 0*x + 2}}")
    plan = planned(tmp_path, text)
    assert variables_of(plan) == {"omega": ("float", None)}
    assert sent(plan) == ['{"omega": 2.0}'] * 3
    assert len(plan.sequence_ids) == 1


def test_a_let_list_is_an_array_variable_and_may_mix_what_varies_with_what_does_not(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: 100, amplitude: {kind: interpolated, values: v}}",
        "{op: pulse, duration: 100, amplitude: 1, detuning: 'v[1]'}",
        jobs="{runs: 1, sweep: {grid: {x: [1, 2]}}, let: {v: [0, 2*x, 0]}}",
    )
    plan = planned(tmp_path, text)
    assert variables_of(plan) == {"v": ("float", 3)}
    assert sent(plan) == ['{"v": [0.0, 2.0, 0.0]}', '{"v": [0.0, 4.0, 0.0]}']


def test_a_list_with_varying_elements_in_the_sequence_is_pulsers_list_arithmetic(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: 100, amplitude: {kind: interpolated, values: [1, 2*x, y, 3]}}",
        jobs="{runs: 1, sweep: {points: [{x: 2, y: 1}, {x: 1, y: 0}]}}",
    )
    plan = planned(tmp_path, text)
    assert variables_of(plan) == {"x": ("float", None), "y": ("float", None)}
    for index, values in enumerate([[1, 4, 1, 3], [1, 2, 0, 3]]):
        expected = Sequence(Register.from_coordinates([(0, 0)], prefix="q"), MockDevice)
        expected.declare_channel("ising", "rydberg_global")
        expected.add(Pulse(InterpolatedWaveform(100, values), ConstantWaveform(100, 0), 0), "ising")
        expected.measure("ground-rydberg")
        assert_same(built(plan, index), expected)


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("min(x, 2)", [1.0, 2.0]),
        ("max([x, 2])", [2.0, 3.0]),
        ("x*(x < 2)", [1.0, 0.0]),
        ("2*(x == 1 or x > 5)", [2.0, 0.0]),
    ],
)
def test_what_pulser_cannot_express_is_computed_for_each_job(tmp_path: Path, expression: str, values: list[float]) -> None:
    plan = planned(tmp_path, spec_text(PULSE % f'"{expression}"', jobs="{runs: 1, sweep: {grid: {x: [1, 3]}}}"))
    assert variables_of(plan) == {"_e0": ("float", None)}
    assert [job.variables["_e0"] for job in plan.jobs()] == values
    assert plan.summary()["names"]["_e0"] == f"sequence variable (float), computed for each job: {expression}"


def test_generated_variables_are_numbered_typed_and_sent_beside_the_others(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: 'max(t, 16)', amplitude: x, detuning: 'min(x, 1)'}",
        jobs="{runs: 1, sweep: {points: [{t: 4, x: 2}, {t: 20, x: 0}]}}",
    )
    plan = planned(tmp_path, text)
    assert variables_of(plan) == {"x": ("float", None), "_e0": ("float", None), "_e1": ("int", None)} or variables_of(plan) == {
        "x": ("float", None),
        "_e0": ("int", None),
        "_e1": ("float", None),
    }
    kinds = {kind: name for name, (kind, _) in variables_of(plan).items() if name != "x"}
    assert [(job.variables["x"], job.variables[kinds["int"]], job.variables[kinds["float"]]) for job in plan.jobs()] == [
        (2.0, 16, 1.0),
        (0.0, 20, 0.0),
    ]


def test_what_pulser_takes_no_parameter_for_gives_a_sequence_for_each_value(tmp_path: Path) -> None:
    text = spec_text(
        PULSE % "omega",
        register="{rectangle: {rows: 1, columns: n, spacing: d}}",
        constants="{n: 2}",
        jobs="{runs: 1, sweep: {grid: {d: [5, 6, 7], omega: [1, 2]}}}",
    )
    plan = planned(tmp_path, text)
    assert variables_of(plan) == {"omega": ("float", None)}
    ids = [job.sequence for job in plan.jobs()]
    assert ids == [one for one in plan.sequence_ids for _ in range(2)]
    assert list(plan.jobs_by_sequence.values()) == [2, 2, 2]
    for index, distance in ((0, 5), (3, 6), (5, 7)):
        q0, q1 = (place.as_array() for place in built(plan, index).register.qubits.values())
        assert np.linalg.norm(q0 - q1) == pytest.approx(distance)
    assert plan.summary()["names"] == {"omega": "sequence variable (float)", "d": "a sequence for each value"}
    assert [one["values"] for one in plan.summary()["sequences"]] == [{"d": "5"}, {"d": "6"}, {"d": "7"}]


def test_a_name_can_be_both_a_variable_and_a_reason_for_sequences(tmp_path: Path) -> None:
    text = spec_text(
        PULSE % "d",
        register="{rectangle: {rows: 1, columns: 2, spacing: d}}",
        jobs="{runs: 1, sweep: {grid: {d: [5, 6, 5]}}}",
    )
    plan = planned(tmp_path, text)
    assert variables_of(plan) == {"d": ("float", None)}
    first, second, third = (job.sequence for job in plan.jobs())
    assert first == third != second
    assert plan.summary()["names"] == {"d": "sequence variable (float); a sequence for each value"}


def test_the_number_of_atoms_can_be_swept(tmp_path: Path) -> None:
    text = spec_text(
        PULSE % 1,
        register="{rectangle: {rows: 1, columns: n, spacing: 6}}",
        jobs="{runs: 1, sweep: {grid: {n: [1, 2, 3]}}}",
    )
    plan = planned(tmp_path, text)
    assert [len(plan.atoms(one)) for one in plan.sequence_ids] == [1, 2, 3]
    assert plan.summary()["atoms"] == [1, 2, 3]


def test_a_fixed_let_with_another_value_in_another_group_gives_another_sequence(tmp_path: Path) -> None:
    text = spec_text(
        PULSE % "omega + x",
        jobs="[{runs: 1, sweep: {grid: {x: [1, 2]}}, let: {omega: 3}}, {runs: 1, sweep: {grid: {x: [1]}}, let: {omega: 4}}, "
        "{runs: 1, sweep: {grid: {x: [5]}}, let: {omega: 6/2}}]",
    )
    plan = planned(tmp_path, text)
    assert list(plan.jobs_by_sequence.values()) == [3, 1]
    amplitudes = [float(pulser.sampler.sample(built(plan, index)).channel_samples["ising"].amp[0]) for index in range(4)]
    assert amplitudes == [4.0, 5.0, 5.0, 8.0]


def test_a_let_that_varies_in_one_group_only_is_a_variable_in_all(tmp_path: Path) -> None:
    text = spec_text(
        PULSE % "omega",
        jobs="[{runs: 1, sweep: {grid: {x: [1, 2]}}, let: {omega: 2*x}}, {runs: 1, let: {omega: 7}}]",
    )
    plan = planned(tmp_path, text)
    assert len(plan.sequence_ids) == 1
    assert [job.variables["omega"] for job in plan.jobs()] == [2.0, 4.0, 7.0]


@pytest.mark.parametrize(
    ("declaration", "expected", "travels"),
    [
        ("{omega: float}", {"omega": ("float", None)}, '{"omega": 5.0}'),
        ("{omega: int}", {"omega": ("int", None)}, '{"omega": 5}'),
        ("{omega: {type: float}}", {"omega": ("float", None)}, '{"omega": 5.0}'),
        ("{omega: {type: float, size: 1}}", {"omega": ("float", 1)}, '{"omega": [5.0]}'),
        ("{omega: {type: float, value: [0]}}", {"omega": ("float", None)}, '{"omega": 5.0}'),
    ],
)
def test_variables_forces_a_constant_to_travel(tmp_path: Path, declaration: str, expected: dict[str, Any], travels: str) -> None:
    text = spec_text(PULSE % "'omega[0]'", constants="{omega: 5}", more=f"  variables: {declaration}\n")
    plan = planned(tmp_path, text)
    assert variables_of(plan) == expected
    assert sent(plan) == [travels]
    assert pulser.sampler.sample(built(plan)).channel_samples["ising"].amp[0] == 5


def test_variables_lets_a_product_be_the_integer_that_its_factors_are_not(tmp_path: Path) -> None:
    jobs = "{runs: 1, sweep: {grid: {t_us: [0.1, 0.29]}}}"
    operation = "{op: pulse, duration: 1000*t_us, amplitude: 1}"
    plan = planned(tmp_path, spec_text(operation, jobs=jobs, more="  variables: {t_us: float}\n"))
    assert sent(plan) == ['{"t_us": 0.1}', '{"t_us": 0.29}']
    assert [plan.duration_ns(job) for job in plan.jobs()] == [100, 290]


def test_an_expression_for_a_duration_is_rounded_where_it_is_an_integer_but_for_its_last_bits(tmp_path: Path) -> None:
    """A float that Pulser would cut: 100*1.1 is 110.00000000000001, 100*1.15 is 114.99999999999999."""
    text = spec_text("{op: pulse, duration: 100*x/1, amplitude: 1}", jobs="{runs: 1, sweep: {grid: {x: [1.1, 1.15]}}}")
    plan = planned(tmp_path, text)
    assert [plan.duration_ns(job) for job in plan.jobs()] == [110, 115]


def pasted(sequence: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(sequence.to_abstract_repr())
    return body


def stripped(body: Any) -> Any:
    """A sequence without versions and without the placeholders that Pulser prints for variables."""
    if isinstance(body, dict):
        without = {key: stripped(value) for key, value in body.items() if key not in {"pulser_version", "version", "metadata"}}
        if without.get("at_rest") is False:
            del without["at_rest"]  # the default, which Pulser does not print
        if set(without) == {"type", "value"}:
            without["value"] = len(without["value"])
        return without
    return [stripped(one) for one in body] if isinstance(body, list) else body


def parametrised_sequence() -> Any:
    """One of everything that Pulser can parametrise."""
    register = Register.square(2, 6, prefix="q").with_automatic_layout(AnalogDevice)
    sequence = Sequence(register, AnalogDevice)
    sequence.declare_channel("ising", "rydberg_global")
    t, omega, delta = (
        sequence.declare_variable("t", dtype=int),
        sequence.declare_variable("omega"),
        sequence.declare_variable("delta", size=3),
    )
    amplitude = RampWaveform(t, 0, omega * 2 + 1)
    sequence.add(Pulse(amplitude, ConstantWaveform(t, delta[0]), 0), "ising")
    sequence.delay(2 * t, "ising")
    sequence.add(
        Pulse(InterpolatedWaveform(500, delta + 1, times=[0, 0.5, 1]), RampWaveform(500, -omega, abs(delta[2])), np.sqrt(omega)),
        "ising",
    )
    sequence.add(Pulse.ConstantPulse(t + 16, omega**2 / 3, -delta[1], np.pi), "ising", protocol="no-delay")
    sequence.measure("ground-rydberg")
    return sequence


def test_what_pulser_prints_can_be_pasted_and_comes_back_as_it_was(tmp_path: Path) -> None:
    sequence = parametrised_sequence()
    body = pasted(sequence)
    path = tmp_path / "a.yaml"
    spec = {
        "version": 1,
        "name": "pasted",
        "sequence": body,
        "jobs": {"runs": 1, "sweep": {"points": [{"t": 100, "omega": 2.25, "delta": [1, 2, 3]}]}},
    }
    path.write_text(json.dumps(spec), encoding="utf-8")
    plan = pcs_runner.plan(path)
    made = json.loads(plan.sequence(plan.sequence_ids[0]))
    expected = stripped(body)
    assert stripped(made) | {"name": ""} == expected | {"name": ""}
    with_values = sequence.build(t=100, omega=2.25, delta=[1, 2, 3])
    assert_same(built(plan), with_values)


def test_every_expression_of_pulser_survives_being_pasted(tmp_path: Path) -> None:
    sequence = Sequence(Register.from_coordinates([(0, 0)], prefix="q"), MockDevice)
    sequence.declare_channel("ising", "rydberg_global")
    x: Any = sequence.declare_variable("x")
    y: Any = sequence.declare_variable("y")
    expressions: list[ParamObj] = [
        x + y, x - y, x * y, x / y, x**y, x % y, -x, abs(-x), np.sqrt(x), np.exp(-x), np.log(x), np.log2(x), np.sin(x),
        np.cos(x), np.tan(x / 4), np.tanh(x), np.floor(x), np.ceil(x), 1 / x, 2**x,
    ]  # fmt: skip
    for expression in expressions:
        sequence.add(Pulse.ConstantPulse(16, 1, expression, 0), "ising")
    sequence.measure("ground-rydberg")
    spec = {
        "version": 1,
        "name": "pasted",
        "sequence": pasted(sequence),
        "jobs": {"runs": 1, "sweep": {"points": [{"x": 1.5, "y": 2.5}]}},
    }
    path = tmp_path / "a.yaml"
    path.write_text(json.dumps(spec), encoding="utf-8")
    plan = pcs_runner.plan(path)
    assert stripped(json.loads(plan.sequence(plan.sequence_ids[0])))["operations"] == stripped(pasted(sequence))["operations"]
    assert_same(built(plan), sequence.build(x=1.5, y=2.5))


@pytest.mark.parametrize("declared", ["{type: float, value: [0]}", "{type: float, size: 1}", "float"])
@pytest.mark.parametrize(
    "value",
    [
        "{variable: x}",
        "{expression: mul, lhs: {variable: x}, rhs: 1}",
        "{expression: index, lhs: {variable: x}, rhs: 0}",
        "x",
    ],
)
def test_a_variable_pasted_without_its_index_is_the_number_that_it_holds(tmp_path: Path, value: str, declared: str) -> None:
    amplitude = f"{{kind: constant, duration: 100, value: {value}}}"
    operation = f"{{op: pulse, amplitude: {amplitude}, detuning: 0, phase: {value}}}"
    jobs = "{runs: 1, sweep: {grid: {x: [1.5, 2.5]}}}"
    plan = planned(tmp_path, spec_text(operation, jobs=jobs, more=f"  variables: {{x: {declared}}}\n"))
    pulse = json.loads(plan.built_sequence(next(plan.jobs(1))))["operations"][0]
    assert (pulse["amplitude"]["value"], pulse["phase"]) == (2.5, 2.5)
