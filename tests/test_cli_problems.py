"""A problem reads the same in a terminal, in JSON and on GitHub."""

from __future__ import annotations

from pcs_runner.cli.problems import as_github, as_json, as_text
from pcs_runner.errors import Problem

PROBLEM = Problem(
    message="unknown key 'amplitud'",
    file="specs/a,b.yaml",
    line=12,
    column=9,
    path="sequence.operations[0]",
    hint="did you mean 'amplitude'?",
    source="  - {op: pulse, amplitud: 1}",
)


def test_text_has_place_source_caret_and_hint() -> None:
    assert list(as_text(PROBLEM)) == [
        "specs/a,b.yaml:12:9: sequence.operations[0]: unknown key 'amplitud'",
        "    - {op: pulse, amplitud: 1}",
        "          ^",
        "  hint: did you mean 'amplitude'?",
    ]


def test_a_problem_without_a_place_is_one_line() -> None:
    assert list(as_text(Problem(message="is a directory", file="specs"))) == ["specs: is a directory"]


def test_a_warning_says_so() -> None:
    assert list(as_text(Problem(message="rounded", file="a.yaml", warning=True))) == ["warning: a.yaml: rounded"]
    assert as_github(Problem(message="rounded", file="a.yaml", warning=True)).startswith("::warning file=a.yaml,")


def test_nothing_from_the_file_reaches_the_terminal_raw() -> None:
    hostile = "\x1b]0;owned\x07\n"
    problem = Problem(message=hostile, file=hostile, line=1, column=1, path=hostile, hint=hostile, source=hostile)
    assert "\x1b" not in "".join(as_text(problem))
    assert "\n" not in "".join(as_text(problem))
    assert "\x1b" not in as_github(problem)
    assert "\n" not in as_github(problem)


def test_github_gets_an_annotation_at_the_line() -> None:
    assert as_github(PROBLEM) == (
        "::error file=specs/a%2Cb.yaml,line=12,col=9,title=sequence.operations[0]"
        "::unknown key 'amplitud'%0Ahint: did you mean 'amplitude'?"
    )


def test_json_has_every_field() -> None:
    assert as_json(PROBLEM) == {
        "file": "specs/a,b.yaml",
        "line": 12,
        "column": 9,
        "path": "sequence.operations[0]",
        "message": "unknown key 'amplitud'",
        "hint": "did you mean 'amplitude'?",
        "source": "  - {op: pulse, amplitud: 1}",
        "severity": "error",
    }
