"""From a built Pulser sequence to the points that are integrated, by Pulser's own sampler and noise model.

What the drive is, is Pulser's word: `pulser.sampler` gives the samples, `HamiltonianData` the noise trajectories and the
interactions, exactly as for `pulser_simulation.QutipEmulator`, one sample after the end (amplitude 0) included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pcs_runner.emulator.engines.batched.waveforms import MINIMUM_SAMPLES, Drive

if TYPE_CHECKING:
    from numpy.typing import NDArray

BASIS = "ground-rydberg"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Physics:
    """What evolves: one drive and register, or one for each noise trajectory.

    Attributes:
        drives: One for each trajectory.
        interactions: U_ij of each trajectory, `(atoms, atoms)`, rad/µs.
        repetitions: How many trajectories are this one.
        noiseless: The drive and the interactions without noise: energies are those of this Hamiltonian.
        atoms: Their ids, in the order of the register.
        duration_ns: Of the sequence.
    """

    drives: tuple[Drive, ...]
    interactions: tuple[NDArray[np.float64], ...]
    repetitions: tuple[int, ...]
    noiseless: tuple[Drive, NDArray[np.float64]]
    atoms: tuple[Any, ...]
    duration_ns: int

    @property
    def nbytes(self) -> int:
        """Memory of the samples and their splines."""
        return sum(3 * drive.values.nbytes for drive in self.drives)


def sample(sequence: Any, *, with_modulation: bool, noise: Any, trajectories: int) -> Physics:
    """Sample a built sequence.

    Args:
        sequence: `pulser.Sequence`, built.
        with_modulation: Whether the output of the modulators is simulated instead of their input.
        noise: `pulser.NoiseModel`; what is stochastic in it is drawn from NumPy's global generator.
        trajectories: How many are drawn.

    Raises:
        ValueError: It is too short, empty, or not in the ground-rydberg basis.
        NotImplementedError: An SLM mask is combined with modulation (Pulser refuses that as well).
    """
    from pulser import NoiseModel
    from pulser._hamiltonian_data import HamiltonianData
    from pulser.sampler import sampler

    if with_modulation and sequence._slm_mask_targets:
        raise NotImplementedError("Simulation of sequences combining an SLM mask and output modulation is not supported.")
    duration = int(sequence.get_duration(include_fall_time=with_modulation))
    if duration < MINIMUM_SAMPLES:
        raise ValueError(f"the sequence lasts {duration} ns, and at least {MINIMUM_SAMPLES} are needed to read its samples")
    samples = sampler.sample(sequence, modulation=with_modulation, extended_duration=duration)
    longer = samples.extend_duration(duration + 1)
    data = HamiltonianData(longer, sequence.register, sequence.device, noise, trajectories)
    if data.basis_data.basis_name != BASIS:
        raise ValueError(f"engine batched simulates the {BASIS} basis, not {data.basis_data.basis_name}: use engine qutip")
    atoms = tuple(sequence.register.qubit_ids)
    noisy = [(drive_of(part.to_nested_dict(), atoms), _interaction(path), count) for path, part, count in data.noisy_samples]
    clean = noisy[0][:2] if noise == NoiseModel() else _noiseless(longer, sequence, atoms)
    return Physics(
        drives=tuple(drive for drive, _, _ in noisy),
        interactions=tuple(interaction for _, interaction, _ in noisy),
        repetitions=tuple(count for _, _, count in noisy),
        noiseless=clean,
        atoms=atoms,
        duration_ns=duration,
    )


def _noiseless(samples: Any, sequence: Any, atoms: tuple[Any, ...]) -> tuple[Drive, NDArray[np.float64]]:
    from pulser import NoiseModel
    from pulser._hamiltonian_data import HamiltonianData

    data = HamiltonianData(samples, sequence.register, sequence.device, NoiseModel(), 1)
    return drive_of(data.samples.to_nested_dict(), atoms), _interaction(data.noise_trajectories[0].trajectory)


def _interaction(trajectory: Any) -> NDArray[np.float64]:
    matrix: NDArray[np.float64] = trajectory.interaction_matrix.as_array(detach=True)[-1]
    return np.ascontiguousarray(matrix)


def drive_of(samples: dict[str, Any], atoms: tuple[Any, ...]) -> Drive:
    """The drive in Pulser's nested samples (`SequenceSamples.to_nested_dict`); atoms driven alike share a row."""
    everywhere = _quadratures(samples["Global"].get(BASIS))
    local = samples["Local"].get(BASIS, {})
    rows: list[NDArray[np.float64]] = []
    known: dict[bytes | None, int] = {}
    row_of_atom = []
    for atom in atoms:
        own = _quadratures(local.get(atom))
        key = None if own is None else own.tobytes()
        if key not in known:
            known[key] = len(rows)
            parts = [part for part in (everywhere, own) if part is not None]
            rows.append(sum(parts[1:], parts[0]) if parts else np.zeros((3, _duration(samples))))
        row_of_atom.append(known[key])
    return Drive(values=np.ascontiguousarray(np.stack(rows, axis=1)), row_of_atom=np.array(row_of_atom))


def _duration(samples: dict[str, Any]) -> int:
    return max(
        (len(part["det"]) for part in (*samples["Global"].values(), *samples["Local"].get(BASIS, {}).values())),
        default=MINIMUM_SAMPLES + 1,
    )


def _quadratures(samples: dict[str, Any] | None) -> NDArray[np.float64] | None:
    """`(3, duration)`: amp cos(phase), amp sin(phase), detuning; rad/µs."""
    if samples is None:
        return None
    amplitude, phase = samples["amp"], samples["phase"]
    return np.stack((amplitude * np.cos(phase), amplitude * np.sin(phase), samples["det"]))
