"""The traps of a mappable register: which atom sits where at a point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.fields import FieldError, as_integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pcs_runner.spec.document import Path

QUBITS = "qubits"
"""The name that binds the traps, as in Pulser's `Sequence.build` and in the variables of a PCS job."""


def traps_of(qubits: Any, names: Sequence[str], path: Path) -> dict[str, int]:
    """The trap of each atom of a mappable register, in the order of the atoms.

    Args:
        qubits: A list of traps, first atom first, or atom -> trap; fewer than there are atoms leave the last ones out.
        names: The atoms of the register.
        path: Where they are bound.

    Raises:
        FieldError: They do not fit the register.
    """
    if not isinstance(qubits, dict | tuple):
        raise FieldError(path, "qubits is one number, not a list of traps", "write [4, 8]")
    if len(qubits) > len(names):
        raise FieldError(path, f"qubits has {len(qubits)} traps, the mappable register has {len(names)} atoms")
    given = qubits if isinstance(qubits, dict) else dict(zip(names, qubits, strict=False))
    for name in given:
        if name not in names[: len(given)]:
            hint = f"name the first {len(given)}: {', '.join(names[: len(given)])}"
            raise FieldError(path, f'qubits has "{name}", which is not among the first {len(given)} atoms', hint)
    traps = {
        name: as_integer(given[name], path, f"the trap of {name}", "a trap is a number from 0") for name in names[: len(given)]
    }
    for place, (name, trap) in enumerate(traps.items()):
        twin = next((other for other in list(traps)[:place] if traps[other] == trap), None)
        if twin is not None:
            raise FieldError(path, f"trap {trap} is given to {twin} and to {name}", "give every atom a trap of its own")
    return traps
