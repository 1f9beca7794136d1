"""Two blows: a fault, and then SIGKILL while the run gets over it."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

import pytest

from crash.cloud import MOMENTS
from crash.extent import every, points
from crash.world import Allowed

if TYPE_CHECKING:
    from crash.conftest import Lab

FAMILY = "fault, then kill"

FAULTS = (
    "status=502, body=html, when=after",
    "status=502, body=html",
    "reset, when=after",
    "close",
    "body=garbage, when=after",
    "status=401",
    "expire=token",
    "late=0.03",
    "store=1, reset",
)
LATER = (0, 1, 2, 4)
"""How many requests after the fault the runner dies; 0: at the same one."""


@every(40)
@pytest.mark.parametrize("variant", ["open", "several_closed"])
@pytest.mark.parametrize("fault", FAULTS)
def test_death_after_a_fault(lab: Lab, variant: str, fault: str, step: int) -> None:
    """At every request a fault; then a death soon after it, each time at another distance and moment."""
    most = lab.reference(variant).requests
    for n in takewhile(lambda n: n <= most, points(step, variant + fault)):
        later, when = LATER[n % len(LATER)], MOMENTS[n % len(MOMENTS)]
        world = lab.world(variant, faults=[f"* /** #{n}: {fault}"])
        world.die(n + later, when, others=(3,))
        allowed = Allowed(parted="store" in fault and variant == "several_closed")
        lab.check(world, world.go_on(n), f"{fault} at request {n}, killed {later} later, {when}", allowed)


@every(3)
@pytest.mark.parametrize("fault", ["store=0", "store=1, reset", "store=2, status=500", "late=0.03, reset", "reset, when=after"])
def test_death_after_a_chunk_in_doubt(lab: Lab, fault: str, step: int) -> None:
    """At each of the next requests: while the tail is read, and while the rest is sent."""
    lab.reference("open")
    for later in points(step, fault):
        if later > 6:
            return
        for chunk in (1, 2, 3)[later % step :: step]:
            rule = f"POST /api/v2/batches/*/jobs #{chunk}: {fault}"
            world = lab.world(faults=[rule])
            fired = world.cloud.faults.book.fired
            world.die(later, MOMENTS[(chunk + later) % 3], others=(3,), counts=lambda _, fired=fired: bool(fired()))  # type: ignore[misc]
            lab.check(world, world.go_on(later), f"{rule}, killed {later} requests later")
