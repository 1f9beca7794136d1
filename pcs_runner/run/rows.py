"""What the journal knows, as frozen values: the run, its batches, chunks, and the attempts of its jobs."""

from __future__ import annotations

from dataclasses import dataclass

RUNNING, STOPPING, CANCELLING = "running", "stopping", "cancelling"
ENDED = {RUNNING: "finished", STOPPING: "stopped", CANCELLING: "cancelled"}
"""State of an unfinished run -> the state that it ends in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """The run: `total` is None while the length of the plan is not known; the first `recorded` jobs are in the results."""

    uuid: str
    digest: str
    state: str
    total: int | None
    recorded: int

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in ENDED.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """A batch. State: `intent` (perhaps on the service, id None), `open` (takes jobs), `closed` (takes none).

    `sequence` is the one sequence of a batch that was split off, else None. `next_position` is where the service would put the
    next job; `known` counts the jobs that are known to be terminal; `intended_at` is in seconds since 1970.
    """

    k: int
    id: str | None
    state: str
    sequence: str | None
    first_index: int
    intended_at: float
    next_position: int
    known: int
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRow:
    """Jobs of one request, from position `first` of batch `k`; `intended_at` is in seconds since 1970."""

    k: int
    first: int
    count: int
    intended_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One sending (attempt) of one job.

    `retries` counts the attempts before it that failed, `moves` those that the service took away with their batch; `content` is
    the fingerprint of what is sent; `detail` what the service said at the end (JSON).
    """

    idx: int
    attempt: int
    retries: int = 0
    moves: int = 0
    k: int | None = None
    position: int | None = None
    content: bytes | None = None
    job_id: str | None = None
    status: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job that was sent ended; `again`: the next attempt, or None when this is the end of it."""

    row: JobRow
    job_id: str
    status: str
    detail: str
    again: JobRow | None = None
