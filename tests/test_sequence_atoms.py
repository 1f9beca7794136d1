"""Atoms by name, layouts, mappable registers: each is the sequence that somebody writes by hand with Pulser."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pulser import Pulse, Register, Register3D, Sequence
from pulser.devices import AnalogDevice, DigitalAnalogDevice, MockDevice
from pulser.register import RegisterLayout
from pulser.register.special_layouts import RectangularLatticeLayout, SquareLatticeLayout, TriangularLatticeLayout
from pulser.waveforms import ConstantWaveform, RampWaveform

import pcs_runner
from spec_text import TWO_ATOMS, assert_same, built, planned, spec_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PULSE = "{op: pulse, channel: ising, duration: 100, amplitude: 1}"
DARK = "{op: pulse, duration: 100, amplitude: 1}"


def on_register(register: Any, device: Any = MockDevice, amplitude: float = 1) -> Any:
    """A measured global pulse on a register."""
    sequence = Sequence(register, device)
    sequence.declare_channel("ising", "rydberg_global")
    sequence.add(Pulse.ConstantPulse(100, amplitude, 0, 0), "ising")
    sequence.measure("ground-rydberg")
    return sequence


def refused(folder: Path, text: str) -> list[str]:
    """What is wrong with a spec, each as `path: message | hint`."""
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return [f"{problem.path}: {problem.message} | {problem.hint}" for problem in pcs_runner.validate(path)]


# Atoms by name


@pytest.mark.parametrize(
    ("register", "first", "second"),
    [
        ("{left: [0, 0], 'top-right': [6, 6]}", "left", "top-right"),
        ("{rectangle: {rows: 1, columns: n, spacing: 6, prefix: a}}", "a0", "a1"),
        ("{from_coordinates: {coords: [[0, 0], [0, 6]], labels: [x, y]}}", "x", "y"),
        ("[{name: b, x: 0, y: 0}, {name: a, x: 6, y: 0}]", "b", "a"),
    ],
)
def test_targets_are_called_by_their_names(tmp_path: Path, register: str, first: str, second: str) -> None:
    text = spec_text(
        f"{{op: target, channel: raman, target: {second}}}",
        "{op: pulse, channel: raman, duration: 100, amplitude: 5}",
        f"{{op: phase_shift, phi: pi/2, targets: [{first}, {second}]}}",
        f"{{op: target, channel: raman, target: [{first}]}}",
        "{op: pulse, channel: raman, duration: 100, amplitude: 3}",
        register=register,
        channels="{raman: raman_local}",
        more="  measurement: digital\n",
        constants="{n: 2}" if "n," in register else "{}",
    )
    made = built(planned(tmp_path, text))
    expected = Sequence(made.register, MockDevice)
    expected.declare_channel("raman", "raman_local", initial_target=second)
    expected.add(Pulse.ConstantPulse(100, 5, 0, 0), "raman")
    expected.phase_shift(np.pi / 2, first, second)
    expected.target(first, "raman")
    expected.add(Pulse.ConstantPulse(100, 3, 0, 0), "raman")
    expected.measure("digital")
    assert_same(made, expected)


def test_an_atom_that_is_swept_is_a_number_and_a_target_can_be_an_array(tmp_path: Path) -> None:
    text = spec_text(
        "{op: target, channel: raman, target: atom}",
        "{op: pulse, channel: raman, duration: 100, amplitude: 5}",
        register=TWO_ATOMS,
        channels="{raman: raman_local}",
        more="  measurement: digital\n",
        jobs="{runs: 1, sweep: {grid: {atom: [0, 1]}}}",
    )
    plan = planned(tmp_path, text)
    assert [json.dumps(dict(job.variables)) for job in plan.jobs()] == ['{"atom": 0}', '{"atom": 1}']
    for number in (0, 1):
        expected = Sequence(Register({"q0": (0, 0), "q1": (6, 0)}), MockDevice)
        expected.declare_channel("raman", "raman_local", initial_target=f"q{number}")
        expected.add(Pulse.ConstantPulse(100, 5, 0, 0), "raman")
        expected.measure("digital")
        assert_same(built(plan, number), expected)


def with_map(weights: dict[str, float]) -> Any:
    """A detuning map and an SLM mask by hand."""
    register = Register({"q0": (0, 0), "q1": (6, 0), "q2": (12, 0)})
    sequence = Sequence(register, MockDevice)
    sequence.config_detuning_map(register.define_detuning_map(weights), "dmm_0")
    sequence.declare_channel("ising", "rydberg_global")
    sequence.add_dmm_detuning(RampWaveform(100, 0, -10), "dmm_0")
    sequence.add(Pulse.ConstantPulse(100, 1, 0, 0), "ising", protocol="no-delay")
    sequence.measure("ground-rydberg")
    return sequence


def test_a_detuning_map_has_weights_by_atom_and_each_set_of_weights_is_a_sequence_of_its_own(tmp_path: Path) -> None:
    text = spec_text(
        "{op: config_detuning_map, detuning_map: {q0: w/2, q2: 1}}",
        "{op: add_dmm_detuning, waveform: {kind: ramp, duration: 100, start: 0, stop: depth}}",
        "{op: pulse, duration: 100, amplitude: 1, protocol: no-delay}",
        register="{q0: [0, 0], q1: [6, 0], q2: [12, 0]}",
        jobs="{runs: 1, sweep: {grid: {w: [1, 0.5], depth: [-10]}}}",
    )
    plan = planned(tmp_path, text)
    for number, weight in enumerate([0.5, 0.25]):
        assert_same(built(plan, number), with_map({"q0": weight, "q2": 1.0}))
    assert plan.summary()["names"] == {"w": "a sequence for each value", "depth": "sequence variable (float)"}
    assert len(plan.sequence_ids) == 2


def test_a_detuning_map_by_traps_takes_expressions_too(tmp_path: Path) -> None:
    text = spec_text(
        "{op: config_detuning_map, detuning_map: {traps: [{x: 0, y: 0, weight: 1/4}, {x: 2*6, y: 0, weight: 1}]}}",
        "{op: add_dmm_detuning, duration: 100, waveform: {kind: ramp, start: 0, stop: -10}}",
        "{op: pulse, duration: 100, amplitude: 1, protocol: no-delay}",
        register="{q0: [0, 0], q1: [6, 0], q2: [12, 0]}",
    )
    assert_same(built(planned(tmp_path, text)), with_map({"q0": 0.25, "q2": 1.0}))


def test_the_slm_mask_is_named_by_atoms(tmp_path: Path) -> None:
    operations = ("{op: pulse, duration: 100, amplitude: 1}", "{op: pulse, duration: 100, amplitude: 2}")
    text = spec_text(*operations, register=TWO_ATOMS, more="  slm_mask_targets: [q1]\n")
    operation = spec_text("{op: config_slm_mask, qubits: [q1]}", *operations, register=TWO_ATOMS)
    expected = Sequence(Register({"q0": (0, 0), "q1": (6, 0)}), MockDevice)
    expected.config_slm_mask(["q1"])
    expected.declare_channel("ising", "rydberg_global")
    expected.add(Pulse.ConstantPulse(100, 1, 0, 0), "ising")
    expected.add(Pulse.ConstantPulse(100, 2, 0, 0), "ising")
    expected.measure("ground-rydberg")
    assert_same(built(planned(tmp_path, text)), expected)
    assert_same(built(planned(tmp_path, operation)), expected)


@pytest.mark.parametrize(
    ("operation", "register", "more", "expected"),
    [
        (
            "{op: config_detuning_map, detuning_map: {q9: 1}}",
            TWO_ATOMS,
            "",
            'sequence.operations[0].detuning_map.q9: the register has no atom "q9" | its atoms: q0, q1',
        ),
        (
            "{op: config_detuning_map, detuning_map: {q3: 1}}",
            "{square: {side: 1}}",
            "",
            "sequence.register: the detuning map has a weight for q3, and the register has no such atom | ",
        ),
        (
            "{op: config_detuning_map, detuning_map: {q0: 1}}",
            "{mappable: {n_qubits: 2}}",
            "  layout: {triangular: {n_traps: 30, spacing: 5}}\n",
            (
                "sequence.operations[0].detuning_map: the atoms of a mappable register have no place yet | "
                "give the traps: `detuning_map: {traps: [{x, y, weight}]}`"
            ),
        ),
    ],
)
def test_a_map_with_an_atom_that_is_not_there_is_refused(
    tmp_path: Path, operation: str, register: str, more: str, expected: str
) -> None:
    jobs = "{runs: 1, sweep: {grid: {qubits: [[0, 1]]}}}" if more else "{runs: 1}"
    text = spec_text(operation, DARK, register=register, more=more, jobs=jobs)
    assert refused(tmp_path, text) == [expected]


# Layouts

GRID = [[6 * x, 6 * y] for x in range(3) for y in range(3)]
CUBE = [[6 * x, 6 * y, 6 * z] for x in range(3) for y in range(2) for z in range(2)]
LAYOUTS: list[tuple[str, Callable[[], Any]]] = [
    ("{square: {rows: 4, columns: 5, spacing: 2*3}}", lambda: SquareLatticeLayout(4, 5, 6)),
    ("{rectangular: {rows: 4, columns: 5, col_spacing: 5, row_spacing: 7}}", lambda: RectangularLatticeLayout(4, 5, 5, 7)),
    ("{triangular: {n_traps: 20, spacing: 5}}", lambda: TriangularLatticeLayout(20, 5)),
    (f"{{coordinates: {GRID}}}", lambda: RegisterLayout(GRID)),
    (f"{{coordinates: {CUBE}, slug: cube}}", lambda: RegisterLayout(CUBE, slug="cube")),
]


@pytest.mark.parametrize(
    ("text", "layout"), LAYOUTS, ids=[text.partition(":")[0] + str(i) for i, (text, _) in enumerate(LAYOUTS)]
)
def test_atoms_are_defined_on_the_traps_of_a_layout(tmp_path: Path, text: str, layout: Callable[[], Any]) -> None:
    register = "{define_register: {trap_ids: [8, 2 + 2, 0], qubit_ids: [c, b, a]}}"
    made = built(planned(tmp_path, spec_text(DARK, register=register, more=f"  layout: {text}\n")))
    expected = layout().define_register(8, 4, 0, qubit_ids=["c", "b", "a"])
    assert made.register.qubit_ids == ("c", "b", "a")
    assert made.register.layout == layout()
    assert isinstance(made.register, Register3D if "slug" in text else Register)
    assert_same(made, on_register(expected))


def test_a_layout_is_called_by_its_name_among_those_of_the_device(tmp_path: Path) -> None:
    (name, layout), *_ = AnalogDevice.calibrated_register_layouts.items()
    text = spec_text(
        DARK, device="AnalogDevice", register="{define_register: {trap_ids: [4, 8]}}", more=f"  layout: {json.dumps(name)}\n"
    )
    made = built(planned(tmp_path, text))
    assert made.register.layout == layout
    assert_same(made, on_register(layout.define_register(4, 8), AnalogDevice))


def test_traps_and_arguments_of_a_layout_that_vary_give_sequences_of_their_own(tmp_path: Path) -> None:
    text = spec_text(
        DARK,
        register="{define_register: {trap_ids: [0, trap]}}",
        more="  layout: {square: {rows: 2, columns: 3, spacing: a}}\n",
        jobs="{runs: 1, sweep: {grid: {a: [5, 6], trap: [1, 5]}}}",
    )
    plan = planned(tmp_path, text)
    assert len(plan.sequence_ids) == 4
    for number, (spacing, trap) in enumerate([(5, 1), (5, 5), (6, 1), (6, 5)]):
        assert_same(built(plan, number), on_register(SquareLatticeLayout(2, 3, spacing).define_register(0, trap)))


@pytest.mark.parametrize(
    ("register", "layout", "expected"),
    [
        (
            "{define_register: {trap_ids: [0]}}",
            "Nice",
            'sequence.layout: AnalogDevice has no calibrated layout "Nice": it has TriangularLatticeLayout(61, 5.0µm) | ',
        ),
        (
            "{define_register: {trap_ids: [0]}}",
            None,
            (
                "sequence.register.define_register: define_register takes traps of a layout, and the sequence has none | "
                "add `layout:` to the sequence"
            ),
        ),
        (
            "{square: {side: 2, spacing: 6}, automatic_layout: true}",
            "{coordinates: [[0, 0]]}",
            "sequence.register.automatic_layout: the sequence has a layout already | remove `automatic_layout`, or `layout`",
        ),
        (
            "[{qid: a}, {name: b, x: 0, y: 0}]",
            "{coordinates: [[0, 0]]}",
            (
                "sequence.register: some atoms have coordinates and others are to be mapped | "
                "give all of them `name`, or all of them `qid`"
            ),
        ),
        (
            "{define_register: {trap_ids: [0, 99]}}",
            "{square: {rows: 3, columns: 3, spacing: 5}}",
            "sequence.register: All 'trap_ids' must correspond to the ID of a trap. | ",
        ),
    ],
)
def test_a_layout_that_cannot_be_is_refused(tmp_path: Path, register: str, layout: str | None, expected: str) -> None:
    more = "" if layout is None else f"  layout: {layout}\n"
    jobs = "{runs: 1, sweep: {grid: {qubits: [[0]]}}}" if "qid" in register else "{runs: 1}"
    found = refused(tmp_path, spec_text(DARK, device="AnalogDevice", register=register, more=more, jobs=jobs))
    assert [line.replace(". |", " |") for line in found] == [expected.replace(". |", " |")]


# Mappable registers

TRIANGULAR = "  layout: {triangular: {n_traps: 30, spacing: 5}}\n"


def mapped(qubits: dict[str, int], amplitude: float = 1) -> Any:
    """A mappable sequence by hand, built."""
    layout = TriangularLatticeLayout(30, 5)
    return on_register(layout.make_mappable_register(3), MockDevice, amplitude).build(qubits=qubits)


def test_every_point_brings_the_traps_of_a_mappable_register(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: 100, amplitude: omega}",
        register="{mappable: {n_qubits: 3}}",
        more=TRIANGULAR,
        jobs="{runs: 1, sweep: {grid: {omega: [1, 2], qubits: [[4, 8, 12], {q1: 3, q0: 20, q2: 2 + 3}, [1, 2]]}}}",
    )
    plan = planned(tmp_path, text)
    maps = [{"q0": 4, "q1": 8, "q2": 12}, {"q0": 20, "q1": 3, "q2": 5}, {"q0": 1, "q1": 2}]
    assert len(plan.sequence_ids) == 1, "the traps travel with the jobs"
    assert [json.dumps(dict(job.variables)) for job in plan.jobs()] == [
        json.dumps({"omega": omega, "qubits": qubits}) for omega in (1.0, 2.0) for qubits in maps
    ]
    for number, qubits in enumerate(maps):
        assert_same(built(plan, number), mapped(qubits))
        assert_same(built(plan, number + 3), mapped(qubits, 2))
        assert plan.job_atoms(next(plan.jobs(number))) == tuple(qubits)
    assert [job.point["qubits"] for job in plan.jobs()][:2] == [[4, 8, 12], {"q1": 3, "q0": 20, "q2": 5}]
    assert plan.summary()["names"] == {"omega": "sequence variable (float)", "qubits": "traps of the mappable register"}


def test_traps_come_from_rows_and_files_too(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text('x,qubits\n1,"[4, 8]"\n2,"{""q0"": 5, ""q1"": 6}"\n', encoding="utf-8")
    (tmp_path / "p.jsonl").write_text('{"x": 1, "qubits": [4, 8]}\n{"x": 2, "qubits": {"q0": 5, "q1": 6}}\n', encoding="utf-8")
    operation = "{op: pulse, duration: 100, amplitude: x}"
    digests = set()
    for sweep in (
        "{file: p.csv}",
        "{file: p.jsonl}",
        "{points: [{x: 1, qubits: [4, 8]}, {x: 2, qubits: {q0: 5, q1: 6}}]}",
        "{zip: {x: [1, 2], qubits: [[4, 8], {q0: 5, q1: 6}]}}",
    ):
        jobs = f"{{runs: 1, sweep: {sweep}}}"
        plan = planned(tmp_path, spec_text(operation, register="{mappable: {n_qubits: 3}}", more=TRIANGULAR, jobs=jobs))
        assert [job.variables["qubits"] for job in plan.jobs()] == [{"q0": 4, "q1": 8}, {"q0": 5, "q1": 6}]
        digests.add(plan.digest)
    assert len(digests) == 1


def test_a_pasted_mappable_sequence_and_one_from_a_file_take_their_traps(tmp_path: Path) -> None:
    sequence = on_register(TriangularLatticeLayout(30, 5).make_mappable_register(3, prefix="atom"))
    printed = json.loads(sequence.to_abstract_repr(qubits={"atom0": 1, "atom1": 2}))
    (tmp_path / "s.json").write_text(json.dumps(printed), encoding="utf-8")
    for section in (json.dumps(printed), "{file: s.json}"):
        jobs = "{runs: 1, sweep: {grid: {qubits: [[4, 8], {atom0: 5}]}}}"
        plan = planned(tmp_path, f"version: 1\nname: a\nsequence: {section}\njobs: {jobs}\n")
        assert [dict(job.variables) for job in plan.jobs()] == [{"qubits": {"atom0": 4, "atom1": 8}}, {"qubits": {"atom0": 5}}]
        assert_same(built(plan, 0), sequence.build(qubits={"atom0": 4, "atom1": 8}))
        assert_same(built(plan, 1), sequence.build(qubits={"atom0": 5}))


@pytest.mark.parametrize(
    ("qubits", "expected"),
    [
        ("[[1, 2, 3, 4]]", "jobs.sweep.grid.qubits: qubits has 4 traps, the mappable register has 3 atoms | "),
        ("[[1, 1]]", "jobs.sweep.grid.qubits: trap 1 is given to q0 and to q1 | give every atom a trap of its own"),
        (
            "[[1, 1.5]]",
            "jobs.sweep.grid.qubits: the trap of q1 is 1.5, and Pulser takes an integer here | a trap is a number from 0",
        ),
        (
            "[{q0: 1, q2: 2}]",
            'jobs.sweep.grid.qubits: qubits has "q2", which is not among the first 2 atoms | name the first 2: q0, q1',
        ),
        ("[3]", "jobs.sweep.grid.qubits[0]: expected a list or a mapping, got 3 | "),
        ("[[0, 99]]", "sequence.register: All 'trap_ids' must correspond to the ID of a trap | "),
    ],
)
def test_traps_that_do_not_fit_are_refused(tmp_path: Path, qubits: str, expected: str) -> None:
    jobs = f"{{runs: 1, sweep: {{grid: {{qubits: {qubits}}}}}}}"
    (found,) = refused(tmp_path, spec_text(DARK, register="{mappable: {n_qubits: 3}}", more=TRIANGULAR, jobs=jobs))
    message, _, hint = found.partition(" | ")
    assert f"{message.partition(' at qubits')[0]} | {hint}" == expected


def test_traps_and_mappable_registers_need_each_other(tmp_path: Path) -> None:
    assert refused(tmp_path, spec_text(DARK, register="{mappable: {n_qubits: 3}}", more=TRIANGULAR)) == [
        (
            'sequence.register: the register is mappable, and nothing binds "qubits" | '
            "add `qubits: [[4, 8]]` to the sweep: the traps of the atoms, first atom first"
        )
    ]


def test_a_mappable_register_runs_and_its_records_say_the_traps(tmp_path: Path) -> None:
    text = spec_text(
        "{op: pulse, duration: 200, amplitude: omega}",
        register="{mappable: {n_qubits: 2}}",
        more=TRIANGULAR,
        jobs="{runs: 20, sweep: {points: [{omega: 5, qubits: [4, 8]}, {omega: 5, qubits: {q0: 5}}]}}",
    )
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    run = pcs_runner.run(pcs_runner.plan(path), output=tmp_path / "run")
    records = list(run.records)
    assert [record.variables for record in records] == [
        {"omega": 5.0, "qubits": {"q0": 4, "q1": 8}},
        {"omega": 5.0, "qubits": {"q0": 5}},
    ]
    assert [{len(bits) for bits in record.counts} for record in records] == [{2}, {1}]
    rows = (tmp_path / "run" / "results.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "index,group,omega,qubits,runs,status,duration_ns,occupation_q0,occupation_q1"
    assert rows[1].startswith('0,0,5,"[4,8]",20,DONE,200,')
    assert rows[2].startswith('1,0,5,"{""q0"":5}",20,DONE,200,')
    assert rows[2].endswith(","), "the second atom has no trap"


def test_a_layout_by_name_of_a_device_in_a_file_is_found(tmp_path: Path) -> None:
    layout = TriangularLatticeLayout(30, 5.5)
    device = dataclasses.replace(DigitalAnalogDevice, name="Mine", pre_calibrated_layouts=(layout,))
    (tmp_path / "device.json").write_text(device.to_abstract_repr(), encoding="utf-8")
    text = spec_text(
        DARK,
        device="{file: device.json}",
        register="{mappable: {n_qubits: 2}}",
        more='  layout: "TriangularLatticeLayout(30, 5.5µm)"\n',
        jobs="{runs: 1, sweep: {grid: {qubits: [[4, 8]]}}}",
    )
    made = built(planned(tmp_path, text))
    assert_same(made, on_register(layout.define_register(4, 8), device))


def test_two_waveforms_of_a_square_pulse_are_as_long_as_it(tmp_path: Path) -> None:
    expected = Sequence(Register({"q0": (0, 0)}), MockDevice)
    expected.declare_channel("ising", "rydberg_global")
    expected.add(Pulse(ConstantWaveform(100, 1), ConstantWaveform(100, 2), 0), "ising")
    expected.measure("ground-rydberg")
    assert_same(built(planned(tmp_path, spec_text("{op: pulse, duration: 100, amplitude: 1, detuning: 2}"))), expected)
