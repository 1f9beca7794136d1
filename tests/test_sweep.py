"""The sweep algebra, NumPy's ranges, random draws and the points of a group."""

from __future__ import annotations

import itertools
import math
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcs_runner.spec.jobs import JobGroup, SweepNode
from pcs_runner.spec.tables import Inputs
from pcs_runner.sweep import Group, GroupCount, Points, SweepErrors, compile_points, constant_values

NOWHERE = Inputs(Path("/nonexistent"))


def _points(node: Any, constants: dict[str, Any] | None = None, inputs: Inputs = NOWHERE, seed: int = 0) -> Points:
    return compile_points(SweepNode.model_validate(node), constants or {}, seed=seed, inputs=inputs, path=("sweep",))


def _all(node: Any, constants: dict[str, Any] | None = None, inputs: Inputs = NOWHERE, seed: int = 0) -> list[tuple[Any, ...]]:
    points = _points(node, constants, inputs, seed)
    return [points[place] for place in range(len(points))]


def _errors(
    node: Any, constants: dict[str, Any] | None = None, inputs: Inputs = NOWHERE
) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(SweepErrors) as caught:
        _points(node, constants, inputs)
    return [(error.path, error.message) for error in caught.value.errors]


def _group(constants: dict[str, Any] | None = None, inputs: Inputs = NOWHERE, **fields: Any) -> Group:
    group = JobGroup.model_validate({"runs": 100, **fields})
    return Group(group, 0, constants or {}, {"interaction_coeff": 2.0}, seed=0, inputs=inputs, path=("jobs",))


# Nodes

names = st.permutations("abcdef")
axis = st.lists(st.integers(0, 9), min_size=1, max_size=4)


def _leaf(bound: list[str], draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(["grid", "zip", "points"]))
    size = draw(st.integers(1, 3))
    column = st.lists(st.integers(0, 9), min_size=size, max_size=size)
    if kind == "grid":
        return {"grid": {name: draw(axis) for name in bound}}
    if kind == "zip":
        return {"zip": {name: draw(column) for name in bound}}
    return {"points": [{name: draw(st.integers(0, 9)) for name in bound} for _ in range(size)]}


@st.composite
def leaves(draw: st.DrawFn, bound: str) -> Any:
    return _leaf(list(bound), draw)


def _expected(node: Any) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """The points by the definition of a node, all in memory."""
    (kind, body), *_ = node.items()
    if kind == "grid":
        return tuple(body), list(itertools.product(*body.values()))
    if kind == "zip":
        return tuple(body), list(zip(*body.values(), strict=True))
    if kind == "points":
        return tuple(body[0]), [tuple(row[name] for name in body[0]) for row in body]
    parts = [_expected(part) for part in body]
    if kind == "product":
        combined = [sum(rows, ()) for rows in itertools.product(*(rows for _, rows in parts))]
        return sum((bound for bound, _ in parts), ()), combined
    first = parts[0][0]
    return first, [tuple(row[bound.index(name)] for name in first) for bound, rows in parts for row in rows]


trees = st.one_of(
    leaves("ab"),
    st.tuples(leaves("ab"), leaves("ba")).map(lambda parts: {"concat": list(parts)}),
    st.tuples(leaves("ab"), leaves("cd"), leaves("e")).map(lambda parts: {"product": list(parts)}),
    st.tuples(leaves("a"), leaves("b"), leaves("ba")).map(lambda p: {"concat": [{"product": list(p[:2])}, p[2]]}),
)


@settings(max_examples=100, deadline=None)
@given(trees, st.data())
def test_points_are_those_of_the_definition_in_its_order(node: Any, data: st.DataObject) -> None:
    points = _points(node)
    bound, rows = _expected(node)
    assert points.names == bound
    assert len(points) == len(rows)
    for place in data.draw(st.permutations(range(len(rows)))):
        assert points[place] == rows[place]
        assert points[place - len(rows)] == rows[place]
    for outside in (len(rows), -len(rows) - 1):
        with pytest.raises(IndexError):
            points[outside]


@settings(max_examples=50, deadline=None)
@given(leaves("ab"), leaves("cd"), leaves("e"))
def test_a_product_is_associative(a: Any, b: Any, c: Any) -> None:
    flat = _all({"product": [a, b, c]})
    assert _all({"product": [{"product": [a, b]}, c]}) == flat
    assert _all({"product": [a, {"product": [b, c]}]}) == flat
    assert _all({"product": [a]}) == _all(a) == _all({"concat": [a]})


