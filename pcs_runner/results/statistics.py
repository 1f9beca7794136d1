"""Occupations and pair correlations of a job with their standard errors, from its counts.

n_i is the bit of atom i in a shot and <.> the mean over the shots. The occupation is <n_i>, the correlation the connected one,
<n_i n_j> - <n_i><n_j>. Standard errors are those of the delete-one jackknife over the shots (B. Efron and C. Stein, Ann. Stat. 9,
586 (1981)); for a mean that is s/sqrt(shots) with the sample standard deviation s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shots:
    """The shots of a job.

    Attributes:
        bits: 0. or 1., shape (distinct bitstrings, atoms).
        weights: How often each was measured, shape (distinct bitstrings,); none is 0.
        bitstrings: The bitstrings, in the same order.
    """

    bits: Floats
    weights: Floats
    bitstrings: tuple[str, ...]

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Shots | None:
        """The shots of these counts, None when there are none."""
        kept = {bits: count for bits, count in counts.items() if count}
        if not kept:
            return None
        codes = np.frombuffer("".join(kept).encode(), dtype=np.uint8).reshape(len(kept), -1) & 1
        weights = np.fromiter(kept.values(), dtype=np.float64, count=len(kept))
        return cls(bits=codes.astype(np.float64), weights=weights, bitstrings=tuple(kept))

    @property
    def total(self) -> float:
        """Number of shots."""
        return float(self.weights.sum())

    def mean(self, values: Floats) -> float:
        """The mean over the shots of a value for each distinct bitstring."""
        return float(self.weights @ values / self.total)

    def means_without_one(self, values: Floats) -> Floats:
        """That mean without one of the shots, for each distinct bitstring that is left out; there are at least two shots."""
        return (self.weights @ values - values) / (self.total - 1)


def jackknife_error(shots: Shots, left_out: Floats) -> float:
    """The standard error of an estimate from its values without one shot, for each distinct bitstring; NaN for one shot."""
    n = shots.total
    if n < 2:
        return math.nan
    spread = left_out - shots.mean(left_out)
    return math.sqrt((n - 1) / n * float(shots.weights @ spread**2))


def occupations(shots: Shots) -> tuple[Floats, Floats]:
    """Occupation of each atom and its standard error, shape (atoms,); the errors are NaN for one shot."""
    n = shots.total
    means = shots.weights @ shots.bits / n
    errors = np.sqrt(means * (1 - means) / (n - 1)) if n > 1 else np.full_like(means, np.nan)
    return means, errors


# The bits that a shot may have for a pair of atoms.
_FIRST = np.array([1.0, 1.0, 0.0, 0.0])[:, None, None]
_SECOND = np.array([1.0, 0.0, 1.0, 0.0])[:, None, None]


def correlations(shots: Shots) -> tuple[Floats, Floats]:
    """Connected correlation of each pair of atoms and its standard error, shape (atoms, atoms); NaN errors for one shot."""
    n = shots.total
    ones = shots.weights @ shots.bits
    both = (shots.bits * shots.weights[:, None]).T @ shots.bits
    value = both / n - np.outer(ones, ones) / n**2
    if n == 1:
        return value, np.full_like(value, np.nan)
    first, second = ones[:, None], ones[None, :]
    # Leaving a shot out gives one of four values for a pair; `numbers` says how many shots give each.
    numbers = np.stack([both, first - both, second - both, n - first - second + both])
    left_out = (both - _FIRST * _SECOND) / (n - 1) - (first - _FIRST) * (second - _SECOND) / (n - 1) ** 2
    spread = left_out - (numbers * left_out).sum(axis=0) / n
    return value, np.sqrt((n - 1) / n * (numbers * spread**2).sum(axis=0))
