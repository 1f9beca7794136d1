"""What a run must survive: one clear message, exit code 2, nothing made, and no Pulser where physics is not asked."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pcs_runner
from pcs_runner.cli import main
from pcs_runner.errors import SpecError
from pcs_runner.spec.document import parse_document
from pcs_runner.spec.schema import validate as validate_schema
from pcs_runner.spec.values import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent

SPEC = """\
version: 1
name: a
sequence:
  device: AnalogDevice
  register:
    from_coordinates: {coords: [[0, 0]]}
    automatic_layout: true
  channels: {ising: rydberg_global}
  operations:
    - {op: pulse, duration: t, amplitude: 5, detuning: 0}
jobs:
  runs: RUNS
  sweep: {grid: {t: AXIS}}
"""


def spec(*, runs: str = "10", axis: str = "[100, 200]", more: str = "") -> str:
    """A small spec with something put into it."""
    return SPEC.replace("RUNS", runs).replace("AXIS", axis) + more


def file_spec(file: str) -> str:
    """A spec whose sequence is in a file."""
    return f"version: 1\nname: a\nsequence: {{file: {file}}}\njobs: {{runs: 10}}\n"


def laughs(levels: int) -> str:
    """Each list holds the one before nine times."""
    first = "x0: &x0 [" + ",".join("9" * 9) + "]\n"
    return first + "".join(f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, levels))


def merge_bomb(levels: int) -> str:
    """Each mapping merges the one before nine times."""
    first = "x0: &x0 {a: 1}\n"
    return first + "".join(f"x{n}: &x{n} {{<<: [{','.join([f'*x{n - 1}'] * 9)}]}}\n" for n in range(1, levels))


UNTAG = "remove the tag, or quote the text if `!` is part of it"
DEEP = "check the brackets; no spec nests so deep"
ONE_DOCUMENT = "keep one document in a file; several job groups can be a list under `jobs`"
NOT_A_FUNCTION = (
    '"__import__" is not a function: only these functions can be called: '
    "abs ceil floor round sqrt exp log log2 sin cos tan tanh min max"
)

REFUSED: dict[str, tuple[str | bytes, str, str]] = {
    "duplicate key": (
        spec(more="  runs: 1000\n"),
        '14:3: jobs.runs: duplicate key "runs"; the first is at line 12, column 3',
        "keep one of the two",
    ),
    "tab": (spec(more="\trepeat: 2\n"), "14:1: a tab is used as indentation", "indent with spaces"),
    "two documents": (
        spec(more="---\nversion: 1\n"),
        "14:1: a second document begins here; a spec is one document",
        ONE_DOCUMENT,
    ),
    "alias bomb": (laughs(40), "7:14: x6[1]: aliases expand to more than 1,000,000 values", "use fewer aliases, or a CSV file"),
    "merge bomb": (
        merge_bomb(2),
        "2:10: x1: merge keys (`<<`) are refused",
        "write the keys out, or give the whole value by an alias",
    ),
    "30,000 brackets": (spec(axis="[" * 30_000), "13:117: nested more than 100 levels deep", DEEP),
    "30,000 brackets in JSON": (
        '{"version": ' + "[" * 30_000 + "]" * 30_000 + "}",
        "1:112: nested more than 100 levels deep",
        DEEP,
    ),
    "custom tag": (spec(runs="!!python/name:os.system x"), "12:9: jobs.runs: a tag (`!...`) is refused here", UNTAG),
    "NaN": (spec(axis="[100, .nan]"), "13:27: jobs.sweep.grid.t[1]: NaN and infinity are refused", ""),
    "infinity": (spec(runs="-.inf"), "12:9: jobs.runs: NaN and infinity are refused", ""),
    "5,000 digits": (
        spec(runs="9" * 5000),
        "12:9: jobs.runs: an integer of more than 4300 digits",
        "write it as a float, for example 1e300",
    ),
    "empty file": ("", "1:1: the file is empty", "`pcs-run init` writes a first spec"),
    "nothing but a byte order mark": (b"\xef\xbb\xbf", "1:1: the file is empty", "`pcs-run init` writes a first spec"),
    "latin-1": ("# 6 µm\n".encode("latin-1"), "1:5: not UTF-8: byte 0xb5", "save the file as UTF-8"),
    "UTF-16": (spec().encode("utf-16"), "1:1: not UTF-8: byte 0xff", "save the file as UTF-8"),
    "binary": (bytes(range(256)), "3:115: not UTF-8: byte 0x80", "save the file as UTF-8"),
    "text": ("hello\n", "1:1: a spec is a mapping, this is a single value", "begin with `version: 1`"),
    "no": (spec(more="batch: {open: no}\n"), '14:15: batch.open: expected true or false, got the text "no"', "write false"),
    "missing sequence file": (
        file_spec("afm.json"),
        "3:18: sequence.file: afm.json: no such file",
        "paths are relative to the spec's folder, .",
    ),
    "a path that leaves the folder": (
        file_spec("../afm.json"),
        "3:18: sequence.file: ../afm.json lies outside the spec's folder",
        "move it beside the spec",
    ),
    "a path that leaves the folder in the middle": (
        file_spec("a/../../afm.json"),
        "3:18: sequence.file: a/../../afm.json lies outside the spec's folder",
        "move it beside the spec",
    ),
    "a home folder": (
        file_spec("~/afm.json"),
        "3:18: sequence.file: ~/afm.json: an absolute path",
        "write it relative to the spec",
    ),
    "a path from Windows": (
        file_spec(r"C:\afm.json"),
        r"3:18: sequence.file: C:\afm.json: an absolute path",
        "write it relative to the spec",
    ),
    "a path with a null character": (
        file_spec('"a\\0.json"'),
        "3:18: sequence.file: the path of a file holds a null character",
        "",
    ),
    "a variable never bound": (
        spec().replace("amplitude: 5", "amplitude: omega"),
        '10:43: sequence.operations[0].amplitude: unknown name "omega"',
        "bind it in constants, in sweep or in let",
    ),
    "a swept name that nothing uses": (
        spec().replace("{t: ", "{omega: [1, 2], t: "),
        '13:18: jobs.sweep.grid.omega: nothing uses the axis "omega"',
        "use it in the sequence, or remove it",
    ),
    "code in an expression": (
        spec(runs="__import__('os').system('touch owned')"),
        f"12:9: jobs.runs: {NOT_A_FUNCTION} in \"__import__('os').system('touch owned')\"",
        "",
    ),
    "an expression as long as a book": (
        spec(runs="1+" * 100_000 + "1"),
        f'12:9: jobs.runs: the expression has 200001 characters, more than 4000 in "{"1+" * 28}1..."',
        "split it with let",
    ),
}
"""Name: (file, what is said after its name, hint); physics is not asked in any of them."""

TOO_STRONG = "amplitude reaches 12.6061 rad/µs, rydberg_global of AnalogDevice allows 12.5664"
TOO_CLOSE = "q0 and q1 are 4 µm apart, AnalogDevice asks for 5 µm"

PHYSICS: dict[str, tuple[str, str, str]] = {
    "a tower of powers": (
        spec(runs="9**9**9"),
        '12:10: jobs.runs: 9**387420489 is too large for a number in "9**9**9"',
        "",
    ),
    "division by zero at one point": (
        spec(axis="[100, 200, 300]", runs="1000/abs(t - 200)"),
        '12:14: jobs.runs: division by zero in "1000/abs(t - 200)" at t=200',
        "",
    ),
    "an amplitude above the limit at one point of a hundred": (
        spec(axis="{arange: {start: 40, stop: 440, step: 4}}").replace("amplitude: 5", "amplitude: t/33"),
        f"10:43: sequence.operations[0].amplitude: {TOO_STRONG} (6 of 100 points, first: t=416)",
        "",
    ),
    "more runs than the device allows": (
        spec(runs="2001"),
        "12:9: jobs.runs: 2001 runs, AnalogDevice allows 2000 (2 of 2 points, first: t=100)",
        "",
    ),
    "a register that violates the device": (
        spec().replace("[[0, 0]]", "[[0, 0], [0, 4]]"),
        f"6:5: sequence.register: {TOO_CLOSE} (2 of 2 points, first: t=100)",
        "",
    ),
    "a grid of 10^30 points": (
        spec().replace("{t: [100, 200]}", "{" + ", ".join(f"x{n}: {{arange: {{stop: 1000}}}}" for n in range(10)) + ", t: [100]}")
        + "  where: "
        + " + ".join(f"x{n}" for n in range(10))
        + "\n",
        "13:17: jobs.sweep.grid: " + "1000 × " * 10 + "1 points are more than can be counted",
        "",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", [*REFUSED, *PHYSICS])
def test_bad_input_is_one_located_message_exit_2_and_nothing_made(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    content, message, hint = (REFUSED | PHYSICS)[name]
    Path("a.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    problems = pcs_runner.validate("a.yaml")
    assert [(str(problem), problem.hint) for problem in problems] == [(f"a.yaml:{message}", hint)]
    assert main(["run", "a.yaml"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"a.yaml:{message}\n" in said.err
    assert said.err.endswith("error: 1 problem, nothing was sent\nnext: pcs-run validate a.yaml\n")
    assert "Traceback" not in said.err
    assert everything_below(folder) == ["a.yaml"]


def test_what_is_no_physics_is_refused_without_pulser(folder: Path) -> None:
    for number, (content, _, _) in enumerate(REFUSED.values()):
        Path(f"{number}.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    code = """
        import pathlib, sys
        import pcs_runner
        for path in sorted(pathlib.Path().glob("*.yaml")):
            assert pcs_runner.validate(path), path
            assert "pulser" not in sys.modules, path
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_a_merge_bomb_is_refused_without_being_merged(folder: Path) -> None:
    Path("a.yaml").write_text(merge_bomb(40), encoding="utf-8")
    first, *_, last = pcs_runner.validate("a.yaml")
    assert str(first) == "a.yaml:2:10: x1: merge keys (`<<`) are refused"
    assert str(last) == "a.yaml:7:35: x6[5]: aliases expand to more than 1,000,000 values"


