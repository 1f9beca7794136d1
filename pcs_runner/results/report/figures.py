"""The charts of a group, from its sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from pcs_runner.results.charts.axes import axis_text, value_text
from pcs_runner.results.charts.heat import HeatMap
from pcs_runner.results.charts.lines import LineChart, Series
from pcs_runner.results.report.names import PASS, is_number
from pcs_runner.results.report.quantities import Quantity, interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pcs_runner.results.report.gather import Cell, GroupSums
    from pcs_runner.results.report.names import Axis

_FACETED_QUANTITIES = 2
_FACETS = 8
"""Small multiples in all; the first quantities are drawn even where they make more."""
_CLOUD_PANELS = 8
_LOW_PROBABILITY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Charts that belong together.

    Attributes:
        charts: Side by side as far as there is room.
        caption: Plain text.
        small: Small multiples: as many side by side as fit.
    """

    charts: Sequence[LineChart | HeatMap]
    caption: str
    small: bool = False


def figures(sums: GroupSums, units: Mapping[str, str]) -> Iterator[Figure]:
    """Every figure of a group; nothing for a single point."""
    kind = sums.arrangement.kind
    if kind == "cloud":
        yield from _clouds(sums, units)
    elif kind != "point":
        yield from _panels(sums)
    if sums.by_atom and len(sums.atoms) > 1:
        yield _by_atom(sums)


def _panels(sums: GroupSums) -> Iterator[Figure]:
    """A panel for each quantity; with facets a row of panels for each of the first quantities."""
    arrangement = sums.arrangement
    drawn = [quantity for quantity in sums.quantities if quantity in sums.cells]
    if not arrangement.facets:
        charts = [
            _panel(sums, quantity, sums.cells[quantity], (), _range(quantity, sums.cells[quantity], arrangement.kind))
            for quantity in drawn
        ]
        yield Figure(charts=charts, caption=_caption(sums))
        return
    places = list(product(*(range(len(axis.places)) for axis in arrangement.facets)))
    shown = drawn[: max(_FACETED_QUANTITIES, _FACETS // len(places))]
    for quantity in shown:
        cells = sums.cells[quantity]
        common = _range(quantity, cells, arrangement.kind)
        slices = [(place, _slice(cells, place)) for place in places]
        charts = [_panel(sums, quantity, part, place, common) for place, part in slices if part]
        yield Figure(charts=charts, caption=_caption(sums) if quantity == shown[-1] else "", small=True)


def _slice(cells: Mapping[Cell, Any], place: tuple[int, ...]) -> dict[Cell, Any]:
    return {cell: mean for cell, mean in cells.items() if cell[: len(place)] == place}


def _panel(
    sums: GroupSums, quantity: Quantity, cells: Mapping[Cell, Any], place: tuple[int, ...], common: tuple[float, float]
) -> LineChart | HeatMap:
    arrangement = sums.arrangement
    values = {cell: interval(quantity, mean) for cell, mean in cells.items()}
    where = ", ".join(axis.where(at) for axis, at in zip(arrangement.facets, place, strict=False))
    title = f"{quantity.label} against {' and '.join(_axis(axis) for axis in (arrangement.x, arrangement.y) if axis)}"
    label = f"{quantity.label}, {where}" if where else quantity.label
    description = _extremes(values, sums, quantity)
    x = arrangement.x
    assert x is not None
    if arrangement.kind == "heat" and arrangement.y is not None:
        y = arrangement.y
        return HeatMap(
            title=f"{title}, {where}" if where else title,
            description=description,
            x_label=_axis(x),
            y_label=_axis(y),
            value_label=label,
            x=[] if x.labels else x.places,
            y=[] if y.labels else y.places,
            x_names=x.labels,
            y_names=y.labels,
            cells={(cell[-1] or 0, cell[-2] or 0): value for cell, (value, _, _) in values.items()},
            value_range=(max(0.0, common[0]), common[1]) if quantity.is_fraction else common,
        )
    return LineChart(
        title=f"{title}, {where}" if where else title,
        description=description,
        x_label=_axis(x),
        y_label=label,
        series=_series(values, x, arrangement.series),
        names=x.labels,
        y_range=common,
        joined=not x.labels,
    )


def _series(values: Mapping[Cell, tuple[float, float, float]], x: Axis, series: Axis | None) -> list[Series]:
    lines: dict[int, list[tuple[float, float, float, float]]] = {}
    for cell, (value, low, high) in sorted(values.items(), key=lambda entry: entry[0][-1] or 0):
        place = cell[-1] or 0
        at = float(place) if x.labels else float(x.places[place])
        lines.setdefault(cell[-3] or 0, []).append((at, value, low, high))
    if series is None:
        return [Series(points=points) for points in lines.values()]
    return [Series(label=series.where(number), points=lines[number]) for number in sorted(lines)]


def _range(quantity: Quantity, cells: Mapping[Cell, Any], kind: str) -> tuple[float, float]:
    """Lines of probabilities go from 0 to 1, or to the next round value for small ones; the rest from lowest to highest."""
    values = [interval(quantity, mean) for mean in cells.values()]
    if kind == "heat":
        found = [one[0] for one in values]
        return (0.0, _round_up(max(found))) if quantity.is_fraction else (min(found), max(found))
    lows, highs = [one[1] for one in values], [one[2] for one in values]
    if quantity.is_fraction:
        top = max(highs)
        return (-0.02, 1.02) if top > _LOW_PROBABILITY else (-0.02 * top, _round_up(top))
    low, high = min(lows), max(highs)
    pad = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
    return low - pad, high + pad


def _round_up(value: float) -> float:
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 1.5, 2, 3, 4, 5, 7.5, 10) if factor * power >= value)


