"""Expressions: the grammar, the numbers it gives, and the trees that Pulser reads."""

from __future__ import annotations

import ast
import contextlib
import math
import pickle
import time
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pcs_runner.spec.expressions import (
    CallNode,
    ExpressionError,
    IndexNode,
    ListNode,
    NameNode,
    NotExpressibleError,
    NumberNode,
    Value,
    float_text,
    from_tree,
    node_text,
    parse,
    read,
    to_tree,
)

NAMES = ("a", "b", "x")
PYTHON = {
    name: getattr(math, name) for name in ("ceil", "floor", "sqrt", "exp", "log", "log2", "sin", "cos", "tan", "tanh", "pi")
}
PYTHON |= {"abs": abs, "min": min, "max": max, "round": lambda x: math.floor(x + 0.5), "__builtins__": {}}

numbers = st.one_of(st.integers(0, 50).map(str), st.floats(0, 100, allow_nan=False).map(repr), st.sampled_from([*NAMES, "pi"]))


def _combined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(["+", "-", "*", "/", "%", "**", " < ", "<=", "==", "!=", ">", " >= ", " and ", " or "])
    unary = st.sampled_from(["-", "+", "not ", "--"])
    function = st.sampled_from(["abs", "ceil", "floor", "round", "sqrt", "exp", "log", "sin", "cos", "tanh"])
    return st.one_of(
        st.tuples(parts, binary, parts).map("".join),
        st.tuples(unary, parts).map("".join),
        parts.map(lambda part: f"({part})"),
        st.tuples(function, parts).map(lambda pair: f"{pair[0]}({pair[1]})"),
        st.tuples(st.sampled_from(["min", "max"]), parts, parts).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
    )


texts = st.recursive(numbers, _combined, max_leaves=8)
values = st.one_of(st.integers(-20, 20), st.floats(-20, 20, allow_nan=False))
environments = st.fixed_dictionaries(dict.fromkeys(NAMES, values))


def _by_python(text: str, env: dict[str, Any]) -> Any:
    return eval(compile(text, "", "eval"), dict(PYTHON), env)


