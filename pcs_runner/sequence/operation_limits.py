"""Why Pulser refuses an operation, with the numbers: how far its value goes at the point, and what is allowed."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.build import build, load_sequence
from pcs_runner.sequence.waveform_samples import waveform_samples
from pcs_runner.spec.expressions import ExpressionError, from_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

Clause = tuple[tuple[str, ...], str] | tuple[tuple[str, ...], str, str]
"""Keys below the operation, what is wrong there, and what to do now where the message does not say it."""
LENGTHS = {
    "delay": ("time",),
    "add_eom_pulse": ("duration",),
    "truncate": ("duration",),
    "add_dmm_detuning": ("waveform", "duration"),
}
SLACK = 1e-9


@dataclass(frozen=True)
class Refusal:
    """An operation that Pulser refuses at a point.

    Attributes:
        text: The whole sequence in abstract representation.
        body: The same as plain data.
        number: Index of the operation.
        operation: The operation.
        variables: Of the point.
        said: Pulser's words, on one line.
    """

    text: str
    body: Mapping[str, Any]
    number: int
    operation: Mapping[str, Any]
    variables: Mapping[str, Any]
    said: str

    @cached_property
    def device(self) -> Mapping[str, Any]:
        """The device's spec; its name only, where the sequence gives no more."""
        device = self.body["device"]
        return device if isinstance(device, dict) else {"name": device}

    @cached_property
    def channel(self) -> str:
        """Name of the channel in the sequence."""
        return str(self.operation.get("channel") or self.operation.get("dmm_name") or self.operation.get("dmm_id"))

    @cached_property
    def limits(self) -> Mapping[str, Any]:
        """Spec of the channel; empty where it is not known."""
        if self.channel.startswith("dmm_"):
            objects = self.device.get("dmm_objects", [])
            number = int(self.channel.split("_")[1])
            found: Mapping[str, Any] = objects[number] if number < len(objects) else {}
            return found
        wanted = self.body["channels"].get(self.channel)
        return next((one for one in self.device.get("channels", ()) if one["id"] == wanted), {})

    @property
    def owner(self) -> str:
        """`rydberg_global of AnalogDevice`."""
        return f"{self.body['channels'].get(self.channel, self.channel)} of {self.device['name']}"

    def number_at(self, tree: Any) -> float | None:
        """The value of a parameter at the point, or None."""
        env = {name: tuple(one) if isinstance(one, list) else one for name, one in self.variables.items() if name != "qubits"}
        try:
            value = from_tree(tree).evaluate(env)
        except ExpressionError:
            return None
        return None if isinstance(value, tuple) else float(value)

    def samples(self, key: str) -> NDArray[Any] | None:
        """Samples of a waveform of the operation at the point."""
        waveform = self.operation.get(key)
        if not isinstance(waveform, dict):
            return None
        if self.operation["op"] == "pulse_arbitrary_phase" and key == "phase":
            waveform = {"kind": "phase", "phase": waveform}
        return waveform_samples(waveform, self.body["variables"], self.variables)


def clause(refusal: Refusal) -> Clause | None:
    """What is wrong with an operation, or None where Pulser's words say it all."""
    for words, rule in RULES:
        if re.search(words, refusal.said):
            return rule(refusal)
    return None


def _amplitude(refusal: Refusal) -> Clause | None:
    limit = refusal.limits.get("max_amp")
    if refusal.operation["op"] in EOM_SETPOINTS:
        return _setpoint(refusal, "amp_on", "amplitude", limit)
    samples = refusal.samples("amplitude")
    if samples is None or limit is None or samples.max() <= limit:
        return None
    return ("amplitude",), f"amplitude reaches {samples.max():.6g} rad/µs, {refusal.owner} allows {limit:.6g}"


def _negative_amplitude(refusal: Refusal) -> Clause | None:
    if refusal.operation["op"] in EOM_SETPOINTS:
        value = refusal.number_at(refusal.operation["amp_on"])
        return None if value is None else (("amp_on",), f"amplitude is {value:.6g} rad/µs, and must not be negative")
    samples = refusal.samples("amplitude")
    if samples is None:
        return None
    return ("amplitude",), f"amplitude falls to {samples.min():.6g} rad/µs, and must not be negative"


