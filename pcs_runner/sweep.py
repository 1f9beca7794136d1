"""Job groups -> lazy, ordered points with every value that a job needs. Pure but for reading files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.expressions import ExpressionError, Value
from pcs_runner.sweep_axes import SweepError, SweepErrors
from pcs_runner.sweep_draws import RawStream
from pcs_runner.sweep_points import Points, compile_points
from pcs_runner.sweep_steps import Failures, Step, Steps, constants_of, is_true, runs_of

if TYPE_CHECKING:
    from pcs_runner.spec.document import Path
    from pcs_runner.spec.jobs import JobGroup
    from pcs_runner.spec.tables import Inputs

__all__ = ["Group", "GroupCount", "GroupPoint", "Points", "SweepError", "SweepErrors", "compile_points", "constant_values"]

VARIANT = "variant"
"""The name whose values are words: the variant of the spec that a point uses."""

MAX_SHUFFLED = 10**8
_CHUNK = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPoint:
    """A point that is kept.

    Attributes:
        point_index: Its place in the unshuffled group, before `where`, from 0.
        repetition: The pass over the group, from 0.
        values: Every axis and every `let` of the group, in the spec's order; lists are tuples.
        env: The values of all names: constants, computed again where an axis overrides one, axes and `let`.
        runs: Repetitions of the job, at least 1.
    """

    point_index: int
    repetition: int
    values: dict[str, Any]
    env: Mapping[str, Value]
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCount:
    """How many points of one pass `where` keeps, and how many it drops."""

    kept: int
    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantNames:
    """What a variant of the spec says about names.

    Attributes:
        constants: Its constants as written, in order.
        predefined: Values of the predefined names.
        place: Where in the spec a path of the variant was written.
    """

    constants: Mapping[str, Any]
    predefined: Mapping[str, Value]
    place: Callable[[Path], Path]


class Group:
    """One group of jobs, compiled.

    Args:
        group: The group.
        number: Its place among the groups, from 0.
        constants: The spec's constants as written, in order.
        predefined: Values of the predefined names, such as interaction_coeff of the device in use.
        seed: Seed of random draws that state none.
        inputs: The files of the spec.
        path: Where the group stands: `("jobs",)` or `("jobs", 1)`.
        runs_override: The target's `runs`, which replaces the group's.
        runs_path: Where that stands.
        variants: The variants by name, for a group that sweeps `variant`.

    Raises:
        SweepErrors: All that is wrong and can be known without visiting the points.

    Attributes:
        name: Of the group; its number when it has none.
        names: The axes, in the order of their values.
        let_names: The names computed from the point, in order.
        fixed: Values of all names that do not vary: predefined ones, constants, and `let`s that depend on no axis.
        varying: Names that vary: axes, and constants and `let`s that depend on one.
        total_points: Points of one pass, before `where`.
        repeat: Number of passes.
    """

    def __init__(
        self,
        group: JobGroup,
        number: int,
        constants: Mapping[str, Any],
        predefined: Mapping[str, Value],
        *,
        seed: int,
        inputs: Inputs,
        path: Path,
        runs_override: float | str | None = None,
        runs_path: Path | None = None,
        variants: Mapping[str, VariantNames] | None = None,
    ) -> None:
        values, errors = constants_of(constants, predefined)
        try:
            self._points: Points = compile_points(
                group.sweep, values, seed=seed, inputs=inputs, path=(*path, "sweep"), variants=variants
            )
        except SweepErrors as found:
            raise SweepErrors([*errors.values(), *found.errors]) from None
        runs = (group.runs, (*path, "runs")) if runs_override is None else (runs_override, runs_path or (*path, "runs"))
        self.name = group.name or str(number)
        self.names = self._points.names
        self.let_names = tuple(group.let)
        self.total_points = len(self._points)
        self.repeat = group.repeat
        self._steps = Steps(group, self.names, constants, values, path, runs)
        self._of_variant: dict[str, Steps] = {}
        if VARIANT in self.names and variants:
            errors = {}
            for name, variant in variants.items():
                values, wrong = constants_of(variant.constants, variant.predefined)
                found_steps = Steps(group, self.names, variant.constants, values, path, runs, variant.place)
                self._of_variant[name] = self._steps = found_steps
                errors |= {
                    one: SweepError(variant.place(error.path), error.message, error.hint, error.offset)
                    for one, error in wrong.items()
                    if one not in found_steps.varying
                }
        self.fixed: Mapping[str, Value] = self._steps.fixed
        self.varying = frozenset(self._steps.varying)
        self._shuffle = group.order.shuffle if group.order else None
        self._count = None if self._steps.where else GroupCount(kept=self.total_points, dropped=0)
        self._refuse([error for name, error in errors.items() if name not in self.varying], path)

    def _refuse(self, errors: list[SweepError], path: Path) -> None:
        for steps in self._of_variant.values() or (self._steps,):
            errors += [
                error for error in steps.errors if (error.path, error.message) not in {(e.path, e.message) for e in errors}
            ]
        if self._shuffle is not None and self.total_points > MAX_SHUFFLED:
            message = f"{self.total_points} points are too many to shuffle (at most {MAX_SHUFFLED})"
            errors.append(SweepError((*path, "order", "shuffle"), message))
        if errors:
            raise SweepErrors(errors)

    def points(self) -> Iterator[GroupPoint]:
        """The kept points of all passes, in visiting order; the same at every call and on every machine.

        Raises:
            SweepErrors: At the end of the first pass, when an expression has no value at some points: one error for each
                expression, naming the first such point and how many there are.
        """
        for repetition in range(self.repeat):
            failures = Failures(self.names)
            kept = 0
            for index in self._order(repetition):
                point = self._point(index, repetition, failures)
                if point is not None:
                    kept += 1
                    yield point
            failures.raise_any()
            self._count = GroupCount(kept=kept, dropped=self.total_points - kept)

    def point(self, index: int, repetition: int = 0) -> GroupPoint | None:
        """The point at a place of the unshuffled group; None when `where` drops it.

        Raises:
            SweepErrors: When an expression has no value there.
        """
        failures = Failures(self.names)
        point = self._point(index, repetition, failures)
        failures.raise_any()
        return point

    def count(self) -> GroupCount:
        """How many points of a pass are kept and dropped.

        With a `where` this visits all points, unless `points` has come to the end of a pass before.

        Raises:
            SweepErrors: As `points`.
        """
        if self._count is None:
            failures = Failures(self.names)
            kept = sum(self._point(index, 0, failures) is not None for index in range(self.total_points))
            failures.raise_any()
            self._count = GroupCount(kept=kept, dropped=self.total_points - kept)
        return self._count

    def varying_in(self, variant: str) -> frozenset[str]:
        """Names that vary from point to point of a variant; empty for a variant that the group does not use."""
        if not variant:
            return frozenset() if self._of_variant else self.varying
        return frozenset(self._of_variant[variant].varying - {VARIANT}) if variant in self._of_variant else frozenset()

    @property
    def kept(self) -> int:
        """Points of one pass that `where` keeps; see `count`."""
        return self.count().kept

    def _order(self, repetition: int) -> Iterator[int]:
        if self._shuffle is None:
            yield from range(self.total_points)
            return
        import numpy as np

        bits = RawStream(self._shuffle, f"shuffle {repetition}").first(self.total_points)
        order = np.argsort(bits, kind="stable")
        for start in range(0, len(order), _CHUNK):
            yield from order[start : start + _CHUNK].tolist()

    def _point(self, index: int, repetition: int, failures: Failures) -> GroupPoint | None:
        values: dict[str, Any] = dict(zip(self.names, self._points[index], strict=True))
        steps = self._of_variant[values[VARIANT]] if self._of_variant else self._steps
        env: dict[str, Any] = {**steps.fixed, **values}
        step: Step | None = None
        try:
            for step in steps.computed:
                env[step.name] = step.compute(env)
            step = steps.where
            if step is not None and not is_true(step.compute(env)):
                return None
            runs = steps.fixed_runs
            if runs is None:
                step = steps.runs
                assert step is not None
                runs = runs_of(step.compute(env))
        except ExpressionError as error:
            assert step is not None
            failures.add(step, error, values, env)
            return None
        for name in self.let_names:
            values[name] = env[name]
        return GroupPoint(point_index=index, repetition=repetition, values=values, env=env, runs=runs)


def constant_values(constants: Mapping[str, Any], predefined: Mapping[str, Value]) -> dict[str, Value]:
    """The values of the predefined names and, in order, of the constants.

    Raises:
        SweepErrors: One error for each constant that has no value.
    """
    values, errors = constants_of(constants, predefined)
    if errors:
        raise SweepErrors(list(errors.values()))
    return values
