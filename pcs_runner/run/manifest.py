"""`manifest.json`: what ran, from which sources, with which versions, on which device, and how to read a bitstring."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from dataclasses import asdict
from datetime import UTC
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pcs_runner import __version__
from pcs_runner.results.durable import write_bytes
from pcs_runner.run.connect import service_address
from pcs_runner.run.engine import engines_of
from pcs_runner.sequence.device_cache import spec_hash

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pcs_runner.plan import Plan, Target
    from pcs_runner.run.directory import RunFolder

PACKAGES = (
    "pcs-runner",
    "pulser-core",
    "pulser-simulation",
    "emu-sv",
    "emu-mps",
    "numpy",
    "scipy",
    "qutip",
    "numba",
    "pydantic",
    "requests",
    "distributed",
)

BIT_ORDER = "leftmost = first atom of the register"

# pulser.backend.state.State.infer_one_state: r of (r, g), h of (g, h), d of (u, d).
ONE_MEANS = {
    "ground-rydberg": "1 = Rydberg state r, 0 = ground state g",
    "digital": "1 = hyperfine state h, 0 = ground state g",
    "XY": "1 = Rydberg state d, 0 = Rydberg state u",
}

GIT_TIMEOUT_S = 5


def build(plan: Plan, *, uuid: str, created: datetime, overrides: Mapping[str, Any], workers: int | None) -> dict[str, Any]:
    """The manifest of a run that is about to start, as plain data."""
    spec_file = getattr(plan.document, "file", "") or ""
    return {
        "runner": __version__,
        "run": uuid,
        "name": plan.name,
        "description": plan.spec.description,
        "spec": {"file": Path(spec_file).name, "sha256": hashlib.sha256(plan.document.data_bytes).hexdigest()},
        "digest": plan.digest,
        "target": target_data(plan.target),
        "service": service_address(plan.target),
        "engines": engines_of(plan),
        "overrides": dict(overrides),
        "workers": workers,
        "seed": plan.target.seed,
        "bit_order": BIT_ORDER,
        "one_means": ONE_MEANS,
        "totals": {
            "jobs": plan.total_jobs,
            "points": plan.total_points,
            "dropped_points": plan.dropped_points,
            "runs": plan.total_runs,
            "sequences": len(plan.sequence_ids),
        },
        "times": {"created": stamp(created), "started": None, "ended": None},
        "state": "created",
        "counts": {},
        "git": git_state(Path(spec_file).parent) if spec_file else None,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version for name in PACKAGES if (version := _version(name)) is not None},
        "devices": {name: _device(device) for name, device in plan.devices.items()},
        "registers": _registers(plan),
    }


def write(folder: RunFolder, manifest: Mapping[str, Any]) -> None:
    """Write the manifest durably, replacing the old one.

    Raises:
        OSError: The disk is full or not writable; the file is as it was.
    """
    write_bytes(folder.manifest, (json.dumps(manifest, ensure_ascii=False, indent=2) + "\n").encode())


def update(folder: RunFolder, *, times: Mapping[str, datetime], **values: Any) -> None:
    """Replace some entries of the manifest durably; a start time that is there stays."""
    manifest = folder.read_manifest()
    known = manifest["times"]
    for name, moment in times.items():
        if name != "started" or known.get("started") is None:
            known[name] = stamp(moment)
    manifest.update(values)
    write(folder, manifest)


def stamp(moment: datetime) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def target_data(target: Target) -> dict[str, Any]:
    """The target as plain data; models become mappings of all their fields."""
    return {name: _plain(value) for name, value in asdict(target).items()}


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the repository around `folder` and whether it has changes; None without git or a repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    # --no-optional-locks: looking must not write into the user's repository.
    # fsmonitor: nor run a program that its configuration names.
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=True)  # noqa: S603
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _device(device: str) -> dict[str, Any]:
    """The device's JSON and its hash, as `pcs-run devices list` shows it."""
    return {"sha256": spec_hash(device), "spec": json.loads(device)}


def _registers(plan: Plan) -> list[dict[str, Any]]:
    """Names of the atoms, once for all sequences that have the same."""
    registers: dict[tuple[str, ...], list[str]] = {}
    for sequence in plan.sequence_ids:
        registers.setdefault(tuple(plan.atoms(sequence)), []).append(sequence)
    return [{"atoms": list(atoms), "sequences": sequences} for atoms, sequences in registers.items()]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
