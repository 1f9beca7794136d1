"""How much memory a register takes, known before anything is integrated."""

from __future__ import annotations

from pcs_runner.emulator.engines.sizes import bytes_text, memory_bytes

LANES = 4
"""Points in a block: four doubles are a register of AVX2 and two of NEON."""

LEVELS = 3
"""The steps, their halves and their quarters: order 2, extrapolated to 6, with a difference that estimates order 4."""

TABLE_BYTES = 2**26
"""Phases of the interaction held at once; beyond it they are made again as the steps need them."""

AUTO_BYTES = 8 * 2**30
"""What `auto` gives a register. A constant, and not the machine's memory: the same spec runs on the same engine everywhere."""

SHARE = 0.5
"""Of the machine's memory that a block may take."""


def bytes_needed(atoms: int) -> int:
    """Memory of a block: `LEVELS` states of `LANES` points, what is made of one point's, and the phases of the interaction."""
    size = int(2 ** max(atoms, 3))
    states, extrapolation, diagonal = 16 * size * LEVELS * LANES, 16 * size * (LEVELS + 6), 8 * size
    return states + extrapolation + diagonal + max(min(TABLE_BYTES, 2**10 * size), 16 * size * 2 * LANES)


def does_not_fit(atoms: int, limit_bytes: int) -> str | None:
    """Why a register cannot be simulated, with the number and what to do, or None."""
    needed = bytes_needed(atoms)
    if needed <= limit_bytes:
        return None
    largest = max((n for n in range(1, 64) if bytes_needed(n) <= limit_bytes), default=0)
    return (
        f"{atoms} atoms need {bytes_text(needed)}, and {bytes_text(limit_bytes)} are allowed, enough for {largest}: "
        "take fewer atoms, a machine with more memory, or engine emu-mps"
    )


def machine_limit() -> int:
    """What a block may take on this machine; `AUTO_BYTES` where it cannot be asked."""
    total = memory_bytes()
    return AUTO_BYTES if total is None else int(total * SHARE)