def test_a_grid_of_any_size_costs_nothing() -> None:
    range_ = {"arange": {"stop": 10**9}}
    points = _points({"grid": {"a": range_, "b": range_}})
    assert len(points) == 10**18
    assert points[10**18 - 2] == (10**9 - 1, 10**9 - 2)
    assert _errors({"grid": {"a": range_, "b": range_, "c": [1] * 10}}) == [
        (("sweep", "grid"), "1000000000 × 1000000000 × 10 points are more than can be counted")
    ]


def test_values_are_expressions_of_the_constants_and_lists_are_tuples() -> None:
    node = {"grid": {"x": ["2*U", 1, ["U", 0]], "y": {"linspace": {"start": "U", "stop": "3*U", "num": "U"}}}}
    assert _all(node, {"U": 2}) == [(4, 2.0), (4, 6.0), (1, 2.0), (1, 6.0), ((2, 0), 2.0), ((2, 0), 6.0)]


def test_every_problem_of_a_sweep_is_reported_with_its_path() -> None:
    node = {
        "product": [
            {"grid": {"x": [1, "1/zero"], "y": {"linspace": {"start": 0, "stop": "U +", "num": 1.5}}}},
            {"zip": {"z": [1, 2], "w": [1, 2, 3]}},
            {"points": [{"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2, "c": 3}]},
            {"grid": {"v": {"geomspace": {"start": -1, "stop": 1}}, "u": {"arange": {"start": 1, "stop": 0}}}},
        ]
    }
    product = ("sweep", "product")
    assert _errors(node, {"zero": 0}) == [
        ((*product, 0, "grid", "x", 1), 'division by zero in "1/zero"'),
        ((*product, 0, "grid", "y", "linspace", "stop"), 'the expression ends too early in "U +"'),
        ((*product, 0, "grid", "y", "linspace", "num"), "num is 1.5, not an integer"),
        ((*product, 1, "zip"), "the axes of a zip differ in length: z has 2, w has 3"),
        ((*product, 2, "points", 1), 'this point does not bind "b", which the first one binds'),
        ((*product, 2, "points", 2, "c"), 'this point binds "c", which the first one does not bind'),
        (
            (*product, 3, "grid", "v", "geomspace"),
            "geomspace from -1.0 to 1.0: both ends must have the same sign, and be no zero",
        ),
        ((*product, 3, "grid", "u", "arange"), "arange from 1 to 0 by 1 has no values"),
    ]


def test_names_of_parts_must_fit() -> None:
    a, b, ab = {"grid": {"a": [1]}}, {"grid": {"b": [1]}}, {"grid": {"a": [1], "b": [2]}}
    assert _errors({"product": [a, b, ab]}) == [
        (("sweep", "product", 2), '"a" is bound here and in product[0]'),
        (("sweep", "product", 2), '"b" is bound here and in product[1]'),
    ]
    assert _errors({"concat": [ab, a]}) == [(("sweep", "concat", 1), 'this part binds "a", the first one "a", "b"')]


def test_points_from_files(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("x,y\n1,2.5\n3,4.5\n")
    inputs = Inputs(tmp_path)
    assert _all({"file": "p.csv"}, inputs=inputs) == [(1, 2.5), (3, 4.5)]
    assert _all({"grid": {"a": {"file": "p.csv", "column": "y"}, "b": [0]}}, inputs=inputs) == [(2.5, 0), (4.5, 0)]
    assert _errors({"grid": {"a": {"file": "p.csv", "column": "z"}}}, inputs=inputs) == [
        (("sweep", "grid", "a", "column"), 'p.csv has no column "z"')
    ]
    assert _errors({"file": "q.csv"}, inputs=inputs) == [(("sweep", "file"), "q.csv: no such file")]


# NumPy's ranges

ends = st.floats(-1e3, 1e3, allow_nan=False).map(lambda value: round(value, 6))
sizes = st.integers(1, 40)


def _axis(kind: str, **arguments: Any) -> list[Any]:
    return [point[0] for point in _all({"grid": {"x": {kind: arguments}}})]


def _assert_close(ours: list[Any], theirs: Any, scale: float) -> None:
    assert len(ours) == len(theirs)
    assert np.allclose(ours, theirs, rtol=1e-12, atol=1e-12 * scale)


@settings(max_examples=100, deadline=None)
@given(ends, ends, sizes, st.booleans())
def test_linspace_is_numpys(start: float, stop: float, num: int, endpoint: bool) -> None:
    ours = _axis("linspace", start=start, stop=stop, num=num, endpoint=endpoint)
    _assert_close(ours, np.linspace(start, stop, num, endpoint=endpoint), max(abs(start), abs(stop)))
    assert ours[0] == start
    assert not endpoint or num == 1 or ours[-1] == stop


@settings(max_examples=60, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), sizes, st.booleans(), st.sampled_from([10.0, 2, 0.5, math.e]))
def test_logspace_is_numpys(start: float, stop: float, num: int, endpoint: bool, base: float) -> None:
    ours = _axis("logspace", start=start, stop=stop, num=num, endpoint=endpoint, base=base)
    _assert_close(ours, np.logspace(start, stop, num, endpoint=endpoint, base=base), 0)


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), sizes, st.booleans(), st.sampled_from([1, -1]))
def test_geomspace_is_numpys(start: float, stop: float, num: int, endpoint: bool, sign: int) -> None:
    ours = _axis("geomspace", start=sign * start, stop=sign * stop, num=num, endpoint=endpoint)
    _assert_close(ours, np.geomspace(sign * start, sign * stop, num, endpoint=endpoint), 0)
    assert ours[0] == sign * start


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.tuples(*[st.integers(-30, 30)] * 3), st.tuples(*[st.floats(-5, 5).map(lambda v: round(v, 2))] * 3)))
def test_arange_is_numpys(arguments: tuple[float, float, float]) -> None:
    start, stop, step = arguments
    if step == 0 or len(np.arange(start, stop, step)) == 0:
        assert _errors({"grid": {"x": {"arange": {"start": start, "stop": stop, "step": step}}}})
        return
    ours, theirs = _axis("arange", start=start, stop=stop, step=step), np.arange(start, stop, step)
    _assert_close(ours, theirs, 5)
    assert isinstance(ours[0], int) == (theirs.dtype.kind == "i")


