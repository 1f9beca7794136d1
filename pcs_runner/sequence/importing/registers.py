"""A register as Pulser prints it -> the constructor that makes exactly the same atoms, or their coordinates."""

from __future__ import annotations

import json
import re
import warnings
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np

from pcs_runner.sequence.build import THREE_D

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

Section = dict[str, Any]
"""`register`, and `layout` where there is one, as keys of a spec's sequence."""

MOST_ATOMS = 1000
"""Larger registers are not searched for a lattice."""

_DIGITS = (0, 1, 2, 3, 4, 6, 9, 12)
_SLUG = re.compile(r"(\w+)LatticeLayout\((\d+)(?:x(\d+))?, ([\d.]+)(?:x([\d.]+))?µm\)")


def sections(body: Mapping[str, Any], device: Any) -> Iterator[Section]:
    """Ways to write a register, the most readable first; the last is what Pulser prints.

    Args:
        body: The sequence as Pulser prints it.
        device: The `pulser` device of the sequence.
    """
    rows, layout = body["register"], body.get("layout")
    if "qid" in rows[0]:
        yield from _mappable([row["qid"] for row in rows], layout, device)
    else:
        names = [row["name"] for row in rows]
        places = np.array([[row[axis] for axis in "xyz" if axis in row] for row in rows])
        yield from ({"register": one} for one in _constructed(body, names, places, device))
        if layout is None:
            yield {"register": dict(zip(names, places.tolist(), strict=True))}
        else:
            yield from _on_traps(names, places, layout, device)
    yield {"register": rows} | ({} if layout is None else {"layout": layout})


# ---- constructors


def _constructed(body: Mapping[str, Any], names: Sequence[str], places: NDArray[np.float64], device: Any) -> Iterator[Section]:
    """Constructors that give these atoms bit by bit, and with `automatic_layout` also this layout."""
    layout, prefix = body.get("layout"), _prefix(names)
    guesses = _lattices(places) if prefix is not None and len(names) <= MOST_ATOMS else iter(())
    named = {} if prefix in (None, "q") else {"prefix": prefix}
    for name, arguments in guesses:
        made = _made(name, {"prefix": "q", **arguments, **named}, places.shape[1])
        if layout is None and made is not None and _rows(made) == body["register"]:
            yield {name: {**arguments, **named}}
        elif layout is not None and _with_layout(made, device) == (body["register"], layout):
            yield {name: {**arguments, **named}, "automatic_layout": True}
    if layout is not None:
        labels = {"labels": list(names)} if prefix is None else named
        arguments = {"coords": places.tolist(), "center": False, **labels}
        made = _made("from_coordinates", {**({} if labels else {"prefix": "q"}), **arguments}, places.shape[1])
        if _with_layout(made, device) == (body["register"], layout):
            yield {"from_coordinates": arguments, "automatic_layout": True}


