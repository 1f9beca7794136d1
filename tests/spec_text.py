"""Small specs as text, their plans, and a comparison of Pulser sequences by what each atom sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pulser
from pulser.sampler import sample

import pcs_runner

if TYPE_CHECKING:
    from pathlib import Path

    from pcs_runner.plan import Plan

ONE_ATOM = "{from_coordinates: {coords: [[0, 0]]}}"
TWO_ATOMS = "{q0: [0, 0], q1: [6, 0]}"


def spec_text(
    *operations: str,
    jobs: str = "{runs: 10}",
    constants: str = "{}",
    register: str = ONE_ATOM,
    device: str = "MockDevice",
    channels: str = "{ising: rydberg_global}",
    more: str = "",
    top: str = "",
) -> str:
    """An inline spec; each operation in YAML without its `- `, `more` inside the sequence, `top` at the end."""
    lines = "".join(f"    - {operation}\n" for operation in operations)
    return (
        f"version: 1\nname: a\nconstants: {constants}\nsequence:\n  device: {device}\n  register: {register}\n"
        f"  channels: {channels}\n{more}  operations:\n{lines}jobs: {jobs}\n{top}"
    )


def planned(folder: Path, text: str, target: str | None = None, *, check: bool = True) -> Plan:
    """The plan of a spec."""
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    plan: Plan = pcs_runner.plan(path, target, check=check)
    return plan


def built(plan: Plan, index: int = 0) -> Any:
    """The built `pulser.Sequence` of a job."""
    return pulser.Sequence.from_abstract_repr(plan.built_sequence(next(plan.jobs(index))))


def assert_same(made: Any, expected: Any) -> None:
    """Assert that two built sequences have the same atoms at the same places, channels, samples and measurement."""
    assert made.register.qubit_ids == expected.register.qubit_ids
    for name, place in made.register.qubits.items():
        np.testing.assert_allclose(place.as_array(), expected.register.qubits[name].as_array(), atol=1e-9)
    assert made.is_measured() == expected.is_measured()
    assert {name: channel.addressing for name, channel in made.declared_channels.items()} == {
        name: channel.addressing for name, channel in expected.declared_channels.items()
    }
    ours, theirs = sample(made).to_nested_dict(all_local=True), sample(expected).to_nested_dict(all_local=True)
    _assert_equal(ours, theirs)


def _assert_equal(ours: Any, theirs: Any) -> None:
    if isinstance(ours, dict):
        assert set(ours) == set(theirs)
        for key in ours:
            _assert_equal(ours[key], theirs[key])
    else:
        np.testing.assert_allclose(np.asarray(ours, float), np.asarray(theirs, float), rtol=1e-9, atol=1e-9)
