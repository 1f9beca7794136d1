"""The world outside as the cloud's client sees it: clocks, sleep and chance, so that tests can hold it still."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """Clocks, sleep and chance.

    Attributes:
        now: Wall clock, UTC; it may step.
        monotonic: Seconds that never step; they may stand still while the machine sleeps.
        sleep: Waits for so many seconds.
        chance: A number from 0 to 1, each time another one; it spreads repeated requests.
    """

    now: Callable[[], datetime] = _now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
