"""Variants: each is the spec with its overlay written in, and a problem stands where its value was written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pulser import Pulse, Register, Sequence
from pulser.devices import AnalogDevice, MockDevice
from pulser.register.special_layouts import TriangularLatticeLayout

import pcs_runner
from spec_text import assert_same, built, planned, spec_text

if TYPE_CHECKING:
    from pathlib import Path

PULSE = "{op: pulse, duration: 100, amplitude: omega}"


def by_hand(amplitude: float, register: Any, device: Any = MockDevice, duration: int = 100) -> Any:
    """A measured square pulse."""
    sequence = Sequence(register, device)
    sequence.declare_channel("ising", "rydberg_global")
    sequence.add(Pulse.ConstantPulse(duration, amplitude, 0, 0), "ising")
    sequence.measure("ground-rydberg")
    return sequence


def one_atom() -> Register:
    """One atom at the origin."""
    return Register({"q0": (0.0, 0.0)})


def variants(text: str, jobs: str, *, constants: str = "{omega: 2}") -> str:
    """A spec with variants in flow style."""
    return spec_text(PULSE, constants=constants, jobs=jobs, top=f"variants: {text}\n")


def refused(folder: Path, text: str) -> list[str]:
    """What is wrong with a spec, each as `path: message | hint`."""
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return [f"{problem.path}: {problem.message} | {problem.hint}" for problem in pcs_runner.validate(path)]


def test_a_variant_replaces_lists_registers_and_constants_and_keeps_the_rest(tmp_path: Path) -> None:
    overlays = (
        "{bright: {}, "
        "twice: {constants: {omega: 4}}, "
        "long: {sequence: {operations: [{op: pulse, duration: 200, amplitude: omega + 1}]}}, "
        "pair: {sequence: {register: {q0: [0, 0], q1: [6, 0]}, channels: {ising: null, global: rydberg_global}}}}"
    )
    plan = planned(tmp_path, variants(overlays, "{runs: 1, sweep: {grid: {variant: [bright, twice, long, pair]}}}"))
    pair = Sequence(Register({"q0": (0, 0), "q1": (6, 0)}), MockDevice)
    pair.declare_channel("global", "rydberg_global")
    pair.add(Pulse.ConstantPulse(100, 2, 0, 0), "global")
    pair.measure("ground-rydberg")
    expected = [by_hand(2, one_atom()), by_hand(4, one_atom()), by_hand(3, one_atom(), duration=200), pair]
    for number, sequence in enumerate(expected):
        assert_same(built(plan, number), sequence)
    assert [job.point for job in plan.jobs()] == [{"variant": name} for name in ("bright", "twice", "long", "pair")]
    assert plan.summary()["names"] == {"variant": "a sequence for each value"}
    assert [one["values"] for one in plan.summary()["sequences"]][:2] == [{"variant": "bright"}, {"variant": "twice"}]


def test_a_variant_is_swept_beside_others_and_has_variables_of_its_own(tmp_path: Path) -> None:
    overlays = "{scan: {}, reference: {sequence: {operations: [{op: pulse, duration: t, amplitude: 1}]}}}"
    jobs = "{runs: 1, sweep: {grid: {variant: [scan, reference], omega: [1, 2], t: [100, 200]}}}"
    plan = planned(tmp_path, spec_text(PULSE, jobs=jobs, top=f"variants: {overlays}\n"))
    assert [json.dumps(dict(job.variables)) for job in plan.jobs()] == [
        *['{"omega": 1.0}'] * 2,
        *['{"omega": 2.0}'] * 2,
        *['{"t": 100}', '{"t": 200}'] * 2,
    ]
    assert list(plan.jobs_by_sequence.values()) == [4, 4]
    assert_same(built(plan, 3), by_hand(2, one_atom()))
    assert_same(built(plan, 5), by_hand(1, one_atom(), duration=200))


def test_the_spec_as_it_stands_is_for_groups_that_do_not_sweep_variant(tmp_path: Path) -> None:
    jobs = "[{runs: 1}, {runs: 1, sweep: {grid: {variant: [twice]}}}]"
    plan = planned(tmp_path, variants("{twice: {constants: {omega: 4}}}", jobs))
    assert_same(built(plan, 0), by_hand(2, one_atom()))
    assert_same(built(plan, 1), by_hand(4, one_atom()))


def test_devices_of_variants_have_coefficients_and_specs_of_their_own(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: 100, amplitude: U}",
        constants="{U: interaction_coeff/8**6}",
        register="{q0: [0, 0]}",
        jobs="{runs: 1, sweep: {grid: {variant: [mock, analog]}}}",
        top="variants:\n"
        "  mock: {}\n"
        "  analog:\n"
        "    sequence:\n"
        "      device: AnalogDevice\n"
        "      register: {define_register: {trap_ids: [30]}}\n"
        '      layout: "TriangularLatticeLayout(61, 5.0µm)"\n',
    )
    plan = planned(tmp_path, text)
    assert list(plan.devices) == ["MockDevice", "AnalogDevice"]
    assert_same(built(plan, 0), by_hand(MockDevice.interaction_coeff / 8**6, one_atom()))
    register = TriangularLatticeLayout(61, 5).define_register(30)
    assert_same(built(plan, 1), by_hand(AnalogDevice.interaction_coeff / 8**6, register, AnalogDevice))
    assert {one: plan.variant(one).device.name for one in plan.sequence_ids} == dict(
        zip(plan.sequence_ids, ["MockDevice", "AnalogDevice"], strict=True)
    )


def test_a_variant_may_have_a_sequence_of_another_form(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(by_hand(3, one_atom()).to_abstract_repr(), encoding="utf-8")
    jobs = "[{runs: 1}, {runs: 1, sweep: {grid: {variant: [other]}}}]"
    plan = planned(tmp_path, variants("{other: {sequence: {file: s.json}}}", jobs))
    assert_same(built(plan, 0), by_hand(2, one_atom()))
    assert_same(built(plan, 1), by_hand(3, one_atom()))


def test_a_constant_may_stand_in_variants_alone(tmp_path: Path) -> None:
    text = variants(
        "{a: {constants: {omega: 1}}, b: {constants: {omega: 3, base: 6, x: omega*base}, "
        "sequence: {operations: [{op: pulse, duration: 100, amplitude: x/6}]}}}",
        "{runs: 1, sweep: {grid: {variant: [a, b]}}}",
        constants="{}",
    )
    plan = planned(tmp_path, text)
    assert_same(built(plan, 0), by_hand(1, one_atom()))
    assert_same(built(plan, 1), by_hand(3, one_atom()))


@pytest.mark.parametrize(
    ("overlays", "jobs", "expected"),
    [
        (
            "{dark: {}}",
            "{runs: 1}",
            ["variants: nothing sweeps the variants | add `variant: [dark]` to a sweep"],
        ),
        (
            "{dark: {}}",
            "{runs: 1, sweep: {grid: {variant: [drak]}}}",
            ['jobs.sweep.grid.variant[0]: the spec has no variant "drak" | did you mean "dark"?'],
        ),
        (
            "{dark: {sequence: {register: {square: {sides: 2}}}}}",
            "{runs: 1, sweep: {grid: {variant: [dark]}}}",
            ['variants.dark.sequence.register.square.sides: unknown key "sides" | did you mean "side"?'],
        ),
        (
            "{dark: {sequence: {operations: [{op: pulse, duration: 100, amplitude: omgea}]}}}",
            "{runs: 1, sweep: {grid: {variant: [dark]}}}",
            ['variants.dark.sequence.operations[0].amplitude: unknown name "omgea" | did you mean "omega"?'],
        ),
        (
            "{dark: {sequence: {operations: [{op: pulse, duration: 100, amplitude: -omega}]}}}",
            "{runs: 1, sweep: {grid: {variant: [dark]}}}",
            ["variants.dark.sequence.operations[0].amplitude: amplitude falls to -2 rad/µs, and must not be negative | "],
        ),
        (
            "{dark: {constants: {omega: 1, spare: 3}}}",
            "{runs: 1, sweep: {grid: {variant: [dark]}}}",
            ['variants.dark.constants.spare: nothing uses the constant "spare" | use it in the sequence, or remove it'],
        ),
        (
            "{dark: {constants: {omega: 1/0}}}",
            "{runs: 1, sweep: {grid: {variant: [dark]}}}",
            ['variants.dark.constants.omega: division by zero in "1/0" | '],
        ),
        (
            "{dark: {constants: {omega: 1}}}",
            "{runs: 1, sweep: {grid: {variant: [dark], t: [omega]}}, where: t > 0}",
            [
                (
                    'jobs.sweep.grid.t[0]: an axis is computed from constants only, and "omega" changes with the axis "variant"'
                    " | use let for what depends on the point"
                )
            ],
        ),
        (
            "{dark: {sequence: {channels: {ising: null}}}}",
            "{runs: 1, sweep: {grid: {variant: [dark]}}}",
            ["sequence.operations[0]: no channel is named, and none is declared | declare one in `channels`"],
        ),
        (
            "{dark: {sequence: {device: NoDevice}}}",
            "{runs: 1, sweep: {grid: {variant: [dark]}}}",
            ['variants.dark.sequence.device: no device is called "NoDevice"'],
        ),
    ],
)
def test_what_is_wrong_with_a_variant_is_said_where_it_stands(
    tmp_path: Path, overlays: str, jobs: str, expected: list[str]
) -> None:
    found = refused(tmp_path, variants(overlays, jobs))
    if "NoDevice" in overlays:
        found = [one.partition(" | ")[0] for one in found]
    assert found == expected


def test_variants_run_and_are_named_in_the_records(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    overlays = "{dark: {constants: {omega: 0.01}}, pi: {constants: {omega: 10*pi}}}"
    path.write_text(variants(overlays, "{runs: 20, sweep: {grid: {variant: [dark, pi]}}}"), encoding="utf-8")
    run = pcs_runner.run(pcs_runner.plan(path), output=tmp_path / "run")
    records = list(run.records)
    assert [record.point for record in records] == [{"variant": "dark"}, {"variant": "pi"}]
    assert [max(record.counts, key=record.counts.__getitem__) for record in records] == ["0", "1"]
    assert sorted(file.stem for file in (tmp_path / "run" / "sequences").glob("*.json")) == sorted(
        {record.sequence for record in records}
    )
    again = pcs_runner.resume(tmp_path / "run")
    assert [record.counts for record in again.records] == [record.counts for record in records]
