"""Sequences that differ in their register alone: one is read by Pulser, the others are that one with another register."""

from __future__ import annotations

import json
import warnings
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.build import load_sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

SEES_POSITIONS = frozenset({"config_slm_mask", "config_detuning_map", "add_dmm_detuning"})
"""Operations that look at where the atoms are; the others know them by name and number only."""
KEPT = 16
"""So many sequences are kept to take others from, some 100 KB each."""


class Siblings:
    """Reads sequences as `load_sequence` does; some three times faster where `Sequence.with_new_register` serves."""

    def __init__(self) -> None:
        self._read: OrderedDict[str, Any] = OrderedDict()

    def load(self, text: str) -> Any:
        """The `pulser.Sequence` of an abstract representation; Pulser's own exceptions when it refuses."""
        body = json.loads(text)
        key = _key(body)
        sibling = None if key is None else self._read.get(key)
        if sibling is not None:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    return sibling.with_new_register(_register(body))
            except Exception:  # noqa: BLE001 - reading the whole says why
                return load_sequence(text)
        sequence = load_sequence(text)
        if key is not None:
            self._read[key] = sequence
            if len(self._read) > KEPT:
                self._read.popitem(last=False)
        return sequence


def _key(body: Mapping[str, Any]) -> str | None:
    """Everything but where the atoms are; None for a sequence of which more than the register may depend on that."""
    try:
        atoms = [(row["name"], len(row)) for row in body["register"]]
        operations = {one["op"] for one in body["operations"]}
    except (KeyError, TypeError):  # a mappable register, or a file that is no sequence: Pulser says what is wrong with it
        return None
    if "slm_mask_targets" in body or operations & SEES_POSITIONS:
        return None
    return json.dumps([atoms, {key: value for key, value in body.items() if key not in {"register", "layout"}}])


def _register(body: Mapping[str, Any]) -> Any:
    """The register as Pulser reads it from the sequence."""
    from pulser import Register, Register3D
    from pulser.register import RegisterLayout

    qubits = {row["name"]: [row[axis] for axis in "xyz" if axis in row] for row in body["register"]}
    if "layout" not in body:
        return (Register3D if "z" in body["register"][0] else Register)(qubits)
    layout = RegisterLayout(body["layout"]["coordinates"], slug=body["layout"].get("slug"))
    return layout.define_register(*layout.get_traps_from_coordinates(*qubits.values()), qubit_ids=list(qubits))
