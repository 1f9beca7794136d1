"""Formats that the results of a run are written in: each is a file name and a function over the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pcs_runner.results import jsonl, tables
from pcs_runner.results.durable import replacing
from pcs_runner.results.formats import check_installed
from pcs_runner.results.same import same_bytes, same_netcdf, same_parquet
from pcs_runner.run.derive import source_of
from pcs_runner.run.directory import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format of results.

    Attributes:
        file: Its file in the run folder.
        write: Writes it to a path, from what is recorded in a run folder; the path is replaced atomically.
        same: Whether two files hold the same; OSError or ValueError where one cannot be read.
    """

    file: str
    write: Callable[[RunFolder, Path], None]
    same: Callable[[Path, Path], bool] = same_bytes


def _write_jsonl(folder: RunFolder, path: Path) -> None:
    if path.exists() and path.samefile(folder.results):
        return
    with replacing(path) as stream:
        for record in jsonl.read(folder.results):
            stream.write(f"{record.to_line()}\n".encode())


def _write_csv(folder: RunFolder, path: Path) -> None:
    tables.write_results(path, lambda: jsonl.read(folder.results), folder.atoms())


def _write_counts(folder: RunFolder, path: Path) -> None:
    tables.write_counts(path, jsonl.read(folder.results))


def _write_parquet(folder: RunFolder, path: Path) -> None:
    check_installed(["parquet"])
    from pcs_runner.results.parquet import write_parquet

    write_parquet(path, source_of(folder))


def _write_netcdf(folder: RunFolder, path: Path) -> None:
    check_installed(["netcdf"])
    from pcs_runner.results.dataset import write_netcdf

    write_netcdf(path, source_of(folder))


FORMATS: dict[str, Format] = {
    "jsonl": Format(file="results.jsonl", write=_write_jsonl),
    "csv": Format(file="results.csv", write=_write_csv),
    "counts": Format(file="counts.csv", write=_write_counts),
    "parquet": Format(file="results.parquet", write=_write_parquet, same=same_parquet),
    "netcdf": Format(file="results.nc", write=_write_netcdf, same=same_netcdf),
}
"""By the name that `pcs-run export --to` takes."""
