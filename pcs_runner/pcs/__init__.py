"""Pasqal Cloud Services: the objects users know, and the protocol that the cloud and the twin both keep."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcs_runner.pcs.answers import UnavailableError
    from pcs_runner.pcs.auth import AuthError
    from pcs_runner.pcs.batch import Batch
    from pcs_runner.pcs.client import Client
    from pcs_runner.pcs.errors import (
        AnswerError,
        JobRetryError,
        NoClientError,
        NotFoundError,
        PcsError,
        RefusedError,
        UncertainError,
        UnreachableError,
    )
    from pcs_runner.pcs.job import Job

__all__ = [
    "AnswerError",
    "AuthError",
    "Batch",
    "Client",
    "Job",
    "JobRetryError",
    "NoClientError",
    "NotFoundError",
    "PcsError",
    "RefusedError",
    "UnavailableError",
    "UncertainError",
    "UnreachableError",
]

_MODULES = {
    "AuthError": "pcs_runner.pcs.auth",
    "Batch": "pcs_runner.pcs.batch",
    "Client": "pcs_runner.pcs.client",
    "Job": "pcs_runner.pcs.job",
    "UnavailableError": "pcs_runner.pcs.answers",
}


def __getattr__(name: str) -> object:
    """Import on first use: `pydantic` is paid by those who use the objects, not by `--help`."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "pcs_runner.pcs.errors")), name)


def __dir__() -> list[str]:
    """The public names."""
    return list(__all__)
