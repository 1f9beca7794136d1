"""Version 1 is a promise: a spec that was valid once stays valid, and stays the same experiment.

The specs in `specs-v1` and their digests in `specs-v1/digests.json` are frozen: none of these files is ever edited, whatever the
language, the schema or the models become. A digest that changes would make a finished run unknown, and somebody would pay it
twice. When one of these tests fails, the code is wrong. New files may be added, each with its digest.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pcs_runner
from pcs_runner.errors import SpecError
from pcs_runner.spec.document import parse_document
from pcs_runner.spec.schema import validate

FOLDER = Path(__file__).resolve().parent / "specs-v1"
DIGESTS: dict[str, str] = json.loads((FOLDER / "digests.json").read_text(encoding="utf-8"))


def test_every_frozen_spec_has_its_digest() -> None:
    assert {path.name for path in FOLDER.glob("*.yaml")} == DIGESTS.keys()
    assert len(DIGESTS) >= 30


@pytest.mark.parametrize("name", DIGESTS)
def test_a_spec_of_yesterday_is_valid_and_the_same_experiment(name: str) -> None:
    plan = pcs_runner.plan(FOLDER / name)
    assert plan.digest == DIGESTS[name]


@pytest.mark.parametrize("version", ["2", "10", "2.0", "0", "'1'", "one"])
def test_another_version_is_refused_with_what_to_do(version: str, tmp_path: Path) -> None:
    """Of a newer spec nothing else is said: its other keys are not ours to judge."""
    text = f"name: a\nversion: {version}\nnew_key: {{of: 2}}\n"
    with pytest.raises(SpecError) as caught:
        validate(parse_document(text.encode(), file="s.yaml", folder=tmp_path))
    first = next(problem for problem in caught.value.problems if problem.path == "version")
    assert (first.line, first.column) == (2, 10)
    if version in ("2", "10"):
        assert str(first) == f"s.yaml:2:10: version: this spec is version {version}; this pcs-runner reads version 1"
        assert first.hint == "upgrade: pip install --upgrade pcs-runner"
        assert caught.value.problems == (first,)
    else:
        assert "upgrade" not in first.hint
    assert caught.value.exit_code == 2