def test_a_bomb_just_below_the_cap_is_refused_like_any_other_mistake(folder: Path) -> None:
    Path("a.yaml").write_text(laughs(6), encoding="utf-8")
    assert [str(problem).partition(" ")[2] for problem in pcs_runner.validate("a.yaml")] == [
        f'x{n}: unknown key "x{n}"' if n is not None else f'missing key "{key}"'
        for n, key in [(None, "jobs"), (None, "name"), (None, "sequence"), (None, "version"), *((n, "") for n in range(6))]
    ]


@pytest.mark.parametrize(
    ("axis", "durations"), [("[1e2, 2.0e2]", [100, 200]), ("[0x64, 0o310]", [100, 200]), ("[+100, 200.]", [100, 200])]
)
def test_numbers_of_yaml_1_2_are_numbers(folder: Path, axis: str, durations: list[int]) -> None:
    Path("a.yaml").write_text(spec(axis=axis, runs="1e3"), encoding="utf-8")
    plan = pcs_runner.plan("a.yaml")
    assert [(job.variables["t"], job.runs) for job in plan.jobs()] == [(duration, 1000) for duration in durations]


# ---- files that are none


def test_a_missing_file_a_folder_and_a_loop_of_links(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("loop.yaml").symlink_to("loop.yaml")
    Path("folder.yaml").mkdir()
    before = everything_below(folder)
    for name, message in [
        ("none.yaml", "none.yaml: no such file"),
        ("folder.yaml", "folder.yaml: this is a folder, not a file"),
        ("loop.yaml", "loop.yaml: the file cannot be read: Too many levels of symbolic links"),
    ]:
        assert main(["run", name]) == 2
        error = capsys.readouterr().err
        assert error.splitlines()[0] == message
        assert "Traceback" not in error
    assert everything_below(folder) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission(folder: Path) -> None:
    Path("a.yaml").write_text(spec(), encoding="utf-8")
    Path("a.yaml").chmod(0)
    assert [str(problem) for problem in pcs_runner.validate("a.yaml")] == ["a.yaml: the file cannot be read: Permission denied"]


def test_a_link_out_of_the_folder_is_not_followed(folder: Path) -> None:
    Path("specs").mkdir()
    Path("secret.json").write_text("{}", encoding="utf-8")
    Path("specs/afm.json").symlink_to("../secret.json")
    Path("specs/data").symlink_to("..")
    for file in ("afm.json", "data/secret.json"):
        Path("specs/a.yaml").write_text(file_spec(file), encoding="utf-8")
        assert [(str(problem), problem.hint) for problem in pcs_runner.validate("specs/a.yaml")] == [
            (f"specs/a.yaml:3:18: sequence.file: {file} lies outside the spec's folder", "move it beside the spec")
        ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff", "the file is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (
            b"[" * 100_000,
            "the file is not JSON: maximum recursion depth exceeded while decoding a JSON array from a unicode string",
        ),
        (b"{}", "the file is not a Pulser sequence in abstract representation"),
        (b"[]", "the file is not a Pulser sequence in abstract representation"),
        (b'{"device": NaN}', "the file is not JSON: NaN is not a number"),
    ],
)
def test_a_sequence_file_that_is_none(folder: Path, content: bytes, message: str) -> None:
    Path("afm.json").write_bytes(content)
    Path("a.yaml").write_text(file_spec("afm.json"), encoding="utf-8")
    assert [str(problem) for problem in pcs_runner.validate("a.yaml")] == [f"a.yaml:3:18: sequence.file: {message}"]