def _detuning(refusal: Refusal) -> Clause | None:
    limit = refusal.limits.get("max_abs_detuning")
    if refusal.operation["op"] in EOM_SETPOINTS:
        return _setpoint(refusal, "detuning_on", "detuning", limit)
    key = "phase" if refusal.operation["op"] == "pulse_arbitrary_phase" else "detuning"
    samples = refusal.samples(key)
    if samples is None or limit is None or abs(samples).max() <= limit:
        return None
    what = "the slope of the phase makes a detuning that" if key == "phase" else "detuning"
    return (key,), f"{what} reaches {abs(samples).max():.6g} rad/µs, {refusal.owner} allows {limit:.6g}"


def _setpoint(refusal: Refusal, key: str, what: str, limit: float | None) -> Clause | None:
    value = refusal.number_at(refusal.operation[key])
    if value is None or limit is None or abs(value) <= limit + SLACK:
        return None
    return (key,), f"{what} reaches {abs(value):.6g} rad/µs, {refusal.owner} allows {limit:.6g}"


def _eom_detuning_off(refusal: Refusal) -> Clause | None:
    """`Sequence.enable_eom_mode` asserts, without a word, that the detuning between pulses is within the channel's range."""
    if refusal.operation["op"] not in EOM_SETPOINTS:
        return None
    limit = refusal.limits.get("max_abs_detuning")
    allows = "" if limit is None else f", {refusal.owner} allows {limit:.6g}"
    return ("optimal_detuning_off",), f"the detuning that this EOM setpoint has while the EOM is off goes out of range{allows}"


def _average_amplitude(refusal: Refusal) -> Clause | None:
    samples = refusal.samples("amplitude")
    limit = refusal.limits.get("min_avg_amp")
    if samples is None or limit is None:
        return None
    return ("amplitude",), f"amplitude is {samples.mean():.6g} rad/µs on average, {refusal.owner} asks for {limit:.6g} or for 0"


def _length(refusal: Refusal) -> Clause | None:
    """A duration that is too short or too long; the waveform says how long it is."""
    found = re.search(r"at (least|most) (\d+) ns", refusal.said)
    keys, length = _length_of(refusal)
    if found is None or length is None:
        return None
    owner = refusal.owner if refusal.limits else str(refusal.device["name"])
    verb = "asks for at least" if found[1] == "least" else "allows at most"
    return keys, f"{length} ns, {owner} {verb} {found[2]} ns"


def _length_of(refusal: Refusal) -> tuple[tuple[str, ...], int | None]:
    """Where an operation has its duration, and how long it is in ns."""
    keys = LENGTHS.get(refusal.operation["op"])
    if keys is not None and len(keys) == 1:
        value = refusal.number_at(refusal.operation.get(keys[0]))
        return keys, None if value is None else int(value)
    for key in ("amplitude", "detuning", "phase", "waveform"):
        waveform = refusal.operation.get(key)
        if isinstance(waveform, dict) and waveform.get("duration") != 0 and "kind" in waveform:
            samples = refusal.samples(key)
            if samples is not None:
                return (key, "duration"), len(samples)
            value = refusal.number_at(waveform.get("duration"))
            return (key, "duration"), None if value is None else int(value)
    return (), None


def _no_length(refusal: Refusal) -> Clause | None:
    keys, _ = _length_of(refusal)
    found = re.search(r"not (-?[\d.e+]+)$", refusal.said)
    return None if found is None else (keys, f"{found[1]} ns, and a duration must be positive")


def _sequence_duration(refusal: Refusal) -> Clause | None:
    limit = refusal.device.get("max_sequence_duration")
    try:
        built, _ = build(_without_limits(refusal.text, refusal.number), refusal.variables)
    except Exception:  # noqa: BLE001 - then Pulser's own words stand
        return None
    return (), f"the sequence reaches {built.get_duration()} ns here, {refusal.device['name']} allows {limit} ns"


