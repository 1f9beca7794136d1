"""The parameters of a sequence's operations: of which only the extremes decide whether Pulser builds it, and of which each value.

Where every sample of a waveform grows with a parameter, Pulser's limits on amplitude and detuning are limits on the least and
the greatest value of that parameter. Such parameters are `free`. All others are `exact`: durations, targets, phases where they
decide how long a channel waits, interpolated values, EOM setpoints, whatever is not known here.

Two sequences with the same exact parameters, the same zeros among the amplitudes and the same phases that are equal have the
same schedule (`pulser.sequence._schedule` of 1.9), unless a channel with a modulation bandwidth waits for an output to fall,
which depends on the samples: `Reading.waits` says so.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pcs_runner.sequence.columns import Columns, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

RISING = {"constant": ("value",), "ramp": ("start", "stop"), "blackman": ("area",), "kaiser": ("area",)}
"""Kind of waveform -> the parameters with which every sample grows, at a fixed duration (and beta)."""
PULSES = frozenset({"pulse", "pulse_arbitrary_phase"})
SCHEDULED = PULSES | {"delay", "align", "target", "truncate", "phase_shift", "add_dmm_detuning", "config_detuning_map"}
"""Operations whose schedule is known to follow from what is compared. EOM mode and the SLM mask's DMM look at samples."""


@dataclass(frozen=True, slots=True)
class Free:
    """A parameter of which the extremes decide.

    Attributes:
        place: Keys and indices from the operations to it.
        operation: Index of its operation.
        waveform: Number of its waveform; the parameters of a composite's parts have their own.
        amplitude: Whether it is one of an amplitude; else of a detuning.
    """

    place: tuple[str | int, ...]
    operation: int
    waveform: int
    amplitude: bool


@dataclass(frozen=True, slots=True)
class Points:
    """What decides about some points.

    Attributes:
        exact: `(points, k)`: points that Pulser may treat differently for another reason than an extreme differ here.
        free: `(points, f)`: the free parameters.
        readable: `(points,)`: whether the numbers of a point are all finite; if not, nothing is known about it.
    """

    exact: NDArray[np.float64]
    free: NDArray[np.float64]
    readable: NDArray[np.bool_]


