"""Carrying a plan out: journal, send once, follow, collect in order."""

from __future__ import annotations

from pcs_runner.callable_module import make_callable

make_callable(__name__)
