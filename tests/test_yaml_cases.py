r"""YAML 1.2 case by case: the exact value, or the exact place and words of the refusal.

Written from the productions of YAML 1.2.2 and its core schema (chapter 10.3); scalars that `test_document` has are not repeated.
The values are compared with those of ruamel.yaml in YAML 1.2 mode too.
"""

from __future__ import annotations

import itertools
import pathlib
import warnings
from typing import Any

import pytest
from ruamel.yaml import YAML

from pcs_runner.errors import SpecError
from pcs_runner.spec.document import parse_document
from pcs_runner.spec.scalars import plain_value

VALUES: dict[str, Any] = {
    # block scalars: chomping, indentation indicators, folding
    "a: |\n  x\n  y\n": {"a": "x\ny\n"},
    "a: |-\n  x\n\n": {"a": "x"},
    "a: |+\n  x\n\n\nb: 1\n": {"a": "x\n\n\n", "b": 1},
    "a: |2\n    x\n  y\n": {"a": "  x\ny\n"},
    "a: |1-\n  x\n": {"a": " x"},
    "a: >1\n  x\n   y\n": {"a": " x\n  y\n"},
    "a: >\n  x\n  y\n\n  z\n    more\n  end\n": {"a": "x y\nz\n  more\nend\n"},
    "a: >-\n  x\n  y\n": {"a": "x y"},
    "a: >+\n  x\n\n": {"a": "x\n\n"},
    "a: |\n": {"a": ""},
    "a: | # comment\n  # text\n": {"a": "# text\n"},
    "a: |-\n  1e3\n": {"a": "1e3"},
    "a: |2\n  \ttab\n": {"a": "\ttab\n"},
    "a: |\r\n  x\r\n  y\r\n": {"a": "x\ny\n"},
    # flow scalars over lines, escapes
    'a: "x\n  y\n\n  z \\\n  w"\n': {"a": "x y\nz w"},
    "a: 'it''s\n  two'\n": {"a": "it's two"},
    "a: x\n  y\n\n  z\n": {"a": "x y\nz"},
    'a: "\\x41\\u00e9\\U0001F600\\t\\n\\r\\a\\b\\v\\f\\\\\\/\\"\\0\\e\\_\\N\\L\\P\\ "\n': {
        "a": 'Aé😀\t\n\r\a\b\v\f\\/"\0\x1b\xa0\x85\u2028\u2029 '
    },
    "a: '\\n'\n": {"a": "\\n"},
    "a: ''\nb: \"\"\n": {"a": "", "b": ""},
    'a: "1"\nb: \'true\'\nc: \'.inf\'\nd: "~"\n': {"a": "1", "b": "true", "c": ".inf", "d": "~"},
    # comments, indicators inside plain text
    "a: x # c\nb: x#c\nc: 'x' # d\n": {"a": "x", "b": "x#c", "c": "x"},
    "a: 1\n # c\nb: 2\n#": {"a": 1, "b": 2},
    "a: http://x:80/y\nb: x%y\nc: ?x\nd: :x\ne: -x\nf: x-y\n": {
        "a": "http://x:80/y", "b": "x%y", "c": "?x", "d": ":x", "e": "-x", "f": "x-y",
    },
    "a: 1]\nb: 1,000\nc: x!\n": {"a": "1]", "b": "1,000", "c": "x!"},
    # collections
    "a:\n- 1\n- - 2\n  - 3\n-\n  b: 4\n": {"a": [1, [2, 3], {"b": 4}]},
    "a: [1, 2,]\nb: {c: 1,}\nd: []\ne: {}\n": {"a": [1, 2], "b": {"c": 1}, "d": [], "e": {}},
    "a: {b, c: }\n": {"a": {"b": None, "c": None}},
    "a: [b: 1, c]\n": {"a": [{"b": 1}, "c"]},
    "a: {? b : 1}\nc: [? d : 1]\n": {"a": {"b": 1}, "c": [{"d": 1}]},
    'a: {"b":1, \'c\':2}\n': {"a": {"b": 1, "c": 2}},
    "a: {b:1}\nc: [x:y, x: y]\n": {"a": {"b:1": None}, "c": ["x:y", {"x": "y"}]},
    "a: [1\n  2]\n": {"a": ["1 2"]},
    "a: [\n1,\n# c\n2\n]\n": {"a": [1, 2]},
    "? a\n: 1\n? |\n  b\n: 2\n? c\n": {"a": 1, "b\n": 2, "c": None},
    '"": 1\n"true": 2\n"1": 3\n"<<": {b: 4}\n': {"": 1, "true": 2, "1": 3, "<<": {"b": 4}},
    "yes: 1\nno: 2\non: 3\n=: 4\n12:30: 5\n": {"yes": 1, "no": 2, "on": 3, "=": 4, "12:30": 5},
    "漢: é ü 😀\n'a\tb': 1\n": {"漢": "é ü 😀", "a\tb": 1},
    "a: 1\t# x\nb:\t2\n": {"a": 1, "b": 2},
    # documents and directives
    "%YAML 1.2\n---\na: 0o17\n...\n": {"a": 15},
    "%YAML 1.1\n---\na: 0o17\nb: 017\n": {"a": 15, "b": 17},
    "--- {a: 1}\n": {"a": 1},
    "\n\n---\n# c\na: 1\n...\n# c\n": {"a": 1},
    "\ufeffa: 1\n": {"a": 1},
    # anchors and aliases
    "a: &x 1\nb: &x 2\nc: *x\n": {"a": 1, "b": 2, "c": 2},
    "a: &x\nb: *x\n": {"a": None, "b": None},
    "&k a: &v 1\nb: [*k, *v]\n": {"a": 1, "b": ["a", 1]},
    "a: &x [1, {b: &y 2}]\nc: {d: *x, e: *y}\n": {"a": [1, {"b": 2}], "c": {"d": [1, {"b": 2}], "e": 2}},
    # core tags
    "a: !!null ''\nb: !!str\nc: !!str 1e3\nd: !!bool TRUE\n": {"a": None, "b": "", "c": "1e3", "d": True},
    "a: !<tag:yaml.org,2002:int> 3\nb: !!int 0x1f\nc: !!float 1e3\nd: !!float '2'\n": {"a": 3, "b": 31, "c": 1000.0, "d": 2.0},
    # numbers and words
    "a: [+.5, -.5, 1.e3, +1.5e-3, 1E+3, 08, 00, -0, 0.0]\n": {"a": [0.5, -0.5, 1000.0, 0.0015, 1000.0, 8, 0, 0, 0.0]},
    "a: [9007199254740993, 1e-400, 0xdeadBEEF, 0o0]\n": {"a": [9007199254740993, 0.0, 3735928559, 0]},
    "a: .5e1\n": {"a": 5.0},
    "a: [-0x1F, +0o7, 0XFF, 0O7, 0x, 0o8, 0xG, 0b1]\n": {"a": ["-0x1F", "+0o7", "0XFF", "0O7", "0x", "0o8", "0xG", "0b1"]},
    "a: [1e, e3, 1.2.3, +, --1, ., .., 1_0, 1.0_0, 190:20:30]\n": {
        "a": ["1e", "e3", "1.2.3", "+", "--1", ".", "..", "1_0", "1.0_0", "190:20:30"],
    },
    "a: [inf, -inf, nan, -.nan, +.nan, .iNF, .Nan, Infinity]\n": {
        "a": ["inf", "-inf", "nan", "-.nan", "+.nan", ".iNF", ".Nan", "Infinity"],
    },
    "a: [~, null, Null, NULL, nULL, none, nil]\nb:\n": {"a": [None, None, None, None, "nULL", "none", "nil"], "b": None},
    "a: [y, n, Yes, NO, on, Off, tRue, true, True, TRUE, false, False, FALSE]\n": {
        "a": ["y", "n", "Yes", "NO", "on", "Off", "tRue", True, True, True, False, False, False],
    },
    "a: <<\n": {"a": "<<"},
    # long lines
    "a: " + "x" * 1_000_000 + "\nb: [" + "1, " * 5_000 + "2]\n": {"a": "x" * 1_000_000, "b": [1] * 5_000 + [2]},
    "k" * 1024 + ": 1\n": {"k" * 1024: 1},
}  # fmt: skip

