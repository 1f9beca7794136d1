"""How far a batch has come: what was sent to the workers, what came back, and what can be stored in order."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

from pcs_runner.emulator.engines import EngineSettings, catalogue
from pcs_runner.emulator.rules import TwinConfiguration, read_configuration
from pcs_runner.emulator.workers import GroupTask, Outcome, TaskJob

if TYPE_CHECKING:
    from pcs_runner.emulator.store import Store


@dataclass(slots=True, kw_only=True)
class Course:
    """One batch on its way.

    Attributes:
        batch: Number of the batch.
        device_type: What it runs on.
        sequence: Number of the batch's sequence, or None.
        config: Its `backend_configuration`.
        settings: What its `configuration` tells a twin.
        cursor: First position that was not sent.
        may_have_more: Whether there may be PENDING jobs from the cursor on.
        sent: Position and job number of the jobs that were sent and are not stored, in order.
        ready: Position -> outcome and the time at which it came, waiting for the positions before it.
        begun: Number of the last job that was made RUNNING.
        ended_at: When the last stored job ended; empty at first.
        engine: The engine of the last group, by its name; empty at first.
        held: Whether it has a status in which nothing goes on.
    """

    batch: int
    device_type: str
    sequence: int | None
    config: str | None
    settings: TwinConfiguration
    cursor: int = 0
    may_have_more: bool = True
    sent: deque[tuple[int, int]] = field(default_factory=deque)
    ready: dict[int, tuple[Outcome, str]] = field(default_factory=dict)
    begun: int | None = None
    ended_at: str = ""
    engine: str = ""
    held: bool = False

    @property
    def group_size(self) -> int:
        """How many jobs its engine likes at once."""
        return catalogue.load(self.engine).group_size if self.engine else 1

    def choose_engine(self, sequence: str) -> None:
        """Resolve the engine for the sequence that comes next."""
        settings = EngineSettings(config=self.config, accuracy=self.settings.accuracy)
        self.engine = catalogue.choose(self.settings.engine, sequence, settings).engine

    @property
    def has_news(self) -> bool:
        """Whether there is something to store: an outcome whose turn it is, or a first job that is not marked RUNNING."""
        return bool(self.sent) and not self.held and (self.sent[0][0] in self.ready or self.sent[0][1] != self.begun)


@dataclass(slots=True, kw_only=True)
class Group:
    """Jobs that went to a worker together.

    Attributes:
        course: Their batch.
        task: What the worker gets.
        alone: Whether nothing else ran beside it, so that a worker's death is its own doing.
        deaths: Workers that died while it was alone.
        generation: Of the pool that it was sent to.
        dropped_at: When its batch was cancelled (seconds, monotonic), or None.
    """

    course: Course
    task: GroupTask
    alone: bool = False
    deaths: int = 0
    generation: int = 0
    dropped_at: float | None = None


def open_course(store: Store, batch: int) -> Course:
    """Begin with a batch as it is in the store."""
    row = store.batch_numbered(batch)
    configuration = None if row["configuration"] is None else json.loads(row["configuration"])
    return Course(
        batch=batch,
        device_type=row["device_type"],
        sequence=row["sequence"],
        config=row["backend_configuration"],
        settings=read_configuration(configuration),
    )


def cut_group(store: Store, course: Course, width: int) -> Group | None:
    """The next jobs of a batch that share a sequence, or None.

    At most the engine's group size, and so few that `width` workers all have something to do.
    """
    with store.transaction():  # nothing is cancelled between two questions
        return _cut(store, course, width) if course.may_have_more else None


def _cut(store: Store, course: Course, width: int) -> Group | None:
    first = store.pending_jobs(course.batch, course.cursor, 1, or_held=True)
    if not first:
        course.may_have_more = False
        return None
    sequence: int | None = first[0]["sequence"]
    text = store.sequence(sequence or course.sequence or 0)
    course.choose_engine(text)
    rest = store.batch_numbered(course.batch)["jobs_count"] - course.cursor
    most = max(1, min(course.group_size, -(-rest // max(1, width))))
    rows = store.pending_jobs(course.batch, course.cursor, most, or_held=True)
    rows = list(takewhile(lambda row: row["sequence"] == sequence, rows))
    course.cursor = rows[-1]["position"] + 1
    course.sent.extend((row["position"], row["number"]) for row in rows)
    task = GroupTask(
        engine=course.engine,
        sequence=text,
        config=course.config,
        accuracy=course.settings.accuracy,
        seed=course.settings.seed,
        first_index=course.settings.first_index,
        jobs=tuple(
            TaskJob(position=row["position"], runs=row["runs"], variables=row["variables"], draw=row["draw"]) for row in rows
        ),
    )
    return Group(course=course, task=task)


def split_group(group: Group) -> list[Group]:
    """One group for each job, as suspect as before."""
    task = group.task
    return [
        Group(
            course=group.course,
            task=GroupTask(
                engine=task.engine,
                sequence=task.sequence,
                config=task.config,
                accuracy=task.accuracy,
                seed=task.seed,
                first_index=task.first_index,
                jobs=(job,),
            ),
        )
        for job in task.jobs
    ]


def store_course(store: Store, course: Course, now: str, epoch_s: float) -> bool:
    """Write every outcome whose turn it is and mark the job behind them RUNNING; returns whether the batch has ended.

    Nothing of a batch that is held. To be called inside a transaction.
    """
    course.held = store.is_held(course.batch)
    if course.held:
        return False
    while course.sent and course.sent[0][0] in course.ready:
        position, job = course.sent.popleft()
        outcome, came_at = course.ready.pop(position)
        ended = max(came_at, course.ended_at)
        store.finish_job(job, body=outcome.body, error=outcome.error, began=course.ended_at or came_at, ended=ended)
        course.ended_at = ended
    store.start_batch(course.batch, now)
    if course.sent and course.sent[0][1] != course.begun:
        course.begun = course.sent[0][1]
        store.start_job(course.begun, max(now, course.ended_at))
    return store.settle(course.batch, now, epoch_s)
