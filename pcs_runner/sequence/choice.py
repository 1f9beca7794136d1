"""Several templates behind one: a point chooses its own by its variant and by how often it repeats what is repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pcs_runner.sequence.devices import ResolvedDevice
    from pcs_runner.sequence.fields import FieldError
    from pcs_runner.sequence.variables import SequenceVariable
    from pcs_runner.spec.document import Path
    from pcs_runner.spec.expressions import Value


class SequenceTemplate(Protocol):
    """What a form of sequence answers for a point; kept by `Template` (inline), `FileTemplate` and `Choice`."""

    @property
    def variables(self) -> tuple[SequenceVariable, ...]:
        """The sequence's variables; of several templates, those of all that have been met."""

    @property
    def structural_names(self) -> frozenset[str]:
        """Varying names that give sequences of their own."""

    def key(self, env: Mapping[str, Value]) -> tuple[str, ...]:
        """What tells the point's sequence from the others."""

    def values(self, env: Mapping[str, Value]) -> dict[str, Any]:
        """The value of every sequence variable."""

    def check_values(self, env: Mapping[str, Value]) -> None:
        """Refuse NaN, infinity, and a fractional duration, time or target."""

    def clock_faults(self, env: Mapping[str, Value], periods: Mapping[str, int], *, once: bool) -> Iterator[FieldError]:
        """Durations off the clock."""

    def form(self, env: Mapping[str, Value]) -> dict[str, Any]:
        """The sequence with its variables left open, without device, version and Pulser: for ids and digests."""

    def text(self, env: Mapping[str, Value], device: ResolvedDevice, name: str) -> str:
        """The sequence with its variables left open, in Pulser's abstract representation (a JSON string)."""

    def operation_path(self, number: int, env: Mapping[str, Value]) -> Path:
        """Where an operation of the built sequence stands in the spec."""


class Choice:
    """Templates that are made when a point first chooses them.

    Args:
        label: Names -> what tells a point's template from the others.
        make: Names at the first point that chooses a template -> the template.
        names: Varying names that the choice depends on.
    """

    def __init__(
        self,
        label: Callable[[Mapping[str, Value]], tuple[str, ...]],
        make: Callable[[Mapping[str, Value]], SequenceTemplate],
        names: frozenset[str],
    ) -> None:
        self._label = label
        self._make = make
        self._names = names
        self._made: dict[tuple[str, ...], SequenceTemplate] = {}

    def chosen(self, env: Mapping[str, Value]) -> SequenceTemplate:
        """The template of a point.

        Raises:
            FieldError: There is none: an expression fails.
        """
        label = self._label(env)
        if label not in self._made:
            self._made[label] = self._make(env)
        return self._made[label]

    @property
    def variables(self) -> tuple[SequenceVariable, ...]:
        """The variables of all templates, each name once."""
        return tuple({one.name: one for template in self._made.values() for one in template.variables}.values())

    @property
    def structural_names(self) -> frozenset[str]:
        """Varying names that give sequences of their own."""
        return self._names.union(*(template.structural_names for template in self._made.values()))

    def key(self, env: Mapping[str, Value]) -> tuple[str, ...]:
        """What tells the point's sequence from the others."""
        return (*self._label(env), *self.chosen(env).key(env))

    def values(self, env: Mapping[str, Value]) -> dict[str, Any]:
        """The value of every sequence variable."""
        return self.chosen(env).values(env)

    def check_values(self, env: Mapping[str, Value]) -> None:
        """Refuse NaN, infinity, and a fractional duration, time or target."""
        self.chosen(env).check_values(env)

    def clock_faults(self, env: Mapping[str, Value], periods: Mapping[str, int], *, once: bool) -> Iterator[FieldError]:
        """Durations off the clock."""
        return self.chosen(env).clock_faults(env, periods, once=once)

    def form(self, env: Mapping[str, Value]) -> dict[str, Any]:
        """The sequence with its variables left open."""
        return self.chosen(env).form(env)

    def text(self, env: Mapping[str, Value], device: ResolvedDevice, name: str) -> str:
        """The sequence in Pulser's abstract representation."""
        return self.chosen(env).text(env, device, name)

    def operation_path(self, number: int, env: Mapping[str, Value]) -> Path:
        """Where an operation of the built sequence stands in the spec."""
        return self.chosen(env).operation_path(number, env)
