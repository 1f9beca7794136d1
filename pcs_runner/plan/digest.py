"""The identity of a plan: its jobs as the spec defines them, the same on every machine, after every upgrade and recalibration."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.expressions import float_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.plan.expansion import PlannedJob
    from pcs_runner.plan.target import Target


class Digest:
    """Hashes jobs as they come; memory does not grow with their number.

    Args:
        target: Backend, device type, engine, config, seed and accuracy are part of the identity.
        device_name: So is the device's name, but not its spec.
        hashes: Sequence id -> whole hash of the sequence, filled while the jobs are generated.
    """

    def __init__(self, target: Target, device_name: str, hashes: Mapping[str, str]) -> None:
        head = {
            "format": "pcs-plan-1",
            "backend": target.backend,
            "device_type": target.device_type,
            "device": device_name,
            "engine": target.engine if target.backend == "local" else None,
            "config": target.config,
            "configuration": target.batch.configuration,
            "seed": target.seed,
            "accuracy": target.accuracy,
        }
        self._hash = hashlib.sha256(json.dumps(_canonical(head), sort_keys=True).encode())
        self._hashes = hashes
        self._seen: set[str] = set()

    def add(self, job: PlannedJob) -> None:
        """Take the next job in order."""
        if job.sequence not in self._seen:
            self._seen.add(job.sequence)
            self._hash.update(f"\n{job.sequence}={self._hashes[job.sequence]}".encode())
        variables = ";".join([f"{name}={_text(value)}" for name, value in sorted(job.variables.items())])
        self._hash.update(f"\n{job.sequence}|{variables}|{job.runs}".encode())

    def hexdigest(self) -> str:
        """64 hex digits."""
        return self._hash.hexdigest()


def _text(value: Any) -> str:
    if value.__class__ is dict:
        return json.dumps(value)  # the traps of a mappable register
    return f"[{','.join(map(float_text, value))}]" if value.__class__ is list else f"{value + 0.0:.12g}"


def _canonical(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _canonical(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_canonical(value) for value in node]
    return node if isinstance(node, bool) or not isinstance(node, int | float) else float_text(node)
