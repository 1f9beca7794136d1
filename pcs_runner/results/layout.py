"""The shape of the labelled dataset: its dimensions, its variables, and what a record puts into them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pcs_runner.results.source import REPETITION
from pcs_runner.results.statistics import Shots, correlations, occupations
from pcs_runner.spec.observables import ERROR_SUFFIX, RESERVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pcs_runner.results.record import JobRecord
    from pcs_runner.results.source import Source
    from pcs_runner.results.survey import Survey

POINT, ATOM, OTHER_ATOM, SHOT, ROW = "point", "atom", "atom_2", "shot", "row"
DONE = "DONE"
CONNECTED = "connected: <n_i n_j> - <n_i><n_j>, n the bit of an atom, <.> the mean over the shots"
JACKKNIFE = "standard error: delete-one jackknife over the shots"

Kind = Literal["float", "integer", "text", "bit"]
_DTYPES: dict[Kind, str] = {"float": "f8", "integer": "i8", "text": "O", "bit": "i1"}
_MISSING: dict[Kind, Any] = {"float": np.nan, "integer": 0, "text": "", "bit": -1}

_TEXTS = ("group", "sequence", "batch_id", "job_id", "started_at", "ended_at")
_INTEGERS = ("runs", "attempt", "point_index", "repetition")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable that has a value at each point.

    Attributes:
        dims: Its own dimensions, after those of the points.
        kind: `float` (missing: NaN), `integer` (0), `text` (empty) or `bit` (-1 in the file, NaN when it is read).
        attributes: For the reader.
        coordinate: Whether it labels the points.
        missing: What stands where there is no record, when it is not the kind's own.
    """

    dims: tuple[str, ...] = ()
    kind: Kind = "float"
    attributes: Mapping[str, str] = field(default_factory=dict)
    coordinate: bool = False
    missing: Any = None

    def empty(self, shape: tuple[int, ...]) -> NDArray[Any]:
        """An array without any value."""
        return np.full(shape, _MISSING[self.kind] if self.missing is None else self.missing, dtype=_DTYPES[self.kind])


