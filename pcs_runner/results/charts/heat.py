"""Heat maps: a value for each cell of a plane, colours even to the eye, a bar that says what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pcs_runner.results.charts.axes import (
    Box,
    Scale,
    bottom_axis,
    frame,
    is_geometric,
    left_axis,
    margin_for,
    round_ticks,
    tick_marks,
    tick_texts,
)
from pcs_runner.results.charts.svg import Picture, element, short, text
from pcs_runner.results.charts.theme import SEQUENTIAL, shade

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BAR_ROOM = 58.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """What a heat map shows.

    Attributes:
        title: Of the chart.
        description: For those who do not see it.
        x_label: With its unit.
        y_label: With its unit.
        value_label: What the colours mean, above the frame.
        x: Sorted values of the columns; empty where `x_names` says what they are.
        y: Sorted values of the rows, the lowest at the bottom.
        x_names: Labels of columns that are no numbers.
        y_names: Labels of rows that are no numbers, the first at the bottom.
        cells: (column, row) -> value; what is missing stays empty.
        value_range: Of the colours; default that of the cells.
        height: Of the picture, in pixels.
    """

    title: str
    description: str
    x_label: str
    y_label: str
    value_label: str
    cells: Mapping[tuple[int, int], float]
    x: Sequence[float] = ()
    y: Sequence[float] = ()
    x_names: Sequence[str] = ()
    y_names: Sequence[str] = ()
    value_range: tuple[float, float] | None = None
    height: float = 250.0

    @property
    def is_small(self) -> bool:
        """Whether it needs no more than half a page."""
        return False

    def draw(self, width: float = 340) -> Picture:
        """The chart with its colour bar at the right."""
        height = self.height * (1.25 if width > 500 else 1)
        low, high = self.value_range or _range(self.cells.values())
        words = self.y_names or tick_texts(round_ticks(self.y[0], self.y[-1], 5))
        box = Box(left=margin_for(words), top=40, right=width - BAR_ROOM, bottom=height - 40)
        x_edges, y_edges = _edges(self.x, self.x_names), _edges(self.y, self.y_names)
        x = _scale(x_edges, box.left, box.right, log=is_geometric(self.x))
        y = _scale(y_edges, box.bottom, box.top, log=is_geometric(self.y))
        body = [
            text(0, 13, self.value_label),
            text(0, 31, f"↑ {self.y_label}", class_="m"),
            _cells(self.cells, [x(edge) for edge in x_edges], [y(edge) for edge in y_edges], (low, high)),
            bottom_axis(box, x, self.x_label, names=self.x_names, grid=False),
            left_axis(box, y, names=self.y_names) if self.y_names else _ticks(box, y),
            frame(box),
            colour_bar(box, low, high),
        ]
        return Picture(width=width, height=height, body="".join(body), title=self.title, description=self.description)


def colour_bar(box: Box, low: float, high: float) -> str:
    """The colours from low to high, right of a frame."""
    left, height = box.right + 10, (box.bottom - box.top) / len(SEQUENTIAL)
    parts = [
        element("rect", x=left, y=box.bottom - (number + 1) * height, width=10.0, height=height + 0.4, fill=colour)
        for number, colour in enumerate(SEQUENTIAL)
    ]
    scale = Scale(low=low, high=high, start=box.bottom, stop=box.top)
    marks = tick_marks(scale, 3 if box.bottom - box.top < 120 else 5)
    return "".join(parts + [text(left + 14, y + 4, word, class_="m") for y, word in marks])


def _ticks(box: Box, scale: Scale) -> str:
    return "".join(text(box.left - 6, y + 4, word, anchor="end", class_="m") for y, word in tick_marks(scale, 5))


def _cells(
    cells: Mapping[tuple[int, int], float], x: Sequence[float], y: Sequence[float], value_range: tuple[float, float]
) -> str:
    """One path for each colour: a cell costs some twenty bytes."""
    low, high = value_range
    steps: dict[str, list[str]] = {}
    for (column, row), value in cells.items():
        colour, _ = shade((value - low) / (high - low) if high > low else 0.5)
        # Half a pixel more, or the page shines through between the cells.
        steps.setdefault(colour, []).append(
            f"M{short(x[column])} {short(y[row])}H{short(x[column + 1] + 0.3)}V{short(y[row + 1] - 0.3)}H{short(x[column])}z"
        )
    return "".join(element("path", d="".join(parts), fill=colour) for colour, parts in sorted(steps.items()))


def _edges(values: Sequence[float], names: Sequence[str]) -> list[float]:
    """Borders of the cells: half-way between the values."""
    if names:
        return [number - 0.5 for number in range(len(names) + 1)]
    if len(values) == 1:
        return [values[0] - 0.5, values[0] + 0.5]
    if is_geometric(values):
        inner = [(a * b) ** 0.5 for a, b in pairwise(values)]
        return [values[0] ** 2 / inner[0], *inner, values[-1] ** 2 / inner[-1]]
    inner = [(a + b) / 2 for a, b in pairwise(values)]
    return [2 * values[0] - inner[0], *inner, 2 * values[-1] - inner[-1]]


def _scale(edges: Sequence[float], start: float, stop: float, *, log: bool) -> Scale:
    return Scale(low=edges[0], high=edges[-1], start=start, stop=stop, log=log)


def _range(values: object) -> tuple[float, float]:
    found = list(values)  # type: ignore[call-overload]
    return (min(found), max(found)) if found else (0.0, 1.0)
