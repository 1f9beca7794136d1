"""Lets `pcs_runner.plan` and `pcs_runner.run` be the functions of the API and the packages behind them at once.

Importing a subpackage sets it as an attribute of its parent, over a function of the same name; a callable module is both.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class CallableModule(types.ModuleType):
    """A package that, called, is the function of the API that bears its name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function `pcs_runner.api.<name of the package>`."""
        from pcs_runner import api

        return getattr(api, self.__name__.rpartition(".")[2])(*args, **kwargs)


def make_callable(name: str) -> None:
    """Make the package of this name callable."""
    sys.modules[name].__class__ = CallableModule
