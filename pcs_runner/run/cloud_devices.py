"""Device specs of the day for a cloud target: refreshed before a plan, compared with what a run has pinned; never in the way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pcs_runner.errors import PcsRunnerError
from pcs_runner.sequence.device_cache import cached_specs, spec_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

WITHIN_S = 5.0
"""How long a plan waits for the specs, in seconds: they are advisory, and the cached ones are there at once."""


def refresh(region: str) -> str:
    """Fetch the public device specs of a region into the user's cache.

    Returns:
        Why that could not be done, or an empty text. Specs are advisory: without the service the cached ones are used.
    """
    from pcs_runner.pcs import device_cache, endpoints
    from pcs_runner.pcs.calls import Caller, Limits
    from pcs_runner.pcs.client import Wire

    wire = Wire()
    try:
        core = endpoints.from_environment(region, os.environ, own_token=True).core
        device_cache.pull(Caller(wire, limits=Limits(attempt_s=WITHIN_S, total_s=WITHIN_S)), core)
    except PcsRunnerError as error:
        return f"the device specs of today are unknown: {error.message}"
    except OSError as error:
        return f"the device specs of today could not be kept: {error.strerror}"
    finally:
        wire.close()
    return ""


def changed(pinned: Mapping[str, str]) -> tuple[str, ...]:
    """Names of pinned devices whose cached spec is another one by now.

    Args:
        pinned: Device name -> spec (a JSON string), as the manifest keeps it.
    """
    now = cached_specs()
    return tuple(name for name, spec in pinned.items() if name in now and now[name].hash != spec_hash(spec))
