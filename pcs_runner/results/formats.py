"""What the formats of results need beyond the installation, and the refusal when it is not there."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from pcs_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGES = {"parquet": ("pyarrow",), "netcdf": ("netCDF4",), "pandas": ("pandas", "pyarrow"), "xarray": ("xarray",)}
"""What a format, or a library's object, needs beyond the installation; all are in the extra `data`."""


def missing(formats: Iterable[str]) -> list[str]:
    """Those of the formats whose packages are not installed."""
    return [name for name in formats if any(find_spec(package) is None for package in PACKAGES.get(name, ()))]


def check_installed(formats: Iterable[str]) -> None:
    """See that formats can be written.

    Raises:
        UsageError: A package is not installed.
    """
    lacking = missing(formats)
    if lacking:
        packages = dict.fromkeys(package for name in lacking for package in PACKAGES[name] if find_spec(package) is None)
        verb = "is" if len(packages) == 1 else "are"
        raise UsageError(
            f"{' and '.join(lacking)} cannot be made: {' and '.join(packages)} {verb} not installed",
            hint="Install the extra: `pip install 'pcs-runner[data]'`.",
        )