def test_a_device_file_that_is_none(folder: Path) -> None:
    text = spec().replace("device: AnalogDevice", "device: {file: device.json}")
    Path("a.yaml").write_text(text, encoding="utf-8")
    for content, message in [
        ("[" * 100_000, "this is not a device in Pulser's abstract representation: it has no name"),
        ("[]", "this is not a device in Pulser's abstract representation: it has no name"),
    ]:
        Path("device.json").write_text(content, encoding="utf-8")
        assert [str(problem) for problem in pcs_runner.validate("a.yaml")] == [f"a.yaml:4:11: sequence.device: {message}"]
    Path("device.json").write_text('{"name": "mine"}', encoding="utf-8")
    (problem,) = pcs_runner.validate("a.yaml")
    assert str(problem).startswith("a.yaml:4:11: sequence.device: Pulser refuses the device mine: ")


# ---- unknown keys at every level

TREE = {"expression": "add", "lhs": {"variable": "x"}, "rhs": 1}
WAVEFORMS: list[dict[str, Any]] = [
    {"kind": "constant", "duration": 100, "value": 1},
    {"kind": "ramp", "duration": TREE, "start": 0, "stop": 1},
    {"kind": "blackman", "duration": 100, "area": 1},
    {"kind": "blackman_max", "max_val": 1, "area": 1},
    {"kind": "interpolated", "duration": 100, "values": [0, 1]},
    {"kind": "kaiser", "duration": 100, "area": 1},
    {"kind": "kaiser_max", "max_val": 1, "area": 1},
    {"kind": "custom", "samples": [0, 1]},
    {"kind": "composite", "waveforms": [{"kind": "constant", "duration": 100, "value": 1}]},
]
EOM = {"amp_on": 1, "detuning_on": 0}
OPERATIONS: list[dict[str, Any]] = [
    *({"op": "pulse", "amplitude": waveform} for waveform in WAVEFORMS),
    {"op": "pulse_arbitrary_phase", "duration": 100, "amplitude": 1, "phase": 0},
    {"op": "delay", "time": 100},
    {"op": "align", "channels": ["a", "b"]},
    {"op": "target", "target": 0},
    {"op": "phase_shift", "phi": 1, "targets": [0]},
    {"op": "enable_eom_mode", **EOM},
    {"op": "modify_eom_setpoint", **EOM},
    {"op": "add_eom_pulse", "duration": 100, "phase": 0},
    {"op": "disable_eom_mode"},
    {"op": "config_slm_mask", "qubits": ["q0"]},
    {"op": "config_detuning_map", "detuning_map": {"traps": [{"x": 0, "y": 0, "weight": 1}]}},
    {"op": "add_dmm_detuning", "duration": 100, "waveform": -1},
    {"op": "truncate", "duration": 100},
    {"op": "repeat", "repeats": 2, "operations": [{"op": "delay", "time": 100}]},
]
RANGE = {"start": 1, "stop": 2}
SWEEPS: list[dict[str, Any]] = [{"grid": {"x": {kind: RANGE}}} for kind in ("linspace", "logspace", "geomspace", "arange")] + [
    {
        "random": {
            "samples": 2,
            "variables": {
                "a": {"uniform": {}},
                "b": {"normal": {}},
                "c": {"integers": {"low": 0, "high": 2}},
                "d": {"choice": {"a": [1]}},
                "e": {"loguniform": {"low": 1, "high": 2}},
            },
        }
    },
    {"product": [{"zip": {"x": [1]}}]},
    {"concat": [{"points": [{"x": 1}]}]},
]
GRID = {"rows": 1, "columns": 1}
REGISTERS: list[Any] = [
    {"square": {"side": 1}},
    {"rectangle": GRID},
    {"rectangular_lattice": GRID},
    {"triangular_lattice": {"rows": 1, "atoms_per_row": 1}},
    {"hexagon": {"layers": 1}},
    {"max_connectivity": {"n_qubits": 1}},
    {"from_coordinates": {"coords": [[0, 0]]}},
    {"cubic": {"side": 1}},
    {"cuboid": {**GRID, "layers": 1}},
    [{"name": "q0", "x": 0, "y": 0}],
    {"define_register": {"trap_ids": [0]}},
    {"mappable": {"n_qubits": 1}},
    [{"qid": "q0"}],
]
LAYOUTS: list[dict[str, Any]] = [
    {"square": {**GRID, "spacing": 5}},
    {"rectangular": {**GRID, "col_spacing": 5, "row_spacing": 6}},
    {"triangular": {"n_traps": 3, "spacing": 5}},
]


