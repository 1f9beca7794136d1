"""The value of an expression at its place in a spec, or what is wrong with it there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcs_runner.spec.expressions import Expression, ExpressionError, float_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.spec.document import Path
    from pcs_runner.spec.expressions import Value

INTEGER_TOLERANCE = 1e-9
"""How far from an integer a value may be where Pulser takes one (SPEC, "Numbers, expressions, names")."""


class FieldError(Exception):
    """A value that does not fit its place at one point.

    Args:
        path: Where in the spec.
        message: What is wrong, with the value.
        hint: What to do.
        offset: Position inside an expression's text.
    """

    def __init__(self, path: Path, message: str, hint: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.hint = hint
        self.offset = offset


def evaluate(expression: Expression, env: Mapping[str, Value], path: Path) -> Value:
    """Evaluate an expression of the sequence at a point; a failure says where it stands.

    Raises:
        FieldError: The expression fails at this point.
    """
    try:
        return expression.evaluate(env)
    except ExpressionError as error:
        raise FieldError(path, error.message, error.hint, error.offset) from error


def as_integer(value: float, path: Path, name: str = "", hint: str = "") -> int:
    """The integer that a value is, within 1e-9.

    Raises:
        FieldError: It is not one; the hint says how to round.
    """
    nearest = round(value)
    if abs(value - nearest) > INTEGER_TOLERANCE:
        what = f"{name} is {float_text(value)}" if name else f"this is {float_text(value)}"
        raise FieldError(path, f"{what}, and Pulser takes an integer here", hint or f"write floor({name or 'x'} + 0.5)")
    return nearest
