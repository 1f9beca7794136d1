"""Operations and waveforms as Pulser prints them -> as the language lets them be written: defaults left out, durations once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.importing.texts import whole
from pcs_runner.sequence.lower import TIMED_WAVEFORMS, WAVEFORM_FIELDS
from pcs_runner.sequence.template import even_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHORT, TREES, FULL, PASTED = range(4)
"""How far an operation is rewritten: all the way; with Pulser's trees for expressions; with durations in each waveform; not."""

Put = Callable[[Any], Any]
"""Writes a number or an expression."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "pulse": {"protocol": "min-delay", "phase": 0, "post_phase_shift": 0},
    "pulse_arbitrary_phase": {"protocol": "min-delay", "post_phase_shift": 0},
    "delay": {"at_rest": False},
    "align": {"at_rest": True},
    "phase_shift": {"basis": "digital"},
    "enable_eom_mode": {"optimal_detuning_off": 0, "correct_phase_drift": False},
    "modify_eom_setpoint": {"optimal_detuning_off": 0, "correct_phase_drift": False},
    "add_eom_pulse": {"protocol": "min-delay", "post_phase_shift": 0, "correct_phase_drift": False},
    "disable_eom_mode": {"correct_phase_drift": False},
    "add_dmm_detuning": {"dmm_name": "dmm_0", "protocol": "no-delay"},
    "config_slm_mask": {"dmm_id": "dmm_0"},
    "config_detuning_map": {"dmm_id": "dmm_0"},
}
"""What the language fills in (SPEC, relaxation 2)."""

ORDER = (
    "op", "channel", "channels", "dmm_name", "dmm_id", "target", "duration", "time", "amplitude", "detuning", "waveform", "phase",
)  # fmt: skip
NAMES = frozenset({"op", "channel", "channels", "dmm_name", "dmm_id", "protocol", "basis", "qubits", "detuning_map"})
"""Fields that hold no number."""


def written(operation: Mapping[str, Any], level: int, value: Put, body: Mapping[str, Any]) -> dict[str, Any]:
    """An operation as a person would write it.

    Args:
        operation: As Pulser prints it.
        level: SHORT, TREES, FULL or PASTED.
        value: Writes a number or an expression.
        body: The whole sequence as Pulser prints it.
    """
    if level == PASTED:
        return dict(operation)
    name = operation["op"]
    put: Put = (lambda tree: tree) if level == TREES else value
    waveforms = {key: operation[key] for key in WAVEFORM_FIELDS.get(name, ())}
    made = {key: item if key in NAMES else put(item) for key, item in operation.items() if key not in waveforms}
    made = {key: item for key, item in made.items() if DEFAULTS.get(name, {}).get(key, ...) != item}
    if len(body["channels"]) == 1:
        made.pop("channel", None)
    made |= _atoms_by_name(operation, body["register"])
    if waveforms:
        made |= _in_full(waveforms, put) if level == FULL else _hoisted(waveforms, put, bare_beside=name == "pulse")
        if name == "pulse" and made["detuning"] == 0:
            del made["detuning"]
    return dict(sorted(made.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER)))


def _atoms_by_name(operation: Mapping[str, Any], register: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The fields that count atoms, or give their places, with the atoms' names instead."""
    names = [str(row.get("name", row.get("qid"))) for row in register]
    made: dict[str, Any] = {}
    for key in ("target", "targets"):
        numbers = operation.get(key)
        if isinstance(numbers, int):
            made[key] = _name(names, numbers)
        elif isinstance(numbers, list) and all(isinstance(number, int) for number in numbers):
            made[key] = [_name(names, number) for number in numbers]
    weights = _weights(operation["detuning_map"], register) if "detuning_map" in operation else None
    return made if weights is None else {**made, "detuning_map": weights}


def _name(names: Sequence[str], number: int) -> str | int:
    """The name, where it reads as one: Pulser calls atoms 0, 1, 2 unless told otherwise."""
    return names[number] if 0 <= number < len(names) and names[number].isidentifier() else number


def _weights(detuning_map: Mapping[str, Any], register: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Weight by atom, where the map is one of atoms and has no name of its own."""
    atoms = {(row.get("x"), row.get("y")): str(row.get("name")) for row in register}
    places = [(trap["x"], trap["y"]) for trap in detuning_map["traps"]]
    if detuning_map.get("slug") is not None or "z" in register[0] or not set(places) <= set(atoms):
        return None
    return {atoms[place]: whole(trap["weight"]) for place, trap in zip(places, detuning_map["traps"], strict=True)}


def _in_full(waveforms: Mapping[str, Any], put: Put) -> dict[str, Any]:
    return {key: _waveform(one, put) for key, one in waveforms.items()}


def _hoisted(waveforms: Mapping[str, Any], put: Put, *, bare_beside: bool) -> dict[str, Any]:
    """The waveforms of a pulse: their common duration stands once, a constant is a bare number.

    Args:
        waveforms: By field, as Pulser prints them.
        put: Writes a number.
        bare_beside: Whether a bare number beside a waveform of known length needs no `duration`.
    """
    durations = [one["duration"] for one in waveforms.values() if one["kind"] in TIMED_WAVEFORMS]
    if not durations or durations[0] == 0 or any(one != durations[0] for one in durations):
        return _in_full(waveforms, put)
    numbers = {key: put(one["value"]) for key, one in waveforms.items() if one["kind"] == "constant"}
    numbers = {key: number for key, number in numbers.items() if not isinstance(number, dict)}
    beside = bare_beside and len(durations) < len(waveforms) and bool(numbers)
    made: dict[str, Any] = {} if beside else {"duration": put(durations[0])}
    return made | {key: numbers[key] if key in numbers else _waveform(one, put, timed=False) for key, one in waveforms.items()}


def _waveform(waveform: Mapping[str, Any], put: Put, *, timed: bool = True) -> dict[str, Any]:
    """A waveform as a mapping, `kind` and `duration` first."""
    body: dict[str, Any] = {"kind": waveform["kind"]}
    if "duration" in waveform and timed:
        body["duration"] = put(waveform["duration"])
    for key, item in waveform.items():
        if key in body or key == "duration":
            continue
        if key == "waveforms":
            body[key] = [_waveform(part, put) for part in item]
        elif key == "samples":
            body[key] = list(item)
        elif not _is_default(waveform, key, item):
            body[key] = put(item)
    return body


def _is_default(waveform: Mapping[str, Any], key: str, item: Any) -> bool:
    """Kaiser's beta of 14, and even times."""
    if key == "times" and isinstance(item, list):
        values = waveform["values"]
        count = len(values) if isinstance(values, list) else len(item)
        return item == even_times(count)
    return key == "beta" and item == 14.0
