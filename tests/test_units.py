"""Units of names, from where they are used."""

from __future__ import annotations

import pytest

from pcs_runner.spec.units import units_of

OPERATIONS = [
    {"op": "pulse", "duration": "t", "amplitude": {"kind": "ramp", "start": 0, "stop": "om"}, "detuning": "d[0] - shift"},
    {"op": "pulse", "duration": "max(t2, 16)", "amplitude": {"kind": "blackman", "area": "theta"}, "phase": "-phi"},
    {"op": "delay", "time": "scaled*1000"},
    {
        "op": "pulse",
        "duration": 100,
        "amplitude": "2*pi*f",
        "detuning": {"kind": "interpolated", "values": ["v", 0], "times": "s"},
    },
]


def test_a_name_has_the_unit_of_its_place() -> None:
    register = {"rectangle": {"rows": "n", "spacing": "a"}}
    assert units_of([{"register": register, "operations": OPERATIONS}]) == {
        "t": "ns",
        "t2": "ns",
        "om": "rad/µs",
        "d": "rad/µs",
        "shift": "rad/µs",
        "v": "rad/µs",
        "theta": "rad",
        "phi": "rad",
        "a": "µm",
    }


@pytest.mark.parametrize(
    "register", [{"q0": ["x0", 0]}, {"from_coordinates": {"coords": [["x0", 0]]}}, [{"name": "q0", "x": "x0"}]]
)
def test_coordinates_are_lengths(register: object) -> None:
    assert units_of([{"register": register}]) == {"x0": "µm"}


def test_units_go_back_through_what_is_computed() -> None:
    computed = [{"rise": "t", "half": "t/2", "delta": ["low", "high"]}]
    operations = [{"duration": "rise", "detuning": {"kind": "ramp", "start": "delta[0]", "stop": 0}}, {"duration": "half"}]
    found = units_of([{"operations": operations}], computed)
    assert found == {"rise": "ns", "half": "ns", "t": "ns", "delta": "rad/µs", "low": "rad/µs", "high": "rad/µs"}


def test_a_name_with_two_units_has_none() -> None:
    assert units_of([{"operations": [{"duration": "x", "amplitude": "x", "detuning": "y"}]}]) == {"y": "rad/µs"}


def test_pulsers_own_trees_are_read() -> None:
    tree = {"expression": "index", "lhs": {"variable": "om"}, "rhs": 0}
    assert units_of([{"operations": [{"amplitude": {"kind": "constant", "value": tree}}]}]) == {"om": "rad/µs"}
