"""The spec's `config` -> Pulser's `EmulationConfig` in abstract representation: one meaning for every engine and emulator."""

from __future__ import annotations

import json
import uuid
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ALIASES = {"evaluation_times": "default_evaluation_times"}
OBSERVABLES = {
    "bitstrings": "BitStrings",
    "occupation": "Occupation",
    "correlation_matrix": "CorrelationMatrix",
    "energy": "Energy",
    "energy_variance": "EnergyVariance",
    "energy_second_moment": "EnergySecondMoment",
}
"""Observables that need no operator or state, and their classes in `pulser.backend`."""

MEAN = 2
"""`pulser.backend.observable.AggregationMethod.MEAN`: how trajectories are combined."""


class ConfigError(Exception):
    """Pulser refuses the configuration.

    Args:
        message: Why.
        key: The field, or empty.
        hint: What to do.
    """

    def __init__(self, message: str, key: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.key = key
        self.hint = hint


def backend_configuration(config: Mapping[str, Any], *, own_options: bool = False) -> str | None:
    """Serialise the fields of a spec's `config`.

    Args:
        config: Fields of `pulser.backend.EmulationConfig`; `noise_model` with the arguments of `pulser.NoiseModel`,
            `observables` as Pulser prints them (`{observable: occupation, evaluation_times: [0.5, 1]}`).
        own_options: Whether fields that `EmulationConfig` does not have are options of the engine, and kept as they are.

    Returns:
        A JSON string for `backend_configuration`, None for an empty config.

    Raises:
        ConfigError: An unknown field, or a value that Pulser refuses.
    """
    if not config:
        return None
    from pulser.backend import BitStrings, EmulationConfig

    body: dict[str, Any] = json.loads(EmulationConfig(observables=[BitStrings()], default_num_shots=1).to_abstract_repr())
    body["observables"] = []
    for given, value in config.items():
        key = ALIASES.get(given, given)
        if own_options and key not in body:
            body[key] = value
            continue
        if key not in body or key in {"callbacks", "default_num_shots"}:
            known = ", ".join(sorted((set(body) - {"callbacks", "default_num_shots"}) | set(ALIASES)))
            raise ConfigError(f'EmulationConfig has no field "{given}"', given, f"known: {known}")
        body[key] = _field(key, given, value)
    if "n_trajectories" not in config:
        del body["n_trajectories"]  # printed as 1: all shots of a noisy run would share one trajectory
    text = json.dumps(body)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            EmulationConfig.from_abstract_repr(text)
    except Exception as error:  # Pulser raises unrelated types for unrelated reasons
        raise ConfigError(f"Pulser refuses the config: {str(error).splitlines()[0]}") from error
    return text


def _field(key: str, given: str, value: Any) -> Any:
    if key == "noise_model":
        return _noise_model(value, given)
    if key == "observables":
        return [_observable(item, given) for item in _list(value, given)]
    return value


def _noise_model(value: Any, key: str) -> Any:
    from pulser import NoiseModel

    if not isinstance(value, dict):
        raise ConfigError("noise_model is a mapping of NoiseModel's arguments", key)
    arguments: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
    try:
        return json.loads(NoiseModel(**arguments).to_abstract_repr())
    except Exception as error:
        raise ConfigError(f"Pulser refuses the noise model: {error}", key) from error


def _observable(value: Any, key: str) -> dict[str, Any]:
    """An observable as Pulser prints it; its id, random there, is the same for equal observables here."""
    if not isinstance(value, dict) or "observable" not in value:
        raise ConfigError("an observable is a mapping such as {observable: occupation}", key)
    stable = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(value, sort_keys=True))
    return {**_printed(value, key), "uuid": str(stable)}


def _printed(value: dict[str, Any], key: str) -> dict[str, Any]:
    from pulser import backend

    name = value["observable"]
    arguments = {argument: given for argument, given in value.items() if argument not in {"observable", "uuid"}}
    if name not in OBSERVABLES:  # an operator or a state goes with it: as Pulser prints them
        return {"evaluation_times": None, "tag_suffix": None, "default_aggregation_method": MEAN, **value}
    try:
        made = getattr(backend, OBSERVABLES[name])(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Pulser refuses the observable {name}: {error}", key) from error
    printed: dict[str, Any] = json.loads(backend.EmulationConfig(observables=[made]).to_abstract_repr())["observables"][0]
    return printed


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError(f"{key} is a list", key)
    return value
