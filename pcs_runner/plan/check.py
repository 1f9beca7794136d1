"""Every job of a plan checked by Pulser before anything runs; what it refuses is located, counted and said all at once."""

from __future__ import annotations

import re
from array import array
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pcs_runner.errors import SpecError
from pcs_runner.plan.findings import Cause, Findings
from pcs_runner.sequence.build import RegisterError, SwitchDeviceError, build
from pcs_runner.sequence.diagnose import diagnose
from pcs_runner.sequence.extremes import ALONE, BUILT_ANYWAY, Extremes, Settled
from pcs_runner.sequence.fields import FieldError
from pcs_runner.sequence.register_limits import register_clause
from pcs_runner.spec.document import path_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pcs_runner.errors import Problem
    from pcs_runner.plan.expansion import PlannedJob
    from pcs_runner.plan.plan import Plan
    from pcs_runner.spec.document import Path
    from pcs_runner.spec.expressions import Value

DIAGNOSED = 200
"""So many failing points are diagnosed one by one; the others are counted under what Pulser said."""
LOOKED_AT_ONCE = 8192
"""Points whose extremes are looked for together, some 2 KB each."""
KEPT_EXTREMES = 256
"""Distinct sequences whose extremes are remembered, some 100 KB each."""


class Outcome(NamedTuple):
    """What checking a point gave.

    Attributes:
        duration_ns: Of its sequence, 0 when it has none.
        causes: What is wrong with it, and what Pulser warned of.
    """

    duration_ns: int
    causes: tuple[Cause, ...]


def check(plan: Plan, on_progress: Callable[[int, int | None], None] | None = None) -> tuple[array[int], list[Problem]]:
    """Check every job: built by Pulser, or covered by extremes that Pulser has built (`sequence.extremes`).

    Args:
        plan: What to check.
        on_progress: Told the number of jobs checked, and of all jobs where it is known, now and then.

    Returns:
        The duration of every job in ns, by index, and Pulser's warnings.

    Raises:
        SpecError: With every cause, at its place in the spec, with the number of points and the first of them.
    """
    checker = _Checker(plan)
    durations: array[int] = array("q")
    jobs = plan.expansion.walk()
    while chunk := list(islice(jobs, LOOKED_AT_ONCE)):
        for outcome in checker.outcomes(chunk):
            durations.append(outcome.duration_ns)
            if on_progress is not None and len(durations) % 100 == 0:
                on_progress(len(durations), plan.total_jobs)
    problems = sorted(
        checker.findings.problems(plan.document, plan.total_jobs or len(durations)), key=lambda p: (p.line, p.column)
    )
    if any(not problem.warning for problem in problems):
        raise SpecError(problems)
    if on_progress is not None:
        on_progress(len(durations), plan.total_jobs)
    return durations, problems