def _local_bottom(refusal: Refusal) -> Clause | None:
    samples = refusal.samples("waveform")
    found = re.search(r"maximum weight of ([\d.e+-]+)", refusal.said)
    if samples is None or found is None:
        return None
    weight, limit = float(found[1].rstrip(".,")), refusal.limits.get("bottom_detuning")
    reached = f"detuning falls to {samples.min():.6g} rad/µs on an atom of weight {weight:.6g}"
    return ("waveform",), f"{reached}, {refusal.owner} allows {limit:.6g} on one atom"


def _total_bottom(refusal: Refusal) -> Clause | None:
    samples = refusal.samples("waveform")
    found = re.search(r"total summed weight of ([\d.e+-]+)", refusal.said)
    if samples is None or found is None:
        return None
    weight, limit = float(found[1].rstrip(".,")), refusal.limits.get("total_bottom_detuning")
    reached = f"detuning falls to {samples.min():.6g} rad/µs on weights of {weight:.6g} in all"
    return ("waveform",), f"{reached}, {refusal.owner} allows {limit:.6g} over all atoms"


def _positive_mask(refusal: Refusal) -> Clause | None:
    samples = refusal.samples("waveform")
    return (
        None if samples is None else (("waveform",), f"detuning reaches {samples.max():.6g} rad/µs, a DMM's must not be positive")
    )


def _average_mask(refusal: Refusal) -> Clause | None:
    samples, limit = refusal.samples("waveform"), refusal.limits.get("min_avg_abs_detuning")
    found = re.search(r"minimum non-zero weight of ([\d.e+-]+)", refusal.said)
    if samples is None or limit is None or found is None:
        return None
    weight = float(found[1].rstrip(".,"))
    reached = f"|detuning| is {weight * abs(samples).mean():.6g} rad/µs on average on an atom of weight {weight:.6g}"
    return ("waveform",), f"{reached}, {refusal.owner} asks for {limit:.6g} or for 0"


def _no_eom(refusal: Refusal) -> Clause | None:
    able = [one["id"] for one in refusal.device.get("channels", ()) if one.get("eom_config")]
    has = f"it has one on {', '.join(able)}" if able else "no channel of it does"
    return (), f"{refusal.owner} has no EOM mode: {has}"


def _eom_already_on(refusal: Refusal) -> Clause | None:
    hint = "change its setpoint with modify_eom_setpoint, or end it before with disable_eom_mode"
    return (), f"enable_eom_mode: channel {refusal.channel} is in EOM mode already", hint


def _eom_not_on(refusal: Refusal) -> Clause | None:
    name = refusal.operation["op"]
    other = {"add_eom_pulse": ", or write pulse", "disable_eom_mode": ", or remove it"}.get(name, "")
    return (), f"{name}: channel {refusal.channel} is not in EOM mode", f"begin it before with enable_eom_mode{other}"


def _eom_still_on(refusal: Refusal) -> Clause | None:
    name = refusal.operation["op"]
    other = "write add_eom_pulse, or " if name.startswith("pulse") else ""
    return (), f"{name}: channel {refusal.channel} is in EOM mode", f"{other}end it before with disable_eom_mode"


def _too_many_targets(refusal: Refusal) -> Clause | None:
    limit, targets = refusal.limits.get("max_targets"), refusal.operation.get("target")
    if isinstance(targets, dict) and "variable" in targets:
        targets = refusal.variables.get(targets["variable"])
    count = len(set(map(str, targets))) if isinstance(targets, list) else None
    return None if count is None else (("target",), f"{count} targets, {refusal.owner} takes {limit} at a time")


def _no_such_target(refusal: Refusal) -> Clause | None:
    count = len(refusal.body["register"])
    key = "targets" if "targets" in refusal.operation else "target"
    given = refusal.operation[key]
    for one in given if isinstance(given, list) else [given]:
        value = refusal.number_at(one)
        if value is not None and not -count <= value < count:
            return (key,), f"atom number {value:.6g}, the register has {count}: 0 to {count - 1}"
    return None


def _global_target(refusal: Refusal) -> Clause | None:
    local = [one["id"] for one in refusal.device.get("channels", ()) if one.get("addressing") == "Local"]
    has = f"; local channels: {', '.join(local)}" if local else ""
    return ("channel",), f"{refusal.owner} drives all atoms, and has no target{has}"


