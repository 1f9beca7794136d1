"""Carrying a plan out, as a visible list of steps; resuming is the same list."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import PcsRunnerError, UsageError
from pcs_runner.results.formats import check_installed
from pcs_runner.run import cloud_devices, collect, doubt, lock, manifest, opening, rebuild
from pcs_runner.run.connect import connect, connect_idle
from pcs_runner.run.directory import RunFolder
from pcs_runner.run.events import Event
from pcs_runner.run.finish import finish
from pcs_runner.run.follow import Follower
from pcs_runner.run.opening import Means, Place
from pcs_runner.run.outcome import Run, open_run
from pcs_runner.run.patience import patiently
from pcs_runner.run.rows import CANCELLING
from pcs_runner.run.session import Effects, Session
from pcs_runner.run.stop import stop
from pcs_runner.run.submit import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pcs_runner.plan import Plan, Target
    from pcs_runner.run.estimate import Estimate
    from pcs_runner.run.events import OnEvent
    from pcs_runner.run.opening import ClientFactory

    MakePlan = Callable[[RunFolder], Plan]

__all__ = ["Run", "cancel", "open_run", "plan_of", "resume", "retry", "start"]


def plan_of(folder: RunFolder) -> Plan:
    """The plan of a run folder, from its spec, its inputs and the devices pinned in its manifest."""
    from pcs_runner.plan import plan_from_run

    overrides = folder.read_manifest().get("overrides")
    return plan_from_run(folder.spec_bytes, folder.inputs, folder.target(), folder.devices(), overrides)


def start(
    plan: Plan,
    *,
    output: Path | None = None,
    new: bool = False,
    detach: bool = False,
    on_event: OnEvent | None = None,
    workers: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    cost: Estimate | None = None,
    client_factory: ClientFactory = connect,
    effects: Effects | None = None,
) -> Run:
    """Carry a plan out and return when every job is recorded; an unfinished run of the same plan goes on, a finished one is told.

    Args:
        plan: What to do.
        output: The run folder itself; None: a new one below the spec's `results.directory`, or the one of an earlier run.
        new: Begin anew even when there is a run of this plan, here or on the service.
        detach: Return when every job was sent; `resume` collects the results.
        on_event: Called with what happens.
        workers: Worker processes of the embedded twin.
        overrides: What the command line changed in the spec, for the manifest; default: what the plan's document knows.
        cost: What the service said that it costs, for the manifest.
        client_factory: Makes the client; for tests and servers.
        effects: Clock, sleep and uuid.

    Raises:
        UsageError: The folder cannot be used, or nothing would run on after `detach`; nothing was sent.
        ServiceError: Refused, not reached, or the run is held (`RunHeldError`); the run can be resumed.
        StorageError: The disk is full or not writable; the run can be resumed.
        InterruptedRunError: Ctrl-C; the run can be resumed.
    """
    _check_detach(plan.target, detach)
    check_installed(plan.spec.results.formats)
    means = Means(on_event=on_event, workers=workers, cost=cost, client_factory=client_factory, effects=effects or Effects())
    changed = plan.document.overrides if overrides is None else overrides
    with ExitStack() as held:
        with opening.found_or_made(plan, means, held, output=output, new=new, overrides=changed) as place:
            if place.made:
                means.tell(Event(kind="created", message=str(place.folder.path), total=plan.total_jobs))
            elif (ended := _ended(place.folder.path, means)) is not None:
                return ended
            held.enter_context(lock.holding(place.folder.path))
        session = held.enter_context(opening.session(plan, place, means))
        _carry_out(session, detach=detach)
    return open_run(place.folder.path)


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
    means = Means(on_event=on_event, workers=workers, client_factory=client_factory, effects=effects or Effects())
    if (ended := _ended(folder, means)) is not None:
        return ended
    with _reopened(folder, make_plan, means) as session:
        check_installed(session.plan.spec.results.formats)
        _carry_out(session)
    return open_run(folder)


def cancel(
    folder: Path,
    *,
    on_event: OnEvent | None = None,
    make_plan: MakePlan = plan_of,
    client_factory: ClientFactory = connect_idle,
    effects: Effects | None = None,
) -> Run:
    """Cancel what has not begun, record what is done, and the others as CANCELED. Arguments and errors as of `start`."""
    means = Means(on_event=on_event, client_factory=client_factory, effects=effects or Effects())
    if (ended := _ended(folder, means)) is not None:
        return ended
    with _reopened(folder, make_plan, means) as session:
        if not session.journal.run().ended:
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
    means = Means(on_event=on_event, workers=workers, client_factory=client_factory, effects=effects or Effects())
    run = opening.readable(folder)
    if run is not None and not run.ended:
        raise _unfinished(folder)
    if run is not None and not any(status != "DONE" for status in run.counts):
        means.tell(Event(kind="already_finished", message=run.state, counts=run.counts))
        return run
    with _reopened(folder, make_plan, means) as session:
        if not session.journal.run().ended:
            raise _unfinished(folder)
        check_installed(session.plan.spec.results.formats)
        count = session.journal.retry_failed()
        session.state = session.journal.run().state
        session.emit(Event(kind="retry", number=count, message="failed jobs are sent again"))
        _carry_out(session)
    return open_run(folder)


@contextmanager
def _reopened(folder: Path, make_plan: MakePlan, means: Means) -> Iterator[Session]:
    """The session of a run that was started before, held."""
    place = RunFolder(folder)
    plan = opening.check_plan(make_plan(place), place)
    with lock.holding(folder), opening.session(plan, Place(folder=place), means) as session:
        if plan.target.backend != "local":
            for name in cloud_devices.changed(plan.devices):
                session.emit(Event(kind="device_changed", message=name))
        yield session


def _ended(folder: Path, means: Means) -> Run | None:
    """The run when nothing is left to do, told; else None."""
    run = opening.readable(folder)
    if run is None or not run.ended:
        return None
    means.tell(Event(kind="already_finished", message=run.state, counts=run.counts))
    return run


def _carry_out(session: Session, *, detach: bool = False) -> None:
    """The list of steps, from any state that a crash can leave."""
    if session.journal.run().ended:
        return
    begun = session.folder.read_manifest()["times"].get("started") is not None
    manifest.update(session.folder, times={"started": session.effects.now()}, state=session.state)
    if begun:
        rebuild.catch_up(session)
    doubt.resolve_all(session)
    collect.repair(session)
    if session.stopping:
        stop(session, session.state, "the run was cancelled" if session.state == CANCELLING else "an earlier job failed")
    if detach and _send_all(session):
        return
    _send_follow_collect(session)
    patiently(session, lambda: finish(session))


def _send_all(session: Session) -> bool:
    """Send every job and leave; whether there is something to come back for."""
    sender = Sender(session)
    while sender.send():
        pass
    sender.close_batches()
    count = session.journal.in_flight()
    if count:
        waits = " and an open batch, which holds its device," if session.journal.open_batches() else ""
        message = f"{count} jobs{waits} go on at PCS"
        session.emit(Event(kind="detached", number=count, total=session.plan.total_jobs, message=message))
    return bool(count)


def _send_follow_collect(session: Session) -> None:
    """Until every job is in the results: send a chunk, look when it is time, write what is ready."""
    sender, follower, collector = Sender(session), Follower(session), collect.Collector(session)
    journal = session.journal
    while True:
        sent = sender.send()
        patiently(session, sender.close_batches)
        if sent and not follower.is_due():
            continue
        patiently(session, follower.look)
        patiently(session, collector.record_ready)
        waiting = journal.has_open() or (journal.has_unsent() and not session.stopping)
        if not waiting and (sender.exhausted or session.stopping):
            patiently(session, collector.rewrite_ready)
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


def _check_detach(target: Target, detach: bool) -> None:
    if detach and target.backend == "local":
        raise UsageError(
            f"--detach makes no sense on the target {target.name}: the local twin runs only as long as this command",
            hint="Leave --detach away, or choose a target on PCS with -t.",
        )


def _unfinished(folder: Path) -> UsageError:
    return UsageError(f"the run {folder} has not ended", hint=f"Go on with it first: `pcs-run resume {folder}`.")
