"""What is wrong with a plan's points, by cause: how many points have it, and which is the first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pcs_runner.plan.user_code import in_code
from pcs_runner.spec.expressions import float_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pcs_runner.errors import Problem
    from pcs_runner.sequence.fields import FieldError
    from pcs_runner.spec.document import Document, Path

Cause = tuple[Any, ...]
"""What all points that fail alike have in common."""


@dataclass(slots=True)
class _Finding:
    """One cause, at the first point that has it."""

    path: Path
    message: str
    hint: str
    offset: int
    point: Mapping[str, Any]
    warning: bool = False
    fault: FieldError | None = None
    count: int = 1


@dataclass(slots=True)
class Findings:
    """What was found wrong, by cause.

    Attributes:
        found: Cause -> what is said about it.
        trace: The causes of one point, for whoever empties it before and reads it after.
    """

    found: dict[Cause, _Finding] = field(default_factory=dict)
    trace: list[Cause] = field(default_factory=list)

    def add(self, cause: Cause, path: Path, message: str, point: Mapping[str, Any], **more: Any) -> None:
        """Count a cause, and keep where and how it was first met."""
        if cause in self.found:
            self.repeat(cause)
            return
        self.trace.append(cause)
        self.found[cause] = _Finding(
            path, message, more.get("hint", ""), more.get("offset", 0), point, more.get("warning", False), more.get("fault")
        )

    def repeat(self, cause: Cause) -> None:
        """Count a cause that is known."""
        self.trace.append(cause)
        self.found[cause].count += 1

    def add_field(self, fault: FieldError, point: Mapping[str, Any]) -> None:
        """Count a value that does not fit its place."""
        cause = (fault.path, fault.hint, getattr(fault, "line", 0))
        self.add(cause, fault.path, fault.message, point, hint=fault.hint, offset=fault.offset, fault=fault)

    def problems(self, document: Document, jobs: int) -> Iterator[Problem]:
        """Each cause as a problem that says at how many points, and which is the first."""
        for one in self.found.values():
            suffix = f" ({one.count} of {jobs} points, first: {point_text(one.point)})" if jobs > 1 and one.point else ""
            problem = document.problem(one.path, one.message + suffix, hint=one.hint, offset=one.offset, warning=one.warning)
            yield in_code(problem, one.fault)


def point_text(point: Mapping[str, Any]) -> str:
    """`omega=13.1, t=500`."""
    return ", ".join(f"{name}={_value_text(value)}" for name, value in point.items())


def _value_text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(float_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_value_text(one)}' for name, one in value.items())}}}"
    return float_text(value) if isinstance(value, int | float) else str(value)
