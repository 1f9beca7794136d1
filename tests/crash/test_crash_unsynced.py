"""A power cut: what was not synced may be lost, in part or whole. From whatever the disk holds then, the run goes on.

One run is recorded: its system calls, and the state of the service after each request. From that every state is rebuilt that a
power cut could leave. In each of them the run folder must hold what was promised before the cut; and from a part of them, in the
full form from all, the run is resumed.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from crash.disk import CALLS, NETWORK, Disk, calls, write_state
from crash.extent import every
from crash.trace import needs_strace, tampering
from pcs_runner.errors import PcsRunnerError
from pcs_runner.results import jsonl
from pcs_runner.run.directory import RunFolder
from pcs_runner.run.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from crash.conftest import Lab
    from crash.disk import State
    from crash.world import Reference, World

FAMILY = "un-synced writes lost"

pytestmark = needs_strace

HEADER = b"x-snapshot"
BAREST = "all that was not synced"

NOT_PROMISED = ("cloud", "bin", "snapshots", "home", "run.log", "run.lock", "run.holder")
"""Files of others, and those of a run of which nothing is promised."""


def is_download(path: str) -> bool:
    """Whether a request only fetches results: these change nothing, and many come at once."""
    return "/results" in path


@dataclass
class Snapshots:
    """Keeps the service's state after each request, and says its number in the answer; an ASGI layer."""

    world: World
    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    app: ASGIApp | None = field(default=None, repr=False)

    def around(self, app: ASGIApp) -> ASGIApp:
        """As a layer."""
        self.app = app
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        if is_download(scope["path"]):
            await self.app(scope, receive, send)
            return
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await self.app(scope, receive, keep)
        number = self.take()
        for message in answer:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (HEADER, b"%d;" % number)]
            await send(message)

    def take(self) -> int:
        """Copy the service's store; the number of the copy."""
        self.batches.append(self.world.cloud.batches())
        number = len(self.batches) - 1
        place = self.file(number)
        place.parent.mkdir(exist_ok=True)
        with closing(sqlite3.connect(self.world.folder / "cloud" / "twin.db")) as store, closing(sqlite3.connect(place)) as copy:
            store.backup(copy)
        return number

    def file(self, number: int) -> Path:
        """Where a copy is."""
        return self.world.folder / "snapshots" / f"{number}.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a power cut could leave at one moment.

    Attributes:
        call: Number of the system call after which it happened.
        lost: What was lost.
        state: What the disk holds.
        service: Number of the snapshot that the service is at.
    """

    call: int
    lost: str
    state: State
    service: int

    def __str__(self) -> str:
        return f"cut after call {self.call}, lost: {self.lost}, service at {self.service}"


def moments(log: str, disk: Disk) -> list[Moment]:
    """Every state that a power cut could leave, once for each state that the service could be in then; the barest ones first."""
    found: dict[tuple[int, frozenset[tuple[str, bytes | None]]], Moment] = {}
    service, asked = 0, False
    for number, call in enumerate(calls(log)):
        if call.name == "sendto":
            asked = asked or not is_download(call.content(1).partition(b"\r\n")[0].decode())
        elif call.name == "recvfrom":
            _, _, after = call.content(1).partition(HEADER + b": ")
            if not after:
                continue
            service, asked = int(after.partition(b";")[0]), False
        elif not disk.apply(call):
            continue
        for lost, state in disk.states():
            for there in (service, service + 1) if asked else (service,):
                key = there, frozenset(state.items())
                if key not in found or lost == BAREST:
                    found[key] = Moment(call=number, lost=lost, state=state, service=there)
    return sorted(found.values(), key=lambda moment: moment.lost != BAREST)


@dataclass(kw_only=True)
class Recording:
    """A run that was recorded, and what it could have left."""

    lab: Lab
    world: World
    snapshots: Snapshots
    reference: Reference
    kept: Path
    moments: Sequence[Moment] = ()

    @property
    def bare(self) -> Sequence[Moment]:
        """The moments in which only what was synced is left."""
        return [moment for moment in self.moments if moment.lost == BAREST]

    def sample(self, step: int) -> Sequence[Moment]:
        """The moments to resume from; all for a step of 1."""
        return [*self.bare[:: (step + 1) // 2], *self.moments[len(self.bare) :: 1 if step == 1 else 20 * step]]

    def broken(self, moment: Moment) -> str:
        """Which promise the disk does not keep in a state, or nothing."""
        place = self.lab.place / "cut"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        write_state(moment.state, place)
        service = self.snapshots.batches[min(moment.service, len(self.snapshots.batches) - 1)]
        return broken_promise(RunFolder(place / "run"), service, self.reference.tables)

    def resume(self, moment: Moment) -> str:
        """Go on from a state while the service has what it has, and count the point; what the runner said."""
        place = self.lab.place / "cut"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        write_state(moment.state, place)
        (place / "cloud").mkdir()
        shutil.copy(self.kept / f"{min(moment.service, len(self.snapshots.batches) - 1)}.db", place / "cloud" / "twin.db")
        world = self.lab.world(self.world.variant, copy=place)
        self.lab.check(world, world.go_on(moment.call), str(moment))
        return world.said()


def broken_promise(folder: RunFolder, service: Sequence[Mapping[str, Any]], tables: Mapping[str, bytes]) -> str:
    """What a run folder must hold once the service has something of the run, and does not; or nothing."""
    if not service:
        return ""
    if not folder.is_run() or not folder.read_manifest()["digest"]:
        return "the service has a batch of a run that is not there"
    try:
        journal = Journal.open(folder.journal)
    except PcsRunnerError as error:
        return f"the journal: {error}"
    with closing(journal):
        mine = {batch.k: batch for batch in journal.batches()}
        doubtful = {chunk.k: chunk.count for chunk in journal.doubtful_chunks()}
        for there in service:
            k = int(next(tag for tag in there["tags"] if tag.count(":") == 2).rpartition(":")[2])
            if k not in mine or mine[k].id not in (None, there["id"]):
                return f"the journal does not mean batch {k}, which the service has"
            if len(there["jobs"]) > mine[k].next_position + doubtful.get(k, 0):
                return f"the journal does not mean all jobs of batch {k} that the service has"
        run, lines = journal.run(), sum(1 for _ in jsonl.whole_lines(folder.results))
    if run.recorded > lines:
        return f"{run.recorded} results are journalled, {lines} are there"
    return _broken_end(folder, tables) if run.ended else ""


def _broken_end(folder: RunFolder, tables: Mapping[str, bytes]) -> str:
    """What a run that says that it has ended lacks: nothing will ever be made again."""
    if folder.read_manifest()["state"] != "finished":
        return "the run has ended, its manifest says that it has not"
    for name, content in tables.items():
        path = folder.path / name
        if not path.is_file() or path.read_bytes() != content:
            return f"the run has ended, and {name} is not whole"
    return ""


def record(lab: Lab, world: World, command: Sequence[str]) -> Recording:
    """Carry a command out to its end, and keep everything."""
    snapshots = Snapshots(world)
    snapshots.take()
    lab.cloud.wrap(snapshots.around)
    disk = Disk(world.folder, NOT_PROMISED)
    log = lab.place / "strace.txt"
    runner = world.start(command, traced=True)
    with tampering(runner, [f"?{name}" for name in (*CALLS, *NETWORK)], "", log=log, options=["-xx", "-s", "10000000"]):
        code = runner.wait()
    lab.check(world, code, "recorded")
    kept = lab.place / "snapshots"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(world.folder / "snapshots", kept)
    found = moments(log.read_text(encoding="ascii"), disk)
    _check_model(world, next(state for lost, state in disk.states() if lost == "nothing"))
    return Recording(lab=lab, world=world, snapshots=snapshots, reference=lab.references[world.variant], kept=kept, moments=found)


def _check_model(world: World, state: State) -> None:
    """In the end the model has the files that there are."""
    paths = [path for path in world.run.rglob("*") if path.is_file() and path.name not in NOT_PROMISED]
    there = {str(path.relative_to(world.folder)): path.read_bytes() for path in paths}
    assert {path: content for path, content in state.items() if path.startswith("run/") and content is not None} == there


def fresh(lab: Lab, variant: str) -> Recording:
    """A run from its beginning to its end."""
    world = lab.world(variant)
    return record(lab, world, world.command)


def rebuilding(lab: Lab, variant: str) -> Recording:
    """A resume of a run whose journal is lost, in the middle of its results."""
    world = lab.world(variant)
    assert world.die(round(lab.references[variant].requests * 0.7), "after")
    (world.run / "journal.db").unlink()
    (world.run / "journal.db-journal").unlink(missing_ok=True)
    kept = lab.place / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    world.save(kept)
    world = lab.world(variant, copy=kept)
    return record(lab, world, ["resume", str(world.run)])


@every(24)
@pytest.mark.parametrize("variant", ["open", "several_closed"])
def test_from_whatever_a_power_cut_leaves(lab: Lab, variant: str, step: int) -> None:
    """What was promised is there in every state; and from it the run goes on, with nothing lost and nothing paid twice."""
    lab.reference(variant)
    lab.cloud.device.pace_s = 0.002
    recording = fresh(lab, variant)
    lab.cloud.device.pace_s = 0.0
    assert len(recording.moments) > 10 * len(recording.bare) > 500
    for moment in recording.moments:
        assert not (problem := recording.broken(moment)), f"{moment}: {problem}"
    for moment in recording.sample(step):
        assert "rebuilt" not in recording.resume(moment), moment


@every(12)
def test_a_power_cut_while_a_lost_journal_is_made_again(lab: Lab, step: int) -> None:
    """Nothing is promised about the journal there; what counts is that the run comes to its end, and nothing is paid twice."""
    lab.reference("open")
    recording = rebuilding(lab, "open")
    assert recording.bare
    for moment in recording.sample(step):
        recording.resume(moment)
