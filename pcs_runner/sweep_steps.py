"""What a group computes once, and the steps that are left for each of its points."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.expressions import PI, Evaluator, Expression, ExpressionError, Value, float_text, read
from pcs_runner.sweep_axes import SweepError, SweepErrors, whole

if TYPE_CHECKING:
    from pcs_runner.spec.document import Path
    from pcs_runner.spec.jobs import JobGroup

_SHOWN_NAMES = 6
_NUMBER = re.compile(r"-?\d[\d.]*(?:e[-+]?\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that is computed for a point: a constant, a `let`, `where` or `runs`.

    Attributes:
        name: What the value is called.
        path: Where it stands in the spec.
        raw: As written.
        expression: What it means.
        compute: Values of names -> its value; `expression.evaluate`, sooner.
    """

    name: str
    path: Path
    raw: Any
    expression: Expression
    compute: Evaluator


class Steps:
    """The compiled expressions of a group.

    Args:
        group: The group.
        names: Its axes.
        constants: The spec's constants as written, in order.
        values: Values of the predefined names and of the constants.
        path: Where the group stands.
        runs: What replaces the group's `runs`, and where that stands.
        place: Where in the spec a path of these constants was written.

    Attributes:
        errors: What is wrong with them.
        fixed: Values of all names that do not vary.
        varying: Axes, and constants and `let`s that depend on one.
        computed: Constants and `let`s to compute at each point, in order.
        where: The condition, if there is one.
        runs: The number of runs, where it is not `fixed_runs`.
        fixed_runs: Runs of every point, or None when they vary.
    """

    def __init__(
        self,
        group: JobGroup,
        names: Sequence[str],
        constants: Mapping[str, Any],
        values: Mapping[str, Value],
        path: Path,
        runs: tuple[Any, Path],
        place: Callable[[Path], Path] = lambda path: path,
    ) -> None:
        self.errors: list[SweepError] = []
        self.fixed = {name: value for name, value in values.items() if name not in names}
        self.varying = set(names)
        self.computed: list[Step] = []
        self._unknown = {name for name in constants if name not in values}
        for name in [name for name in constants if name not in names]:
            self._constant(self._step(name, constants[name], place(("constants", name))))
        for name, raw in group.let.items():
            self._let(self._step(name, raw, (*path, "let", name)))
        self.where = None if group.where is None else self._step("where", group.where, (*path, "where"))
        self.runs = self._step("runs", *runs)
        self.fixed_runs = self._fixed_runs()

    def _step(self, name: str, raw: Any, path: Path) -> Step | None:
        try:
            return Step(name=name, path=path, raw=raw, expression=read(raw), compute=read(raw).evaluator)
        except ExpressionError as error:
            self.errors.append(SweepError(path, f'{error.message} in "{raw}"', error.hint, error.offset))
            self._unknown.add(name)
            return None

    def _constant(self, step: Step | None) -> None:
        if step is not None and step.expression.names & self.varying:
            self._vary(step)

    def _let(self, step: Step | None) -> None:
        if step is None:
            return
        if step.expression.names & self.varying:
            self._vary(step)
        elif step.expression.names & self._unknown:
            self._unknown.add(step.name)
        else:
            try:
                self.fixed[step.name] = step.expression.evaluate(self.fixed)
            except ExpressionError as error:
                self.errors.append(located(step, error, self.fixed))
                self._unknown.add(step.name)

    def _vary(self, step: Step) -> None:
        self.varying.add(step.name)
        self._unknown.discard(step.name)
        self.fixed.pop(step.name, None)
        self.computed.append(step)

    def _fixed_runs(self) -> int | None:
        if self.runs is None or self.runs.expression.names & (self.varying | self._unknown):
            return None
        try:
            return runs_of(self.runs.expression.evaluate(self.fixed))
        except ExpressionError as error:
            self.errors.append(located(self.runs, error, self.fixed))
            return None


class Failures:
    """The first failing point of each cause, and how many there are.

    Args:
        names: Of the axes, for the messages.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._found: dict[tuple[Path, str], tuple[SweepError, int]] = {}

    def add(self, step: Step, error: ExpressionError, values: Mapping[str, Any], env: Mapping[str, Value]) -> None:
        """Remember that a step has no value at a point; what is said of it, but for the numbers, tells causes apart."""
        where = located(step, error, env)
        cause = (where.path, _NUMBER.sub("#", where.message))
        if cause in self._found:
            first, count = self._found[cause]
            self._found[cause] = (first, count + 1)
            return
        place = ", ".join(f"{name}={_shown(values[name])}" for name in self._names[:_SHOWN_NAMES])
        message = where.message + (f" at {place}" if place else "")
        self._found[cause] = (SweepError(where.path, message, where.hint, where.offset), 0)

    def raise_any(self) -> None:
        """Raise what was remembered, if anything was.

        Raises:
            SweepErrors: One error for each cause.
        """
        errors = []
        for error, more in self._found.values():
            rest = f" (and at {more} more point{'s' if more > 1 else ''})" if more else ""
            errors.append(SweepError(error.path, error.message + rest, error.hint, error.offset))
        if errors:
            raise SweepErrors(errors)


def located(step: Step, error: ExpressionError, env: Mapping[str, Value]) -> SweepError:
    """The error of a step, at the item of a list that caused it; quoted, unless the message is about the value itself."""
    if isinstance(step.raw, list):
        for place, item in enumerate(step.raw):
            try:
                read(item).evaluate(env)
            except ExpressionError as found:
                return SweepError((*step.path, place), f'{found.message} in "{item}"', found.hint, found.offset)
    inside = f' in "{step.raw}"' if isinstance(step.raw, str) else ""
    return SweepError(step.path, error.message + inside, error.hint, error.offset)


def constants_of(constants: Mapping[str, Any], predefined: Mapping[str, Value]) -> tuple[dict[str, Value], dict[str, SweepError]]:
    """The values of the predefined names and, in order, of the constants; and an error for each that is itself to blame."""
    values: dict[str, Value] = {PI: math.pi, **predefined}
    errors: dict[str, SweepError] = {}
    failed: set[str] = set()
    for name, raw in constants.items():
        path: Path = ("constants", name)
        try:
            expression = read(raw)
        except ExpressionError as error:
            failed.add(name)
            errors[name] = SweepError(path, f'{error.message} in "{raw}"', error.hint, error.offset)
            continue
        if expression.names & failed:
            failed.add(name)
            continue
        try:
            values[name] = expression.evaluate(values)
        except ExpressionError as error:
            failed.add(name)
            errors[name] = located(
                Step(name=name, path=path, raw=raw, expression=expression, compute=expression.evaluator), error, values
            )
    return values, errors


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, str | dict) else float_text(value)


def is_true(value: Value) -> bool:
    """Whether a condition holds.

    Raises:
        ExpressionError: When it is a list.
    """
    if isinstance(value, tuple):
        raise ExpressionError("where is a list, not a condition", hint="compare one element")
    return bool(value)


def runs_of(value: Value) -> int:
    """The number of runs that a value means.

    Raises:
        ExpressionError: When it is not an integer of at least 1.
    """
    if value.__class__ is int and value > 0:
        return value
    if isinstance(value, tuple):
        raise ExpressionError(f"runs is a list of {len(value)} values, not a number")
    number = whole(value)
    if number is None:
        raise ExpressionError(f"runs is {float_text(value)}, not an integer", hint="use floor(x + 0.5)")
    if number < 1:
        raise ExpressionError(f"runs is {number}, less than 1", hint="drop points with where")
    return number
