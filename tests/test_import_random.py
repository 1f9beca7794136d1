"""Random sequences over the whole operation set become specs that compile to the same sequence."""

from __future__ import annotations

import pytest

from pcs_runner.errors import UsageError
from pcs_runner.plan.importing import import_sequence
from random_operations import KINDS, Maker
from test_import_tutorials import compiled, printed_by_pulser

RENAMED = ("pi", "min", "my name")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.whole) for seed in range(100, 106))])
def test_round_trip(kind: str, seed: int) -> None:
    sequence = Maker(seed).make(kind)
    whole = printed_by_pulser(sequence)
    try:
        spec = import_sequence(sequence.to_abstract_repr().encode(), "sequence.json").text
    except UsageError as error:  # for example the root of -omega**2
        if "for which all expressions of the sequence are finite numbers" not in error.message:
            raise
        return
    if not set(RENAMED) & set(whole["variables"]):
        assert printed_by_pulser(compiled(spec)) == whole
    else:
        assert len(compiled(spec).declared_variables) == len(whole["variables"])
