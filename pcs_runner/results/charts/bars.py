"""The most frequent bitstrings as bars with their shot noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcs_runner.results.charts.svg import Picture, element, short, text, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROW = 22.0
_BESIDE = 14
"""A longer bitstring stands above its bar instead of beside it."""
_LONGEST = 52


def bitstring_bars(
    bars: Sequence[tuple[str, float, float, float, int]], *, title: str, description: str, width: float = 340
) -> Picture:
    """Bars from 0 to the largest probability.

    Args:
        bars: Bitstring, probability, lower and upper end of its error bar, count.
        title: Of the picture.
        description: For those who do not see it.
        width: In pixels.
    """
    longest = max((len(bar[0]) for bar in bars), default=1)
    beside = longest <= _BESIDE
    left = text_width("0" * longest, 12) + 12 if beside else 0.0
    row = _ROW if beside else 1.75 * _ROW
    room = width - left - 100
    top = max((bar[3] for bar in bars), default=1.0) or 1.0
    body, y = [], 4.0
    for bits, probability, low, high, count in bars:
        size = None if longest <= _LONGEST * 0.8 else 10
        body.append(text(0, y + 12, _shortened(bits), class_="mono small" if size else "mono"))
        at = y if beside else y + _ROW * 0.75
        length = room * probability / top
        body.append(element("rect", x=left, y=at + 1, width=max(0.6, length), height=14.0, class_="f0", rx=1.5))
        ends = (left + room * low / top, left + room * high / top)
        body.append(element("path", d=f"M{short(ends[0])} {short(at + 8)}H{short(ends[1])}", class_="rule"))
        body.append(text(max(ends[1], left + length) + 6, at + 12, f"{probability:.3f}", class_=None))
        body.append(text(max(ends[1], left + length) + 50, at + 12, f"{count}", class_="m"))
        y += row
    return Picture(width=width, height=y + 4, body="".join(body), title=title, description=description)


def _shortened(bits: str) -> str:
    half = _LONGEST // 2
    return bits if len(bits) <= _LONGEST else f"{bits[:half]}…{bits[-half + 1 :]}"