def _lattices(places: NDArray[np.float64]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Constructors with arguments that might give these places, the plainest first."""
    count, dimensions = places.shape
    if count < 2:
        return
    steps = [_steps(places[:, axis]) for axis in range(dimensions)]
    sizes = [len(step) + 1 for step in steps]
    for spacing in _rounded(_nearest(places)):
        if dimensions == 3:
            if sizes[0] == sizes[1] == sizes[2]:
                yield "cubic", {"side": sizes[0], "spacing": spacing}
            yield "cuboid", {"rows": sizes[1], "columns": sizes[0], "layers": sizes[2], "spacing": spacing}
            continue
        columns, rows = sizes
        if columns * rows == count:
            if columns == rows:
                yield "square", {"side": rows, "spacing": spacing}
            yield "rectangle", {"rows": rows, "columns": columns, "spacing": spacing}
        if count % rows == 0:
            yield "triangular_lattice", {"rows": rows, "atoms_per_row": count // rows, "spacing": spacing}
        layers = round(((12 * count - 3) ** 0.5 - 3) / 6)
        if count == 1 + 3 * layers * (layers + 1):
            yield "hexagon", {"layers": layers, "spacing": spacing}
    if dimensions == 2 and sizes[0] * sizes[1] == count and all(steps):
        for across, along in product(_rounded(steps[0][0]), _rounded(steps[1][0])):
            yield "rectangular_lattice", {
                "rows": sizes[1], "columns": sizes[0], "row_spacing": along, "col_spacing": across
            }  # fmt: skip


def _made(name: str, arguments: Mapping[str, Any], dimensions: int) -> Any:
    """The register of a constructor, None where Pulser refuses it."""
    from pulser import Register, Register3D

    cls = Register3D if name in THREE_D or dimensions == 3 else Register
    return _quiet(lambda: getattr(cls, name)(**arguments))


def _with_layout(register: Any, device: Any) -> tuple[Any, Any] | None:
    """What Pulser prints for a register on a layout made for the device: rows and layout."""
    made = None if register is None else _quiet(lambda: register.with_automatic_layout(device))
    return None if made is None else (_rows(made), _printed(made)["layout"])


def _rows(register: Any) -> Any:
    return _printed(register)["register"]


def _printed(value: Any) -> dict[str, Any]:
    from pcs_runner.sequence.importing.source import without_versions

    body: dict[str, Any] = without_versions(json.loads(_quiet(value.to_abstract_repr)))
    return body


def _quiet(make: Callable[[], Any]) -> Any:
    """What is made, None where Pulser refuses; its warnings are of no interest to a guess."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return make()
        except Exception:  # noqa: BLE001  Pulser raises several unrelated types
            return None


def _prefix(names: Sequence[str]) -> str | None:
    """The prefix of names that count from 0, None where they do not."""
    prefix = names[0].removesuffix("0")
    return prefix if [f"{prefix}{number}" for number in range(len(names))] == list(names) else None


def _steps(values: NDArray[np.float64]) -> list[float]:
    """Distances between neighbouring distinct values; 1e-6 apart is the same."""
    distinct = np.unique(np.round(values, 6))
    return [float(after - before) for before, after in pairwise(distinct)]


def _nearest(places: NDArray[np.float64]) -> float:
    """The smallest distance between two places."""
    smallest = np.inf
    for number in range(1, len(places)):
        smallest = min(smallest, float(np.linalg.norm(places[number:] - places[number - 1], axis=1).min()))
    return smallest


def _rounded(value: float) -> list[float]:
    """The value with few digits, then with more, then as it is."""
    return list(dict.fromkeys([*(round(value, digits) for digits in _DIGITS), value]))


# ---- layouts


def _on_traps(names: Sequence[str], places: NDArray[np.float64], layout: Mapping[str, Any], device: Any) -> Iterator[Section]:
    from pulser.register.register_layout import RegisterLayout

    traps = RegisterLayout(layout["coordinates"]).get_traps_from_coordinates(*places.tolist())
    arguments: dict[str, Any] = {"trap_ids": [int(trap) for trap in traps]}
    if _prefix(names) != "q":
        arguments["qubit_ids"] = list(names)
    yield from ({"layout": one, "register": {"define_register": arguments}} for one in _layouts(layout, device))
    yield {"layout": layout, "register": dict(zip(names, places.tolist(), strict=True))}


def _mappable(names: Sequence[str], layout: Any, device: Any) -> Iterator[Section]:
    prefix = _prefix(names)
    if prefix is not None:
        arguments = {"n_qubits": len(names)} | ({} if prefix == "q" else {"prefix": prefix})
        yield from ({"layout": one, "register": {"mappable": arguments}} for one in _layouts(layout, device))


def _layouts(layout: Mapping[str, Any], device: Any) -> Iterator[Any]:
    """A layout by its name on the device, by the lattice that gives its traps, and by coordinates."""
    for name, one in getattr(device, "calibrated_register_layouts", {}).items():
        if _printed(one) == layout:
            yield name
    lattice = _lattice(layout)
    if lattice is not None:
        yield lattice
    yield layout


def _lattice(layout: Mapping[str, Any]) -> dict[str, Any] | None:
    """The lattice that a layout's name tells, where it has the same traps."""
    from pulser.register import special_layouts as special

    found = _SLUG.fullmatch(layout.get("slug") or "")
    if found is None:
        return None
    kind, first, second, spacing, other = found.groups()
    if kind == "Triangular" and second is None:
        arguments: dict[str, Any] = {"n_traps": int(first), "spacing": float(spacing)}
        made = _quiet(lambda: special.TriangularLatticeLayout(**arguments))
    elif kind == "Square" and second is not None:
        arguments = {"rows": int(first), "columns": int(second), "spacing": float(spacing)}
        made = _quiet(lambda: special.SquareLatticeLayout(**arguments))
    elif kind == "Rectangular" and second is not None and other is not None:
        arguments = {"rows": int(first), "columns": int(second), "col_spacing": float(spacing), "row_spacing": float(other)}
        made = _quiet(lambda: special.RectangularLatticeLayout(**arguments))
    else:
        return None
    return {kind.lower(): arguments} if made is not None and _printed(made) == layout else None