def test_defaults_are_numpys() -> None:
    assert _axis("arange", stop=3) == [0, 1, 2]
    assert len(_axis("linspace", start=0, stop=1)) == len(np.linspace(0, 1)) == 50
    assert _axis("logspace", start=0, stop=2, num=3) == [1.0, 10.0, 100.0]


# Random draws

DISTRIBUTIONS: dict[str, Any] = {
    "u": {"uniform": {"low": -1, "high": 3}}, "n": {"normal": {"loc": 2, "scale": 0.5}},
    "k": {"integers": {"low": -2, "high": 3}}, "c": {"choice": {"a": [1, 2.5, "U"]}},
    "l": {"loguniform": {"low": 0.01, "high": 10}},
}  # fmt: skip


def _drawn(variables: dict[str, Any], samples: int = 5000, **more: Any) -> dict[str, list[Any]]:
    node = {"random": {"samples": samples, "variables": variables, **more}}
    points = _points(node, {"U": 7})
    rows = [points[place] for place in range(len(points))]
    return {name: [row[place] for row in rows] for place, name in enumerate(points.names)}


def test_draws_have_their_distributions() -> None:
    drawn = _drawn(DISTRIBUTIONS)
    assert min(drawn["u"]) >= -1
    assert max(drawn["u"]) < 3
    assert np.mean(drawn["u"]) == pytest.approx(1, abs=0.1)
    assert np.mean(drawn["n"]) == pytest.approx(2, abs=0.05)
    assert np.std(drawn["n"]) == pytest.approx(0.5, abs=0.03)
    assert np.unique(drawn["k"], return_counts=True)[1] == pytest.approx([1000] * 5, abs=150)
    assert set(map(type, drawn["k"])) == {int}
    assert set(drawn["c"]) == {1, 2.5, 7}
    assert np.mean(np.log(drawn["l"])) == pytest.approx((math.log(0.01) + math.log(10)) / 2, abs=0.15)
    assert abs(np.corrcoef(drawn["u"], drawn["n"])[0, 1]) < 0.06


def test_the_draws_are_the_raw_stream_of_pcg64() -> None:
    """Pinned: a run that is resumed on another machine, or after an upgrade, must draw the same."""
    import hashlib

    entropy = [0, int.from_bytes(hashlib.sha256(b"u").digest(), "big")]
    raw = np.random.PCG64(np.random.SeedSequence(entropy)).random_raw(3)
    assert _drawn({"u": {"uniform": {}}}, 3)["u"] == [(int(bits) >> 11) * 2.0**-53 for bits in raw]
    assert _drawn({"u": {"uniform": {}}}, 3)["u"] == [0.599047239140882, 0.11718746718665951, 0.3819709519722859]


