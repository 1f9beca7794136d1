"""A spec, or a variant of it, as a plan needs it: its sequence read, what it says about names, and its template."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pcs_runner.sequence.choice import Choice
from pcs_runner.sequence.from_file import FileTemplate, is_mappable, parse_sequence
from pcs_runner.sequence.from_python import PythonTemplate, argument_uses, arguments_at
from pcs_runner.sequence.lower import lower
from pcs_runner.sequence.mappable import QUBITS
from pcs_runner.sequence.python_code import PATH as PYTHON_PATH
from pcs_runner.sequence.repeat import pass_counts, repeat_names, unroll, with_indexes
from pcs_runner.sequence.slots import Lowered
from pcs_runner.sequence.template import Template
from pcs_runner.spec.expressions import INTERACTION_COEFF
from pcs_runner.spec.name_parts import Part
from pcs_runner.spec.sequences import FileSequence, InlineSequence, PythonSequence
from pcs_runner.spec.sweep_uses import axis_owners
from pcs_runner.spec.variants import VariantDocument, variant_path
from pcs_runner.sweep import VariantNames

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pcs_runner.plan.user_code import UserFunctions
    from pcs_runner.sequence.choice import SequenceTemplate
    from pcs_runner.sequence.devices import ResolvedDevice
    from pcs_runner.sequence.python_calls import Calls
    from pcs_runner.sequence.slots import Fault
    from pcs_runner.spec.document import Document, Path
    from pcs_runner.spec.expressions import Expression, Value
    from pcs_runner.spec.models import Spec
    from pcs_runner.spec.sequences import VariableDeclaration
    from pcs_runner.spec.tables import Inputs
    from pcs_runner.sweep import Group

FILE_PATH: Path = ("sequence", "file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A variant in a plan; the one without a name is the spec as it stands.

    Attributes:
        spec: The spec, with the variant laid over it.
        device: The device in use.
    """

    spec: Spec
    device: ResolvedDevice

    @property
    def is_inline(self) -> bool:
        """Whether the sequence stands in the spec, so that problems have a line."""
        return isinstance(self.spec.sequence, InlineSequence)

    @property
    def path(self) -> Path:
        """Where the spec says what the sequence is."""
        section = self.spec.sequence
        return ("sequence",) if self.is_inline else FILE_PATH if isinstance(section, FileSequence) else PYTHON_PATH

    @property
    def strict_clock(self) -> bool:
        """Whether a duration off the clock is refused."""
        return isinstance(self.spec.sequence, InlineSequence) and self.spec.sequence.clock == "strict"

    def clock_periods(self) -> dict[str, int]:
        """Clock period in ns of each declared channel."""
        section = self.spec.sequence
        return self.device.clock_periods(section.channels) if isinstance(section, InlineSequence) else {}


