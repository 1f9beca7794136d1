"""`results.csv` and `counts.csv`: what a spreadsheet or pandas reads, made from the records in one pass each."""

from __future__ import annotations

import codecs
import csv
import json
from typing import TYPE_CHECKING, Any

from pcs_runner.results.durable import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pcs_runner.results.record import JobRecord

FIRST_COLUMNS = ("index", "group")
LAST_COLUMNS = ("runs", "status", "duration_ns")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_results(path: Path, records: Callable[[], Iterable[JobRecord]], atoms: Mapping[str, Sequence[str]]) -> None:
    """Write one row a job: index, group, point, runs, status, duration_ns and the mean of each atom's bit.

    Lists are JSON. Text that a spreadsheet would take for a formula gets a leading apostrophe; numbers stay numbers. A swept
    name that is also a fixed column is called `point_<name>`.

    Args:
        path: The file, replaced atomically.
        records: Gives the records anew at each call; called twice (columns, then rows).
        atoms: Sequence id -> names of its atoms in the order of the bitstrings.

    Raises:
        OSError: The disk is full or not writable; the file is as it was.
    """
    names = point_names(records())
    all_atoms = _union(atoms.values())
    header = [*FIRST_COLUMNS, *map(_column, names), *LAST_COLUMNS, *(f"occupation_{atom}" for atom in all_atoms)]
    _write(path, header, (_row(record, names, all_atoms, atoms.get(record.sequence, ())) for record in records()))


def write_counts(path: Path, records: Iterable[JobRecord]) -> None:
    """Write one row a job and bitstring: index, bitstring, count; the bitstring as `b0101`, so that no reader makes it 101.

    Raises:
        OSError: The disk is full or not writable; the file is as it was.
    """
    rows = ([record.index, f"b{bits}", count] for record in records for bits, count in sorted(record.counts.items()))
    _write(path, ["index", "bitstring", "count"], rows)


def point_names(records: Iterable[JobRecord]) -> list[str]:
    """Names of the points of all records, in the order in which they first appear."""
    names: dict[str, None] = {}
    for record in records:
        for name in record.point:
            names.setdefault(name)
    return list(names)


def occupations(counts: Mapping[str, int], n_atoms: int) -> list[float]:
    """Mean of each bit over all shots, in the order of the bitstrings.

    Args:
        counts: Bitstring -> count, at least one shot; every bitstring has `n_atoms` characters.
        n_atoms: Number of atoms.
    """
    import numpy as np

    bits = np.frombuffer("".join(counts).encode(), dtype=np.uint8).reshape(len(counts), n_atoms) & 1
    weights = np.fromiter(counts.values(), dtype=np.int64, count=len(counts))
    return [float(mean) for mean in weights @ bits / weights.sum()]


def cell(value: Any) -> Any:
    """A value as a cell: lists and mappings as JSON, text safe for a spreadsheet, None empty, the rest as it is."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_STARTS) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, int | float):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _row(record: JobRecord, names: Sequence[str], all_atoms: Sequence[str], atoms: Sequence[str]) -> list[Any]:
    row: list[Any] = [record.index, cell(record.group)]
    row += [cell(record.point.get(name)) for name in names]
    row += [record.runs, cell(record.status), record.duration_ns]
    means: dict[str, float] = {}
    if record.status == "DONE" and record.counts and atoms:
        means = dict(zip(atoms, occupations(record.counts, len(atoms)), strict=True))
    return row + [means.get(atom) for atom in all_atoms]


def _column(name: str) -> str:
    return f"point_{name}" if name in FIRST_COLUMNS + LAST_COLUMNS else name


def _union(groups: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group))


def _write(path: Path, header: Sequence[str], rows: Iterator[list[Any]]) -> None:
    with replacing(path) as stream:
        table = csv.writer(codecs.getwriter("utf-8")(stream), lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
