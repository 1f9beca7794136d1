"""What a lowered sequence is made of: dicts and lists as in Pulser's abstract representation, with a `Slot` for each number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.spec.document import Path
    from pcs_runner.spec.expressions import Expression

Role = Literal["number", "integer", "integers", "list", "fixed", "fixed_integer"]
"""What may stand in a slot: a number, an integer, one or several integers, or a list, that Pulser can parametrise; or what it
cannot (`fixed`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place of the sequence where a number stands.

    Attributes:
        path: Where in the spec.
        expression: What stands there.
        role: What Pulser takes there.
        tree: Pulser's own tree where it was pasted, to be given back as it is; else None.
        indexes: Names that count the passes of the `repeat`s around it.
        passes: Which passes it stands for, where its expression uses their indexes; empty where it uses none.
    """

    path: Path
    expression: Expression
    role: Role
    tree: Any = None
    indexes: frozenset[str] = frozenset()
    passes: tuple[int, ...] = ()

    @property
    def key(self) -> tuple[Path, tuple[int, ...]]:
        """What tells it from all other slots of an unrolled sequence."""
        return self.path, self.passes


@dataclass(frozen=True, slots=True)
class EvenTimes:
    """The default `times` of an interpolated waveform: as many as its `values`, evenly from 0 to 1."""

    values: Slot


@dataclass(frozen=True, slots=True)
class Copied:
    """A slot used a second time: the same expression, checked where it first stands."""

    slot: Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocked:
    """A duration that the clock of a channel divides.

    Attributes:
        channel: Name of the channel in the sequence.
        slots: The duration is the sum of these (a composite waveform has several).
    """

    channel: str
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that cannot be lowered, and where; `offset` counts inside an expression's text."""

    path: Path
    message: str
    hint: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of the spec.

    Attributes:
        path: Where in the spec.
        body: In Pulser's abstract representation, with slots.
        clocked: Its durations that a channel's clock must divide.
    """

    path: Path
    body: dict[str, Any]
    clocked: tuple[Clocked, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """A `repeat`: operations so many times.

    Attributes:
        repeats: How often.
        index: The name that counts the passes, or empty.
        operations: What is repeated.
    """

    repeats: Slot
    index: str
    operations: tuple[Operation | Repeated, ...]


@dataclass(slots=True)
class Lowered:
    """An inline sequence with slots: plain dicts and lists otherwise.

    Attributes:
        register: `{constructor, arguments, automatic_layout}`, `{atoms: [[name, [x, y(, z)]]]}` or `{mappable: [name]}`.
        fields: `channels`, `measurement`, `layout`, `magnetic_field`, `slm_mask_targets`; those that are given.
        operations: In order; `repeat.unroll` makes a flat list of them.
        indexes: Every name that counts passes, and where it stands.
        atoms: Names of the atoms; of many with one prefix, the first.
        faults: What is wrong.
    """

    register: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    operations: list[Operation | Repeated] = field(default_factory=list)
    indexes: list[tuple[str, Path]] = field(default_factory=list)
    atoms: tuple[str, ...] = ()
    faults: list[Fault] = field(default_factory=list)

    @property
    def is_mappable(self) -> bool:
        """Whether every point brings its `qubits`."""
        return "mappable" in self.register or self.register.get("constructor") == "mappable"

    def slots(self) -> Iterator[Slot]:
        """Every slot, in the order of the document's keys as lowered."""
        yield from slots_in([self.register, self.fields, self.operations])


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrolled:
    """A lowered sequence without repeats.

    Attributes:
        register: As in `Lowered`.
        fields: As in `Lowered`.
        operations: In Pulser's abstract representation, with slots.
        paths: Where each of the operations stands in the spec.
        clocked: Durations that a channel's clock must divide, each once.
    """

    register: dict[str, Any]
    fields: dict[str, Any]
    operations: list[dict[str, Any]]
    paths: tuple[Path, ...]
    clocked: tuple[Clocked, ...]


def slots_in(node: Any) -> Iterator[Slot]:
    """Every slot below a node of the lowered form."""
    if isinstance(node, Slot):
        yield node
    elif isinstance(node, Operation):
        yield from slots_in(node.body)
    elif isinstance(node, Repeated):
        yield node.repeats
        yield from slots_in(node.operations)
    elif isinstance(node, dict):
        for value in node.values():
            yield from slots_in(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from slots_in(value)
