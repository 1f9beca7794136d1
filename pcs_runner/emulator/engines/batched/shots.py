"""Shots from a state, drawn from the job's entropy and from probabilities that are rounded first: last bits change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PARTS = 10**9
"""Probabilities are rounded to multiples of 1e-9: far below what shots resolve, far above what differs between processors."""


def cumulative(state: NDArray[np.complex128]) -> NDArray[np.int64]:
    """Cumulative probabilities of the basis states, `(2^n,)`, in units of 1e-9; the last is about `PARTS`."""
    probabilities = state.real**2 + state.imag**2
    return np.cumsum(np.rint(PARTS * probabilities).astype(np.int64))


def draw(steps: NDArray[np.int64], count: int, stream: np.random.Generator) -> NDArray[np.int64]:
    """Basis states of `count` shots, `(count,)`, in the order in which they are drawn.

    Args:
        steps: As `cumulative` gives them.
        count: How many.
        stream: Gives `count` uniform numbers.
    """
    places: NDArray[np.int64] = np.searchsorted(steps, stream.random(count) * float(steps[-1]), side="right")
    return places


def misread(
    states: NDArray[np.int64], atoms: int, false_positive: float, false_negative: float, stream: np.random.Generator
) -> NDArray[np.int64]:
    """The shots as a detector reads them: each 0 as 1 and each 1 as 0 with these probabilities. Draws only if one is above 0."""
    if false_positive == 0.0 and false_negative == 0.0:
        return states
    places = np.arange(atoms)
    ones = (states[:, None] >> places) & 1
    flips = stream.random(ones.shape) < np.where(ones == 1, false_negative, false_positive)
    read: NDArray[np.int64] = ((ones ^ flips) << places).sum(axis=1)
    return read


def bitstrings(states: NDArray[np.int64], atoms: int) -> list[str]:
    """Basis states as text, leftmost character = first atom of the register."""
    distinct, places = np.unique(states, return_inverse=True)
    texts = [format(int(state), f"0{atoms}b") for state in distinct]
    return [texts[place] for place in places]


def generator(entropy: Sequence[int]) -> np.random.Generator:
    """The job's own stream."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(tuple(entropy))))
