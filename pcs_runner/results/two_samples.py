"""Whether two sets of counts can come from one distribution: distance, its shot noise, and a test.

Statistics: Pearson's chi-square test of homogeneity of two samples, rare bitstrings taken together so that every cell expects at
least five counts (W. G. Cochran, Biometrics 10, 417 (1954)); the two-proportion z test with the pooled proportion; Holm's
correction for many points (S. Holm, Scand. J. Stat. 6, 65 (1979)); Stouffer's sum of z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAST_EXPECTED = 5.0
"""Counts that a cell of the test expects at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """Two sets of counts, compared.

    Attributes:
        variation: Total variation distance of the two frequencies, 0 to 1.
        noise: What that distance is on average for two samples of one distribution (of the pooled frequencies), about.
        chi_square: Pearson's statistic of homogeneity.
        degrees: Its degrees of freedom; 0 when there is nothing to compare, as all counts fell into one cell.
    """

    variation: float
    noise: float
    chi_square: float
    degrees: int

    @property
    def p_value(self) -> float:
        """Probability of a statistic this large by shot noise alone."""
        return chi_square_tail(self.chi_square, self.degrees)


def distance(one: Mapping[str, int], other: Mapping[str, int]) -> Distance:
    """Compare two sets of counts over the same bitstrings; neither is empty."""
    first, second = sum(one.values()), sum(other.values())
    pairs = [(one.get(bits, 0), other.get(bits, 0)) for bits in sorted({*one, *other})]
    variation = sum(abs(a / first - b / second) for a, b in pairs) / 2
    pooled = [(a + b) / (first + second) for a, b in pairs]
    # The mean of |x| is sqrt(2/pi) standard deviations for a normal x.
    noise = sum(math.sqrt(p * (1 - p) * (1 / first + 1 / second)) for p in pooled) / math.sqrt(2 * math.pi)
    cells = _pooled_cells(pairs, min(first, second) / (first + second))
    ratio = math.sqrt(second / first)
    chi_square = sum((a * ratio - b / ratio) ** 2 / (a + b) for a, b in cells)
    return Distance(variation=variation, noise=noise, chi_square=chi_square, degrees=len(cells) - 1)


def _pooled_cells(pairs: Sequence[tuple[int, int]], share: float) -> list[tuple[int, int]]:
    """The pairs, with those together that expect too few counts in the smaller sample.

    Which are together depends on the sums only, so that the difference of the samples does not choose its own test.
    """
    cells = []
    rare = (0, 0)
    for a, b in sorted(pairs, key=lambda pair: -(pair[0] + pair[1])):
        if (a + b) * share >= LEAST_EXPECTED:
            cells.append((a, b))
        else:
            rare = (rare[0] + a, rare[1] + b)
    if sum(rare) * share >= LEAST_EXPECTED or not cells:
        return [*cells, rare]
    return [*cells[:-1], (cells[-1][0] + rare[0], cells[-1][1] + rare[1])]


def chi_square_tail(statistic: float, degrees: int) -> float:
    """Probability of a chi-square variable above `statistic`; 1 without degrees of freedom."""
    if degrees <= 0:
        return 1.0
    from scipy.special import chdtrc

    return float(chdtrc(degrees, statistic))


def proportion_z(ones: int, runs: int, other_ones: int, other_runs: int) -> float:
    """Difference of two proportions (other minus one) in standard deviations of its shot noise; 0 where both are 0 or both 1."""
    pooled = (ones + other_ones) / (runs + other_runs)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / runs + 1 / other_runs))
    return (other_ones / other_runs - ones / runs) / spread if spread > 0 else 0.0


def stouffer(z_sum: float, count: int) -> float:
    """One z for so many independent ones with this sum: a shift that each of them hides in its noise stands out."""
    return z_sum / math.sqrt(count) if count else 0.0


def two_sided(z: float) -> float:
    """Probability of a normal variable at least this far from 0."""
    return math.erfc(abs(z) / math.sqrt(2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values: rejecting those below a level errs for any of them with at most that probability."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[k]))
        adjusted[k] = largest
    return adjusted
