"""A plan is the exact ordered jobs of a spec: their order, counts, values, sequences, durations, and what it says of itself."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from typing import TYPE_CHECKING, Any

import pulser
import pytest
from pulser import Pulse, Register, Sequence
from pulser.devices import AnalogDevice, MockDevice

import pcs_runner
from pcs_runner.errors import SpecError
from pcs_runner.plan.findings import point_text
from spec_text import assert_same, built, planned, spec_text

if TYPE_CHECKING:
    from pathlib import Path

    from pcs_runner.plan import Plan

PULSE = "{op: pulse, duration: t, amplitude: omega, detuning: 0}"
GRID = "{runs: 10*omega, sweep: {grid: {t: [100, 200], omega: [1, 2, 3]}}, where: t*omega < 500}"


def listed(plan: Plan, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(job, name) for name in names) for job in plan.jobs()]


def test_jobs_stand_in_the_order_of_the_grid_with_their_values_and_runs(tmp_path: Path) -> None:
    plan = planned(tmp_path, spec_text(PULSE, jobs=GRID))
    assert listed(plan, "index", "point_index", "point", "variables", "runs") == [
        (0, 0, {"t": 100, "omega": 1}, {"t": 100, "omega": 1.0}, 10),
        (1, 1, {"t": 100, "omega": 2}, {"t": 100, "omega": 2.0}, 20),
        (2, 2, {"t": 100, "omega": 3}, {"t": 100, "omega": 3.0}, 30),
        (3, 3, {"t": 200, "omega": 1}, {"t": 200, "omega": 1.0}, 10),
        (4, 4, {"t": 200, "omega": 2}, {"t": 200, "omega": 2.0}, 20),
    ]
    assert (plan.total_points, plan.dropped_points, plan.total_jobs, plan.total_runs) == (6, 1, 5, 90)
    assert [plan.duration_ns(job) for job in plan.jobs()] == [100, 100, 100, 200, 200]
    assert plan.durations_ns == (100, 200)


def test_jobs_are_the_same_at_every_pass_and_from_every_start(tmp_path: Path) -> None:
    plan = planned(tmp_path, spec_text(PULSE, jobs=GRID))
    jobs = list(plan.jobs())
    assert list(plan.jobs()) == jobs
    assert list(plan.jobs(3)) == jobs[3:]
    assert pickle.loads(pickle.dumps(jobs)) == jobs


def test_groups_follow_each_other_and_passes_are_counted(tmp_path: Path) -> None:
    jobs = (
        "[{name: ramp, runs: 1, repeat: 2, sweep: {grid: {t: [100, 200]}}, let: {omega: 1}}, "
        "{runs: 2, sweep: {grid: {t: [300]}}, let: {omega: 2}}]"
    )
    plan = planned(tmp_path, spec_text(PULSE, jobs=jobs))
    assert [(job.index, job.group, job.repetition, job.point_index, job.point["t"], job.runs) for job in plan.jobs()] == [
        (0, "ramp", 0, 0, 100, 1),
        (1, "ramp", 0, 1, 200, 1),
        (2, "ramp", 1, 0, 100, 1),
        (3, "ramp", 1, 1, 200, 1),
        (4, "1", 0, 0, 300, 2),
    ]
    assert (plan.total_points, plan.total_jobs, plan.total_runs) == (3, 5, 6)


def test_a_shuffled_group_is_shuffled_anew_at_each_pass_and_remembers_its_order(tmp_path: Path) -> None:
    def order_of(seed: int) -> list[tuple[int, ...]]:
        jobs = f"{{runs: 1, repeat: 2, order: {{shuffle: {seed}}}, sweep: {{grid: {{t: {{arange: {{start: 16, stop: 36}}}}}}}}}}"
        plan = planned(tmp_path, spec_text("{op: pulse, duration: t, amplitude: 1}", jobs=jobs), check=False)
        found = list(plan.jobs())
        assert [job.point["t"] for job in found] == [16 + job.point_index for job in found]
        return [tuple(job.point_index for job in found if job.repetition == number) for number in (0, 1)]

    first, second = order_of(1)
    assert sorted(first) == sorted(second) == list(range(20))
    assert len({first, second, tuple(range(20)), *order_of(2)}) == 5
    assert order_of(1) == [first, second]


def test_points_hold_swept_arrays_and_scalar_lets_but_no_let_that_is_a_list(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: 100, amplitude: {kind: interpolated, values: v}, detuning: 'w[0] + x'}",
        jobs="{runs: 1, sweep: {grid: {v: [[0, 1], [0, 2]]}}, let: {w: [1, 2], x: 3}}",
    )
    plan = planned(tmp_path, text)
    assert [json.dumps(dict(job.point)) for job in plan.jobs()] == ['{"v": [0, 1], "x": 3}', '{"v": [0, 2], "x": 3}']


def test_a_million_points_are_not_made_before_they_are_asked_for(tmp_path: Path) -> None:
    jobs = "{runs: 1, sweep: {grid: {t: [100], omega: {linspace: {start: 0, stop: 1, num: 20000}}}}}"
    plan = planned(tmp_path, spec_text(PULSE, jobs=jobs), check=False)
    assert plan.total_jobs == 20_000
    assert next(plan.jobs(19_999)).variables["omega"] == 1.0


def test_a_job_carries_its_built_sequence_where_there_are_several(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: 100, amplitude: omega}",
        register="{rectangle: {rows: 1, columns: 2, spacing: d}}",
        jobs="{runs: 1, sweep: {grid: {d: [5, 6], omega: [1, 2]}}}",
    )
    plan = planned(tmp_path, text)
    for job in plan.jobs():
        expected = Sequence(Register.rectangle(1, 2, job.point["d"], prefix="q"), MockDevice)
        expected.declare_channel("ising", "rydberg_global")
        expected.add(Pulse.ConstantPulse(100, job.point["omega"], 0, 0), "ising")
        expected.measure("ground-rydberg")
        assert_same(built(plan, job.index), expected)
    assert plan.summary()["travel"] == "each job carries its built sequence"


def test_the_summary_is_json_and_says_everything_that_the_plan_command_shows(tmp_path: Path) -> None:
    text = spec_text(
        PULSE,
        jobs="{runs: 10, sweep: {grid: {t: [100, 200], x: [1, 2, 3]}}, let: {omega: 5}, where: x < 3}",
        device="AnalogDevice",
        register="{from_coordinates: {coords: [[0, 0], [6, 0]]}, automatic_layout: true}",
    )
    plan = planned(tmp_path, text)
    (sequence,) = plan.sequence_ids
    summary = json.loads(json.dumps(plan.summary()))
    assert summary == {
        "name": "a",
        "spec": str(tmp_path / "a.yaml"),
        "target": "local",
        "backend": "local",
        "device": "AnalogDevice",
        "device_type": "EMU_FREE",
        "engine": "auto",
        "points": 6,
        "dropped": 2,
        "jobs": 4,
        "runs": 40,
        "atoms": [2],
        "duration_ns": [100, 200],
        "names": {"t": "sequence variable (int)", "x": "used by let, where or runs"},
        "sequence_count": 1,
        "sequences": [{"id": sequence, "atoms": 2, "jobs": 4, "values": {}}],
        "travel": "one sequence; jobs carry its variables",
        "limits": {
            "max_runs": 2000,
            "max_atom_num": 80,
            "max_radial_distance": 38,
            "min_atom_distance": 5,
            "max_sequence_duration": 6000,
            "rydberg_global": {
                "max_amp": 12.566370614359172,
                "max_abs_detuning": 125.66370614359172,
                "min_duration": 16,
                "max_duration": 100000000,
                "clock_period": 4,
            },
        },
        "cost": {"credits": 0, "text": "free"},
        "digest": plan.digest,
        "warnings": [],
        "notes": [],
    }


def test_a_rounded_duration_is_a_warning_at_its_line_and_the_record_says_what_was_built(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: t, amplitude: 1}",
        "{op: delay, time: 18}",
        device="AnalogDevice",
        more="  clock: round\n",
        jobs="{runs: 1, sweep: {grid: {t: [100, 201, 302]}}}",
    )
    plan = planned(tmp_path, text)
    off = "ns is off the 4 ns clock of channel ising"
    assert [str(warning).partition("a.yaml:")[2] for warning in plan.warnings] == [
        f"10:29: sequence.operations[0].duration: 201 {off}: 200 or 204 fit; Pulser rounds up (2 of 3 points, first: t=201)",
        f"11:25: sequence.operations[1].time: 18 {off}: 16 or 20 fit; Pulser rounds up",
    ]
    assert all(warning.warning for warning in plan.warnings)
    assert [plan.duration_ns(job) for job in plan.jobs()] == [120, 224, 324]
    assert pcs_runner.validate(tmp_path / "a.yaml") == plan.warnings


def test_many_failing_points_are_counted_under_their_causes(tmp_path: Path) -> None:
    jobs = "{runs: 1, sweep: {grid: {t: [10, 100], omega: {linspace: {start: 0, stop: 20, num: 301}}}}}"
    path = tmp_path / "a.yaml"
    device = {"device": "DigitalAnalogDevice", "register": "{q0: [0, 0]}"}
    path.write_text(spec_text(PULSE, jobs=jobs, **device, more="  clock: round\n"), encoding="utf-8")
    found = [str(problem).removeprefix(f"{path}:") for problem in pcs_runner.validate(path) if not problem.warning]
    assert len(found) == 2
    short = "10:29: sequence.operations[0].duration: 10 ns, rydberg_global of DigitalAnalogDevice asks for at least 16 ns"
    assert found[0].startswith(f"{short} (")
    assert found[1].startswith("10:43: sequence.operations[0].amplitude: amplitude reaches 15.7333 rad/µs, ")
    assert found[1].endswith(" (130 of 602 points, first: t=10, omega=15.7333333333)")


# ---- sequences in files


def parametrised() -> Any:
    """A sequence with an int, a float and an array."""
    register = Register.from_coordinates([(0, 0), (6, 0)], prefix="q").with_automatic_layout(AnalogDevice)
    sequence = Sequence(register, AnalogDevice)
    sequence.declare_channel("ising", "rydberg_global")
    t, omega, delta = (
        sequence.declare_variable("t", dtype=int),
        sequence.declare_variable("omega"),
        sequence.declare_variable("delta", size=2),
    )
    sequence.add(Pulse.ConstantPulse(t, omega, delta[0], 0), "ising")
    sequence.add(Pulse.ConstantPulse(100, 1 / omega, delta[1], 0), "ising")
    sequence.measure("ground-rydberg")
    return sequence


def file_plan(folder: Path, points: str, target: str | None = None, top: str = "", *, sequence: Any = None) -> Plan:
    (folder / "sequences").mkdir(exist_ok=True)
    (folder / "sequences" / "s.json").write_text((sequence or parametrised()).to_abstract_repr(), encoding="utf-8")
    text = f"version: 1\nname: a\nsequence: {{file: sequences/s.json}}\njobs: {{runs: 10, sweep: {{points: [{points}]}}}}\n{top}"
    return planned(folder, text, target)


def test_a_file_is_the_sequence_and_the_jobs_bind_its_variables(tmp_path: Path) -> None:
    plan = file_plan(tmp_path, "{t: 100, omega: 2, delta: [1, -1]}, {t: 200.0, omega: 3, delta: [0, 0]}")
    assert [json.dumps(dict(job.variables)) for job in plan.jobs()] == [
        '{"t": 100, "omega": 2.0, "delta": [1.0, -1.0]}',
        '{"t": 200, "omega": 3.0, "delta": [0.0, 0.0]}',
    ]
    assert plan.inputs == {"sequences/s.json": (tmp_path / "sequences/s.json").read_bytes()}
    assert plan.device.name == "AnalogDevice"
    assert plan.atoms(plan.sequence_ids[0]) == ("q0", "q1")
    assert_same(built(plan), parametrised().build(t=100, omega=2, delta=[1, -1]))


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("{t: 100.5, omega: 2, delta: [1, 1]}", "t is 100.5, and Pulser takes an integer here at t=100.5, omega=2, delta=[1, 1]"),
        ("{t: 100, omega: 2, delta: [1, 2, 3]}", "delta is a list of 3 here, the sequence takes a list of 2"),
        ("{t: 100, omega: 2, delta: 1}", "delta is one number here, the sequence takes a list of 2"),
        ("{t: 100, omega: 2, delta: [1, 1]}, {t: 100, omega: 0, delta: [1, 1]}", 'division by zero in "1/omega[0]"'),
    ],
)
def test_what_a_file_cannot_take_is_refused_at_its_line(tmp_path: Path, points: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        file_plan(tmp_path, points)
    (problem,) = caught.value.problems
    assert str(problem).partition("a.yaml:")[2].startswith(f"3:18: sequence.file: {message.partition(' at ')[0]}")


def test_a_targets_device_is_switched_to_strictly(tmp_path: Path) -> None:
    body = json.loads(AnalogDevice.to_abstract_repr()) | {"name": "Weaker", "max_runs": 7}
    body["channels"][0]["max_amp"] = 2.5
    weaker = f"targets:\n  weak: {{device: {json.dumps(body)}, runs: 5}}\n"
    plan = file_plan(tmp_path, "{t: 100, omega: 2, delta: [1, 1]}", "weak", weaker)
    assert plan.device.name == "Weaker"
    assert plan.total_runs == 5
    assert json.loads(plan.sequence(plan.sequence_ids[0]))["device"]["name"] == "Weaker"
    assert_same(built(plan), parametrised().build(t=100, omega=2, delta=[1, 1]))
    with pytest.raises(SpecError) as caught:
        file_plan(tmp_path, "{t: 100, omega: 3, delta: [1, 1]}", "weak", weaker)
    assert [str(problem).partition("a.yaml:")[2] for problem in caught.value.problems] == [
        "3:18: sequence.file: operations[0].amplitude: amplitude reaches 3 rad/µs, rydberg_global of Weaker allows 2.5"
    ]


def test_a_device_that_the_file_does_not_fit_is_refused(tmp_path: Path) -> None:
    body = json.loads(AnalogDevice.to_abstract_repr()) | {"name": "Slower"}
    body["channels"][0]["clock_period"] = 8
    slower = f"targets:\n  slow: {{device: {json.dumps(body)}}}\n"
    with pytest.raises(SpecError) as caught:
        file_plan(tmp_path, "{t: 100, omega: 2, delta: [1, 1]}", "slow", slower)
    (problem,) = caught.value.problems
    assert str(problem).partition("a.yaml:")[2].startswith("3:18: sequence.file: the sequence does not run on Slower as it is: ")


def test_a_targets_device_replaces_the_inline_one_and_its_coefficient(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: 100, amplitude: U}",
        device="AnalogDevice",
        constants="{U: interaction_coeff/10**6}",
        top="targets: {other: {device: DigitalAnalogDevice}}\n",
    )
    amplitudes = [
        float(pulser.sampler.sample(built(planned(tmp_path, text, target))).channel_samples["ising"].amp[0])
        for target in (None, "other")
    ]
    assert amplitudes == pytest.approx([AnalogDevice.interaction_coeff / 1e6, pulser.DigitalAnalogDevice.interaction_coeff / 1e6])


def test_point_text_shows_twelve_digits_and_lists() -> None:
    assert point_text({"omega": 13.1, "t": 500.0, "x": 0.1 + 0.2, "v": [1, 2.5]}) == "omega=13.1, t=500, x=0.3, v=[1, 2.5]"


def test_every_sequence_id_is_that_of_its_first_job(tmp_path: Path) -> None:
    jobs = "{runs: 1, sweep: {grid: {t: [100], omega: [1], d: [5, 6, 7, 6]}}}"
    text = spec_text(PULSE, register="{rectangle: {rows: 1, columns: 2, spacing: d}}", jobs=jobs)
    plan = planned(tmp_path, text)
    ids = [job.sequence for job in plan.jobs()]
    assert tuple(dict.fromkeys(ids)) == plan.sequence_ids
    assert Counter(ids) == plan.jobs_by_sequence
    assert all(len(one) == 8 and set(one) <= set("0123456789abcdef") for one in ids)