@dataclass(slots=True, kw_only=True)
class Source:
    """A spec or one of its variants, while a plan is made.

    Attributes:
        document: Its text and positions.
        spec: The spec, with the variant laid over it.
        variant: Name of the variant, or empty.
        lowered: Its inline sequence, once it is read.
        file_text: Its sequence from a file, once it is read; or that of its first point from code, once that was called.
        calls: The calls of its code, once they may be made.
        arguments: The expressions of the code's arguments.
    """

    document: Document
    spec: Spec
    variant: str = ""
    lowered: Lowered = field(default_factory=Lowered)
    file_text: str = ""
    qubits_path: Path = (QUBITS,)
    calls: Calls | None = None
    arguments: list[tuple[Path, Expression]] = field(default_factory=list)

    def read(self, inputs: Inputs, functions: UserFunctions) -> None:
        """Read the sequence; of code only its arguments.

        Raises:
            InputError: Its file cannot be read.
            FieldError: Its file is no sequence, or code that is not allowed.
        """
        section = self.spec.sequence
        if isinstance(section, InlineSequence):
            self.lowered = lower(section, self.place)
        elif isinstance(section, FileSequence):
            self.file_text = inputs.read(section.file).decode("utf-8", "replace")
            parse_sequence(self.file_text)
        elif isinstance(section, PythonSequence):
            self.arguments = argument_uses(section.python)
            self.calls = functions.open(section.python)
        self.qubits_path = next(self._qubits_paths(inputs), (QUBITS,))

    def _qubits_paths(self, inputs: Inputs) -> Iterator[Path]:
        for number, group in enumerate(self.spec.groups):
            path: Path = ("jobs", number, "sweep") if isinstance(self.spec.jobs, list) else ("jobs", "sweep")
            yield from (owner.path for owner in axis_owners(group.sweep, path, inputs) if owner.name == QUBITS)

    def call(self, env: Mapping[str, Value]) -> None:
        """Call the code at a point: what it returns says which variables there are, and the device.

        Raises:
            FieldError: The code fails there.
        """
        assert self.calls is not None
        self.file_text = self.calls.text(arguments_at(self.arguments, env))

    def place(self, path: Path) -> Path:
        """Where in the spec a path of this variant was written."""
        document = self.document
        return variant_path(document.base.data, document.variant, path) if isinstance(document, VariantDocument) else path

    @property
    def faults(self) -> list[Fault]:
        """What is wrong with an inline sequence."""
        return self.lowered.faults

    @property
    def device(self) -> Any:
        """The device of the sequence, as it is given."""
        section = self.spec.sequence
        return section.device if isinstance(section, InlineSequence) else parse_sequence(self.file_text)["device"]

    def part(self, changed: frozenset[str]) -> Part:
        """What the sequence says about names."""
        body = parse_sequence(self.file_text) if self.file_text else None
        return Part(
            spec=self.spec,
            document=self.document,
            uses=list(self._uses()),
            binds=body["variables"] if body else (),
            indexes=self.lowered.indexes,
            atoms=self.lowered.atoms,
            mappable=is_mappable(body) if body else self.lowered.is_mappable if self.lowered.register else None,
            uncalled=isinstance(self.spec.sequence, PythonSequence) and not self.file_text,
            variant=self.variant,
            changed=changed,
        )

    def _uses(self) -> Iterator[tuple[Path, Expression]]:
        yield from self.arguments
        for slot in self.lowered.slots():
            expression = slot.expression
            yield slot.path, with_indexes(expression, dict.fromkeys(slot.indexes, 0)) if slot.indexes else expression

    def names(self, coefficient: float) -> VariantNames:
        """What a group needs to know of the variant."""
        return VariantNames(constants=self.spec.constants, predefined={INTERACTION_COEFF: coefficient}, place=self.place)

    def template(self, groups: list[Group], env: Mapping[str, Value], *, switch: bool) -> SequenceTemplate:
        """The sequence as a point decides it.

        Args:
            groups: All groups.
            env: All names at a point that uses the variant.
            switch: Whether the target puts a file's sequence on another device.

        Raises:
            FieldError: An expression fails there.
        """
        varying = frozenset(name for group in groups for name in group.varying_in(self.variant)) - {QUBITS}
        if self.calls is not None:
            device = parse_sequence(self.file_text)["device"]
            return PythonTemplate(
                self.calls, self.arguments, varying, env, device=device, switch=switch, qubits_path=self.qubits_path
            )
        if not isinstance(self.spec.sequence, InlineSequence):
            return FileTemplate(self.file_text, env, switch=switch, qubits_path=self.qubits_path)
        computed = frozenset(name for group in groups for name in group.let_names) - varying
        declared = {name: _declaration(kind) for name, kind in self.spec.sequence.variables.items()}

        def make(env: Mapping[str, Value]) -> Template:
            return Template(unroll(self.lowered, env), declared, varying, computed, env, self.qubits_path)

        deciding = repeat_names(self.lowered) & (varying | computed)
        if not deciding:
            return make(env)
        choice = Choice(lambda env: tuple(map(str, pass_counts(self.lowered, env))), make, deciding & varying)
        choice.chosen(env)
        return choice


def _declaration(declared: Literal["int", "float"] | VariableDeclaration) -> tuple[Literal["int", "float"], int | None]:
    """Type and size of a declared variable; a placeholder with several values says the size too."""
    if isinstance(declared, str):
        return declared, None
    placeholders = len(declared.value or ())
    return declared.type, declared.size or (placeholders if placeholders > 1 else None)
