"""Device names -> device specs: bundled with Pulser, pulled from the cloud, in a file or in the spec, or pinned by a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.coefficients import C6_BY_LEVEL
from pcs_runner.sequence.device_cache import cached_specs
from pcs_runner.sequence.pulser_loading import load_pulser
from pcs_runner.spec.sequences import DeviceFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.spec.tables import Inputs


class DeviceError(Exception):
    """A device that cannot be had.

    Args:
        message: Why.
        hint: What to do.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class ResolvedDevice:
    """A device by its spec.

    Attributes:
        name: Its own name.
        spec: Pulser's abstract representation (a JSON string).
    """

    name: str
    spec: str

    @cached_property
    def pulser(self) -> Any:
        """The `pulser.devices.Device` or `VirtualDevice`.

        Raises:
            DeviceError: Pulser refuses the spec.
        """
        load_pulser()
        from pulser.json.abstract_repr.deserializer import deserialize_device

        try:
            return deserialize_device(self.spec)
        except Exception as error:  # Pulser raises several unrelated types here
            raise DeviceError(f"Pulser refuses the device {self.name}: {_root(error)}") from error

    @cached_property
    def body(self) -> dict[str, Any]:
        """The spec as plain data."""
        body: dict[str, Any] = json.loads(self.spec)
        return body

    @cached_property
    def text(self) -> str:
        """The spec as it is put into every sequence (JSON)."""
        return json.dumps(self.body, ensure_ascii=False)

    @property
    def interaction_coeff(self) -> float:
        """C6/ħ of the device's Rydberg level, in rad/µs·µm⁶."""
        return float(self.pulser.interaction_coeff)

    @property
    def nominal_interaction_coeff(self) -> float:
        """The same for the identity of a plan: from a table that no upgrade or recalibration changes."""
        return C6_BY_LEVEL.get(self.body.get("rydberg_level", 0), self.interaction_coeff)

    @property
    def max_runs(self) -> int | None:
        """Most runs that a job may ask for, None without a limit."""
        limit = self.body.get("max_runs")
        return None if limit is None else int(limit)

    def clock_periods(self, channels: Mapping[str, str]) -> dict[str, int]:
        """Clock period in ns of each declared channel and DMM, by its name in the sequence."""
        by_id = {channel["id"]: channel.get("clock_period") or 1 for channel in self.body.get("channels", [])}
        dmm = {f"dmm_{i}": d.get("clock_period") or 1 for i, d in enumerate(self.body.get("dmm_objects", []))}
        return {name: int(by_id.get(channel_id, 1)) for name, channel_id in channels.items()} | dmm


def _root(error: BaseException) -> BaseException:
    """The exception that the others were raised for: Pulser's own say no more than that reading failed."""
    return error if error.__cause__ is None else _root(error.__cause__)


def resolve_device(device: str | DeviceFile | Mapping[str, Any], inputs: Inputs, pinned: Mapping[str, str]) -> ResolvedDevice:
    """Find a device's spec.

    Args:
        device: A name, a file beside the spec, or the device in full.
        inputs: Reads files beside the spec.
        pinned: Device name -> spec, of a run that is resumed; preferred over everything else.

    Raises:
        DeviceError: No device of that name, or a file or mapping that is not one.
        InputError: The file cannot be read.
    """
    if isinstance(device, str):
        return ResolvedDevice(device, pinned[device] if device in pinned else _named(device))
    text = inputs.read(device.file).decode("utf-8", "replace") if isinstance(device, DeviceFile) else json.dumps(device)
    try:
        body = json.loads(text)
        name = str(body["name"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DeviceError("this is not a device in Pulser's abstract representation: it has no name") from error
    return ResolvedDevice(name, pinned.get(name, text))


def bundled_names() -> tuple[str, ...]:
    """Names of the devices that come with Pulser."""
    load_pulser()
    import pulser.devices as bundled

    kinds = (bundled.Device, bundled.VirtualDevice)
    return tuple(sorted(name for name in dir(bundled) if isinstance(getattr(bundled, name), kinds)))


def _named(name: str) -> str:
    """The spec of a bundled device, or else of a cloud device that was pulled."""
    names = bundled_names()
    if name in names:
        import pulser.devices as bundled

        return str(getattr(bundled, name).to_abstract_repr())
    pulled = cached_specs()
    if name in pulled:
        return pulled[name].spec
    known = [*names, *pulled]
    near = get_close_matches(name, known, 1)
    hint = f'did you mean "{near[0]}"? ' if near else ""
    raise DeviceError(
        f'no device is called "{name}"',
        f"{hint}known: {', '.join(known)}, {{file: device.json}}, the device in full, "
        "or one of the cloud's after `pcs-run devices pull`",
    )
