"""Neutral-atom experiments as version-controlled files: load a spec, plan it, run it, resume it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcs_runner.api import (
        LoadedSpec,
        cancel,
        estimate,
        load,
        open_run,
        plan,
        report,
        resume,
        retry,
        reuse,
        run,
        validate,
        verify,
    )

__version__ = "0.1.0"
__all__ = [
    "LoadedSpec",
    "__version__",
    "cancel",
    "estimate",
    "load",
    "open_run",
    "plan",
    "report",
    "resume",
    "retry",
    "reuse",
    "run",
    "validate",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import the API when it is first used: `pcs-run --help` and completion need none of it."""
    if name in __all__:
        from pcs_runner import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
