"""A run folder made without a service: the jobs of a real plan, each with a record that the test decides."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pcs_runner
from pcs_runner.results import jsonl
from pcs_runner.results.estimates import Estimator, Register
from pcs_runner.results.record import JobRecord
from pcs_runner.run import directory, manifest
from pcs_runner.run.directory import RunFolder
from pcs_runner.run.journal import Journal
from pcs_runner.run.outcome import Run, open_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pcs_runner.plan import Plan, PlannedJob

SPEC = """\
version: 1
name: made
sequence:
  device: MockDevice
  register: {q0: [0, 0], q1: [7, 0]}
  channels: {g: rydberg_global}
  operations:
    - {op: pulse, duration: t, amplitude: om, detuning: 0}
jobs: JOBS
results: RESULTS
"""
RESULTS = "{observables: {n: n_mean, c: 'correlation[0, 1]'}}"


@dataclass(frozen=True)
class Made:
    """A folder and its plan."""

    folder: RunFolder
    plan: Plan

    @property
    def run(self) -> Run:
        return open_run(self.folder.path)

    def records(self) -> list[JobRecord]:
        return list(jsonl.read(self.folder.results))


def recorded_run(
    tmp_path: Path,
    jobs: str,
    *,
    results: str = RESULTS,
    change: Callable[[PlannedJob], dict[str, Any]] = lambda _: {},
    raw: bool = False,
) -> Made:
    """A run of `SPEC` with these jobs; `change` gives fields of a job's record."""
    spec = tmp_path / "made.yaml"
    spec.write_text(SPEC.replace("JOBS", jobs).replace("RESULTS", results), encoding="utf-8")
    plan = pcs_runner.plan(spec, check=False)
    body = manifest.build(plan, uuid="uuid", created=datetime(2026, 11, 22, tzinfo=UTC), overrides={}, workers=None)

    def fill(folder: RunFolder) -> None:
        directory.write_inputs(
            folder, plan.document.data_bytes, plan.inputs, ((name, plan.sequence(name)) for name in plan.sequence_ids)
        )
        Journal.create(folder.journal, uuid="uuid", digest=plan.digest, total=plan.total_jobs)
        manifest.write(folder, body)

    folder = directory.make(tmp_path / "run", fill)
    jsonl.append(folder.results, (record(plan, job, change(job), raw=raw).to_line() for job in plan.jobs()))
    return Made(folder=folder, plan=plan)


def record(plan: Plan, job: PlannedJob, changed: dict[str, Any], *, raw: bool) -> JobRecord:
    """A record with shots drawn from the job's index."""
    shots = random.Random(job.index).choices(["00", "01", "10", "11"], weights=[1 + job.index % 3, 2, 1, 1], k=job.runs)
    counts = {bits: shots.count(bits) for bits in sorted(set(shots))}
    failed = changed.get("status", "DONE") != "DONE"
    estimator = Estimator(plan.spec.results.observables, Register.of(plan.sequence(job.sequence)))
    fields: dict[str, Any] = {
        "index": job.index,
        "group": job.group,
        "point": job.point,
        "variables": job.variables,
        "runs": job.runs,
        "status": "DONE",
        "counts": {} if failed else counts,
        "raw": shots if raw and not failed else None,
        "duration_ns": 100,
        "sequence": job.sequence,
        "batch_id": "batch",
        "job_id": f"job-{job.index}",
        "attempt": 1,
        "started_at": None,
        "ended_at": "2026-11-22T12:00:00+00:00",
        "point_index": job.point_index,
        "repetition": job.repetition,
        "estimates": {} if failed else estimator.estimate(counts),
    }
    return JobRecord(**fields | changed)
