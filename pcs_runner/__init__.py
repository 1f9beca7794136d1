"""Neutral-atom experiments as version-controlled files: load a spec, plan it, run it, resume it."""

from __future__ import annotations

__version__ = "0.1.0"
