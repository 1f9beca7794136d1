"""Values of the language: numbers, expressions, and Pulser's own expression trees.

A value that may be an expression keeps the text here; `expressions.py` reads it. Units are Pulser's: ns, µm, rad/µs, rad.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, WithJsonSchema
from typing_extensions import TypeAliasType

IDENTIFIER_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Model(BaseModel):
    """What every part of the language shares: unknown keys, NaN, infinity and silent conversions are refused."""

    model_config = ConfigDict(
        defer_build=True, extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True
    )


Number = Annotated[int | float | str, WithJsonSchema({"type": ["number", "string"]})]
"""A number, or an arithmetic expression as text."""

Value = Annotated[
    int | float | str | list[Number],
    WithJsonSchema({"type": ["number", "string", "array"], "items": {"type": ["number", "string"]}}),
]
"""A number, an expression, or a list of them."""

PointValue = Annotated[
    int | float | str | list[Number] | dict[str, Number],
    WithJsonSchema({"type": ["number", "string", "array"], "items": {"type": ["number", "string"]}}),
]
"""A value of a swept name; a mapping, atom to trap, for `qubits` alone (`schema_rewrite` says so in the schema)."""

Identifier = Annotated[str, Field(pattern=IDENTIFIER_PATTERN)]
"""A name that expressions can use."""


class VariableRef(Model):
    """A whole sequence variable, as Pulser prints it: `{variable: omega}`."""

    variable: str = Field(description="Name of the variable.")


class ExpressionTree(Model):
    """Pulser's own form of an expression, as `to_abstract_repr()` prints it."""

    expression: Literal[
        "neg", "abs", "floor", "ceil", "round", "sqrt", "exp", "log2", "log", "sin", "cos", "tan", "tanh",
        "add", "sub", "mul", "div", "truediv", "mod", "pow", "index",
    ] = Field(description="The operation.")  # fmt: skip
    lhs: TreeOperand = Field(description="First or only operand.")
    rhs: TreeOperand | None = Field(None, description="Second operand.")


def _operand_kind(value: Any) -> str:
    if isinstance(value, dict):
        return "tree" if "expression" in value else "reference"
    return (
        "tree"
        if isinstance(value, ExpressionTree)
        else "reference"
        if isinstance(value, VariableRef)
        else "list"
        if isinstance(value, list)
        else "number"
    )


TreeOperand = TypeAliasType(
    "TreeOperand",
    Annotated[
        Annotated[int | float, Tag("number")]
        | Annotated[list[int | float], Tag("list")]
        | Annotated[VariableRef, Tag("reference")]
        | Annotated[ExpressionTree, Tag("tree")],
        Discriminator(_operand_kind),
    ],
)

Param = TypeAliasType(
    "Param",
    Annotated[
        Annotated[int | float | str, Tag("number"), WithJsonSchema({"type": ["number", "string"]})]
        | Annotated[VariableRef, Tag("reference")]
        | Annotated[ExpressionTree, Tag("tree")],
        Discriminator(_operand_kind),
    ],
)
"""A number that Pulser can parametrise: a number, an expression, or Pulser's own expression tree."""

ParamList = TypeAliasType(
    "ParamList",
    Annotated[
        Annotated[int | float | str, Tag("number"), WithJsonSchema({"type": "string"})]
        | Annotated[list[Param], Tag("list")]
        | Annotated[VariableRef, Tag("reference")]
        | Annotated[ExpressionTree, Tag("tree")],
        Discriminator(_operand_kind),
    ],
)
"""A list of numbers that Pulser can parametrise: a list, an expression that gives one, or a tree."""


class Integer:
    """Marks a field where Pulser takes an integer: a duration, a time, an atom's number."""


IntParam = Annotated[Param, Integer()]
