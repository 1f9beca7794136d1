"""The two sublattices of a register, for the staggered magnetization: by where the atoms are, not by how they are counted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    Positions = Sequence[Sequence[float]]

TOLERANCE = 1.01
"""Distances within one per cent are the same: calibrated layouts are not exact."""


class SublatticeError(Exception):
    """A register that has no two sublattices.

    Args:
        message: Why.
        hint: What to do now.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def signs(positions: Positions | None) -> list[int]:
    """+1 for the atoms of the first atom's sublattice, -1 for those of the other.

    Neighbours are atoms at most as far apart as is needed for all atoms to be connected (the longest edge of the minimum spanning
    tree, within one per cent); neighbours are never on the same sublattice.

    Args:
        positions: Coordinates in µm, first atom first; None when they are not fixed.

    Raises:
        SublatticeError: The positions are not fixed, or neighbours form an odd ring, as in a triangular lattice.
    """
    if positions is None:
        raise SublatticeError("the atoms have no fixed positions", "write it as a sum of occupation[i]")
    tree = _spanning_tree(positions)
    sign = [1] * len(positions)
    for child, parent, _ in tree:
        sign[child] = -sign[parent]
    reach = TOLERANCE * max((length for _, _, length in tree), default=0.0)
    for i, one in enumerate(positions):
        for j in range(i):
            if sign[i] == sign[j] and math.dist(one, positions[j]) <= reach:
                raise SublatticeError(
                    f"the register has no two sublattices: atoms {j} and {i} are neighbours on the same one",
                    "write it as a sum of occupation[i]",
                )
    return sign


def _spanning_tree(positions: Positions) -> list[tuple[int, int, float]]:
    """Prim's minimum spanning tree from atom 0: (atom, its parent, distance), parents first."""
    nearest = {atom: (math.dist(positions[0], place), 0) for atom, place in enumerate(positions) if atom}
    tree: list[tuple[int, int, float]] = []
    while nearest:
        atom = min(nearest, key=lambda one: nearest[one])
        length, parent = nearest.pop(atom)
        tree.append((atom, parent, length))
        for other, (known, _) in nearest.items():
            distance = math.dist(positions[atom], positions[other])
            if distance < known:
                nearest[other] = distance, atom
    return tree
