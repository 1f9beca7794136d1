"""What the check of names works on: the parts of a spec, the names of its groups, and what has been found so far."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pcs_runner.spec.expressions import FUNCTIONS, INTERACTION_COEFF, PI, nearest_name

if TYPE_CHECKING:
    from pcs_runner.errors import Problem
    from pcs_runner.spec.document import Document, Path
    from pcs_runner.spec.expressions import Expression
    from pcs_runner.spec.jobs import JobGroup
    from pcs_runner.spec.models import Spec
    from pcs_runner.spec.sweep_uses import AxisOwner

VARIANT, QUBITS = AXIS_ONLY = ("variant", "qubits")
"""Reserved names that an axis binds, and that nothing needs to use."""

PREDEFINED = (PI, INTERACTION_COEFF)
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One variant of a spec, or the spec without variants, and what its sequence says about names.

    Attributes:
        spec: The spec, with the variant laid over it.
        document: Its text and positions.
        uses: The expressions of the sequence section, with their paths.
        binds: For a sequence from a file: the names of its variables, which every group must bind.
        indexes: Names that count the passes of a `repeat`, with their paths.
        mappable: Whether every point has to bind `qubits`; None where it is not known.
        uncalled: Whether the sequence comes from code that was not called yet: it may use any name.
        variant: Name of the variant, or empty.
        changed: Names that change from variant to variant.
        atoms: Names of the atoms, which a target may be.
    """

    spec: Spec
    document: Document
    uses: Iterable[tuple[Path, Expression]]
    binds: Iterable[str] = ()
    indexes: Iterable[tuple[str, Path]] = ()
    mappable: bool | None = None
    uncalled: bool = False
    variant: str = ""
    changed: frozenset[str] = frozenset()
    atoms: Sequence[str] = ()


@dataclass(slots=True, kw_only=True)
class GroupNames:
    """The names of a job group: axis -> where it stands, and `let`."""

    path: Path
    group: JobGroup
    axes: dict[str, AxisOwner]
    complete: bool

    def names(self) -> set[str]:
        """Every name that the group binds."""
        return {*self.axes, *self.group.let}


@dataclass(slots=True)
class Found:
    """What the check knows so far: the problems, the names that are used, and those that an unknown name was meant to be."""

    document: Document
    problems: list[Problem] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def add(self, path: Path, message: str, hint: str = "", *, key: bool = False, offset: int = 0) -> None:
        """A problem at a place of the document."""
        self.problems.append(self.document.problem(path, message, hint=hint, key=key, offset=offset))

    def unknown(self, path: Path, name: str, offset: int, known: Iterable[str], atoms: Sequence[str] = ()) -> None:
        """An unknown name; its nearest counts as used, so that one slip is one problem."""
        other = f"name an atom ({', '.join(atoms[:8])}), or " if atoms else ""
        hint = self.meant(name, {*known, *PREDEFINED, *FUNCTIONS}) or f"{other}bind it in constants, in sweep or in let"
        self.add(path, f'unknown name "{name}"', hint, offset=offset)

    def meant(self, name: str, known: Iterable[str]) -> str:
        """A hint at the nearest known name, which counts as used; or an empty text."""
        near = nearest_name(name, known)
        self.used.add(near)
        return f'did you mean "{near}"?' if near else ""
