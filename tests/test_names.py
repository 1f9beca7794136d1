"""References between the parts of a spec: owners, unknown names and names that nothing uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pcs_runner.errors import Problem
from pcs_runner.sequence.lower import lower
from pcs_runner.spec.document import parse_document
from pcs_runner.spec.expressions import FUNCTIONS
from pcs_runner.spec.names import check_names
from pcs_runner.spec.schema import validate
from pcs_runner.spec.sequences import InlineSequence

SEQUENCE = """
sequence:
  device: MockDevice
  register: {square: {side: 2, spacing: 6}}
  channels: {ch: rydberg_global}
  operations:
    - {op: pulse, duration: 1000, amplitude: omega, detuning: 0}
"""
FILE = "\nsequence: {file: afm.json}\n"


def _check(body: str, sequence: str = SEQUENCE, folder: Path = Path(), binds: Any = None) -> list[Problem]:
    text = f"version: 1\nname: test{sequence}{body}"
    document = parse_document(text.encode(), file="spec.yaml", folder=folder)
    spec = validate(document)
    uses = []
    if isinstance(spec.sequence, InlineSequence):
        uses = [(slot.path, slot.expression) for slot in lower(spec.sequence).slots()]
    return sorted(check_names(spec, document, uses, binds), key=lambda problem: (problem.line, problem.column))


def _said(body: str, **more: Any) -> list[tuple[str, str, str]]:
    return [(problem.path, problem.message, problem.hint) for problem in _check(body, **more)]


def test_a_spec_without_faults_has_no_problems() -> None:
    body = """
constants: {a: 6.0, U: interaction_coeff/a**6, margin: 0.1*pi, V: 3}
jobs:
  runs: 100*n
  sweep: {grid: {n: [1, 2], x: {linspace: {start: V, stop: 2*V, num: 3}}, a: [5, a]}}
  let: {y: x + margin*U, omega: "min(y, 3)"}
  where: y < 10
"""
    assert _check(body) == []


def test_an_unknown_name_is_located_inside_its_text_with_the_nearest_one() -> None:
    body = """
jobs:
  runs: 100
  sweep: {grid: {omega_max: [1, 2]}}
  let:
    omega: 2*pi*omega_mx + zz
