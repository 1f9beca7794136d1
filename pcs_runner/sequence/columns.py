"""Pulser's expression trees over many points at once, with the very numbers that Pulser computes for each of them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

EXACT_UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": np.negative,
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "sqrt": np.sqrt,
}
EXACT_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "truediv": np.true_divide,
    "mod": np.remainder,
}
"""IEEE 754 fixes every bit of these, side by side as one by one; the others are computed one by one, as Pulser does."""
BY_PULSER = frozenset({"exp", "log", "log2", "sin", "cos", "tan", "tanh"})


class UnreadableError(Exception):
    """A tree, or the values of a variable, that cannot be computed side by side."""


class Columns:
    """The values of a sequence's variables at some points.

    Args:
        variables: Name -> `(points, size)`, integers where Pulser's type is `int`.
        count: Number of points.

    Attributes:
        finite: `(points,)`: whether every number that was computed so far is one, and no divisor was 0.
    """

    def __init__(self, variables: Mapping[str, NDArray[Any]], count: int) -> None:
        self._variables = variables
        self.count = count
        self.finite: NDArray[np.bool_] = np.ones(count, bool)

    def evaluate(self, tree: Any) -> NDArray[np.float64]:
        """The values of a tree, `(points, size)`; a scalar has size 1.

        Raises:
            UnreadableError: It is of another form than Pulser's abstract representation gives numbers.
        """
        try:
            with np.errstate(all="ignore"):
                value = np.asarray(self._value(tree), dtype=float)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError, ZeroDivisionError) as error:
            raise UnreadableError(str(error)) from error
        return np.broadcast_to(value, (self.count, value.shape[-1] if value.ndim else 1))

    def _value(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return np.asarray(tree)[None, :]
        if not isinstance(tree, dict):
            return tree
        if "variable" in tree:
            return self._variables[tree["variable"]]
        name = tree["expression"]
        if name == "index":
            place = tree["rhs"]
            return self._variables[tree["lhs"]["variable"]][:, place : place + 1]
        left = self._value(tree["lhs"])
        if name in EXACT_UNARY:
            return self._kept(EXACT_UNARY[name](left))
        if name in BY_PULSER:
            return self._kept(_one_by_one(_function(name), left))
        right = self._value(tree["rhs"])
        if name == "pow":
            return self._kept(_one_by_one(operator.pow, left, right))
        if name in {"div", "truediv", "mod"}:
            self._kept(np.where(np.asarray(right) == 0, np.nan, 0.0))
        return self._kept(EXACT_BINARY[name](left, right))

    def _kept(self, value: Any) -> Any:
        sound = np.isfinite(value)
        self.finite &= sound if np.ndim(sound) == 0 else sound.all(axis=-1)
        return value


def _function(name: str) -> Callable[[Any], Any]:
    import pulser.math

    function: Callable[[Any], Any] = getattr(pulser.math, name)
    return function


def _one_by_one(function: Callable[..., Any], *arguments: Any) -> NDArray[np.float64]:
    """Apply a function of Pulser's arrays to each number on its own, as `Sequence.build` does with a scalar variable."""
    from pulser.math import AbstractArray

    arrays = [np.asarray(one) for one in arguments]
    shape = np.broadcast_shapes(*(one.shape for one in arrays))
    rows = zip(*(np.broadcast_to(one, shape).ravel() for one in arrays), strict=True)
    fixed = [one.item() if one.ndim == 0 else None for one in arrays]
    values = [
        function(*(AbstractArray(x) if value is None else value for x, value in zip(row, fixed, strict=True))) for row in rows
    ]
    return np.array([float(value) for value in values]).reshape(shape)
