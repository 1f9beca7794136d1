"""What does not change in time: the van der Waals energies of all basis states, from the pairwise interactions of a register.

`H = sum_i (Omega_i / 2)(cos phi_i X_i + sin phi_i Y_i) - sum_i delta_i n_i + sum_ij U_ij n_i n_j`, over hbar, in rad/µs; the
states are in the order (g, r) here and (r, g) in Pulser. Source: `pulser_simulation.hamiltonian.Hamiltonian` of Pulser 1.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MINIMUM_QUBITS = 3
"""The kernels rotate three qubits at once; a smaller register gets idle atoms in front, which stay in the ground state."""


def padded_qubits(atoms: int) -> int:
    """Qubits that the kernels work on for a number of atoms."""
    return max(atoms, MINIMUM_QUBITS)


def energies(interaction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energies of the basis states, `(2^n,)`, rad/µs.

    Args:
        interaction: U_ij, `(atoms, atoms)`, symmetric, rad/µs, atoms in the order of the register.

    Returns:
        Bit n - 1 - i of the index is atom i, so that an index written in binary is a bitstring; n is `padded_qubits(atoms)`.
    """
    atoms = len(interaction)
    total = np.zeros(1)
    fields = np.zeros((atoms, 1))  # energy that exciting atom i adds to each state of the atoms behind it
    for atom in reversed(range(atoms)):
        total = np.concatenate((total, total + fields[atom]))
        fields = np.concatenate((fields, fields + interaction[:, atom, None]), axis=1)
    return np.concatenate((total, np.zeros(2 ** padded_qubits(atoms) - len(total))))


def apply(state: NDArray[np.complex128], diagonal: NDArray[np.float64], fields: NDArray[np.float64]) -> NDArray[np.complex128]:
    """`H |state>` at one moment.

    Args:
        state: `(2^atoms,)`.
        diagonal: Interaction energies, `(2^atoms,)`, rad/µs.
        fields: The two quadratures of the drive and the detuning, `(3, atoms)`, rad/µs.
    """
    atoms = fields.shape[1]
    result = diagonal * state
    for atom in range(atoms):
        before = state.reshape(2**atom, 2, -1)
        after = result.reshape(2**atom, 2, -1)
        coupling = 0.5 * (fields[0, atom] + 1j * fields[1, atom])
        after[:, 1] += coupling * before[:, 0] - fields[2, atom] * before[:, 1]
        after[:, 0] += np.conj(coupling) * before[:, 1]
    return result
