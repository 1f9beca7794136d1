"""The labelled dataset: in memory for xarray, or written to netCDF slab by slab; both are filled by the same code.

The counts are a tidy table over the dimension `row`: `counts_index` (index of the job), `counts_bitstring` and `counts`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pcs_runner.results import jsonl
from pcs_runner.results.durable import replacing
from pcs_runner.results.layout import ROW, Layout
from pcs_runner.results.survey import survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import xarray
    from numpy.typing import NDArray

    from pcs_runner.results.layout import Kind
    from pcs_runner.results.record import JobRecord
    from pcs_runner.results.source import Source

SLAB_VALUES = 400_000
"""Values that are in memory before they are written, of all variables together."""
SLAB_POINTS = 1000
ROWS_A_CHUNK = 8192
"""Of the table of counts; netCDF's own choice is 16 MB, which each slab would read, change and compress again."""
CHUNK_CACHE = 1 << 16
"""Bytes; netCDF's own default is 16 MB for each variable, and slabs are whole chunks already."""

COUNTS = {
    "counts_index": "index of the job",
    "counts_bitstring": "bits of the atoms; leftmost: first atom of the job's register",
    "counts": "number of shots with this bitstring",
}
CHARACTERS = "counts_bitstring_character"


class Target(Protocol):
    """An array in memory or a variable in a file."""

    def __setitem__(self, index: Any, value: Any, /) -> None: ...


def to_xarray(source: Source) -> xarray.Dataset:
    """The dataset in memory, equal to what xarray reads from the file that `write_netcdf` writes."""
    import xarray

    layout = _layout(source)
    arrays = {name: one.empty(layout.shape(one)) for name, one in layout.variables.items()}
    table = {
        "counts_index": np.zeros(layout.dims[ROW], dtype=np.int64),
        "counts_bitstring": np.full(layout.dims[ROW], "", dtype=object),
        "counts": np.zeros(layout.dims[ROW], dtype=np.int64),
    }
    _fill(layout, source, {**arrays, **table})
    data: dict[str, Any] = {}
    coordinates: dict[str, Any] = {name: ((name,), _label(values), layout.units(name)) for name, values in layout.labels.items()}
    for name, one in layout.variables.items():
        place = coordinates if one.coordinate else data
        place[name] = ((*layout.points, *one.dims), _read(arrays.pop(name), one.kind), dict(one.attributes))
    data |= {name: ((ROW,), values, {"long_name": COUNTS[name]}) for name, values in table.items()}
    return xarray.Dataset(data, coordinates, dict(source.attributes))


def write_netcdf(path: Path, source: Source) -> None:
    """Write the dataset as netCDF 4, compressed; memory does not grow with the number of jobs but for the labels of axes.

    Args:
        path: The file, replaced atomically.
        source: The records.

    Raises:
        OSError: The disk is full or not writable; the file is as it was.
    """
    import netCDF4

    layout = _layout(source)
    with replacing(path) as stream, netCDF4.Dataset(stream.name, "w") as file:
        for name, size in {**layout.dims, CHARACTERS: max(1, layout.bits)}.items():
            file.createDimension(name, size)
        file.setncatts(dict(source.attributes))
        file.coordinates = " ".join(name for name, one in layout.variables.items() if one.coordinate)
        for name, values in layout.labels.items():
            labels = _label(values)
            made = file.createVariable(name, str if labels.dtype.kind in "UO" else labels.dtype, (name,))
            made.setncatts(layout.units(name))
            made[:] = labels
        _fill(layout, source, _declared(file, layout))


def _declared(file: Any, layout: Layout) -> dict[str, Target]:
    """The variables of a file."""
    types: dict[Kind, Any] = {"float": "f8", "integer": "i8", "text": str, "bit": "i1"}
    fills: dict[Kind, Any] = {"float": np.nan, "bit": -1}
    chunk = _chunk(tuple(layout.points.values()), _points_at_once(layout))
    made: dict[str, Target] = {}
    for name, one in layout.variables.items():
        chunks = (*chunk, *(layout.dims[dim] for dim in one.dims))
        options = {} if one.kind == "text" else {"zlib": True, "complevel": 1, "fill_value": fills.get(one.kind)}
        variable = file.createVariable(
            name, types[one.kind], (*layout.points, *one.dims), chunksizes=chunks if all(chunks) else None, **options
        )
        variable.setncatts(dict(one.attributes))
        made[name] = variable
    for name, told in COUNTS.items():
        text = name == "counts_bitstring"
        dims = (ROW, CHARACTERS) if text else (ROW,)
        sizes = (min(ROWS_A_CHUNK, layout.dims[ROW]), *([max(1, layout.bits)] if text else []))
        options = {"zlib": True, "complevel": 1, "chunksizes": sizes if all(sizes) else None}
        variable = file.createVariable(name, "S1" if text else "i8", dims, **options)
        variable.long_name = told
        if text:
            variable._Encoding = "ascii"  # xarray and netCDF4 then read texts, not characters
        made[name] = _Characters(variable, max(1, layout.bits)) if text else variable
    for variable in file.variables.values():
        variable.set_var_chunk_cache(CHUNK_CACHE)
    return made