def _no_such_dmm(refusal: Refusal) -> Clause | None:
    has = [f"dmm_{number}" for number, _ in enumerate(refusal.device.get("dmm_objects", ()))]
    known = f"it has {', '.join(has)}" if has else "it has none"
    return ("dmm_id",), f"{refusal.device['name']} has no DMM {refusal.operation.get('dmm_id')}: {known}"


def _weight(refusal: Refusal) -> Clause | None:
    wrong = [trap["weight"] for trap in refusal.operation["detuning_map"]["traps"] if not 0 <= trap["weight"] <= 1]
    return (("detuning_map",), f"a weight is {wrong[0]:.6g}, and must be between 0 and 1") if wrong else None


def _times(refusal: Refusal) -> Clause | None:
    found = re.search(r"\((\d+)\) must match .* \((\d+)\)", refusal.said)
    if found is None:
        return None
    times, values = map(int, found.groups())
    for key, waveform in refusal.operation.items():
        if isinstance(waveform, dict) and waveform.get("kind") == "interpolated" and len(waveform["times"]) == times:
            return (key, "times"), f"{times} times for {values} values, and each value has one"
    return (), f"an interpolated waveform has {times} times for {values} values, and each value has one"


def _no_channel_of_basis(refusal: Refusal) -> Clause | None:
    declared = set(refusal.body["channels"].values())
    bases = sorted({one["basis"] for one in refusal.device.get("channels", ()) if one["id"] in declared})
    hint = f"write `basis: {' or '.join(bases)}`" if bases else ""
    return ("basis",), f"no declared channel drives the {refusal.operation['basis']} basis, in which this shifts the phase", hint


def _phase_references(refusal: Refusal) -> Clause | None:
    message = (
        f"channel {refusal.channel} drives several atoms, and a phase_shift before has moved the phases of some of them only"
    )
    return (), message, "shift the phase of all atoms that it drives, or target them one by one"


EOM_SETPOINTS = frozenset({"enable_eom_mode", "modify_eom_setpoint"})
RULES: tuple[tuple[str, Callable[[Refusal], Clause | None]], ...] = (
    ("amplitude goes over the maximum", _amplitude),
    ("must be greater than or equal to zero", _negative_amplitude),
    ("detuning values go out of the range", _detuning),
    ("^AssertionError$", _eom_detuning_off),
    ("average amplitude is below", _average_amplitude),
    ("duration (has to be at least|can be at most)", _length),
    ("must have a positive duration", _no_length),
    ("sequence's duration exceeded", _sequence_duration),
    ("below the local bottom detuning", _local_bottom),
    ("the total bottom detuning", _total_bottom),
    ("in a DMM must not be positive", _positive_mask),
    ("minimum threshold for the average absolute", _average_mask),
    ("does not have an EOM", _no_eom),
    ("already in EOM mode", _eom_already_on),
    ("is not in EOM mode|must be in EOM mode", _eom_not_on),
    ("chosen channel is in EOM mode", _eom_still_on),
    ("can target at most", _too_many_targets),
    ("Indices must exist|must be indices valid", _no_such_target),
    ("Can only choose target of 'Local'", _global_target),
    ("No DMM called", _no_such_dmm),
    ("weights must be between 0 and 1", _weight),
    ("number of time coordinates in", _times),
    ("No declared channel targets the given 'basis'", _no_channel_of_basis),
    ("different phase references", _phase_references),
)
"""Pulser 1.9's words -> what is said instead; tests/test_diagnose.py would see them change."""


@lru_cache(maxsize=16)
def _without_limits(text: str, number: int) -> Any:
    """The operations up to one of them, on a device that allows a sequence of any duration."""
    body = json.loads(text)
    body["operations"] = body["operations"][: number + 1]
    body["measurement"] = None
    device = copy.deepcopy(body["device"])
    device["is_virtual"] = True
    for key in ("pre_calibrated_layouts", "accepts_new_layouts", "optimal_layout_filling", "max_sequence_duration"):
        device.pop(key, None)
    body["device"] = {**device, "reusable_channels": True}
    return load_sequence(json.dumps(body))
