"""A plan as text: everything of the summary, units stated, nothing raw."""

from __future__ import annotations

from typing import Any

from pcs_runner.cli.plan import plan_lines
from pcs_runner.errors import Problem

SUMMARY: dict[str, Any] = {
    "name": "blockade",
    "spec": "blockade.yaml",
    "target": "qpu",
    "backend": "pcs",
    "device": "FRESNEL",
    "device_type": "FRESNEL_CAN1",
    "engine": None,
    "points": 120,
    "dropped": 20,
    "jobs": 100,
    "runs": 20000,
    "atoms": [1, 2],
    "duration_ns": [16, 2000],
    "names": {"t": "sequence variable (int)", "spacing": "a sequence for each value"},
    "sequence_count": 60,
    "sequences": [
        {"id": "9f3c1a2b", "atoms": 2, "jobs": 1, "values": {"spacing": "5.5"}},
        {"id": "00000000", "atoms": 1, "jobs": 99, "values": {"spacing": "6\x1b[m"}},
    ],
    "travel": "each job carries its built sequence",
    "limits": {"max_runs": None, "min_atom_distance": 5.0, "ising": {"max_amp": 12.566370614359172}},
    "cost": {"credits": None, "text": "unknown"},
    "digest": "ab" * 32,
}


def test_everything_is_said_and_nothing_is_raw() -> None:
    warning = Problem(message="rounded to 20 ns", file="blockade.yaml", warning=True)
    assert list(plan_lines(SUMMARY, [warning])) == [
        "plan       blockade on target qpu (pcs, device type FRESNEL_CAN1)",
        "points     120, 20 dropped by where",
        "jobs       100",
        "runs       20000 in all",
        "atoms      1..2",
        "duration   16..2000 ns",
        "sequences  60, each job carries its built sequence",
        "  9f3c1a2b  2 atoms  1 job  spacing = 5.5",
        "  00000000  1 atom  99 jobs  spacing = 6\\x1b[m",
        "  ... and 58 more",
        "names      t        sequence variable (int)",
        "           spacing  a sequence for each value",
        "device     FRESNEL: max_runs unknown, min_atom_distance 5 µm",
        "channels   ising  max_amp 12.5664 rad/µs",
        "cost       unknown",
        f"digest     {'ab' * 32}",
        "warning: blockade.yaml: rounded to 20 ns",
    ]


def test_one_sequence_needs_no_list_and_the_unknown_says_so() -> None:
    lines = list(plan_lines({**SUMMARY, "sequence_count": 1, "jobs": None, "duration_ns": None, "names": {}, "limits": {}}))
    assert "  9f3c1a2b  2 atoms  1 job  spacing = 5.5" not in lines
    assert "jobs       unknown" in lines
    assert "duration   unknown" in lines
    assert "device     FRESNEL" in lines