class _Characters:
    """Texts put into a variable of single characters.

    Args:
        variable: The variable.
        length: Characters of a text.
    """

    def __init__(self, variable: Any, length: int) -> None:
        self._variable, self._dtype = variable, f"S{length}"

    def __setitem__(self, index: Any, value: NDArray[Any], /) -> None:
        self._variable[index] = value.astype(self._dtype)


def _layout(source: Source) -> Layout:
    return Layout(source, survey(source, locate=source.grid is not None and source.grid.shuffled))


def _fill(layout: Layout, source: Source, targets: Mapping[str, Target]) -> None:
    """Put every record into the targets, a slab of neighbouring points at a time."""
    records = _placed(layout, source)
    pending = next(records, None)
    stop = row = 0
    for index, shape in _slabs(tuple(layout.points.values()), _points_at_once(layout)):
        start, stop = stop, stop + math.prod(shape)
        own = {name: tuple(layout.dims[dim] for dim in one.dims) for name, one in layout.variables.items()}
        blocks = {name: one.empty((stop - start, *own[name])) for name, one in layout.variables.items()}
        counts: list[tuple[int, str, int]] = []
        while pending is not None and pending[0] < stop:
            place, record = pending
            for name, value in layout.values(record).items():
                if value is not None and name in blocks:
                    blocks[name][place - start] = value
            counts += [(record.index, bits, number) for bits, number in record.counts.items()]
            pending = next(records, None)
        for name, block in blocks.items():
            targets[name][(*index, ...)] = block.reshape((*shape, *own[name]))
        if counts:
            for name, values in zip(COUNTS, zip(*counts, strict=True), strict=True):
                targets[name][row : row + len(counts)] = np.array(values)
            row += len(counts)


def _placed(layout: Layout, source: Source) -> Iterator[tuple[int, JobRecord]]:
    """The records with their places, ascending."""
    numbered = ((layout.place(record, number), record) for number, record in enumerate(source.records()))
    if not layout.offsets:
        yield from numbered
        return
    places = np.fromiter((place for place, _ in numbered), dtype=np.int64, count=len(layout.offsets))
    order = np.argsort(places, kind="stable")
    offsets = (layout.offsets[number] for number in order)
    yield from zip(places[order].tolist(), jsonl.read_at(source.results, offsets), strict=True)


def _points_at_once(layout: Layout) -> int:
    """Points of a slab."""
    size = sum(math.prod(layout.dims[dim] for dim in one.dims) for one in layout.variables.values())
    return max(1, min(SLAB_POINTS, SLAB_VALUES // size))


def _split(shape: Sequence[int], most: int) -> tuple[int, int]:
    """The axis along which slabs are cut, and their thickness: with all that is behind it at most `most` points."""
    axis, inner = len(shape) - 1, 1
    while axis > 0 and inner * shape[axis] <= most:
        inner *= shape[axis]
        axis -= 1
    return axis, max(1, min(shape[axis], most // inner))


def _chunk(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    axis, step = _split(shape, most)
    return (*(1,) * axis, step, *shape[axis + 1 :])


def _slabs(shape: tuple[int, ...], most: int) -> Iterator[tuple[tuple[int | slice, ...], tuple[int, ...]]]:
    """Index and shape of slabs that cover an array in C order."""
    axis, step = _split(shape, most)
    for outer in np.ndindex(*shape[:axis]):
        for start in range(0, shape[axis], step):
            stop = min(start + step, shape[axis])
            yield (*outer, slice(start, stop)), (stop - start, *shape[axis + 1 :])


def _label(values: Sequence[Any]) -> NDArray[Any]:
    """Labels as integers, floats or texts."""
    if all(isinstance(value, int | float) for value in values):
        whole = all(isinstance(value, int) for value in values) and values
        return np.array(values, dtype=np.int64 if whole else np.float64)
    return np.array([str(value) for value in values], dtype=object)


def _read(values: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """An array as xarray reads it from a file: texts, and bits as floats where a shot is missing."""
    if kind == "text":
        return values.astype(str) if values.size else values
    return np.where(values < 0, np.float32(np.nan), values).astype(np.float32) if kind == "bit" else values