class _Watched(ast.NodeTransformer):
    """Every power becomes a call of `power`."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Pow):
            return node
        return ast.Call(func=ast.Name("power", ast.Load()), args=[node.left, node.right], keywords=[])


def _meets_a_complex_number(text: str, env: dict[str, Any]) -> bool:
    """Whether Python has a complex number on its way to the value, which a comparison may hide."""
    met: list[Any] = []

    def power(base: Any, exponent: Any) -> Any:
        met.append(base**exponent)
        return met[-1]

    tree = ast.fix_missing_locations(_Watched().visit(ast.parse(text, mode="eval")))
    with contextlib.suppress(ArithmeticError, ValueError, TypeError):
        eval(compile(tree, "", "eval"), {**PYTHON, "power": power}, env)
    return any(isinstance(one, complex) for one in met)


@settings(max_examples=300, deadline=None)
@given(texts, environments)
def test_a_value_is_the_one_that_python_computes(text: str, env: dict[str, Any]) -> None:
    """Where Python has a finite real value, so do we, and it is the same; where it has none, we refuse."""
    assume("**" not in text or text.count("**") == 1)
    try:
        compile(text, "", "eval")
    except SyntaxError:
        with pytest.raises(ExpressionError):
            parse(text)
        return
    try:
        expected = _by_python(text, env)
    except (ArithmeticError, ValueError, TypeError):  # TypeError: order of complex numbers
        expected = None
    try:
        value = parse(text).evaluate(env)
    except ExpressionError as error:
        if "is not a real number" in error.message:
            assert expected is None or _meets_a_complex_number(text, env)
        else:
            assert expected is None or isinstance(expected, complex) or abs(expected) > 1e300
        return
    if " and " in text or " or " in text:  # Python gives an operand where we give 1 or 0
        return
    assert expected == value or math.isclose(expected, value, rel_tol=1e-12)  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(texts, environments)
def test_the_written_form_of_a_node_parses_to_the_same_node(text: str, env: dict[str, Any]) -> None:
    try:
        node = parse(text).root
    except ExpressionError:
        return
    assert parse(node_text(node)).root == node


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab01.e+-*/%()[],<>=!&|^ \n_\"'\\{}µ²π#:;and orif"), max_size=30) | st.text(max_size=12))
def test_any_text_is_an_expression_or_an_expression_error_inside_it(text: str) -> None:
    try:
        value = parse(text).evaluate({"a": 1, "b": 2.5})
    except ExpressionError as error:
        said, offset = error.message, error.offset
    else:
        said, offset = "", 0
        assert all(math.isfinite(one) for one in (value if isinstance(value, tuple) else (value,)))
    assert 0 <= offset <= len(text)
    assert said or parse(text)


@pytest.mark.parametrize(
    ("text", "offset", "message", "hint"),
    [
        ("2.5 MHz", 4, "a number cannot carry a unit: 2.5 MHz", "write 2*pi*2.5: units are fixed (ns, µm, rad/µs, rad)"),
        ("5us", 1, "a number cannot carry a unit: 5 us", "write 5*1000: units are fixed (ns, µm, rad/µs, rad)"),
        ("1 + 3 µm", 6, "a number cannot carry a unit: 3 µm", "write 3: units are fixed (ns, µm, rad/µs, rad)"),
        ("a//b", 1, '"//" is not part of the language', "write floor(a/b)"),
        ("a^2", 1, '"^" is not part of the language', "write ** for a power"),
        ("1_000", 0, '"1_000" is not a number', "write 1000"),
        ("0x1f", 0, '"0x1f" is not a decimal number', "write it as 1.5, 2 or 1e3"),
        ("2j", 0, '"2j" is not a decimal number', "write it as 1.5, 2 or 1e3"),
        ("017", 0, '"017" begins with a zero', "write 17"),
        ("True", 0, '"True" is not a number', "write 1 or 0"),
        ("'a'", 0, "an expression holds no text", "names stand without quotes"),
        ("a if b else c", 2, '"if" is not part of the language', "a condition is 1 or 0: write a*(x < 1) + b*(x >= 1)"),
        ("a.b", 1, "an expression has no attributes", "write decimals as 0.5"),
        ("sin", 0, "sin is a function", "write sin(x)"),
        ("µ0*2 + 1", 0, '"µ0" is not a name: names are made of A-Z a-z 0-9 and _', ""),
        ("delta[0", 5, '"[" is not closed', 'add "]"; in a YAML list or mapping in one line, quote the expression'),
        (
            "2 x",
            2,
            'an operator is missing between "2" and "x"',
            "write 2*x for a product; units are fixed (ns, µm, rad/µs, rad)",
        ),
        ("(1, 2)", 0, "a list is written in square brackets", "write [a, b]"),
        ("sqrt(1, 2)", 0, "sqrt takes one argument, not 2", "write sqrt(x)"),
        ("99999999999999999999", 0, "an integer of 2**63 or more", "write it as a float, such as 1e20"),
        ("1e999", 0, "1e999 is too large for a number", ""),
        ("a +", 3, "the expression ends too early", ""),
        ("", 0, "the expression is empty", ""),
        ("a < [1, 2]", 4, "a list stands where a number is expected", ""),
    ],
)
def test_a_refusal_says_where_and_what_to_write(text: str, offset: int, message: str, hint: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert (caught.value.offset, caught.value.message, caught.value.hint) == (offset, message, hint)


@pytest.mark.parametrize("text", ["__import__('os')", "sine(x)", "eval(a)", "f()"])
def test_only_the_listed_functions_can_be_called(text: str) -> None:
    with pytest.raises(ExpressionError, match="only these functions can be called: abs ceil floor round sqrt") as caught:
        parse(text)
    assert caught.value.hint == ('did you mean "sin"?' if text == "sine(x)" else caught.value.hint)


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("1/x", 2, "division by zero"),
        ("3 % x", 4, "division by zero"),
        ("0**-1", 1, "division by zero: 0**(-1)"),
        ("sqrt(n)", 0, "sqrt(-2) is not defined for real numbers"),
        ("n**0.5", 1, "(-2)**0.5 is not a real number"),
        ("9**9**9", 1, "9**387420489 is too large for a number"),
        ("1e308*10", 5, "1e+308*10 is too large for a number"),
        ("exp(1000)", 0, "exp(1000) is too large for a number"),
        ("1 + d[2]", 6, "the index 2 is out of range for 2 values"),
        ("d[0.5]", 2, "the index 0.5 is not an integer"),
        ("d < 1", 0, "a list of 2 values stands where a number is expected"),
        ("d*e", 1, "lists of 2 and 3 values do not go together"),
        ("2*foo", 2, 'unknown name "foo"'),
    ],
)
def test_an_expression_without_a_value_says_why(text: str, offset: int, message: str) -> None:
    env: dict[str, Value] = {"x": 0.0, "n": -2, "d": (1, 2.5), "e": (1, 2, 3)}
    with pytest.raises(ExpressionError) as caught:
        parse(text).evaluate(env)
    assert (caught.value.offset, caught.value.message) == (offset, message)


def test_no_text_takes_long_or_overflows_the_stack() -> None:
    """Depth, length and powers are capped before they are paid for."""
    start = time.perf_counter()
    deep = [
        "(" * 3000,
        "-" * 3000 + "1",
        "1" + "+1" * 1500,
        "not " * 900 + "1",
        "2**" * 1000 + "2",
        "[" * 2000,
        "1" * 4000,
        "a" * 5000,
    ]
    for text in deep:
        with pytest.raises(ExpressionError):
            parse(text)
    for text in ("9**9**9", "9**9**9**9**9", "2.0**1e10", "(10**18)**(10**18)"):
        with pytest.raises(ExpressionError, match="too large"):
            parse(text).evaluate({})
    assert time.perf_counter() - start < 2


def test_integers_stay_integers_below_two_to_the_63() -> None:
    exact = {
        "2**62": 2**62,
        "7*3 - 1": 20,
        "2**63": 2.0**63,
        "2**62*2": 2.0**63,
        "6/2": 3.0,
        "10 % 4": 2,
        "2**-1": 0.5,
        "1 < 2": 1,
    }
    for text, expected in exact.items():
        value = parse(text).evaluate({})
        assert value == expected
        assert type(value) is type(expected)


def test_lists_and_their_elements() -> None:
    env: dict[str, Value] = {"d": (1, 2.5), "x": 3}
    assert read(["x", 0, "d[1]*2"]).evaluate(env) == (3, 0, 5.0)
    assert parse("[x, -x][-1]").evaluate(env) == -3
    assert parse("x[0] + d[-1] + d[0 + 1]").evaluate(env) == 8.0
    assert parse("[1, 0] + x*[0, 1]").evaluate(env) == (1, 3)
    assert parse("max(d, 2)").evaluate(env) == 2.5
    assert read(["x", "d[1]*2"]).names == {"x", "d"}
    for wrong in ([], ["[1, 2]"], [True], [math.nan]):
        with pytest.raises(ExpressionError):
            read(wrong)


def test_reading_a_number_refuses_what_is_not_finite() -> None:
    assert read(2).evaluate({}) == 2
    for wrong in (math.inf, math.nan, 2**63, True, None):
        with pytest.raises(ExpressionError):
            read(wrong)  # type: ignore[arg-type]


def test_nodes_and_offsets() -> None:
    expression = parse("max(d[1], U) + pi")
    assert expression.names == {"d", "U"}
    assert expression.root.left == CallNode("max", (IndexNode(NameNode("d"), NumberNode(1)), NameNode("U")))  # type: ignore[union-attr]
    assert expression.root.left.arguments[1].offset == 10  # type: ignore[union-attr]
    assert pickle.loads(pickle.dumps(expression)).evaluate({"d": (1, 2), "U": 0}) == 2 + math.pi


def test_digest_texts_do_not_depend_on_the_type_or_the_last_bits() -> None:
    assert [float_text(value) for value in (500, 500.0, 0.1 + 0.2, -0.0, 1e-30, 2**60)] == [
        "500", "500", "0.3", "0", "1e-30", "1.15292150461e+18",
    ]  # fmt: skip
    assert float_text((1, 2.5)) == "[1,2.5]"


# Pulser's trees

X = {"expression": "index", "lhs": {"variable": "x"}, "rhs": 0}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", X),
        ("a*2", 6),
        (["a", 2], [3, 2]),
        ("d", {"variable": "d"}),
        ("d[-1]", {"expression": "index", "lhs": {"variable": "d"}, "rhs": 2}),
        (["d[0]", "d[1]", "d[2]"], {"variable": "d"}),
        (["d[2]", "d[0]"], {"expression": "index", "lhs": {"variable": "d"}, "rhs": [2, 0]}),
        ("x/a", {"expression": "div", "lhs": X, "rhs": 3}),
        ("round(x)", {"expression": "floor", "lhs": {"expression": "add", "lhs": X, "rhs": 0.5}}),
        ("x**2", {"expression": "pow", "lhs": X, "rhs": 2.0}),
        (["x", 0, "x"], {"expression": "mul", "lhs": X, "rhs": [1, 0, 1]}),
        (["a", "x"], {"expression": "add", "lhs": [3, 0], "rhs": {"expression": "mul", "lhs": X, "rhs": [0, 1]}}),
    ],
)
def test_what_pulser_can_express_becomes_a_tree(value: Any, expected: Any) -> None:
    tree = to_tree(read(value).root, fold={"a": 3}, variables={"x": None, "d": 3})
    assert tree == expected


@pytest.mark.parametrize("text", ["min(x, 1)", "x < 2", "not x", "x and 1", "1 + max(x, 2)", "[1, 2][x]", "d[x]", "(2*d)[1]"])
def test_what_pulser_cannot_express_is_said(text: str) -> None:
    with pytest.raises(NotExpressibleError):
        to_tree(parse(text).root, fold={}, variables={"x": None, "d": 3})


def test_an_index_out_of_range_is_an_error_in_a_tree_too() -> None:
    with pytest.raises(ExpressionError, match="the index 3 is out of range for 3 values"):
        to_tree(parse("d[3]").root, fold={}, variables={"d": 3})


def test_a_whole_array_is_no_element_of_a_list() -> None:
    for fold, variables in (({}, {"d": 3, "x": None}), ({"d": (1, 2)}, {"x": None})):
        with pytest.raises(ExpressionError, match=r"a list stands where a number is expected|a list of 2 values"):
            to_tree(read(["d", "x"]).root, fold=fold, variables=variables)


def test_a_tree_reads_back() -> None:
    tree = {"expression": "add", "lhs": [1, 0], "rhs": {"expression": "mul", "lhs": X, "rhs": [0, 1]}}
    expression = from_tree(tree)
    assert expression.text == "[1, 0] + x[0]*[0, 1]"
    assert expression.evaluate({"x": 2.5}) == (1, 2.5)
    assert parse(expression.text).root == expression.root
    assert from_tree({"expression": "index", "lhs": {"variable": "d"}, "rhs": [0, 2]}).root == ListNode(
        (IndexNode(NameNode("d"), NumberNode(0)), IndexNode(NameNode("d"), NumberNode(2)))
    )
    for wrong in (
        {"expression": "foo", "lhs": 1},
        {"expression": "add", "lhs": 1},
        {},
        "x",
        [[1]],
        math.nan,
        {"expression": "sin"},
    ):
        with pytest.raises(ExpressionError):
            from_tree(wrong)


tree_texts = st.recursive(
    st.sampled_from(["x", "k", "d[0]", "d[-1]", "a", "2", "0.5", "3"]),
    lambda parts: st.one_of(
        st.tuples(parts, st.sampled_from("+-*/%"), parts).map(lambda t: f"({t[0]}){t[1]}({t[2]})"),
        st.tuples(parts, st.sampled_from(["2", "0.5", "-1", "k"])).map(lambda t: f"({t[0]})**{t[1]}"),
        st.tuples(st.sampled_from(["abs", "floor", "ceil", "round", "sqrt", "exp", "sin", "tanh", "-"]), parts).map(
            lambda t: f"{t[0]}({t[1]})"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, derandomize=True)  # NumPy's last bits decide floors
@given(
    st.lists(tree_texts, min_size=1, max_size=3),
    st.floats(0.1, 10),
    st.integers(-3, 6),
    st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
)
def test_pulser_builds_a_tree_to_the_value_that_is_evaluated(items: list[str], x: float, k: int, d: tuple[float, float]) -> None:
    """Real Pulser deserialises every tree, of a number or a list, and its value is ours wherever we have one."""
    env: dict[str, Value] = {"x": x, "k": k, "d": d, "a": 3}
    for value in (items[0], items):
        try:
            expected = read(value).evaluate(env)
            tree = to_tree(read(value).root, fold={"a": 3}, variables={"x": None, "k": None, "d": 2})
        except ExpressionError:
            return
        _assert_built(tree, env, expected)
        if not isinstance(tree, (int, float)):
            assert _near(from_tree(tree).evaluate(env), expected)


def _assert_built(tree: Any, env: dict[str, Value], expected: Value) -> None:
    from pulser.json.abstract_repr.deserializer import _deserialize_parameter
    from pulser.parametrized import Variable

    pulser_variables = {"x": Variable("x", float), "k": Variable("k", int), "d": Variable("d", float, 2)}
    for name, variable in pulser_variables.items():
        variable._assign(env[name])
    built = _deserialize_parameter(tree, pulser_variables)
    number = built.build().tolist() if hasattr(built, "build") else built
    assert _near(tuple(number) if isinstance(number, list) else number, expected)


def _near(one: Any, other: Any) -> bool:
    ones, others = (value if isinstance(value, tuple) else (value,) for value in (one, other))
    return len(ones) == len(others) and all(
        math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) for a, b in zip(ones, others, strict=True)
    )


def test_a_sequence_with_our_trees_deserialises_and_builds() -> None:
    import json

    import pulser

    register = pulser.Register({"q0": (0, 0)})
    sequence = pulser.Sequence(register, pulser.MockDevice)
    sequence.declare_channel("ch", "rydberg_global")
    sequence.declare_variable("x")
    sequence.declare_variable("n", dtype=int)
    data = json.loads(sequence.to_abstract_repr())
    variables: dict[str, int | None] = {"x": None, "n": None}
    tree = {text: to_tree(read(value).root, fold={"a": 2}, variables=variables) for text, value in _PARTS.items()}
    waveform = {"kind": "interpolated", "duration": tree["duration"], "values": tree["values"], "times": [0.0, 0.5, 1.0]}
    constant = {"kind": "constant", "duration": tree["duration"], "value": tree["detuning"]}
    pulse = {"op": "pulse", "channel": "ch", "protocol": "min-delay", "amplitude": waveform, "detuning": constant}
    data["operations"] = [pulse | {"phase": 0.0, "post_phase_shift": 0.0}]
    built = pulser.Sequence.from_abstract_repr(json.dumps(data)).build(x=1.5, n=7)
    slot: Any = built._schedule["ch"].slots[-1]
    assert built.get_duration() == 28
    assert slot.type.detuning[5] == pytest.approx(-1.5 * 2)
    assert slot.type.amplitude[-1] == pytest.approx(3.5)


_PARTS: dict[str, Any] = {"duration": "4*n", "values": [0, "a", "a + x"], "detuning": "-x*a"}
