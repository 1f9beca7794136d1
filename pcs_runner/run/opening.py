"""Opening a run: which folder it has, who holds it, what its journal says, who carries it out."""

from __future__ import annotations

import errno
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import InterruptedRunError, PcsRunnerError, StorageError, UsageError
from pcs_runner.run import directory, found, lock, manifest, rebuild, reuse
from pcs_runner.run.connect import connect, patience_s, settle_s
from pcs_runner.run.directory import RunFolder
from pcs_runner.run.events import Event, EventLog
from pcs_runner.run.journal import DamagedJournalError, Journal
from pcs_runner.run.outcome import check_journal, open_run
from pcs_runner.run.reuse import Reused
from pcs_runner.run.session import Effects, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pcs_runner.pcs.protocol import Client
    from pcs_runner.plan import Plan, Target
    from pcs_runner.run.estimate import Estimate
    from pcs_runner.run.events import OnEvent
    from pcs_runner.run.outcome import Run

    ClientFactory = Callable[[Target, Path, int | None], Client]

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a run is carried out with.

    Attributes:
        on_event: Called with what happens.
        workers: Worker processes of the embedded twin.
        cost: What the service said that it costs, or None.
        client_factory: Makes the client.
        effects: Clock, sleep and uuid.
    """

    on_event: OnEvent | None = None
    workers: int | None = None
    cost: Estimate | None = None
    client_factory: ClientFactory = connect
    effects: Effects = field(default_factory=Effects)

    def tell(self, event: Event) -> None:
        """Pass an event on that comes before or after the run's log is open."""
        if self.on_event is not None:
            self.on_event(event)

    def connect(self, plan: Plan, folder: Path) -> Client:
        """The client for a plan."""
        return self.client_factory(plan.target, folder, self.workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The folder of a run.

    Attributes:
        folder: The folder; it is a run.
        made: Whether it was made just now; otherwise the run is an earlier one.
        existed: Whether the folder was there before.
        client: For a cloud it was asked already, else None.
    """

    folder: RunFolder
    made: bool = False
    existed: bool = True
    client: Client | None = None


@contextmanager
def found_or_made(
    plan: Plan, means: Means, stack: ExitStack, *, output: Path | None, new: bool, overrides: Mapping[str, Any]
) -> Iterator[Place]:
    """The run folder to use; during the block no other process finds or makes one for this plan.

    For a cloud a new folder is made only when the client can be had and the service has been asked for runs of this plan: one
    that this machine has no folder for gets one, without a journal, which is then rebuilt.
    """
    if output is not None:
        if RunFolder(output).is_run():
            yield Place(folder=_same_plan(RunFolder(output), plan, new))
        else:
            directory.check_free(output)
            yield _made(plan, means, stack, output, new, overrides)
        return
    parent = Path(plan.spec.results.directory) / plan.name
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{parent} cannot be made: {error.strerror or error}", hint="Choose another folder with -o.") from error
    with lock.finding(parent, plan.digest):
        earlier = None if new else _earlier_run(parent, plan.digest)
        if earlier is not None:
            yield Place(folder=earlier)
        else:
            yield _made(plan, means, stack, directory.new_path(parent, plan.digest, means.effects.now()), new, overrides)


@contextmanager
def session(plan: Plan, place: Place, means: Means) -> Iterator[Session]:
    """Journal, client and log of a held run; whatever ends the block, they are let go, and the error says how to go on.

    A journal that is missing, damaged or another run's is rebuilt.
    """
    folder = place.folder
    with ExitStack() as stack:
        client = place.client or (_connected_or_discarded(plan, place, means) if place.made else None)
        if client is not None:
            stack.callback(client.close)
        log = EventLog(folder.log, means.on_event)
        stack.callback(log.close)
        opened: list[Session] = []
        with _told(folder, log, opened):
            uuid = str(folder.read_manifest()["run"])
            journal, lost = _journal(folder, plan, uuid)
            stack.callback(lambda: _close(opened, journal))
            late_s, patience = settle_s(plan.target), patience_s()
            if client is None:
                client = means.connect(plan, folder.path)
                stack.callback(client.close)
            if hasattr(client, "on_wait"):
                client.on_wait = lambda reason, seconds: log(Event(kind="waiting", message=reason, seconds=seconds))
            opened.append(
                Session(
                    plan=plan,
                    client=client,
                    journal=journal,
                    folder=folder,
                    reused=Reused(folder),
                    emit=log,
                    effects=means.effects,
                    settle_s=late_s,
                    patience_s=patience,
                    uuid=uuid,
                    state=journal.run().state,
                )
            )
            if lost is not None:
                log(Event(kind="waiting", message=f"{lost.message}: it is rebuilt from the service", seconds=late_s))
                rebuild.rebuild(opened[0], state=rebuild.noted_state(folder))
            run = opened[0].journal.run()
            if run.recorded or opened[0].journal.batches():
                log(Event(kind="resumed", message=str(folder.path), number=run.recorded, total=run.total))
            yield opened[0]


def readable(folder: Path) -> Run | None:
    """The run in a folder, or None when its journal has to be rebuilt first.

    Raises:
        UsageError: It is not a run folder.
    """
    try:
        return open_run(folder)
    except DamagedJournalError:
        return None


def check_plan(plan: Plan, folder: RunFolder) -> Plan:
    """The plan, when it is the one that the run was started with.

    Raises:
        UsageError: The spec gives another one.
    """
    digest = str(folder.read_manifest().get("digest"))
    if plan.digest != digest:
        raise UsageError(
            f"the spec in {folder.path} gives another plan ({plan.digest[:8]}) than the run was started with ({digest[:8]})",
            hint="Restore spec.yaml, inputs/ and manifest.json there.",
        )
    return plan


def _made(plan: Plan, means: Means, stack: ExitStack, path: Path, new: bool, overrides: Mapping[str, Any]) -> Place:
    client, earlier, existed = None, None, path.exists()
    if plan.target.backend != "local":
        client = means.connect(plan, path)
        stack.callback(client.close)
        earlier = None if new else found.earlier_run(client, plan.digest)
    uuid, now = earlier or means.effects.new_uuid(), means.effects.now()

    def content(folder: RunFolder) -> None:
        sequences = ((name, plan.sequence(name)) for name in plan.sequence_ids)
        directory.write_inputs(folder, plan.document.data_bytes, plan.inputs, sequences)
        body = manifest.build(plan, uuid=uuid, created=now, overrides=overrides, workers=means.workers)
        there = found.contents_of(client, earlier) if client is not None and earlier is not None and plan.target.reuse else None
        taken_over = reuse.write(folder, plan, there)
        body["cost"] = None if means.cost is None else means.cost.summary()["cost"]
        body["reuse"] = None if taken_over is None else taken_over.summary()
        if earlier is not None:
            body["times"]["started"] = manifest.stamp(now)
            body["adopted"] = True
        manifest.write(folder, body)
        if earlier is None:
            _make_journal(folder, plan, uuid)

    folder = directory.make(path, content)
    if str(folder.read_manifest()["run"]) != uuid:  # another process made it while we were about to
        return Place(folder=_same_plan(folder, plan, new), client=client)
    if earlier is not None:
        means.tell(Event(kind="run_adopted", message=earlier))
    return Place(folder=folder, made=True, existed=existed, client=client)


def _make_journal(folder: RunFolder, plan: Plan, uuid: str) -> None:
    """A new journal, in which what is taken over from earlier runs has ended already."""
    Journal.create(folder.journal, uuid=uuid, digest=plan.digest, total=plan.total_jobs)
    taken_over = Reused(folder)
    if taken_over:
        journal = Journal.open(folder.journal)
        try:
            journal.take_over(taken_over.rows(plan))
        finally:
            journal.close()


def _same_plan(folder: RunFolder, plan: Plan, new: bool) -> RunFolder:
    digest = str(folder.read_manifest().get("digest"))
    if digest != plan.digest:
        raise UsageError(
            f"{folder.path} holds a run of another plan ({digest[:8]}, not {plan.digest[:8]})", hint="Choose another folder."
        )
    if new:
        raise UsageError(f"{folder.path} holds a run of this plan already", hint="Choose another folder, or leave --new away.")
    return folder


def _earlier_run(parent: Path, digest: str) -> RunFolder | None:
    """The latest unfinished run of the plan, else the latest finished one; one whose journal is lost is not finished."""
    folders = [folder for folder in directory.candidates(parent, digest) if _digest_of(folder) == digest]
    unfinished = [folder for folder in folders if (run := readable(folder.path)) is None or not run.ended]
    best = (unfinished or folders)[-1:]
    return best[0] if best else None


def _digest_of(folder: RunFolder) -> str:
    try:
        return str(folder.read_manifest().get("digest"))
    except StorageError:
        return open_run(folder.path).digest


def _connected_or_discarded(plan: Plan, place: Place, means: Means) -> Client:
    """The client of a folder that was just made; without one the folder is taken away again."""
    try:
        return means.connect(plan, place.folder.path)
    except BaseException:
        directory.discard(place.folder.path, existed=place.existed)
        raise


def _journal(folder: RunFolder, plan: Plan, uuid: str) -> tuple[Journal, DamagedJournalError | None]:
    """The run's journal, or a new one to be filled and why."""
    try:
        journal = Journal.open(folder.journal)
        try:
            check_journal(folder, journal)
        except BaseException:
            journal.close()
            raise
    except DamagedJournalError as lost:
        return rebuild.scratch(folder, plan, uuid), lost
    return journal, None


def _close(opened: list[Session], journal: Journal) -> None:
    """Close the journal, the rebuilt one where there is one."""
    (opened[0].journal if opened else journal).close()


@contextmanager
def _told(folder: RunFolder, log: EventLog, opened: list[Session]) -> Iterator[None]:
    """Turn Ctrl-C and a full disk into errors that say how to go on, and log what ended the run."""
    hint = f"Resume it with `pcs-run resume {folder.path}`."
    try:
        yield
    except KeyboardInterrupt as error:
        interrupted = _interrupted(opened[0] if opened else None, hint, folder)
        log.failure(interrupted)
        raise interrupted from error
    except PcsRunnerError as error:
        log.failure(error)
        error.hint = error.hint or hint
        raise
    except OSError as error:
        log.failure(error)
        if error.errno not in DISK_ERRORS:
            raise
        raise StorageError(f"{error.filename or folder.path}: {error.strerror}", hint=f"Make room, then go on. {hint}") from error
    except BaseException as error:
        log.failure(error)
        raise


def _interrupted(session: Session | None, hint: str, folder: RunFolder) -> InterruptedRunError:
    """What goes on without us, and how to go on or to end it."""
    if session is None or session.plan.target.backend == "local":
        return InterruptedRunError("interrupted; nothing runs any more, and what is done is kept", hint=hint)
    try:
        count = session.journal.in_flight()
    except PcsRunnerError:
        return InterruptedRunError("interrupted; what was sent goes on at PCS", hint=hint)
    jobs = "1 job goes on" if count == 1 else f"{count} jobs go on"
    cancel = f"Cancel them with `pcs-run cancel {folder.path}`. " if count else ""
    return InterruptedRunError(f"interrupted; {jobs if count else 'no job goes on'} at PCS", hint=cancel + hint)
