"""Several processes at once on one run: one carries it out, the others say who, and no job is sent twice."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest

from crash.extent import every

if TYPE_CHECKING:
    from crash.conftest import Lab

FAMILY = "several processes at once"

ROUNDS = 12


@every(ROUNDS)
@pytest.mark.parametrize("own", [True, False], ids=["own folder", "default folder"])
@pytest.mark.parametrize("count", [2, 20])
def test_many_processes_on_one_run(lab: Lab, count: int, own: bool, step: int) -> None:
    """All start at the same moment; whoever does not get the run leaves with 3, or with 0 when it has ended by then."""
    lab.reference("open")
    lab.pace_s = 0.05
    for _ in range(0, ROUNDS, step):
        world = lab.world(own=own)
        runners = [world.start(world.command, name=f"said-{number}") for number in range(count)]
        codes = [runner.wait() for runner in runners]
        assert set(codes) <= {0, 3}, [runner.said() for runner, code in zip(runners, codes, strict=True) if code not in (0, 3)]
        winners = {runner.pid for runner, code in zip(runners, codes, strict=True) if code == 0}
        assert winners
        for runner, code in zip(runners, codes, strict=True):
            if code == 3:
                assert any(f"is held by process {pid} on {platform.node()}" in runner.said() for pid in winners), runner.said()
        assert len(list(world.folder.rglob("journal.db"))) == 1
        lab.check(world, 0, f"{count} processes")
        lab.tally.points += count - 1
