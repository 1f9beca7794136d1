"""Job groups, sweep nodes, axes and distributions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag, model_validator
from typing_extensions import TypeAliasType

from pcs_runner.spec.values import Identifier, Model, Number, Value

SWEEP_KINDS = ("grid", "zip", "points", "file", "random", "product", "concat")
RANGE_KINDS = ("linspace", "logspace", "geomspace", "arange")


class Linspace(Model):
    """numpy.linspace."""

    start: Number
    stop: Number
    num: Number = 50
    endpoint: bool = True


class Logspace(Model):
    """numpy.logspace."""

    start: Number
    stop: Number
    num: Number = 50
    endpoint: bool = True
    base: Number = 10.0


class Geomspace(Model):
    """numpy.geomspace."""

    start: Number
    stop: Number
    num: Number = 50
    endpoint: bool = True


class Arange(Model):
    """numpy.arange."""

    start: Number = 0
    stop: Number
    step: Number = 1


class AxisRange(Model):
    """Values from a NumPy function, or from a column of a file."""

    linspace: Linspace | None = None
    logspace: Logspace | None = None
    geomspace: Geomspace | None = None
    arange: Arange | None = None
    file: str | None = Field(None, description="A .csv, .json or .jsonl file, relative to the spec.")
    column: str | None = Field(None, description="The column of that file.")

    @model_validator(mode="after")
    def _one_source(self) -> AxisRange:
        given = self.model_fields_set
        if len(given & {*RANGE_KINDS, "file"}) != 1 or ("file" in given) != ("column" in given):
            raise ValueError("an axis is a list, exactly one of linspace, logspace, geomspace, arange, or {file, column}")
        return self


Axis = TypeAliasType(
    "Axis",
    Annotated[
        Annotated[list[Value], Field(min_length=1), Tag("list")] | Annotated[AxisRange, Tag("range")],
        Discriminator(lambda value: "list" if isinstance(value, list) else "range"),
    ],
)
"""The values of a name: a list, a NumPy range, or a column of a file."""

Size = Annotated[int | None, Field(None, ge=1, description="Draw a list of so many values.")]


class Uniform(Model):
    """Generator.uniform: low included, high not."""

    low: Number = 0.0
    high: Number = 1.0
    size: Size = None


class Normal(Model):
    """Generator.normal."""

    loc: Number = 0.0
    scale: Number = 1.0
    size: Size = None


class Integers(Model):
    """Generator.integers: low included, high not."""

    low: Number
    high: Number
    size: Size = None


class Choice(Model):
    """Generator.choice, with replacement."""

    a: list[Number] = Field(min_length=1)
    size: Size = None


class Loguniform(Model):
    """Log-uniform: the logarithm is uniform between those of low and high."""

    low: Number
    high: Number
    size: Size = None


class Distribution(Model):
    """One distribution by its NumPy name."""

    uniform: Uniform | None = None
    normal: Normal | None = None
    integers: Integers | None = None
    choice: Choice | None = None
    loguniform: Loguniform | None = None

    @model_validator(mode="after")
    def _one_distribution(self) -> Distribution:
        if len(self.model_fields_set) != 1:
            raise ValueError("a random variable has exactly one of uniform, normal, integers, choice, loguniform")
        return self


class RandomSamples(Model):
    """Points drawn at random, reproducibly."""

    samples: Number = Field(description="Number of points.")
    seed: int | None = Field(None, ge=0, description="Default: the spec's `seed`.")
    variables: dict[Identifier, Distribution] = Field(min_length=1)


class SweepNode(Model):
    """Points to visit: exactly one of these."""

    grid: dict[Identifier, Axis] | None = Field(
        None, min_length=1, description="Every combination; first name slowest, last fastest."
    )
    zip: dict[Identifier, Axis] | None = Field(None, min_length=1, description="Axes of equal length, side by side.")
    points: list[dict[Identifier, Value]] | None = Field(None, min_length=1, description="The points themselves.")
    file: str | None = Field(None, description="A .csv, .json or .jsonl file, one row a point, relative to the spec.")
    random: RandomSamples | None = None
    product: list[SweepNode] | None = Field(None, min_length=1, description="Every combination of these; first slowest.")
    concat: list[SweepNode] | None = Field(None, min_length=1, description="These one after another; all bind the same names.")

    @model_validator(mode="after")
    def _one_kind(self) -> SweepNode:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a sweep has exactly one of {', '.join(SWEEP_KINDS)}")
        return self

    @property
    def kind(self) -> str:
        """Which of the kinds this node is."""
        return next(iter(self.model_fields_set))


class Order(Model):
    """The order in which points are visited."""

    shuffle: int = Field(ge=0, description="Seed of the shuffle.")


class JobGroup(Model):
    """Jobs of one sweep."""

    name: str | None = Field(None, min_length=1, max_length=64, description="Name of the group; default: its number.")
    runs: Number = Field(description="Repetitions of each job; may be an expression of the point.")
    sweep: SweepNode | None = Field(None, description="The points; without it there is one.")
    let: dict[Identifier, Value] = Field(default_factory=dict, description="Names computed from the point, in order.")
    where: Number | None = Field(None, description="Keeps the points for which this is true.")
    order: Order | None = None
    repeat: int = Field(1, ge=1, description="Passes over the whole group.")


Jobs = Annotated[
    Annotated[JobGroup, Tag("group")] | Annotated[list[JobGroup], Field(min_length=1), Tag("groups")],
    Discriminator(lambda value: "groups" if isinstance(value, list) else "group"),
]
