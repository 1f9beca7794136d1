"""Atoms at their places, with the traps of the layout, a scale in µm, and optionally a value in each."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from pcs_runner.results.charts.axes import Box, value_text
from pcs_runner.results.charts.heat import BAR_ROOM, colour_bar
from pcs_runner.results.charts.svg import Picture, element, short, text, text_width
from pcs_runner.results.charts.theme import shade

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAMED_AT_MOST = 64
_BONDS_PER_ATOM = 3
_DRAWN_AT_MOST = 4000
_TILT = (0.45, 0.3)
"""How far the third dimension goes right and up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Atoms:
    """A register.

    Attributes:
        places: Atom -> coordinates in µm, two or three; empty for a register that is only mappable.
        traps: Coordinates of the layout's traps.
        masked: Atoms under the SLM mask.
        names: Of all atoms, also where they have no places.
    """

    places: Mapping[str, tuple[float, ...]]
    traps: Sequence[tuple[float, ...]] = ()
    masked: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, sequence: str | Mapping[str, Any]) -> Atoms:
        """The register of a sequence in Pulser's abstract representation (a JSON string, or what it holds)."""
        body = json.loads(sequence) if isinstance(sequence, str) else sequence
        rows = body.get("register", [])
        names = tuple(str(row.get("name", row.get("qid"))) for row in rows)
        places = {
            name: tuple(float(row[axis]) for axis in "xyz" if axis in row)
            for name, row in zip(names, rows, strict=True)
            if "x" in row
        }
        traps = body.get("layout", {}).get("coordinates", [])
        masked = frozenset(str(name) for name in body.get("slm_mask_targets", []))
        return cls(places=places, traps=[tuple(map(float, trap)) for trap in traps], masked=masked, names=names)


def draw_register(
    atoms: Atoms,
    *,
    title: str,
    description: str = "",
    values: Mapping[str, float] | None = None,
    value_label: str = "",
    bond_um: float | None = None,
    width: float = 340,
) -> Picture:
    """The register.

    Args:
        atoms: What to draw.
        title: Of the picture.
        description: For those who do not see it; default: how many atoms, and how far apart.
        values: Atom -> 0 to 1, as colour.
        value_label: What the colour means.
        bond_um: Pairs nearer than this are joined by a line, in µm.
        width: In pixels.
    """
    description = description or describe(atoms)
    if not atoms.places:
        words = f"{len(atoms.names)} atoms; each job binds them to traps"
        return Picture(width=width, height=26, body=text(0, 16, words, class_="m"), title=title, description=description)
    spots = {name: _flat(place) for name, place in atoms.places.items()}
    traps = [_flat(trap) for trap in atoms.traps][:_DRAWN_AT_MOST]
    top = 24.0 if value_label else 6.0
    room = width - (BAR_ROOM if values is not None else 12)
    zoom, (left, high), (broad, tall) = _fit([*spots.values()], room - 40, 250)
    place = {
        name: (20 + (room - 40 - broad) / 2 + (x - left) * zoom, top + 20 + (high - y) * zoom) for name, (x, y) in spots.items()
    }
    bottom = top + 40 + tall
    holes = [(20 + (room - 40 - broad) / 2 + (x - left) * zoom, top + 20 + (high - y) * zoom) for x, y in traps]
    radius = _radius(list(place.values()))
    parts = [text(0, 13, value_label)] if value_label else []
    parts.append(_dots([(x, y) for x, y in holes if 3 < x < room - 3 and top + 3 < y < bottom - 3]))
    parts.append(_bonds(atoms, place, bond_um))
    parts += [_atom(atoms, name, spot, radius, values) for name, spot in _back_to_front(atoms, place)]
    ruler = _ruler(zoom, bottom + 10, room)
    bar = (
        colour_bar(Box(left=0, top=top + 8, right=width - BAR_ROOM, bottom=max(bottom - 4, top + 70)), 0, 1)
        if values is not None
        else ""
    )
    height = max(bottom + 30, top + 78 if values is not None else 0)
    return Picture(width=width, height=height, body="".join(parts) + ruler + bar, title=title, description=description)


