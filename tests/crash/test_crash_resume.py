"""SIGKILL while resuming: a run that died goes on and dies again, at every request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crash.cloud import MOMENTS
from crash.extent import FEWEST, every, points

if TYPE_CHECKING:
    from crash.conftest import Lab

FAMILY = "kill during resume"


@every(30)
@pytest.mark.parametrize("when", MOMENTS)
@pytest.mark.parametrize(("variant", "first"), [("open", 6), ("open", 12), ("several", 9), ("closed", 9), ("retries", 18)])
def test_death_at_every_request_of_a_resume(lab: Lab, variant: str, first: int, when: str, step: int) -> None:
    """The first death comes at that request; each second one in a copy of what it left."""
    lab.reference(variant)
    world = lab.world(variant)
    assert world.die(first, "after")
    kept = lab.place / "kept"
    world.save(kept)
    for n in points(step, variant + when, FEWEST - first):
        world = lab.world(variant, copy=kept)
        if not world.die(n, when, world.resumption(n)):
            assert n > FEWEST - first
            return
        lab.check(world, world.go_on(n + 1), f"killed at request {first}, then at {n}, {when}")
