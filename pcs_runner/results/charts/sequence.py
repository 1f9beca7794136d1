"""A sequence against time: amplitude, detuning and phase of each channel below each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcs_runner.results.charts.axes import Box, Scale, bottom_axis, frame, margin_for, value_text, with_minus
from pcs_runner.results.charts.svg import Picture, element, path, short, text, text_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pcs_runner.results.charts.sampled import Channel, Curve, Sampled

_HEIGHTS = {"amplitude": 74.0, "detuning": 74.0, "phase": 46.0}
_FLAT = 20.0
"""Height of a panel in which everything is 0."""
_TARGET_ROWS, _TARGET_ROW = 3, 12.0
_SERIES = {"amplitude": 0, "detuning": 1, "phase": 3}

Ranges = dict[tuple[str, str], tuple[float, float]]
"""(channel, quantity) -> lowest and highest value."""


def ranges(sequences: Sequence[Sampled]) -> Ranges:
    """The ranges that hold for all of these sequences, so that drawings can be compared."""
    found: Ranges = {}
    for one in sequences:
        for channel in one.channels:
            for curve in channel.curves:
                values = [value for _, value in curve.points]
                low, high = found.get((channel.name, curve.name), (0.0, 0.0))
                found[channel.name, curve.name] = min(low, *values, 0.0), max(high, *values, 0.0)
    return found


def draw_sequence(
    sequence: Sampled,
    *,
    title: str,
    common: Mapping[tuple[str, str], tuple[float, float]] | None = None,
    end_ns: float | None = None,
    width: float = 340,
) -> Picture:
    """The sequence; values in rad/µs and rad against time.

    Args:
        sequence: What to draw.
        title: Of the picture.
        common: Ranges of `ranges`; default the sequence's own.
        end_ns: Where the time axis ends; default with the sequence.
        width: In pixels.
    """
    common = common or ranges([sequence])
    words = [value_text(value) for low, high in common.values() for value in (low, high)]
    box = Box(left=margin_for(words, least=34), top=0, right=width - 10, bottom=0)
    end = max(1.0, end_ns or sequence.duration_ns)
    micro = end >= 2000
    end /= 1000 if micro else 1
    x = Scale(low=0, high=end, start=box.left, stop=box.right)
    parts, y = [], 0.0
    for channel in sequence.channels:
        parts.append(text(0, y + 13, f"{channel.name} ({channel.kind})" if channel.kind else channel.name, class_="m"))
        y += 22
        if channel.targets:
            names, height = _targets(channel, x, y, 1000 if micro else 1)
            parts.append(names)
            y += height
        for curve in channel.curves:
            values = common[channel.name, curve.name]
            height = _HEIGHTS[curve.name] if values[0] < values[1] else _FLAT
            place = Box(left=box.left, top=y + 14, right=box.right, bottom=y + 14 + height)
            parts.append(_panel(curve, channel, place, x, values, 1000 if micro else 1))
            y = place.bottom + 6
        y += 4
    last = Box(left=box.left, top=y - 10, right=box.right, bottom=y - 8)
    parts.append(bottom_axis(last, x, "time (µs)" if micro else "time (ns)", grid=False))
    return Picture(width=width, height=y + 32, body="".join(parts), title=title, description=describe(sequence))


def describe(sequence: Sampled) -> str:
    """Duration, and the range of each curve, in a sentence."""
    found = ranges([sequence])
    units = {(channel.name, curve.name): curve.unit for channel in sequence.channels for curve in channel.curves}
    curves = [
        f"{name} of {channel} from {value_text(low)} to {value_text(high)} {units[channel, name]}"
        for (channel, name), (low, high) in found.items()
    ]
    measured = f"; measured in the {sequence.measurement} basis" if sequence.measurement else ""
    return f"{sequence.duration_ns} ns; {'; '.join(curves) or 'no channel'}{measured}."


def _panel(curve: Curve, channel: Channel, box: Box, x: Scale, value_range: tuple[float, float], unit_ns: float) -> str:
    low, high = value_range
    flat = high == low
    y = Scale(low=low, high=high if not flat else low + 1, start=box.bottom - 3, stop=box.top + 3)
    number = _SERIES[curve.name]
    places = [(x(at / unit_ns), y(value)) for at, value in curve.points]
    zero = y(0.0)
    blocks = "".join(
        element(
            "rect",
            x=x(a / unit_ns),
            y=box.top,
            width=x(b / unit_ns) - x(a / unit_ns),
            height=box.bottom - box.top,
            class_="f4 shade",
        )
        for a, b in channel.eom
    )
    area = path([(places[0][0], zero), *places, (places[-1][0], zero)], class_=f"f{number} shade")
    marks = [0.0] if flat else sorted({low, 0.0, high})
    marks = [mark for mark in marks if mark == 0 or abs(y(mark) - zero) > 12]
    eom = text(box.right, box.top - 4, "shaded: EOM mode", anchor="end", class_="small m") if channel.eom else ""
    return "".join(
        [
            text(box.left, box.top - 4, f"{curve.name} ({curve.unit})", class_="small m"),
            eom,
            frame(box),
            blocks,
            element("path", d=f"M{short(box.left)} {short(zero)}H{short(box.right)}", class_="frame"),
            area,
            path(places, class_=f"curve s{number}"),
            *(text(box.left - 6, y(mark) + 4, with_minus(value_text(mark)), anchor="end", class_="m") for mark in marks),
        ]
    )


def _targets(channel: Channel, x: Scale, y: float, unit_ns: float) -> tuple[str, float]:
    """Names of the target atoms where they change, in up to three rows as far as there is room, and the height of the rows."""
    parts, free = [text(0, y + 10, "target", class_="small m")], [0.0]
    for at, names in channel.targets:
        left = x(at / unit_ns)
        row = next((row for row, end in enumerate(free) if left >= end), len(free))
        if row == _TARGET_ROWS:
            continue
        free = [*free, 0.0] if row == len(free) else free
        parts.append(text(left, y + 10 + _TARGET_ROW * row, names, class_="small"))
        free[row] = left + text_width(names, 10) + 4
    return "".join(parts), _TARGET_ROW * len(free) + 4