def _extremes(values: Mapping[Cell, tuple[float, float, float]], sums: GroupSums, quantity: Quantity) -> str:
    """Where the quantity is smallest and largest, in a sentence."""
    if not values:
        return "No values."
    low, high = (choose(values, key=lambda cell: values[cell][0]) for choose in (min, max))
    return (
        f"{len(values)} values of {quantity.label}, from {value_text(values[low][0])} at {_where(low, sums)} "
        f"to {value_text(values[high][0])} at {_where(high, sums)}."
    )


def _where(cell: Cell, sums: GroupSums) -> str:
    arrangement = sums.arrangement
    axes = (*arrangement.facets, arrangement.series, arrangement.y, arrangement.x)
    return ", ".join(axis.where(at) for axis, at in zip(axes, cell, strict=True) if axis is not None and at is not None)


def _caption(sums: GroupSums) -> str:
    arrangement = sums.arrangement
    axes = [axis for axis in (*arrangement.facets, arrangement.series, arrangement.y, arrangement.x) if axis is not None]
    sentences = []
    if arrangement.kind == "lines":
        sentences.append("Error bars: shot noise, 68 %.")
    merged = [axis.name for axis in axes if axis.merged]
    if merged:
        sentences.append(f"There are more values of {_listed(merged)} than a chart can show: {_merged_text(axes)}.")
    averaged = ["the passes" if name == PASS else name for name in arrangement.averaged]
    if averaged:
        sentences.append(f"Averaged over {_listed(averaged)}.")
    followers = _followers(sums, {axis.name for axis in axes})
    if followers:
        sentences.append(f"{_listed(followers)} {'follow' if len(followers) > 1 else 'follows'} from the axes.")
    return " ".join(sentences)


def _merged_text(axes: Iterable[Axis]) -> str:
    binned = any(axis.merged and not axis.labels for axis in axes)
    return "neighbours share a mark" if binned else "the first ones are shown"


def _followers(sums: GroupSums, drawn: set[str]) -> list[str]:
    """Names that vary, but only with those that are drawn."""
    names = sums.found.names
    free = {*names.independent(), *drawn, PASS}
    return [name for name, values in names.values.items() if name not in free and len(values.seen) > 1]


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _axis(axis: Axis) -> str:
    return axis_text(axis.name, axis.unit)


