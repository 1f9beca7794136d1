"""The documentation: it builds without a warning, its specs are valid, and its commands do what is printed under them.

Convention of the pages: a block whose first line is `# NAME.yaml` is a file; a `console` block holds commands after `$ ` and what
they print (`...` alone is any lines, inside a line any text); other `yaml` blocks are a spec, or keys in the place of
those of `BASE`; `python` blocks of a page run one after another. A page runs in a folder of its own, with a twin as its cloud.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

import pcs_runner
from pcs_runner.spec.models import Spec
from twin_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "spec-reference")

BLOCK = re.compile(r"^```(?P<kind>[a-z]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (?P<name>[\w.-]+\.(yaml|py|csv))\n")

BASE = """\
version: 1
name: example
sequence:
  device: MockDevice
  register: {q0: [0, 0]}
  channels: {ising: rydberg_global}
  operations: [{op: pulse, duration: t, amplitude: omega, detuning: delta}]
  measurement: ground-rydberg
jobs: {runs: 100, let: {omega: 6, delta: 0, t: 252}}
"""
SPEC_KEYS = set(Spec.model_fields)

NOT_RUN = {
    "pcs-run login": "asks for a password",
    "pcs-run serve": "runs until it is stopped",
    "tcp://": "a cluster that runs elsewhere",
    "scheduler": "a cluster that runs elsewhere",
    "spec.yaml": "stands for the reader's spec",
    "SPEC": "stands for the reader's spec",
    "RUN": "stands for a run folder",
}
"""What of a command in a `sh` block keeps it from being run here, and why."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    kind: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that it is, or None."""
        found = FILE.match(self.text)
        return found["name"] if found else None


def blocks(page: str) -> list[Block]:
    """Of a page, in order."""
    return [Block(found["kind"], found["text"]) for found in BLOCK.finditer((DOCS / f"{page}.md").read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The environment of a user whose cloud is a twin."""
    home = str(tmp_path_factory.mktemp("home"))
    with serving("--workers", "1") as twin:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        yield {
            **os.environ,
            **twin.environment,
            "PCS_RUNNER_POLL_S": "0.1",
            "PATH": path,
            "HOME": home,
            "XDG_CACHE_HOME": home,
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("_build", "__pycache__"))
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(source), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    for page in [*PAGES, "spec-reference"]:
        assert (tmp_path / "site" / f"{page}.html").stat().st_size > 1000
    reference = (source / "spec-reference.md").read_text(encoding="utf-8")
    assert "| `post_phase_shift` |" in reference
    assert "see there" not in reference, "a key whose type the page cannot say"


@pytest.mark.parametrize("page", PAGES)
def test_specs_of_a_page_are_valid(page: str, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.kind != "yaml" or block.file is not None:
            continue
        content = yaml.safe_load(block.text)
        if not isinstance(content, dict) or not set(content) <= SPEC_KEYS or "steps" in block.text:
            continue  # another tool's file
        spec = tmp_path / "spec.yaml"
        spec.write_text(yaml.safe_dump({**yaml.safe_load(BASE), **content}, sort_keys=False), encoding="utf-8")
        pcs_runner.plan(spec)


@pytest.mark.parametrize("page", [page for page in PAGES if any(one.kind == "console" for one in blocks(page))])
def test_commands_of_a_page_print_what_it_says(page: str, tmp_path: Path, cloud: Mapping[str, str]) -> None:
    ran = 0
    for block in blocks(page):
        if block.file is not None:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
        elif block.kind == "console":
            for command, expected in console(block.text):
                said = in_shell(command, tmp_path, cloud)
                assert re.fullmatch(pattern(expected), said), f"{command}\n--- printed\n{said}\n--- expected\n{expected}"
                ran += 1
        elif block.kind == "python":
            done = subprocess.run(
                [sys.executable, "-c", block.text], cwd=tmp_path, env=dict(cloud), capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
    assert ran > 0


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_sh_blocks_are_known(page: str) -> None:
    """Those that cannot be run here are at least commands and options that exist; the others belong into a `console` block."""
    for block in blocks(page):
        for line in block.text.splitlines() if block.kind == "sh" else ():
            if not line.startswith("pcs-run "):
                continue
            assert any(word in line for word in NOT_RUN), f"{page}.md: {line}: make it a console block, or say why it cannot run"
            helped = [*line.split("#")[0].split()[1:2], "--help"]
            words = subprocess.run([sys.executable, "-m", "pcs_runner", *helped], capture_output=True, text=True)
            assert words.returncode == 0, line
            for option in re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", line.split("#")[0]):
                assert re.search(rf"(?<![\w-]){option}(?![\w-])", words.stdout), f"{line}: no option {option}"


def console(text: str) -> list[tuple[str, str]]:
    """Commands of a block and what the page says they print."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(command, expected) for command, _, expected in (part.partition("\n") for part in parts)]


def in_shell(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """What a command prints, both streams as a terminal shows them; `$?` is that of the command before."""
    status = folder / ".status"
    before = status.read_text() if status.exists() else "0"
    script = f"(exit {before.strip()})\n{command}\necho $? > .status\n"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.stdout


def pattern(expected: str) -> str:
    """A regular expression of the lines that are expected."""
    lines = ["(?:.*\n)*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n" for line in expected.splitlines()]
    return "".join(lines)
