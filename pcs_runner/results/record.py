"""A finished job as one frozen value, and as one line of `results.jsonl`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """One job that will not change any more.

    Attributes:
        index: Position in the plan, from 0.
        group: Name of the job group.
        point: Every swept name and scalar `let`, in the spec's order.
        variables: Every sequence variable, sent or built in.
        runs: Repetitions asked for.
        status: `DONE`, `ERROR`, `CANCELED`, ...; an open set.
        counts: Bitstring -> count, sorted by bitstring; leftmost character = first atom. Empty unless DONE.
        raw: Bitstrings in shot order when the spec asks for them (`results: {raw: true}`), else None.
        duration_ns: Duration of the built sequence.
        sequence: First 8 hex digits of the sequence's hash; its file is `sequences/<8 hex>.json`.
        batch_id: The service's batch id.
        job_id: The service's job id.
        attempt: 1 for the first, one more for each retry.
        started_at: ISO time at which the service began, or None.
        ended_at: ISO time at which the service finished, or None.
        errors: What the service said about a failure.
        point_index: Index of the point in the unshuffled group.
        repetition: Pass over the group, from 0 (`jobs: {repeat: n}`).
        observables: Values that the engine computed beside the counts, by tag.
        estimates: The spec's observables: name -> `value` and standard `error`, None where there is none.
        origins: Where it was measured when not all of it was measured by this run: `{run, index, job_id, runs}` each.
    """

    index: int
    group: str
    point: Mapping[str, Any]
    variables: Mapping[str, Any]
    runs: int
    status: str
    counts: Mapping[str, int]
    duration_ns: int
    sequence: str
    batch_id: str
    job_id: str
    attempt: int
    started_at: str | None
    ended_at: str | None
    errors: Sequence[str] = ()
    raw: Sequence[str] | None = None
    point_index: int = 0
    repetition: int = 0
    observables: Mapping[str, Any] = field(default_factory=dict)
    estimates: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    origins: Sequence[Mapping[str, Any]] = ()

    def to_line(self) -> str:
        """The record as one line of JSON, without the line feed; keys in the order of the documentation."""
        body: dict[str, Any] = {
            "index": self.index,
            "group": self.group,
            "point": dict(self.point),
            "variables": dict(self.variables),
            "runs": self.runs,
            "status": self.status,
            "counts": dict(sorted(self.counts.items())),
            "duration_ns": self.duration_ns,
            "sequence": self.sequence,
            "batch_id": self.batch_id,
            "job_id": self.job_id,
            "attempt": self.attempt,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "errors": list(self.errors),
            "point_index": self.point_index,
            "repetition": self.repetition,
        }
        if self.observables:
            body["observables"] = dict(self.observables)
        if self.estimates:
            body["estimates"] = dict(self.estimates)
        if self.origins:
            body["origins"] = [dict(origin) for origin in self.origins]
        if self.raw is not None:
            body["raw"] = list(self.raw)
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_line(cls, line: str | bytes) -> JobRecord:
        """Read a line of `results.jsonl`; keys that this version does not know are left out.

        Raises:
            ValueError: The line is not a record.
        """
        body = json.loads(line)
        if not isinstance(body, dict):
            raise ValueError("a record is a JSON object")
        known = {name: body[name] for name in cls.__dataclass_fields__ if name in body}
        try:
            return cls(**known)
        except TypeError as error:
            raise ValueError(str(error)) from error