def test_adding_a_variable_or_a_sample_moves_no_other_draw() -> None:
    few = _drawn({"u": DISTRIBUTIONS["u"]}, 10)["u"]
    assert _drawn(DISTRIBUTIONS, 9000)["u"][:10] == few
    assert _drawn({"u": DISTRIBUTIONS["u"]}, 10, seed=1)["u"] != few
    assert _drawn({"v": DISTRIBUTIONS["u"]}, 10)["v"] != few
    pairs = _drawn({"u": {"uniform": {"low": -1, "high": 3, "size": 2}}}, 5)["u"]
    assert [value for pair in pairs for value in pair] == few


def test_draws_in_any_order_are_the_same() -> None:
    points = _points({"random": {"samples": 20_000, "variables": {"n": {"normal": {}}}}})
    order = list(range(0, 20_000, 997))
    assert [points[place] for place in reversed(order)] == [points[place] for place in order][::-1]


def test_wrong_arguments_of_distributions_are_located() -> None:
    variables = {
        "u": {"uniform": {"low": 2, "high": 1}}, "n": {"normal": {"scale": -1}}, "k": {"integers": {"low": 1, "high": 1.5}},
        "l": {"loguniform": {"low": 0, "high": 1}},
    }  # fmt: skip
    errors = _errors({"random": {"samples": 0, "variables": variables}})
    start = ("sweep", "random")
    assert [path for path, _ in errors] == [
        (*start, "samples"),
        *(
            (*start, "variables", *rest)
            for rest in (("u", "uniform"), ("n", "normal", "scale"), ("k", "integers"), ("l", "loguniform"))
        ),
    ]


# Groups


def test_a_point_has_constants_axes_let_and_runs() -> None:
    constants = {"a": 6.0, "U": "interaction_coeff/a", "twice": "2*U", "other": 5}
    group = _group(
        constants, sweep={"grid": {"a": [1, 2], "t": [10, 20]}}, let={"x": "twice*t", "d": ["-x", 0], "y": "other"}, runs="t*a"
    )
    points = list(group.points())
    assert [point.values for point in points] == [
        {"a": a, "t": t, "x": 4.0 / a * t, "d": (-4.0 / a * t, 0), "y": 5} for a in (1, 2) for t in (10, 20)
    ]
    assert points[3].env == {
        "pi": math.pi, "interaction_coeff": 2.0, "a": 2, "U": 1.0, "twice": 2.0, "other": 5, "t": 20, "x": 40.0,
        "d": (-40.0, 0), "y": 5,
    }  # fmt: skip
    assert [point.runs for point in points] == [10, 20, 20, 40]
    assert group.varying == {"a", "t", "U", "twice", "x", "d"}
    assert group.fixed == {"pi": math.pi, "interaction_coeff": 2.0, "other": 5, "y": 5}
    assert constant_values(constants, {"interaction_coeff": 3.0})["twice"] == 1.0


def test_a_group_without_a_sweep_is_one_point() -> None:
    (point,) = _group(let={"x": 2}).points()
    assert (point.point_index, point.repetition, point.values, point.runs) == (0, 0, {"x": 2}, 100)


def test_where_drops_points_and_counts_them() -> None:
    group = _group(sweep={"grid": {"x": [1, 2, 3, 4]}}, where="x != 2 and x < 4")
    assert [(point.point_index, point.values["x"]) for point in group.points()] == [(0, 1), (2, 3)]
    assert group.count() == GroupCount(kept=2, dropped=2)
    assert group.kept == 2
    fresh = _group(sweep={"grid": {"x": [1, 2, 3, 4]}}, where="x != 2 and x < 4", repeat=3)
    assert fresh.count() == GroupCount(kept=2, dropped=2)
    assert len(list(fresh.points())) == 6
    assert fresh.point(1) is None


def test_a_shuffle_is_a_permutation_and_every_pass_has_its_own() -> None:
    def order(**fields: Any) -> list[tuple[int, int]]:
        return [
            (point.repetition, point.point_index)
            for point in _group(sweep={"grid": {"x": {"arange": {"stop": 50}}}}, **fields).points()
        ]

    plain = order(repeat=2)
    assert plain == [(repetition, place) for repetition in range(2) for place in range(50)]
    shuffled = order(repeat=2, order={"shuffle": 7})
    first, second = [place for r, place in shuffled if r == 0], [place for r, place in shuffled if r == 1]
    assert [repetition for repetition, _ in shuffled] == [0] * 50 + [1] * 50
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second != list(range(50))
    assert first != [place for _, place in order(order={"shuffle": 8})]
    assert first == [place for _, place in order(order={"shuffle": 7})]
    assert first[:5] == [31, 32, 26, 35, 42]


