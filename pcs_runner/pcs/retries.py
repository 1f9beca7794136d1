"""Whether a request may be repeated, and after how long: questions about values, nothing here waits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pcs_runner.pcs.exchange import Answer, Failure

ATTEMPTS = 6
"""How often the same request is sent at most."""

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
LONGEST_ASKED_S = 60.0
"""Longest wait that a server can impose with Retry-After, in seconds."""

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same question may be answered later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A wait before a request is repeated.

    Attributes:
        seconds: How long.
        asked_s: What the server asked for, None when it asked for nothing that can be read; more than `seconds` when capped.
    """

    seconds: float
    asked_s: float | None = None


def may_repeat(outcome: Answer | Failure, *, changes: bool) -> bool:
    """Whether a request that ended so may be sent again.

    Args:
        outcome: How it ended; an answer is not a success.
        changes: Whether the request changes something on the server: then only when it surely was not carried out.
    """
    if isinstance(outcome, Failure):
        return outcome.again and not (changes and outcome.arrived)
    return outcome.status == 429 if changes else outcome.status in PASSING


def pause(outcome: Answer | Failure, attempt: int, *, now: datetime, chance: float) -> Pause:
    """How long to wait before the next attempt: what the server asks for, capped, or else twice as long each time.

    Args:
        outcome: How the last one ended.
        attempt: Number of attempts so far, at least 1.
        now: Wall clock, timezone-aware.
        chance: From 0 to 1; spreads clients that failed together.
    """
    asked_s = retry_after_s(outcome.headers.get("retry-after"), now) if isinstance(outcome, Answer) else None
    if asked_s is not None:
        return Pause(seconds=min(asked_s, LONGEST_ASKED_S), asked_s=asked_s)
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (attempt - 1))
    return Pause(seconds=longest * (0.5 + chance / 2))


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header, a number or an HTTP date (RFC 9110, 10.2.3); None when it is neither."""
    if value is None:
        return None
    text = value.strip()
    try:
        seconds = float(text)
    except ValueError:
        return _seconds_until(text, now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
