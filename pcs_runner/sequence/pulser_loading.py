"""Pulser compiles its JSON schemas with `fastjsonschema` while it is imported, which is almost half of that time.

Most commands validate a few documents, if any. `load_pulser` has a schema compiled once that is worth it; until then Pulser
validates with `jsonschema`, as it does where `fastjsonschema` is not installed or refuses.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "fastjsonschema"

WORTH = 50
"""Documents after which a schema is compiled: `jsonschema` takes some 10 ms each, compiling that of a sequence some 500 ms."""


class _Later(ModuleType):
    """`fastjsonschema`, but for schemas that are compiled later."""

    def compile(self, schema: Any, **options: Any) -> Callable[[Any], Any]:
        """A validator like that of `fastjsonschema.compile`, which first refuses so many documents."""
        compiled: list[Callable[[Any], Any]] = []
        left = iter(range(WORTH))

        def validate(document: Any) -> Any:
            if next(left, None) is not None:
                raise _real().JsonSchemaException("not compiled yet")
            if not compiled:
                compiled.append(_real().compile(schema, **options))
            return compiled[0](document)

        return validate

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by whoever looks at every module, such as PyTorch while it is imported
            raise AttributeError(name)
        return getattr(_real(), name)


def load_pulser() -> None:
    """Import Pulser; nothing is done when somebody has."""
    if "pulser" in sys.modules:
        return
    if NAME not in sys.modules and find_spec(NAME) is not None:
        sys.modules[NAME] = _Later(NAME)
    try:
        importlib.import_module("pulser")
    finally:
        if isinstance(sys.modules.get(NAME), _Later):
            del sys.modules[NAME]


def _real() -> ModuleType:
    if isinstance(sys.modules.get(NAME), _Later):
        del sys.modules[NAME]
    return importlib.import_module(NAME)