def _clouds(sums: GroupSums, units: Mapping[str, str]) -> Iterator[Figure]:
    """The quantity that tells most against every name, one panel each; elements of lists are names of their own."""
    quantity = sums.telling
    runs = sums.arrangement.series
    columns: dict[str, dict[str, list[tuple[float, float, float, float]]]] = {}
    for point, means in sums.cloud:
        if quantity in means:
            place = None if runs is None else runs.place(point.get(runs.name))
            label = "" if runs is None or place is None else runs.where(place)
            estimate = interval(quantity, means[quantity])
            for name, value in _numbers(point, sums.arrangement.cloud):
                columns.setdefault(name, {}).setdefault(label, []).append((value, *estimate))
    panels = {name: [point for part in parts.values() for point in part] for name, parts in columns.items()}
    common = _cloud_range(quantity, panels)
    charts = [
        LineChart(
            title=f"{quantity.label} against {name}",
            description=f"{len(points)} points, {quantity.label} from {value_text(min(p[1] for p in points))} to "
            f"{value_text(max(p[1] for p in points))}.",
            x_label=axis_text(name, units.get(name.split("[")[0], "")),
            y_label=quantity.label,
            series=[Series(label=label, points=sorted(part)) for label, part in columns[name].items()],
            y_range=common,
            joined=False,
        )
        for name, points in list(panels.items())[:_CLOUD_PANELS]
        if len({point[0] for point in points}) > 1
    ]
    if not charts:
        return
    shown = len(sums.cloud)
    part = f" {shown} of {sums.found.done} jobs are shown." if shown < sums.found.done else ""
    yield Figure(
        charts=charts, caption=f"The points form no grid: each panel shows all of them. Error bars: shot noise, 68 %.{part}"
    )


def _cloud_range(
    quantity: Quantity, columns: Mapping[str, Sequence[tuple[float, float, float, float]]]
) -> tuple[float, float] | None:
    if not quantity.is_fraction:
        return None
    top = max((point[3] for points in columns.values() for point in points), default=1.0)
    return (-0.02, 1.02) if top > _LOW_PROBABILITY else (-0.02 * top, _round_up(top))


def _numbers(point: Mapping[str, Any], names: Sequence[str]) -> Iterator[tuple[str, float]]:
    for name in names:
        value = point.get(name)
        if is_number(value):
            yield name, float(value)  # type: ignore[arg-type]
        elif isinstance(value, list):
            yield from ((f"{name}[{number}]", float(item)) for number, item in enumerate(value) if is_number(item))


def _by_atom(sums: GroupSums) -> Figure:
    """Occupation of each atom against the axis."""
    x = sums.arrangement.x
    assert x is not None
    columns = sorted(sums.atoms)
    n_atoms = len(next(iter(sums.atoms.values()))[1])
    cells = {
        (number, n_atoms - 1 - atom): float(sums.atoms[column][1][atom] / sums.atoms[column][0])
        for number, column in enumerate(columns)
        for atom in range(n_atoms)
    }
    chart = HeatMap(
        title=f"occupation of each atom against {_axis(x)}",
        description=f"{n_atoms} atoms, {len(columns)} columns; occupation from {value_text(min(cells.values()))} to "
        f"{value_text(max(cells.values()))}.",
        x_label=_axis(x),
        y_label="atom, in the order of the bitstring",
        value_label="occupation of each atom",
        x=[] if x.labels else [x.places[column] for column in columns],
        x_names=[x.labels[column] for column in columns] if x.labels else [],
        y_names=[str(n_atoms - 1 - row) for row in range(n_atoms)],
        cells=cells,
        value_range=(0.0, 1.0),
        height=min(420.0, 84.0 + 18.0 * n_atoms),
    )
    return Figure(charts=[chart], caption="")
