"""Scales with round ticks, and the frame of a chart: names, units, grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pcs_runner.results.charts.svg import element, short, text, text_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DENSER = 0.7
"""Ticks may be nearer than asked for by this, so that they do not become half as many where a step is just too small."""

_OVERHANG = 9
"""Pixels right of a frame that every picture has."""

_LOG_RATIO = 20
"""An axis with less between its ends stays linear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Values to pixels.

    Attributes:
        low: Value at `start`.
        high: Value at `stop`.
        start: Pixel.
        stop: Pixel.
        log: Logarithmic; low is positive.
        whole: Ticks are whole numbers.
    """

    low: float
    high: float
    start: float
    stop: float
    log: bool = False
    whole: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value; values outside lie outside."""
        low, high, at = (math.log(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return self.start + (self.stop - self.start) * ((at - low) / (high - low) if high > low else 0.5)

    def ticks(self, about: int) -> list[float]:
        """Round values between low and high, about so many."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if len(decades) <= about else (1,)
            found = [factor * 10.0**decade for decade in decades for factor in steps]
            return [value for value in found if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)]
        return round_ticks(self.low, self.high, about, least=1.0 if self.whole else 0.0)


def round_ticks(low: float, high: float, about: int, *, least: float = 0.0) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten in [low, high], at least `least`; a single value where they are equal."""
    if not high > low:
        return [low]
    raw = max(least, _DENSER * (high - low) / max(1, about))
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """What stands at the ticks of an axis: equal decimals where they are evenly spaced, and a minus instead of a hyphen."""
    steps = {round((b - a) / (ticks[1] - ticks[0]), 6) for a, b in pairwise(ticks)}
    if steps == {1.0} and max(map(abs, ticks)) < 1e5 and (ticks[1] - ticks[0]) > 1e-4:
        decimals = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
        return [with_minus(f"{tick:.{decimals}f}") for tick in ticks]
    return [with_minus(value_text(tick)) for tick in ticks]


def with_minus(words: str) -> str:
    """A number as it is set in print; zero has no sign."""
    return words.lstrip("-") if words.startswith("-") and not words.strip("-0.") else words.replace("-", "−")


def is_geometric(values: Sequence[float]) -> bool:
    """Whether sorted values are spread more evenly in their logarithm."""
    if len(values) < 4 or values[0] <= 0 or values[-1] / values[0] < _LOG_RATIO:
        return False
    steps = [b - a for a, b in pairwise(values)]
    ratios = [math.log(b / a) for a, b in pairwise(values)]
    return max(ratios) / (sum(ratios) / len(ratios)) < max(steps) / (sum(steps) / len(steps))


def value_text(value: object) -> str:
    """A value on an axis or in a sentence: numbers to four digits, lists short."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        if isinstance(value, list | tuple):
            shown = [value_text(item) for item in value[:4]]
            return f"[{', '.join(shown)}{', …' if len(value) > 4 else ''}]"
        if isinstance(value, dict):
            entries = [f"{key}: {value_text(item)}" for key, item in list(value.items())[:3]]
            return f"{{{', '.join(entries)}{', …' if len(value) > 3 else ''}}}"
        words = str(value)
        return words if len(words) <= 24 else f"{words[:23]}…"
    if isinstance(value, int) and abs(value) < 1_000_000:
        return str(value)
    written = f"{value:.4g}"
    if "e" in written:
        mantissa, exponent = written.split("e")
        return f"{mantissa}e{int(exponent)}"
    return written


def point_text(point: Mapping[str, object], units: Mapping[str, str], most: int = 8) -> str:
    """`omega = 6.283 rad/µs, t = 500 ns`, of a job's point."""
    parts = [f"{name} = {value_text(value)}{f' {units[name]}' if name in units else ''}" for name, value in point.items()]
    return ", ".join([*parts[:most], *(["…"] if len(parts) > most else [])])


def axis_text(name: str, unit: str = "") -> str:
    """`t (ns)`."""
    return f"{name} ({unit})" if unit else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The inside of a frame, in pixels; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float


def bottom_axis(box: Box, scale: Scale, label: str, *, names: Sequence[str] = (), grid: bool = True) -> str:
    """The axis below a frame; `names` label the positions 0, 1, ... instead of round values."""
    about = max(2, int((box.right - box.left) / 62))
    marks = _named(scale, names, box) if names else tick_marks(scale, about)
    parts = [element("path", d=f"M{short(x)} {short(box.top)}V{short(box.bottom)}", class_="frame") for x, _ in marks if grid]
    edge = box.right + _OVERHANG  # a word in the middle of the last mark must not leave the picture
    places = [(min(x, edge - text_width(word, 11.5) / 2), word) for x, word in marks]
    parts += [text(x, box.bottom + 15, word, anchor="middle", class_="m") for x, word in places]
    parts.append(text((box.left + box.right) / 2, box.bottom + 32, label, anchor="middle"))
    return "".join(parts)


def left_axis(
    box: Box, scale: Scale, *, about: int = 4, names: Sequence[str] = (), labels: Mapping[float, str] | None = None
) -> str:
    """The axis left of a frame, without its name; `names` label 0, 1, ..., `labels` their values, else round values are shown."""
    labels = labels or dict(enumerate(names))
    marks = [(scale(value), word) for value, word in labels.items()]
    room = (box.bottom - box.top) / 13
    keep = math.ceil(len(marks) / room) if marks else 1
    marks = marks[::keep] or tick_marks(scale, about)
    grid = "" if names else "".join(f"M{short(box.left)} {short(y)}H{short(box.right)}" for y, _ in marks)
    parts = [element("path", d=grid, class_="frame")] if grid else []
    return "".join(parts + [text(box.left - 6, y + 4, word, anchor="end", class_="m") for y, word in marks])


def tick_marks(scale: Scale, about: int) -> list[tuple[float, str]]:
    """Pixels and texts of round values."""
    ticks = scale.ticks(about)
    return [(scale(tick), word) for tick, word in zip(ticks, tick_texts(ticks), strict=True)]


def frame(box: Box) -> str:
    """The frame itself."""
    return element(
        "rect",
        x=float(box.left),
        y=float(box.top),
        width=float(box.right - box.left),
        height=float(box.bottom - box.top),
        class_="frame",
    )


def margin_for(words: Sequence[str], *, least: float = 30) -> float:
    """Room left of a frame for these tick labels."""
    return max([least, *(text_width(word, 11.5) + 12 for word in words)])


def _named(scale: Scale, names: Sequence[str], box: Box) -> list[tuple[float, str]]:
    """Names that fit side by side; every second, third, ... where they do not."""
    room = (box.right - box.left) / max(1, len(names))
    longest = max(text_width(name, 11.5) for name in names) + 8
    keep = max(1, math.ceil(longest / room))
    return [(scale(number), name) for number, name in enumerate(names)][::keep]
