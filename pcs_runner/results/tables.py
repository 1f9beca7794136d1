"""`results.csv` and `counts.csv`: what a spreadsheet or pandas reads, made from the records in one pass each."""

from __future__ import annotations

import codecs
import csv
import json
from typing import TYPE_CHECKING, Any

from pcs_runner.results.durable import replacing
from pcs_runner.spec.observables import ERROR_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pcs_runner.results.record import JobRecord

FIRST_COLUMNS = ("index", "group")
LAST_COLUMNS = ("runs", "status", "duration_ns")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_results(path: Path, records: Callable[[], Iterable[JobRecord]], atoms: Mapping[str, Sequence[str]]) -> None:
    """Write one row a job, as `ResultColumns` has it.

    Lists are JSON. Text that a spreadsheet would take for a formula gets a leading apostrophe; numbers stay numbers.

    Args:
        path: The file, replaced atomically.
        records: Gives the records anew at each call; called twice (columns, then rows).
        atoms: Sequence id -> names of its atoms in the order of the bitstrings.

    Raises:
        OSError: The disk is full or not writable; the file is as it was.
    """
    names, observables = names_of(records())
    columns = ResultColumns(names=names, observables=observables, atoms=atoms)
    _write(path, columns.header, ([cell(value) for value in columns.row(record)] for record in records()))


def write_counts(path: Path, records: Iterable[JobRecord]) -> None:
    """Write one row a job and bitstring: index, bitstring, count; the bitstring as `b0101`, so that no reader makes it 101.

    Raises:
        OSError: The disk is full or not writable; the file is as it was.
    """
    rows = ([record.index, f"b{bits}", count] for record in records for bits, count in sorted(record.counts.items()))
    _write(path, ["index", "bitstring", "count"], rows)


def names_of(records: Iterable[JobRecord]) -> tuple[list[str], list[str]]:
    """Names of the points and of the spec's observables of all records, in the order in which they first appear."""
    names: dict[str, None] = {}
    observables: dict[str, None] = {}
    for record in records:
        names.update(dict.fromkeys(record.point))
        observables.update(dict.fromkeys(record.estimates))
    return list(names), list(observables)


class ResultColumns:
    """One row a job: index, group, point, runs, status, duration_ns, mean of each atom's bit, observables with their errors.

    A name of the points that is also a fixed column is called `point_<name>`.

    Args:
        names: Names of the points.
        observables: Names of the spec's observables.
        atoms: Sequence id -> names of its atoms in the order of the bitstrings.
    """

    def __init__(self, *, names: Sequence[str], observables: Sequence[str], atoms: Mapping[str, Sequence[str]]) -> None:
        self._names, self._observables, self._atoms = names, observables, atoms
        self._all_atoms = list(dict.fromkeys(atom for one in atoms.values() for atom in one))

    @property
    def point_columns(self) -> dict[str, str]:
        """Name of the points -> its column."""
        return {name: f"point_{name}" if name in FIRST_COLUMNS + LAST_COLUMNS else name for name in self._names}

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        means = [f"occupation_{atom}" for atom in self._all_atoms]
        observables = [column for name in self._observables for column in (name, f"{name}{ERROR_SUFFIX}")]
        return [*FIRST_COLUMNS, *self.point_columns.values(), *LAST_COLUMNS, *means, *observables]

    def row(self, record: JobRecord) -> list[Any]:
        """The values of a record, in the order of the header; None where there is none."""
        atoms = self._atoms.get(record.sequence, ())
        means: dict[str, float] = {}
        if record.status == "DONE" and record.counts and atoms:
            n_atoms = len(next(iter(record.counts)))  # a mappable register may have fewer atoms than its sequence names
            means = dict(zip(atoms, occupations(record.counts, n_atoms), strict=False))
        row: list[Any] = [record.index, record.group, *(record.point.get(name) for name in self._names)]
        row += [record.runs, record.status, record.duration_ns, *(means.get(atom) for atom in self._all_atoms)]
        for name in self._observables:
            one = record.estimates.get(name, {})
            row += [one.get("value"), one.get("error")]
        return row


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


def _write(path: Path, header: Sequence[str], rows: Iterator[list[Any]]) -> None:
    with replacing(path) as stream:
        table = csv.writer(codecs.getwriter("utf-8")(stream), lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
