"""The schema check: every problem at once, at its place, in our words; the published schema in step with the models."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import warnings
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pcs_runner.errors import SpecError
from pcs_runner.spec.document import parse_document
from pcs_runner.spec.models import Spec
from pcs_runner.spec.schema import schema_text, spec_schema, validate

EXAMPLE = """\
# yaml-language-server: $schema=../schemas/pcs-spec.schema.json
version: 1
name: afm-ramp
description: Antiferromagnetic state preparation, ramp time against final detuning.

constants:
  spacing: 6.0
  U: interaction_coeff/spacing**6

sequence:
  device: AnalogDevice
  register:
    rectangle: {rows: 3, columns: 3, spacing: spacing}
    automatic_layout: true
  channels: {ising: rydberg_global}
  operations:
    - {op: pulse, duration: t_rise, amplitude: {kind: ramp, start: 0, stop: omega}, detuning: "delta[0]"}
    - {op: pulse, duration: 1200, amplitude: omega, detuning: {kind: ramp, start: "delta[0]", stop: "delta[1]"}}
    - {op: pulse, duration: 500, amplitude: {kind: ramp, start: omega, stop: 0}, detuning: "delta[1]"}
  measurement: ground-rydberg

jobs:
  runs: 500
  sweep:
    grid:
      t_rise: [252, 500, 1000]
      d_end: {linspace: {start: U, stop: 2*U, num: 11}}
  let: {omega: 0.6*U, delta: [-6*U, d_end]}
  where: t_rise*omega < 9000

batch: {device_type: EMU_FREE, tags: [thesis-ch3]}

targets:
  laptop: {backend: local}
  emulator: {backend: pcs, batch: {device_type: EMU_MPS}}
  qpu: {backend: pcs, batch: {device_type: FRESNEL_CAN1}, device: FRESNEL_CAN1, runs: 200}
