"""Which operation, value and limit made Pulser refuse: found by building prefixes of the sequence through Pulser's public API."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.build import build, load_sequence
from pcs_runner.spec.expressions import ExpressionError, from_tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.spec.document import Path

PULSE_PARTS = {"pulse": "amplitude", "pulse_arbitrary_phase": "amplitude", "add_dmm_detuning": "waveform"}
EOM_SETPOINTS = frozenset({"enable_eom_mode", "modify_eom_setpoint"})
NEGATIVE_AMPLITUDE = "samples of an amplitude waveform must be greater than or equal to zero"
LIMITS = ("max_amp", "max_abs_detuning", "min_avg_amp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What Pulser refuses.

    Attributes:
        path: Where in the spec, for example `sequence.operations[2].amplitude`.
        cause: What is wrong, without the value: the same for all points that fail alike.
        value: How far it goes at this point, or empty.
        limit: What is allowed, or empty.
    """

    path: Path
    cause: str
    value: str = ""
    limit: str = ""

    @property
    def message(self) -> str:
        """One clause: cause, value and limit."""
        return f"{self.cause.format(value=self.value)}{f', {self.limit}' if self.limit else ''}"


def diagnose(text: str, variables: Mapping[str, Any], error: Exception) -> Diagnosis:
    """Say what Pulser refuses.

    Args:
        text: The whole sequence in abstract representation, parametrised or not.
        variables: The variables of the point that fails.
        error: What Pulser raised for it.
    """
    body = json.loads(text)
    number = _first_failing(text, len(body["operations"]), variables)
    if number is None:
        return Diagnosis(path=("sequence", "measurement"), cause=_clean(error))
    if number < 0:
        return _of_the_parts(body, error)
    operation = body["operations"][number]
    path: Path = ("sequence", "operations", number)
    if NEGATIVE_AMPLITUDE in str(error) and operation["op"] in PULSE_PARTS:
        return Diagnosis(path=(*path, PULSE_PARTS[operation["op"]]), cause=_clean(error))
    return _exceeded(body, number, operation, variables, path, error) or Diagnosis(path=path, cause=_clean(error))


def _of_the_parts(body: dict[str, Any], error: Exception) -> Diagnosis:
    """Which of register, channels, SLM mask and magnetic field is refused, before any operation: they are put back one by one."""
    bare = {key: value for key, value in body.items() if key not in {"slm_mask_targets", "magnetic_field"}}
    bare |= {"channels": {}, "operations": [], "measurement": None}
    if _refused(bare):
        return Diagnosis(path=("sequence", "register"), cause=_clean(error))
    for name, channel_id in body["channels"].items():
        bare["channels"] = {**bare["channels"], name: channel_id}
        if _refused(bare):
            device = body["device"] if isinstance(body["device"], dict) else {}
            has = ", ".join(channel["id"] for channel in device.get("channels", []))
            limit = f"{device['name']} has {has}" if has else ""
            return Diagnosis(path=("sequence", "channels", name), cause=_clean(error), limit=limit)
    part = "slm_mask_targets" if "slm_mask_targets" in body else "magnetic_field" if "magnetic_field" in body else "register"
    return Diagnosis(path=("sequence", part), cause=_clean(error))


def _refused(body: dict[str, Any]) -> bool:
    try:
        load_sequence(json.dumps(body))
    except Exception:  # noqa: BLE001 - whatever Pulser refuses with
        return True
    return False


def _first_failing(text: str, count: int, variables: Mapping[str, Any]) -> int | None:
    """Index of the first operation whose prefix fails; -1 when none is needed to fail, None when all of them pass."""
    if _fails(text, 0, variables):
        return -1
    if not _fails(text, count, variables):
        return None
    low, high = 0, count  # the prefix of `low` operations passes, that of `high` fails
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _fails(text, middle, variables) else (middle, high)
    return high - 1


def _fails(text: str, count: int, variables: Mapping[str, Any]) -> bool:
    try:
        build(_prefix(text, count), variables)
    except Exception:  # noqa: BLE001 - whatever Pulser refuses with
        return True
    return False


@lru_cache(maxsize=64)
def _prefix(text: str, count: int) -> Any:
    body = json.loads(text)
    body["operations"] = body["operations"][:count]
    body["measurement"] = None
    return load_sequence(json.dumps(body))


