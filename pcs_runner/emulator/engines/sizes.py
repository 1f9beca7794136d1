"""How much memory a simulation needs, before it is begun."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcs_runner.emulator.engines.demands import Demands

STATE_COPIES = 20
"""States that QuTiP's solvers hold at once (Adams method of order 12, with its corrector and temporaries)."""

ENTRY_BYTES = 20
"""Of a stored matrix element: a complex number and its column."""


def qutip_bytes(demands: Demands, *, jumps: bool = False) -> int:
    """What QuTiP needs at least for a job.

    Args:
        demands: What is simulated.
        jumps: Whether dissipation is simulated by quantum jumps of state vectors, not by a density matrix.

    Returns:
        Bytes for the Hamiltonian (n flips to and fro, and diagonals) or the Liouvillian, and for the states.
    """
    dimension = int(demands.levels**demands.atoms)
    if demands.is_dissipative and not demands.is_stochastic and not jumps:
        return int(dimension**2 * ((2 * demands.atoms + 2) * ENTRY_BYTES + 16 * STATE_COPIES))
    return int(dimension * ((2 * demands.atoms + 2) * ENTRY_BYTES + 16 * STATE_COPIES))


def memory_bytes() -> int | None:
    """Memory of this machine, None where it cannot be asked."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def bytes_text(count: int) -> str:
    """`512 MiB`, `14 GiB`, `3.1e+06 TiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.3g} {unit}"
        value /= 1024
    return f"{value:.3g} TiB"
