"""The sweep algebra: nodes -> ordered points with random access, of which none is stored that can be computed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence, Sized
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

from pcs_runner.sweep_axes import Scope, SweepErrors, axis_values
from pcs_runner.sweep_draws import draws

if TYPE_CHECKING:
    from pcs_runner.spec.document import Path
    from pcs_runner.spec.expressions import Value
    from pcs_runner.spec.jobs import SweepNode
    from pcs_runner.spec.tables import Inputs

MAX_POINTS = 2**63 - 1


class Points(Protocol):
    """Ordered points: a tuple of values for each, in the order of the names."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names that every point binds."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> tuple[Any, ...]: ...


class Single:
    """The one point that binds nothing: a group without a sweep."""

    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return 1

    def __getitem__(self, place: int) -> tuple[Any, ...]:
        _checked(place, 1)
        return ()


class Columns:
    """Values side by side: a zip, the rows of a list or a file, random draws.

    Args:
        columns: Name -> values, all of the same length.
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self.names = tuple(columns)
        self._values = tuple(columns.values())
        self._length = len(self._values[0])

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: int) -> tuple[Any, ...]:
        place = _checked(place, self._length)
        return tuple([values[place] for values in self._values])


class Product:
    """Every combination; the first factor changes slowest.

    Args:
        factors: Points with different names.
    """

    def __init__(self, factors: Sequence[Points]) -> None:
        self.names = tuple(name for factor in factors for name in factor.names)
        lengths = [len(factor) for factor in factors]
        strides = [math.prod(lengths[place + 1 :]) for place in range(len(lengths))]
        self._factors = tuple(zip(factors, strides, lengths, strict=True))
        self._length = math.prod(lengths)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: int) -> tuple[Any, ...]:
        place = _checked(place, self._length)
        point: tuple[Any, ...] = ()
        for factor, stride, length in self._factors:
            point += factor[place // stride % length]
        return point


class Grid:
    """Every combination of the values of single names; the first changes slowest.

    Args:
        axes: Name -> values.
    """

    def __init__(self, axes: Mapping[str, Sequence[Any]]) -> None:
        self.names = tuple(axes)
        lengths = [len(values) for values in axes.values()]
        strides = [math.prod(lengths[place + 1 :]) for place in range(len(lengths))]
        self._axes = tuple(zip(axes.values(), strides, lengths, strict=True))
        self._length = math.prod(lengths)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: int) -> tuple[Any, ...]:
        if not 0 <= place < self._length:
            place = _checked(place, self._length)
        return tuple([values[place // stride % length] for values, stride, length in self._axes])


class Concat:
    """Points one after another; the names stand in the order of the first part.

    Args:
        parts: Points with the same names.
    """

    def __init__(self, parts: Sequence[Points]) -> None:
        self.names = parts[0].names
        self._parts = [(part, [part.names.index(name) for name in self.names]) for part in parts]
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, place: int) -> tuple[Any, ...]:
        place = _checked(place, self._ends[-1])
        start = 0
        for (part, order), end in zip(self._parts, self._ends, strict=True):
            if place < end:
                point = part[place - start]
                return tuple([point[one] for one in order])
            start = end
        raise IndexError(place)


def _checked(place: int, length: int) -> int:
    if place < 0:
        place += length
    if not 0 <= place < length:
        raise IndexError(place)
    return place


def compile_points(
    node: SweepNode | None,
    constants: Mapping[str, Value],
    *,
    seed: int,
    inputs: Inputs,
    path: Path,
    variants: Collection[str] | None = None,
) -> Points:
    """The points of a sweep, in order.

    Args:
        node: The sweep, or None for one point that binds nothing.
        constants: Values of the names that an axis may use.
        seed: Seed of random draws that state none.
        inputs: The files of the spec.
        path: Where the node stands in the spec; every error's path begins with it.
        variants: The words that `variant` may be; None when they are not to be checked.

    Raises:
        SweepErrors: All that is wrong with it.
    """
    if node is None:
        return Single()
    scope = Scope(constants, seed=seed, inputs=inputs, variants=variants)
    points = _points(node, scope, path)
    if points is None or scope.errors:
        raise SweepErrors(scope.errors)
    return points


def _points(node: SweepNode, scope: Scope, path: Path) -> Points | None:
    kind = node.kind
    return {
        "grid": _grid,
        "zip": _zip,
        "points": _rows,
        "file": _file,
        "random": _random,
        "product": _product,
        "concat": _concat,
    }[kind](node, scope, (*path, kind))


def _axes(axes: Mapping[str, Any], scope: Scope, path: Path) -> dict[str, Sequence[Any]] | None:
    found = {name: axis_values(name, axis, scope, (*path, name)) for name, axis in axes.items()}
    values = {name: one for name, one in found.items() if one is not None}
    return values if len(values) == len(found) else None


def _grid(node: SweepNode, scope: Scope, path: Path) -> Points | None:
    axes = _axes(node.grid or {}, scope, path)
    return None if axes is None or not _countable(axes.values(), scope, path) else Grid(axes)


def _countable(factors: Iterable[Sized], scope: Scope, path: Path) -> bool:
    lengths = [len(factor) for factor in factors]
    if math.prod(lengths) <= MAX_POINTS:
        return True
    scope.fail(path, f"{' × '.join(map(str, lengths))} points are more than can be counted")
    return False


def _zip(node: SweepNode, scope: Scope, path: Path) -> Points | None:
    axes = _axes(node.zip or {}, scope, path)
    if axes is None:
        return None
    if len({len(values) for values in axes.values()}) > 1:
        lengths = ", ".join(f"{name} has {len(values)}" for name, values in axes.items())
        scope.fail(path, f"the axes of a zip differ in length: {lengths}", "use grid for every combination")
        return None
    return Columns(axes)


def _rows(node: SweepNode, scope: Scope, path: Path) -> Points | None:
    rows = node.points or []
    columns: dict[str, list[Any]] = {name: [] for name in rows[0]}
    for place, row in enumerate(rows):
        here = (*path, place)
        for name in [name for name in columns if name not in row]:
            scope.fail(
                here, f'this point does not bind "{name}", which the first one binds', "all points of a group bind the same names"
            )
        for name, raw in row.items():
            if name not in columns:
                message = f'this point binds "{name}", which the first one does not bind'
                scope.fail((*here, name), message, "all points of a group bind the same names")
            else:
                columns[name].append(scope.named(name, raw, (*here, name)))
    if not columns and not scope.errors:
        scope.fail((*path, 0), "this point binds no name")
    return None if scope.errors else Columns(columns)


def _file(node: SweepNode, scope: Scope, path: Path) -> Points | None:
    columns = scope.table_columns(str(node.file), path)
    return None if columns is None else Columns(columns)


def _random(node: SweepNode, scope: Scope, path: Path) -> Points | None:
    assert node.random is not None
    random = node.random
    samples = scope.count(random.samples, (*path, "samples"), "samples")
    seed = scope.seed if random.seed is None else random.seed
    found = {
        name: draws(name, distribution, samples or 1, seed, scope, (*path, "variables", name))
        for name, distribution in random.variables.items()
    }
    values = {name: one for name, one in found.items() if one is not None}
    return Columns(values) if samples is not None and len(values) == len(found) else None


def _parts(nodes: Sequence[SweepNode], scope: Scope, path: Path) -> list[Points] | None:
    found = [_points(part, scope, (*path, place)) for place, part in enumerate(nodes)]
    parts = [part for part in found if part is not None]
    return parts if len(parts) == len(found) else None


def _product(node: SweepNode, scope: Scope, path: Path) -> Points | None:
    parts = _parts(node.product or [], scope, path)
    if parts is None:
        return None
    bound: dict[str, int] = {}
    for place, part in enumerate(parts):
        for name in part.names:
            if name in bound:
                scope.fail((*path, place), f'"{name}" is bound here and in product[{bound[name]}]', "bind each name once")
            bound.setdefault(name, place)
    once = len(bound) == sum(len(part.names) for part in parts)
    return Product(parts) if once and _countable(parts, scope, path) else None


def _concat(node: SweepNode, scope: Scope, path: Path) -> Points | None:
    parts = _parts(node.concat or [], scope, path)
    if parts is None:
        return None
    same = True
    for place, part in enumerate(parts):
        if set(part.names) != set(parts[0].names):
            same = False
            message = f"this part binds {_listed(part.names)}, the first one {_listed(parts[0].names)}"
            scope.fail((*path, place), message, "all points of a group bind the same names")
    if sum(len(part) for part in parts) > MAX_POINTS:
        scope.fail(path, "these are more points than can be counted")
        return None
    return Concat(parts) if same else None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
