"""Random sweeps against a definition in a few lines of Python that keeps every point in memory."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcs_runner.spec.jobs import JobGroup, SweepNode
from pcs_runner.spec.tables import Inputs
from pcs_runner.sweep import Group, compile_points

if TYPE_CHECKING:
    from collections.abc import Callable

INPUTS = Inputs(Path("/nonexistent"))
CONSTANTS = {"U": 3, "V": "U*U - 1"}
VALUES: dict[Any, Any] = {0: 0, 1: 1, 2: 2, -2: -2, 0.5: 0.5, "U": 3, "2*V - U": 13, "-U/2": -1.5}
"""What may be written for a value, and what it is."""

Row = dict[str, Any]
values = st.sampled_from(list(VALUES)) | st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=3)


def ranges(size: int | None) -> st.SearchStrategy[Any]:
    count = st.integers(1, 4) if size is None else st.just(size)
    ends = st.integers(-8, 8)
    linspace = st.builds(lambda start, stop, num: {"linspace": {"start": start, "stop": stop, "num": num}}, ends, ends, count)
    arange = st.builds(
        lambda start, step, num: {"arange": {"start": start, "stop": start + num * step, "step": step}},
        ends, st.sampled_from([-2, 1, 3]), count,
    )  # fmt: skip
    return linspace | arange


def axes(size: int | None) -> st.SearchStrategy[Any]:
    """An axis, of a given length or of one to four values."""
    return st.lists(values, min_size=size or 1, max_size=size or 4) | ranges(size)


@st.composite
def nodes(draw: st.DrawFn, names: tuple[str, ...], depth: int = 3) -> Any:
    """A sweep node that binds these names, in some order."""
    names = tuple(draw(st.permutations(names)))
    kinds = ["grid", "zip", "points", *(["concat"] if depth else []), *(["product"] if depth and len(names) > 1 else [])]
    kind = draw(st.sampled_from(kinds))
    if kind == "grid":
        return {"grid": {name: draw(axes(None)) for name in names}}
    if kind == "zip":
        size = draw(st.integers(1, 4))
        return {"zip": {name: draw(axes(size)) for name in names}}
    if kind == "points":
        return {"points": [{name: draw(values) for name in names} for _ in range(draw(st.integers(1, 3)))]}
    if kind == "concat":
        return {"concat": [draw(nodes(names, depth - 1)) for _ in range(draw(st.integers(1, 3)))]}
    cut = draw(st.integers(1, len(names) - 1))
    return {"product": [draw(nodes(names[:cut], depth - 1)), draw(nodes(names[cut:], depth - 1))]}


def value(written: Any) -> Any:
    return tuple(VALUES[item] for item in written) if isinstance(written, list) else VALUES[written]


def column(axis: Any) -> list[Any]:
    if isinstance(axis, list):
        return [value(item) for item in axis]
    ((kind, given),) = axis.items()
    if kind == "arange":
        return list(range(given["start"], given["stop"], given["step"]))
    start, stop, num = given["start"], given["stop"], given["num"]
    return [float(start + Fraction(stop - start, max(num - 1, 1)) * place) for place in range(num)]


def rows(node: Any) -> list[Row]:
    """The points of a node, by what the language says."""
    ((kind, body),) = node.items()
    if kind == "points":
        return [{name: value(item) for name, item in row.items()} for row in body]
    if kind == "concat":
        return [row for part in body for row in rows(part)]
    if kind == "product":
        return [{key: item for row in chosen for key, item in row.items()} for chosen in itertools.product(*map(rows, body))]
    columns = [column(axis) for axis in body.values()]
    combined = itertools.product(*columns) if kind == "grid" else zip(*columns, strict=True)
    return [dict(zip(body, items, strict=True)) for items in combined]


def close(row: Row) -> Any:
    """A point to compare with: ranges are computed in floats by us, in fractions by the definition."""
    return {name: pytest.approx(item, abs=1e-12) for name, item in row.items()}


@settings(max_examples=150, deadline=None)
@given(nodes(("a", "b", "c")), st.data())
def test_points_of_any_node_are_those_of_its_definition(node: Any, data: st.DataObject) -> None:
    points = compile_points(SweepNode.model_validate(node), {"U": 3, "V": 8}, seed=0, inputs=INPUTS, path=("sweep",))
    expected = rows(node)
    assert len(points) == len(expected)
    iterated = [dict(zip(points.names, points[place], strict=True)) for place in range(len(points))]
    assert iterated == [close(row) for row in expected]
    for place in data.draw(st.lists(st.integers(-len(expected), len(expected) - 1), max_size=20)):
        assert dict(zip(points.names, points[place], strict=True)) == iterated[place]


WHERE: dict[str, Callable[[Row], bool]] = {
    "a < 2": lambda row: row["a"] < 2,
    "not a == b or a > 1": lambda row: row["a"] != row["b"] or row["a"] > 1,
    "s*s - 4 and s != 1": lambda row: row["s"] ** 2 != 4 and row["s"] != 1,
    "a > 100": lambda row: False,
}
scalars = st.sampled_from([0, 1, 2, "U", 0.5])
grids = st.fixed_dictionaries({"a": st.lists(scalars, min_size=1, max_size=5), "b": st.lists(scalars, min_size=1, max_size=4)})


@settings(max_examples=100, deadline=None)
@given(grids, st.sampled_from(sorted(WHERE)), st.integers(1, 3), st.none() | st.integers(0, 5))
def test_a_group_keeps_what_its_condition_keeps_in_any_order(grid: Row, where: str, repeat: int, shuffle: int | None) -> None:
    fields = {"runs": "10 + 2*a", "sweep": {"grid": grid}, "let": {"s": "a + b*V"}, "where": where, "repeat": repeat}
    order = {} if shuffle is None else {"order": {"shuffle": shuffle}}

    def group() -> Group:
        return Group(JobGroup.model_validate(fields | order), 0, CONSTANTS, {}, seed=0, inputs=INPUTS, path=("jobs",))

    every = [row | {"s": row["a"] + row["b"] * 8} for row in rows({"grid": grid})]
    kept = [place for place, row in enumerate(every) if WHERE[where](row)]
    found = list(group().points())
    assert [(point.repetition, point.values) for point in found] == [(p.repetition, every[p.point_index]) for p in found]
    assert [point.runs for point in found] == [10 + 2 * every[point.point_index]["a"] for point in found]
    for repetition in range(repeat):
        passed = [point.point_index for point in found if point.repetition == repetition]
        assert sorted(passed) == kept
        assert shuffle is not None or passed == kept
    assert (group().count().kept, group().count().dropped) == (len(kept), len(every) - len(kept))
    alone = [group().point(place) for place in range(len(every))]
    assert [place for place, point in enumerate(alone) if point is not None] == kept
    assert [point.values for point in alone if point is not None] == [every[place] for place in kept]
