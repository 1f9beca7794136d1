"""What a sequence and its config ask of an engine: atoms, bases, levels, noise. Reads JSON, never Pulser."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BASIS_BY_PREFIX = {"rydberg": "ground-rydberg", "raman": "digital", "mw": "XY", "dmm": "ground-rydberg"}
"""Basis of the channels of a device that a sequence only names; Pulser's bundled devices name their channels so."""

SHOT_TO_SHOT = frozenset({"doppler", "amplitude", "detuning", "register", "dmm_sigma"})
"""Noise types that change from shot to shot (`pulser._hamiltonian_data.has_shot_to_shot_except_spam`)."""

NOT_DISSIPATIVE = SHOT_TO_SHOT | {"SPAM", "dmm_crosstalk", "leakage"}
"""Noise types without an operator in the master equation; leakage adds a level, `eff_noise` brings the operators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What has to be simulated.

    Attributes:
        atoms: In the register.
        bases: Of the declared channels, sorted: `XY`, `digital`, `ground-rydberg`.
        levels: Of an atom: 2, one more for two bases, one more for leakage.
        noise: Types of the noise model that holds, sorted.
        is_stochastic: Whether noise changes from shot to shot.
        is_dissipative: Whether noise needs a density matrix or quantum jumps.
    """

    atoms: int
    bases: tuple[str, ...]
    levels: int
    noise: tuple[str, ...]
    is_stochastic: bool
    is_dissipative: bool

    def text(self) -> str:
        """`12 atoms, ground-rydberg, noise: SPAM, doppler`."""
        atoms = f"{self.atoms} atom{'' if self.atoms == 1 else 's'}"
        noise = f"noise: {', '.join(self.noise)}" if self.noise else "no noise"
        return f"{atoms}, {' and '.join(self.bases) or 'no channel'}, {noise}"


@lru_cache(maxsize=256)
def read_demands(sequence: str, config: str | None) -> Demands:
    """Read what a sequence and an `EmulationConfig` (both in abstract representation, JSON strings) ask for.

    Raises:
        ValueError: One of them is not JSON.
        LookupError: The sequence is not Pulser's abstract representation.
        TypeError, AttributeError: The same.
    """
    body = json.loads(sequence)
    device = body["device"] if isinstance(body["device"], dict) else {}
    bases = tuple(sorted({_basis(device, channel) for channel in body["channels"].values()}))
    model = _noise_model(json.loads(config) if config else {}, device)
    noise = frozenset(model.get("noise_types", ()))
    return Demands(
        atoms=len(body["register"]),
        bases=bases,
        levels=2 + (len(bases) > 1) + ("leakage" in noise),
        noise=tuple(sorted(noise)),
        is_stochastic=_is_stochastic(noise, model),
        is_dissipative=bool(noise - NOT_DISSIPATIVE),
    )


def _basis(device: Mapping[str, Any], channel: str) -> str:
    for known in _channels(device):
        if known.get("id") == channel:
            return str(known["basis"])
    return BASIS_BY_PREFIX.get(channel.partition("_")[0], channel)


def _channels(device: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield from device.get("channels") or ()
    yield from device.get("dmm_objects") or ()


def _noise_model(config: Mapping[str, Any], device: Mapping[str, Any]) -> Mapping[str, Any]:
    """The noise model that holds: the device's when it is preferred and there is one."""
    own = device.get("default_noise_model") if config.get("prefer_device_noise_model") else None
    return own or config.get("noise_model") or {}


def _is_stochastic(noise: frozenset[str], model: Mapping[str, Any]) -> bool:
    changing = noise & SHOT_TO_SHOT
    if model.get("amp_sigma", 0) == 0:
        changing -= {"amplitude"}
    return bool(changing) or ("SPAM" in noise and model.get("state_prep_error", 0) != 0)


def takes_jumps(config: str | None) -> bool:
    """Whether a config asks for `pulser_simulation.Solver.MCSOLVER`: dissipation by jumps of state vectors."""
    return config is not None and json.loads(config).get("solver") == "MonteCarlo"
