"""Carrying a plan out, as a visible list of steps; resuming is the same list."""

from __future__ import annotations

import errno
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import InterruptedRunError, PcsRunnerError, StorageError, UsageError
from pcs_runner.run import collect, directory, doubt, lock, manifest
from pcs_runner.run.connect import connect, settle_s
from pcs_runner.run.directory import RunFolder
from pcs_runner.run.events import Event, EventLog
from pcs_runner.run.finish import finish
from pcs_runner.run.follow import Follower, stop
from pcs_runner.run.journal import Journal
from pcs_runner.run.outcome import Run, open_run
from pcs_runner.run.rows import CANCELLING
from pcs_runner.run.session import Effects, Session
from pcs_runner.run.submit import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pcs_runner.pcs.protocol import Client
    from pcs_runner.plan import Plan, Target
    from pcs_runner.run.events import OnEvent

    ClientFactory = Callable[[Target, Path, int | None], Client]
    MakePlan = Callable[[RunFolder], Plan]

__all__ = ["Run", "cancel", "open_run", "resume", "retry", "start"]

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})


def plan_of(folder: RunFolder) -> Plan:
    """The plan of a run folder, from its spec, its inputs and the devices pinned in its manifest."""
    from pcs_runner.plan import plan_from_run

    return plan_from_run(folder.spec_bytes, folder.inputs, folder.target(), folder.devices())


def start(
    plan: Plan,
    *,
    output: Path | None = None,
    new: bool = False,
    on_event: OnEvent | None = None,
    workers: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    client_factory: ClientFactory = connect,
    effects: Effects | None = None,
) -> Run:
    """Carry a plan out and return when every job is recorded; an unfinished run of the same plan goes on, a finished one is told.

    Args:
        plan: What to do.
        output: The run folder itself; None: a new one below the spec's `results.directory`, or the one of an earlier run.
        new: Begin anew even when there is a run of this plan.
        on_event: Called with what happens.
        workers: Worker processes of the embedded twin.
        overrides: What the command line changed in the spec; for the manifest.
        client_factory: Makes the client; for tests and servers.
        effects: Clock, sleep and uuid.

    Raises:
        UsageError: The folder cannot be used; nothing was sent.
        ServiceError: Refused, not reached, or the run is held (`RunHeldError`); the run can be resumed.
        StorageError: The disk is full or not writable; the run can be resumed.
        InterruptedRunError: Ctrl-C; the run can be resumed.
    """
    effects = effects or Effects()
    with ExitStack() as held:
        with _found_or_made(plan, output, new, effects, overrides or {}, workers) as (folder, made):
            if made:
                _tell(on_event, Event(kind="created", message=str(folder.path), total=plan.total_jobs))
            elif (run := open_run(folder.path)).ended:
                _tell(on_event, Event(kind="already_finished", message=run.state, counts=run.counts))
                return run
            held.enter_context(lock.holding(folder.path))
        session = held.enter_context(_session(plan, folder, on_event, workers, client_factory, effects))
        _carry_out(session)
    return open_run(folder.path)


def resume(
    folder: Path,
    *,
    on_event: OnEvent | None = None,
    workers: int | None = None,
    make_plan: MakePlan = plan_of,
    client_factory: ClientFactory = connect,
    effects: Effects | None = None,
) -> Run:
    """Go on with the run in `folder`; nothing is done when it has ended. Arguments and errors as of `start`."""
    run = open_run(folder)
    if run.ended:
        _tell(on_event, Event(kind="already_finished", message=run.state, counts=run.counts))
        return run
    place = RunFolder(folder)
    plan = _checked(make_plan(place), run)
    with lock.holding(folder), _session(plan, place, on_event, workers, client_factory, effects or Effects()) as session:
        _carry_out(session)
    return open_run(folder)


def cancel(
    folder: Path,
    *,
    on_event: OnEvent | None = None,
    workers: int | None = None,
    make_plan: MakePlan = plan_of,
    client_factory: ClientFactory = connect,
    effects: Effects | None = None,
) -> Run:
    """Cancel what has not begun, record what is done, and the others as CANCELED. Arguments and errors as of `start`."""
    run = open_run(folder)
    if run.ended:
        _tell(on_event, Event(kind="already_finished", message=run.state, counts=run.counts))
        return run
    place = RunFolder(folder)
    plan = _checked(make_plan(place), run)
    with lock.holding(folder), _session(plan, place, on_event, workers, client_factory, effects or Effects()) as session:
        session.journal.set_state(CANCELLING)
        session.state = CANCELLING
        _carry_out(session)
    return open_run(folder)


def retry(
    folder: Path,
    *,
    on_event: OnEvent | None = None,
    workers: int | None = None,
    make_plan: MakePlan = plan_of,
    client_factory: ClientFactory = connect,
    effects: Effects | None = None,
) -> Run:
    """Send the failed jobs of an ended run again and put their new records in the place of the old ones. As `start`.

    Raises:
        UsageError: The run has not ended.
    """
    run = open_run(folder)
    if not run.ended:
        raise UsageError(f"the run {folder} has not ended", hint=f"Go on with it first: `pcs-run resume {folder}`.")
    place = RunFolder(folder)
    if not any(status != "DONE" for status in run.counts):
        _tell(on_event, Event(kind="already_finished", message=run.state, counts=run.counts))
        return run
    plan = _checked(make_plan(place), run)
    with lock.holding(folder), _session(plan, place, on_event, workers, client_factory, effects or Effects()) as session:
        count = session.journal.retry_failed()
        session.state = session.journal.run().state
        session.emit(Event(kind="retry", number=count, message="failed jobs are sent again"))
        _carry_out(session)
    return open_run(folder)


