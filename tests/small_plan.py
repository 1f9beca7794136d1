"""A plan made by hand, with the interface of `pcs_runner.plan.Plan`, for tests of `run/` that need no Pulser."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from pcs_runner.plan import PlannedJob
from pcs_runner.plan.target import Target
from pcs_runner.run.execute import cancel, resume, retry, start
from pcs_runner.run.session import Effects
from pcs_runner.spec.models import BatchOptions, ResultOptions
from stand_in_client import Service, StandInClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pcs_runner.plan import Plan
    from pcs_runner.run.events import Event
    from pcs_runner.run.outcome import Run


@dataclass(kw_only=True)
class SmallPlan:
    """Jobs with one variable x; by default x is the index, so that every job is another experiment."""

    target: Target
    spec: Any
    xs: Sequence[float]
    sequences: Sequence[str] = ("aaaaaaaa",)
    name: str = "small"
    digest: str = "0123456789abcdef" * 4
    total_jobs: int | None = None
    total_points: int = 0
    dropped_points: int = 0
    total_runs: int = 0
    devices: Mapping[str, str] = field(default_factory=lambda: {"AnalogDevice": '{"name": "AnalogDevice"}'})
    inputs: Mapping[str, bytes] = field(default_factory=lambda: {"sequences/a.json": b"{}"})
    backend_configuration: str | None = None
    document: Any = field(default_factory=lambda: SimpleNamespace(data_bytes=b"version: 1\n", file="", overrides={}))

    @property
    def sequence_ids(self) -> tuple[str, ...]:
        return tuple(self.sequences)

    @property
    def jobs_by_sequence(self) -> Mapping[str, int]:
        return Counter(job.sequence for job in self._all())

    def jobs(self, start: int = 0) -> Iterator[PlannedJob]:
        return islice(self._all(), start, None)

    def _all(self) -> Iterator[PlannedJob]:
        for index, x in enumerate(self.xs):
            yield PlannedJob(
                index=index,
                group="=g",
                point_index=index,
                repetition=0,
                point={"x": x},
                variables={"x": x},
                runs=10,
                sequence=self.sequences[index % len(self.sequences)],
            )

    def sequence(self, sequence_id: str) -> str:
        return f'{{"sequence": "{sequence_id}"}}'

    def built_sequence(self, job: PlannedJob) -> str:
        return f'{{"sequence": "{job.sequence}", "x": {job.variables["x"]}}}'

    def atoms(self, _sequence_id: str) -> tuple[str, ...]:
        return ("q0", "q1")

    def job_atoms(self, _job: PlannedJob) -> tuple[str, ...]:
        return ("q0", "q1")

    def duration_ns(self, _job: PlannedJob) -> int:
        return 1000


def small_plan(tmp_path: Path, n: int = 20, *, backend: str = "local", **options: Any) -> Plan:
    """A plan of `n` jobs whose runs lie in `tmp_path`; other arguments are batch options or attributes of the plan."""
    own = {name: options.pop(name) for name in list(options) if name in SmallPlan.__dataclass_fields__}
    xs = own.pop("xs", [float(i) for i in range(n)])
    plan = SmallPlan(
        target=Target(name="local", backend=backend, batch=BatchOptions(chunk=options.pop("chunk", 4), **options)),
        spec=SimpleNamespace(description="", results=ResultOptions(directory=str(tmp_path / "runs"))),
        xs=xs,
        **{"total_jobs": len(xs), **own},
    )
    return cast("Plan", plan)


@dataclass
class Bench:
    """A plan and a service, and the ways to bring them together."""

    plan: Plan
    service: Service = field(default_factory=Service)
    events: list[Event] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    is_twin: bool = True

    def __post_init__(self) -> None:
        self._shared: dict[str, Any] = {
            "on_event": self.events.append,
            "client_factory": lambda _target, _folder, _workers: StandInClient(self.service, is_twin=self.is_twin),
            "effects": Effects(sleep=self.slept.append),
        }

    def start(self, **arguments: Any) -> Run:
        return start(self.plan, **self._shared, **arguments)

    def resume(self, folder: Path) -> Run:
        return resume(folder, make_plan=lambda _folder: self.plan, **self._shared)

    def cancel(self, folder: Path) -> Run:
        return cancel(folder, make_plan=lambda _folder: self.plan, **self._shared)

    def retry(self, folder: Path) -> Run:
        return retry(folder, make_plan=lambda _folder: self.plan, **self._shared)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def told(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    def check_whole(self, run: Run) -> None:
        """Nothing lost, nothing twice, in order, every result the right one, nothing left open."""
        records = list(run.records)
        jobs = list(self.plan.jobs())
        assert [record.index for record in records] == list(range(len(jobs)))
        stored = {job.id: job for job in self.service.all_jobs()}
        for record, job in zip(records, jobs, strict=True):
            assert record.point == job.point
            assert record.status == "DONE"
            assert record.counts == self.service.result(stored[record.job_id]).counter
            assert record.batch_id == stored[record.job_id].batch_id
        assert len({record.job_id for record in records}) == len(jobs)
        assert not any(batch.open for batch in self.service.batches)
        assert run.state == "finished"
