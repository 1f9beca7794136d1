"""Job groups, sweep nodes, axes and distributions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag, model_validator
from typing_extensions import TypeAliasType

from pcs_runner.spec.values import Identifier, Model, Number, PointValue, Value

SWEEP_KINDS = ("grid", "zip", "points", "file", "random", "product", "concat")
RANGE_KINDS = ("linspace", "logspace", "geomspace", "arange")


class Linspace(Model):
    """numpy.linspace."""

    start: Number = Field(description="The first value, in the unit of the name.")
    stop: Number = Field(description="The last value, where `endpoint` is true.")
    num: Number = Field(50, description="Number of values.")
    endpoint: bool = Field(default=True, description="Whether `stop` is the last value.")


class Logspace(Model):
    """numpy.logspace."""

    start: Number = Field(description="The first value is base**start.")
    stop: Number = Field(description="The last value is base**stop, where `endpoint` is true.")
    num: Number = Field(50, description="Number of values.")
    endpoint: bool = Field(default=True, description="Whether `stop` is the last value.")
    base: Number = Field(10.0, description="Base of the powers.")


class Geomspace(Model):
    """numpy.geomspace."""

    start: Number = Field(description="The first value, in the unit of the name.")
    stop: Number = Field(description="The last value, where `endpoint` is true.")
    num: Number = Field(50, description="Number of values.")
    endpoint: bool = Field(default=True, description="Whether `stop` is the last value.")


class Arange(Model):
    """numpy.arange."""

    start: Number = Field(0, description="The first value, in the unit of the name.")
    stop: Number = Field(description="The values end before this one.")
    step: Number = Field(1, description="Distance of the values.")


class AxisRange(Model):
    """Values from a NumPy function, or from a column of a file."""

    linspace: Linspace | None = Field(None, description="numpy.linspace: evenly spaced, the end included.")
    logspace: Logspace | None = Field(None, description="numpy.logspace: powers of a base, evenly spaced exponents.")
    geomspace: Geomspace | None = Field(None, description="numpy.geomspace: each value the same multiple of the one before.")
    arange: Arange | None = Field(None, description="numpy.arange: in steps, the end left out.")
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
        Annotated[list[PointValue], Field(min_length=1), Tag("list")] | Annotated[AxisRange, Tag("range")],
        Discriminator(lambda value: "list" if isinstance(value, list) else "range"),
    ],
)
"""The values of a name: a list, a NumPy range, or a column of a file."""

Size = Annotated[int | None, Field(None, ge=1, description="Draw a list of so many values.")]


class Uniform(Model):
    """Generator.uniform: low included, high not."""

    low: Number = Field(0.0, description="Least value.")
    high: Number = Field(1.0, description="The values are below this one.")
    size: Size = None


class Normal(Model):
    """Generator.normal."""

    loc: Number = Field(0.0, description="Mean.")
    scale: Number = Field(1.0, description="Standard deviation.")
    size: Size = None


class Integers(Model):
    """Generator.integers: low included, high not."""

    low: Number = Field(description="Least value.")
    high: Number = Field(description="The values are below this one.")
    size: Size = None


class Choice(Model):
    """Generator.choice, with replacement."""

    a: list[Number] = Field(min_length=1, description="The values to choose from.")
    size: Size = None


class Loguniform(Model):
    """Log-uniform: the logarithm is uniform between those of low and high."""

    low: Number = Field(description="Least value.")
    high: Number = Field(description="The values are below this one.")
    size: Size = None


class Distribution(Model):
    """One distribution by its NumPy name."""

    uniform: Uniform | None = Field(None, description="Generator.uniform: evenly from low to high.")
    normal: Normal | None = Field(None, description="Generator.normal: a Gaussian.")
    integers: Integers | None = Field(None, description="Generator.integers: whole numbers from low to below high.")
    choice: Choice | None = Field(None, description="Generator.choice: from a list, with replacement.")
    loguniform: Loguniform | None = Field(None, description="Evenly on a logarithmic scale from low to high.")

    @model_validator(mode="after")
    def _one_distribution(self) -> Distribution:
        if len(self.model_fields_set) != 1:
            raise ValueError("a random variable has exactly one of uniform, normal, integers, choice, loguniform")
        return self


class RandomSamples(Model):
    """Points drawn at random, reproducibly."""

    samples: Number = Field(description="Number of points.")
    seed: int | None = Field(None, ge=0, description="Default: the spec's `seed`.")
    variables: dict[Identifier, Distribution] = Field(min_length=1, description="Name: its distribution.")


class SweepNode(Model):
    """Points to visit: exactly one of these."""

    grid: dict[Identifier, Axis] | None = Field(
        None, min_length=1, description="Every combination; first name slowest, last fastest."
    )
    zip: dict[Identifier, Axis] | None = Field(None, min_length=1, description="Axes of equal length, side by side.")
    points: list[dict[Identifier, PointValue]] | None = Field(None, min_length=1, description="The points themselves.")
    file: str | None = Field(None, description="A .csv, .json or .jsonl file, one row a point, relative to the spec.")
    random: RandomSamples | None = Field(None, description="Points drawn at random, reproducibly.")
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
    order: Order | None = Field(None, description="The order in which points are visited; default: as listed.")
    repeat: int = Field(1, ge=1, description="Passes over the whole group.")


Jobs = Annotated[
    Annotated[JobGroup, Tag("group")] | Annotated[list[JobGroup], Field(min_length=1), Tag("groups")],
    Discriminator(lambda value: "groups" if isinstance(value, list) else "group"),
]