class Layout:
    """A dataset before it has values.

    Args:
        source: The records.
        found: What the records have.

    Attributes:
        points: The dimensions of the points: the axes of the grid, or `point`; name -> size.
        dims: All dimensions, name -> size.
        labels: The values of dimensions that have labels.
        variables: Name -> variable, in order; those of the table of counts are not among them.
        bits: Length of the longest bitstring.
        offsets: Byte offset of each record, where they are not in the order of the points.
    """

    def __init__(self, source: Source, found: Survey) -> None:
        self._source, self._found = source, found
        self._grid = source.grid if found.fits else None
        self.bits, self.offsets = found.bits, found.offsets if found.fits else ()
        axes = self._grid.axes if self._grid else {}
        dims = {name: name if name == REPETITION else _free(name) for name in axes}
        self.points = {dims[name]: len(values) for name, values in axes.items()} or {POINT: found.jobs}
        self.labels: dict[str, Sequence[Any]] = {dims[name]: values for name, values in axes.items()}
        self.dims = {**self.points, ATOM: len(found.atoms), OTHER_ATOM: len(found.atoms), ROW: found.rows}
        self.labels |= {ATOM: found.atoms, OTHER_ATOM: found.atoms}
        if found.shots:
            self.dims[SHOT] = found.shots
        self._columns = {name: _free(name) for name in found.names if name not in axes}
        self._tags = {tag: re.sub(r"\W", "_", f"engine_{tag}") for tag in found.tags}
        self._times = {tag: sorted(seen.times) for tag, seen in found.tags.items()}
        self._places = {
            sequence: np.array([found.atoms.index(atom) for atom in atoms], dtype=np.intp)
            for sequence, atoms in source.atoms.items()
        }
        self.variables = dict(self._variables())

    def shape(self, variable: Variable) -> tuple[int, ...]:
        """The shape of a variable, with the points."""
        return (*self.points.values(), *(self.dims[dim] for dim in variable.dims))

    def units(self, name: str) -> dict[str, str]:
        """The unit of a name of the points as attributes, empty when it is not known."""
        return {"units": self._source.units[name]} if name in self._source.units else {}

    def place(self, record: JobRecord, number: int) -> int:
        """Where a record stands, with the points in C order.

        Args:
            record: The record.
            number: How many records come before it.
        """
        place = self._grid.place(record) if self._grid else number
        assert place is not None, "the survey saw it fit"
        return place

    def values(self, record: JobRecord) -> dict[str, Any]:
        """What a record puts into the variables; what it has not stays missing."""
        row: dict[str, Any] = {name: getattr(record, name) for name in ("index", "status", "duration_ns", *_TEXTS, *_INTEGERS)}
        row |= {name: row[name] or "" for name in _TEXTS}
        for name, column in self._columns.items():
            if name in record.point:
                row[column] = self._value(name, record.point[name])
        for name, one in record.estimates.items():
            row[name], row[f"{name}{ERROR_SUFFIX}"] = one["value"], one["error"]
        for tag, column in self._tags.items():
            if tag in record.observables:
                row[column] = self._computed(tag, record.observables[tag])
        return row | self._measured(record)

    # ---- variables

    def _variables(self) -> dict[str, Variable]:
        made: dict[str, Variable] = {
            "index": Variable(
                kind="integer", coordinate=True, missing=-1, attributes={"long_name": "index of the job, -1: none"}
            ),
            "status": Variable(kind="text", coordinate=True, attributes={"long_name": "status of the job, empty: no job"}),
        }
        made |= {column: self._point_variable(name) for name, column in self._columns.items()}
        made |= {name: Variable(kind="integer") for name in _INTEGERS if name not in self.points}
        made["duration_ns"] = Variable(attributes={"units": "ns", "long_name": "duration of the built sequence"})
        made |= {name: Variable(kind="text") for name in _TEXTS}
        made |= self._counted("occupation", (ATOM,), "mean of the bit")
        made |= self._counted("correlation", (ATOM, OTHER_ATOM), CONNECTED)
        if self._found.shots:
            made["shots"] = Variable(dims=(SHOT, ATOM), kind="bit", attributes={"long_name": "bit of each atom, shots in order"})
        for name in self._found.estimates:
            made |= self._counted(name, (), str(self._source.attributes.get(f"observable_{name}", name)))
        for tag, column in self._tags.items():
            made[column] = self._engine_variable(tag, column)
        return made

    @staticmethod
    def _counted(name: str, dims: tuple[str, ...], what: str) -> dict[str, Variable]:
        error = {"long_name": f"{JACKKNIFE}, of {name}"}
        return {
            name: Variable(dims=dims, attributes={"long_name": what}),
            f"{name}{ERROR_SUFFIX}": Variable(dims=dims, attributes=error),
        }

    def _point_variable(self, name: str) -> Variable:
        kind = self._found.names[name]
        if kind == "list":
            self.dims[f"{name}_item"] = self._found.lengths[name]
            return Variable(dims=(f"{name}_item",), coordinate=True, attributes=self.units(name))
        own: Kind = "float" if kind in ("integer", "number") else "text"
        return Variable(kind=own, coordinate=True, attributes=self.units(name))

    def _value(self, name: str, value: Any) -> Any:
        if self._found.names[name] == "json":
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return value

    def _engine_variable(self, tag: str, column: str) -> Variable:
        time, shape = f"{column}_time", self._found.tags[tag].shape
        self.dims[time], self.labels[time] = len(self._times[tag]), tuple(self._times[tag])
        told = {"long_name": f"{tag}, computed by the engine at fractions of the duration"}
        if shape is None:
            return Variable(dims=(time,), kind="text", attributes={"long_name": f"{told['long_name']}, as JSON"})
        n = len(self._found.atoms)
        if shape in ((), (n,), (n, n)):
            return Variable(dims=(time, *(ATOM, OTHER_ATOM)[: len(shape)]), attributes=told)
        own = tuple(f"{column}_{number}" for number in range(len(shape)))
        self.dims |= dict(zip(own, shape, strict=True))
        return Variable(dims=(time, *own), attributes=told)

    # ---- values

    def _computed(self, tag: str, found: Mapping[str, Any]) -> NDArray[Any]:
        variable = self.variables[self._tags[tag]]
        block = variable.empty(tuple(self.dims[dim] for dim in variable.dims))
        for time, value in zip(found["times"], found["values"], strict=True):
            at = self._times[tag].index(round(time, 12))
            if variable.kind == "text":
                block[at] = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            else:
                array = np.asarray(value, dtype=np.float64)
                inner: Any = tuple(slice(0, length) for length in array.shape)
                block[(at, *inner)] = array
        return block

    def _measured(self, record: JobRecord) -> dict[str, Any]:
        """Occupation, correlation and shots, at the places that the register's atoms have among all atoms."""
        shots = Shots.of(record.counts) if record.status == DONE else None
        places = self._places.get(record.sequence)
        if shots is None or places is None:
            return {}
        found: dict[str, NDArray[Any]] = dict(zip(("occupation", "occupation_error"), occupations(shots), strict=True))
        found |= dict(zip(("correlation", "correlation_error"), correlations(shots), strict=True))
        if record.raw and self._found.shots:
            found["shots"] = np.frombuffer("".join(record.raw).encode(), dtype=np.uint8).reshape(len(record.raw), -1) & 1
        used = places[: shots.bits.shape[1]]  # a mappable register may have fewer atoms than its sequence names
        return {name: self._spread(name, value, used) for name, value in found.items()}

    def _spread(self, name: str, value: NDArray[Any], places: NDArray[np.intp]) -> NDArray[Any]:
        variable = self.variables[name]
        shape = tuple(self.dims[dim] for dim in variable.dims)
        if value.shape == shape and (places == np.arange(len(places))).all():
            return value
        block = variable.empty(shape)
        at = {ATOM: places, OTHER_ATOM: places, SHOT: np.arange(len(value))}
        block[np.ix_(*(at[dim] for dim in variable.dims))] = value
        return block


def _free(name: str) -> str:
    """What a name of the points is called here: itself, or `point_<name>` where it is taken."""
    return f"point_{name}" if name in RESERVED else name
