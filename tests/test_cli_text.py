"""Text from files never reaches the terminal raw, and the caret stands under the column."""

from __future__ import annotations

import pytest

from pcs_runner.cli.text import excerpt, github_message, github_property, plural, printable, seconds


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("omega µ 9²", "omega µ 9²"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202edef", r"abc\u202edef"),
        ("line\u2028separator", r"line\u2028separator"),
        ("not utf-8: \udcff", r"not utf-8: \udcff"),
    ],
)
def test_control_characters_become_escapes(raw: str, shown: str) -> None:
    assert printable(raw) == shown


def test_kept_characters_stay() -> None:
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@pytest.mark.parametrize(
    ("source", "column", "line", "caret"),
    [
        ("runs: ten", 7, "runs: ten", "      ^"),
        ("\truns: ten", 8, " runs: ten", "       ^"),
        ("量子: x", 5, "量子: x", "      ^"),
        ("e\u0301: x", 4, "e\u0301: x", "  ^"),
        ("a\x1b: x", 4, "a\\x1b: x", "      ^"),
        ("runs:", 6, "runs:", "     ^"),
    ],
)
def test_the_caret_stands_under_the_column(source: str, column: int, line: str, caret: str) -> None:
    assert excerpt(source, column) == (line, caret)


def test_a_long_line_is_cut_around_the_column() -> None:
    line, caret = excerpt("a" * 500 + "X" + "b" * 500, 501)
    assert len(line) == 166
    assert line.startswith("...a")
    assert line.endswith("b...")
    assert line[len(caret) - 1] == "X"


def test_github_escapes_what_would_end_a_command() -> None:
    assert github_message("50%: a\r\nb") == "50%25: a%0D%0Ab"
    assert github_property("a:b,c%") == "a%3Ab%2Cc%25"


@pytest.mark.parametrize(("duration_s", "text"), [(0.04, "0.0 s"), (12.3, "12 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations_are_for_people(duration_s: float, text: str) -> None:
    assert seconds(duration_s) == text


def test_one_is_singular() -> None:
    assert [plural(count, "job") for count in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]
