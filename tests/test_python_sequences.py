"""Sequences made by Python code: refused unless allowed, located when the code fails, and resumed without running it again."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

import pytest

from pcs_runner import api
from pcs_runner.cli import main
from pcs_runner.errors import SpecError
from pcs_runner.plan import make_plan, plan_from_run
from pcs_runner.run.directory import RunFolder
from pcs_runner.spec.document import parse_document

CODE = """\
from pulser import Pulse, Register, Sequence
from pulser.devices import MockDevice

CALLS = []


def make_sequence(n, spacing=6.0, duration=500):
    CALLS.append(n)
    print("called")
    register = Register.rectangle(1, int(n), spacing, prefix="q")
    sequence = Sequence(register, MockDevice)
    sequence.declare_channel("ising", "rydberg_global")
    omega = sequence.declare_variable("omega")
    sequence.add(Pulse.ConstantPulse(duration, omega, 0, 0), "ising")
    if n == 4:
        raise ValueError("four\\nis too many")
    sequence.measure()
    return sequence
"""

SPEC = """\
version: 1
name: afm
constants: {n_atoms: 2}
sequence: {python: {file: afm.py, function: make_sequence, arguments: {n: n_atoms, spacing: 2*n_atoms + 3}}}
jobs:
  runs: 20
  sweep:
    grid: {n_atoms: [2, 3], omega: [1.0, 2.0]}
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "afm.py").write_text(CODE)
    (tmp_path / "spec.yaml").write_text(SPEC)
    return tmp_path / "spec.yaml"


def problems(spec: Path, *, allow_code: bool = True) -> list[str]:
    return [str(problem).replace(f"{spec.parent}/", "") for problem in api.validate(spec, allow_code=allow_code)]


def changed(spec: Path, old: str, new: str) -> Path:
    """The spec or its code, with a text replaced."""
    for file in (spec, spec.with_name("afm.py")):
        file.write_text(file.read_text().replace(old, new))
    return spec


