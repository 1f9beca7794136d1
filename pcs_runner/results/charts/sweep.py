"""What a sweep visits: the value of each name against the job's number, in the order in which jobs run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pcs_runner.results.charts.axes import (
    Box,
    Scale,
    axis_text,
    bottom_axis,
    frame,
    is_geometric,
    left_axis,
    margin_for,
    value_text,
)
from pcs_runner.results.charts.svg import Picture, element, short, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_STRIP = 62.0
_STRIPS = 12
_SHOWN = 1000
_ELEMENTS = 4


@dataclass(slots=True, kw_only=True)
class Strip:
    """The values of one name.

    Attributes:
        name: With its unit.
        unit: Or an empty text.
        values: Job's number and value, ascending; numbers, or anything else that is then told apart by its text.
    """

    name: str
    unit: str = ""
    values: list[tuple[int, object]] = field(default_factory=list)


def collect(
    jobs: Iterable[tuple[int, str, Mapping[str, object]]], total: int, units: Mapping[str, str]
) -> tuple[list[Strip], list[tuple[str, int]]]:
    """What varies over the jobs, at most about a thousand of them for each name, and where groups begin.

    Args:
        jobs: Number, group and point of each job, in order; read once.
        total: Number of jobs.
        units: Name -> unit.
    """
    step = max(1, total // _SHOWN)
    strips: dict[str, Strip] = {}
    first: dict[str, object] = {}
    varied: set[str] = set()
    groups: dict[str, int] = {}
    for number, group, point in jobs:
        groups.setdefault(group, number)
        for name, value in _flat(point):
            if first.setdefault(name, value) != value:
                varied.add(name)
            if number % step == 0:
                strips.setdefault(name, Strip(name=name, unit=units.get(name.split("[")[0], ""))).values.append((number, value))
    return [strip for name, strip in strips.items() if name in varied][:_STRIPS], list(groups.items())


def _flat(point: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The names of a point; a short list of numbers is a name for each element."""
    for name, value in point.items():
        if isinstance(value, list) and len(value) <= _ELEMENTS and all(isinstance(item, int | float) for item in value):
            yield from ((f"{name}[{number}]", item) for number, item in enumerate(value))
        else:
            yield name, value


def draw_sweep(
    strips: Sequence[Strip], groups: Sequence[tuple[str, int]], total: int, *, title: str, width: float = 340
) -> Picture:
    """One strip for each name.

    Args:
        strips: What varies.
        groups: Name of each group and the number of its first job.
        total: Number of jobs.
        title: Of the picture.
        width: In pixels.
    """
    named = [_names(strip) for strip in strips]
    words = [word for names in named for word in names] + [
        value_text(value)
        for strip, names in zip(strips, named, strict=True)
        if not names
        for _, value in strip.values[:1] + strip.values[-1:]
    ]
    left = min(width * 0.4, margin_for(words, least=40))
    x = Scale(low=-0.5, high=max(0.5, total - 0.5), start=left, stop=width - 10)
    parts, y = [], 6.0
    if len(groups) > 1:
        parts.append(_groups(groups, x, 12))
        y = 24.0
    boxes = []
    for strip, names in zip(strips, named, strict=True):
        box = Box(left=left, top=y + 14, right=width - 10, bottom=y + 14 + _STRIP)
        boxes.append(box)
        parts.append(text(left, y + 9, axis_text(strip.name, strip.unit), class_="small m"))
        parts.append(_strip(strip, names, box, x))
        y = box.bottom + 8
    borders = "".join(
        f"M{short(x(first - 0.5))} {short(box.top)}V{short(box.bottom)}" for _, first in groups[1:] for box in boxes
    )
    parts.append(element("path", d=borders, class_="rule thin", stroke_dasharray="3 3") if borders else "")
    end = Box(left=left, top=y - 9, right=width - 10, bottom=y - 8)
    parts.append(bottom_axis(end, x, "job, in the order in which they run", grid=False))
    listed = ", ".join(strip.name for strip in strips) or "nothing"
    description = f"{total} jobs; {listed} {'vary' if len(strips) > 1 else 'varies'}."
    return Picture(width=width, height=y + 34, body="".join(parts), title=title, description=description)


def _strip(strip: Strip, names: Sequence[str], box: Box, x: Scale) -> str:
    if names:
        places = {name: number for number, name in enumerate(names)}
        y = Scale(low=-0.5, high=len(names) - 0.5, start=box.bottom, stop=box.top)
        spots = [(x(job), y(places[value_text(value)])) for job, value in strip.values]
        axis = left_axis(box, y, names=names)
    else:
        numbers = sorted({float(value) for _, value in strip.values})  # type: ignore[arg-type]
        y = Scale(low=numbers[0], high=numbers[-1], start=box.bottom - 6, stop=box.top + 6, log=is_geometric(numbers))
        spots = [(x(job), y(float(value))) for job, value in strip.values]  # type: ignore[arg-type]
        few = [value_text(value) for value in numbers] if len(numbers) <= 3 else []
        axis = left_axis(box, y, about=3, labels=dict(zip(numbers, few, strict=False)))
    size = 5 if len(spots) < 120 else 3 if len(spots) < 400 else 2
    marks = element(
        "path", d="".join(f"M{short(a)} {short(b)}h0" for a, b in spots), class_="dot s0", style=f"stroke-width:{size}px"
    )
    return axis + frame(box) + marks


def _names(strip: Strip) -> list[str]:
    """Labels of values that are no numbers, in the order of their appearance."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for _, value in strip.values):
        return []
    return list(dict.fromkeys(value_text(value) for _, value in strip.values))


def _groups(groups: Sequence[tuple[str, int]], x: Scale, y: float) -> str:
    parts, free = [], 0.0
    for name, first in groups:
        left = x(first - 0.5)
        if left >= free:
            parts.append(text(left + 2, y, name, class_="small"))
            free = left + len(name) * 6 + 8
    return "".join(parts)
