"""What the parts of the house promise each other: who may import whom, who may print, and that the README is true."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from pcs_runner.cli import main
from pcs_runner.cli.group import COMMANDS, cli

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pcs_runner"
HOUSE = ("errors", "spec", "sweep", "sequence", "plan", "pcs", "emulator", "results", "run", "cli")
"""Each may import only what stands left of it."""
ROOMLESS = ("__init__", "__main__", "api", "callable_module")
"""The Python API and the entry point look at the whole house."""


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, and how.

    Attributes:
        module: Dotted name.
        line: Where.
        lazy: Inside a function.
        typing: Under `if TYPE_CHECKING`.
    """

    module: str
    line: int
    lazy: bool
    typing: bool


def imports(node: ast.AST, *, lazy: bool = False, typing: bool = False) -> Iterator[Import]:
    """Every import below a node; `from a import b` counts as `a.b` for our own package and as `a` elsewhere."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, lazy, typing)
        elif isinstance(child, ast.ImportFrom):
            for alias in child.names:
                name = f"{child.module}.{alias.name}" if child.module == "pcs_runner" else str(child.module)
                yield Import(name, child.lineno, lazy, typing)
        else:
            guarded = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from imports(child, lazy=lazy or function, typing=typing or guarded)


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): tuple(imports(ast.parse(path.read_text(encoding="utf-8"))))
    for path in sorted(PACKAGE.rglob("*.py"))
}


def room(module: str) -> str:
    """`pcs_runner.run.journal` -> `run`; `sweep` is several files (`sweep_axes`, ...)."""
    name = module.split(".")[1] if "." in module else "__init__"
    return "sweep" if name.startswith("sweep_") else name


def is_in(module: str, *places: str) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def test_every_module_has_a_room() -> None:
    assert {room(module) for module in MODULES} <= {*HOUSE, *ROOMLESS}


def test_imports_go_one_way() -> None:
    wrong = []
    for module, found in MODULES.items():
        here = room(module)
        if here in ROOMLESS or here == "cli":
            continue
        allowed = {*HOUSE[: HOUSE.index(here) + 1], "__version__", "callable_module"}
        wrong += [
            f"{module}:{one.line} imports {one.module}"
            for one in found
            if is_in(one.module, "pcs_runner") and room(one.module) not in allowed
        ]
    assert wrong == []


@pytest.mark.parametrize(
    ("library", "places"),
    [
        ("requests", ("pcs_runner.pcs.client", "pcs_runner.pcs.auth")),
        ("click", ("pcs_runner.cli",)),
        ("rich", ("pcs_runner.cli",)),
        ("sqlite3", ("pcs_runner.run.journal", "pcs_runner.emulator")),
        ("yaml", ("pcs_runner.spec",)),
        ("jsonschema", ("pcs_runner.spec",)),
    ],
)
def test_an_outside_thing_has_one_door(library: str, places: tuple[str, ...]) -> None:
    wrong = [
        f"{module}:{one.line}"
        for module, found in MODULES.items()
        for one in found
        if is_in(one.module, library) and not is_in(module, *places)
    ]
    assert wrong == []


def test_pulser_is_loaded_late() -> None:
    wrong = [
        f"{module}:{one.line} imports {one.module}"
        for module, found in MODULES.items()
        for one in found
        if is_in(one.module, "pulser", "pulser_simulation", "numba", "scipy", "xarray", "pandas", "pyarrow", "netCDF4")
        and not (one.lazy or one.typing or is_in(module, "pcs_runner.emulator.engines"))
    ]
    assert wrong == []


def test_only_the_command_line_prints() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if room(".".join(path.relative_to(ROOT).with_suffix("").parts)) != "cli"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Call) and ast.unparse(node.func) == "print")
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.stdout", "sys.stderr"})
    ]
    assert wrong == []


README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_commands() -> Iterator[list[str]]:
    """Every `pcs-run ...` in the README's code blocks, split at pipes and `&&`, as words."""
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", README, flags=re.DOTALL):
        for line in re.split(r"\n|&&|\||;", block):
            words = line.strip().removeprefix("$ ")
            if words.startswith("pcs-run"):
                yield shlex.split(words, comments=True)


@pytest.mark.parametrize("words", list(shell_commands()), ids=" ".join)
def test_the_readme_commands_parse(words: list[str]) -> None:
    arguments = words[1:]
    if not arguments or arguments[0] in {"--help", "--version"}:
        return
    name = arguments[0] if arguments[0] in COMMANDS else "run"
    rest = arguments[1:] if arguments[0] in COMMANDS else arguments
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    command.make_context(name, rest).close()


def test_the_readme_names_every_command_and_option() -> None:
    context = click.Context(cli)
    for name in COMMANDS:
        assert f"`{name}" in README, name
        command = cli.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert f"`{parameter.opts[-1]}" in README, (name, parameter.opts)


def test_the_readme_opens_with_the_commands_that_ci_runs() -> None:
    assert "pip install . && pcs-run specs/rabi.yaml" in README
    assert "pip install '.[dev]' && pytest" in README
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "pip install --quiet '.[dev]'" in script
    assert "step pytest\n" in script


def test_the_readme_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_the_readme_shows_the_exit_codes_of_the_program() -> None:
    from pcs_runner.cli import exit as codes

    table = dict(re.findall(r"^\| (\d+) \| (.+) \|$", README, flags=re.MULTILINE))
    assert {int(code) for code in table} == {
        codes.DONE,
        codes.JOBS_FAILED,
        codes.REFUSED,
        codes.RESUMABLE,
        codes.BUG,
        codes.INTERRUPTED,
    }


def readme_block(first: str) -> list[str]:
    """The lines of the code block that begins with these words."""
    (block,) = re.findall(rf"```text\n({re.escape(first)}.*?)\n```", README, flags=re.DOTALL)
    return str(block).splitlines()


def test_the_readme_shows_the_plan_that_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["plan", "specs/rabi.yaml"]) == 0
    assert capsys.readouterr().out.splitlines() == readme_block("plan ")


def test_the_readme_shows_the_problem_that_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "specs").mkdir()
    spec = (ROOT / "specs" / "rabi.yaml").read_text(encoding="utf-8")
    (tmp_path / "specs" / "rabi.yaml").write_text(spec.replace("amplitude: omega", "amplitud: omega"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["specs/rabi.yaml"]) == 2
    assert capsys.readouterr().err.splitlines() == readme_block("specs/rabi.yaml:")


def test_the_readme_shows_the_spec_that_is_run() -> None:
    import yaml

    block = re.findall(r"```yaml\n(version: 1\n.*?)```", README, flags=re.DOTALL)[0]
    shown = yaml.safe_load(block)
    real = yaml.safe_load((ROOT / "specs" / "rabi.yaml").read_text(encoding="utf-8"))
    real.pop("description")
    assert shown == real