"""

MINIMAL = "version: 1\nname: a\nsequence: {file: a.json}\njobs: {runs: 1}\n"


def check(text: str) -> Spec:
    return validate(parse_document(text.encode(), file="s.yaml", folder=pathlib.Path()))


def found(text: str) -> list[str]:
    """The problems as `line:column: path: message | hint`, without the bar where there is no hint."""
    with pytest.raises(SpecError) as caught:
        check(text)
    return [f"{str(p).removeprefix('s.yaml:')} | {p.hint}".removesuffix(" | ") for p in caught.value.problems]


def test_the_example_of_the_language_is_valid() -> None:
    spec = check(EXAMPLE)
    assert spec.name == "afm-ramp"
    assert spec.groups[0].runs == 500
    assert sorted(spec.targets) == ["emulator", "laptop", "qpu"]


RUN_NAME = "1 to 63 of a-z, 0-9, _ and -, not beginning with _ or -"
NAME_HINT = "a name is letters, digits and _, and does not begin with a digit"
NUMBER = "expected a number or an expression, got"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "duration: t_rise",
            "duraton: t_rise",
            '17:19: sequence.operations[0].duraton: unknown key "duraton" | did you mean "duration"?',
        ),
        (
            "amplitude: {kind",
            "amplitud: {kind",
            '17:37: sequence.operations[0].amplitud: unknown key "amplitud" | did you mean "amplitude"?',
        ),
        (
            "duration: t_rise",
            "qqq: t_rise",
            (
                '17:19: sequence.operations[0].qqq: unknown key "qqq" | '
                "the keys here are op, channel, duration, amplitude, detuning, phase, post_phase_shift, protocol"
            ),
        ),
        ("    grid:", "    gird:", '25:5: jobs.sweep.gird: unknown key "gird" | did you mean "grid"?'),
        ("rectangle:", "rectangel:", '13:5: sequence.register.rectangel: unknown key "rectangel" | did you mean "rectangle"?'),
        (
            "linspace: {s",
            "linspase: {s",
            '27:15: jobs.sweep.grid.d_end.linspase: unknown key "linspase" | did you mean "linspace"?',
        ),
        (
            "EMU_MPS}",
            "EMU_MPS, chunck: 3}",
            '35:58: targets.emulator.batch.chunck: unknown key "chunck" | did you mean "chunk"?',
        ),
        (
            "{rows: 3,",
            "{rows:3,",
            '13:17: sequence.register.rectangle["rows:3"]: unknown key "rows:3" | write a space after the colon: `rows: `',
        ),
        (
            "  runs: 500\n",
            "",
            '23:3: jobs: missing key "runs" | `runs`: Repetitions of each job; may be an expression of the point',
        ),
        ("version: 1\n", "", '2:1: missing key "version" | write `version: 1`'),
        ("rows: 3, ", "", '13:16: sequence.register.rectangle: missing key "rows" | `rows`: Number of rows'),
        ("version: 1", "version: '1'", '2:10: version: expected an integer, got the text "1" | remove the quotes: 1'),
        (
            "version: 1",
            "version: 2\nwhatever: 3",
            "2:10: version: this spec is version 2; this pcs-runner reads version 1 | upgrade: pip install --upgrade pcs-runner",
        ),
        (
            "name: afm-ramp",
            "name: AFM Ramp!",
            f'3:7: name: "AFM Ramp!" cannot name a run: {RUN_NAME} | for example "afm-ramp"',
        ),
        (
            "amplitude: omega",
            "amplitude: [1]",
            "18:46: sequence.operations[1].amplitude: expected a number, an expression or a waveform, got a list",
        ),
        (
            "duration: 1200",
            "duration: {a: 1}",
            (
                f"18:29: sequence.operations[1].duration: {NUMBER} a mapping | "
                "a mapping here has `variable` or `expression`, as Pulser prints it"
            ),
        ),
        ("duration: 1200", "duration: true", f"18:29: sequence.operations[1].duration: {NUMBER} true"),
        ("  runs: 500", "  runs:", f"23:8: jobs.runs: {NUMBER} null | give it a value, or remove the key"),
        ("spacing: spacing}", "spacing: [1]}", f"13:47: sequence.register.rectangle.spacing: {NUMBER} a list"),
        ("start: U", "start: {}", f"27:33: jobs.sweep.grid.d_end.linspace.start: {NUMBER} a mapping"),
        (
            "t_rise: [252, 500, 1000]",
            "t_rise: 3",
            "26:15: jobs.sweep.grid.t_rise: expected a list or a range such as `{linspace: {start, stop, num}}`, got 3",
        ),
        ("batch: {", "batch: {open: yes, ", '31:15: batch.open: expected true or false, got the text "yes" | write true'),
        ("batch: {", "batch: {max_jobs: 2.0, ", "31:19: batch.max_jobs: expected an integer, got 2.0 | write 2"),
        ("batch: {", "batch: {chunk: 0, ", "31:16: batch.chunk: 0 is below the minimum of 1"),
        ("batch: {", "batch: {chunk: 99999, ", "31:16: batch.chunk: 99999 is above the maximum of 10000"),
        ("[thesis-ch3]", "[2024]", '31:39: batch.tags[0]: expected text, got 2024 | quote it: "2024"'),
        ("laptop: {", "laptop: {accuracy: 1, ", "34:22: targets.laptop.accuracy: 1 must be less than 1"),
        (
            "backend: local",
            "backend: locl",
            '34:21: targets.laptop.backend: "locl" is not one of local, pcs | did you mean "local"?',
        ),
        (
            "kind: ramp, start: 0",
            "kind: rampe, start: 0",
            (
                '17:55: sequence.operations[0].amplitude.kind: "rampe" is not one of blackman, blackman_max, composite, '
                'constant, custom, interpolated, kaiser, kaiser_max, ramp | did you mean "ramp"?'
            ),
        ),
        (
            "amplitude: omega",
            "amplitude: {start: 1}",
            (
                '18:46: sequence.operations[1].amplitude: missing key "kind" | '
                "one of blackman, blackman_max, composite, constant, custom, interpolated, kaiser, kaiser_max, ramp"
            ),
        ),
        ("d_end: {lin", "d-end: {lin", f'27:7: jobs.sweep.grid.d-end: "d-end" cannot be a name in expressions | {NAME_HINT}'),
        (
            "  sweep:\n",
            "  sweep:\n    zip: {a: [1]}\n",
            "26:5: jobs.sweep.grid: only one of zip, grid can stand here | keep one of them",
        ),
        (
            "    automatic_layout",
            "    square: {side: 3}\n    automatic_layout",
            "14:5: sequence.register.square: only one of rectangle, square can stand here | keep one of them",
        ),
        (
            "t_rise: [252, 500, 1000]",
            "t_rise: {column: a}",
            "26:15: jobs.sweep.grid.t_rise: exactly one of linspace, logspace, geomspace, arange, file is needed",
        ),
        ("t_rise: [252, 500, 1000]", "t_rise: {file: a.csv}", '26:15: jobs.sweep.grid.t_rise: missing key "column"'),
        ("t_rise: [252, 500, 1000]", "t_rise: []", "26:15: jobs.sweep.grid.t_rise: the list has length 0, the minimum is 1"),
        (
            "batch: {",
            "batch: {password: hunter2, ",
            (
                '31:9: batch.password: unknown key "password" | '
                "a spec holds no secret; `pcs-run login` keeps it, or the environment gives it"
            ),
        ),
    ],
)
def test_one_mistake_gives_one_problem(old: str, new: str, expected: str) -> None:
    assert EXAMPLE.count(old) >= 1
    assert found(EXAMPLE.replace(old, new, 1)) == [expected]


def test_all_problems_come_at_once_in_the_order_of_the_text() -> None:
    text = (
        MINIMAL.replace("name: a", "name: a b").replace("runs: 1", "runs: [], rep: 2") + "seed: -1\ntargets: {x: {backend: 1}}\n"
    )
    assert found(text) == [
        f'2:7: name: "a b" cannot name a run: {RUN_NAME} | for example "a-b"',
        f"4:14: jobs.runs: {NUMBER} a list",
        '4:18: jobs.rep: unknown key "rep" | did you mean "repeat"?',
        "5:7: seed: -1 is below the minimum of 0",
        "6:24: targets.x.backend: expected one of local, pcs, got 1",
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{file: a.json}", "{fil: a.json}", ['3:12: sequence.fil: unknown key "fil" | did you mean "file"?']),
        (
            "{file: a.json}",
            "{file: a.json, device: MockDevice}",
            ['3:26: sequence.device: unknown key "device" | the keys here are file, python'],
        ),
        (
            "{file: a.json}",
            "{python: {file: a.py, function: 1 x}}",
            [f'3:43: sequence.python.function: "1 x" cannot be a name in expressions | {NAME_HINT}'],
        ),
        ("{runs: 1}", "[]", ["4:7: jobs: the list has length 0, the minimum is 1"]),
        ("{runs: 1}", "3", ["4:7: jobs: expected a job group or a list of them, got 3"]),
        (
            "{runs: 1}",
            "{runs: 1, sweep: {points: [{a: 1}, {a: true}]}}",
            ["4:46: jobs.sweep.points[1].a: expected a number, an expression or a list, got true"],
        ),
        (
            "{runs: 1}",
            "{runs: 1, sweep: {random: {samples: 3, variables: {a: {unifrm: {}}, b: {}}}}}",
            [
                '4:62: jobs.sweep.random.variables.a.unifrm: unknown key "unifrm" | did you mean "uniform"?',
                "4:78: jobs.sweep.random.variables.b: exactly one of uniform, normal, integers, choice, loguniform is needed",
            ],
        ),
        (
            "jobs:",
            "variants: {d: {sequenc: {}}}\njobs:",
            ['4:16: variants.d.sequenc: unknown key "sequenc" | did you mean "sequence"?'],
        ),
        ("{file: a.json}", "3", ["3:11: sequence: expected a mapping, got 3"]),
        (
            "jobs:",
            "constants: {token: true}\njobs:",
            ["4:20: constants.token: expected a number, an expression or a list, got ***"],
        ),
    ],
)
def test_mistakes_in_other_forms(old: str, new: str, expected: list[str]) -> None:
    assert found(MINIMAL.replace(old, new, 1)) == expected


def test_coordinates_are_blamed_as_coordinates() -> None:
    start = EXAMPLE.index("    rectangle")
    text = EXAMPLE[:start] + "    q0: [0, 0]\n    q1: 3\n    q2: [1]\n" + EXAMPLE[EXAMPLE.index("  channels") :]
    assert found(text) == [
        "14:9: sequence.register.q1: expected a list, got 3",
        "15:9: sequence.register.q2: the list has length 1, the minimum is 2",
    ]


def test_no_secret_is_in_a_message() -> None:
    for text in (
        "batch: {password:hunter2}",
        "batch: {password: hunter2}",
        "seed: {token: hunter2}",
        "targets: {token: {runs: [hunter2]}}",
    ):
        with pytest.raises(SpecError) as caught:
            check(MINIMAL + text)
        assert "hunter2" not in repr(caught.value.problems)


def test_null_means_something_only_where_pulser_says_so() -> None:
    assert check(EXAMPLE.replace("measurement: ground-rydberg", "measurement: null")).name == "afm-ramp"
    assert check(EXAMPLE.replace("spacing: spacing}", "prefix: ~}")).name == "afm-ramp"
    assert found(MINIMAL + "budget: {max_runs: ~}") == [
        "5:20: budget.max_runs: expected an integer, got null | give it a value, or remove the key"
    ]


def test_what_only_the_models_know_is_located_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from pcs_runner.spec import schema

    permissive = Draft202012Validator({})
    monkeypatch.setattr(schema, "_validator", lambda: permissive)
    text = EXAMPLE.replace("rows: 3", "rows: [3]").replace("grid:", "zip: {a: [1]}\n    grid:")
    assert [problem.partition(": Input")[0] for problem in found(text)] == [
        "13:23: sequence.register.rectangle.rows: input should be a valid integer",
        "13:23: sequence.register.rectangle.rows: input should be a valid number",
        "13:23: sequence.register.rectangle.rows: input should be a valid string",
        "25:5: jobs.sweep: a sweep has exactly one of grid, zip, points, file, random, product, concat",
    ]


@pytest.mark.parametrize(("levels", "valid"), [(60, True), (97, False)])
def test_deep_expression_trees(levels: int, valid: bool) -> None:
    tree = "{expression: add, rhs: 1, lhs: " * levels + "1" + "}" * levels
    text = EXAMPLE.replace("duration: 1200", f"duration: {tree}")
    if valid:
        assert check(text).name == "afm-ramp"
    else:
        with pytest.raises(SpecError, match="deep"):
            check(text)


def test_a_long_list_of_points_is_checked_item_by_item_only_where_it_must() -> None:
    rows = [f"{{a: {i}, b: 0.5, c: [x, 2]}}" for i in range(3000)]
    text = MINIMAL.replace("runs: 1", "runs: 1, sweep: {points: [\n" + ",\n".join(rows) + "\n]}")
    assert len(check(text).groups[0].sweep.points) == 3000  # type: ignore[union-attr, arg-type]
    assert found(text.replace("{a: 1234,", "{a: false, 1b: 2,")) == [
        "1239:5: jobs.sweep.points[1234].a: expected a number, an expression or a list, got false",
        f'1239:12: jobs.sweep.points[1234]["1b"]: "1b" cannot be a name in expressions | {NAME_HINT}',
    ]


def test_the_published_schema_is_in_step_with_the_models() -> None:
    assert schema_text() == json.dumps(spec_schema(), indent=2, ensure_ascii=False) + "\n", "run python -m pcs_runner.spec.schema"


def test_the_published_schema_is_a_schema_without_blind_unions() -> None:
    schema = json.loads(schema_text())
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == "https://raw.githubusercontent.com/pcs-runner/pcs-runner/main/schemas/pcs-spec.schema.json"

    def walk(value: object) -> None:
        if isinstance(value, dict):
            assert "discriminator" not in value
            for union in (value.get("oneOf", []), value.get("anyOf", [])):
                assert all("$ref" not in branch for branch in union)
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(item)

    walk(schema)


def test_a_schema_error_costs_neither_pulser_nor_pydantic() -> None:
    code = (
        "import sys, pathlib\n"
        "from pcs_runner.errors import SpecError\n"
        "from pcs_runner.spec.document import parse_document\n"
        "from pcs_runner.spec.schema import validate\n"
        "try:\n"
        "    validate(parse_document(b'version: 1', file='s', folder=pathlib.Path()))\n"
        "except SpecError as error:\n"
        "    print(len(error.problems), [m for m in ('pulser', 'pydantic', 'numpy') if m in sys.modules])\n"
    )
    root = pathlib.Path(__file__).parent.parent
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert result.stdout == "3 []\n"


def pulser_sequences() -> dict[str, str]:
    """Sequences as Pulser prints them, which together use most operations and waveforms, and variables."""
    import pulser
    from pulser import Pulse, Register, Sequence
    from pulser.waveforms import (
        BlackmanWaveform,
        CompositeWaveform,
        CustomWaveform,
        InterpolatedWaveform,
        KaiserWaveform,
        RampWaveform,
    )

    analog = Sequence(
        Register.rectangle(2, 2, spacing=6, prefix="q").with_automatic_layout(pulser.AnalogDevice), pulser.AnalogDevice
    )
    analog.declare_channel("ising", "rydberg_global")
    omega, delta = analog.declare_variable("omega"), analog.declare_variable("delta", size=2)
    duration = analog.declare_variable("t", dtype=int)
    analog.add(Pulse(RampWaveform(duration, 0, omega), InterpolatedWaveform(duration, delta, times=[0, 1]), -(omega**2)), "ising")
    analog.add(Pulse.ConstantPulse(duration, omega, delta[0] / 2, 0), "ising")
    analog.delay(100, "ising")
    analog.add(Pulse(CompositeWaveform(BlackmanWaveform(400, 1), RampWaveform(100, 0, 1)), KaiserWaveform(500, -1), 0), "ising")
    analog.enable_eom_mode("ising", amp_on=1.0, detuning_on=0.0)
    analog.add_eom_pulse("ising", duration=100, phase=0.0)
    analog.disable_eom_mode("ising")
    analog.measure("ground-rydberg")

    digital = Sequence(Register.square(2, 6, prefix="a"), pulser.MockDevice)
    digital.declare_channel("raman", "raman_local", initial_target="a0")
    digital.declare_channel("rydberg", "rydberg_global")
    digital.declare_channel("many", "rydberg_local", initial_target=["a0", "a1"])
    atom = digital.declare_variable("atom", dtype=int)
    digital.target_index(atom, "raman")
    digital.phase_shift_index(0.3, 1, basis="digital")
    digital.align("raman", "rydberg")
    digital.add(Pulse.ConstantAmplitude(1.0, CustomWaveform([0.1] * 50), 0), "rydberg", protocol="no-delay")
    digital.config_detuning_map(digital.register.define_detuning_map({"a0": 0.5, "a1": 0.5}), "dmm_0")
    digital.add_dmm_detuning(RampWaveform(100, -1, 0), "dmm_0")

    xy = Sequence(Register.square(2, 6, prefix="q"), pulser.MockDevice)
    xy.declare_channel("mw", "mw_global")
    xy.set_magnetic_field(0, 0, 30.0)
    xy.config_slm_mask(["q0"])
    xy.add(Pulse.ConstantPulse(100, 1, 0, 0), "mw")
    return {"analog": analog.to_abstract_repr(), "digital": digital.to_abstract_repr(), "xy": xy.to_abstract_repr()}


def test_what_pulser_prints_can_be_pasted() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        printed = pulser_sequences()
    for name, text in printed.items():
        pasted = "version: 1\nname: pasted\njobs: {runs: 1}\nsequence: " + text
        indented = json.dumps({"version": 1, "name": "pasted", "jobs": {"runs": 1}, "sequence": json.loads(text)}, indent=2)
        assert check(pasted) == check(indented), name


def test_every_key_is_described_for_editors() -> None:
    schema = spec_schema()
    definitions = schema["$defs"]

    def described(one: dict[str, Any]) -> bool:
        return bool({"description", "const"} & one.keys()) or described(definitions[one["$ref"].rpartition("/")[2]])

    for name, one in [("spec", schema), *definitions.items()]:
        for key, value in one.get("properties", {}).items():
            assert "$ref" in value or {"description", "const"} & value.keys(), f"{name}.{key}"
            assert described(value), f"{name}.{key}"
