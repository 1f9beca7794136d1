"""The loader: YAML 1.2 core, every refusal with its place and its words, and nothing but `Document` or `SpecError`."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pcs_runner.errors import Problem, SpecError
from pcs_runner.spec import nodes
from pcs_runner.spec.document import MAX_BYTES, Document, load_document, parse_document, path_text
from pcs_runner.spec.source import EXCERPT_LENGTH

HERE = pathlib.Path()
INVISIBLE = "remove it, or write it as an escape in double quotes"
DOCUMENTS = "keep one document in a file; several job groups can be a list under `jobs`"
BRACKET = "close the bracket or put a comma; quote text that holds [ ] { } or a comma"
CUT = "inside { } or [ ] a comma ends the text, here in the middle of a parenthesis"


def parse(text: str | bytes) -> Document:
    return parse_document(text.encode() if isinstance(text, str) else text, file="s.yaml", folder=HERE)


def refused(text: str | bytes) -> list[Problem]:
    with pytest.raises(SpecError) as caught:
        parse(text)
    return list(caught.value.problems)


def one(text: str | bytes) -> str:
    """The only problem as `line:column: path: message | hint`."""
    (problem,) = refused(text)
    return f"{str(problem).removeprefix('s.yaml:')} | {problem.hint}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-0.0", -0.0),
        ("+7", 7),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("=", "="),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("TRUE", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("~", None),
        ("", None),
        ("Null", None),
        ("'1'", "1"),
        ('"\\u00b5"', "µ"),
        ("-", None),
        ("-1*x", "-1*x"),
        ("2*pi*2.5", "2*pi*2.5"),
        (".", "."),
        ("NaN", "NaN"),
        ("!!str 1", "1"),
        ("!!float 1", 1.0),
        ("!!int '3'", 3),
        ("!!seq [1]", [1]),
        ("!!map {b: 1}", {"b": 1}),
        ("9" * 4300, 10**4300 - 1),
    ],
)
def test_scalars_follow_the_yaml_1_2_core_schema(text: str, value: Any) -> None:
    if text == "-":
        assert parse("a:\n  -").data == {"a": [None]}
        return
    data = parse(f"a: {text}\n").data["a"]
    assert (type(data), data) == (type(value), value)


def test_a_byte_order_mark_is_skipped_and_the_bytes_are_kept() -> None:
    document = parse(b"\xef\xbb\xbfa: 1")
    assert document.data == {"a": 1}
    assert document.data_bytes == b"\xef\xbb\xbfa: 1"
    assert document.position(("a",), key=True) == (1, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: .nan", "1:4: a: NaN and infinity are refused | "),
        ("a: [1, -.INF]", "1:8: a[1]: NaN and infinity are refused | "),
        (
            "a: 1e999",
            "1:4: a: the number is beyond what a float can hold (about 1.8e308); NaN and infinity are refused | ",
        ),
        ("a: " + "1" * 5000, "1:4: a: an integer of more than 4300 digits | write it as a float, for example 1e300"),
        ("a: 0x" + "f" * 4300, "1:4: a: an integer of more than 4300 digits | write it as a float, for example 1e300"),
        ("", "1:1: the file is empty | `pcs-run init` writes a first spec"),
        ("# nothing\n---\n", "1:1: the file is empty | `pcs-run init` writes a first spec"),
        ("- 1", "1:1: a spec is a mapping, this is a list | begin with `version: 1`"),
        ("version:1", "1:1: a spec is a mapping, this is a single value | write a space after each colon"),
        ("a: 1\nb: 2\na: 3", '3:1: a: duplicate key "a"; the first is at line 1, column 1 | keep one of the two'),
        ("a: {b: 1, 'b': 2}", '1:11: a.b: duplicate key "b"; the first is at line 1, column 5 | keep one of the two'),
        (
            "a: &x {b: 1}\nc:\n  <<: *x",
            "3:3: c: merge keys (`<<`) are refused | write the keys out, or give the whole value by an alias",
        ),
        ("a: !foo 1", "1:4: a: a tag (`!...`) is refused here | remove the tag, or quote the text if `!` is part of it"),
        (
            "a: !!python/object:os.system x",
            "1:4: a: a tag (`!...`) is refused here | remove the tag, or quote the text if `!` is part of it",
        ),
        ("a: !!int x", "1:4: a: the value does not fit its tag `!!int` | remove the tag"),
        ("a: &a [1, *a]", '1:11: a[1]: alias "*a" contains itself | write the value out'),
        ("a: *b", '1:4: a: alias "*b" has no anchor before it | text that begins with "*" needs quotes'),
        ("1: x", '1:1: a key must be text, this one is a number | quote it: "1"'),
        ("a: {true: x}", '1:5: a: a key must be text, this one is a boolean | quote it: "true"'),
        ("? [1]\n: 4", "1:3: a key must be text, this one is a list | a key is text"),
        ("a:\n\tb: 1", "2:1: a tab is used as indentation | indent with spaces"),
        ("a:\n  - b\n  \t- c: d\n", "3:3: a tab is used as indentation | indent with spaces"),
        (b"a: x\nb: \xc3\xa9\xe9\n", "2:5: not UTF-8: byte 0xe9 | save the file as UTF-8"),
        (
            "a: 1\nb: x\0",
            "2:5: the invisible character U+0000 is not allowed | remove it, or write it as an escape in double quotes",
        ),
        (
            "a: \x1b[31m",
            "1:4: the invisible character U+001B is not allowed | remove it, or write it as an escape in double quotes",
        ),
        (
            "a: 1\n---\nb: 2",
            f"2:1: a second document begins here; a spec is one document | {DOCUMENTS}",
        ),
        ("x: {a: delta[0], b: 1}", '1:8: inside { } or [ ] an index needs quotes | quote the expression: "delta[0]"'),
        ("x: [2*delta[1], 1]", '1:7: inside { } or [ ] an index needs quotes | quote the expression: "delta[1]"'),
        (
            "x: {a: max(a, b)}",
            f'1:8: x.a: {CUT} | quote the expression: "max(a, b)"',
        ),
        (
            "x: {a: 1\nb: 2",
            f"2:2: a comma or `}}` is expected here to go on with the `{{` of line 1, column 4 | {BRACKET}",
        ),
        ("version:1\nname: x", "1:8: a space is missing after the colon | write `version: value`"),
        ("name: x\nversion:1", "2:8: a space is missing after the colon | write `version: value`"),
        ("a: b: c", '1:5: a `:` is not expected here | quote text that holds ": ", or check the indentation'),
        ("a: 1\n b: 2", '2:3: a `:` is not expected here | quote text that holds ": ", or check the indentation'),
        ("a: 1\nkey\nb: 2", "2:1: a key without `:` | write `key: value`, or check the indentation"),
        ("a: 'it's'", "1:8: a key is expected here | check the indentation, and that text is quoted as a whole"),
        ("a: 'x\nb: 2\n", "1:4: this quote is not closed | close the quote, or double it inside single quotes"),
        ("a: @x", '1:4: text cannot begin with "@" | quote the text'),
        ("a: [1,,2]", "1:7: a value is missing here | remove the extra comma, or quote the text"),
        ('a: "\\q"', "1:5: an unknown escape after `\\` | use single quotes where `\\` is meant as it is"),
    ],
)
def test_refusals(text: str | bytes, expected: str) -> None:
    assert one(text) == expected


def test_tabs_between_brackets_are_not_blamed() -> None:
    assert parse('{\n\t"a": [\n\t\t1\n\t]\n}').data == {"a": [1]}
    assert one('{\n\t"a": [1 2]\n\t"b": 3}').startswith("3:2: a comma or `}` is expected here")


def test_all_problems_are_found_in_one_go() -> None:
    found = [str(problem) for problem in refused("a: 1\na: 2\nb: {c: .nan, c: 1}\n2: !x y\n")]
    assert found == [
        's.yaml:2:1: a: duplicate key "a"; the first is at line 1, column 1',
        "s.yaml:3:8: b.c: NaN and infinity are refused",
        's.yaml:3:14: b.c: duplicate key "c"; the first is at line 3, column 5',
        "s.yaml:4:1: a key must be text, this one is a number",
        "s.yaml:4:4: a tag (`!...`) is refused here",
    ]


@pytest.mark.parametrize("piece", ["[", "{a: ", "- ", "? "])
def test_thirty_thousand_levels_are_refused(piece: str) -> None:
    assert "nested more than 100 levels deep" in one(piece * 30_000)


def test_the_last_allowed_level() -> None:
    assert parse("a: " + "[" * 99 + "]" * 99).data["a"]
    assert "nested more than 100 levels deep" in one("a: " + "[" * 100 + "]" * 100)


def test_aliases_do_not_hide_depth() -> None:
    text = "a: &a " + "[" * 60 + "]" * 60 + "\nb: " + "[" * 60 + "*a" + "]" * 60
    assert one(text) == "2:64: nested more than 100 levels deep | check the brackets; no spec nests so deep"


def test_a_billion_laughs_are_refused_without_being_walked() -> None:
    bomb = "a0: &a0 [" + ",".join("x" * 10) + "]\n"
    bomb += "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30))
    assert one(bomb) == "6:46: a5[9]: aliases expand to more than 1,000,000 values | use fewer aliases, or a CSV file"


def test_anchors_are_allowed() -> None:
    document = parse("a: &x {b: [1, 2]}\nc: *x\n")
    assert document.data == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}
    assert document.position(("c", "b", 1)) == (1, 15)


TEXT = "version: 1\nsequence:\n  operations:\n    - {op: pulse, amplitude: 'a + )', µ: \"x y\"}\n    - x\n"


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ((), (1, 1), (1, 1)),
        (("version",), (1, 10), (1, 1)),
        (("sequence",), (3, 3), (2, 1)),
        (("sequence", "operations", 0, "amplitude"), (4, 30), (4, 19)),
        (("sequence", "operations", 0, "µ"), (4, 42), (4, 39)),
        (("sequence", "operations", 1), (5, 7), (5, 7)),
        (("sequence", "operations", 7, "x"), (4, 5), (4, 5)),
        (("sequence", "nothing"), (3, 3), (3, 3)),
        (("version", "x"), (1, 10), (1, 10)),
    ],
)
def test_positions(path: nodes.Path, value: tuple[int, int], key: tuple[int, int]) -> None:
    document = parse(TEXT)
    assert document.position(path) == value
    assert document.position(path, key=True) == key


def test_a_problem_inside_text_stands_at_its_character() -> None:
    document = parse(TEXT)
    path = ("sequence", "operations", 0, "amplitude")
    assert document.problem(path, "m", hint="h", offset=4, warning=True) == Problem(
        message="m",
        file="s.yaml",
        line=4,
        column=35,
        path="sequence.operations[0].amplitude",
        hint="h",
        source="    - {op: pulse, amplitude: 'a + )', µ: \"x y\"}",
        warning=True,
    )
    assert parse("a: b + )\n").problem(("a",), "m", offset=4).column == 8
    assert parse('a: "\\x41 + )"\n').problem(("a",), "m", offset=4).column == 4  # escapes: the text is not as it reads
    assert parse("a: b +\n  )\n").problem(("a",), "m", offset=4).column == 4


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\r"])
def test_lines_end_as_editors_count_them(break_: str) -> None:
    assert parse(break_.join(["a: 1", "", "b: 2", ""])).position(("b",)) == (3, 4)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("sequence", "operations", 2, "amplitude"), "sequence.operations[2].amplitude"),
        (("a b", 0, ""), '["a b"][0][""]'),
        (("a", "x\x1b\x9b"), 'a["x\\u001b\N{REPLACEMENT CHARACTER}"]'),
        (("password:hunter2",), '["password:***"]'),
    ],
)
def test_path_text(path: nodes.Path, text: str) -> None:
    assert path_text(path) == text


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("b: 1\npassword: hunter2\n", "password: ***"),
        ("b: 1\nx: {PASQAL_PASSWORD: hunter2, c: 2}\n", "x: {PASQAL_PASSWORD: ***, c: 2}"),
        ("b: 1\nx: {api_key: 'hunter2', c: 2}\n", "x: {api_key: ***, c: 2}"),
        ('b: 1\nx: {"Api-Key": "hun\\"ter2", c: 2}\n', 'x: {"Api-Key": ***, c: 2}'),
        ("b: 1\ntoken: [hunter2, hunter2]\n", "token: ***"),
        ("b: 1\nx: {token: {a: hunter2}}\n", "x: {token: ***"),
    ],
)
def test_secrets_are_masked_in_the_source_line(text: str, source: str) -> None:
    document = parse(text)
    path = tuple(document.data)[1:]
    assert document.problem(path, "m", key=True).source == source


@pytest.mark.parametrize(
    "text",
    [
        "password: |\n  hunter2\n",
        "password: >-\n  some\n\n  hunter2\n",
        "password:\n  hunter2\n",
        "tokens:\n- hunter2\n- {a: hunter2}\n",
        "credentials:\n  user:\n    - hunter2\n",
        "password: 'one\n  hunter2'\n",
        '{\n"password":\n"hunter2"\n}',
        "? password\n: hunter2\n",
        "password: *hunter2\n",
        "password: !hunter2 x\n",
        "password: &hunter2 [*hunter2]\n",
        "password:hunter2\nb: 1\n",
        "a: {password:hunter2, password:hunter2}\n",
        "password: hunter2: x\n",
        "a: {password: hunter2(a, b)}\n",
        "a: {password: hunter2[0]}\n",
    ],
)
def test_no_secret_is_ever_shown(text: str) -> None:
    try:
        document = parse(text)
    except SpecError as error:
        shown = "".join(map(repr, error.problems))
    else:
        steps: list[nodes.Path] = [()]
        for path in steps:
            node = document.root
            for step in path:
                node = nodes_child(node, step)
            keys = node.children if isinstance(node.children, dict) else range(len(node.children or ()))
            steps += [(*path, step) for step in keys]
        shown = "".join(repr(document.problem(path, "m")) + repr(document.problem(path, "m", key=True)) for path in steps)
    assert "hunter2" not in shown


def nodes_child(node: nodes.Node, step: str | int) -> nodes.Node:
    child = node.child(step)
    assert child is not None
    return child[1]


def test_the_source_line_is_cut_around_the_column() -> None:
    document = parse("a: [" + ", ".join(["1000"] * 500) + "]\n")
    source = document.problem(("a", 250), "m").source
    assert len(source) == EXCERPT_LENGTH + 2
    assert source.startswith("…")
    assert source.endswith("…")


def test_a_missing_file_suggests_the_nearest(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ramp.yaml").write_text("a: 1")
    with pytest.raises(SpecError) as caught:
        load_document(tmp_path / "rmap.yaml", file="rmap.yaml")
    (problem,) = caught.value.problems
    assert (str(problem), problem.hint) == ("rmap.yaml: no such file", f'did you mean "{tmp_path / "ramp.yaml"}"?')


def test_a_folder_and_a_large_file_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SpecError, match="d: this is a folder, not a file"):
        load_document(tmp_path, file="d")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(SpecError, match="large: the file is larger than 8 MB"):
        load_document(large, file="large")


def test_a_file_is_loaded_with_its_folder(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "ramp.yaml"
    path.write_bytes(b"a: 1\n")
    document = load_document(path)
    assert (document.file, document.folder, document.data_bytes, document.data) == (str(path), tmp_path, b"a: 1\n", {"a": 1})


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x: {a: delta[0], b: 1}", "1:8: inside { } or [ ] an index needs quotes"),
        ("a:\n\tb: 1", "2:1: a tab is used as indentation"),
        ("a: @x", '1:4: text cannot begin with "@"'),
        ("a: b: c", "1:5: a `:` is not expected here"),
        ("a: 'x", "1:4: this quote is not closed"),
        ("a: 1\nkey\nb: 2", "2:1: a key without `:`"),
        ("a: !!int 1\nb: .nan", "2:4: b: NaN and infinity are refused"),
    ],
)
def test_with_and_without_libyaml_the_same_is_said(
    monkeypatch: pytest.MonkeyPatch, loader: type, text: str, expected: str
) -> None:
    monkeypatch.setattr(nodes, "_Loader", loader)
    assert one(text).startswith(expected)


# json.dumps leaves U+007F as it is, which YAML does not allow; it writes what lies beyond U+FFFF as surrogates.
JSON_TEXT = st.text(st.characters(max_codepoint=0xFFFD, exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=30)


def json_values() -> st.SearchStrategy[Any]:
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        scalars | JSON_TEXT,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(JSON_TEXT, inner, max_size=4),
        max_leaves=12,
    )


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(max_codepoint=0xFFFD, exclude_categories=["Cs"]), max_size=20), json_values(), max_size=5
    )
)
def test_json_is_read_as_it_is(data: dict[str, Any]) -> None:
    assert parse(json.dumps(data)).data == data
    assert parse(json.dumps(data, indent=2)).data == data


PIECES = [*"abc:-?{}[],&*!|>'\"%@#\\\t\n 0.~", "\n  ", ": ", "- ", "&a ", "*a", "<<", "password: ", "!!str ", "\r\n", "é"]
YAML_LIKE = st.lists(st.sampled_from(PIECES)).map(lambda pieces: "".join(pieces).encode())


def outcome(data: bytes) -> Document | tuple[Problem, ...]:
    try:
        return parse_document(data, file="s.yaml", folder=HERE)
    except SpecError as error:
        return error.problems


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=80) | YAML_LIKE | st.text(max_size=60).map(str.encode))
def test_whatever_is_read_ends_in_a_document_or_in_located_problems(data: bytes) -> None:
    result = outcome(data)
    if isinstance(result, Document):
        assert isinstance(result.data, dict)
        for key in result.data:
            assert result.problem((key,), "m", offset=1).line >= 1
    else:
        assert result
        assert all(problem.line >= 1 and problem.column >= 1 for problem in result)
