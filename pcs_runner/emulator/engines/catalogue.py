"""Engines by name; each is imported when it is first asked for."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pcs_runner.pcs.errors import RefusedError

if TYPE_CHECKING:
    from pcs_runner.emulator.engines import Engine

ENGINES = {"qutip": "pcs_runner.emulator.engines.qutip:QutipEngine"}
"""Name -> where the class is."""

AUTO = "qutip"
"""What `auto` means: the engine that takes every sequence."""


def resolve(name: Any) -> str:
    """The name of a real engine: `auto` becomes the one that it stands for.

    Raises:
        RefusedError: There is no such engine.
    """
    if name == "auto":
        return AUTO
    if isinstance(name, str) and name in ENGINES:
        return name
    raise RefusedError(
        f"there is no engine {name!r:.80}",
        status=400,
        code="UNKNOWN_ENGINE",
        hint=f"Engines: {', '.join(['auto', *sorted(ENGINES)])}.",
    )


@lru_cache(maxsize=32)
def load(name: str) -> Engine:
    """The engine of a resolved name."""
    module, _, attribute = ENGINES[name].partition(":")
    engine: Engine = getattr(import_module(module), attribute)()
    return engine
