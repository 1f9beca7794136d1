"""The list of deliberate bugs in `mutants.py` does not rot, and its bugs are put where they are imported from."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mutants import MUTANTS, ROOT, Mutant, environment_of, verdict_on

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_old_text_stands_there_once_and_the_new_one_is_python(mutant: Mutant) -> None:
    text = mutant.path.read_text(encoding="utf-8")
    changed = mutant.changed(text)
    assert changed != text
    compile(changed, mutant.file, "exec")
    assert all((ROOT / one).is_file() for one in mutant.tests if one.startswith("tests/"))


def test_there_are_enough_and_each_has_its_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 40


def test_a_copy_wins_over_the_installation(tmp_path: Path) -> None:
    (tmp_path / "pcs_runner").mkdir()
    (tmp_path / "pcs_runner" / "__init__.py").write_text("")
    command = [sys.executable, "-P", "-c", "import pcs_runner; print(pcs_runner.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, env=environment_of(tmp_path), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "pcs_runner" / "__init__.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("new", "outcome"), [("return True, 0", "caught"), ("return len(part), offset + 0", "SURVIVED")], ids=["bug", "none"]
)
def test_a_bug_is_told_from_none(new: str, outcome: str) -> None:
    """The machinery itself: with a bug the tests fail, with a change that is none they pass."""
    alignment = ("tests/test_run_doubt.py", "-k", "alignment")
    verdict = verdict_on([Mutant("one", "run/doubt.py", "return len(part), offset", new, alignment)])
    assert (verdict.outcome, verdict.by) == (outcome, "test_run_doubt.py::test_alignment" if outcome == "caught" else "")