def document(sequence: dict[str, Any], jobs: Any) -> dict[str, Any]:
    return {"version": 1, "name": "a", "sequence": sequence, "jobs": jobs}


def inline(register: Any, operations: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "device": "MockDevice",
        "register": register,
        "channels": {"a": "rydberg_global"},
        "layout": {"coordinates": [[0, 0]]},
        "variables": {"x": {"type": "float"}},
        "operations": operations,
    }


DOCUMENTS: list[dict[str, Any]] = [
    document(inline(REGISTERS[0], OPERATIONS), {"runs": 1, "order": {"shuffle": 1}})
    | {
        "batch": {"on_failure": {}},
        "targets": {"local": {}},
        "results": {},
        "budget": {},
    },
    document({"file": "a.json"}, [{"runs": 1, "sweep": sweep} for sweep in SWEEPS]),
    document({"python": {"file": "a.py", "function": "f"}}, {"runs": 1}),
    *(document(inline(register, []), {"runs": 1}) for register in REGISTERS),
    *(document({**inline(REGISTERS[0], []), "layout": layout}, {"runs": 1}) for layout in LAYOUTS),
]


def models_below(model: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Model]]:
    """Every model in a spec, with its path in the document."""
    if isinstance(model, Model):
        yield path, model
        for name, info in type(model).model_fields.items():
            if name in model.model_fields_set:
                yield from models_below(getattr(model, name), (*path, info.alias or name))
    elif isinstance(model, dict | list | tuple):
        for step, value in model.items() if isinstance(model, dict) else enumerate(model):
            yield from models_below(value, (*path, step))


