"""A plan: jobs generated anew at each pass, sequences built when asked for, nothing sent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from pcs_runner.plan.check import check
from pcs_runner.sequence.build import build, built_text
from pcs_runner.sequence.mappable import QUBITS
from pcs_runner.sequence.siblings import Siblings
from pcs_runner.spec.variants import variant_path
from pcs_runner.sweep import VARIANT

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterator, Mapping

    from pcs_runner.errors import Problem
    from pcs_runner.plan.expansion import Expansion, PlannedJob
    from pcs_runner.plan.target import Target
    from pcs_runner.plan.variant import Variant
    from pcs_runner.sequence.devices import ResolvedDevice
    from pcs_runner.spec.document import Document, Path
    from pcs_runner.spec.models import Spec

CACHED_SEQUENCES = 64
CACHED_TEXTS = 4096
"""Texts of sequences, 3 to 20 KB each: a layout costs more than the rest of a job."""
HANDED_ON = 4096
"""So many built sequences are kept from the check for the sending, about 5 KB each; the others are built again."""


@dataclass(eq=False, kw_only=True)
class Plan:
    """The exact ordered jobs of a spec on a target. Made by `make_plan`; jobs are never stored.

    Attributes:
        document: The spec's text and positions; `document.data_bytes` is the file, byte for byte.
        spec: The spec.
        target: The resolved target.
        device: The device in use.
        variants: Variant -> its spec and device; the one without a name is the spec as it stands.
        expansion: Generates the jobs.
        digest: 64 hex digits: the identity of the plan (DESIGN, "Identity of a plan").
        total_jobs: Number of jobs, or None while it is not known.
        total_points: Points before `where`, over all groups (a repeated group counts once).
        dropped_points: Points that `where` dropped, counted in the same way.
        total_runs: Sum of runs over all jobs.
        jobs_by_sequence: Sequence id -> number of jobs, in the order in which jobs first use them.
        inputs: Relative path -> content of every file that the spec read, so that a run folder can be resumed anywhere.
        backend_configuration: Pulser's `EmulationConfig` in abstract representation (JSON), or None.
        warnings: What Pulser warned of while the jobs were checked.
        notes: What could not be known while planning, one sentence each.
        code_warnings: What Pulser warned of while the user's code made the sequences.
    """

    document: Document
    spec: Spec
    target: Target
    device: ResolvedDevice
    variants: Mapping[str, Variant]
    expansion: Expansion
    digest: str
    total_jobs: int | None
    total_points: int
    dropped_points: int
    total_runs: int
    jobs_by_sequence: Mapping[str, int]
    inputs: Mapping[str, bytes]
    backend_configuration: str | None = None
    warnings: list[Problem] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    code_warnings: tuple[Problem, ...] = ()
    _durations: array[int] | None = field(default=None, init=False, repr=False)
    _atoms: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False)
    _built: dict[int, str] = field(default_factory=dict, init=False, repr=False)

    @property
    def name(self) -> str:
        """The spec's name."""
        return self.spec.name

    @property
    def sequence_ids(self) -> tuple[str, ...]:
        """Ids of the distinct sequences, in the order in which jobs first use them."""
        return tuple(self.jobs_by_sequence)

    @property
    def devices(self) -> dict[str, str]:
        """Device name -> device in abstract representation (JSON), to be pinned in the manifest."""
        return {variant.device.name: variant.device.spec for variant in self.variants.values()}

    def variant(self, sequence_id: str) -> Variant:
        """The variant that a distinct sequence belongs to."""
        return self.variants[self._variant_name(sequence_id)]

    def _variant_name(self, sequence_id: str) -> str:
        return str(self.expansion.environments[sequence_id].get(VARIANT, ""))

    def place(self, sequence_id: str, path: Path) -> Path:
        """Where in the spec something of a distinct sequence was written.

        Args:
            sequence_id: The sequence.
            path: In its abstract representation, below `sequence`.
        """
        if path[:2] == ("sequence", "operations") and len(path) > 2 and isinstance(path[2], int):
            where = self.expansion.template.operation_path(path[2], self.expansion.environments[sequence_id])
            return (*where, *path[3:])
        name = self._variant_name(sequence_id)
        return variant_path(self.document.data, name, path) if name else path

    def runs_path(self, job: PlannedJob) -> Path:
        """Where the spec says how many runs a job has."""
        if self.target.runs is not None:
            return ("targets", self.target.name, "runs")
        if not isinstance(self.spec.jobs, list):
            return ("jobs", "runs")
        number = next(i for i, group in enumerate(self.expansion.groups) if group.name == job.group)
        return ("jobs", number, "runs")

    def jobs(self, start: int = 0) -> Iterator[PlannedJob]:
        """The jobs in order, from index `start`; the same at every pass and on every machine."""
        return (job for job, _ in islice(self.expansion.walk(), start, None))

    def check(self, on_progress: Callable[[int, int | None], None] | None = None) -> None:
        """Check every job: built by Pulser, or covered by extremes that Pulser has built.

        Args:
            on_progress: Told the number of jobs checked, and of all jobs where it is known, now and then.

        Raises:
            SpecError: Everything that Pulser or the device's limits refuse, located.
        """
        self._durations, found = check(self, on_progress)
        self.warnings = [*self.code_warnings, *found]

    def sequence(self, sequence_id: str) -> str:
        """A distinct sequence in Pulser's abstract representation (a JSON string), parametrised where it has variables.

        Raises:
            RegisterError: Pulser refuses its register.
        """
        return self._texts(sequence_id)

    def loaded_sequence(self, sequence_id: str) -> Any:
        """The `pulser.Sequence` of a distinct sequence; Pulser's own exceptions when it refuses."""
        return self._loaded(sequence_id)

    @cached_property
    def _texts(self) -> Callable[[str], str]:
        return lru_cache(CACHED_TEXTS)(self._text)

    @cached_property
    def _loaded(self) -> Callable[[str], Any]:
        siblings = Siblings()
        return lru_cache(CACHED_SEQUENCES)(lambda sequence_id: siblings.load(self.sequence(sequence_id)))

    def _text(self, sequence_id: str) -> str:
        return self.expansion.template.text(self.expansion.environments[sequence_id], self.variant(sequence_id).device, self.name)

    def built_sequence(self, job: PlannedJob) -> str:
        """The job's own sequence, variables built in (a JSON string), for jobs that carry theirs."""
        kept = self._built.pop(job.index, None)
        if kept is not None:
            return kept
        if not job.variables:
            return self.sequence(job.sequence)
        built, _ = build(self.loaded_sequence(job.sequence), job.variables)
        return built_text(built, self.sequence(job.sequence), job.variables)

    def hand_on(self, job: PlannedJob, built: Any) -> None:
        """Keep a sequence that was built for the check, where the job is going to carry it."""
        if self.carries_sequences and job.variables and len(self._built) < HANDED_ON:
            self._built[job.index] = built_text(built, self.sequence(job.sequence), job.variables)

    @property
    def carries_sequences(self) -> bool:
        """Whether each job carries its own built sequence: there are several, and they share a batch."""
        return len(self.jobs_by_sequence) > 1 and self.target.batch.split is None

    def atoms(self, sequence_id: str) -> tuple[str, ...]:
        """Names of the atoms, in the order of the bitstrings."""
        if sequence_id not in self._atoms:
            rows = json.loads(self.sequence(sequence_id))["register"]
            self._atoms[sequence_id] = tuple(str(row.get("name", row.get("qid"))) for row in rows)
        return self._atoms[sequence_id]

    def job_atoms(self, job: PlannedJob) -> tuple[str, ...]:
        """Names of a job's atoms, in the order of its bitstrings: of a mappable register, those that have a trap."""
        atoms = self.atoms(job.sequence)
        return atoms[: len(job.variables[QUBITS])] if QUBITS in job.variables else atoms

    def duration_ns(self, job: PlannedJob) -> int:
        """Duration of the job's built sequence in ns."""
        if self._durations is not None and job.index < len(self._durations):
            return self._durations[job.index]
        return int(build(self.loaded_sequence(job.sequence), job.variables)[0].get_duration())

    @cached_property
    def durations_ns(self) -> tuple[int, int] | None:
        """Shortest and longest duration over all jobs in ns, None while they have not been checked."""
        return (min(self._durations), max(self._durations)) if self._durations else None

    def summary(self) -> dict[str, Any]:
        """What `pcs-run plan` shows, as plain data."""
        from pcs_runner.plan.summary import summarise

        return summarise(self)

    def _repr_html_(self) -> str:
        """A small table for notebooks."""
        from pcs_runner.plan.html import plan_html

        return plan_html(self)
