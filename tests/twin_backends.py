"""Pulser backends of a user's own, for the tests of `package.module:Class`: coins in the place of physics."""

from __future__ import annotations

import os
import random
from collections import Counter

import numpy as np
from pulser.backend import BitStrings, EmulationConfig, EmulatorBackend, Results


class Coin(EmulatorBackend):
    """Every shot is a number between 0 and 15, half of its bits from NumPy's generator, half from Python's."""

    default_config = EmulationConfig(observables=[BitStrings(num_shots=1)])

    def run(self) -> Results:
        print("tossing")  # of no interest to anybody
        shots = next(one.num_shots for one in self._config.observables if isinstance(one, BitStrings))
        atoms = self._sequence.register.qubit_ids
        drawn = (2 * np.random.randint(2) + random.getrandbits(1) for _ in range(shots or 0))
        counts = Counter(format(value % 2 ** len(atoms), f"0{len(atoms)}b") for value in drawn)
        return Results.from_final_bitstrings(atoms, self._sequence.get_duration(), counts)


class Forgetful(Coin):
    """Runs one trajectory whatever the config says, and gives back a list."""

    def run(self) -> list[Results]:  # type: ignore[override]
        return [super().run()]


class Strict(Coin):
    """Knows no other options than Pulser's and `sides`."""

    class Config(EmulationConfig):  # type: ignore[type-arg]
        _enforce_expected_kwargs = True

        def _expected_kwargs(self) -> set[str]:
            return super()._expected_kwargs() | {"sides"}

    default_config = Config(observables=[BitStrings(num_shots=1)])


class Deadly(Coin):
    """Takes its process with it when the pulse is strong."""

    def run(self) -> Results:
        if self._sequence.declared_channels and _strongest(self) > 5:
            os._exit(1)
        return super().run()


class NoBackend:
    """Keeps nothing."""


def _strongest(backend: Deadly) -> float:
    from pulser.sampler import sample

    return max(float(samples.amp.as_array().max()) for samples in sample(backend._sequence).samples_list)
