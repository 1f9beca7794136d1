"""The samples of a parametrised pulse at a point, without making Pulser's objects: constants and ramps by Pulser's own formulas.

Other waveforms are built by Pulser. What Pulser would refuse raises `UnclearError`, and the point is built in full to get its
message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ARGUMENTS = ("amplitude", "detuning", "phase", "post_phase_shift")
"""Of `Pulse` and its class methods, in their order."""


class UnclearError(Exception):
    """Only a full build can say what this pulse is."""


@dataclass(frozen=True, slots=True, eq=False)
class PulseSamples:
    """A pulse at one point.

    Attributes:
        samples: Amplitude and detuning, `(2, duration)`, rad/µs.
        phase: At its start and added after it, rad, in [0, 2 pi).
        is_detuned_delay: Whether Pulser ignores its phase (`_ChannelSchedule.is_detuned_delay`).
    """

    samples: NDArray[np.float64]
    phase: tuple[float, float]
    is_detuned_delay: bool

    @property
    def duration(self) -> int:
        """Duration, ns."""
        return int(self.samples.shape[1])

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """What a schedule depends on."""
        return self.duration, *self.phase, self.is_detuned_delay


class Pulse:
    """A pulse as a parametrised sequence holds it.

    Args:
        source: `pulser.Pulse` or what builds one.
        channel: The channel that plays it; its limits are checked.
    """

    def __init__(self, source: Any, channel: Any) -> None:
        self._channel = channel
        self._fixed = None if hasattr(source, "build") else _of_pulser(source)
        self._source = source
        self._parts: tuple[_Waveform, _Waveform, Any, Any] | None = None
        arguments = _arguments(source)
        if arguments is not None:
            amplitude, detuning = _Waveform(arguments["amplitude"]), _Waveform(arguments["detuning"])
            self._parts = amplitude, detuning, _number(arguments["phase"]), _number(arguments.get("post_phase_shift", 0.0))

    def at_point(self) -> PulseSamples:
        """The pulse with the values that its variables have now.

        Raises:
            UnclearError: It is not within its channel's limits, or not a pulse.
        """
        pulse = self._fixed or self._evaluated()
        amplitude, detuning, channel = pulse.samples[0], pulse.samples[1], self._channel
        mean = amplitude.mean()
        too_high = channel.max_amp is not None and amplitude.max() > channel.max_amp
        too_far = channel.max_abs_detuning is not None and np.abs(detuning).max() > channel.max_abs_detuning
        if too_high or too_far or not amplitude.min() >= 0.0 or 0.0 < mean < channel.min_avg_amp:
            raise UnclearError
        return pulse

    def _evaluated(self) -> PulseSamples:
        if self._parts is None:
            return _of_pulser(self._source.build())
        amplitude, detuning, phase, shift = self._parts
        duration = amplitude.duration() or detuning.duration()
        if not duration or duration < 2 or (detuning.duration() or duration) != duration:
            raise UnclearError
        samples = np.stack((amplitude.samples(duration), detuning.samples(duration)))
        phases = float(np.float64(phase()) % (2 * np.pi)), float(shift()) % (2 * np.pi)
        delay = amplitude.is_constant and detuning.is_constant and samples[0, 0] == 0.0
        return PulseSamples(samples, phases, delay)


def _of_pulser(pulse: Any) -> PulseSamples:
    from pulser.sequence._schedule import _ChannelSchedule

    samples = np.stack((pulse.amplitude.samples.as_array(detach=True), pulse.detuning.samples.as_array(detach=True)))
    return PulseSamples(samples, (float(pulse.phase), float(pulse.post_phase_shift)), _ChannelSchedule.is_detuned_delay(pulse))


def _arguments(source: Any) -> dict[str, Any] | None:
    """Arguments by name of a pulse that is not built yet, or None when it is made in another way."""
    import pulser
    from pulser.parametrized import ParamObj

    if not isinstance(source, ParamObj):
        return None
    given = source.args
    if source.cls is not pulser.Pulse:
        if getattr(source.cls, "__name__", "") not in {"ConstantDetuning", "ConstantAmplitude"} or given[:1] != (pulser.Pulse,):
            return None
        given = given[1:]
    arguments = {**dict(zip(ARGUMENTS, given, strict=False)), **source.kwargs}
    return arguments if {"amplitude", "detuning", "phase"} <= set(arguments) <= set(ARGUMENTS) else None


def _number(value: Any) -> Callable[[], float]:
    """Reads a scalar, parametrised or not."""
    if hasattr(value, "build"):
        return lambda: float(value.build())
    fixed = float(value)
    return lambda: fixed


class _Waveform:
    """A waveform whose parameters may be open.

    Args:
        source: `pulser` waveform, what builds one, or a scalar that stands for a constant one of its partner's duration.
    """

    def __init__(self, source: Any) -> None:
        import pulser.waveforms as known
        from pulser.parametrized import ParamObj

        self._source = source
        self._numbers: tuple[Callable[[], float], ...] = ()
        self._kind = "built" if isinstance(source, known.Waveform) else "constant"
        names = {known.ConstantWaveform: ("duration", "value"), known.RampWaveform: ("duration", "start", "stop")}
        if isinstance(source, ParamObj) and not isinstance(source.cls, ParamObj) and isinstance(source.cls, type):
            kinds = {"ConstantWaveform": "constant", "RampWaveform": "ramp"}
            self._kind = kinds.get(source.cls.__name__, "by Pulser")
            if source.cls in names:
                given = {**dict(zip(names[source.cls], source.args, strict=False)), **source.kwargs}
                self._numbers = tuple(_number(given[name]) for name in names[source.cls])
        elif self._kind == "constant":
            self._numbers = (lambda: 0.0, _number(source))
        self.is_constant = self._kind == "constant" or isinstance(source, known.ConstantWaveform)

    def duration(self) -> int:
        """Duration, ns; 0 when the partner says it."""
        if self._kind in {"built", "by Pulser"}:
            return int(self._built().duration)
        duration = self._numbers[0]()
        if not duration.is_integer():
            raise UnclearError
        return int(duration)

    def samples(self, duration: int) -> NDArray[np.float64]:
        """`(duration,)`, rad/µs, by the formulas of `pulser.waveforms`."""
        if self._kind in {"built", "by Pulser"}:
            samples: NDArray[np.float64] = self._built().samples.as_array(detach=True)
            return samples
        if self._kind == "constant":
            return np.full(duration, self._numbers[1]())
        start, stop = self._numbers[1](), self._numbers[2]()
        slope = (stop - start) / (duration - 1)
        return np.clip(slope * np.arange(duration, dtype=float) + start, min(start, stop), max(start, stop))

    def _built(self) -> Any:
        return self._source if self._kind == "built" else self._source.build()
