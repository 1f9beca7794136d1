"""Every job of a plan built by Pulser before anything runs; what it refuses is located, counted and said all at once."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import SpecError
from pcs_runner.sequence.build import RegisterError, SwitchDeviceError, build
from pcs_runner.sequence.diagnose import diagnose
from pcs_runner.sequence.template import FieldError
from pcs_runner.spec.document import path_text
from pcs_runner.spec.expressions import float_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pcs_runner.errors import Problem
    from pcs_runner.plan.expansion import PlannedJob
    from pcs_runner.plan.plan import Plan
    from pcs_runner.spec.document import Document, Path
    from pcs_runner.spec.expressions import Value

DIAGNOSED = 200
"""So many failing points are diagnosed one by one; the others are counted under what Pulser said."""


@dataclass(slots=True)
class _Finding:
    """One cause, at the first point that has it."""

    path: Path
    message: str
    hint: str
    offset: int
    point: Mapping[str, Any]
    warning: bool = False
    count: int = 1


@dataclass(slots=True)
class Findings:
    """What was found wrong, by cause."""

    found: dict[tuple[Any, ...], _Finding] = field(default_factory=dict)

    def add(self, cause: tuple[Any, ...], path: Path, message: str, point: Mapping[str, Any], **more: Any) -> None:
        """Count a cause, and keep where and how it was first met."""
        if cause in self.found:
            self.found[cause].count += 1
        else:
            self.found[cause] = _Finding(
                path, message, more.get("hint", ""), more.get("offset", 0), point, more.get("warning", False)
            )

    def add_field(self, fault: FieldError, point: Mapping[str, Any]) -> None:
        """Count a value that does not fit its place."""
        self.add((fault.path, fault.hint), fault.path, fault.message, point, hint=fault.hint, offset=fault.offset)

    def problems(self, document: Document, jobs: int) -> Iterator[Problem]:
        """Each cause as a problem that says at how many points, and which is the first."""
        for one in self.found.values():
            suffix = f" ({one.count} of {jobs} points, first: {point_text(one.point)})" if jobs > 1 and one.point else ""
            yield document.problem(one.path, one.message + suffix, hint=one.hint, offset=one.offset, warning=one.warning)


def point_text(point: Mapping[str, Any]) -> str:
    """`omega=13.1, t=500`."""
    return ", ".join(f"{name}={_value_text(value)}" for name, value in point.items())


def _value_text(value: Any) -> str:
    return f"[{', '.join(map(float_text, value))}]" if isinstance(value, list) else float_text(value)


def check(plan: Plan, on_progress: Callable[[int], None] | None = None) -> tuple[array[int], list[Problem]]:
    """Build every job.

    Args:
        plan: What to check.
        on_progress: Told the number of jobs checked, now and then.

    Returns:
        The duration of every job in ns, by index, and Pulser's warnings.

    Raises:
        SpecError: With every cause, at its place in the spec, with the number of points and the first of them.
    """
    checker = _Checker(plan)
    durations: array[int] = array("q")
    count = 0
    for job, env in plan.expansion.walk():
        durations.append(checker.check(job, env))
        count += 1
        if on_progress is not None and count % 100 == 0:
            on_progress(count)
    problems = sorted(checker.findings.problems(plan.document, plan.total_jobs or count), key=lambda p: (p.line, p.column))
    if any(not problem.warning for problem in problems):
        raise SpecError(problems)
    if on_progress is not None:
        on_progress(count)
    return durations, problems


class _Checker:
    """What is remembered from job to job: sequences already known to be bad, and the last one built."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.findings = Findings()
        self.periods = plan.clock_periods()
        self.strict_clock = plan.strict_clock
        self.max_runs = plan.device.max_runs
        self._bad: dict[str, Exception] = {}
        self._once: set[str] = set()
        self._last: tuple[Any, int] = (None, 0)

    def check(self, job: PlannedJob, env: Mapping[str, Value]) -> int:
        """Check one job; the duration of its sequence in ns, 0 when it has none."""
        self._check_runs(job)
        if not self._check_fields(job, env):
            return 0
        content = (job.sequence, tuple(map(str, job.variables.values())))
        if content != self._last[0]:
            self._last = (content, self._build(job))
        return self._last[1]

    def _check_runs(self, job: PlannedJob) -> None:
        if self.max_runs is not None and job.runs > self.max_runs:
            message = f"{job.runs} runs, {self.plan.device.name} allows {self.max_runs}"
            self.findings.add(("runs", job.group), self.plan.runs_path(job), message, job.point)

    def _check_fields(self, job: PlannedJob, env: Mapping[str, Value]) -> bool:
        template = self.plan.expansion.template
        try:
            template.check_values(env)
            first = job.sequence not in self._once
            self._once.add(job.sequence)
            varying = list(template.clock_faults(env, self.periods, once=False))
            fixed = list(template.clock_faults(env, self.periods, once=True)) if first else []
            for fault in varying:
                self._off_clock(fault, job.point)
            for fault in fixed:
                self._off_clock(fault, {})
            return not ((varying or fixed) and self.strict_clock)
        except FieldError as fault:
            self.findings.add_field(fault, job.point)
            return False

    def _off_clock(self, fault: FieldError, point: Mapping[str, Any]) -> None:
        if self.strict_clock:
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
            self._check_for_device(built)
            self.plan.hand_on(job, built)
        except Exception as error:  # noqa: BLE001
            self._refused(job, error)
            return 0
        for warning in warnings:
            if self.plan.is_inline and "clock period" in warning:
                continue  # said at its line by `_off_clock`
            self.findings.add(("warning", warning.split("ns")[-1]), ("sequence",), _sentence(warning), job.point, warning=True)
        duration = int(built.get_duration())
        if duration == 0:
            self.findings.add(
                ("empty",), ("sequence", "operations"), "the sequence has no duration", job.point, hint="add a pulse"
            )
        return duration

    def _check_for_device(self, built: Any) -> None:
        if self.plan.target.spends:
            from pulser.backend.abc import Backend

            Backend.validate_sequence(built, mimic_qpu=True)

    def _refused(self, job: PlannedJob, error: Exception) -> None:
        if isinstance(error, RegisterError | SwitchDeviceError):
            path: Path = ("sequence", "register") if self.plan.is_inline else ("sequence", "file")
            self.findings.add(("sequence", _kind(error)), path, _sentence(str(error)), job.point)
            return
        if len(self.findings.found) + sum(f.count for f in self.findings.found.values()) > DIAGNOSED:
            cause = next((c for c in self.findings.found if c[0] == "pulser" and c[-1] == _kind(error)), None)
            if cause is not None:
                self.findings.found[cause].count += 1
                return
        found = diagnose(self.plan.sequence(job.sequence), job.variables, error)
        path, message = found.path, found.message
        if not self.plan.is_inline:
            path, message = ("sequence", "file"), f"{path_text(found.path[1:])}: {message}"
        self.findings.add(("pulser", found.path, _kind(error)), path, message, job.point)


def _kind(error: Exception) -> str:
    """What Pulser said without the numbers and lists in it: the same for all points that fail alike."""
    return re.sub(r"\[.*\]|-?\d[\d.]*(?:e[-+]?\d+)?", "#", str(error), flags=re.DOTALL)


def _sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
