"""The tools that look at specs in a CI: check-jsonschema with our schema, our hook in pre-commit, annotations on GitHub."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from language_server import absent
from pcs_runner.cli.problems import as_github
from pcs_runner.errors import Problem, SpecError
from pcs_runner.spec.document import load_document
from pcs_runner.spec.schema import validate

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "schemas" / "pcs-spec.schema.json"
SPECS = ROOT / "specs"
PACKAGED = ("pcs_runner", "schemas", "pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml")


def refused_by_check_jsonschema(paths: list[Path]) -> set[Path]:
    """Those that it does not accept, in one run of the tool."""
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(SCHEMA), "--output-format", "json", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    report = json.loads(done.stdout)
    assert report.get("parse_errors", []) == []
    assert done.returncode == bool(report["errors"])
    return {Path(error["filename"]) for error in report["errors"]}


def passes_schema(path: Path) -> bool | None:
    """What the runner's schema check says; None where the file is no YAML that it reads."""
    try:
        document = load_document(path)
    except SpecError:
        return None
    try:
        validate(document)
    except SpecError:
        return False
    return True


def test_check_jsonschema_accepts_and_refuses_what_the_runner_does() -> None:
    valid = [*SPECS.glob("*.yaml"), *(SPECS / "gallery").glob("*.yaml"), *(ROOT / "tests" / "specs-v1").glob("*.yaml")]
    verdicts = dict.fromkeys(valid, True) | {path: passes_schema(path) for path in (SPECS / "invalid").glob("*.yaml")}
    read = [path for path, verdict in verdicts.items() if verdict is not None]
    refused = {path for path in read if not verdicts[path]}
    assert len(valid) >= 25
    assert len(refused) >= 30
    assert refused_by_check_jsonschema(read) == refused


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


def repository(folder: Path) -> Path:
    """A git repository of what a folder holds."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


def test_the_hook_names_a_command_and_the_files_that_are_specs(tmp_path: Path) -> None:
    """What pre-commit reads of it, and what it would run."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    wanted = re.compile(hook["files"])
    assert [bool(wanted.search(name)) for name in ("a.pcs.yaml", "specs/b.yml", "x/specs/c.yaml")] == [True] * 3
    assert [bool(wanted.search(name)) for name in ("a.yaml", "myspecs/b.yaml", "specs/notes.md")] == [False] * 3
    (tmp_path / "wrong.pcs.yaml").write_text("version: 2\n", encoding="utf-8")
    program, *words = hook["entry"].split()
    command = [str(Path(sys.executable).with_name(program)), *words, "wrong.pcs.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "wrong.pcs.yaml:1:10: version" in done.stdout


@pytest.mark.whole
def test_the_hook_checks_the_specs_of_a_repository(tmp_path: Path) -> None:
    """As users get it: pre-commit makes a virtual environment and installs the package there (a minute of work)."""
    hooks, user = tmp_path / "hooks", tmp_path / "user"
    hooks.mkdir()
    for name in PACKAGED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, hooks / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, hooks / name)
    (user / "specs").mkdir(parents=True)
    good = (SPECS / "rabi.yaml").read_text(encoding="utf-8")
    (user / "specs" / "good.yaml").write_text(good, encoding="utf-8")
    (user / "scan.pcs.yml").write_text(good.replace("amplitude: ", "amplitud: "), encoding="utf-8")
    (user / "myspecs").mkdir()
    (user / "myspecs" / "other.yaml").write_text("not: a spec\n", encoding="utf-8")
    repository(user)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"PRE_COMMIT_HOME": str(tmp_path / "cache"), "PIP_NO_COMPILE": "1", "NO_COLOR": "1"}
    command = [
        sys.executable,
        "-m",
        "pre_commit",
        "try-repo",
        str(repository(hooks)),
        "pcs-validate",
        "--all-files",
        "--color=never",
    ]
    done = subprocess.run(command, cwd=user, env=environment, capture_output=True, text=True, timeout=900)
    said = done.stdout + done.stderr
    if "No matching distribution found for hatchling" in said:
        absent("no package index answers")
    assert done.returncode == 1, said
    assert re.search(r"^pcs-run validate\.+Failed\n- hook id: pcs-validate\n- exit code: 2$", said, re.MULTILINE), said
    assert 'scan.pcs.yml:24:32: sequence.operations[0].amplitud: unknown key "amplitud"' in said
    assert "error: 1 problem in 1 spec" in said


@pytest.mark.parametrize(
    ("problem", "annotation"),
    [
        (
            Problem(message="50 % of\nthat", file="a,b:c %.yaml", line=3, column=4, path='x["a,b:c"]', hint="::error::x"),
            '::error file=a%2Cb%3Ac %25.yaml,line=3,col=4,title=x["a%2Cb%3Ac"]::50 %25 of\\nthat%0Ahint: ::error::x',
        ),
        (
            Problem(message="100%25 %0A\r", file="s.yaml", warning=True),
            "::warning file=s.yaml,title=pcs-run validate::100%2525 %250A\\r",
        ),
    ],
)
def test_nothing_in_a_problem_ends_an_annotation_or_begins_another(problem: Problem, annotation: str) -> None:
    assert as_github(problem) == annotation