RUAMEL_DIFFERS = {
    "a: .5e1\n": "ruamel.yaml reads an exponent only after a digit before the point",
    "a: [-0x1F, +0o7, 0XFF, 0O7, 0x, 0o8, 0xG, 0b1]\n": "a sign before 0x and 0o, which the core schema does not have",
    "a: [inf, -inf, nan, -.nan, +.nan, .iNF, .Nan, Infinity]\n": "a sign before .nan",
    "a: [1e, e3, 1.2.3, +, --1, ., .., 1_0, 1.0_0, 190:20:30]\n": "underscores in numbers, which 1.2 does not have",
    "%YAML 1.1\n---\na: 0o17\nb: 017\n": "the directive chooses the rules of 1.1; ours are those of 1.2 always",
    "a: 1\t# x\nb:\t2\n": "tabs as white space inside a line are refused, which 1.2 allows (6.1)",
    "a: <<\n": "merge keys, which 1.2 does not have",
}
"""Where ruamel.yaml does not follow the specification to the letter, and how."""

END = "check the indentation, and that text is quoted as a whole"
TAG = "a tag (`!...`) is refused here | remove the tag, or quote the text if `!` is part of it"
COLON = 'a `:` is not expected here | quote text that holds ": ", or check the indentation'
INVISIBLE = "remove it, or write it as an escape in double quotes"
REFUSALS = {
    "a: |0\n  x\n": "1:5: the indentation after `|` or `>` is 1 to 9 | remove the 0",
    "a: |x\n  y\n": "1:5: only a comment can stand here | begin the text on the next line",
    "a: |\n    x\n  y\n": f"3:3: a key is expected here | {END}",
    "%YAML 2.0\n---\na: 1\n": "1:1: a `%YAML` line of another version | remove the line; a spec is YAML 1.2",
    "%YAML 1.2\n%YAML 1.2\n---\na: 1\n": "2:1: a second `%YAML` line | keep one of the two",
    "%FOO bar\n---\na: 1\n": "1:5: an unknown directive | remove the line that begins with `%`",
    "%TAG !e! tag:example.org,2000:\n---\na: !e!x 1\n": f"3:4: a: {TAG}",
    "a: 1\n...\nb: 2\n": "3:1: the document has ended before this | check the indentation and the brackets",
    "a: 1\n---\n": (
        "2:1: a second document begins here; a spec is one document | "
        "keep one document in a file; several job groups can be a list under `jobs`"
    ),
    "---\n...\n": "1:1: the file is empty | `pcs-run init` writes a first spec",
    "~\n": "1:1: the file is empty | `pcs-run init` writes a first spec",
    "x\n": "1:1: a spec is a mapping, this is a single value | begin with `version: 1`",
    "a: !!binary aGk=\n": f"1:4: a: {TAG}",
    "a: !!set {x, y}\n": f"1:4: a: {TAG}",
    "a: ! 1\n": f"1:4: a: {TAG}",
    "a: !!timestamp 2026-01-01\n": f"1:4: a: {TAG}",
    "a: !!bool yes\n": "1:4: a: the value does not fit its tag `!!bool` | remove the tag",
    "a: !!null x\n": "1:4: a: the value does not fit its tag `!!null` | remove the tag",
    "a: !!int 1.0\n": "1:4: a: the value does not fit its tag `!!int` | remove the tag",
    "a: !!float .inf\n": "1:4: a: NaN and infinity are refused | ",
    "a: +.inf\n": "1:4: a: NaN and infinity are refused | ",
    "a:\n  - .NAN\n": "2:5: a[0]: NaN and infinity are refused | ",
    ".inf: 1\n": "1:1: NaN and infinity are refused | ",
    "a: &x [1]\n? *x\n: 1\n": "2:3: a key must be text, this one is a list | a key is text",
    "{a: 1}: b\n": "1:1: a key must be text, this one is a mapping | a key is text",
    "~: 1\n": '1:1: a key must be text, this one is null | quote it: "~"',
    "0x1F: 1\n": '1:1: a key must be text, this one is a number | quote it: "0x1F"',
    "{a: 1, 'a': 2}\n": '1:8: a: duplicate key "a"; the first is at line 1, column 2 | keep one of the two',
    "a: {<<: {b: 1}}\n": "1:5: a: merge keys (`<<`) are refused | write the keys out, or give the whole value by an alias",
    "a: -\n": "1:4: a list item (`- `) is not expected here | begin the list on a line of its own",
    "a: %x\n": '1:4: text cannot begin with "%" | quote the text',
    "a: `x\n": '1:4: text cannot begin with "`" | quote the text',
    "a: }\n": "1:4: a value is missing here | remove the extra comma, or quote the text",
    "a:\n b: 1\n  c: 2\n": f"3:4: {COLON}",
    "a:\n  b: 1\n c: 2\n": f"3:2: a key is expected here | {END}",
    "a:\n  - 1\n - 2\n": f"3:2: a key is expected here | {END}",
    "a: 'b': c\n": f"1:7: {COLON}",
    "a: {b: 1} c\n": f"1:11: a key is expected here | {END}",
    'a: "b" c\n': f"1:8: a key is expected here | {END}",
    "a: x\n#  no\n  y\n": f"3:3: a key is expected here | {END}",
    'a: "\\ud800"\n': "1:7: an escape that is no character | write the character itself",
    'a: "\\U00110000"\n': "1:7: an escape that is no character | write the character itself",
    'a: "\\x4"\n': "1:7: an incomplete escape after `\\` | use single quotes where `\\` is meant as it is",
    "a: |\n  \ttab\n": "2:3: a tab is used as indentation | indent with spaces",  # 1.2 takes it; libyaml does not
    "a:\n\t- 1\n": "2:1: a tab is used as indentation | indent with spaces",
    "a: 1\r\nb:\r\n\tc: 2\r\n": "3:1: a tab is used as indentation | indent with spaces",
    "a: 1\n\ufeffb: 2\n": f"2:1: the invisible character U+FEFF is not allowed | {INVISIBLE}",
    "k" * 1025 + ": 1\n": f"1:1026: {COLON}",
}


