"""Bitstrings as bars with their shot noise: the most frequent ones of a job, or of a point in two runs."""

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


def paired_bars(
    rows: Sequence[tuple[str, Sequence[tuple[float, float, float]]]],
    labels: Sequence[str],
    *,
    title: str,
    description: str,
    width: float = 340,
) -> Picture:
    """Bars of several runs below each other for each bitstring.

    Args:
        rows: Bitstring, and for each run its probability with the lower and upper end of its error bar.
        labels: Of the runs.
        title: Of the picture.
        description: For those who do not see it.
        width: In pixels.
    """
    longest = max((len(bits) for bits, _ in rows), default=1)
    beside = longest <= _BESIDE
    left = text_width("0" * longest, 12) + 12 if beside else 0.0
    room = width - left - 50
    top = max((high for _, bars in rows for _, _, high in bars), default=1.0) or 1.0
    body, x, y = [], 0.0, 24.0
    for number, label in enumerate(labels):
        body += [element("rect", x=x, y=3.0, width=11.0, height=11.0, class_=f"f{number}"), text(x + 16, 13, label)]
        x += 30 + text_width(label, 12)
    for bits, bars in rows:
        middle = y + 6 * len(bars) + 4
        body.append(
            text(0, middle if beside else y + 10, _shortened(bits), class_="mono" if longest <= _LONGEST * 0.8 else "mono small")
        )
        y += 0 if beside else 14
        for number, (probability, low, high) in enumerate(bars):
            body.append(
                element(
                    "rect", x=left, y=y + 1, width=max(0.6, room * probability / top), height=10.0, class_=f"f{number}", rx=1.5
                )
            )
            ends = (left + room * low / top, left + room * high / top)
            body.append(element("path", d=f"M{short(ends[0])} {short(y + 6)}H{short(ends[1])}", class_="rule"))
            body.append(text(max(ends[1], left + room * probability / top) + 6, y + 10, f"{probability:.3f}", class_="small"))
            y += 12
        y += 7
    return Picture(width=width, height=y, body="".join(body), title=title, description=description)


def _shortened(bits: str) -> str:
    half = _LONGEST // 2
    return bits if len(bits) <= _LONGEST else f"{bits[:half]}…{bits[-half + 1 :]}"
