"""What is plotted: means over shots with their shot noise, summed up job by job."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pcs_runner.results.statistics import Shots

if TYPE_CHECKING:
    from pcs_runner.results.record import JobRecord

ENGINE_PREFIX = "engine "


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that each job has a value of.

    Attributes:
        kind: `occupation` (mean over the atoms), `bitstring` (its probability), `estimate` (an observable of the spec), or
            `engine` (what the engine computed, at the latest time).
        name: The bitstring, the observable's name or the tag.
    """

    kind: Literal["occupation", "bitstring", "estimate", "engine"]
    name: str = ""

    @property
    def label(self) -> str:
        """As it stands at an axis."""
        if self.kind == "occupation":
            return "mean occupation ⟨n⟩"
        if self.kind == "bitstring":
            half = 14
            return f"P({self.name if len(self.name) <= 2 * half else self.name[:half] + '…' + self.name[-half:]})"
        return self.name if self.kind == "estimate" else f"{self.name} (engine)"

    @property
    def is_fraction(self) -> bool:
        """Whether it lies between 0 and 1."""
        return self.kind in {"occupation", "bitstring"}


@dataclass(slots=True)
class Mean:
    """A sum over jobs from which a mean with its error follows.

    Attributes:
        weight: Shots, or jobs for what has its own error.
        total: Sum of the values.
        squares: Sum of the squares of the values, or of their errors.
    """

    weight: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def add(self, weight: float, total: float, squares: float) -> None:
        """Take more in."""
        self.weight += weight
        self.total += total
        self.squares += squares


def interval(quantity: Quantity, mean: Mean) -> tuple[float, float, float]:
    """Value, and the ends of the interval that holds the true one with 68 %.

    A probability has Wilson's score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927)), which is not empty at 0 and 1;
    everything else its standard error.
    """
    value = mean.total / mean.weight
    if quantity.kind == "bitstring":
        n = mean.weight
        middle, half = (value + 0.5 / n) / (1 + 1 / n), math.sqrt(value * (1 - value) / n + 0.25 / n**2) / (1 + 1 / n)
        return value, middle - half, middle + half
    if quantity.kind == "occupation":
        variance = max(0.0, mean.squares / mean.weight - value**2)
        error = math.sqrt(variance / max(1.0, mean.weight - 1))
    else:
        error = math.sqrt(mean.squares) / mean.weight
    return value, value - error, value + error


def contributions(
    record: JobRecord, quantities: tuple[Quantity, ...], shots: Shots | None
) -> list[tuple[Quantity, float, float, float]]:
    """What a job adds to each quantity that it has: weight, total, squares."""
    found: list[tuple[Quantity, float, float, float]] = []
    for quantity in quantities:
        if quantity.kind in {"estimate", "engine"}:
            value, error = _own(record, quantity)
            if value is not None:
                found.append((quantity, 1.0, value, (error or 0.0) ** 2))
        elif shots is not None and quantity.kind == "bitstring":
            count = float(record.counts.get(quantity.name, 0))
            found.append((quantity, shots.total, count, count))
        elif shots is not None:
            excited = shots.bits.mean(axis=1)
            weighted = shots.weights * excited
            found.append((quantity, shots.total, float(weighted.sum()), float(weighted @ excited)))
    return found


def shots_of(record: JobRecord) -> Shots | None:
    """The shots of a job that is done; None where there are none, or where bitstrings have several lengths."""
    if record.status != "DONE" or not record.counts:
        return None
    lengths = {len(bits) for bits in record.counts}
    return Shots.of(record.counts) if len(lengths) == 1 else None


def _own(record: JobRecord, quantity: Quantity) -> tuple[float | None, float | None]:
    if quantity.kind == "estimate":
        found = record.estimates.get(quantity.name, {})
        return found.get("value"), found.get("error")
    return engine_value(record.observables.get(quantity.name)), None


def engine_value(found: Any) -> float | None:
    """The value at the latest time of what an engine computed, when it is a number."""
    try:
        value = found["values"][-1]
    except (LookupError, TypeError):
        return None
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None
