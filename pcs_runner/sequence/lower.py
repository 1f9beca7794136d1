"""The relaxed form made regular: every operation with all its fields, every expression a `Slot` that knows where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pcs_runner.spec.expressions import Expression, ExpressionError, from_tree, read
from pcs_runner.spec.sequences import CONSTRUCTORS, RegisterConstructor
from pcs_runner.spec.values import Model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.spec.document import Path
    from pcs_runner.spec.sequences import InlineSequence

Role = Literal["number", "integer", "list", "fixed", "fixed_integer"]
"""What may stand in a slot: a number, an integer or a list that Pulser can parametrise; or one that it cannot (`fixed`)."""

INTEGER_FIELDS = frozenset({"duration", "time"})
LIST_FIELDS = frozenset({"values", "times"})
NUMBER_FIELDS = frozenset(
    {
        "phase",
        "post_phase_shift",
        "phi",
        "amp_on",
        "detuning_on",
        "optimal_detuning_off",
        "value",
        "start",
        "stop",
        "area",
        "max_val",
        "beta",
    }
)
INTEGER_ARGUMENTS = frozenset({"side", "rows", "columns", "layers", "atoms_per_row", "n_qubits"})
WAVEFORM_FIELDS = {
    "pulse": ("amplitude", "detuning"),
    "pulse_arbitrary_phase": ("amplitude", "phase"),
    "add_dmm_detuning": ("waveform",),
}
TIMED_WAVEFORMS = frozenset({"constant", "ramp", "blackman", "interpolated", "kaiser"})
"""Waveforms that take a duration; the others have one by their samples, parts or area."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place of the sequence where a number stands.

    Attributes:
        path: Where in the spec.
        expression: What stands there.
        role: What Pulser takes there.
        tree: Pulser's own tree where it was pasted, to be given back as it is; else None.
    """

    path: Path
    expression: Expression
    role: Role
    tree: Any = None


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


@dataclass(slots=True)
class Lowered:
    """An inline sequence with slots: plain dicts and lists otherwise.

    Attributes:
        register: `{constructor, arguments, automatic_layout}` or `{atoms: [[name, [x, y(, z)]]]}`.
        fields: `channels`, `measurement`, `layout`, `magnetic_field`, `slm_mask_targets`; those that are given.
        operations: In Pulser's abstract representation.
        clocked: Durations that a channel's clock must divide.
        faults: What is wrong.
    """

    register: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    operations: list[dict[str, Any]] = field(default_factory=list)
    clocked: list[Clocked] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def slots(self) -> Iterator[Slot]:
        """Every slot, in the order of the document's keys as lowered."""
        yield from slots_in([self.register, self.fields, self.operations])