def _carry_out(session: Session) -> None:
    """The list of steps, from any state that a crash can leave."""
    if session.journal.run().ended:
        return
    manifest.update(session.folder, times={"started": session.effects.now()}, state=session.state)
    doubt.resolve_all(session)
    collect.repair(session)
    if session.stopping:
        stop(session, session.state, "the run was cancelled" if session.state == CANCELLING else "an earlier job failed")
    _send_follow_collect(session)
    finish(session)


def _send_follow_collect(session: Session) -> None:
    """Until every job is in the results: send a chunk, look when it is time, write what is ready."""
    sender, follower, collector = Sender(session), Follower(session), collect.Collector(session)
    journal = session.journal
    while True:
        sent = sender.send()
        sender.close_batches()
        if sent and not follower.is_due():
            continue
        follower.look()
        collector.record_ready()
        waiting = journal.has_open() or (journal.has_unsent() and not session.stopping)
        if not waiting and (sender.exhausted or session.stopping):
            collector.rewrite_ready()
            _check_complete(session)
            return
        if not sent and not journal.has_unsent():
            follower.wait()


def _check_complete(session: Session) -> None:
    """Every job of the plan has its line: N of N."""
    run = session.journal.run()
    if run.total is not None and run.recorded != run.total:
        raise PcsRunnerError(
            f"{run.recorded} of {run.total} jobs are recorded and nothing is left to do", hint="Please report this."
        )


@contextmanager
def _found_or_made(
    plan: Plan, output: Path | None, new: bool, effects: Effects, overrides: Mapping[str, Any], workers: int | None
) -> Iterator[tuple[RunFolder, bool]]:
    """The run folder to use, and whether it was made; during the block no other process finds or makes one for this plan."""
    uuid, now = effects.new_uuid(), effects.now()

    def content(folder: RunFolder) -> None:
        directory.write_inputs(
            folder, plan.document.data_bytes, plan.inputs, {name: plan.sequence(name) for name in plan.sequence_ids}
        )
        manifest.write(folder, manifest.build(plan, uuid=uuid, created=now, overrides=overrides, workers=workers))
        Journal.create(folder.journal, uuid=uuid, digest=plan.digest, total=plan.total_jobs)

    if output is not None:
        if RunFolder(output).is_run():
            yield _same_plan(RunFolder(output), plan, new), False
        else:
            yield directory.make(output, content), True
        return
    parent = Path(plan.spec.results.directory) / plan.name
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{parent} cannot be made: {error.strerror or error}", hint="Choose another folder with -o.") from error
    with lock.finding(parent, plan.digest):
        found = None if new else _earlier_run(parent, plan.digest)
        if found is not None:
            yield found, False
        else:
            yield directory.make(directory.new_path(parent, plan.digest, now), content), True


def _same_plan(folder: RunFolder, plan: Plan, new: bool) -> RunFolder:
    run = open_run(folder.path)
    if run.digest != plan.digest:
        raise UsageError(
            f"{folder.path} holds a run of another plan ({run.digest[:8]}, not {plan.digest[:8]})", hint="Choose another folder."
        )
    if new:
        raise UsageError(f"{folder.path} holds a run of this plan already", hint="Choose another folder, or leave --new away.")
    return folder


def _earlier_run(parent: Path, digest: str) -> RunFolder | None:
    """The latest unfinished run of the plan, else the latest finished one."""
    runs = [run for folder in directory.candidates(parent, digest) if (run := open_run(folder.path)).digest == digest]
    unfinished = [run for run in runs if not run.ended]
    best = (unfinished or runs)[-1:]
    return RunFolder(best[0].folder) if best else None


def _checked(plan: Plan, run: Run) -> Plan:
    """The plan, when it is the one that the run was started with."""
    if plan.digest != run.digest:
        raise UsageError(
            f"the spec in {run.folder} gives another plan ({plan.digest[:8]}) than the run was started with ({run.digest[:8]})",
            hint="Restore spec.yaml, inputs/ and manifest.json there.",
        )
    return plan


@contextmanager
def _session(
    plan: Plan,
    folder: RunFolder,
    on_event: OnEvent | None,
    workers: int | None,
    client_factory: ClientFactory,
    effects: Effects,
) -> Iterator[Session]:
    """Journal, client and log of a held run; whatever ends the block, they are let go, and the error says how to go on."""
    with ExitStack() as stack:
        log = EventLog(folder.log, on_event)
        stack.callback(log.close)
        with _told(folder, log):
            journal = Journal.open(folder.journal)
            stack.callback(journal.close)
            run = journal.run()
            late_s = settle_s(plan.target)
            client = client_factory(plan.target, folder.path, workers)
            stack.callback(client.close)
            if run.recorded or journal.batches():
                log(Event(kind="resumed", message=str(folder.path), number=run.recorded, total=run.total))
            yield Session(
                plan=plan,
                client=client,
                journal=journal,
                folder=folder,
                emit=log,
                effects=effects,
                settle_s=late_s,
                uuid=run.uuid,
                state=run.state,
            )


@contextmanager
def _told(folder: RunFolder, log: EventLog) -> Iterator[None]:
    """Turn Ctrl-C and a full disk into errors that say how to go on, and log what ended the run."""
    hint = f"Resume it with `pcs-run resume {folder.path}`."
    try:
        yield
    except KeyboardInterrupt as error:
        log.failure(error)
        raise InterruptedRunError(f"interrupted; what was sent goes on, and the run {folder.path} knows it", hint=hint) from error
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


def _tell(on_event: OnEvent | None, event: Event) -> None:
    if on_event is not None:
        on_event(event)
