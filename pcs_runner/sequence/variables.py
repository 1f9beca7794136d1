"""The variables of a sequence: what they are called in Pulser and on the wire, and the value that each has at a point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pcs_runner.sequence.fields import FieldError, as_integer, evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.spec.document import Path
    from pcs_runner.spec.expressions import Expression, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceVariable:
    """A Pulser variable and where its value comes from.

    Attributes:
        name: In the sequence and on the wire.
        type: Pulser's type.
        size: Number of values of an array, None for a scalar.
        expression: Gives the value at a point.
        path: Where it is first used, or first makes the variable an integer, for messages.
        hint: What to do where a value is not the integer it has to be.
    """

    name: str
    type: Literal["int", "float"]
    size: int | None
    expression: Expression
    path: Path
    hint: str = ""

    def value(self, env: Mapping[str, Value]) -> Any:
        """The value at a point, as it travels: a number, or a list for an array; ints where the type is int.

        Raises:
            FieldError: It is not an integer where Pulser takes one, or has another size than at the first point.
        """
        value = env[self.name] if self.name in env else evaluate(self.expression, env, self.path)
        if isinstance(value, tuple):
            if len(value) != self.size:
                raise FieldError(self.path, f"{self.name} is {_size(value)} here, the sequence takes {_size_text(self.size)}")
            return [self._number(item) for item in value]
        if self.size is None:
            return self._number(value)
        if self.size > 1:
            raise FieldError(self.path, f"{self.name} is {_size(value)} here, the sequence takes {_size_text(self.size)}")
        return [self._number(value)]

    def _number(self, value: float) -> int | float:
        if self.type == "float":
            return float(value)
        return value if value.__class__ is int else as_integer(value, self.path, self.name, self.hint)


def _size(value: Value) -> str:
    return _size_text(len(value) if isinstance(value, tuple) else None)


def _size_text(size: int | None) -> str:
    return "one number" if size is None else f"a list of {size}"
