"""A refusal of Pulser is brought home: to the operation, the value and the limit, whatever kind of sequence it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.sequence.build import build, load_sequence
from pcs_runner.sequence.diagnose import diagnose
from pcs_runner.spec.document import path_text
from spec_text import TWO_ATOMS, planned, spec_text

if TYPE_CHECKING:
    from pathlib import Path

PULSE = "{op: pulse, duration: 100, amplitude: 1}"
LIMITED = {"device": "DigitalAnalogDevice", "register": TWO_ATOMS}
TOO_CLOSE = "a and b are 1 µm apart, DigitalAnalogDevice asks for 4 µm"
STRONG = "amplitude reaches 20 rad/µs, rydberg_global of DigitalAnalogDevice allows 15.708"


def found(text: str, variables: dict[str, Any]) -> tuple[str, str]:
    """Path and message for what Pulser refuses at a point."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - Pulser's exceptions have no common ancestor
        build(load_sequence(text), variables)
    one = diagnose(text, variables, caught.value)
    return path_text(one.path), one.message


@pytest.mark.parametrize("before", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("after", [0, 3])
def test_the_first_operation_that_fails_is_found_among_many(tmp_path: Path, before: int, after: int) -> None:
    operations = [PULSE] * before + ["{op: pulse, duration: 100, amplitude: x}"] + [PULSE] * after
    text = spec_text(*operations, **LIMITED, jobs="{runs: 1, sweep: {grid: {x: [1]}}}")
    plan = planned(tmp_path, text)
    sequence = plan.sequence(plan.sequence_ids[0])
    assert found(sequence, {"x": 20.0}) == (f"sequence.operations[{before}].amplitude", STRONG)


@pytest.mark.parametrize(
    ("operation", "path", "message"),
    [
        ("{op: pulse, duration: 100, amplitude: {kind: ramp, start: 0, stop: 2*x}}", "amplitude", STRONG),
        (
            "{op: pulse, duration: 100, amplitude: 1, detuning: {kind: ramp, start: 0, stop: -20*x}}",
            "detuning",
            "detuning reaches 200 rad/µs, rydberg_global of DigitalAnalogDevice allows 125.664",
        ),
        (
            "{op: pulse_arbitrary_phase, duration: 100, amplitude: 2*x, phase: 0}",
            "amplitude",
            STRONG,
        ),
        (
            "{op: pulse, duration: 100, amplitude: -x}",
            "amplitude",
            "amplitude falls to -10 rad/µs, and must not be negative",
        ),
        (
            "{op: pulse, duration: x, amplitude: 1}",
            "amplitude.duration",
            "10 ns, rydberg_global of DigitalAnalogDevice asks for at least 16 ns",
        ),
        (
            "{op: pulse, duration: x - 20, amplitude: 1}",
            "amplitude.duration",
            "-10 ns, and a duration must be positive",
        ),
    ],
)
def test_value_and_limit_are_told_where_they_can_be_measured(tmp_path: Path, operation: str, path: str, message: str) -> None:
    jobs = "{runs: 1, sweep: {grid: {x: [10]}}}"
    plan = planned(tmp_path, spec_text(PULSE, operation, **LIMITED, jobs=jobs), check=False)
    where, said = found(plan.sequence(plan.sequence_ids[0]), dict(next(plan.jobs()).variables))
    assert where == ("sequence.operations[1]." + path).removesuffix(".")
    assert said == message


def body(tmp_path: Path) -> dict[str, Any]:
    plan = planned(tmp_path, spec_text(PULSE, **LIMITED))
    made: dict[str, Any] = json.loads(plan.sequence(plan.sequence_ids[0]))
    return made


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"channels": {"ising": "rydberg_global", "x": "none"}},
            (
                "sequence.channels.x",
                "No channel none in the device, DigitalAnalogDevice has rydberg_global, rydberg_local, raman_local",
            ),
        ),
        (
            {"register": [{"name": "a", "x": 0, "y": 0}, {"name": "b", "x": 1, "y": 0}]},
            (
                "sequence.register",
                TOO_CLOSE,
            ),
        ),
        ({"measurement": "XY"}, ("sequence.measurement", None)),
        ({"slm_mask_targets": ["nobody"]}, ("sequence.slm_mask_targets", None)),
    ],
)
def test_what_is_refused_before_or_after_the_operations_has_its_place_too(
    tmp_path: Path, changes: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    where, said = found(json.dumps(body(tmp_path) | changes), {})
    assert where == expected[0]
    assert expected[1] in (None, said)
    assert said.strip() == said
    assert not said.endswith(".")