class _Checker:
    """What is remembered from job to job: sequences already known to be bad, and what the extremes of points have shown."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.findings = Findings()
        self._bad: dict[str, Exception] = {}
        self._once: set[str] = set()
        self._clocks: dict[str, tuple[bool, dict[str, int]]] = {}
        self._fit_for_device: set[str] = set()
        self._diagnosed = 0
        self._extremes: OrderedDict[str, Extremes | None] = OrderedDict()

    def outcomes(self, chunk: list[tuple[PlannedJob, Mapping[str, Value]]]) -> Iterator[Outcome]:
        """Check some jobs, in order."""
        places: dict[str, list[int]] = {}
        for place, (job, _) in enumerate(chunk):
            places.setdefault(job.sequence, []).append(place)
        settled = {
            sequence: self._settle(sequence, [chunk[place][0].variables for place in own]) for sequence, own in places.items()
        }
        within = dict.fromkeys(places, -1)
        led: dict[tuple[str, int], Outcome] = {}
        for job, env in chunk:
            within[job.sequence] += 1
            yield self._outcome(job, env, settled[job.sequence], within[job.sequence], led)

    def _settle(self, sequence: str, variables: list[Mapping[str, Any]]) -> Settled | None:
        """Which of the points share an outcome; None when each has to be built."""
        if self.plan.jobs_by_sequence[sequence] <= BUILT_ANYWAY:
            return None
        if sequence not in self._extremes:
            self._extremes[sequence] = self._read(sequence)
            if len(self._extremes) > KEPT_EXTREMES:
                self._extremes.popitem(last=False)
        extremes = self._extremes[sequence]
        return None if extremes is None else extremes.settle(variables)

    def _read(self, sequence: str) -> Extremes | None:
        try:
            return Extremes(self.plan.sequence(sequence), self.plan.variant(sequence).device.body)
        except Exception:  # noqa: BLE001 - said when it is built
            return None

    def _outcome(
        self,
        job: PlannedJob,
        env: Mapping[str, Value],
        settled: Settled | None,
        place: int,
        led: dict[tuple[str, int], Outcome],
    ) -> Outcome:
        """The outcome of a job: its class's, that of an earlier job of which it is known to share it, or its own."""
        self._check_runs(job)
        if settled is None:
            return self._alone(job, env)
        leader, of_class = settled.leaders[place], settled.classes[place]
        known = of_class.outcome if of_class is not None else None
        known = known or led.get((job.sequence, leader))
        if known is None:
            known = self._alone(job, env)
            if of_class is not None:
                of_class.outcome = known
            elif leader != ALONE:
                led[job.sequence, leader] = known
        else:
            for cause in known.causes:
                self.findings.repeat(cause)
        return known

    def _alone(self, job: PlannedJob, env: Mapping[str, Value]) -> Outcome:
        self.findings.trace.clear()
        duration = self._build(job) if self._check_fields(job, env) else 0
        return Outcome(duration, tuple(self.findings.trace))

    def _check_runs(self, job: PlannedJob) -> None:
        device = self.plan.variant(job.sequence).device
        if device.max_runs is not None and job.runs > device.max_runs:
            message = f"{job.runs} runs, {device.name} allows {device.max_runs}"
            self.findings.add(("runs", job.group), self.plan.runs_path(job), message, job.point)

    def _check_fields(self, job: PlannedJob, env: Mapping[str, Value]) -> bool:
        template = self.plan.expansion.template
        strict, periods = self._clock(job.sequence)
        try:
            template.check_values(env)
            first = job.sequence not in self._once
            self._once.add(job.sequence)
            varying = list(template.clock_faults(env, periods, once=False))
            fixed = list(template.clock_faults(env, periods, once=True)) if first else []
            for fault in varying:
                self._off_clock(fault, job.point, strict=strict)
            for fault in fixed:
                self._off_clock(fault, {}, strict=strict)
            return not ((varying or fixed) and strict)
        except FieldError as fault:
            self.findings.add_field(fault, job.point)
            return False

    def _clock(self, sequence: str) -> tuple[bool, dict[str, int]]:
        """Whether durations off the clock are refused, and the clock periods of the channels."""
        if sequence not in self._clocks:
            variant = self.plan.variant(sequence)
            self._clocks[sequence] = (variant.strict_clock, variant.clock_periods())
        return self._clocks[sequence]

    def _off_clock(self, fault: FieldError, point: Mapping[str, Any], *, strict: bool) -> None:
        if strict:
            self.findings.add_field(fault, point)
        else:
            self.findings.add(("rounded", fault.path), fault.path, f"{fault.message}; Pulser rounds up", point, warning=True)

    def _build(self, job: PlannedJob) -> int:
        if job.sequence in self._bad:
            self._refused(job, self._bad[job.sequence])
            return 0
        try:
            sequence = self.plan.loaded_sequence(job.sequence)
        except Exception as error:  # noqa: BLE001 - Pulser's exceptions have no common ancestor but this
            self._bad[job.sequence] = error
            self._refused(job, error)
            return 0
        try:
            built, warnings = build(sequence, job.variables)
            self._check_for_device(job.sequence, built)
            self.plan.hand_on(job, built)
        except Exception as error:  # noqa: BLE001
            self._refused(job, error)
            return 0
        for warning in warnings:
            if self.plan.variant(job.sequence).is_inline and "clock period" in warning:
                continue  # said at its line by `_off_clock`
            path = self.plan.place(job.sequence, ("sequence",))
            self.findings.add(("warning", warning.split("ns")[-1]), path, _sentence(warning), job.point, warning=True)
        duration = int(built.get_duration())
        if duration == 0:
            path = self.plan.place(job.sequence, ("sequence", "operations"))
            self.findings.add(("empty", path), path, "the sequence has no duration", job.point, hint="add a pulse")
        return duration

    def _check_for_device(self, sequence: str, built: Any) -> None:
        """What a QPU asks beyond a build is about register and device, the same for all points of a sequence."""
        if self.plan.target.spends and sequence not in self._fit_for_device:
            from pulser.backend.abc import Backend

            Backend.validate_sequence(built, mimic_qpu=True)
            self._fit_for_device.add(sequence)

    def _refused(self, job: PlannedJob, error: Exception) -> None:
        inline = self.plan.variant(job.sequence).is_inline
        if isinstance(error, RegisterError | SwitchDeviceError):
            below, hint = (error.path, error.hint) if isinstance(error, RegisterError) else (("register",), "")
            path = self.plan.place(job.sequence, ("sequence", *below) if inline else self.plan.variant(job.sequence).path)
            said = _sentence(str(error))
            message = register_clause(said, {}, self.plan.variant(job.sequence).device.body) or said
            self.findings.add(("sequence", path, _kind(error)), path, message, job.point, hint=hint)
            return
        self._diagnosed += 1
        if self._diagnosed > DIAGNOSED:
            cause = next((c for c in self.findings.found if c[0] == "pulser" and c[-1] == _kind(error)), None)
            if cause is not None:
                self.findings.repeat(cause)
                return
        found = diagnose(self.plan.sequence(job.sequence), job.variables, error)
        path = self._written(job.sequence, found.path) if inline else self.plan.variant(job.sequence).path
        message = found.message if inline else f"{path_text(found.path[1:])}: {found.message}"
        self.findings.add(("pulser", path, found.path[3:], _kind(error)), path, message, job.point, hint=found.hint)

    def _written(self, sequence: str, path: Path) -> Path:
        """Where the spec has what stands at a path of the abstract representation: there, at the pulse, or around it."""
        place = self.plan.place(sequence, path)
        if place[-1] == "duration" and not _holds(self.plan.document.data, place):
            place = (*place[:-2], "duration")
        while len(place) > 1 and not _holds(self.plan.document.data, place):
            place = place[:-1]
        return place


def _holds(data: Any, path: Path) -> bool:
    """Whether plain data has something at a path."""
    for step in path:
        inside = step in data if isinstance(data, dict) else isinstance(data, list) and isinstance(step, int) and step < len(data)
        if not inside:
            return False
        data = data[step]
    return True


def _kind(error: Exception) -> str:
    """What Pulser said without the numbers and lists in it: the same for all points that fail alike."""
    return re.sub(r"\[.*\]|-?\d[\d.]*(?:e[-+]?\d+)?", "#", str(error), flags=re.DOTALL)


def _sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
