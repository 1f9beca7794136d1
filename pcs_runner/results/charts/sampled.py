"""A built `pulser.Sequence` as plain curves, from Pulser's own sampler."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_TOLERANCE = 0.004
"""Points nearer than this to the line through their neighbours are left out; of the range of the curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What a channel does in one quantity.

    Attributes:
        name: `amplitude`, `detuning` or `phase`.
        unit: `rad/µs` or `rad`.
        points: Time in ns and value; straight lines between them are the samples, to less than a pixel.
    """

    name: str
    unit: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A declared channel.

    Attributes:
        name: As declared.
        kind: Its id on the device, with its basis.
        curves: Amplitude and detuning; the phase where it is not 0.
        targets: When a local channel begins to point at which atoms: time in ns, their names.
        eom: Intervals in EOM mode, in ns.
    """

    name: str
    kind: str
    curves: Sequence[Curve]
    targets: Sequence[tuple[float, str]] = ()
    eom: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """A sequence.

    Attributes:
        duration_ns: Of the whole.
        channels: In the order of their declaration.
        largest_amplitude: Of any Rydberg channel, in rad/µs; 0 without one.
        measurement: Basis, or an empty text.
    """

    duration_ns: int
    channels: Sequence[Channel]
    largest_amplitude: float = 0.0
    measurement: str = ""


def sampled(sequence: Any) -> Sampled:
    """Sample a built sequence.

    Args:
        sequence: A `pulser.Sequence` without open variables.

    Raises:
        ValueError: Pulser cannot sample it: nothing is in it.
    """
    from pulser.sampler import sample

    samples = sample(sequence)
    declared = sequence.declared_channels
    channels = [
        _channel(name, declared.get(name), one, samples.max_duration)
        for name, one in zip(samples.channels, samples.samples_list, strict=True)
    ]
    rydberg = [name for name, channel in declared.items() if getattr(channel, "basis", "") == "ground-rydberg"]
    largest = max((float(_array(samples.channel_samples[name].amp).max(initial=0.0)) for name in rydberg), default=0.0)
    measured = sequence.get_measurement_basis() if sequence.is_measured() else ""
    return Sampled(duration_ns=int(samples.max_duration), channels=channels, largest_amplitude=largest, measurement=measured)


def _channel(name: str, declared: Any, samples: Any, duration: int) -> Channel:
    curves = []
    for label, unit, values in (
        ("amplitude", "rad/µs", samples.amp),
        ("detuning", "rad/µs", samples.det),
        ("phase", "rad", samples.phase),
    ):
        array = _array(values)
        wanted = label == "detuning" if name.startswith("dmm_") else label != "phase" or bool(abs(array).max(initial=0) > 1e-9)
        if wanted:
            curves.append(Curve(name=label, unit=unit, points=_thinned(array, duration)))
    local = getattr(declared, "addressing", "") == "Local"
    return Channel(
        name=name,
        kind=", ".join(str(part) for part in (getattr(declared, "addressing", ""), getattr(declared, "basis", "")) if part),
        curves=curves,
        targets=_targets(samples.slots) if local and not name.startswith("dmm_") else (),
        eom=[(float(block.ti), float(block.tf if block.tf is not None else duration)) for block in samples.eom_blocks],
    )


def _targets(slots: Sequence[Any]) -> list[tuple[float, str]]:
    """When the targets change."""
    found: list[tuple[float, str]] = []
    for slot in slots:
        names = ", ".join(sorted(map(str, slot.targets)))
        if not found or found[-1][1] != names:
            found.append((float(slot.ti), names))
    return found


def _array(values: Any) -> NDArray[Any]:
    import numpy as np

    return np.asarray(values.as_array() if hasattr(values, "as_array") else values, dtype=np.float64)


def _thinned(values: NDArray[Any], duration: int) -> list[tuple[float, float]]:
    """The corners of a curve: runs of samples that lie on a line become two points; jumps stay jumps.

    Samples hold for 1 ns, so a jump between two samples stands at the second.
    """
    samples = values.tolist()
    if not samples:
        return [(0.0, 0.0), (float(duration), 0.0)]
    spread = max(samples) - min(samples)
    tolerance = _TOLERANCE * spread or math.inf
    points: list[tuple[float, float]] = []
    for start, stop in _pieces(samples, spread):
        points += [(float(at), samples[at]) for at in _corners(samples, start, stop - 1, tolerance)]
        points.append((float(stop), samples[stop - 1]))
    if len(samples) < duration:
        points += [(float(len(samples)), 0.0), (float(duration), 0.0)]
    return points


def _pieces(samples: Sequence[float], spread: float) -> list[tuple[int, int]]:
    """Where the curve jumps by more than its own slope explains it is cut."""
    steps = [b - a for a, b in pairwise(samples)]
    cuts = [0]
    for at, step in enumerate(steps, start=1):
        before = abs(steps[at - 2]) if at > 1 else 0.0
        after = abs(steps[at]) if at < len(steps) else 0.0
        if abs(step) > 0.03 * spread and abs(step) > 3 * max(before, after):
            cuts.append(at)
    return list(pairwise([*cuts, len(samples)]))


def _corners(samples: Sequence[float], start: int, stop: int, tolerance: float) -> list[int]:
    """Douglas and Peucker's selection on the samples from start to stop, both included."""
    kept, stack = {start, stop}, [(start, stop)]
    while stack:
        a, b = stack.pop()
        if b - a < 2:
            continue
        slope = (samples[b] - samples[a]) / (b - a)
        worst, at = max((abs(samples[i] - samples[a] - slope * (i - a)), i) for i in range(a + 1, b))
        if worst > tolerance:
            kept.add(at)
            stack += [(a, at), (at, b)]
    return sorted(kept)
