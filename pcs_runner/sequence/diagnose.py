"""Which operation, value and limit made Pulser refuse: found by building prefixes of the sequence through Pulser's public API."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.build import load_sequence
from pcs_runner.sequence.operation_limits import Refusal, clause
from pcs_runner.sequence.prefixes import first_failing
from pcs_runner.sequence.register_limits import register_clause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.spec.document import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What Pulser refuses.

    Attributes:
        path: Where in the abstract representation, for example `sequence.operations[2].amplitude.duration`.
        message: One clause: what is wrong, with the value and the limit at this point.
        hint: What to do now, or empty.
    """

    path: Path
    message: str
    hint: str = ""


def diagnose(text: str, variables: Mapping[str, Any], error: Exception) -> Diagnosis:
    """Say what Pulser refuses.

    Args:
        text: The whole sequence in abstract representation, parametrised or not.
        variables: The variables of the point that fails.
        error: What Pulser raised for it.
    """
    body = json.loads(text)
    number = first_failing(text, variables)
    if number is None:
        return _of_the_end(body, error)
    if number < 0:
        return _of_the_parts(body, error)
    operation = body["operations"][number]
    path: Path = ("sequence", "operations", number)
    refusal = Refusal(text=text, body=body, number=number, operation=operation, variables=variables, said=_clean(error))
    below, message, *hint = clause(refusal) or ((), refusal.said)
    return Diagnosis(path=(*path, *below), message=message, hint="".join(hint))


def _of_the_end(body: Mapping[str, Any], error: Exception) -> Diagnosis:
    """Refused although every operation passes: the measurement, or what a real device asks beyond a build."""
    said, device = _clean(error), body["device"]
    name = device["name"] if isinstance(device, dict) else str(device)
    if "requires the sequence's register" in said:
        message = f"{name} takes atoms only on the traps of a layout"
        return Diagnosis(path=("sequence", "register"), message=message, hint="add automatic_layout: true, or a layout")
    if "does not accept new register layouts" in said:
        known = [layout.get("slug") for layout in device.get("pre_calibrated_layouts", ())] if isinstance(device, dict) else []
        names = ", ".join(slug for slug in known if slug)
        message = f"{name} takes only its calibrated layouts"
        return Diagnosis(path=("sequence", "register"), message=message, hint=f"layout: one of {names}" if names else "")
    if "must be a real device" in said:
        return Diagnosis(
            path=("sequence", "device"), message=f"{name} is a virtual device, a QPU takes a sequence for a real one"
        )
    if found := re.search(r"The basis '(.*)' is not supported .* available options are: (.*)", said):
        bases = ", ".join(sorted(found[2].split(", ")))
        return Diagnosis(
            path=("sequence", "measurement"), message=f"{name} with these channels measures {bases}, this is {found[1]}"
        )
    return Diagnosis(path=("sequence", "measurement"), message=said)


def _of_the_parts(body: dict[str, Any], error: Exception) -> Diagnosis:
    """Which of register, channels, SLM mask and magnetic field is refused, before any operation: they are put back one by one."""
    device = body["device"] if isinstance(body["device"], dict) else {"name": body["device"]}
    bare = {key: value for key, value in body.items() if key not in {"slm_mask_targets", "magnetic_field"}}
    bare |= {"channels": {}, "operations": [], "measurement": None}
    if _refused(bare):
        return _of_the_register(body, device, error)
    for name, channel_id in body["channels"].items():
        bare["channels"] = {**bare["channels"], name: channel_id}
        if _refused(bare):
            return Diagnosis(path=("sequence", "channels", name), message=_of_the_channel(name, body["channels"], device, error))
    if "slm_mask_targets" in body:
        return Diagnosis(path=("sequence", "slm_mask_targets"), message=_of_the_mask(body, device, error))
    return Diagnosis(path=("sequence", "magnetic_field" if "magnetic_field" in body else "register"), message=_clean(error))


def _of_the_channel(name: str, channels: Mapping[str, str], device: dict[str, Any], error: Exception) -> str:
    """Why a channel cannot be declared beside those that stand before it."""
    earlier = [one for one in channels if channels[one] == channels[name]]
    if earlier[0] != name and "is not available" in str(error):
        return f"{channels[name]} is channel {earlier[0]} already, and {device['name']} lets it be declared once"
    has = ", ".join(channel["id"] for channel in device.get("channels", []))
    return _clean(error) + (f", {device['name']} has {has}" if has else "")


def _of_the_register(body: dict[str, Any], device: dict[str, Any], error: Exception) -> Diagnosis:
    rows = body["register"]
    places = {row["name"]: [row[axis] for axis in "xyz" if axis in row] for row in rows if "name" in row}
    said = _clean(error if error.__cause__ is None or "incompatible" not in str(error) else error.__cause__)
    message = register_clause(said, places, device) or said
    return Diagnosis(path=("sequence", "layout" if message.startswith("the layout") else "register"), message=message)


def _of_the_mask(body: dict[str, Any], device: dict[str, Any], error: Exception) -> str:
    said, atoms = _clean(error), [row.get("name", row.get("qid")) for row in body["register"]]
    if "does not have an SLM mask" in said:
        return f"{device['name']} has no SLM mask"
    if "must exist in the register" in said:
        missing = [str(name) for name in body["slm_mask_targets"] if name not in atoms]
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in the register, which has {_some(atoms)}"
    return said


def _some(names: list[Any]) -> str:
    shown = ", ".join(map(str, names[:6]))
    return f"{shown}, ..." if len(names) > 6 else shown


def _refused(body: dict[str, Any]) -> bool:
    try:
        load_sequence(json.dumps(body))
    except Exception:  # noqa: BLE001 - whatever Pulser refuses with
        return True
    return False


def _clean(error: BaseException) -> str:
    """Pulser's words on one line, without a final full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"array\(([^()]*)\)", r"\1", text)
    return text.rstrip(".")
