"""The observables of a spec: their values and standard errors from the counts of a job.

The standard error is that of the delete-one jackknife over the shots: the expression is computed again without each of them. It
needs no random numbers and holds for what is not linear in the counts, such as a correlation or a ratio.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcs_runner.results.sublattices import SublatticeError, signs
from pcs_runner.spec.expressions import ExpressionError
from pcs_runner.spec.observables import ObservableExpression, Term, parse_observable

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from pcs_runner.results.statistics import Shots

    Floats = NDArray[np.float64]


SHOWN_ATOMS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """The atoms of a sequence.

    Attributes:
        atoms: Their names, in the order of the bitstrings.
        positions: Coordinates in µm in the same order, None where they are not fixed.
    """

    atoms: tuple[str, ...]
    positions: tuple[tuple[float, ...], ...] | None

    @classmethod
    def of(cls, sequence: str, n_atoms: int | None = None) -> Register:
        """The register of a sequence in Pulser's abstract representation (a JSON string).

        Args:
            sequence: The sequence.
            n_atoms: Atoms that a job has, where a mappable register leaves some out; default all.
        """
        rows: list[dict[str, Any]] = json.loads(sequence)["register"][:n_atoms]
        atoms = tuple(str(row.get("name", row.get("qid"))) for row in rows)
        fixed = all("x" in row for row in rows)
        positions = tuple(tuple(float(row[axis]) for axis in "xyz" if axis in row) for row in rows) if fixed else None
        return cls(atoms=atoms, positions=positions)


class Estimator:
    """The observables of a spec on one register.

    Args:
        observables: Name -> expression; each is one that `parse_observable` reads.
        register: The atoms. An observable that does not fit them has no value; `faults` says why.

    Attributes:
        faults: Name -> why the observable does not fit, with the offset in its text.
    """

    def __init__(self, observables: Mapping[str, str], register: Register) -> None:
        self.faults: dict[str, ExpressionError] = {}
        self._names = tuple(observables)
        self._bound: dict[str, tuple[ObservableExpression, dict[str, _Mean]]] = {}
        for name, text in observables.items():
            parsed = parse_observable(text)
            try:
                self._bound[name] = parsed, {key: _bound(term, register) for key, term in parsed.terms.items()}
            except ExpressionError as error:
                self.faults[name] = error

    def estimate(self, counts: Mapping[str, int]) -> dict[str, dict[str, float | None]]:
        """Name -> `value` and standard `error`; None where there is none (no shots, a division by zero, one shot)."""
        from pcs_runner.results.statistics import Shots

        shots = Shots.of(counts)
        found = {name: (_estimate(*self._bound[name], shots) if shots and name in self._bound else None) for name in self._names}
        return {name: {"value": one[0], "error": one[1]} if one else _NOTHING for name, one in found.items()}


class Estimators:
    """The observables of a spec on the registers of its sequences.

    Args:
        observables: Name -> expression.
        sequence: Sequence id -> abstract representation (a JSON string).
    """

    def __init__(self, observables: Mapping[str, str], sequence: Callable[[str], str]) -> None:
        self._observables, self._sequence = observables, sequence
        self._known: dict[tuple[str, int], Estimator] = {}

    def estimate(self, sequence: str, counts: Mapping[str, int]) -> dict[str, dict[str, float | None]]:
        """The observables of a job from its counts; empty when the spec has none."""
        if not self._observables:
            return {}
        n_atoms = len(next(iter(counts), ""))
        if (sequence, n_atoms) not in self._known:
            self._known[sequence, n_atoms] = Estimator(self._observables, Register.of(self._sequence(sequence), n_atoms))
        return self._known[sequence, n_atoms].estimate(counts)


_NOTHING: dict[str, float | None] = {"value": None, "error": None}


@dataclass(frozen=True, slots=True)
class _Mean:
    """A term as a function of means over the shots: `combine` of the means of what `columns` gives for each bitstring."""

    columns: Callable[[Shots], Sequence[Floats]]
    combine: Callable[..., Any] = lambda mean: mean


def _bound(term: Term, register: Register) -> _Mean:
    """A term on a register.

    Raises:
        ExpressionError: It does not fit the register.
    """
    import numpy as np

    n = len(register.atoms)
    if term.kind == "probability":
        bits = str(term.arguments[0])
        if len(bits) != n:
            raise ExpressionError(f"the bitstring '{bits}' is for {len(bits)} atoms, the register has {n}", offset=term.offset)
        return _Mean(lambda shots: [np.array([one == bits for one in shots.bitstrings], dtype=np.float64)])
    atoms = [_place(atom, register, term.offset) for atom in term.arguments]
    if term.kind == "correlation":
        i, j = atoms
        return _Mean(
            lambda shots: [shots.bits[:, i] * shots.bits[:, j], shots.bits[:, i], shots.bits[:, j]],
            lambda both, one, other: both - one * other,
        )
    if term.kind == "staggered_magnetization":
        try:
            weights = np.array(signs(register.positions), dtype=np.float64) / n
        except SublatticeError as error:
            raise ExpressionError(f"staggered_magnetization: {error}", offset=term.offset, hint=error.hint) from None
        return _Mean(lambda shots: [(2 * shots.bits - 1) @ weights])
    if atoms:
        return _Mean(lambda shots: [shots.bits[:, atoms[0]]])
    return _Mean(lambda shots: [shots.bits.sum(axis=1) / (1 if term.kind == "n_mean" else n)])


def _place(atom: int | str, register: Register, offset: int) -> int:
    if isinstance(atom, int) and atom < len(register.atoms):
        return atom
    if atom in register.atoms:
        return register.atoms.index(str(atom))
    n = len(register.atoms)
    message = f"no atom is number {atom}: there are {n}, from 0" if isinstance(atom, int) else f"no atom is called '{atom}'"
    known = ", ".join(register.atoms[:SHOWN_ATOMS]) + (", ..." if n > SHOWN_ATOMS else "")
    raise ExpressionError(message, offset=offset, hint=f"the atoms are {known}")


def _estimate(parsed: ObservableExpression, means: Mapping[str, _Mean], shots: Shots) -> tuple[float | None, float | None]:
    from pcs_runner.results.statistics import jackknife_error

    columns = {name: mean.columns(shots) for name, mean in means.items()}
    try:
        value = _number(parsed, {name: float(mean.combine(*map(shots.mean, columns[name]))) for name, mean in means.items()})
    except ExpressionError:
        return None, None
    if shots.total == 1:
        return value, None
    left_out = {name: mean.combine(*map(shots.means_without_one, columns[name])) for name, mean in means.items()}
    try:
        error = jackknife_error(shots, _each(parsed, left_out))
    except ExpressionError:
        return value, None
    return value, error if math.isfinite(error) else None


def _each(parsed: ObservableExpression, columns: Mapping[str, Floats]) -> Floats:
    """The expression for each row of the columns; equal rows are computed once."""
    import numpy as np

    rows, places = np.unique(np.stack(list(columns.values()), axis=1), axis=0, return_inverse=True)
    values = [_number(parsed, dict(zip(columns, row.tolist(), strict=True))) for row in rows]
    return np.array(values, dtype=np.float64)[places.reshape(-1)]


def _number(parsed: ObservableExpression, terms: Mapping[str, float]) -> float:
    value = parsed.expression.evaluate(terms)
    assert not isinstance(value, tuple), "an observable holds no list"
    return float(value)
