"""What engine `batched` takes: decided from the JSON of a sequence and its config, without Pulser and before anything is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pcs_runner.emulator.engines.batched.memory import AUTO_BYTES, does_not_fit
from pcs_runner.emulator.engines.demands import read_demands

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.emulator.engines import EngineSettings

BASES = ("ground-rydberg",)

NOISE = frozenset({"SPAM", "doppler", "amplitude", "detuning", "dmm_sigma", "dmm_crosstalk"})
"""Noise that leaves a pure state in each trajectory, with the atoms where they are."""

OBSERVABLES = frozenset(
    ("bitstrings", "correlation_matrix", "energy", "energy_second_moment", "energy_variance", "expectation", "fidelity")
) | {"occupation"}

FINEST = 1e-9
"""Infidelity below which double precision and the reading of the samples leave nothing to promise."""


def covers(sequence: str, settings: EngineSettings) -> str | None:
    """Why the engine does not take a sequence with these settings, or None when it does.

    Args:
        sequence: Pulser's abstract representation (a JSON string), parametrised or built.
        settings: Config and accuracy count.

    Raises:
        ValueError: Sequence or config is not JSON.
        LookupError: The sequence is not Pulser's abstract representation.
    """
    demands = read_demands(sequence, settings.config)
    config: Mapping[str, Any] = json.loads(settings.config) if settings.config else {}
    if demands.bases != BASES:
        return f"it simulates the ground-rydberg basis, not {' and '.join(demands.bases) or 'a sequence without channels'}"
    if refused := sorted(set(demands.noise) - NOISE):
        return f"it does not simulate noise of type {', '.join(refused)}"
    if settings.accuracy is not None and settings.accuracy < FINEST:
        return f"it promises an infidelity of {FINEST:g} at best, not {settings.accuracy:g}"
    return _refused_option(config) or does_not_fit(demands.atoms, AUTO_BYTES)


def _refused_option(config: Mapping[str, Any]) -> str | None:
    """The first thing in a config that is left to QuTiP."""
    if config.get("initial_state") is not None:
        return "it starts with all atoms in the ground state, not in `initial_state`"
    if config.get("interaction_matrix") is not None:
        return "it takes the interactions from the register, not from `interaction_matrix`"
    if config.get("sampling_rate", 1.0) != 1.0:
        return "it reads every sample, and `sampling_rate` is below 1"
    unknown = sorted({str(one.get("observable")) for one in config.get("observables", ())} - OBSERVABLES)
    return f"it does not compute the observable {', '.join(unknown)}" if unknown else None
