"""The samples of one waveform at a point, on a device without limits, through Pulser's public API."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.build import build, load_sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

SHORT_NS = 16
"""Duration of a constant that takes the other waveform's."""


def waveform_samples(waveform: Mapping[str, Any], declared: Mapping[str, Any], values: Mapping[str, Any]) -> NDArray[Any] | None:
    """Samples of a waveform, one a ns.

    Args:
        waveform: In abstract representation; that of a phase gives the detuning that it makes, with `kind: "phase"` around it.
        declared: The sequence's variables, as the abstract representation declares them.
        values: Their values.

    Returns:
        rad/µs, or None where Pulser makes no waveform of it.
    """
    from pulser.sampler import sample

    own = {name: value for name, value in values.items() if name in declared}
    try:
        built, _ = build(_alone(json.dumps(waveform), json.dumps(declared)), own)
        samples: NDArray[Any] = sample(built).channel_samples["alone"].det.as_array(detach=True)
    except Exception:  # noqa: BLE001 - then there is nothing to measure, and Pulser's own words stand
        return None
    return samples


@lru_cache(maxsize=64)
def _alone(waveform: str, declared: str) -> Any:
    from pulser.devices import MockDevice

    shape = json.loads(waveform)
    operation: dict[str, Any] = {"op": "pulse", "channel": "alone", "protocol": "no-delay", "post_phase_shift": 0.0}
    zero = {"kind": "constant", "duration": 0, "value": 0.0}
    if shape["kind"] == "phase":
        length = shape["phase"].get("duration", SHORT_NS)
        operation |= {"op": "pulse_arbitrary_phase", "amplitude": {**zero, "duration": length}, "phase": shape["phase"]}
    else:
        if shape.get("duration") == 0:
            shape["duration"] = SHORT_NS
        operation |= {"amplitude": zero, "detuning": shape, "phase": 0.0}
    body = {
        "version": "1",
        "name": "alone",
        "register": [{"name": "q0", "x": 0.0, "y": 0.0}],
        "channels": {"alone": "rydberg_global"},
        "variables": json.loads(declared),
        "operations": [operation],
        "measurement": None,
        "device": json.loads(MockDevice.to_abstract_repr()),
    }
    return load_sequence(json.dumps(body))
