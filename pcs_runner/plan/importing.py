"""A Pulser sequence -> a readable spec that compiles to the same sequence: written, compiled, compared, and written plainer."""

from __future__ import annotations

import json
import pathlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import SpecError, UsageError
from pcs_runner.plan.make import make_plan
from pcs_runner.sequence.build import load_sequence
from pcs_runner.sequence.devices import bundled_names
from pcs_runner.sequence.importing.operations import PASTED, SHORT, written
from pcs_runner.sequence.importing.registers import sections
from pcs_runner.sequence.importing.source import Source, printed, read_source, without_versions
from pcs_runner.sequence.importing.texts import Texts, whole
from pcs_runner.sequence.importing.values import QUBITS, Found, array_sizes, find_values
from pcs_runner.spec.document import parse_document
from pcs_runner.spec.yaml_text import yaml_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.plan.plan import Plan
    from pcs_runner.spec.document import Path

RUNS = 100
NO_VALUES = "no values were found with which Pulser builds the sequence; give yours"
ROUNDS = 40
_FAULTY = re.compile(r"sequence\.operations\[(\d+)\]")
_CLOCK = "ns clock of channel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A spec made from a sequence.

    Attributes:
        text: The YAML, without a first line for editors.
        notes: What the user should know, one sentence each; they stand in the text too.
        device: The device in Pulser's abstract representation where the spec refers to a file for it, else None.
    """

    text: str
    notes: tuple[str, ...]
    device: str | None


def import_sequence(data: bytes, file: str, *, device_file: str | None = None) -> Imported:
    """Write a sequence as a spec; what the spec compiles to is compared with the sequence before it is returned.

    Args:
        data: A sequence in Pulser's abstract representation, built or parametrised.
        file: Its name, for messages and for the spec's header.
        device_file: Where the spec may refer to for a device that Pulser does not know by name; None: it is written in full.

    Raises:
        UsageError: It is no such sequence, or the language cannot say it; nothing is guessed.
    """
    source = read_source(data, file)
    found = find_values(source)
    if found is None:
        names = ", ".join(f"{name}=..." for name in source.body["variables"])
        raise UsageError(
            f"{file}: no values were found for which all expressions of the sequence are finite numbers",
            hint=f"print it with values that do: sequence.to_abstract_repr({names})",
        )
    return _Writing(source, found, file, device_file).run()


@dataclass(slots=True)
class _Choices:
    """How plainly each part is written."""

    levels: list[int]
    declared: set[str] = field(default_factory=set)
    section: dict[str, Any] = field(default_factory=dict)
    clock: bool = False


class _Writing:
    """Writes, compiles and compares; what differs is written plainer, until nothing does."""

    def __init__(self, source: Source, found: Found, file: str, device_file: str | None) -> None:
        self.source = source
        self.body = source.body
        self.values = found.values
        self.notes = source.notes if found.builds else (*source.notes, NO_VALUES)
        self.file = file
        self.texts = Texts(array_sizes(source.body))
        self.device_name = self._device_name()
        self.device_file = device_file
        self.sections = sections(source.body, source.sequence.device)
        self.choices = _Choices([SHORT] * len(self.body["operations"]), declared=self._unused(), section=next(self.sections))

    def run(self) -> Imported:
        for _ in range(ROUNDS + len(self.body["operations"])):
            try:
                plan = self._plan()
                found = printed(load_sequence(plan.sequence(plan.sequence_ids[0])))
            except SpecError as error:
                self._plainer_where_refused(error)
                continue
            if not self._plainer_where_different(found):
                return self._checked(plan)
        raise self._failure("the spec does not come back equal")

    def _checked(self, plan: Plan) -> Imported:
        """The spec, after the check that a user would do first."""
        notes = self.notes
        try:
            plan.check()
        except SpecError as error:
            if not self.choices.clock and any(_CLOCK in problem.message for problem in error.problems):
                self.choices.clock = True
                return self._checked(self._plan())
            notes += tuple(f"{problem.path}: {problem.message}" for problem in error.problems)
        if self.device_name or self.device_file is None:
            return Imported(text=self._text(notes), notes=notes, device=None)
        device = json.dumps(self.body["device"], indent=2, ensure_ascii=False) + "\n"
        return Imported(text=self._text(notes, {"file": self.device_file}), notes=notes, device=device)

    def _plan(self) -> Plan:
        document = parse_document(self._text(()).encode(), file=self.file, folder=pathlib.Path())
        return make_plan(document)

    # ---- what is plainer next

    def _plainer_where_refused(self, error: SpecError) -> None:
        numbers = {int(found[1]) for problem in error.problems if (found := _FAULTY.match(problem.path))}
        for number in numbers:
            self._plainer(number)
        if not numbers:
            first = error.problems[0]
            if not first.path.startswith(("sequence.register", "sequence.layout")):
                raise self._failure(f"{first.path}: {first.message}: this cannot be written") from error
            self._next_section(first.message)

    def _plainer_where_different(self, found: Mapping[str, Any]) -> bool:
        """Whether something differs from the sequence; it is written plainer, variables first: operations depend on them."""
        differing = {key for key in {*self.body, *found} if self.body.get(key) != found.get(key)}
        if "variables" in differing:
            self._declare(found["variables"])
        elif differing & {"register", "layout"}:
            self._next_section("the register")
        elif differing == {"operations"} and len(found["operations"]) == len(self.body["operations"]):
            for number, (ours, theirs) in enumerate(zip(found["operations"], self.body["operations"], strict=True)):
                if ours != theirs:
                    self._plainer(number)
        elif differing:
            raise self._failure(f"its {', '.join(sorted(differing))} cannot be written")
        return bool(differing)

    def _plainer(self, number: int) -> None:
        if self.choices.levels[number] == PASTED:
            raise self._failure(f"operation {number} ({self.body['operations'][number]['op']}) cannot be written")
        self.choices.levels[number] += 1

    def _next_section(self, what: str) -> None:
        section = next(self.sections, None)
        if section is None:
            raise self._failure(f"{what} cannot be written")
        self.choices.section = section

    def _declare(self, found: Mapping[str, Any]) -> None:
        """Declare the variables whose type or size is not the one that the language infers."""
        wrong = {name for name, one in self.body["variables"].items() if found.get(name) != one}
        if not wrong - self.choices.declared:
            raise self._failure("its variables cannot be written")
        self.choices.declared |= wrong

    def _failure(self, what: str) -> UsageError:
        hint = f"name the file in a spec instead: `sequence: {{file: {self.file}}}`"
        return UsageError(f"{self.file}: {what}", hint=hint)

    # ---- the spec

    def _text(self, notes: tuple[str, ...], device: Any = None) -> str:
        """The YAML.

        Args:
            notes: Said above.
            device: How to write the device; default: its name, or in full.
        """
        sequence = self._sequence(device or self.device_name or self.body["device"])
        data = {"version": 1, "name": _spec_name(self.source.name), "sequence": sequence, "jobs": self._jobs()}
        comments: dict[Path, list[str]] = {("version",): [f"Imported from {_one_line(self.file)} by `pcs-run import`."]}
        comments["version",] += [f"Note: {_one_line(note)}." for note in notes]
        if self.values:
            comments["jobs", "sweep"] = self._advice()
        return yaml_text(data, comments)

    def _sequence(self, device: Any) -> dict[str, Any]:
        """The section; a device in full stands last, where it hides nothing."""
        body, choices = self.body, self.choices
        section: dict[str, Any] = {} if device is body["device"] else {"device": device}
        section |= {key: choices.section[key] for key in ("layout", "register") if key in choices.section}
        section["channels"] = body["channels"]
        for key in ("magnetic_field", "slm_mask_targets"):
            if key in body:
                section[key] = body[key]
        if choices.clock:
            section["clock"] = "round"
        if choices.declared:
            section["variables"] = {n: self._declaration(n) for n in body["variables"] if n in choices.declared}
        section["operations"] = [
            written(operation, level, self.texts.value, body)
            for operation, level in zip(body["operations"], choices.levels, strict=True)
        ]
        section["measurement"] = body["measurement"]
        section.setdefault("device", device)
        written_whole: dict[str, Any] = whole(section)
        return written_whole

    def _unused(self) -> set[str]:
        """Variables that no operation uses: only a declaration keeps them."""
        text = json.dumps(self.body["operations"])
        return {name for name in self.body["variables"] if json.dumps({"variable": name}) not in text}

    def _declaration(self, name: str) -> Any:
        kind, size = self.body["variables"][name]["type"], self.texts.sizes[name]
        return kind if size is None else {"type": kind, "size": size}

    def _jobs(self) -> dict[str, Any]:
        runs = min(RUNS, self.body["device"].get("max_runs") or RUNS)
        if not self.values:
            return {"runs": runs}
        return {"runs": runs, "sweep": {"grid": {name: [value] for name, value in self.values.items()}}}

    def _advice(self) -> list[str]:
        given = "These are the values that the file gives" if self.source.given else "Pulser keeps no values; these only build"
        example = next(iter(self.values))
        lines = [f"{given}. Write yours: `{example}: [...]`, or linspace, arange, geomspace, a CSV file."]
        if QUBITS in self.values:
            lines.append("`qubits` is the trap of each atom, first atom first.")
        return lines

    def _device_name(self) -> str:
        """The device's name where Pulser has an equal one, else empty."""
        import pulser.devices as devices

        for name in bundled_names():
            if without_versions(json.loads(getattr(devices, name).to_abstract_repr())) == self.body["device"]:
                return name
        return ""


def _spec_name(name: str) -> str:
    """A name for the spec from that of the sequence."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:63]
    return plain or "imported"


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