def problems(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse_document(text.encode(), file="s.yaml", folder=pathlib.Path())
    return " ## ".join(f"{str(problem).removeprefix('s.yaml:')} | {problem.hint}" for problem in caught.value.problems)


def name(text: str) -> str:
    return repr(text[:40])


@pytest.mark.parametrize("text", VALUES, ids=name)
def test_a_text_has_its_value(text: str) -> None:
    data = parse_document(text.encode(), file="s.yaml", folder=pathlib.Path()).data
    assert repr(data) == repr(VALUES[text])  # 1, 1.0 and True are different values


@pytest.mark.parametrize("text", [text for text in VALUES if text not in RUAMEL_DIFFERS], ids=name)
def test_ruamel_yaml_reads_the_same_value(text: str) -> None:
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of anchors that are used twice
        assert repr(reader.load(text)) == repr(VALUES[text])


@pytest.mark.parametrize("text", REFUSALS, ids=name)
def test_a_text_is_refused_at_its_place(text: str) -> None:
    assert problems(text) == REFUSALS[text]


def test_short_words_are_the_numbers_that_python_reads() -> None:
    """All texts of up to four of these characters; Python's own readers of numbers decide, but for a sign before 0x and 0o."""
    for length in range(1, 5):
        for letters in itertools.product("017.eE+-xo", repeat=length):
            text = "".join(letters)
            value, expected = plain_value(text), python_value(text)
            assert (type(value), value) == (type(expected), expected), text


def python_value(text: str) -> str | int | float:
    readers: tuple[Any, ...] = (
        (lambda: int(text, 0),) if text[:2] in ("0x", "0o") else (lambda: int(text, 10), lambda: float(text))
    )
    for read in readers:
        try:
            value: int | float = read()
        except ValueError:
            continue
        return value
    return text
