"""Device specs of the cloud as `pcs-run devices pull` left them on this machine; reads files, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Mapping

CORES = ("https://apis.pasqal.cloud/core-fast", "https://apis.sa.pasqal.cloud/core-fast")
"""Where the provider's own devices come from, the first one preferred."""

LONGEST_FILE = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedDevice:
    """A device of the cloud, as it was told.

    Attributes:
        name: Device type, as the cloud calls it.
        spec: Pulser's abstract representation (a JSON string).
        fetched_at: When it was told, UTC.
        source: Address of the service that told it.
    """

    name: str
    spec: str = field(repr=False)
    fetched_at: datetime
    source: str

    @property
    def hash(self) -> str:
        """SHA-256 of the spec, as 64 hex digits; the order of its keys and its blanks do not count."""
        return spec_hash(self.spec)


def spec_hash(spec: str) -> str:
    """SHA-256 of a device spec (a JSON string), as 64 hex digits; the order of its keys and its blanks do not count."""
    canonical = json.dumps(json.loads(spec), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def cache_folder() -> Path:
    """Where device specs are kept, one file for each service."""
    return Path(platformdirs.user_cache_dir("pcs-runner", appauthor=False)) / "devices"


def cache_file(core: str, folder: Path | None = None) -> Path:
    """The file of a service, by its address."""
    host = "".join(c if c.isalnum() or c in ".-" else "_" for c in urlsplit(core).netloc)
    key = hashlib.sha256(core.encode()).hexdigest()[:8]
    return (cache_folder() if folder is None else folder) / f"{host[:80]}-{key}.json"


def cached_specs(folder: Path | None = None, *, environ: Mapping[str, str] | None = None) -> dict[str, CachedDevice]:
    """Devices of the cloud by name; empty when nothing was pulled.

    When `PCS_RUNNER_CORE_URL` is set only that service counts, else the provider's own, and of two of one name the first.

    Args:
        folder: Where the files are; default the user's cache.
        environ: The environment; default that of this process.
    """
    override = (os.environ if environ is None else environ).get("PCS_RUNNER_CORE_URL", "").rstrip("/")
    found: dict[str, CachedDevice] = {}
    for core in (override,) if override else CORES:
        for name, device in read_cache(core, folder).items():
            found.setdefault(name, device)
    return found


def read_cache(core: str, folder: Path | None = None) -> dict[str, CachedDevice]:
    """The devices of one service; what cannot be read is as good as not there."""
    try:
        with cache_file(core, folder).open("rb") as stream:
            body = json.loads(stream.read(LONGEST_FILE))
        fetched_at = datetime.fromisoformat(body["fetched_at"]).astimezone(UTC)
        return {
            str(name): CachedDevice(name=str(name), spec=spec, fetched_at=fetched_at, source=core)
            for name, spec in body["devices"].items()
            if _is_spec(spec)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _is_spec(spec: Any) -> bool:
    return isinstance(spec, str) and isinstance(json.loads(spec), dict)
