"""The relaxed form made regular: every operation with all its fields, every expression a `Slot` that knows where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.lower_register import atom_names, atom_number, lower_layout, lower_register
from pcs_runner.sequence.slots import Clocked, Copied, EvenTimes, Fault, Lowered, Operation, Repeated, Role, Slot
from pcs_runner.spec.expressions import Expression, ExpressionError, from_tree, read
from pcs_runner.spec.operations import Repeat, WeightedTraps
from pcs_runner.spec.values import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pcs_runner.spec.document import Path
    from pcs_runner.spec.sequences import InlineSequence

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
WAVEFORM_FIELDS = {
    "pulse": ("amplitude", "detuning"),
    "pulse_arbitrary_phase": ("amplitude", "phase"),
    "add_dmm_detuning": ("waveform",),
}
TIMED_WAVEFORMS = frozenset({"constant", "ramp", "blackman", "interpolated", "kaiser"})
"""Waveforms that take a duration; the others have one by their samples, parts or area."""


def lower(section: InlineSequence, place: Callable[[Path], Path] = lambda path: path) -> Lowered:
    """Make an inline sequence regular.

    Relaxations 1 to 5 and 7 of the language: expressions, defaults, `duration` of a pulse for its waveforms, bare numbers for
    constant waveforms, repeats, atoms by name, registers and layouts by constructor or coordinates.

    Args:
        section: The sequence.
        place: Where in the spec a path of the sequence was written, for a variant of it.

    Returns:
        The lowered form; its `faults` are complete, so that all are reported at once.
    """
    lowering = _Lowering(section, place)
    lowering.run()
    return lowering.out


class _Lowering:
    """One pass over a section; collects faults instead of stopping at the first."""

    def __init__(self, section: InlineSequence, place: Callable[[Path], Path]) -> None:
        self.section = section
        self.place = place
        self.atoms = atom_names(section)
        self.indexes: frozenset[str] = frozenset()
        self.out = Lowered(atoms=self.atoms if isinstance(self.atoms, tuple) else (f"{self.atoms or ''}0",))

    def run(self) -> None:
        section, root = self.section, ("sequence",)
        self.out.register = lower_register(section, (*root, "register"), self._slot, self._fault)
        self.out.fields["channels"] = dict(section.channels)
        self.out.fields["measurement"] = section.measurement
        if section.layout is not None:
            self.out.fields["layout"] = lower_layout(section.layout, (*root, "layout"), self._slot)
        if section.magnetic_field is not None:
            path = (*root, "magnetic_field")
            self.out.fields["magnetic_field"] = [self._slot(v, (*path, i), "fixed") for i, v in enumerate(section.magnetic_field)]
        if section.slm_mask_targets is not None:
            self.out.fields["slm_mask_targets"] = list(section.slm_mask_targets)
        self.out.operations = self._operations(section.operations, (*root, "operations"))

    def _fault(self, path: Path, message: str, hint: str = "", offset: int = 0) -> None:
        self.out.faults.append(Fault(path=self.place(path), message=message, hint=hint, offset=offset))

    def _slot(self, value: Any, path: Path, role: Role) -> Slot:
        """A slot for a number, a text, a list or a tree; a text that does not parse is a fault and reads as 0."""
        tree = value.model_dump(exclude_none=True) if isinstance(value, Model) else None
        try:
            expression = self._read(value, path) if tree is None else from_tree(tree)
        except ExpressionError as error:
            self._fault(path, error.message, error.hint, error.offset)
            expression = read(0)
        return Slot(path=self.place(path), expression=expression, role=role, tree=tree, indexes=self.indexes)

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

    # ---- operations

    def _operations(self, operations: Iterable[Model], path: Path) -> list[Operation | Repeated]:
        return [
            self._repeat(one, (*path, number)) if isinstance(one, Repeat) else self._operation(one, (*path, number))
            for number, one in enumerate(operations)
        ]

    def _repeat(self, repeat: Repeat, path: Path) -> Repeated:
        repeats = self._slot(repeat.repeats, (*path, "repeats"), "fixed_integer")
        outer, index = self.indexes, repeat.index or ""
        if index:
            if index in outer:
                self._fault((*path, "index"), f'"{index}" is the index of an outer repeat already', "call one of them otherwise")
            self.out.indexes.append((index, self.place((*path, "index"))))
            self.indexes = outer | {index}
        operations = tuple(self._operations(repeat.operations, (*path, "operations")))
        self.indexes = outer
        return Repeated(repeats=repeats, index=index, operations=operations)

    def _operation(self, operation: Model, path: Path) -> Operation:
        name: str = operation.op  # type: ignore[attr-defined]
        waveforms = WAVEFORM_FIELDS.get(name, ())
        body: dict[str, Any] = {"op": name}
        for key, value in operation:
            if key in waveforms or key == "op" or (key == "duration" and waveforms):
                continue
            body[key] = self._field(key, value, (*path, key))
        if waveforms:
            body |= self._waveforms(operation, waveforms, path)
        return Operation(path=self.place(path), body=body, clocked=tuple(_clocked(body, waveforms)))

    def _field(self, key: str, value: Any, path: Path) -> Any:
        if key == "channel":
            return self._channel(value, path)
        if key in INTEGER_FIELDS:
            return self._slot(value, path, "integer")
        if key in NUMBER_FIELDS:
            return self._slot(value, path, "number")
        if key in {"target", "targets"}:
            if isinstance(value, list):
                return [self._atom(item, (*path, number)) for number, item in enumerate(value)]
            return self._atom(value, path, "integers")
        if key == "detuning_map":
            return self._detuning_map(value, path)
        if key == "channels":
            for number, channel in enumerate(value):
                self._channel(channel, (*path, number))
        return value

    def _atom(self, value: Any, path: Path, role: Role = "integer") -> Slot:
        """The number of an atom that is called by its name, or that is computed."""
        number = atom_number(self.atoms, value) if isinstance(value, str) else None
        return self._slot(value if number is None else number, path, role)

    def _detuning_map(self, value: dict[str, Any] | WeightedTraps, path: Path) -> dict[str, Any]:
        """`{weights: {atom: weight}}`, whose places the register knows, or `{traps: [{x, y, weight}]}`."""
        if isinstance(value, WeightedTraps):
            rows = [
                {key: self._slot(getattr(trap, key), (*path, "traps", number, key), "fixed") for key in ("x", "y", "weight")}
                for number, trap in enumerate(value.traps)
            ]
            return {"traps": rows} if value.slug is None else {"traps": rows, "slug": value.slug}
        for name in value:
            if atom_number(self.atoms, name) is None:
                hint = f"its atoms: {', '.join(self.atoms)}" if isinstance(self.atoms, tuple) else ""
                self._fault((*path, name), f'the register has no atom "{name}"', hint)
        if self.out.is_mappable:
            message = "the atoms of a mappable register have no place yet"
            self._fault(path, message, "give the traps: `detuning_map: {traps: [{x, y, weight}]}`")
        return {"weights": {name: self._slot(weight, (*path, name), "fixed") for name, weight in value.items()}}

    def _channel(self, value: str | None, path: Path) -> str:
        channels = list(self.section.channels)
        if value is None:
            if len(channels) == 1:
                return channels[0]
            declared = f"{len(channels)} are declared: {', '.join(channels)}" if channels else "none is declared"
            hint = "add `channel:`" if channels else "declare one in `channels`"
            self._fault(path[:-1], f"no channel is named, and {declared}", hint)
            return next(iter(channels), "")
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


def _clocked(body: dict[str, Any], waveforms: tuple[str, ...]) -> Iterator[Clocked]:
    """The durations of an operation that the clock of its channel must divide."""
    channel = body.get("channel") or body.get("dmm_name")
    if channel is None:
        return
    for key in waveforms:
        slots = _length(body[key])
        if slots:
            yield Clocked(channel=channel, slots=slots)
    for key in ("time", "duration"):
        if isinstance(body.get(key), Slot):
            yield Clocked(channel=channel, slots=(body[key],))


def _length(waveform: dict[str, Any]) -> tuple[Slot, ...]:
    """The slots whose sum is the waveform's duration; empty where it has none or one that is checked elsewhere."""
    if waveform["kind"] == "composite":
        lengths = [_length(part) for part in waveform["waveforms"]]
        return tuple(slot for length in lengths for slot in length) if all(lengths) else ()
    duration = waveform.get("duration")
    return (duration,) if isinstance(duration, Slot) else ()
