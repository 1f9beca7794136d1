"""Spec + target -> Plan: the exact ordered jobs, their runs and sequences, what they cost, and a digest. Pure but for reading files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pcs_runner.spec.document import Document
    from pcs_runner.spec.models import BatchOptions, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a plan runs: the spec's defaults with the target's overlay.

    Attributes:
        name: As the user named it; `local` by default.
        backend: `local` or `pcs`.
        batch: Batch options after the overlay.
        config: Fields of Pulser's `EmulationConfig` after the overlay.
        seed: Seed of the local engines.
        engine: Name of the local engine.
        accuracy: Allowed infidelity of a point, or None.
        workers: Worker processes, or None for the machine's cores. Not part of the digest.
        region: PCS region.
        provider: Who sells the access.
    """

    name: str
    backend: str
    batch: BatchOptions
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    engine: str = "auto"
    accuracy: float | None = None
    workers: int | None = None
    region: str = "fr"
    provider: str = "pasqal"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """One job of a plan.

    Attributes:
        index: Position in the plan, from 0.
        group: Name of its group.
        point_index: Index of the point in the unshuffled group, before `where`.
        repetition: Pass over the group, from 0.
        point: Every swept name and scalar `let`, in the spec's order.
        variables: Value of every sequence variable; lists for arrays, ints where Pulser's type is int.
        runs: Repetitions.
        sequence: Id (8 hex digits) of the distinct sequence it belongs to.
    """

    index: int
    group: str
    point_index: int
    repetition: int
    point: Mapping[str, Any]
    variables: Mapping[str, Any]
    runs: int
    sequence: str


class Plan:
    """The exact ordered jobs of a spec on a target. Made by `make_plan`; jobs are generated anew at each pass, never stored.

    Attributes:
        document: The spec's text and positions (`document.data_bytes` is the file, byte for byte).
        spec: The spec.
        target: The resolved target.
        name: The spec's name.
        digest: 64 hex digits: the identity of the plan (see DESIGN, "Identity of a plan").
        total_jobs: Number of jobs, or None while it is not known.
        total_points: Points before `where`, over all groups (a repeated group counts once).
        dropped_points: Points that `where` dropped.
        total_runs: Sum of runs over all jobs.
        sequence_ids: Ids of the distinct sequences, in the order in which jobs first use them.
        devices: Device name -> device in abstract representation (JSON), as used: to be pinned in the manifest.
        inputs: Relative path -> content of every file that the spec read, so that a run folder can be resumed anywhere.
    """

    document: Document
    spec: Spec
    target: Target
    name: str
    digest: str
    total_jobs: int | None
    total_points: int
    dropped_points: int
    total_runs: int
    sequence_ids: tuple[str, ...]
    devices: Mapping[str, str]
    inputs: Mapping[str, bytes]

    def jobs(self, start: int = 0) -> Iterator[PlannedJob]:
        """The jobs in order, from index `start`; the same at every pass and on every machine."""
        raise NotImplementedError

    def sequence(self, sequence_id: str) -> str:
        """A distinct sequence in Pulser's abstract representation (a JSON string), parametrised where it has variables."""
        raise NotImplementedError

    def built_sequence(self, job: PlannedJob) -> str:
        """The job's own sequence, variables built in (a JSON string), for jobs that carry theirs."""
        raise NotImplementedError

    def atoms(self, sequence_id: str) -> tuple[str, ...]:
        """Names of the atoms, in the order of the bitstrings."""
        raise NotImplementedError

    def duration_ns(self, job: PlannedJob) -> int:
        """Duration of the job's built sequence in ns."""
        raise NotImplementedError
