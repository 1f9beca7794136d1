"""Lines and clouds of points with error bars."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pcs_runner.results.charts.axes import Box, Scale, bottom_axis, frame, is_geometric, left_axis, margin_for, tick_texts
from pcs_runner.results.charts.svg import Picture, element, path, short, text, text_width
from pcs_runner.results.charts.theme import N_SERIES

if TYPE_CHECKING:
    from collections.abc import Sequence

_JOINED_AT_MOST = 400
_BROAD = 500
_FEW = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points that belong together.

    Attributes:
        label: For the legend, empty when there is one series.
        points: x, y, lower and upper end of the error bar, sorted by x.
        look: `both`: marks, joined by a line where the chart joins; `line` or `marks`: only these.
    """

    label: str = ""
    points: Sequence[tuple[float, float, float, float]] = field(default_factory=tuple)
    look: Literal["both", "line", "marks"] = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    """What a line chart shows.

    Attributes:
        title: Of the chart.
        description: For those who do not see it.
        x_label: With its unit.
        y_label: With its unit, above the frame.
        series: At most six.
        names: Labels of the x positions 0, 1, ... where x is no number.
        y_range: Lowest and highest y; default from the points.
        joined: Whether a line joins the points.
    """

    title: str
    description: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    names: Sequence[str] = ()
    y_range: tuple[float, float] | None = None
    joined: bool = True

    @property
    def is_small(self) -> bool:
        """Whether it needs no more than half a page: a few names along the bottom."""
        return 0 < len(self.names) <= _FEW

    def draw(self, width: float = 340) -> Picture:
        """The chart, its legend above the frame."""
        height = min(300.0, 90 + 0.36 * width)
        legend, legend_height = _legend(self.series, width)
        low, high = self.y_range or _range(self.series)
        about = 6 if width > _BROAD else 4
        words = tick_texts(Scale(low=low, high=high, start=0, stop=1).ticks(about))
        box = Box(left=margin_for(words), top=24 + legend_height, right=width - 12, bottom=0)
        box = Box(left=box.left, top=box.top, right=box.right, bottom=box.top + height - 70)
        x, y = self._x_scale(box), Scale(low=low, high=high, start=box.bottom, stop=box.top)
        body = [
            text(0, 13, self.y_label),
            legend,
            bottom_axis(box, x, self.x_label, names=self.names),
            left_axis(box, y, about=about),
            frame(box),
            *(_drawn(number, one, x, y, joined=self.joined) for number, one in enumerate(self.series[:N_SERIES])),
        ]
        return Picture(width=width, height=box.bottom + 40, body="".join(body), title=self.title, description=self.description)

    def _x_scale(self, box: Box) -> Scale:
        if self.names:
            return Scale(low=-0.5, high=len(self.names) - 0.5, start=box.left, stop=box.right)
        values = sorted({point[0] for one in self.series for point in one.points}) or [0.0]
        log = is_geometric(values)
        whole = all(value == int(value) for value in values)
        return Scale(low=values[0], high=values[-1], start=box.left + 8, stop=box.right - 8, log=log, whole=whole)


def _drawn(number: int, one: Series, x: Scale, y: Scale, *, joined: bool) -> str:
    places = [(x(point[0]), y(point[1])) for point in one.points]
    bars = "".join(
        f"M{short(x(at))} {short(y(low))}V{short(y(high))}" for at, _, low, high in one.points if abs(y(low) - y(high)) > 1
    )
    line = one.look == "line" or (one.look == "both" and joined)
    parts = [path(places, class_=f"curve faint s{number}")] if line and 1 < len(places) <= _JOINED_AT_MOST else []
    parts += [element("path", d=bars, class_=f"error s{number}")] if bars else []
    return "".join(parts) + (_marks(number, places) if places and one.look != "line" else "")


def _marks(number: int, places: Sequence[tuple[float, float]]) -> str:
    """Shapes differ as well as colours: disc, square, ring, open square, triangle, diamond."""
    spots = "".join(f"M{short(x)} {short(y)}h0" for x, y in places)
    if number in {0, 2}:
        ring = element("path", d=spots, class_="dot hole") if number else ""
        return element("path", d=spots, class_=f"dot s{number}") + ring
    if number in {1, 3}:
        ring = element("path", d=spots, class_="square hole") if number == 3 else ""
        return element("path", d=spots, class_=f"square s{number}") + ring
    shape = "m0-4.6l4.4 8h-8.8z" if number == 4 else "m0-4.6l4.6 4.6l-4.6 4.6l-4.6-4.6z"
    return element("path", d="".join(f"M{short(x)} {short(y)}{shape}" for x, y in places), class_=f"f{number}")


def _legend(series: Sequence[Series], width: float) -> tuple[str, float]:
    """Marks and labels in rows, and the height that they take."""
    if not any(one.label for one in series):
        return "", 0
    parts, x, y = [], 6.0, 31.0
    for number, one in enumerate(series[:N_SERIES]):
        if not one.points:
            continue
        needed = 14 + text_width(one.label, 11.5) + 10
        if x > 6 and x + needed > width:
            x, y = 6.0, y + 17
        sample = path([(x - 6, y - 4), (x + 5, y - 4)], class_=f"curve s{number}")
        parts += [sample if one.look == "line" else _marks(number, [(x, y - 4)]), text(x + 9, y, one.label)]
        x += needed
    return "".join(parts), y - 12


def _range(series: Sequence[Series]) -> tuple[float, float]:
    lows = [point[2] for one in series for point in one.points] or [0.0]
    highs = [point[3] for one in series for point in one.points] or [1.0]
    low, high = min(lows), max(highs)
    pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return low - pad, high + pad
