"""A spec's jobs, generated lazily and in order for one interaction coefficient; no device and no Pulser needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.fields import FieldError
from pcs_runner.sequence.template import form_text
from pcs_runner.sweep import VARIANT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pcs_runner.sequence.choice import SequenceTemplate
    from pcs_runner.spec.expressions import Value
    from pcs_runner.sweep import Group, GroupPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """One job of a plan.

    Attributes:
        index: Position in the plan, from 0.
        group: Name of its group.
        point_index: Index of the point in the unshuffled group, before `where`.
        repetition: Pass over the group, from 0.
        point: Every swept name and scalar `let`, in the spec's order; swept arrays as lists.
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


class PointError(Exception):
    """A job that the spec defines, but that cannot be: which one, and why.

    Args:
        fault: What is wrong and where.
        point: The swept names and their values.
    """

    def __init__(self, fault: FieldError, point: Mapping[str, Any]) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.point = point


class Expansion:
    """The jobs of a spec.

    Args:
        groups: Compiled job groups, in order.
        template: The sequence.
        device_names: Variant -> name of its device, part of a sequence's id; without a name, the spec as it stands.

    Attributes:
        environments: Sequence id -> the names of the first point that uses it, for building the sequence later.
        hashes: Sequence id -> the whole hash of the sequence's form.
    """

    def __init__(self, groups: Sequence[Group], template: SequenceTemplate, device_names: Mapping[str, str]) -> None:
        self.groups = tuple(groups)
        self.template = template
        self.device_names = device_names
        self.environments: dict[str, Mapping[str, Value]] = {}
        self.hashes: dict[str, str] = {}
        self._ids: dict[tuple[str, ...], str] = {}

    def walk(self, on_error: Callable[[PointError], None] | None = None) -> Iterator[tuple[PlannedJob, Mapping[str, Value]]]:
        """The jobs in order, each with all names at its point.

        Args:
            on_error: Told of each job that cannot be made, which is then skipped; without it the first one is raised.

        Raises:
            PointError: A job cannot be made.
        """
        index = 0
        for group in self.groups:
            for point in group.points():
                try:
                    job = self._job(index, group, point)
                except FieldError as fault:
                    error = PointError(fault, plain_point(group, point))
                    if on_error is None:
                        raise error from fault
                    on_error(error)
                else:
                    yield job, point.env
                index += 1

    def _job(self, index: int, group: Group, point: GroupPoint) -> PlannedJob:
        env = point.env
        return PlannedJob(
            index=index,
            group=group.name,
            point_index=point.point_index,
            repetition=point.repetition,
            point=plain_point(group, point),
            variables=self.template.values(env),
            runs=point.runs,
            sequence=self._sequence_id(env),
        )

    def _sequence_id(self, env: Mapping[str, Value]) -> str:
        key = self.template.key(env)
        found = self._ids.get(key)
        if found is None:
            text = form_text(self.template.form(env), self.device_names[str(env.get(VARIANT, ""))])
            found = self._ids[key] = self._name(hashlib.sha256(text.encode()).hexdigest())
            self.environments.setdefault(found, dict(env))
        return found

    def _name(self, whole: str) -> str:
        """The first 8 digits of the hash; where another sequence has these already, of the hash's hash."""
        name, digits = whole[:8], whole
        while self.hashes.setdefault(name, whole) != whole:
            digits = hashlib.sha256(digits.encode()).hexdigest()
            name = digits[:8]
        return name


def plain_point(group: Group, point: GroupPoint) -> dict[str, Any]:
    """Swept names and scalar `let` as they go into a record: tuples as lists, lists of `let` left out."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in point.values.items()
        if name in group.names or not isinstance(value, tuple)
    }
