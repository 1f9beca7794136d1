"""Points of a parametrised sequence without building it anew: only the waveforms that change are evaluated.

`Sequence.build` and the sampler take 2 to 15 ms, and what they work out, when each pulse starts and with which phase, follows
from the durations and phases alone as long as no output has to fall before the next pulse (no modulation bandwidth, or one
channel with one phase). So a sequence is built once for each set of durations and phases; another point with the same ones
takes that schedule. Where this cannot be said, or Pulser has an objection, the point is built in full.
`tests/test_engine_batched_template.py` compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pcs_runner.emulator.engines.batched.pulses import Pulse, PulseSamples
from pcs_runner.emulator.engines.batched.waveforms import Drive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from pcs_runner.emulator.engines.batched.points import Physics

KNOWN_CALLS = frozenset({"__init__", "declare_channel", "add", "delay", "measure", "phase_shift"})
"""Calls whose effect on a schedule follows from their arguments, the durations and the phases."""

MOST_SCHEDULES = 64
"""Sets of durations and phases that are remembered, some 300 kB each."""


@dataclass(frozen=True, slots=True, eq=False)
class _Schedule:
    """One set of durations and phases.

    Attributes:
        physics: Of the point it was built for.
        spans: Start and end of each changing pulse, ns.
        fixed: Summed samples of the pulses that do not change: amplitude and detuning, `(2, duration + 1)`, rad/µs.
        axis: cos and sin of the phase, `(2, duration + 1)`.
    """

    physics: Physics
    spans: tuple[tuple[int, int], ...]
    fixed: NDArray[np.float64]
    axis: NDArray[np.float64]


class Templates:
    """The points of one parametrised sequence.

    Args:
        source: `pulser.Sequence`, parametrised or not.
        build_in_full: Builds and samples a point, without noise and modulation, from its variables.
    """

    def __init__(self, source: Any, build_in_full: Callable[[Mapping[str, Any]], tuple[Any, Physics]]) -> None:
        self._source = source
        self._build_in_full = build_in_full
        self._usable = _is_usable(source)
        self._calls = [_changing_call(source, call) for call in source._to_build_calls] if self._usable else []
        self._schedules: dict[tuple[Any, ...], _Schedule | None] = {}

    def physics(self, variables: Mapping[str, Any]) -> Physics:
        """The drive and register of a point.

        Raises:
            Exception: Pulser's, when it does not build the point.
        """
        if not self._usable or set(variables) != set(self._source.declared_variables):
            return self._build_in_full(variables)[1]
        try:
            pulses, key = self._evaluated(variables)
        except Exception:  # noqa: BLE001 - the full build says what is wrong
            return self._build_in_full(variables)[1]
        schedule = self._schedules.get(key)
        if schedule is None:
            built, physics = self._build_in_full(variables)
            if key not in self._schedules:
                if len(self._schedules) >= MOST_SCHEDULES:
                    del self._schedules[next(iter(self._schedules))]
                self._schedules[key] = _schedule(built, physics, pulses)
            return physics
        return _at(schedule, pulses)

    def _evaluated(self, variables: Mapping[str, Any]) -> tuple[list[tuple[str, PulseSamples]], tuple[Any, ...]]:
        """The changing pulses with their channels, checked against these, and everything that fixes the schedule."""
        for name, value in variables.items():
            self._source._variables[name]._assign(value)
        pulses: list[tuple[str, PulseSamples]] = []
        key: list[tuple[Any, ...]] = []
        for call, channel, pulse in self._calls:
            if pulse is None:
                key.append((call.name, *_built(call)))
                continue
            pulses.append((channel, pulse.at_point()))
            key.append((channel, *pulses[-1][1].fingerprint))
        return pulses, tuple(key)


def _changing_call(source: Any, call: Any) -> tuple[Any, str, Pulse | None]:
    """A call that is made again for each point: the call, and for a pulse its channel and itself."""
    if call.name != "add":
        return call, "", None
    given = {**dict(zip(("pulse", "channel", "protocol"), call.args, strict=False)), **call.kwargs}
    return call, given["channel"], Pulse(given["pulse"], source._schedule[given["channel"]].channel_obj)


def _is_usable(source: Any) -> bool:
    """Whether what can change between points is told by `PulseSamples.fingerprint`; phases are looked at by `_schedule`."""
    from pulser.channels.dmm import DMM

    channels = source.declared_channels.values()
    if not source.is_parametrized() or source.is_register_mappable() or source._slm_mask_targets:
        return False
    if any(isinstance(channel, DMM) or channel.addressing != "Global" for channel in channels):
        return False
    return {call.name for call in (*source._calls, *source._to_build_calls)} <= KNOWN_CALLS


def _built(call: Any) -> tuple[str, str]:
    from pulser.parametrized import Parametrized

    args = [arg.build() if isinstance(arg, Parametrized) else arg for arg in call.args]
    options = {name: arg.build() if isinstance(arg, Parametrized) else arg for name, arg in call.kwargs.items()}
    return repr(args), repr(sorted(options.items()))


def _schedule(built: Any, physics: Physics, pulses: list[tuple[str, PulseSamples]]) -> _Schedule | None:
    """What later points take from a built one, or None when it depends on more than durations and phases."""
    from pulser import Pulse as BuiltPulse

    slots = {name: [slot for slot in own if isinstance(slot.type, BuiltPulse)] for name, own in built._schedule.items()}
    if not _waits_for_nothing(built, slots) or physics.drives[0].values.shape[1] != 1:
        return None
    left = {name: len(own) - sum(1 for channel, _ in pulses if channel == name) for name, own in slots.items()}
    spans = []
    for channel, pulse in pulses:
        slot = slots[channel][left[channel]]
        left[channel] += 1
        if slot.tf - slot.ti != pulse.duration:  # Pulser rounded the duration up to the channel's clock
            return None
        spans.append((slot.ti, slot.tf))
    values = physics.drives[0].values[:, 0]
    axis = _axis(built, physics.duration_ns)
    total = np.stack((values[0] * axis[0] + values[1] * axis[1], values[2]))
    for (start, end), (_, pulse) in zip(spans, pulses, strict=True):
        total[:, start:end] -= pulse.samples
    fixed = np.where(np.abs(total) < 1e-12 * (1.0 + np.abs(total).max()), 0.0, total)
    return _Schedule(physics, tuple(spans), fixed, axis)


def _waits_for_nothing(built: Any, slots: Mapping[str, list[Any]]) -> bool:
    """Whether no pulse waits for the output of another to fall, whose time depends on amplitudes."""
    channels = built.declared_channels.values()
    if all(channel.mod_bandwidth is None for channel in channels):
        return True
    phases = {float(slot.type.phase) for own in slots.values() for slot in own}
    return len(slots) == 1 and len(phases) <= 1


def _axis(built: Any, duration: int) -> NDArray[np.float64]:
    """Cos and sin of the summed phases of the channels, as `SequenceSamples.to_nested_dict` sums them."""
    from pulser.sampler import sampler

    samples = sampler.sample(built, extended_duration=duration).extend_duration(duration + 1)
    phase = sum((own.phase.as_array(detach=True) for own in samples.samples_list), np.zeros(duration + 1))
    return np.stack((np.cos(phase), np.sin(phase)))


def _at(schedule: _Schedule, pulses: list[tuple[str, PulseSamples]]) -> Physics:
    """The point with these pulses."""
    total = schedule.fixed.copy()
    for (start, end), (_, pulse) in zip(schedule.spans, pulses, strict=True):
        total[:, start:end] += pulse.samples
    values = np.stack((total[0] * schedule.axis[0], total[0] * schedule.axis[1], total[1]))[:, None]
    drive = Drive(values=values, row_of_atom=schedule.physics.drives[0].row_of_atom)
    return replace(schedule.physics, drives=(drive,), noiseless=(drive, schedule.physics.noiseless[1]))
