"""How many of a family's points are tried: every k-th in the normal suite, all of them with `pytest -m crash`."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


SAMPLE = "CRASH_SAMPLE"
"""Environment variable: of what is tried on demand only every so manieth point, where the time is short."""


def every(bounded: int, whole: int = 1) -> pytest.MarkDecorator:
    """Parametrises `step`: `bounded` in the normal suite, `whole` on demand."""
    marks = [pytest.mark.crash, pytest.mark.slow]
    whole *= int(os.environ.get(SAMPLE, "1"))
    return pytest.mark.parametrize("step", [pytest.param(bounded, id="bounded"), pytest.param(whole, id="whole", marks=marks)])


FEWEST = 24
"""Requests that every run of the crash tests makes; how often it looks beyond that depends on how quick the machine is."""


def points(step: int, name: str, most: int = FEWEST) -> Iterator[int]:
    """1, 2, 3 ... without end; with a step each so manieth, from a beginning up to `most` that depends on the test's name."""
    return count(1 + sum(name.encode()) % min(step, most), step)