def _point_errors(group: Group) -> list[tuple[tuple[str | int, ...], str, str]]:
    with pytest.raises(SweepErrors) as caught:
        list(group.points())
    return [(error.path, error.message, error.hint) for error in caught.value.errors]


def test_a_failing_expression_names_the_first_point_and_counts_the_others() -> None:
    grid = {"grid": {"x": [1, 0, 2], "y": [0, 1]}}
    group = _group(sweep=grid, let={"a": "1/x", "b": [0, "log(y)"]}, where="a > 0", runs="b[1] + 0.5")
    assert _point_errors(group) == [
        (("jobs", "let", "b", 1), 'log(0) is not defined for real numbers in "log(y)" at x=1, y=0 (and at 1 more point)', ""),
        (("jobs", "runs"), 'runs is 0.5, not an integer in "b[1] + 0.5" at x=1, y=1 (and at 1 more point)', "use floor(x + 0.5)"),
        (("jobs", "let", "a"), 'division by zero in "1/x" at x=0, y=0 (and at 1 more point)', ""),
    ]
    with pytest.raises(SweepErrors, match="division by zero"):
        group.count()
    with pytest.raises(SweepErrors, match=r"at x=0, y=1$"):
        group.point(3)


def test_a_constant_that_an_axis_overrides_may_fail_by_itself() -> None:
    constants = {"a": 0, "b": "1/a"}
    assert [point.env["b"] for point in _group(constants, sweep={"grid": {"a": [1, 2]}}).points()] == [1.0, 0.5]
    assert _point_errors(_group(constants, sweep={"grid": {"a": [1, 0]}}))[0][:2] == (
        ("constants", "b"),
        'division by zero in "1/a" at a=0',
    )
    with pytest.raises(SweepErrors) as caught:
        _group({**constants, "c": "b + 1"}, let={"x": "c"})
    assert [(error.path, error.message) for error in caught.value.errors] == [(("constants", "b"), 'division by zero in "1/a"')]


@pytest.mark.parametrize(
    ("runs", "message"),
    [(0, "runs is 0, less than 1"), (2.5, "runs is 2.5, not an integer"), ("-U", 'runs is -3, less than 1 in "-U"')],
)
def test_runs_that_are_no_positive_integer_are_refused(runs: Any, message: str) -> None:
    with pytest.raises(SweepErrors) as caught:
        _group({"U": 3}, runs=runs)
    assert [(error.path, error.message) for error in caught.value.errors] == [(("jobs", "runs"), message)]


def test_a_target_replaces_the_runs() -> None:
    group = JobGroup.model_validate({"runs": 5, "name": "scan", "sweep": {"grid": {"x": [1, 2]}}})
    compiled = Group(group, 3, {}, {}, seed=0, inputs=NOWHERE, path=("jobs", 3), runs_override="10*x + 1e-12")
    assert [point.runs for point in compiled.points()] == [10, 20]
    assert compiled.name == "scan"


def test_words_of_a_variant_and_traps_are_values_as_they_are() -> None:
    (point,) = _group(sweep={"grid": {"variant": ["dark"], "qubits": [{"q0": "2 + 2"}]}}).points()
    assert point.values == {"variant": "dark", "qubits": {"q0": 4}}


def test_all_that_is_wrong_with_a_group_is_said_at_once() -> None:
    with pytest.raises(SweepErrors) as caught:
        _group({"a": "1/0"}, sweep={"grid": {"x": {"linspace": {"start": 0, "stop": 1, "num": 0}}}})
    assert [error.path for error in caught.value.errors] == [
        ("constants", "a"),
        ("jobs", "sweep", "grid", "x", "linspace", "num"),
    ]
    with pytest.raises(SweepErrors) as caught:
        _group(let={"x": "1/0", "y": "sqrt(-1)", "z": "x + 1"}, runs=0, order={"shuffle": 1})
    assert [error.path[1:] for error in caught.value.errors] == [("let", "x"), ("let", "y"), ("runs",)]


def test_many_points_stream_in_little_memory() -> None:
    grid = {"t": {"arange": {"stop": 200}}, "x": {"linspace": {"start": 0, "stop": 1, "num": 1000}}}
    group = _group(sweep={"grid": grid}, let={"y": "0.6*x*t"}, where="y < 60")
    start = time.process_time()
    kept = sum(1 for _ in group.points())
    assert kept == group.kept
    assert time.process_time() - start < 10  # 200,000 points: 2 s here
    tracemalloc.start()
    for _ in itertools.islice(group.points(), 5000):
        pass
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
