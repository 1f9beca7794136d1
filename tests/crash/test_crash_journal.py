"""A journal that is missing, damaged, of an earlier moment or of another run: rebuilt, or refused with 3; never sent again."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from crash.extent import every, points
from crash.world import TOTAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from crash.conftest import Lab
    from crash.world import World

FAMILY = "journal lost or damaged"

DEATHS = {
    "created": (r"POST \S+/batches$", 1),
    "half sent": (r"POST \S+/batches\S*", 3),
    "looked": (r"GET \S+/status$", 1),
    "collecting": (r"GET \S+/results_link$", 3),
}
"""Which request, and which of those, a run dies at, after it was carried out."""

VARIANTS = ("open", "several", "retries", "closed")
STATES = [(variant, when) for variant in VARIANTS for when in (*DEATHS, "ended") if (variant, when) != ("closed", "half sent")]


PAGE = 4096
"""Bytes of a page of the journal."""


def die_at(world: World, when: str) -> None:
    """Run, or go on, until the death of this name, or the end."""
    if when == "ended":
        assert world.carry_out(world.command) == 0
        return
    pattern, n = DEATHS[when]
    assert world.die(n, "after", counts=lambda request: re.fullmatch(pattern, request) is not None)


def kept(lab: Lab, variant: str, when: str) -> Path:
    """A copy of a world in which a run died, made once a session."""
    copy = lab.place / f"kept-{variant}-{when.replace(' ', '-')}"
    if not copy.exists():
        lab.reference(variant)
        lab.pace_s = 0.004
        world = lab.world(variant)
        die_at(world, when)
        world.save(copy)
    return copy


def survive(lab: Lab, copy: Path, variant: str, what: str, damage: Callable[[World], object], number: int = 0) -> None:
    """Damage a copy and go on. Where that is refused, in one message, nothing was sent twice, and the old journal mends it."""
    lab.reference(variant)
    world = lab.world(variant, copy=copy)
    damage(world)
    code = world.go_on(number)
    if code == 3:
        assert world.said().count("error:") == 1, f"{what}: {world.said()}"
        assert "Traceback" not in world.said(), f"{what}: {world.said()}"
        assert sum(len(batch["jobs"]) for batch in world.cloud.batches()) <= TOTAL, f"{what}: sent twice:\n{world.said()}"
        shutil.copy2(copy / "run" / "journal.db", world.run / "journal.db")
        code = world.go_on(number)
    lab.check(world, code, what)


def flip(path: Path, at: int) -> None:
    """Turn all bits of a byte."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


def losses(lab: Lab, variant: str) -> Iterator[tuple[str, Callable[[World], object]]]:
    """Ways to lose a journal, beside a part of it."""
    yield "missing", lambda world: (world.run / "journal.db").unlink()
    yield "empty", lambda world: (world.run / "journal.db").write_bytes(b"")
    yield "garbage", lambda world: (world.run / "journal.db").write_bytes(bytes(range(256)) * 64)
    yield "another file", lambda world: (world.run / "journal.db").write_bytes(world.spec.read_bytes())

    def of(copy: Path) -> Callable[[World], object]:
        return lambda world: (world.run / "journal.db").write_bytes((copy / "run" / "journal.db").read_bytes())

    other = "closed" if variant != "closed" else "open"
    yield "of another run", of(kept(lab, other, "looked"))

    def without_results(world: World) -> None:
        (world.run / "journal.db").unlink()
        (world.run / "results.jsonl").unlink(missing_ok=True)

    yield "missing, and the results too", without_results

    def torn_results(world: World) -> None:
        (world.run / "journal.db").unlink()
        content = world.content("results.jsonl")
        if content:
            (world.run / "results.jsonl").write_bytes(content[: len(content) // 2])

    yield "missing, and the results torn", torn_results
    yield "the whole folder is gone", lambda world: shutil.rmtree(world.run)


@every(8)
@pytest.mark.parametrize(("variant", "when"), STATES)
def test_a_journal_that_is_lost(lab: Lab, variant: str, when: str, step: int) -> None:
    copy = kept(lab, variant, when)
    every_loss = list(losses(lab, variant))
    for number in range(sum(f"{variant}{when}".encode()) % step, len(every_loss), step):
        what, damage = every_loss[number]
        survive(lab, copy, variant, f"{when}: {what}", damage, number)


@every(3)
@pytest.mark.parametrize("variant", ["open", "several"])
def test_a_journal_of_an_earlier_moment(lab: Lab, variant: str, step: int) -> None:
    """As from a backup: the run went on since, and the service knows more."""
    lab.reference(variant)
    pairs = [(a, b) for a in ("created", "half sent", "looked") for b in ("looked", "collecting", "ended") if a != b]
    for number, (first, second) in enumerate(pairs[sum(variant.encode()) % step :: step]):
        world = lab.world(variant)
        die_at(world, first)
        old = (world.run / "journal.db").read_bytes()
        die_at(world, second)
        (world.run / "journal.db").write_bytes(old)
        lab.check(world, world.go_on(number), f"the journal of {first} at {second}")


@every(30)
@pytest.mark.parametrize("when", ["looked", "ended"])
def test_a_journal_that_is_cut(lab: Lab, when: str, step: int) -> None:
    """At the ends of pages and between them."""
    copy = kept(lab, "open", when)
    size = (copy / "run" / "journal.db").stat().st_size
    for n in points(step, when):
        length = n * 1024 - (n % 3)
        if length >= size:
            return

        def cut(world: World, length: int = length) -> None:
            with (world.run / "journal.db").open("r+b") as file:
                file.truncate(length)

        survive(lab, copy, "open", f"{when}: cut to {length} of {size} bytes", cut, n)


@every(451, 5)
@pytest.mark.parametrize("when", ["half sent", "looked", "ended"])
def test_a_journal_with_a_wrong_byte(lab: Lab, when: str, step: int) -> None:
    """In each byte that says something: free space is zero, and the schema fills the first page."""
    copy = kept(lab, "open", when)
    content = (copy / "run" / "journal.db").read_bytes()
    used = [at for at, byte in enumerate(content) if byte and (at >= PAGE or at % 20 == 0)]
    for at in used[sum(when.encode()) % step :: step]:
        survive(lab, copy, "open", f"{when}: byte {at}", lambda world, at=at: flip(world.run / "journal.db", at), at)  # type: ignore[misc]


@every(4)
def test_an_embedded_run_whose_journal_is_lost(lab: Lab, step: int) -> None:
    """The twin's store lies in the run folder and is the service: it says what was sent, and has the results."""
    lab.reference("open")
    copy = lab.place / "kept-embedded"
    world = lab.world()
    command = [str(world.spec), "-t", "local", "-o", str(world.run), "--workers", "1", "-q"]
    assert world.carry_out(command) == 0, world.said()
    world.save(copy)
    every_loss = [one for one in losses(lab, "open") if "folder" not in one[0]]
    for number, (what, damage) in enumerate(every_loss[1::step]):
        for lines in (0, 3, TOTAL)[number % 3 :: step]:
            world = lab.world(copy=copy)
            results = world.content("results.jsonl").splitlines(keepends=True)
            (world.run / "results.jsonl").write_bytes(b"".join(results[:lines]) + (b'{"index":' if lines == 3 else b""))
            damage(world)
            code = world.carry_out(command)
            world.cloud.open(world.run)
            lab.check(world, code, f"embedded: {what}, {lines} results")
