"""A job's sequence, built by Pulser and ready to be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcs_runner.results.charts.axes import value_text
from pcs_runner.results.charts.register import Atoms, describe, draw_register
from pcs_runner.results.charts.sampled import Sampled, sampled
from pcs_runner.sequence.build import build, load_sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.results.charts.svg import Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A built sequence, ready to be drawn.

    Attributes:
        curves: Its samples.
        atoms: Its register.
        sequence: The built `pulser.Sequence`.
        blockade_um: Blockade radius at the largest amplitude in µm; None where there is none.
    """

    curves: Sampled
    atoms: Atoms
    blockade_um: float | None
    sequence: Any

    @classmethod
    def of(cls, text: str, variables: Mapping[str, Any]) -> Built:
        """Build and sample a sequence.

        Args:
            text: In Pulser's abstract representation.
            variables: Of the job.

        Raises:
            Exception: Pulser cannot.
        """
        sequence = build(load_sequence(text), variables)[0]
        curves = sampled(sequence)
        amplitude = curves.largest_amplitude
        radius = float(sequence.device.rydberg_blockade_radius(amplitude)) if amplitude > 0 else None
        return cls(curves=curves, atoms=_atoms(sequence, text), blockade_um=radius, sequence=sequence)

    def register(self, width: float = 340) -> Picture:
        """The atoms; those within the blockade radius of each other are joined."""
        return draw_register(
            self.atoms, title="Register", description=self.register_caption, bond_um=self.blockade_um, width=width
        )

    @property
    def register_caption(self) -> str:
        """How many atoms, how far apart, and the blockade radius."""
        words = describe(self.atoms)
        if self.blockade_um is None or len(self.atoms.places) < 2:
            return words
        radius = value_text(self.blockade_um)
        return f"{words} Blockade radius at the largest amplitude: {radius} µm; lines join atoms that are nearer."


def _atoms(sequence: Any, text: str) -> Atoms:
    """The register of a built sequence; which atoms are masked stands in the text."""
    register = sequence.register
    places = {str(name): tuple(float(value) for value in place.as_array()) for name, place in register.qubits.items()}
    traps = () if register.layout is None else [tuple(map(float, trap)) for trap in register.layout.coords]
    return Atoms(places=places, traps=traps, masked=Atoms.of(text).masked, names=tuple(places))
