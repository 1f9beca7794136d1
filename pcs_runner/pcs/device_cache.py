"""The cloud's public device specs, fetched without login and kept on this machine with the time of the fetch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pcs_runner.pcs.account_calls import public_device_specs
from pcs_runner.pcs.effects import Effects
from pcs_runner.pcs.tokens import write_private
from pcs_runner.sequence.device_cache import CachedDevice, cache_file, cached_specs, read_cache

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pcs_runner.pcs.calls import Caller

__all__ = ["CachedDevice", "Pulled", "cached_specs", "fetch", "pull"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What a fetch changed on this machine.

    Attributes:
        devices: Name -> device, as they are now.
        added: Names that were not known.
        changed: Names whose spec is another one than before.
        gone: Names that the service does not tell any more.
    """

    devices: Mapping[str, CachedDevice]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]


def fetch(caller: Caller, core: str, *, effects: Effects | None = None) -> dict[str, CachedDevice]:
    """The public device specs as they are now; keeps nothing.

    Args:
        caller: Makes the call; needs no token.
        core: Address of the core service.
        effects: Clocks.

    Raises:
        ServiceError: Not reached, or no readable answer.
    """
    now = (effects or Effects()).now()
    specs = public_device_specs(caller, core)
    return {name: CachedDevice(name=name, spec=spec, fetched_at=now, source=core) for name, spec in sorted(specs.items())}


def pull(caller: Caller, core: str, *, folder: Path | None = None, effects: Effects | None = None) -> Pulled:
    """Fetch the public device specs and keep them in the place of the old ones.

    Args:
        caller: Makes the call; needs no token.
        core: Address of the core service.
        folder: Where to keep them; default the user's cache.
        effects: Clocks.

    Raises:
        ServiceError: Not reached, or no readable answer; what is there stays.
        OSError: The disk refuses; what is there stays.
    """
    before, now = read_cache(core, folder), fetch(caller, core, effects=effects)
    moment: datetime = next(iter(now.values())).fetched_at if now else (effects or Effects()).now()
    body = {"source": core, "fetched_at": moment.isoformat(), "devices": {name: device.spec for name, device in now.items()}}
    write_private(cache_file(core, folder), json.dumps(body).encode())
    return Pulled(
        devices=now,
        added=tuple(name for name in now if name not in before),
        changed=tuple(name for name in now if name in before and now[name].hash != before[name].hash),
        gone=tuple(name for name in before if name not in now),
    )
