"""Whether two files of results hold the same, whatever version wrote them; read in parts, memory does not grow with them."""

from __future__ import annotations

import filecmp
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

_ROWS = 1000
_VALUES = 400_000


def same_bytes(one: Path, other: Path) -> bool:
    """Whether the files are equal byte for byte.

    Raises:
        OSError: One cannot be read.
    """
    return filecmp.cmp(one, other, shallow=False)


def same_parquet(one: Path, other: Path) -> bool:
    """Whether schema, provenance and rows are equal; how they are cut into row groups and compressed does not count.

    Raises:
        OSError: One cannot be read.
        ValueError: One is no Parquet file.
    """
    import pyarrow.parquet as pq

    if same_bytes(one, other):
        return True
    with pq.ParquetFile(one) as first, pq.ParquetFile(other) as second:
        if not first.schema_arrow.equals(second.schema_arrow, check_metadata=True):
            return False
        pairs = zip_longest(first.iter_batches(_ROWS), second.iter_batches(_ROWS))
        return all(a is not None and b is not None and a.equals(b) for a, b in pairs)


def same_netcdf(one: Path, other: Path) -> bool:
    """Whether dimensions, attributes and variables are equal; compression does not count, and NaN is NaN.

    Raises:
        OSError: One cannot be read, or is no netCDF file.
    """
    import netCDF4

    if same_bytes(one, other):
        return True
    with netCDF4.Dataset(one) as first, netCDF4.Dataset(other) as second:
        if _told(first) != _told(second):
            return False
        return all(_same_values(variable, second.variables[name]) for name, variable in first.variables.items())


def _told(file: Any) -> tuple[Any, ...]:
    """Everything but the values."""
    dimensions = {name: len(one) for name, one in file.dimensions.items()}
    variables = {name: (one.dimensions, str(one.dtype), _attributes(one)) for name, one in file.variables.items()}
    return dimensions, _attributes(file), variables


def _attributes(owner: Any) -> dict[str, str]:
    return {name: repr(owner.getncattr(name)) for name in owner.ncattrs()}


def _same_values(one: Any, other: Any) -> bool:
    for variable in (one, other):
        variable.set_auto_maskandscale(False)
        variable.set_auto_chartostring(False)
    step = max(1, _VALUES // max(1, int(np.prod(one.shape[1:]))))
    parts = (slice(start, start + step) for start in range(0, one.shape[0], step))
    return all(np.array_equal(one[part], other[part], equal_nan=one.dtype != str and one.dtype.kind == "f") for part in parts)
