"""Every file in `specs/invalid` is refused with the messages, and the hints, that its first lines promise, and with no others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pcs_runner

if TYPE_CHECKING:
    from pcs_runner.errors import Problem

FOLDER = Path(__file__).resolve().parent.parent / "specs" / "invalid"
SPECS = sorted(FOLDER.glob("*.yaml"))
MARKS = ("# expect: ", "# warning: ", "# hint: ")


def promised(path: Path) -> list[str]:
    """The lines of the header that promise something; `{folder}` stands for the folder of the specs."""
    header = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if line.startswith(MARKS):
            header.append(line.replace("{folder}", str(FOLDER)))
    return header


def said(problems: list[Problem], path: Path) -> list[str]:
    """The problems as a header would promise them."""
    lines = []
    for problem in problems:
        mark = "warning" if problem.warning else "expect"
        lines.append(f"# {mark}: {str(problem).removeprefix(f'{path}:')}")
        if problem.hint:
            lines.append(f"# hint: {problem.hint}")
    return lines


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_spec_is_refused_in_the_words_of_its_header(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # no device has been pulled from the cloud
    assert said(pcs_runner.validate(path), path) == promised(path)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_header_says_what_the_mistake_is_and_promises_something(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert not first.startswith(MARKS)
    assert promised(path)


def test_the_corpus_is_found() -> None:
    assert len(SPECS) >= 100