def schema_problems(data: Any) -> list[str]:
    """What the schema says about a document, without positions."""
    try:
        validate_schema(parse_document(json.dumps(data, indent=1).encode(), file="a", folder=Path()))
    except SpecError as error:
        return [str(problem).partition(" ")[2] for problem in error.problems]
    return []


def kinds_of(kind: type[Model]) -> Iterator[type[Model]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds_of(below)


def test_an_unknown_key_is_refused_at_every_level() -> None:
    """A key that nobody knows is put into every mapping of the language that has known keys, one at a time."""
    met: set[str] = set()
    for data in DOCUMENTS:
        made = validate_schema(parse_document(json.dumps(data).encode(), file="a", folder=Path()))
        for path, model in models_below(made):
            met.add(type(model).__name__)
            bad = json.loads(json.dumps(data))
            holder: Any = bad
            for step in path:
                holder = holder[step]
            holder["unheard_of"] = 1
            (problem,) = schema_problems(bad)
            where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in (*path, "unheard_of"))
            assert problem == f'{where.removeprefix(".")}: unknown key "unheard_of"'
    abstract = {"Model", "DeviceFile"}  # {file, unheard_of} is a device in full, refused when the device is read
    assert met >= {kind.__name__ for kind in kinds_of(Model) if kind.__module__.startswith("pcs_runner")} - abstract


