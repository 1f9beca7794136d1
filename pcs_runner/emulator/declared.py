"""What a sequence in abstract representation declares: its variables, its register, its device. Reads JSON, never Pulser."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pcs_runner.pcs.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What the rules need to know of a sequence.

    Attributes:
        variables: Name -> (type, `int` or `float`; size).
        mappable: Whether the traps have to come as `variables["qubits"]`.
        device_name: Name of its device.
        device: The device in abstract representation (a JSON string), or None when it is only named.
        max_runs: Most runs the device takes, or None.
    """

    variables: Mapping[str, tuple[str, int]]
    mappable: bool
    device_name: str
    device: str | None
    max_runs: int | None


@lru_cache(maxsize=256)
def read_declared(text: str) -> Declared:
    """Read a sequence's declarations, once for each distinct text.

    Raises:
        RefusedError: It is not a sequence in Pulser's abstract representation.
    """
    try:
        body = json.loads(text)
        device = body["device"]
        named = isinstance(device, str)
        return Declared(
            variables={name: (item["type"], len(item["value"])) for name, item in body["variables"].items()},
            mappable=any("qid" in atom and "x" not in atom for atom in body["register"]),
            device_name=device if named else device["name"],
            device=None if named else json.dumps(device),
            max_runs=None if named else device.get("max_runs"),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RefusedError(
            f"the sequence is not Pulser's abstract representation ({type(error).__name__}: {error})",
            status=400,
            code="INVALID_SEQUENCE",
            hint="Send Sequence.to_abstract_repr().",
        ) from error


def variables_problem(declared: Declared, variables: Mapping[str, Any]) -> str | None:
    """What is wrong with the values of a job, or None."""
    given = set(variables) - {"qubits"}
    if missing := sorted(set(declared.variables) - given):
        return f"variables {', '.join(missing)} have no value"
    if unknown := sorted(given - set(declared.variables)):
        return f"the sequence has no variables {', '.join(unknown)}; it has {', '.join(declared.variables) or 'none'}"
    for name, (kind, size) in declared.variables.items():
        if problem := _value_problem(variables[name], kind, size):
            return f"variable {name} {problem}"
    return _qubits_problem(declared.mappable, variables)


def _value_problem(value: Any, kind: str, size: int) -> str | None:
    items = value if isinstance(value, list | tuple) else [value]
    if len(items) != size:
        return f"has {len(items)} values, the sequence declares {size}"
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | float) or not math.isfinite(item):
            return f"is {item!r:.50}, not a finite number"
        if kind == "int" and item != int(item):
            return f"is {item!r}, the sequence declares an integer"
    return None


def _qubits_problem(mappable: bool, variables: Mapping[str, Any]) -> str | None:
    if not mappable:
        return "qubits are given, but the register is not mappable" if "qubits" in variables else None
    qubits = variables.get("qubits")
    if not isinstance(qubits, dict) or not qubits:
        return "the register is mappable: the traps must come as variables['qubits'], a mapping of atom to trap"
    wrong = [atom for atom, trap in qubits.items() if isinstance(trap, bool) or not isinstance(trap, int)]
    return f"variables['qubits'] has no trap number for {', '.join(map(str, wrong))}" if wrong else None
