"""Editors: the schema completes, explains and checks specs in the real YAML language server, as the runner would."""

from __future__ import annotations

import contextlib
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from language_server import LanguageServer, language_server
from pcs_runner.errors import SpecError
from pcs_runner.spec.document import load_document
from pcs_runner.spec.schema import schema_text, validate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.spec.document import Document

ROOT = Path(__file__).resolve().parent.parent
SPECS = ROOT / "specs"
VALID = sorted([*SPECS.glob("*.yaml"), *(SPECS / "gallery").glob("*.yaml")])
MODELINE = "# yaml-language-server: $schema=../schemas/pcs-spec.schema.json\n"
HEAD = f"""\
{MODELINE}version: 1
name: typed
jobs: {{runs: 1}}
sequence:
  device: AnalogDevice
  register: {{square: {{side: 2, spacing: 6}}}}
  channels: {{ising: rydberg_global}}
  operations:
"""
TAIL_LINE = HEAD.count("\n")

Place = tuple[int, int]
files = (SPECS / f"typed-{number}.yaml" for number in itertools.count())
"""Names of documents that are only typed, each used once."""


@pytest.fixture(scope="module")
def server() -> Iterator[LanguageServer]:
    with language_server(ROOT) as started:
        yield started


def typed(server: LanguageServer, method: str, operations: str) -> Any:
    """What `completion` or `hover` answers where `|` stands in the operations of a spec."""
    before, after = (HEAD + operations).split("|")
    path = next(files)
    server.diagnostics(path, before + after)
    return server.at(method, path, (before.count("\n"), len(before) - before.rfind("\n") - 1))


def words(definition: str, tag: str) -> set[str]:
    """The values that a tag may have, from the schema."""
    return set(json.loads(schema_text())["$defs"][definition]["properties"][tag]["enum"])


def place(diagnostic: dict[str, Any]) -> Place:
    start = diagnostic["range"]["start"]
    return start["line"], start["character"]


def places(document: Document) -> set[Place]:
    """Where the runner's schema check points, but for keys that are missing or one too many."""
    try:
        validate(document)
    except SpecError as error:
        told = [problem for problem in error.problems if not problem.message.startswith(("missing key", "only one of"))]
        return {(problem.line, problem.column - 1) for problem in told}  # 0-based, below one more line
    return set()


@pytest.mark.parametrize(
    ("operations", "definition", "tag"),
    [
        ("    - {op: |}\n", "Operation", "op"),
        ("    - op: |\n", "Operation", "op"),
        ("    - {op: pulse, amplitude: {kind: |}}\n", "WaveformObject", "kind"),
        ("    - op: pulse\n      detuning:\n        kind: |\n", "WaveformObject", "kind"),
        ("    - {op: add_dmm_detuning, waveform: {kind: |}}\n", "WaveformObject", "kind"),
        ("    - {op: repeat, repeats: 2, operations: [{op: |}]}\n", "Operation", "op"),
    ],
)
def test_values_of_a_tag_are_completed(server: LanguageServer, operations: str, definition: str, tag: str) -> None:
    assert {item["label"] for item in typed(server, "completion", operations)["items"]} == words(definition, tag)


def test_keys_of_an_operation_are_completed_and_explained(server: LanguageServer) -> None:
    items = {item["label"]: item for item in typed(server, "completion", "    - op: pulse\n      |\n")["items"]}
    for name in ("channel", "duration", "amplitude", "detuning", "phase", "post_phase_shift", "protocol"):
        assert items[name]["documentation"]
    assert "Phase shift right after the pulse (rad)." in str(items["post_phase_shift"]["documentation"])
    assert not {"op", "targets", "repeats"} & items.keys()


@pytest.mark.parametrize(
    ("operations", "explained"),
    [
        ("    - {op: pulse, duration: 100, amplitude: 1, post_ph|ase_shift: 0}\n", "Phase shift right after the pulse (rad)."),
        ("    - op: pulse\n      amplitude: 1\n      |post_phase_shift: 0\n", "Phase shift right after the pulse (rad)."),
        ("    - {op: pulse, dur|ation: 100, amplitude: 1}\n", "Duration in ns"),
        ("    - {op: pulse, duration: 100, amplitude: {kind: ramp, sta|rt: 0, stop: 1}}\n", "rad/µs"),
        ("    - {op: pulse, duration: 100, amplitude: {kind: ra|mp, start: 0, stop: 1}}\n", "`blackman_max`"),
    ],
)
def test_a_key_is_explained_with_its_unit(server: LanguageServer, operations: str, explained: str) -> None:
    assert explained in typed(server, "hover", operations)["contents"]["value"]


@pytest.mark.parametrize(
    ("operations", "wrong", "message"),
    [
        ("    - {op: puls, amplitude: 1}\n", "puls", "Value is not accepted. Valid values: "),
        ("    - {op: pulse, amplitude: 1, duratin: 3}\n", "duratin", "Property duratin is not allowed."),
        ("    - {op: pulse, amplitude: {kind: rmp}}\n", "rmp", "Value is not accepted. Valid values: "),
        ("    - {op: pulse, amplitude: {kind: ramp, start: 0, stop: 1, end: 2}}\n", "end", "Property end is not allowed."),
        ("    - {op: pulse, amplitude: true}\n", "true", "Incorrect type."),
        ("    - {op: delay, time: []}\n", "[]", "Incorrect type."),
        ("    - {op: target, channel: a, target: q0, phase: 1}\n", "phase", "Property phase is not allowed."),
        ("    - {op: pulse, amplitude: 1}\nbatch: {chunk: 0}\n", "0}\n", "Value is below the minimum of 1."),
    ],
)
def test_a_mistake_is_underlined_where_it_stands(server: LanguageServer, operations: str, wrong: str, message: str) -> None:
    (found,) = server.diagnostics(next(files), HEAD + operations)
    before = operations[: operations.index(wrong)]
    assert place(found) == (TAIL_LINE + before.count("\n"), len(before) - before.rfind("\n") - 1)
    assert found["message"].startswith(message)


@pytest.mark.parametrize("path", VALID, ids=lambda path: str(path.relative_to(SPECS)))
def test_a_valid_spec_has_no_error_but_the_one_that_is_added(server: LanguageServer, path: Path) -> None:
    """The added key shows that its first line leads to the schema."""
    text = path.read_text(encoding="utf-8")
    (found,) = server.diagnostics(path, text + "\nunknown_key: 1\n")
    assert found["message"] == "Property unknown_key is not allowed."
    assert place(found) == (text.count("\n") + 1, 0)


def test_editor_and_runner_point_at_the_same_places(server: LanguageServer) -> None:
    """But for missing keys (a misspelt one is one problem to us, two to an editor) and for one too many of a kind."""
    documents = {}
    for path in sorted((SPECS / "invalid").glob("*.yaml")):
        with contextlib.suppress(SpecError):  # no YAML that we read
            documents[path] = load_document(path)
            server.open(path, MODELINE.replace("../", "../../") + documents[path].data_bytes.decode())
    expected = {path: places(document) for path, document in documents.items()}
    told = {path: server.found(path) for path in documents}
    besides = ("Missing property", "Matches multiple schemas")
    assert {
        path: {place(one) for one in found if not one["message"].startswith(besides)} for path, found in told.items()
    } == expected
    assert sum(map(bool, expected.values())) >= 30
