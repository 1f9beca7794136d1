"""Why Pulser refuses a register, with the numbers: how close, how far, how many."""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAMES = re.compile(r"'([^']*)'|(?<![\w.'])(\d+)(?![\w.'])")


def register_clause(text: str, places: Mapping[str, Sequence[float]], device: Mapping[str, Any]) -> str | None:
    """What is wrong with a register, or None where Pulser's words say it all.

    Args:
        text: What Pulser said.
        places: Coordinates of the atoms in µm; empty where they are not known.
        device: Spec of the device.
    """
    name = device["name"]
    if "minimal distance between" in text:
        return _too_close(text, places, name, device.get("min_atom_distance"))
    if "away from the center" in text:
        return _too_far(text, places, name, device.get("max_radial_distance"))
    if found := re.search(r"number of atoms \((\d+)\) must be less .* \((\d+)\)", text):
        return f"{found[1]} atoms, {name} allows {found[2]}"
    if found := re.search(r"too (many|few) qubits \((\d+)\).* at (most|least) (\d+) qubits", text):
        verb, key = ("fills", "max_layout_filling") if found[1] == "many" else ("asks for", "min_layout_filling")
        limit = f"{found[4]} of its traps at {found[3]}" if found[1] == "many" else f"at least {found[4]}"
        share = f" ({key} {device[key]:.6g})" if device.get(key) is not None else ""
        return f"{found[2]} atoms on a layout of which {name} {verb} {limit}{share}"
    if found := re.search(r"at (most|least) (\d+) traps; .* has (?:only )?(\d+)", text):
        return f"the layout has {found[3]} traps, {name} takes at {found[1]} {found[2]}"
    if found := re.search(r"at most (\d)D vectors|layouts of at most (\d) dimensions", text):
        return f"the atoms have three coordinates, {name} takes {found[1] or found[2]}"
    return None


def _too_close(text: str, places: Mapping[str, Sequence[float]], device: str, limit: Any) -> str:
    pairs = re.findall(r"\(('[^']*'|\d+), ('[^']*'|\d+)\)", text)
    if not places or not pairs or "between traps" in text:
        what = "traps" if "between traps" in text else "atoms"
        first = " and ".join(name.strip("'") for name in pairs[0]) if pairs else what
        return f"{first} are closer than {device} allows, {_um(limit)}{_more(len(pairs) - 1, 'pair')}"
    named = [(a.strip("'"), b.strip("'")) for a, b in pairs]
    known = [pair for pair in named if pair[0] in places and pair[1] in places] or list(itertools.combinations(places, 2))
    closest = min(known, key=lambda pair: math.dist(places[pair[0]], places[pair[1]]))
    distance = math.dist(places[closest[0]], places[closest[1]])
    apart = f"{closest[0]} and {closest[1]} are {_um(distance)} apart"
    return f"{apart}, {device} asks for {_um(limit)}{_more(len(pairs) - 1, 'pair')}"


def _too_far(text: str, places: Mapping[str, Sequence[float]], device: str, limit: Any) -> str:
    named = [one[0] or one[1] for one in _NAMES.findall(text.split("for:", 1)[-1])]
    what = "atom" if "All atoms" in text else "trap"
    if not places or what == "trap":
        first = f"{what} {named[0]}" if named else f"a {what}"
        return f"{first} is too far from the centre, {device} allows {_um(limit)}{_more(len(named) - 1, what)}"
    farthest = max(places, key=lambda one: math.hypot(*places[one]))
    distance = _um(math.hypot(*places[farthest]))
    return f"{farthest} is {distance} from the centre, {device} allows {_um(limit)}{_more(len(named) - 1, what)}"


def _um(value: Any) -> str:
    return f"{float(value):.6g} µm" if isinstance(value, int | float) else str(value)


def _more(count: int, what: str) -> str:
    return f" (and {count} more {what}{'s' if count > 1 else ''})" if count > 0 else ""