"""
    problems = _check(body)
    assert [(p.line, p.column, p.path, p.message, p.hint) for p in problems] == [
        (14, 17, "jobs.let.omega", 'unknown name "omega_mx"', 'did you mean "omega_max"?'),
        (14, 28, "jobs.let.omega", 'unknown name "zz"', "bind it in constants, in sweep or in let"),
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(
            "constants: {b: a + 1, a: 1, omega: b, d: d}\njobs: {runs: a}",
            [
                ("constants.b", '"a" is defined later', 'constants are computed in order: move "a" before "b"'),
                ("constants.d", '"d" is defined by itself', ""),
            ],
            id="constants in order",
        ),
        pytest.param(
            "jobs: {runs: x, let: {omega: x + 1, x: 2}}",
            [("jobs.let.omega", '"x" is defined later', 'let are computed in order: move "x" before "omega"')],
            id="let in order",
        ),
        pytest.param(
            "jobs: {runs: 1, sweep: {grid: {x: [1], omega: {linspace: {start: x, stop: 2}}}}}",
            [
                (
                    "jobs.sweep.grid.omega.linspace.start",
                    'an axis is computed from constants only, and "x" is an axis',
                    "use let for what depends on the point",
                )
            ],
            id="axis from axis",
        ),
        pytest.param(
            "constants: {a: 1, U: 2*a}\njobs: {runs: 1, sweep: {grid: {a: [a, 2], omega: [U, 1]}}}",
            [
                (
                    "jobs.sweep.grid.omega[0]",
                    'an axis is computed from constants only, and "U" changes with the axis "a"',
                    "use let for what depends on the point",
                )
            ],
            id="axis from a constant that another axis changes",
        ),
        pytest.param(
            "constants: {sin: 1, grid: 2, variant: 3, omega: 4}\n"
            "jobs: {runs: 1, sweep: {grid: {pi: [1], qubits: [[0, 1]]}}, let: {and: 1}}",
            [
                ("constants.sin", 'a constant cannot be called "sin", which is a function', "call it otherwise"),
                ("constants.grid", 'a constant cannot be called "grid", which is a kind of sweep', "call it otherwise"),
                (
                    "constants.variant",
                    'a constant cannot be called "variant", which is a name that only an axis binds',
                    "call it otherwise",
                ),
                ("jobs.sweep.grid.pi", 'an axis cannot be called "pi", which is a predefined name', "call it otherwise"),
                ("jobs.let.and", 'a let cannot be called "and", which is a word of the language', "call it otherwise"),
            ],
            id="reserved",
        ),
        pytest.param(
            "constants: {a: 1}\njobs: {runs: a + x, sweep: {grid: {x: [1]}}, let: {x: 2, a: 3, omega: 1}}",
            [
                ("jobs.let.x", '"x" is an axis of this group already', "call one of them otherwise"),
                ("jobs.let.a", '"a" is a constant already', "call it otherwise; only an axis overrides a constant"),
            ],
            id="two owners",
        ),
        pytest.param(
            "constants: {c: 1}\njobs: {runs: 1, sweep: {grid: {x: [1], omega: [2]}}, let: {y: omega}}",
            [
                ("constants.c", 'nothing uses the constant "c"', "use it in the sequence, or remove it"),
                ("jobs.sweep.grid.x", 'nothing uses the axis "x"', "use it in the sequence, or remove it"),
                ("jobs.let.y", 'nothing uses "y"', "use it in the sequence, or remove it"),
            ],
            id="unused",
        ),
        pytest.param(
            "constants: {omga: 1}\njobs: {runs: 1}",
            [("sequence.operations[0].amplitude", 'unknown name "omega"', 'did you mean "omga"?')],
            id="one slip is one problem",
        ),
        pytest.param(
            "jobs:\n  - {runs: 1, let: {omega: 1}}\n  - {runs: 1, sweep: {grid: {x: [1]}}, where: x}\n",
            [
                (
                    "sequence.operations[0].amplitude",
                    '"omega" is not bound in jobs[1]',
                    "bind it there in sweep or let, or in constants",
                )
            ],
            id="bound in some groups only",
        ),
        pytest.param(
            "constants: {c: 1 +, d: 2}\njobs: {runs: 2 MHz, let: {omega: [sine(d), c]}}\n",
            [
                ("constants.c", 'the expression ends too early in "1 +"', ""),
                (
                    "jobs.runs",
                    'a number cannot carry a unit: 2 MHz in "2 MHz"',
                    "write 2*pi*2: units are fixed (ns, µm, rad/µs, rad)",
                ),
                (
                    "jobs.let.omega[0]",
                    f'"sine" is not a function: only these functions can be called: {" ".join(FUNCTIONS)} in "sine(d)"',
                    'did you mean "sin"?',
                ),
            ],
            id="texts that do not parse use their words",
        ),
        pytest.param(
            "jobs: {runs: 1, let: {omega: 1}}\ntargets: {qpu: {backend: pcs, runs: 2*shots}}\n",
            [("targets.qpu.runs", 'unknown name "shots"', "bind it in constants, in sweep or in let")],
            id="runs of a target",
        ),
        pytest.param(
            "jobs: {runs: 1, sweep: {random: {samples: n, variables: {omega: {uniform: {high: hi}}}}}}\n",
            [
                ("jobs.sweep.random.samples", 'unknown name "n"', "bind it in constants, in sweep or in let"),
                (
                    "jobs.sweep.random.variables.omega.uniform.high",
                    'unknown name "hi"',
                    "bind it in constants, in sweep or in let",
                ),
            ],
            id="random",
        ),
    ],
)
def test_a_reference_that_does_not_fit_is_said(body: str, said: list[tuple[str, str, str]]) -> None:
    assert _said(body) == said


def test_an_unused_name_is_shown_at_its_key() -> None:
    (problem,) = _check("constants: {omega: 1, other: 2}\njobs: {runs: 1}\n")
    assert (problem.line, problem.column) == (9, 23)


def test_declared_variables_must_be_bound_and_are_used() -> None:
    sequence = SEQUENCE.replace("operations:", "variables: {omega: float, detning: float}\n  operations:")
    said = _said("jobs: {runs: 1, sweep: {grid: {omega: [1], detuning: [2]}}}", sequence=sequence)
    assert said == [
        ("sequence.variables.detning", 'nothing binds the sequence\'s variable "detning"', 'did you mean "detuning"?')
    ]
    assert _said("jobs: {runs: 1, sweep: {grid: {omega: [1], detning: [2]}}}", sequence=sequence) == []


def test_variables_of_a_file_must_be_bound_in_every_group() -> None:
    body = "jobs:\n  - {runs: 1, let: {t: 1, omega: 2}}\n  - {runs: 1, let: {t: 1, x: 3}}\n"
    assert _said(body, sequence=FILE, binds={"t": {}, "omega": {}}) == [
        (
            "sequence.file",
            'nothing binds the sequence\'s variable "omega" in jobs[1]',
            "bind it in sweep or let, or in constants",
        ),
        ("jobs[1].let.x", 'nothing uses "x"', "use it in the sequence, or remove it"),
    ]


def test_columns_of_a_file_are_axes(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("omega,x\n1,2\n")
    assert _said("jobs: {runs: x, sweep: {file: p.csv}}", folder=tmp_path) == []
    assert _said("jobs: {runs: 1, sweep: {file: p.csv}}", folder=tmp_path) == [
        ("jobs.sweep.file", 'nothing uses the axis "x"', "use it in the sequence, or remove it")
    ]
    ((path, message, _),) = _said("jobs: {runs: x, sweep: {file: q.csv}, where: y > 1}", folder=tmp_path)
    assert (path, message) == ("jobs.sweep.file", "q.csv: no such file")


def test_a_variant_is_a_word() -> None:
    body = "jobs: {runs: 1, sweep: {grid: {variant: [dark, bright], omega: [1]}}, where: variant > 0}\n"
    assert _said(body) == [
        ("jobs.sweep.grid.variant", "the spec has no variants", "add `variants:`"),
        ("jobs.where", '"variant" is a word, not a number', "it chooses the variant of the sequence"),
    ]
