"""The commands of `pcs-run`, one file each: the only code that prints."""

from __future__ import annotations

from pcs_runner.cli.exit import main

__all__ = ["main"]
