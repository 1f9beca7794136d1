"""What a job's randomness depends on, and what it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcs_runner.emulator.seeding import canonical_text, job_entropy
from twin_sequences import rabi

JOB: dict[str, Any] = {"variables": {"omega": 1.5}, "runs": 10, "engine": "qutip", "config": None, "seed": 0, "index": 3}


def entropy(**changes: Any) -> tuple[int, ...]:
    return job_entropy(**{"sequence": rabi(), **JOB, **changes})


def test_versions_spelling_and_last_bits_change_nothing() -> None:
    body = json.loads(rabi())
    body["pulser_version"] = body["device"]["pulser_version"] = "99"
    respelled = json.dumps(dict(reversed(body.items())), indent=2)
    assert entropy(sequence=respelled, variables={"omega": 1.5 + 1e-15}) == entropy()
    assert entropy(variables={"omega": [1.5]}) == entropy()
    assert entropy(config='{"observables": [{"uuid": "1"}]}') == entropy(config='{"observables": [{"uuid": "2"}]}')


@pytest.mark.parametrize(
    "change",
    [
        {"variables": {"omega": 1.50001}},
        {"runs": 11},
        {"engine": "other"},
        {"config": "{}"},
        {"seed": 1},
        {"index": 4},
        {"sequence": '{"another": 1}'},
    ],
)
def test_everything_else_does(change: dict[str, Any]) -> None:
    assert entropy(**change) != entropy()


def test_the_hash_is_pinned() -> None:
    """A change of this number changes the results of every seeded run: say so in the changelog."""
    what = {**JOB, "sequence": '{"a": [1.0, 0.1]}'}
    assert f"{job_entropy(**what)[0]:064x}"[:16] == "a8165ce86696637d"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists))
def test_canonical_text_is_stable_json(value: Any) -> None:
    assert canonical_text(json.loads(canonical_text(value))) == canonical_text(value)
