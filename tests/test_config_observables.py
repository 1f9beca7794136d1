"""Every observable of a config at its evaluation times, in the records of both local engines, equal to QuTiP's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pulser import Sequence
from pulser.backend import CorrelationMatrix, Energy, EnergySecondMoment, EnergyVariance, Expectation, Fidelity, Occupation
from pulser_simulation import QutipBackendV2, QutipConfig, QutipOperator, QutipState

import pcs_runner

if TYPE_CHECKING:
    from pathlib import Path

EIGENSTATES: Any = ("r", "g")
ONE_EXCITED = {"rg": 1.0}
NUMBER_OF_FIRST = [(1.0, [({"rr": 1.0}, [0])])]

SPEC = """
version: 1
name: observed
sequence:
  device: MockDevice
  register: {q0: [0, 0], q1: [7, 0]}
  channels: {ising: rydberg_global}
  operations:
    - {op: pulse, duration: 400, amplitude: omega, detuning: {kind: ramp, start: -2, stop: 3}}
jobs: {runs: 50, sweep: {grid: {omega: [4, 6]}}}
config:
  evaluation_times: [0.25, 1.0]
%s  observables:
    - {observable: occupation}
    - {observable: correlation_matrix, evaluation_times: [0.5]}
    - {observable: energy, tag_suffix: total}
    - {observable: energy_variance}
    - {observable: energy_second_moment}
    - {observable: bitstrings, evaluation_times: [0.5, 1.0], num_shots: 30}
    - %s
    - %s
targets:
  qutip: {backend: local, engine: qutip, workers: 1}
  batched: {backend: local, engine: batched, workers: 1}
"""


def printed(*observables: Any, **options: Any) -> dict[str, Any]:
    """A config as Pulser prints it."""
    body: dict[str, Any] = json.loads(QutipConfig(observables=observables, **options).to_abstract_repr())
    return body


def states_and_operators() -> tuple[Any, Any, Any]:
    """An initial state, a fidelity and an expectation value."""
    start = QutipState.from_state_amplitudes(eigenstates=EIGENSTATES, amplitudes={"gr": 1.0})
    target = QutipState.from_state_amplitudes(eigenstates=EIGENSTATES, amplitudes=ONE_EXCITED)
    number: Any = QutipOperator.from_operator_repr(eigenstates=EIGENSTATES, n_qudits=2, operations=NUMBER_OF_FIRST)
    return start, Fidelity(target, evaluation_times=[1.0]), Expectation(number)


@pytest.mark.parametrize("engine", ["qutip", "batched"])
def test_every_observable_arrives_in_the_records_at_its_times(tmp_path: Path, engine: str) -> None:
    start, fidelity, expectation = states_and_operators()
    body = printed(fidelity, expectation, initial_state=start)
    path = tmp_path / "a.yaml"
    initial = f"  initial_state: {json.dumps(body['initial_state'])}\n" if engine == "qutip" else ""
    path.write_text(SPEC % (initial, *map(json.dumps, body["observables"])), encoding="utf-8")
    plan = pcs_runner.plan(path, engine)
    run = pcs_runner.run(plan, output=tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record.observables for record in run.records] == [line["observables"] for line in lines]
    for job, line in zip(plan.jobs(), lines, strict=True):
        sequence = Sequence.from_abstract_repr(plan.sequence(job.sequence)).build(**job.variables)
        _assert_as_pulser(line["observables"], sequence, {"initial_state": start} if initial else {})


def _assert_as_pulser(found: dict[str, Any], sequence: Any, options: dict[str, Any]) -> None:
    _, fidelity, expectation = states_and_operators()
    config = QutipConfig(
        default_evaluation_times=[0.25, 1.0],
        **options,
        observables=[
            Occupation(),
            CorrelationMatrix(evaluation_times=[0.5]),
            Energy(tag_suffix="total"),
            EnergyVariance(),
            EnergySecondMoment(),
            fidelity,
            expectation,
        ],
    )
    results = QutipBackendV2(sequence, config=config).run()
    assert set(found) == {*results.get_result_tags(), "bitstrings"}
    for tag in results.get_result_tags():
        assert found[tag]["times"] == results.get_result_times(tag), tag
        values = [np.asarray(value, dtype=complex).real for value in getattr(results, tag)]
        np.testing.assert_allclose(np.asarray(found[tag]["values"], dtype=float), values, atol=2e-3, rtol=2e-3, err_msg=tag)
    assert found["bitstrings"]["times"] == [0.5, 1.0]
    assert all({len(bits) for bits in counts} == {2} for counts in found["bitstrings"]["values"])