def _exceeded(
    body: dict[str, Any], number: int, operation: dict[str, Any], variables: Mapping[str, Any], path: Path, error: Exception
) -> Diagnosis | None:
    """The value and the limit of an amplitude or detuning that goes too far, measured on the same device without limits."""
    channel = str(operation.get("channel") or operation.get("dmm_name"))
    if operation["op"] in EOM_SETPOINTS:
        reached, parts = _setpoint(operation, variables), ("amp_on", "detuning_on")
    elif operation["op"] in PULSE_PARTS:
        reached = _unlimited_samples(json.dumps(body), number, channel, variables)
        part = PULSE_PARTS[operation["op"]]
        parts = (part, "detuning" if operation["op"] == "pulse" else part)
    else:
        return None
    if reached is None:
        return None
    limits = _limits(body, channel)
    device = body["device"]["name"] if isinstance(body["device"], dict) else body["device"]
    owner = f"{body['channels'].get(channel, channel)} of {device}"
    amplitude, detuning = reached
    if limits.get("max_amp") is not None and amplitude > limits["max_amp"] + 1e-9:
        return Diagnosis(
            path=(*path, parts[0]),
            cause="amplitude reaches {value} rad/µs",
            value=f"{amplitude:.6g}",
            limit=f"{owner} allows {limits['max_amp']:.6g}",
        )
    if limits.get("max_abs_detuning") is not None and detuning > limits["max_abs_detuning"] + 1e-9:
        return Diagnosis(
            path=(*path, parts[1]),
            cause="detuning reaches {value} rad/µs",
            value=f"{detuning:.6g}",
            limit=f"{owner} allows {limits['max_abs_detuning']:.6g}",
        )
    return Diagnosis(path=path, cause=_clean(error))


def _setpoint(operation: dict[str, Any], variables: Mapping[str, Any]) -> tuple[float, float] | None:
    """|amplitude| and |detuning| of an EOM mode at a point."""
    env = {name: tuple(value) if isinstance(value, list) else value for name, value in variables.items()}
    try:
        amplitude, detuning = (from_tree(operation[key]).evaluate(env) for key in ("amp_on", "detuning_on"))
    except ExpressionError:
        return None
    return abs(float(amplitude)), abs(float(detuning))  # type: ignore[arg-type]


def _limits(body: dict[str, Any], channel: str) -> dict[str, Any]:
    device = body["device"]
    if not isinstance(device, dict):
        return {}
    wanted = body["channels"].get(channel)
    found: dict[str, Any] = next((c for c in device["channels"] if c["id"] == wanted), {})
    return {key: found.get(key) for key in LIMITS}


def _unlimited_samples(text: str, number: int, channel: str, variables: Mapping[str, Any]) -> tuple[float, float] | None:
    """Largest |amplitude| and |detuning| of the operation, sampled on a device whose channels have no limits."""
    from pulser.sampler import sample

    try:
        built, _ = build(_unlimited(text, number), variables)
        samples = sample(built).channel_samples[channel]
    except Exception:  # noqa: BLE001 - then there is nothing to measure, and Pulser's own words stand
        return None
    slot = samples.slots[-1]
    span = slice(slot.ti, slot.tf)
    amplitude, detuning = samples.amp.as_array()[span], samples.det.as_array()[span]
    return float(abs(amplitude).max(initial=0.0)), float(abs(detuning).max(initial=0.0))


@lru_cache(maxsize=16)
def _unlimited(text: str, number: int) -> Any:
    body = json.loads(text)
    body["operations"] = body["operations"][: number + 1]
    body["measurement"] = None
    device = copy.deepcopy(body["device"])
    device["is_virtual"] = True
    for channel in device["channels"]:
        channel["max_amp"] = channel["max_abs_detuning"] = None
        channel["min_avg_amp"] = 0
        channel["min_duration"] = 1
    for key in ("pre_calibrated_layouts", "accepts_new_layouts", "optimal_layout_filling"):
        device.pop(key, None)
    body["device"] = {**device, "reusable_channels": True}
    return load_sequence(json.dumps(body))


def _clean(error: Exception) -> str:
    """Pulser's words on one line, without a final full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"array\(([^()]*)\)", r"\1", text)
    return text.rstrip(".").replace("{", "(").replace("}", ")")
