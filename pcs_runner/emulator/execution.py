"""The twin's device: a thread that sends groups of jobs to the workers and stores what comes back, in order."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from concurrent.futures import BrokenExecutor, Future
from typing import TYPE_CHECKING

from pcs_runner.emulator.course import Course, Group, cut_group, open_course, split_group, store_course
from pcs_runner.emulator.workers import Outcome, WorkersDiedError
from pcs_runner.errors import PcsRunnerError
from pcs_runner.pcs.errors import PcsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pcs_runner.emulator.settings import TwinSettings
    from pcs_runner.emulator.store import Store
    from pcs_runner.emulator.workers import Workers

    Event = Future[list[Outcome]] | None

FLYING_PER_WORKER = 4
"""Groups sent ahead for each worker: enough that a worker never waits for this thread."""

UNSTORED_GROUPS_PER_WORKER = 16
"""Groups for each worker that may be finished while an earlier one is not: bounds memory behind a slow job."""

STORE_INTERVAL_S = 0.02
"""Shortest time between two transactions: what came meanwhile shares one commit (about 1 ms with synchronous=FULL)."""

CANCEL_GRACE_S = 1.0
"""How long a cancelled group may go on before its worker is killed: a new worker costs more (Pulser's import)."""

GROUP_DEATHS, JOB_DEATHS, DEATHS_IN_A_ROW = 2, 3, 20
"""Workers that die under a lone group before it is split, under a lone job before it is an ERROR, in a row before we stop."""


class Execution:
    """Carries out what is PENDING in a store.

    The thread starts with the first `wake` and ends with `close`; an exception in it is raised by every later `check`.
    """

    def __init__(self, store: Store, workers: Workers, settings: TwinSettings, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._workers = workers
        self._settings = settings
        self._clock = clock
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._stopping = False
        self._failure: BaseException | None = None
        self._courses: dict[int, Course] = {}
        self._flying: dict[Future[list[Outcome]], Group] = {}
        self._again: deque[Group] = deque()
        self._suspects: deque[Group] = deque()
        self._own_restarts: set[int] = set()
        self._deaths_in_a_row = 0
        self._next_store = 0.0

    def wake(self) -> None:
        """Look at the store again: jobs came, or a batch was closed or cancelled."""
        with self._starting:
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="twin-execution", daemon=True)
                self._thread.start()
        self._events.put(None)

    def check(self) -> None:
        """Raise what ended the thread, if something did.

        Raises:
            PcsRunnerError: The store failed, or the workers cannot be kept alive.
        """
        if isinstance(self._failure, PcsRunnerError):
            raise self._failure
        if self._failure is not None:
            reason = f"{type(self._failure).__name__}: {self._failure}"
            raise PcsError(f"the twin stopped working: {reason}", hint="Resume: what is stored is kept.") from self._failure

    def close(self) -> None:
        """Stop at once: what runs is thrown away and runs again when the store is opened next."""
        with self._starting:
            self._stopping = True
        self._events.put(None)
        self._workers.interrupt()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=10)
        self._workers.close()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._store_outcomes()
                self._end_idle_batches()
                self._kill_cancelled()
                self._send_groups()  # last: storing and ending make room, and nothing would wake us for it
                self._take_events(self._pause_s())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asks next
            self._failure = error
        finally:
            for future in self._flying:
                future.cancel()
            self._workers.close()

    # Events

    def _take_events(self, pause_s: float | None) -> None:
        """Wait for something, then take everything that is there."""
        refresh = False
        try:
            event = self._events.get(timeout=pause_s)
            while True:
                if event is None:
                    refresh = True
                else:
                    self._land(event)
                event = self._events.get_nowait()
        except queue.Empty:
            pass
        if refresh and not self._stopping:
            self._refresh()

    def _pause_s(self) -> float | None:
        """Seconds until something has to be done without an event, or None."""
        now, waits = time.monotonic(), []
        if any(course.has_news for course in self._courses.values()):
            waits.append(self._next_store - now)
        if self._workers.restartable:
            dropped = [group.dropped_at for group in self._flying.values() if group.dropped_at is not None]
            waits += [dropped_at + CANCEL_GRACE_S - now for dropped_at in dropped if dropped_at < float("inf")]
        if self._workers.news_s is not None and self._courses:
            waits.append(self._workers.news_s)
        if self._settings.idle_timeout_s is not None:
            waits += [
                row["idle_since"] + self._settings.idle_timeout_s - self._clock().timestamp()
                for row in self._store.idle_batches()
            ]
        return max(0.001, min(waits)) if waits else None

    def _refresh(self) -> None:
        """Follow the store: batches that are new, have more jobs, are held, or were cancelled."""
        unfinished = self._store.unfinished_batches()
        for batch in unfinished:
            if batch not in self._courses:
                self._courses[batch] = open_course(self._store, batch)
            self._courses[batch].may_have_more = True
            self._courses[batch].held = self._store.is_held(batch)
        for batch in set(self._courses) - set(unfinished):
            self._drop(self._courses.pop(batch))

    def _drop(self, course: Course) -> None:
        """Forget a batch that was cancelled, also what of it is with the workers."""
        for waiting in (self._again, self._suspects):
            for group in [group for group in waiting if group.course is course]:
                waiting.remove(group)
        for future, group in list(self._flying.items()):
            if group.course is course:
                group.dropped_at = time.monotonic()
                future.cancel()

    def _kill_cancelled(self) -> None:
        """Free the workers of groups that were cancelled and do not end by themselves; the others' groups run again."""
        late = time.monotonic() - CANCEL_GRACE_S
        if self._workers.restartable and any(g.dropped_at is not None and g.dropped_at <= late for g in self._flying.values()):
            self._own_restarts.add(self._workers.generation)
            self._workers.restart()
            for group in self._flying.values():
                group.dropped_at = None if group.dropped_at is None else float("inf")

    # To the workers

    def _send_groups(self) -> None:
        while not self._stopping and (group := self._next_group()) is not None:
            try:
                group.generation = self._workers.generation
                future = self._workers.submit(group.task)
            except BrokenExecutor as error:
                self._mourn(group.generation, error)
                self._again.append(group)
                continue
            self._flying[future] = group
            future.add_done_callback(self._events.put)

    def _next_group(self) -> Group | None:
        """A group that may go now. After a worker died, the groups that it may have been go one by one until each has ended."""
        if self._suspects:
            if self._flying:
                return None
            group = self._suspects.popleft()
            group.alone = True
            return group
        if len(self._flying) >= FLYING_PER_WORKER * self._workers.width or any(g.alone for g in self._flying.values()):
            return None
        if self._again:
            return self._again.popleft()
        held: set[str] = set()
        for course in self._courses.values():
            if course.device_type in held:
                continue
            if not course.held and len(course.sent) < UNSTORED_GROUPS_PER_WORKER * self._workers.width * course.group_size:
                group_or_none = cut_group(self._store, course, self._workers.width)
                if group_or_none is not None:
                    return group_or_none
            if self._settings.holds(course.device_type):
                held.add(course.device_type)
        return None

    # Back from the workers

    def _land(self, future: Future[list[Outcome]]) -> None:
        group = self._flying.pop(future)
        if group.dropped_at is not None:
            return
        try:
            outcomes = future.result()
        except Exception as error:  # noqa: BLE001 - whatever an executor raises, the group is lost
            self._lose(group, error)
        else:
            self._deaths_in_a_row = 0
            self._arrive(group, outcomes)

    def _arrive(self, group: Group, outcomes: list[Outcome]) -> None:
        came_at = self._clock().isoformat()
        group.course.ready.update({outcome.position: (outcome, came_at) for outcome in outcomes})

    def _lose(self, group: Group, error: Exception) -> None:
        """Send a lost group again: at once when we ended its pool ourselves, else alone, then job by job, then not any more."""
        if group.generation in self._own_restarts:
            self._again.append(group)
            return
        if isinstance(error, BrokenExecutor):
            self._mourn(group.generation, error)
        if group.alone:
            group.deaths += JOB_DEATHS if isinstance(error, WorkersDiedError) else 1
        if len(group.task.jobs) > 1 and group.deaths >= GROUP_DEATHS:
            self._suspects.extendleft(reversed(split_group(group)))
        elif group.deaths >= JOB_DEATHS:
            reason = f"{type(error).__name__}: {error}"
            if isinstance(error, BrokenExecutor):
                reason = f"WorkerDied: the worker process died {group.deaths} times while it ran this job alone (out of memory?)"
            self._arrive(group, [Outcome(position=job.position, error=reason) for job in group.task.jobs])
        else:
            self._suspects.append(group)

    def _mourn(self, generation: int, error: BrokenExecutor) -> None:
        """Replace a pool that lost a worker, once for all the groups that were lost with it.

        Raises:
            PcsRunnerError: The executor is not ours to replace, or workers die again and again.
        """
        if generation != self._workers.generation:
            return
        self._deaths_in_a_row += 1
        if not self._workers.restartable:
            raise self._workers.failure(error) from error
        if self._deaths_in_a_row > DEATHS_IN_A_ROW:
            raise PcsError(
                f"worker processes died {self._deaths_in_a_row} times in a row",
                hint="Check the memory of the machine, then resume.",
            ) from error
        self._workers.restart()

    # To the store

    def _store_outcomes(self) -> None:
        news = [course for course in self._courses.values() if course.has_news]
        if not news or time.monotonic() < self._next_store:
            return
        now = self._clock()
        with self._store.transaction():
            ended = [course for course in news if store_course(self._store, course, now.isoformat(), now.timestamp())]
        for course in ended:
            self._drop(self._courses.pop(course.batch))
        self._next_store = time.monotonic() + STORE_INTERVAL_S

    def _end_idle_batches(self) -> None:
        if self._settings.idle_timeout_s is None:
            return
        now = self._clock()
        for row in self._store.idle_batches():
            if row["idle_since"] + self._settings.idle_timeout_s <= now.timestamp():
                text = now.isoformat()
                with self._store.transaction():
                    self._store.change_batch(row["number"], status="TIMED_OUT", open=0, updated_at=text, end_datetime=text)
                self._courses.pop(row["number"], None)