class Reading:
    """A parametrised sequence, read.

    Args:
        text: In Pulser's abstract representation (a JSON string).
        device: The device's spec, for a sequence that only names it.

    Attributes:
        free: The free parameters.
        least_average: Whether an amplitude's average has a lower limit, so that the least samples matter.
        opened: The sequence with a variable of its own for each free parameter, `open_name(k)` for the k-th.
    """

    def __init__(self, text: str, device: Mapping[str, Any]) -> None:
        self._body = json.loads(text)
        self._device = self._body["device"] if isinstance(self._body["device"], dict) else device
        self._operations: list[dict[str, Any]] = self._body["operations"]
        self._types = {name: one.get("type", "float") for name, one in self._body["variables"].items()}
        self._channels = self._channels_in_use()
        self._modulated = any(channel.get("mod_bandwidth") for channel in self._channels.values())
        self.least_average = any(channel.get("min_avg_amp") for channel in self._channels.values())
        self.free: list[Free] = []
        self._trees: list[Any] = []
        self._exact: list[Any] = []
        self._phases: list[Any] = []
        self._waveforms = 0
        self._pattern = self._phases_by_pattern()
        self._known = all(operation["op"] in SCHEDULED for operation in self._operations) and not self._body.get(
            "slm_mask_targets"
        )
        for number, operation in enumerate(self._operations):
            self._read(number, operation)

    @property
    def opened(self) -> str:
        """See the class."""
        body = copy.deepcopy(self._body)
        for number, one in enumerate(self.free):
            name = open_name(number)
            body["variables"][name] = {"type": "float", "value": [0.0]}
            holder: Any = body["operations"]
            for step in one.place[:-1]:
                holder = holder[step]
            holder[one.place[-1]] = {"expression": "index", "lhs": {"variable": name}, "rhs": 0}
        return json.dumps(body)

    def points(self, variables: Sequence[Mapping[str, Any]]) -> Points:
        """What decides about points with these variables.

        Raises:
            UnreadableError: Their values do not fit the sequence.
        """
        columns = Columns({name: self._column(name, variables) for name in self._types}, len(variables))
        exact = [columns.evaluate(tree) for tree in self._exact]
        parts = [columns.evaluate(tree) for tree in self._trees]
        phases = [columns.evaluate(tree) for tree in self._phases]
        if any(one.shape[1] != 1 for one in (*parts, *phases)):
            raise UnreadableError("a list where one number stands")
        free = np.hstack([*parts, np.empty((columns.count, 0))])
        pattern = _pattern(np.hstack([*phases, np.empty((columns.count, 0))]))
        amplitudes = [number for number, one in enumerate(self.free) if one.amplitude]
        shown = np.where(self.waits(pattern)[:, None], free, 0.0)
        named = np.array([self._others(one) for one in variables])
        return Points(np.hstack([*exact, named, pattern, free[:, amplitudes] == 0.0, shown]), free, columns.finite)

    def waits(self, pattern: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a pulse may wait for the output of another to fall: two channels, or two phases, and a modulation bandwidth."""
        alone = len(self._channels) == 1 and self._pattern and all(op["op"] in {"pulse", "delay"} for op in self._operations)
        alone = alone and not any(operation.get("at_rest") for operation in self._operations)
        one_phase: NDArray[np.bool_] = (pattern == 0).all(axis=1)
        return ~one_phase if alone and self._modulated else np.full(len(pattern), self._modulated)

    def _column(self, name: str, variables: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
        kind = np.int64 if self._types[name] == "int" else np.float64
        try:
            column = np.array([one[name] for one in variables], dtype=kind)
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise UnreadableError(str(error)) from error
        return column[:, None] if column.ndim == 1 else column

    def _others(self, variables: Mapping[str, Any]) -> tuple[float, float]:
        """A fingerprint of what is no variable of the sequence, such as the traps of a mappable register; 0 for nothing."""
        others = {name: value for name, value in variables.items() if name not in self._types}
        digest = hashlib.sha256(json.dumps(others, sort_keys=True, default=str).encode()).digest() if others else bytes(12)
        return float(int.from_bytes(digest[:6], "big")), float(int.from_bytes(digest[6:12], "big"))

    def _channels_in_use(self) -> dict[str, dict[str, Any]]:
        """Name in the sequence -> spec; every DMM of the device counts where an operation configures one."""
        known = {channel["id"]: channel for channel in self._device.get("channels", ())}
        found = {name: known.get(one, {}) for name, one in self._body["channels"].items()}
        if any("dmm" in operation["op"] or "detuning_map" in operation["op"] for operation in self._operations):
            found |= {f"dmm_{number}": one for number, one in enumerate(self._device.get("dmm_objects", ()))}
        return found

    def _phases_by_pattern(self) -> bool:
        """Whether all that phases do is to be equal or not: nothing shifts the reference that they are added to."""
        return not any(
            operation["op"] in {"phase_shift", "pulse_arbitrary_phase"} or operation.get("post_phase_shift", 0) != 0
            for operation in self._operations
        )

    def _read(self, number: int, operation: dict[str, Any]) -> None:
        kinds = {"amplitude": operation["op"] in PULSES, "detuning": operation["op"] == "pulse", "waveform": True}
        least = any(one.get("min_avg_abs_detuning") for one in self._channels.values())
        kinds["waveform"] = operation["op"] == "add_dmm_detuning" and not least
        for key, value in operation.items():
            if self._known and kinds.get(key):
                self._waveform(value, (number, key), number, amplitude=key == "amplitude")
            elif key == "phase" and operation["op"] == "pulse" and self._known and self._pattern:
                self._phases.append(value)
            else:
                self._exact += map(_unrounded, _trees(value))

    def _waveform(self, waveform: dict[str, Any], place: tuple[str | int, ...], operation: int, *, amplitude: bool) -> None:
        if waveform["kind"] == "composite":
            for number, part in enumerate(waveform["waveforms"]):
                self._waveform(part, (*place, "waveforms", number), operation, amplitude=amplitude)
            return
        rising = RISING.get(waveform["kind"], ())
        changing = any(True for key in rising for _ in _trees(waveform[key]))
        self._waveforms += 1
        for key, value in waveform.items():
            if key in rising and changing:
                self.free.append(Free((*place, key), operation, self._waveforms, amplitude))
                self._trees.append(value)
            else:
                self._exact += map(_unrounded, _trees(value))


def open_name(number: int) -> str:
    """Name of the variable that stands for a free parameter in `Reading.opened`."""
    return f"_open_{number}"


def _trees(node: Any) -> Iterator[Any]:
    """The topmost expressions below a node of an operation."""
    if isinstance(node, dict) and ("expression" in node or "variable" in node):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from _trees(value)


def _unrounded(tree: Any) -> Any:
    """What an outermost `floor(x + 0.5)` rounds: a fraction there is refused by the check before Pulser rounds it."""
    if tree.get("expression") == "floor" and isinstance(tree["lhs"], dict) and tree["lhs"].get("expression") == "add":
        inner = tree["lhs"]
        return inner["lhs"] if inner["rhs"] == 0.5 and isinstance(inner["lhs"], dict) else tree
    return tree


def _pattern(phases: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each pulse, the first pulse with the same phase; as Pulser takes phases, modulo 2 pi, once and once more."""
    phases = np.mod(np.mod(phases, 2 * np.pi), 2 * np.pi)
    first = np.zeros(phases.shape, dtype=np.int64)
    for number in range(1, phases.shape[1]):
        first[:, number] = np.argmax(phases[:, : number + 1] == phases[:, number : number + 1], axis=1)
    return first
