"""Whatever becomes of a spec, on the way from a typist to the runner: it is valid, or its problems are told; nothing else."""

from __future__ import annotations

import copy
import json
import time
import warnings
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pcs_runner
from pcs_runner.errors import Problem, SpecError
from pcs_runner.spec.document import parse_document
from pcs_runner.spec.schema import validate

FOLDER = Path(__file__).resolve().parent / "specs-v1"
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.yaml"))}
SMALL = [name for name, text in TEXTS.items() if len(text) < 3000 and "file:" not in text]
DATA = {name: parse_document(TEXTS[name].encode(), file=name, folder=FOLDER).data for name in SMALL}
LONGEST_S = 2.0

SCALARS = [
    None,
    True,
    0,
    -1,
    1.5,
    1e300,
    10**30,
    "",
    "x",
    "omega",
    "2*pi",
    "1/0",
    "t[0]",
    "min(",
    "q0",
    "pulse",
    "ramp",
    "µ",
    "a b",
]
COLLECTIONS: list[Any] = [
    [],
    [1],
    [[]],
    ["t", None],
    {},
    {"a": 1},
    {"expression": "mul", "lhs": 1},
    {"variable": "t"},
    {"kind": "ramp"},
]

Path_ = tuple[str | int, ...]


def paths(data: Any, start: Path_ = ()) -> list[Path_]:
    """The path of everything below."""
    steps = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path for step, value in steps for path in ((*start, step), *paths(value, (*start, step)))]


def at(data: Any, path: Path_) -> Any:
    for step in path:
        data = data[step]
    return data


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A real spec of which one to three things were dropped, replaced, renamed, doubled or exchanged."""
    data: dict[str, Any] = copy.deepcopy(DATA[draw(st.sampled_from(SMALL))])
    for _ in range(draw(st.integers(1, 3))):
        places = paths(data)
        path = draw(st.sampled_from(places))
        parent, last = at(data, path[:-1]), path[-1]
        kind = draw(st.sampled_from(["drop", "value", "value", "value", "rename", "double", "exchange"]))
        if kind == "drop":
            del parent[last]
        elif kind == "value":
            parent[last] = copy.deepcopy(draw(st.sampled_from([*SCALARS, *COLLECTIONS])))
        elif kind == "exchange":
            parent[last] = copy.deepcopy(at(data, draw(st.sampled_from(places))))
        elif isinstance(parent, list):
            parent.append(copy.deepcopy(parent[-1]))
        else:
            parent[draw(st.sampled_from(["x", "omega", "duration", "kind", "file", "sweep", f"{last}s"]))] = parent[last]
            if kind == "rename":
                del parent[last]
    return data


def problems_of(path: Path) -> list[Problem]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(pcs_runner.validate(path))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(mutated())
def test_a_mutated_spec_is_valid_or_its_problems_are_told(tmp_path: Path, data: dict[str, Any]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
    for problem in problems_of(path):
        assert problem.message
        assert problem.line >= 1
        assert problem.column >= 1


def refusal(text: str) -> tuple[Problem, ...]:
    """The problems of a text up to the schema; none when it is valid."""
    try:
        validate(parse_document(text.encode(), file="a.yaml", folder=FOLDER))
    except SpecError as error:
        return error.problems
    return ()


EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from([*"\t\n\"'{}[]:,#&*!|>%@-?0.", "\n  ", ": ", "- ", "é"]))
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(TEXTS)), EDITS)
def test_edited_text_is_read_or_refused_with_its_place_in_two_seconds(name: str, edits: list[tuple[float, int, str]]) -> None:
    text = TEXTS[name]
    for place, length, new in edits:
        start = int(place * len(text))
        text = text[:start] + new + text[start + length :]
    start_s = time.process_time()
    found = refusal(text)
    assert time.process_time() - start_s < LONGEST_S
    for problem in found:
        assert 1 <= problem.line <= text.count("\n") + 1
        assert problem.column >= 1


def test_many_specs_are_mutated() -> None:
    assert len(SMALL) >= 15


def test_constants_that_are_no_mapping_below_those_of_a_variant(tmp_path: Path) -> None:
    """Found by the mutations: what is said beside a problem of the schema looked at the data as they were."""
    data = DATA["gallery-spectrum.yaml"] | {"constants": "x"}
    path = tmp_path / "a.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert 'constants: expected a mapping, got the text "x"' in [f"{one.path}: {one.message}" for one in problems_of(path)]