def describe(atoms: Atoms) -> str:
    """How many atoms there are and how near the nearest are, in a sentence."""
    count = len(atoms.names) or len(atoms.places)
    nearest = nearest_um(atoms)
    words = "1 atom" if count == 1 else f"{count} atoms"
    if nearest is not None:
        words += f", the nearest {value_text(nearest)} µm apart"
    return words + (f", on a layout of {len(atoms.traps)} traps." if atoms.traps else ".")


def nearest_um(atoms: Atoms) -> float | None:
    """The smallest distance between two atoms in µm; None for one atom, or without places."""
    places = list(atoms.places.values())[: _DRAWN_AT_MOST // 8]
    return min((math.dist(a, b) for a, b in combinations(places, 2)), default=None)


def _flat(place: tuple[float, ...]) -> tuple[float, float]:
    x, y, *rest = place
    z = rest[0] if rest else 0.0
    return x + _TILT[0] * z, y + _TILT[1] * z


def _fit(
    spots: Sequence[tuple[float, float]], width: float, height: float
) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """Pixels per µm, the left upper corner in µm, and the size in pixels."""
    left, right = min(x for x, _ in spots), max(x for x, _ in spots)
    low, high = min(y for _, y in spots), max(y for _, y in spots)
    zoom = min(width / max(right - left, 1e-9), height / max(high - low, 1e-9), 12.0)
    return zoom, (left, high), ((right - left) * zoom, (high - low) * zoom)


def _radius(spots: Sequence[tuple[float, float]]) -> float:
    nearest = min((math.dist(a, b) for a, b in combinations(spots[:200], 2)), default=40.0)
    return min(15.0, max(2.0, 0.34 * nearest))


def _dots(spots: Sequence[tuple[float, float]]) -> str:
    return "".join(element("circle", cx=x, cy=y, r=2.0, class_="trap") for x, y in spots)


def _bonds(atoms: Atoms, place: Mapping[str, tuple[float, float]], bond_um: float | None) -> str:
    names = list(atoms.places)
    if bond_um is None or len(names) > _NAMED_AT_MOST:
        return ""
    near = [(a, b) for a, b in combinations(names, 2) if math.dist(atoms.places[a], atoms.places[b]) < bond_um]
    if not near or len(near) > _BONDS_PER_ATOM * len(names):
        return ""
    lines = (f"M{short(place[a][0])} {short(place[a][1])}L{short(place[b][0])} {short(place[b][1])}" for a, b in near)
    return element("path", d="".join(lines), class_="bond", stroke_width=2)


def _back_to_front(atoms: Atoms, place: Mapping[str, tuple[float, float]]) -> list[tuple[str, tuple[float, float]]]:
    depth = {name: -(where[2] if len(where) > 2 else 0.0) for name, where in atoms.places.items()}
    return sorted(place.items(), key=lambda entry: depth[entry[0]])


def _atom(atoms: Atoms, name: str, spot: tuple[float, float], radius: float, values: Mapping[str, float] | None) -> str:
    x, y = spot
    value = None if values is None else values.get(name)
    colour, ink = shade(value) if value is not None else (None, None)
    class_ = "atom" if colour else "atom f0"
    parts = [element("circle", cx=x, cy=y, r=radius, class_=class_, fill=colour)]
    if name in atoms.masked:
        parts.append(element("circle", cx=x, cy=y, r=radius + 3.5, class_="rule none", stroke_dasharray="3 2"))
    word = name if value is None else f"{value:.2f}"
    if len(atoms.places) <= _NAMED_AT_MOST and text_width(word, 10) < 2 * radius + 5:
        style = None if ink is None else f"fill:{ink}"
        parts.append(text(x, y + 3.5, word, anchor="middle", class_="small on", style=style))
    elif len(atoms.places) <= _NAMED_AT_MOST and value is None and radius >= 5:
        parts.append(text(x, y + radius + 11, word, anchor="middle", class_="small m"))
    return "".join(parts)


def _ruler(zoom: float, y: float, room: float) -> str:
    """A length of a round number of µm."""
    limit = min(room / 3, 110) / zoom
    power = 10.0 ** math.floor(math.log10(limit))
    length = max(factor * power for factor in (1, 2, 5) if factor * power <= limit)
    pixels = length * zoom
    bar = f"M8 {short(y)}v8m0-4h{short(pixels)}m0-4v8"
    return element("path", d=bar, class_="rule") + text(8 + pixels + 8, y + 8, f"{value_text(length)} µm", class_="m")
