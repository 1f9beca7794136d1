"""What a sweep binds and what it uses, without computing any point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.jobs import AxisRange
from pcs_runner.spec.tables import TEXT_NAMES, InputError, Inputs

if TYPE_CHECKING:
    from pcs_runner.spec.document import Path
    from pcs_runner.spec.jobs import SweepNode
    from pcs_runner.spec.values import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisOwner:
    """A place that binds an axis.

    Attributes:
        name: Of the axis; empty where a file cannot be read.
        path: Where it stands; for a column of a file, where the file is named.
        is_key: Whether the path ends with the name.
        error: Why the names of a file are not known.
    """

    name: str
    path: Path
    is_key: bool = True
    error: InputError | None = None


def texts_of(raw: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """The texts of a value - a number, an expression, or a list of these - each with its path."""
    if isinstance(raw, str):
        yield path, raw
    elif isinstance(raw, list):
        for place, item in enumerate(raw):
            yield from texts_of(item, (*path, place))


def axis_owners(node: SweepNode | None, path: Path, inputs: Inputs) -> Iterator[AxisOwner]:
    """Every place that binds an axis, in the order of the document; all rows bind what the first binds."""
    if node is None:
        return
    here = (*path, node.kind)
    if node.grid or node.zip:
        yield from (AxisOwner(name=name, path=(*here, name)) for name in node.grid or node.zip or {})
    elif node.points:
        yield from (AxisOwner(name=name, path=(*here, 0, name)) for name in node.points[0])
    elif node.random:
        yield from (AxisOwner(name=name, path=(*here, "variables", name)) for name in node.random.variables)
    elif node.file is not None:
        yield from _columns(node.file, here, inputs)
    for place, part in enumerate(node.product or node.concat or []):
        yield from axis_owners(part, (*here, place), inputs)


def _columns(file: str, path: Path, inputs: Inputs) -> Iterator[AxisOwner]:
    try:
        names = list(inputs.table(file).columns)
    except InputError as error:
        yield AxisOwner(name="", path=path, is_key=False, error=error)
        return
    yield from (AxisOwner(name=name, path=path, is_key=False) for name in names)


def axis_texts(node: SweepNode | None, path: Path) -> Iterator[tuple[str, Path, str]]:
    """The expressions of a sweep: the axis that each belongs to (empty for a number of samples), its path and its text."""
    if node is None:
        return
    here = (*path, node.kind)
    for name, axis in (node.grid or node.zip or {}).items():
        yield from _axis(name, axis, (*here, name))
    for place, row in enumerate(node.points or []):
        yield from _row(row, (*here, place))
    if node.random:
        yield from (("", *found) for found in texts_of(node.random.samples, (*here, "samples")))
        for name, distribution in node.random.variables.items():
            yield from _fields(name, distribution, (*here, "variables", name))
    for place, part in enumerate(node.product or node.concat or []):
        yield from axis_texts(part, (*here, place))


def _axis(name: str, axis: Sequence[Any] | AxisRange, path: Path) -> Iterator[tuple[str, Path, str]]:
    if isinstance(axis, AxisRange):
        if axis.file is None:
            yield from _fields(name, axis, path)
    elif name not in TEXT_NAMES:
        yield from ((name, *found) for found in texts_of(list(axis), path))


def _row(row: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Path, str]]:
    for name, raw in row.items():
        if name not in TEXT_NAMES:
            yield from ((name, *found) for found in texts_of(raw, (*path, name)))


def _fields(name: str, model: Model, path: Path) -> Iterator[tuple[str, Path, str]]:
    """The texts in the arguments of a range or a distribution."""
    kind = next(iter(model.model_fields_set))
    for argument, raw in getattr(model, kind):
        yield from ((name, *found) for found in texts_of(raw, (*path, kind, argument)))