# ---- the output folder, and the disk


def whole_command(folder: Path, *arguments: str, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m pcs_runner ...` in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "pcs_runner", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=before,
    )


def test_the_command_itself_refuses_in_the_same_words(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(spec(runs=""), encoding="utf-8")
    process = whole_command(tmp_path, "a.yaml")
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == (
        "a.yaml:12:8: jobs.runs: expected a number or an expression, got null\n"
        "    runs: \n"
        "         ^\n"
        "  hint: give it a value, or remove the key\n"
        "error: 1 problem, nothing was sent\n"
        "next: pcs-run validate a.yaml\n"
    )
    assert everything_below(tmp_path) == ["a.yaml"]


def test_a_folder_that_holds_something_else_is_not_touched(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text(spec(), encoding="utf-8")
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").write_text("x", encoding="utf-8")
    before = everything_below(folder)
    assert main(["run", "a.yaml", "-o", "thesis"]) == 2
    error = capsys.readouterr().err
    assert "error: thesis holds something else: chapter.tex\nhint: Choose an empty or a new folder with -o.\n" in error
    assert main(["run", "a.yaml", "-o", "a.yaml"]) == 2
    assert "error: a.yaml cannot be a run folder: Not a directory\n" in capsys.readouterr().err
    assert everything_below(folder) == before


@pytest.mark.parametrize("limit_bytes", [0, 1000, 20_000])
def test_a_disk_that_is_full_before_anything_was_sent_leaves_nothing(tmp_path: Path, limit_bytes: int) -> None:
    """No file may grow beyond the limit: the spec, the sequence or the journal is the first that does not fit."""
    (tmp_path / "a.yaml").write_text(spec(), encoding="utf-8")

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    process = whole_command(tmp_path, "a.yaml", "-o", "out", before=fill)
    assert process.returncode == 2
    assert "error: the run folder out cannot be written: " in process.stderr
    assert "hint: Nothing was sent. Make room, or choose another folder with -o.\n" in process.stderr
    assert "Traceback" not in process.stderr
    assert everything_below(tmp_path) == ["a.yaml"]
