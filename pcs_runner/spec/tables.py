"""Files that a spec reads: each stays inside the spec's folder, is read once and is remembered; tables of points among them."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pcs_runner.spec.expression_nodes import INTEGER_LIMIT, Value
from pcs_runner.spec.scalars import RefusedScalarError, plain_value
from pcs_runner.spec.values import IDENTIFIER_PATTERN

MAX_INPUT_BYTES = 256 * 1024 * 1024
TEXT_NAMES = ("variant",)
"""Names whose values are words, not numbers."""

TRAP_NAMES = ("qubits",)
"""Names whose values may be mappings, atom to trap."""

_KINDS = ".csv, .json or .jsonl"


class InputError(Exception):
    """A file that a spec names and that cannot be used.

    Args:
        message: What is wrong, with the file and, inside a table, the line or row.
        hint: What to do now, or empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Points from a file.

    Attributes:
        columns: Name -> values, in the order of the file; numbers of one type are stored as an array.
        rows: Number of points, at least 1.
    """

    columns: Mapping[str, Sequence[Any]]
    rows: int


class Inputs:
    """Reads the files of a spec and remembers them.

    Args:
        folder: The spec's folder; nothing outside it is read, symbolic links included.
        contents: Files that are known already, as a run folder keeps them; these are not read again.

    Attributes:
        contents: Relative path -> bytes, of all that was read.
    """

    def __init__(self, folder: Path, contents: Mapping[str, bytes] | None = None) -> None:
        self._folder = folder
        self.contents: dict[str, bytes] = dict(contents or {})
        self._tables: dict[str, Table] = {}

    def read(self, relative: str) -> bytes:
        """The bytes of a file.

        Args:
            relative: Path from the spec's folder, with `/`.

        Raises:
            InputError: When it is missing, outside the folder, a directory, not a plain file or too large.
        """
        key = _normal(relative)
        if key not in self.contents:
            self.contents[key] = _bytes(self._folder, key)
        return self.contents[key]

    def table(self, relative: str) -> Table:
        """The table in a file, parsed once.

        Raises:
            InputError: As `read`, and when the file is no table of numbers.
        """
        if relative not in self._tables:
            self._tables[relative] = _table(self.read(relative), relative)
        return self._tables[relative]


def read_table(inputs: Inputs, relative: str) -> Table:
    """The table in a `.csv`, `.json` (a list of mappings) or `.jsonl` file: one row a point, numbers or lists of numbers.

    Raises:
        InputError: When the file cannot be read or is no such table; the message says where.
    """
    return inputs.table(relative)


def _normal(relative: str) -> str:
    if not relative or "\0" in relative:
        raise InputError("the path of a file is empty" if not relative else "the path of a file holds a null character")
    if PurePosixPath(relative).is_absolute() or PureWindowsPath(relative).drive or relative.startswith("~"):
        raise InputError(f"{relative}: an absolute path", "write it relative to the spec")
    key = os.path.normpath(relative).replace(os.sep, "/")
    if key == ".." or key.startswith("../"):
        raise _outside(relative)
    return key


def _outside(relative: str) -> InputError:
    return InputError(f"{relative} lies outside the spec's folder", "move it beside the spec")


def _bytes(folder: Path, relative: str) -> bytes:
    try:
        root = folder.resolve()
        path = (root / relative).resolve(strict=True)
        if not path.is_relative_to(root):
            raise _outside(relative)
        if not path.is_file():
            raise InputError(f"{relative} is a directory" if path.is_dir() else f"{relative} is not a plain file")
        with path.open("rb") as file:
            data = file.read(MAX_INPUT_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{relative}: no such file", f"paths are relative to the spec's folder, {folder}") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links
        raise InputError(f"{relative} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_INPUT_BYTES:
        raise InputError(f"{relative} is larger than {MAX_INPUT_BYTES // 1024**2} MB")
    return data


def _table(data: bytes, file: str) -> Table:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: byte {error.start} is not UTF-8", "save the file as UTF-8") from None
    suffix = PurePosixPath(file).suffix.lower()
    if suffix == ".csv":
        return _csv_table(text, file)
    if suffix == ".json":
        return _mapping_table(_json_rows(text, file), file)
    if suffix == ".jsonl":
        return _mapping_table(_jsonl_rows(text, file), file)
    raise InputError(f"{file} is not a {_KINDS} file", f"write the points to a {_KINDS} file")


def _csv_table(text: str, file: str) -> Table:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    blank = 0
    names: list[str] | None = None
    columns: list[_Column] = []
    try:
        for cells in reader:
            where = f"{file}, line {reader.line_num}"
            if not cells:
                blank = blank or reader.line_num
            elif blank:
                raise InputError(f"{file}, line {blank}: an empty line", "remove it")
            elif names is None:
                names = _header(cells, where)
                columns = [_Column(name, _from_text) for name in names]
            else:
                _add_row(columns, cells, where)
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num}: {error}") from None
    return _finished(columns, file)


def _header(cells: Sequence[str], where: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    for name in names:
        if not re.fullmatch(IDENTIFIER_PATTERN, name):
            hint = "separate columns by commas" if ";" in name or "\t" in name else "the first line names the columns"
            raise InputError(f'{where}: "{name}" is not a name', hint)
    for position, name in enumerate(names):
        if name in names[:position]:
            raise InputError(f'{where}: two columns are called "{name}"', "rename one of them")
    return names


def _add_row(columns: Sequence[_Column], cells: Sequence[str], where: str) -> None:
    if len(cells) != len(columns):
        raise InputError(f"{where}: {len(cells)} cells for {len(columns)} columns")
    for column, cell in zip(columns, cells, strict=True):
        column.add(cell, where)


def _json_rows(text: str, file: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    rows = _json(text, file)
    if not isinstance(rows, list):
        raise InputError(f"{file} is not a list of rows", 'write [{"x": 1}, {"x": 2}]')
    for number, row in enumerate(rows, start=1):
        where = f"{file}, row {number}"
        yield where, _mapping(row, where)


def _jsonl_rows(text: str, file: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.rstrip().split("\n") if text.strip() else (), start=1):
        where = f"{file}, line {number}"
        if not line.strip():
            raise InputError(f"{where}: an empty line", "remove it")
        yield where, _mapping(_json(line, where), where)


def _mapping(row: object, where: str) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise InputError(f"{where}: not a mapping of names to values", 'write {"x": 1}')
    return row


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{where}: {reason}") from None


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not a finite number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'"{twice}" stands twice in a row')
    return found


def _mapping_table(rows: Iterable[tuple[str, Mapping[str, Any]]], file: str) -> Table:
    columns: list[_Column] = []
    names: set[str] = set()
    for where, row in rows:
        if not columns:
            columns = [_Column(name, _from_json) for name in _header(list(row), where)]
            names = set(row)
        for name in row.keys() ^ names:
            raise InputError(f'{where}: "{name}" is missing' if name in names else f'{where}: "{name}" is not in the first row')
        for column in columns:
            column.add(row[column.name], where)
    return _finished(columns, file)


def _finished(columns: Sequence[_Column], file: str) -> Table:
    rows = len(columns[0].values) if columns else 0
    if rows == 0:
        raise InputError(f"{file} holds no points")
    return Table(columns={column.name: column.compact() for column in columns}, rows=rows)


class _Column:
    """Values of one name while they are read."""

    def __init__(self, name: str, convert: Callable[[Any], Value]) -> None:
        self.name = name
        self.values: list[Any] = []
        self._convert = _word if name in TEXT_NAMES else _traps if name in TRAP_NAMES else convert

    def add(self, cell: Any, where: str) -> None:
        try:
            self.values.append(self._convert(cell))
        except (ValueError, RefusedScalarError) as error:
            raise InputError(f'{where}, column "{self.name}": {error}') from None

    def compact(self) -> Sequence[Any]:
        kinds = {value.__class__ for value in self.values}
        if kinds == {int}:
            return array("q", self.values)
        return array("d", self.values) if kinds == {float} else tuple(self.values)


def _word(cell: Any) -> Any:
    if not isinstance(cell, str) or not cell.strip():
        raise ValueError(f"{cell!r} is not a word")
    return cell.strip()


def _traps(cell: Any) -> Any:
    """A list of traps, or atom -> trap; as JSON in a CSV file."""
    value = json.loads(cell, parse_constant=_refuse_constant) if isinstance(cell, str) else cell
    if isinstance(value, dict) and value:
        return {name: _scalar(item) for name, item in value.items()}
    return _from_json(value)


def _from_text(cell: str) -> Value:
    text = cell.strip()
    if not text:
        raise ValueError("an empty cell")
    if text[0] == "[":
        return _from_json(json.loads(text, parse_constant=_refuse_constant))
    value = plain_value(text)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f'"{text[:40]}" is not a number')
    return _checked(value)


def _from_json(cell: Any) -> Value:
    if isinstance(cell, list) and cell:
        return tuple([_scalar(item) for item in cell])
    return _scalar(cell)


def _scalar(cell: Any) -> int | float:
    if isinstance(cell, bool) or not isinstance(cell, (int, float)):
        raise ValueError(f"{json.dumps(cell)[:40]} is not a number")
    return _checked(cell)


def _checked(value: float) -> int | float:
    if isinstance(value, int) and not -INTEGER_LIMIT < value < INTEGER_LIMIT:
        raise ValueError("an integer of 2**63 or more")
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value
