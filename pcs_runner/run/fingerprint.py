"""What a job asks for, as eight bytes: the same for what was planned and for what the service says it has."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.pcs.job import Job
    from pcs_runner.pcs.protocol import JobRequest

BYTES = 8


def of_request(request: JobRequest) -> bytes:
    """Fingerprint of a job that is about to be sent."""
    return fingerprint(request.runs, request.variables)


def of_job(job: Job) -> bytes | None:
    """Fingerprint of a job of the service, or None when it does not say how many runs it has."""
    variables = job.variables if isinstance(job.variables, dict) else None
    return fingerprint(job.runs, variables) if isinstance(job.runs, int) else None


def fingerprint(runs: int, variables: Mapping[str, Any] | None) -> bytes:
    """Hash of runs and variables. A job with its own sequence has no variables: only its runs count.

    Numbers are compared to 12 significant digits, integers like floats, and a list of one like its element: a service that
    writes numbers a little differently must not look like one that lost a job.
    """
    body = [runs, sorted((name, _plain(value)) for name, value in (variables or {}).items())]
    return blake2b(json.dumps(body).encode(), digest_size=BYTES).digest()


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return _plain(value[0]) if len(value) == 1 else [_plain(item) for item in value]
    if isinstance(value, int | float):
        return f"{float(value):.12g}"
    if isinstance(value, dict):
        return sorted((str(name), _plain(item)) for name, item in value.items())
    return str(value)