def test_it_is_refused_without_being_run(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(spec, "CALLS = []", "open('ran', 'w').close()")
    message = "spec.yaml:4:20: sequence.python: this runs the code in afm.py, which has not been allowed"
    assert problems(spec, allow_code=False) == [message]
    for command in ("validate", "plan", "run"):
        assert main([command, "spec.yaml"]) == 2
        told = capsys.readouterr()
        assert message in told.out + told.err
        assert "hint: read the file; where you trust it, say --allow-code" in told.out + told.err
    with pytest.raises(SpecError):
        api.plan(spec)
    assert not spec.with_name("ran").exists()


def test_arguments_are_expressions_and_give_a_sequence_each(spec: Path) -> None:
    plan = api.plan(spec, allow_code=True)
    assert len(plan.sequence_ids) == 2
    registers = [json.loads(plan.sequence(one))["register"] for one in plan.sequence_ids]
    assert [row["x"] for row in registers[0]] == [-3.5, 3.5]
    assert [row["x"] for row in registers[1]] == [-9.0, 0.0, 9.0]
    assert [job.variables for job in plan.jobs()] == [{"omega": 1.0}, {"omega": 2.0}] * 2
    assert plan.summary()["names"] == {"omega": "sequence variable (float)", "n_atoms": "a sequence for each value"}


def test_a_run_keeps_the_code_and_resumes_without_it(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--allow-code", "spec.yaml", "-o", "out"]) == 0
    folder = RunFolder(Path("out"))
    assert (folder.inputs / "afm.py").read_text() == CODE
    digest = folder.read_manifest()["digest"]
    spec.unlink()
    spec.with_name("afm.py").unlink()
    (folder.inputs / "afm.py").write_text("raise SystemExit('must not be run')")
    plan = plan_from_run(folder.spec_bytes, folder.inputs, folder.target(), folder.devices())
    assert plan.digest == digest
    plan.check()
    (Path("out") / "journal.db").unlink()  # rebuilt from results and twin: the plan is needed for that
    assert main(["resume", "out"]) == 0
    assert main(["verify", "out"]) == 0
    assert capsys.readouterr().err.count("error") == 0


def test_a_recorded_call_that_is_lost_is_said(spec: Path) -> None:
    api.run(api.plan(spec, allow_code=True), output="out")
    folder = RunFolder(Path("out"))
    record = folder.inputs / "afm.py.make_sequence.jsonl"
    record.write_text(record.read_text().splitlines()[0] + "\n")
    with pytest.raises(SpecError) as error:
        plan_from_run(folder.spec_bytes, folder.inputs, folder.target(), folder.devices())
    assert "the run has recorded no call with n=3, spacing=9" in str(error.value)


def test_the_code_is_part_of_the_identity_of_a_plan(spec: Path) -> None:
    before = api.plan(spec, allow_code=True).digest
    assert api.plan(spec, allow_code=True).digest == before
    changed(spec, "CALLS = []", "CALLS = list()")
    assert api.plan(spec, allow_code=True).digest != before


def test_the_function_is_called_once_for_each_set_of_arguments(spec: Path) -> None:
    changed(spec, "CALLS = []", "COUNT = __import__('pathlib').Path('count')")
    changed(spec, "CALLS.append(n)", "COUNT.write_text((COUNT.read_text() if COUNT.exists() else '') + str(n))")
    api.plan(spec, allow_code=True)
    assert Path("count").read_text() == "23"


def test_the_device_is_the_codes_own_and_its_coefficient_is_known_to_the_arguments(spec: Path) -> None:
    from pulser.devices import MockDevice

    changed(spec, "spacing: 2*n_atoms + 3", "spacing: (interaction_coeff/5)**(1/6)")
    plan = api.plan(spec, allow_code=True)
    (first, second) = json.loads(plan.sequence(plan.sequence_ids[0]))["register"]
    assert second["x"] - first["x"] == pytest.approx((MockDevice.interaction_coeff / 5) ** (1 / 6))


def test_a_target_puts_it_on_another_device(spec: Path) -> None:
    from pulser.devices import DigitalAnalogDevice

    twin = dataclasses.replace(DigitalAnalogDevice, name="Twin", max_atom_num=50)
    spec.with_name("twin.json").write_text(twin.to_abstract_repr())
    changed(spec, "MockDevice", "DigitalAnalogDevice")
    spec.write_text(f"{SPEC}targets: {{other: {{device: {{file: twin.json}}}}, strict: {{device: MockDevice}}}}\n")
    plan = api.plan(spec, "other", allow_code=True)
    assert json.loads(plan.sequence(plan.sequence_ids[0]))["device"]["name"] == "Twin"
    with pytest.raises(SpecError) as error:
        api.plan(spec, "strict", allow_code=True)
    assert "sequence.python: the sequence does not run on MockDevice as it is" in str(error.value)


# ---- what goes wrong in the code


def test_what_the_code_raises_is_said_at_its_line(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(spec, "[2, 3]", "[2, 4]")
    message = "afm.py:16:9: sequence.python: ValueError: four is too many (2 of 4 points, first: n_atoms=4, omega=1)"
    assert problems(spec) == [message]
    assert main(["validate", "--allow-code", "spec.yaml"]) == 2
    printed = capsys.readouterr().out
    assert printed == f'{message}\n          raise ValueError("four\\nis too many")\n          ^\n'
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("return sequence", "return 3", "afm.py:7:1: sequence.python: make_sequence returns a int, not a pulser.Sequence at"),
        ("CALLS = []", "CALLS = [", "afm.py:4:1: sequence.python: SyntaxError: '[' was never closed at"),
        (
            "CALLS = []",
            "import helper_of_mine",
            "afm.py:4:1: sequence.python: ModuleNotFoundError: No module named",
        ),
        ("CALLS = []", "raise SystemExit(3)", "afm.py:4:1: sequence.python: SystemExit: 3 at"),
        ("omega, 0, 0)", "omega, 0)", "afm.py:14:5: sequence.python: TypeError: "),
        (
            "def make_sequence(n,",
            "def make(n,",
            "spec.yaml:4:45: sequence.python.function: afm.py has no function",
        ),
        (
            "def make_sequence(n,",
            "def make_sequence(m,",
            "spec.yaml:4:71: sequence.python.arguments: make_sequence(m, spacing",
        ),
        ("file: afm.py", "file: none.py", "spec.yaml:4:27: sequence.python.file: none.py"),
        ("file: afm.py", "file: ../afm.py", "spec.yaml:4:27: sequence.python.file: ../afm.py lies outside the spec's folder"),
        ("n: n_atoms", "n: n_atom", 'spec.yaml:4:75: sequence.python.arguments.n: unknown name "n_atom"'),
        ("n: n_atoms", "n: n_atoms +", "spec.yaml:4:"),
        ("runs: 20", "runs: 20\n  where: n_atoms > 9", "spec.yaml:7:10: jobs.where: no point is left: where drops all of them"),
        (
            "omega: [1.0, 2.0]",
            "omeg: [1.0, 2.0]",
            "spec.yaml:4:20: sequence.python: nothing binds the sequence's variable",
        ),
    ],
)
def test_one_problem_says_where(spec: Path, old: str, new: str, expected: str) -> None:
    (only,) = problems(changed(spec, old, new))
    assert only.startswith(expected), only


def test_other_variables_than_before_are_refused(spec: Path) -> None:
    changed(spec, "    sequence.measure()", "    sequence.declare_variable(f'x{n}')\n    sequence.measure()")
    found = problems(changed(spec, "omega: [1.0, 2.0]", "omega: [1.0, 2.0], x2: [1]"))
    message = "the sequence has other variables than at the first point: omega, x3, not omega, x2"
    assert found == [f"spec.yaml:4:20: sequence.python: {message} (2 of 4 points, first: n_atoms=3, omega=1, x2=1)"]


def test_a_duration_off_the_clock_is_rounded_with_a_warning(spec: Path) -> None:
    changed(spec, "MockDevice", "DigitalAnalogDevice")
    changed(spec, 'omega = sequence.declare_variable("omega")', "omega = 1.0")
    changed(spec, "duration=500", "duration=502")
    found = api.validate(changed(spec, ", omega: [1.0, 2.0]", ""), allow_code=True)
    assert [problem.warning for problem in found] == [True]
    assert "A duration of 502 ns is not a multiple of the channel's clock period (4 ns)" in found[0].message
    assert found[0].message.endswith("(2 of 2 calls, first: n=2, spacing=7)")


def test_a_spec_with_other_mistakes_is_not_told_about_code_that_was_allowed(spec: Path) -> None:
    found = problems(changed(spec, "runs: 20", "run: 20"))
    assert all("allowed" not in problem for problem in found)


def test_variants_may_call_code_with_arguments_of_their_own(spec: Path) -> None:
    call = "{sequence: {python: {file: afm.py, function: make_sequence, arguments: {n: n_atoms, spacing: %s}}}}"
    variants = f"variants:\n  near: {call % 5}\n  far: {call % 12}\n"
    spec.write_text(SPEC.replace("grid: {n_atoms", "grid: {variant: [near, far], n_atoms") + variants)
    plan = api.plan(spec, allow_code=True)
    spacings = [json.loads(plan.sequence(one))["register"][1]["x"] for one in plan.sequence_ids]
    assert len(spacings) == 4
    assert spacings[0] == 2.5


def test_the_plan_is_not_made_from_code_by_default(spec: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = parse_document(spec.read_bytes(), file="spec.yaml", folder=spec.parent)
        with pytest.raises(SpecError):
            make_plan(document)
