"""A disk that is full or broken, at any write or from there on: one clear message, and resumed when it is mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crash.extent import every, points
from crash.trace import needs_strace, tampering

if TYPE_CHECKING:
    from pathlib import Path

    from crash.conftest import Lab
    from crash.world import World

FAMILY = "full or broken disk"

pytestmark = needs_strace

WRITES = ("write", "pwrite64")
CALLS = {
    "write": WRITES,
    "sync": ("fsync", "fdatasync"),
    "name": ("?rename", "?renameat", "renameat2", "?mkdir", "mkdirat"),
    "open": ("openat",),
}
"""What fails. A full disk refuses writes; a broken one anything."""


def files_of(world: World) -> list[Path]:
    """Every path of the run folder, those too that are only there for a while."""
    run = world.run
    there = [run, *(path for path in run.rglob("*")), run / "journal.db-journal", run / ".incomplete", run / "results.csv"]
    return [*there, *(path.with_name(f".{path.name}.new") for path in there), run / "run.holder", run / "run.lock"]


def fail_at(world: World, kind: str, how: str, paths: list[Path]) -> int | None:
    """Run with a disk that fails; its exit code."""
    runner = world.start(world.command, name="failed", traced=True)
    with tampering(runner, CALLS[kind], how, paths=paths, log=world.folder / "strace.txt"):
        return runner.wait()


@every(110)
@pytest.mark.parametrize("lasting", [True, False], ids=["from then on", "once"])
@pytest.mark.parametrize(
    ("error", "kind"), [("ENOSPC", "write"), ("EIO", "write"), ("EIO", "sync"), ("EIO", "name"), ("ENOSPC", "open")]
)
def test_a_disk_that_fails(lab: Lab, error: str, kind: str, lasting: bool, step: int) -> None:
    lab.reference("open")
    world = lab.world()
    assert world.carry_out(world.command) == 0
    paths = files_of(world)
    for n in points(step, f"{error}{kind}{lasting}", 6):
        world = lab.world()
        code = fail_at(world, kind, f"error={error}:when={n}{'+' if lasting else ''}", paths)
        said = (world.folder / "failed.txt").read_text(encoding="utf-8")
        where = f"{error} at {kind} {n}{' and on' if lasting else ''}: exit code {code}\n{said}"
        if code == 0 and "INJECTED" not in (world.folder / "strace.txt").read_text(encoding="utf-8", errors="replace"):
            return
        assert code in (0, 2, 3), where
        assert code != 2 or not world.cloud.batches(), where
        assert "Traceback" not in said, where
        assert said.count("error:") == (code != 0), where
        lab.check(world, code if code == 0 else world.go_on(n), where)
