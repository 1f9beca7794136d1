"""The steps of the integrator: phases and rotations of a block of `LANES` points through all steps, in one compiled call.

A step is `exp(-i D/2) exp(-i T) exp(-i D/2)` (Strang): D, the diagonal of interaction and detuning, T, the drive, a rotation of
each atom. Half phases of neighbouring steps are merged, and with them the phase of the laser: a rotation about the axis
`cos(phi) X + sin(phi) Y` is one about X between two phases of the Rydberg state. So a step is one table of phases and `2^n n`
multiply-adds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from pcs_runner.emulator.engines.batched.memory import LANES
from pcs_runner.emulator.engines.batched.vectors import (
    multiply_row,
    phase_and_rotate_own,
    phase_and_rotate_shared,
    rotate_one,
    rotate_three,
    rotate_two,
)

CACHED_QUBITS = 6
"""Rows of the lowest qubits that are passed twice while they lie in the first-level cache: 64 rows are 4 KiB."""

jit = njit(cache=True, nogil=True, error_model="numpy")


@jit
def _atom_phases(table: Any, turns: Any, rows: Any, first: int, count: int) -> None:
    """Fill `table[1:]` with the products of `table[0]` and the turns of `count` qubits from `first` on."""
    for qubit in range(count):
        size = 1 << qubit
        for index in range(size):
            multiply_row(table, size + index, index, turns, rows[first + qubit])  # type: ignore[call-arg]


@jit
def _low_passes(state: Any, tangents: Any, tables: Any, which: Any, low: Any, high: Any, low_qubits: int, cached: int) -> None:
    """Multiply the phases in and rotate the `cached` lowest qubits (3, or 6 when there are as many)."""
    size = state.shape[0]
    mask = (1 << low_qubits) - 1
    shared = True
    for lane in range(1, LANES):
        shared = shared and which[lane] == which[0]
    for base in range(0, size, 1 << cached):
        for row in range(base, base + (1 << cached), 8):
            if shared:
                phase_and_rotate_shared(state, row, tangents, tables, which, size, low, row & mask, high, row >> low_qubits)
            else:
                phase_and_rotate_own(state, row, tangents, tables, which, size, low, row & mask, high, row >> low_qubits)
        if cached == CACHED_QUBITS:
            for row in range(base, base + 8):
                rotate_three(state, row, 3, tangents)


@jit
def _high_passes(state: Any, tangents: Any, first: int, qubits: int) -> None:
    """Rotate qubits `first` to `qubits - 1`, three a pass."""
    size = state.shape[0]
    while first < qubits:
        width = 1 << first
        count = min(3, qubits - first)
        for base in range(0, size, width << count):
            for row in range(base, base + width):
                if count == 3:
                    rotate_three(state, row, first, tangents)
                elif count == 2:
                    rotate_two(state, row, first, tangents)
                else:
                    rotate_one(state, row, first, tangents)
        first += count


@jit
def advance(state: Any, tangents: Any, turns: Any, scales: Any, tables: Any, which: Any, rows: Any) -> None:
    """Take a block of points through K steps, in place.

    Args:
        state: Amplitudes, `(2^n, 2, LANES)`, n at least 3; bit q of the first index is qubit q.
        tangents: `(K + 1, rows, LANES)`: tan of half the rotation's angle; the last is 0.
        turns: `(K + 1, rows, 2, LANES)`: factor of an excited atom before that rotation (real, imaginary).
        scales: `(K + 1, LANES)`: product of the cosines that the rotation before left out.
        tables: `(tables, 2^n, 2)`: factors of the interaction (real, imaginary).
        which: `(K + 1, LANES)`: table before that rotation.
        rows: `(n,)`: row of `tangents` and `turns` that drives a qubit.
    """
    qubits = rows.size
    low_qubits = max(3, qubits // 2)
    low, high = np.zeros((1 << low_qubits, 2, LANES)), np.zeros((1 << (qubits - low_qubits), 2, LANES))
    low[0, 0, :] = 1.0
    cached = CACHED_QUBITS if qubits >= CACHED_QUBITS else 3
    own = np.empty((qubits, LANES))
    for step in range(tangents.shape[0]):
        active = False
        for qubit in range(qubits):
            for lane in range(LANES):
                own[qubit, lane] = tangents[step, rows[qubit], lane]
                active = active or own[qubit, lane] != 0.0
        high[0, 0, :] = scales[step]
        _atom_phases(low, turns[step], rows, 0, low_qubits)
        _atom_phases(high, turns[step], rows, low_qubits, qubits - low_qubits)
        _low_passes(state, own, tables, which[step], low, high, low_qubits, cached if active else 3)
        if active:
            _high_passes(state, own, cached, qubits)
