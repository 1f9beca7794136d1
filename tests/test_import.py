"""What an imported spec looks like, and what cannot be imported."""

from __future__ import annotations

import io
import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulser import Pulse, Register, Sequence
from pulser.devices import AnalogDevice, MockDevice
from pulser.register.special_layouts import TriangularLatticeLayout
from pulser.waveforms import CompositeWaveform, ConstantWaveform, InterpolatedWaveform, RampWaveform

from pcs_runner import api
from pcs_runner.cli import main
from pcs_runner.errors import UsageError
from pcs_runner.plan.importing import import_sequence
from pcs_runner.sequence.importing.texts import Texts, multiple_of_pi
from pcs_runner.spec.document import parse_document
from pcs_runner.spec.yaml_text import yaml_text
from test_import_tutorials import compiled, printed_by_pulser


def ising(register: Any = None, device: Any = MockDevice) -> Any:
    sequence = Sequence(register or Register.rectangle(1, 2, 6.5, prefix="q"), device)
    sequence.declare_channel("ising", "rydberg_global")
    return sequence


def imported(sequence: Any, **values: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_sequence(sequence.to_abstract_repr(**values).encode(), "sequence.json").text


def data(sequence: Any, **values: Any) -> Any:
    return parse_document(imported(sequence, **values).encode(), file="spec.yaml", folder=Path()).data


def operations(sequence: Any) -> Any:
    return data(sequence)["sequence"]["operations"]


def test_the_whole_spec_as_a_person_would_write_it() -> None:
    sequence = ising(Register.square(2, 6.0, prefix="q").with_automatic_layout(AnalogDevice), AnalogDevice)
    t, omega = sequence.declare_variable("t", dtype=int), sequence.declare_variable("omega")
    delta = sequence.declare_variable("delta", size=2)
    sequence.add(Pulse.ConstantPulse(t, omega, -2 * omega, 0), "ising")
    sequence.add(
        Pulse(RampWaveform(400, 0, 2 * np.pi), InterpolatedWaveform(400, delta), delta[0], post_phase_shift=np.pi / 2), "ising"
    )
    sequence.measure()
    assert imported(sequence) == (
        "# Imported from sequence.json by `pcs-run import`.\n"
        "version: 1\n"
        "name: pulser-exported\n"
        "\n"
        "sequence:\n"
        "  device: AnalogDevice\n"
        "  register: {square: {side: 2, spacing: 6}, automatic_layout: true}\n"
        "  channels: {ising: rydberg_global}\n"
        "  operations:\n"
        "    - {op: pulse, duration: t, amplitude: omega, detuning: -2*omega}\n"
        "    - op: pulse\n"
        "      duration: 400\n"
        "      amplitude: {kind: ramp, start: 0, stop: 2*pi}\n"
        "      detuning: {kind: interpolated, values: delta}\n"
        '      phase: "delta[0]"\n'
        "      post_phase_shift: pi/2\n"
        "  measurement: ground-rydberg\n"
        "\n"
        "jobs:\n"
        "  runs: 100\n"
        "  # Pulser keeps no values; these only build. Write yours: `t: [...]`, or linspace, arange, geomspace, a CSV file.\n"
        "  sweep:\n"
        "    grid:\n"
        "      t: [1000]\n"
        "      omega: [1.0]\n"
        "      delta: [[1.0, 1.0]]\n"
    )


def test_it_is_valid_as_it_is(tmp_path: Path) -> None:
    sequence = ising()
    omega = sequence.declare_variable("omega")
    sequence.add(Pulse.ConstantPulse(403, omega, 0, 0), "ising")
    (tmp_path / "spec.yaml").write_text(imported(sequence))
    assert api.validate(tmp_path / "spec.yaml") == []


def test_a_duration_off_the_clock_is_rounded_as_pulser_does(tmp_path: Path) -> None:
    sequence = ising(Register.rectangle(1, 2, 6.0, prefix="q").with_automatic_layout(AnalogDevice), AnalogDevice)
    omega = sequence.declare_variable("omega")
    sequence.add(Pulse.ConstantPulse(403, omega, 0, 0), "ising")
    (tmp_path / "spec.yaml").write_text(imported(sequence))
    assert data(sequence)["sequence"]["clock"] == "round"
    assert all(problem.warning for problem in api.validate(tmp_path / "spec.yaml"))


def test_values_that_the_file_gives_are_kept() -> None:
    sequence = ising()
    omega, t = sequence.declare_variable("omega"), sequence.declare_variable("t", dtype=int)
    sequence.add(Pulse.ConstantPulse(t, omega, 0, 0), "ising")
    assert data(sequence, omega=3.25, t=640)["jobs"]["sweep"] == {"grid": {"omega": [3.25], "t": [640]}}


def test_a_variable_keeps_its_type_and_one_that_nothing_uses_is_declared() -> None:
    sequence = ising()
    t = sequence.declare_variable("t")
    sequence.declare_variable("spare", size=2)
    sequence.add(Pulse.ConstantPulse(t, 1.0, 0, 0), "ising")
    assert data(sequence)["sequence"]["variables"] == {"t": "float", "spare": {"type": "float", "size": 2}}
    assert printed_by_pulser(compiled(imported(sequence))) == printed_by_pulser(sequence)


def test_a_name_that_a_spec_cannot_have_is_changed_and_told() -> None:
    sequence = ising()
    amplitude = sequence.declare_variable("max")
    sequence.add(Pulse.ConstantPulse(400, amplitude, 0, 0), "ising")
    text = imported(sequence)
    assert '# Note: the variable "max" is called "max_" here, because a spec takes no such name.' in text
    assert data(sequence)["jobs"]["sweep"]["grid"] == {"max_": [1.0]}


def test_a_constant_waveform_is_a_number_beside_any_other() -> None:
    sequence = ising()
    rise = CompositeWaveform(RampWaveform(100, 0, 2), ConstantWaveform(200, 2))
    sequence.add(Pulse.ConstantDetuning(rise, -1.5, 0), "ising")
    assert operations(sequence) == [
        {
            "op": "pulse",
            "amplitude": {
                "kind": "composite",
                "waveforms": [
                    {"kind": "ramp", "duration": 100, "start": 0, "stop": 2},
                    {"kind": "constant", "duration": 200, "value": 2},
                ],
            },
            "detuning": -1.5,
        }
    ]


def test_pulsers_tree_stays_where_no_text_means_the_same() -> None:
    sequence = ising()
    omega, power = sequence.declare_variable("omega"), sequence.declare_variable("power")
    sequence.add(Pulse.ConstantPulse(400, omega**power, omega**2, 0), "ising")
    (pulse,) = operations(sequence)
    assert pulse["amplitude"]["kind"] == "constant"
    assert pulse["amplitude"]["value"]["expression"] == "pow"
    assert pulse["detuning"] == "omega**2"


@pytest.mark.parametrize(
    ("register", "written"),
    [
        (Register.square(3, 5.5, prefix="q"), {"square": {"side": 3, "spacing": 5.5}}),
        (Register.rectangle(2, 4, 6, prefix="a"), {"rectangle": {"rows": 2, "columns": 4, "spacing": 6, "prefix": "a"}}),
        (
            Register.triangular_lattice(3, 4, 5.1, prefix="q"),
            {"triangular_lattice": {"rows": 3, "atoms_per_row": 4, "spacing": 5.1}},
        ),
        (Register.hexagon(2, 7, prefix="q"), {"hexagon": {"layers": 2, "spacing": 7}}),
        (
            Register.rectangular_lattice(2, 3, 5.5, 7, prefix="q"),
            {"rectangular_lattice": {"rows": 2, "columns": 3, "row_spacing": 5.5, "col_spacing": 7}},
        ),
        (Register({"a": (0.5, 0), "b": (8, 1)}), {"a": [0.5, 0], "b": [8, 1]}),
    ],
)
def test_registers(register: Any, written: Any) -> None:
    sequence = ising(register)
    sequence.delay(100, "ising")
    assert data(sequence)["sequence"]["register"] == written


def test_atoms_that_are_nearly_a_lattice_keep_their_coordinates() -> None:
    register = Register({"q0": (-3.0, 0.0), "q1": (3.0000001, 0.0)})
    sequence = ising(register)
    sequence.delay(100, "ising")
    assert data(sequence)["sequence"]["register"] == {"q0": [-3, 0], "q1": [3.0000001, 0]}


def test_layouts_by_the_name_that_the_device_gives_them() -> None:
    sequence = ising(TriangularLatticeLayout(61, 5.0).define_register(4, 9, 30), AnalogDevice)
    sequence.delay(100, "ising")
    section = data(sequence)["sequence"]
    assert section["layout"] == "TriangularLatticeLayout(61, 5.0µm)"
    assert section["register"] == {"define_register": {"trap_ids": [4, 9, 30]}}


def test_a_mappable_register_gets_traps_to_begin_with() -> None:
    sequence = ising(TriangularLatticeLayout(30, 5.0).make_mappable_register(3))
    sequence.add(Pulse.ConstantPulse(400, 1.0, 0, 0), "ising")
    spec = data(sequence)
    assert spec["sequence"]["layout"] == {"triangular": {"n_traps": 30, "spacing": 5}}
    assert spec["sequence"]["register"] == {"mappable": {"n_qubits": 3}}
    assert spec["jobs"]["sweep"]["grid"] == {"qubits": [[0, 1, 2]]}


def test_a_text_means_the_tree_or_is_not_written() -> None:
    texts = Texts({"x": None, "v": 3})
    index = {"expression": "index", "lhs": {"variable": "v"}, "rhs": [0, 2]}
    scalar = {"expression": "index", "lhs": {"variable": "x"}, "rhs": 0}
    assert texts.value({"expression": "mul", "lhs": 4 * np.pi, "rhs": scalar}) == "4*pi*x"
    assert texts.value({"expression": "mul", "lhs": scalar, "rhs": 4 * np.pi}) in {"x*(4*pi)", "x*12.566370614359172"}
    assert texts.value(index) == "[v[0], v[2]]"
    assert texts.value({"expression": "pow", "lhs": scalar, "rhs": scalar}) == {"expression": "pow", "lhs": scalar, "rhs": scalar}
    assert texts.value([1.0, 2 * np.pi, 0.5]) == [1, "2*pi", 0.5]


@pytest.mark.parametrize(
    ("value", "text"), [(np.pi, "pi"), (-np.pi / 2, "-pi/2"), (4 * np.pi, "4*pi"), (3.14159, None), (0.0, None)]
)
def test_multiples_of_pi_are_exact(value: float, text: str | None) -> None:
    assert multiple_of_pi(value) == text


_SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20).filter(
    lambda text: not any(c in text for c in "\x00\ufffe\uffff\ufeff")
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        _TEXTS,
        st.recursive(
            _SCALARS | _TEXTS,
            lambda inner: st.lists(inner, max_size=6) | st.dictionaries(_TEXTS, inner, max_size=4),
            max_leaves=20,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_written_is_read_back_equal(content: dict[str, Any]) -> None:
    document = parse_document(yaml_text(content).encode(), file="x", folder=Path())
    assert document.data == content


# ---- refusals


def refusal(content: bytes) -> str:
    with pytest.raises(UsageError) as error:
        import_sequence(content, "s.json")
    assert error.value.exit_code == 2
    assert error.value.hint
    return error.value.message


def test_what_is_no_sequence_is_refused_in_one_sentence() -> None:
    sequence = ising()
    sequence.delay(100, "ising")
    body = json.loads(sequence.to_abstract_repr())
    assert refusal(b"") == "s.json: it is not JSON: Expecting value: line 1 column 1 (char 0)"
    assert refusal(b"\xff\xfe") == "s.json: it is not UTF-8: invalid start byte at byte 0"
    assert refusal(b'{"a": NaN}') == "s.json: it is not JSON: NaN is not a number"
    assert refusal(b"[]") == "s.json: it is not a Pulser sequence in abstract representation"
    assert refusal(sequence._serialize().encode()) == "s.json: it is in the legacy format of Pulser's serialize()"
    assert refusal(b" " * (8 * 1024**2 + 1)) == "s.json: it is larger than 8 MB"
    assert refusal(b"[" * 100_000).startswith("s.json: it is not JSON: maximum recursion depth exceeded")
    dance = {**body, "operations": [{"op": "dance"}]}
    message = "s.json: Pulser refuses the sequence: operations[0].op: 'dance' is not known"
    assert refusal(json.dumps(dance).encode()) == message
    timeless = {**body, "operations": [{"op": "delay", "channel": "ising"}]}
    message = "s.json: Pulser refuses the sequence: operations[0]: 'time' is a required property"
    assert refusal(json.dumps(timeless).encode()) == message
    missing = {**body, "operations": [{"op": "delay", "channel": "other", "time": 100}]}
    assert refusal(json.dumps(missing).encode()) == "s.json: Pulser refuses the sequence: Use the name of a declared channel"


def test_an_expression_too_deep_is_refused() -> None:
    sequence = ising()
    omega = sequence.declare_variable("omega")
    sequence.add(Pulse.ConstantPulse(400, 2 * omega, 0, 0), "ising")
    body = json.loads(sequence.to_abstract_repr())
    for _ in range(500):
        value = body["operations"][0]["amplitude"]["value"]
        body["operations"][0]["amplitude"]["value"] = {"expression": "neg", "lhs": value}
    assert refusal(json.dumps(body).encode()) == "s.json: it nests deeper than 400 levels"


# ---- the command


def test_the_command_writes_the_spec_and_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    device = replace(AnalogDevice, name="Machine", max_runs=50)
    sequence = ising(Register.rectangle(1, 2, 6.0, prefix="q").with_automatic_layout(device), device)
    sequence.add(Pulse.ConstantPulse(400, 1.0, 0, 0), "ising")
    Path("s.json").write_text(sequence.to_abstract_repr())
    assert main(["import", "s.json", "-o", "my.yaml"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.device.json", "my.yaml", "pcs-spec.schema.json", "s.json"]
    assert (
        Path("my.yaml").read_text().startswith("# yaml-language-server: $schema=pcs-spec.schema.json\n# Imported from s.json by")
    )
    assert main(["validate", "my.yaml"]) == 0
    assert "device: {file: my.device.json}" in Path("my.yaml").read_text()
    assert "runs: 50" in Path("my.yaml").read_text()
    capsys.readouterr()
    assert main(["import", "s.json", "-o", "my.yaml"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == "error: my.yaml exists already, and nothing is overwritten"


def test_the_command_reads_stdin_and_prints_a_spec_that_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sequence = ising()
    sequence.add(Pulse.ConstantPulse(400, 1.0, 0, 0), "ising")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sequence.to_abstract_repr().encode())))
    assert main(["import", "-"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# yaml-language-server: $schema=https://")
    assert printed_by_pulser(compiled(printed)) == printed_by_pulser(sequence)


def test_the_command_says_what_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(tmp_path / "none.json")]) == 2
    assert "none.json cannot be read: No such file or directory" in capsys.readouterr().err
    (tmp_path / "x.json").write_text("{}")
    assert main(["import", str(tmp_path / "x.json")]) == 2
    assert "it is not a Pulser sequence in abstract representation" in capsys.readouterr().err
