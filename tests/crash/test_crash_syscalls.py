"""SIGKILL at every system call of the runner that changes a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crash.extent import every, points
from crash.trace import CHANGING, creations, needs_strace, tampering
from crash.world import DEATH, REPORTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crash.conftest import Lab
    from crash.world import World

FAMILY = "kill at system call"

pytestmark = needs_strace

MISSES = 5
"""Runs that end before the n-th call, after which nothing is left to be tried."""


def die_at(world: World, calls: Sequence[str], n: int) -> bool:
    """Run until the n-th of these calls, which is not carried out; whether it came so far."""
    runner = world.start(world.command, name="killed", traced=True)
    with tampering(runner, calls, f"signal=KILL:when={n}", log=world.folder / "strace.txt"):
        code = runner.wait()
    assert code in (DEATH, 0), f"{code}: {runner.said()}"
    return code == DEATH


@every(130)
@pytest.mark.parametrize("variant", [REPORTED, "several_closed", "retries"])
def test_death_at_every_change_of_a_file(lab: Lab, variant: str, step: int) -> None:
    lab.reference(variant)
    lab.pace_s = 0.004
    whole = 0
    for n in points(step, variant, 130):
        world = lab.world(variant)
        if die_at(world, CHANGING, n):
            lab.check(world, world.go_on(n), f"killed at call {n}")
            continue
        assert n > 150
        whole += step  # runs differ in how often they look, and so in their calls
        if whole >= MISSES:
            return


@every(14)
def test_death_before_every_file_that_is_made(lab: Lab, step: int) -> None:
    """Before an `openat` that makes a file, so that it is not even there and empty."""
    lab.reference("open")
    world = lab.world()
    runner = world.start(world.command, traced=True)
    with tampering(runner, ["openat"], "", log=world.folder / "strace.txt"):
        assert runner.wait() == 0
    for n in creations(world.folder / "strace.txt")[::step]:
        world = lab.world()
        if die_at(world, ["openat"], n):
            lab.check(world, world.go_on(n), f"killed at openat {n}")
