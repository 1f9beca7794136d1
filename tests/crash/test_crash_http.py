"""SIGKILL at every HTTP boundary: before a request is carried out, after it, and after its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crash.cloud import MOMENTS
from crash.extent import FEWEST, every, points
from crash.world import VARIANTS

if TYPE_CHECKING:
    from crash.conftest import Lab

FAMILY = "kill at HTTP boundary"


@every(17)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("when", MOMENTS)
def test_death_at_every_request(lab: Lab, variant: str, when: str, step: int) -> None:
    """Run, die at the n-th request, go on: by the same command and by `resume` in turn."""
    lab.reference(variant)
    lab.pace_s = 0.004
    for n in points(step, variant + when):
        world = lab.world(variant)
        if not world.die(n, when):
            assert n > FEWEST
            return
        lab.check(world, world.go_on(n), f"killed at request {n}, {when}")


@every(14)
@pytest.mark.parametrize("variant", ["open", "several_closed"])
def test_death_again_and_again(lab: Lab, variant: str, step: int) -> None:
    """A run that dies at every so-manieth request comes to its end, whatever number that is."""
    lab.reference(variant)
    for apart in range(24, 38, step):
        world, deaths = lab.world(variant), 0
        while world.die(apart + deaths % 3, MOMENTS[deaths % 3], world.command):
            deaths += 1
            assert deaths < 40, "it does not get on"
        lab.check(world, 0, f"killed {deaths} times, {apart} requests apart")