def slots_in(node: Any) -> Iterator[Slot]:
    """Every slot below a node of the lowered form."""
    if isinstance(node, Slot):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from slots_in(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from slots_in(value)


def lower(section: InlineSequence) -> Lowered:
    """Make an inline sequence regular.

    Relaxations 1, 2, 3 and 7 of the language: expressions, defaults, `duration` of a pulse for its waveforms, bare numbers
    for constant waveforms, registers by constructor or coordinates.

    Returns:
        The lowered form; its `faults` are complete, so that all are reported at once.
    """
    lowering = _Lowering(section)
    lowering.run()
    return lowering.out


class _Lowering:
    """One pass over a section; collects faults instead of stopping at the first."""

    def __init__(self, section: InlineSequence) -> None:
        self.section = section
        self.out = Lowered()

    def run(self) -> None:
        section, root = self.section, ("sequence",)
        self.out.register = self._register((*root, "register"))
        self.out.fields["channels"] = dict(section.channels)
        self.out.fields["measurement"] = section.measurement
        if section.layout is not None:
            self.out.fields["layout"] = {"coordinates": [list(row) for row in section.layout.coordinates]}
            if section.layout.slug is not None:
                self.out.fields["layout"]["slug"] = section.layout.slug
        if section.magnetic_field is not None:
            path = (*root, "magnetic_field")
            self.out.fields["magnetic_field"] = [self._slot(v, (*path, i), "fixed") for i, v in enumerate(section.magnetic_field)]
        if section.slm_mask_targets is not None:
            self.out.fields["slm_mask_targets"] = list(section.slm_mask_targets)
        for number, operation in enumerate(section.operations):
            self.out.operations.append(self._operation(operation, (*root, "operations", number)))

    def _fault(self, path: Path, message: str, hint: str = "", offset: int = 0) -> None:
        self.out.faults.append(Fault(path=path, message=message, hint=hint, offset=offset))

    def _slot(self, value: Any, path: Path, role: Role) -> Slot:
        """A slot for a number, a text, a list or a tree; a text that does not parse is a fault and reads as 0."""
        tree = value.model_dump(exclude_none=True) if isinstance(value, Model) else None
        try:
            expression = self._read(value, path) if tree is None else from_tree(tree)
        except ExpressionError as error:
            self._fault(path, error.message, error.hint, error.offset)
            expression = read(0)
        return Slot(path=path, expression=expression, role=role, tree=tree)

    def _read(self, value: Any, path: Path) -> Expression:
        """Read a number, a text or a list; the items of a list are parsed one by one, so that a fault has its place."""
        if isinstance(value, list):
            if any(isinstance(item, Model) for item in value):
                return from_tree([item.model_dump(exclude_none=True) if isinstance(item, Model) else item for item in value])
            before = len(self.out.faults)
            for number, item in enumerate(value):
                self._slot(item, (*path, number), "number")
            if len(self.out.faults) > before:
                return read([0] * len(value))
        return read(value)

    # ---- registers

    def _register(self, path: Path) -> dict[str, Any]:
        register = self.section.register_
        if isinstance(register, RegisterConstructor):
            return self._constructor(register, path)
        if isinstance(register, dict):
            rows = [[name, [self._slot(v, (*path, name, i), "fixed") for i, v in enumerate(xy)]] for name, xy in register.items()]
        else:
            rows = []
            for number, atom in enumerate(register):
                axes = [(axis, getattr(atom, axis)) for axis in ("x", "y", "z") if getattr(atom, axis) is not None]
                rows.append([atom.name, [self._slot(v, (*path, number, axis), "fixed") for axis, v in axes]])
        names = [name for name, _ in rows]
        if len(set(names)) != len(names):
            self._fault(path, "two atoms have the same name", "give every atom a name of its own")
        if len({len(position) for _, position in rows}) > 1:
            self._fault(
                path, "some atoms have two coordinates and others three", "give all of them [x, y] or all of them [x, y, z]"
            )
        return {"atoms": rows}

    def _constructor(self, register: RegisterConstructor, path: Path) -> dict[str, Any]:
        name = register.constructor
        assert name in CONSTRUCTORS
        arguments: dict[str, Any] = {}
        for key, value in register.arguments:
            where = (*path, name, key)
            if key == "coords":
                arguments[key] = [
                    [self._slot(v, (*where, i, j), "fixed") for j, v in enumerate(row)] for i, row in enumerate(value)
                ]
            elif value is None or isinstance(value, bool) or key in {"prefix", "labels"}:
                arguments[key] = value
            else:
                arguments[key] = self._slot(value, where, "fixed_integer" if key in INTEGER_ARGUMENTS else "fixed")
        return {"constructor": name, "arguments": arguments, "automatic_layout": register.automatic_layout}

    # ---- operations

    def _operation(self, operation: Model, path: Path) -> dict[str, Any]:
        name: str = operation.op  # type: ignore[attr-defined]
        waveforms = WAVEFORM_FIELDS.get(name, ())
        body: dict[str, Any] = {"op": name}
        for key, value in operation:
            if key in waveforms or key == "op" or (key == "duration" and waveforms):
                continue
            body[key] = self._field(name, key, value, (*path, key))
        if waveforms:
            body |= self._waveforms(operation, waveforms, path)
        self._clock(body, waveforms)
        return body

    def _field(self, operation: str, key: str, value: Any, path: Path) -> Any:
        if key == "channel":
            return self._channel(value, path)
        if key in INTEGER_FIELDS:
            return self._slot(value, path, "integer")
        if key in NUMBER_FIELDS:
            return self._slot(value, path, "number")
        if key == "targets":
            return [self._slot(item, (*path, number), "integer") for number, item in enumerate(value)]
        if operation == "target" and key == "target":
            if isinstance(value, list):
                return [self._slot(item, (*path, number), "integer") for number, item in enumerate(value)]
            return self._slot(value, path, "integer")
        if isinstance(value, Model):
            return value.model_dump(exclude_none=True)
        if key == "channels":
            for number, channel in enumerate(value):
                self._channel(channel, (*path, number))
        return value

    def _channel(self, value: str | None, path: Path) -> str:
        channels = list(self.section.channels)
        if value is None:
            if len(channels) == 1:
                return channels[0]
            self._fault(
                path[:-1], f"no channel is named, and {len(channels)} are declared: {', '.join(channels)}", "add `channel:`"
            )
            return channels[0]
        if value not in self.section.channels and not value.startswith("dmm_"):
            self._fault(path, f'channel "{value}" is not declared', f"declared: {', '.join(channels)}")
        return value

    # ---- waveforms

    def _waveforms(self, operation: Model, keys: tuple[str, ...], path: Path) -> dict[str, Any]:
        stated = getattr(operation, "duration", None)
        duration = None if stated is None else self._slot(stated, (*path, "duration"), "integer")
        given = {key: getattr(operation, key) for key in keys}
        bare = [key for key, value in given.items() if not isinstance(value, Model)]
        made = {key: self._waveform(value, (*path, key), duration) for key, value in given.items() if isinstance(value, Model)}
        if bare and duration is None and len(bare) == len(keys):
            self._fault(path, f"no duration: {' and '.join(bare)} are plain numbers", "add `duration:` in ns")
        for key in bare:
            length: Any = duration if duration is not None else self._length_of_other(made, operation, path)
            made[key] = {"kind": "constant", "duration": length, "value": self._slot(given[key], (*path, key), "number")}
        return self._once({key: made[key] for key in keys})

    def _length_of_other(self, made: dict[str, Any], operation: Model, path: Path) -> Any:
        """The duration of the waveform beside a bare number: its own, or 0, which tells Pulser to take the other's."""
        for waveform in made.values():
            if "duration" in waveform:
                return waveform["duration"]
        if made and operation.op == "pulse":  # type: ignore[attr-defined]
            return 0
        if made:
            self._fault(path, "no duration for the waveform that is a plain number", "add `duration:` in ns")
        return 0

    @staticmethod
    def _once(waveforms: dict[str, Any]) -> dict[str, Any]:
        """Let a duration that serves two waveforms be checked once."""
        seen: set[Path] = set()
        for waveform in waveforms.values():
            duration = waveform.get("duration")
            if isinstance(duration, Slot):
                if duration.path in seen:
                    waveform["duration"] = Copied(duration)
                seen.add(duration.path)
        return waveforms

    def _waveform(self, waveform: Model, path: Path, duration: Slot | None) -> dict[str, Any]:
        kind: str = waveform.kind  # type: ignore[attr-defined]
        body: dict[str, Any] = {"kind": kind}
        for key, value in waveform:
            where = (*path, key)
            if key == "duration":
                body[key] = self._duration(value, path, duration)
            elif key == "waveforms":
                body[key] = [self._waveform(part, (*where, number), None) for number, part in enumerate(value)]
            elif key == "samples":
                body[key] = [self._slot(item, (*where, number), "fixed") for number, item in enumerate(value)]
            elif key in LIST_FIELDS:
                body[key] = EvenTimes(body["values"]) if value is None else self._slot(value, where, "list")
            elif key in NUMBER_FIELDS:
                body[key] = self._slot(value, where, "number")
        return body

    def _duration(self, value: Any, path: Path, duration: Slot | None) -> Any:
        if value is not None:
            return self._slot(value, (*path, "duration"), "integer")
        if duration is None:
            self._fault(
                path, "the waveform has no duration", "add `duration:` in ns to it, or to the pulse for all its waveforms"
            )
            return 0
        return duration

    # ---- durations that the clock must divide

    def _clock(self, body: dict[str, Any], waveforms: tuple[str, ...]) -> None:
        channel = body.get("channel") or body.get("dmm_name")
        if channel is None:
            return
        for key in waveforms:
            slots = _length(body[key])
            if slots:
                self.out.clocked.append(Clocked(channel=channel, slots=slots))
        for key in ("time", "duration"):
            if isinstance(body.get(key), Slot):
                self.out.clocked.append(Clocked(channel=channel, slots=(body[key],)))


def _length(waveform: dict[str, Any]) -> tuple[Slot, ...]:
    """The slots whose sum is the waveform's duration; empty where it has none or one that is checked elsewhere."""
    if waveform["kind"] == "composite":
        lengths = [_length(part) for part in waveform["waveforms"]]
        return tuple(slot for length in lengths for slot in length) if all(lengths) else ()
    duration = waveform.get("duration")
    return (duration,) if isinstance(duration, Slot) else ()
