"""Values of one name, computed when they are asked for: lists, NumPy's ranges and columns of files.

Everything is computed with Python's floats and `math`: the last bits of NumPy's functions differ between processors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from pcs_runner.spec.expressions import ExpressionError, Scalar, Value, nearest_hint, read
from pcs_runner.spec.jobs import (
    Arange,
    AxisRange,
    Geomspace,
    Linspace,
    Logspace,
)
from pcs_runner.spec.tables import TEXT_NAMES, InputError, Inputs, read_table

if TYPE_CHECKING:
    from pcs_runner.spec.document import Path

MAX_AXIS = 10**9
INTEGER_TOLERANCE = 1e-9


class SweepError(Exception):
    """One thing wrong with a sweep, or with an expression at one of its points.

    Args:
        path: Where in the spec.
        message: What is wrong, with the values.
        hint: What to do now, or empty.
        offset: Position of the culprit inside an expression, from 0, in code points.
    """

    def __init__(self, path: Path, message: str, hint: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.hint = hint
        self.offset = offset


class SweepErrors(Exception):  # noqa: N818 - several of them
    """Everything wrong with a sweep.

    Args:
        errors: At least one.
    """

    def __init__(self, errors: Sequence[SweepError]) -> None:
        super().__init__("\n".join(error.message for error in errors))
        self.errors = tuple(errors)


class Scope:
    """Reads the values of a sweep with the constants, and collects all that is wrong with them.

    Args:
        constants: The names that an axis may use, with their values.
        seed: Seed of random draws that state none.
        inputs: The files of the spec.
        variants: The words that `variant` may be; None when they are not to be checked.

    Attributes:
        errors: What was wrong so far.
    """

    def __init__(
        self, constants: Mapping[str, Value], *, seed: int, inputs: Inputs, variants: Collection[str] | None = None
    ) -> None:
        self.constants = constants
        self.seed = seed
        self.inputs = inputs
        self.variants = variants
        self.errors: list[SweepError] = []

    def fail(self, path: Path, message: str, hint: str = "", offset: int = 0) -> None:
        """Remember a problem."""
        self.errors.append(SweepError(path, message, hint, offset))

    def named(self, name: str, raw: Any, path: Path) -> Any:
        """The value of a swept name: a word for `variant`, atom -> trap or a list for `qubits`, else as `value`."""
        if name in TEXT_NAMES:
            return self.word(raw, path)
        if isinstance(raw, dict):
            return {key: self.scalar(item, (*path, key)) for key, item in raw.items()}
        return self.value(raw, path)

    def word(self, word: str, path: Path) -> str:
        """The name of a variant."""
        if self.variants is not None and word not in self.variants:
            hint = nearest_hint(word, self.variants) or f"its variants: {', '.join(self.variants)}"
            self.fail(path, f'the spec has no variant "{word}"', hint if self.variants else "add `variants:`")
        return word

    def value(self, raw: Any, path: Path) -> Value | None:
        """The value of a number, an expression or a list of them; None when there is none."""
        if isinstance(raw, list) and raw:
            items = [self.scalar(item, (*path, place)) for place, item in enumerate(raw)]
            return None if any(item is None for item in items) else tuple([item for item in items if item is not None])
        try:
            return read(raw).evaluate(self.constants)
        except ExpressionError as error:
            inside = f' in "{raw}"' if isinstance(raw, str) else ""
            self.fail(path, f"{error.message}{inside}", error.hint, error.offset)
            return None

    def scalar(self, raw: Any, path: Path) -> Scalar | None:
        """As `value`, but a list is refused."""
        value = self.value(raw, path)
        if isinstance(value, tuple):
            self.fail(path, "a list stands where a number is expected")
            return None
        return value

    def count(self, raw: Any, path: Path, what: str) -> int | None:
        """A number of values: an integer from 1 to 10^9."""
        value = self.scalar(raw, path)
        if value is None:
            return None
        number = whole(value)
        if number is None:
            self.fail(path, f"{what} is {value!r}, not an integer", "use floor(x + 0.5)")
        elif not 1 <= number <= MAX_AXIS:
            self.fail(path, f"{what} is {number}, not from 1 to {MAX_AXIS}")
            return None
        return number

    def table_columns(self, file: str, path: Path) -> Mapping[str, Sequence[Any]] | None:
        """The columns of a file, or None when it is no table."""
        try:
            columns = read_table(self.inputs, file).columns
        except InputError as error:
            self.fail(path, error.message, error.hint)
            return None
        for word in {word: None for name in TEXT_NAMES for word in columns.get(name, ())}:
            self.word(word, path)
        return columns


def whole(value: Scalar) -> int | None:
    """The integer that a number stands for, or None when it is more than 1e-9 from one."""
    nearest = math.floor(value + 0.5)
    return nearest if abs(value - nearest) <= INTEGER_TOLERANCE else None


class Computed(Sequence[Any]):
    """A sequence whose values are computed from their place.

    Args:
        count: Number of values.
        at: Place, from 0 -> value.
    """

    def __init__(self, count: int, at: Callable[[int], Any]) -> None:
        self._count = count
        self._at = at

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return [self._at(one) for one in range(*place.indices(self._count))]
        if 0 <= place < self._count:
            return self._at(place)
        if -self._count <= place < 0:
            return self._at(place + self._count)
        raise IndexError(place)


def axis_values(name: str, axis: list[Any] | AxisRange, scope: Scope, path: Path) -> Sequence[Any] | None:
    """The values of an axis, or None when something is wrong with it (the scope knows what)."""
    if isinstance(axis, list):
        values = [scope.named(name, item, (*path, place)) for place, item in enumerate(axis)]
        return None if any(value is None for value in values) else tuple(values)
    if axis.file is not None:
        return _column(axis, scope, path)
    kind = next(iter(axis.model_fields_set))
    return _RANGES[kind](getattr(axis, kind), scope, (*path, kind))


def _column(axis: AxisRange, scope: Scope, path: Path) -> Sequence[Any] | None:
    columns = scope.table_columns(str(axis.file), (*path, "file"))
    if columns is None:
        return None
    column = str(axis.column)
    if column not in columns:
        scope.fail((*path, "column"), f'{axis.file} has no column "{column}"', f"its columns are {', '.join(columns)}")
        return None
    return columns[column]


def _ends(range_: Linspace | Logspace | Geomspace, scope: Scope, path: Path) -> tuple[float, float, int] | None:
    start = scope.scalar(range_.start, (*path, "start"))
    stop = scope.scalar(range_.stop, (*path, "stop"))
    num = scope.count(range_.num, (*path, "num"), "num")
    if start is None or stop is None or num is None:
        return None
    if not math.isfinite(float(stop) - float(start)):
        scope.fail(path, f"the range from {start!r} to {stop!r} is too wide for a number")
        return None
    return float(start), float(stop), num


def _evenly(start: float, stop: float, num: int, *, endpoint: bool) -> Callable[[int], float]:
    """numpy.linspace: `start + i*step`, and the last is exactly `stop`."""
    parts = num - 1 if endpoint else num
    delta = stop - start
    step = delta / parts if parts else 0.0

    def at(place: int) -> float:
        if endpoint and place and place == num - 1:
            return stop
        return start + (place * step if step or not parts else place / parts * delta)

    return at


def _linspace(range_: Linspace, scope: Scope, path: Path) -> Sequence[Any] | None:
    ends = _ends(range_, scope, path)
    return None if ends is None else Computed(ends[2], _evenly(*ends, endpoint=range_.endpoint))


def _logspace(range_: Logspace, scope: Scope, path: Path) -> Sequence[Any] | None:
    ends = _ends(range_, scope, path)
    base = scope.scalar(range_.base, (*path, "base"))
    if ends is None or base is None:
        return None
    if base <= 0:
        scope.fail((*path, "base"), f"base is {base!r}, not positive")
        return None
    exponents = _evenly(*ends, endpoint=range_.endpoint)
    try:
        largest = max(math.pow(base, ends[0]), math.pow(base, ends[1]))
    except OverflowError:
        largest = math.inf
    if not math.isfinite(largest):
        scope.fail(
            path, f"{base!r} to the power of {max(ends[:2], key=abs)!r} is too large for a number", "start and stop are exponents"
        )
        return None
    return Computed(ends[2], lambda place: math.pow(base, exponents(place)))


def _geomspace(range_: Geomspace, scope: Scope, path: Path) -> Sequence[Any] | None:
    ends = _ends(range_, scope, path)
    if ends is None:
        return None
    start, stop, num = ends
    if start == 0 or stop == 0 or (start < 0) != (stop < 0):
        scope.fail(
            path, f"geomspace from {start!r} to {stop!r}: both ends must have the same sign, and be no zero", "use linspace"
        )
        return None
    sign = math.copysign(1.0, start)
    exponents = _evenly(math.log10(abs(start)), math.log10(abs(stop)), num, endpoint=range_.endpoint)
    last = num - 1 if range_.endpoint else num

    def at(place: int) -> float:
        if place == 0:
            return start
        return stop if place == last else sign * math.pow(10.0, exponents(place))

    return Computed(num, at)


def _arange(range_: Arange, scope: Scope, path: Path) -> Sequence[Any] | None:
    ends = [scope.scalar(getattr(range_, name), (*path, name)) for name in ("start", "stop", "step")]
    start, stop, step = ends
    if start is None or stop is None or step is None:
        return None
    if step == 0:
        scope.fail((*path, "step"), "step is 0")
        return None
    integers = all(isinstance(end, int) for end in ends)
    quotient = (stop - start) / step
    count = -(-(stop - start) // step) if integers else math.ceil(quotient) if abs(quotient) < MAX_AXIS * 2 else quotient
    if not 1 <= count <= MAX_AXIS:
        what = "no values" if count < 1 else f"more than {MAX_AXIS} values"
        scope.fail(
            path, f"arange from {start!r} to {stop!r} by {step!r} has {what}", "stop itself is left out" if count < 1 else ""
        )
        return None
    delta = step if integers else (start + step) - start  # as NumPy: the distance of the first two
    return Computed(int(count), lambda place: start + place * delta)


_RANGES: dict[str, Callable[[Any, Scope, Path], Sequence[Any] | None]] = {
    "linspace": _linspace,
    "logspace": _logspace,
    "geomspace": _geomspace,
    "arange": _arange,
}
