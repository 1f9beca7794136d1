"""Every sequence of the tutorials becomes a spec that compiles to the same sequence."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from pcs_runner.plan import make_plan
from pcs_runner.plan.importing import import_sequence
from pcs_runner.sequence.importing.source import printed, without_versions
from pcs_runner.spec.document import parse_document
from pulser_tutorials import TUTORIALS, made


def compiled(spec: str) -> Any:
    """The `pulser.Sequence` that a spec compiles to, variables left open."""
    from pulser import Sequence

    plan = make_plan(parse_document(spec.encode(), file="spec.yaml", folder=Path()))
    (only,) = plan.sequence_ids
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Sequence.from_abstract_repr(plan.sequence(only))


def printed_by_pulser(sequence: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return without_versions(json.loads(sequence.to_abstract_repr()))


@pytest.mark.parametrize("name", TUTORIALS)
def test_round_trip(name: str) -> None:
    sequence = made(name)
    whole = printed_by_pulser(sequence)
    spec = import_sequence(json.dumps(whole | {"pulser_version": "1.9.1"}).encode(), "sequence.json").text
    again = printed_by_pulser(compiled(spec))
    assert printed(compiled(spec)) == {key: value for key, value in whole.items() if key != "name"}
    assert again == whole
