"""Faults as data: which requests a rule means, and what happens to them. Pure.

`layer.FaultLayer` carries them out around any application of `create_app`; `text` reads them from a line.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from enum import Enum
from functools import cache

BASE = "/core-fast"
"""What a path that begins with `/api/` is below."""


class Action(Enum):
    """How an exchange ends for the client."""

    PASS = "pass"  # noqa: S105 - no password
    """As if there were no rule, or after a delay."""
    ANSWER = "answer"
    """An answer of our own: a status, a body, or both."""
    RESET = "reset"
    """The connection is reset (RST)."""
    CLOSE = "close"
    """The connection is closed (FIN) without an answer."""
    STALL = "stall"
    """Nothing (more) comes until the client gives up."""
    TRUNCATE = "truncate"
    """The connection is closed before the body is as long as its Content-Length."""
    DRIP = "drip"
    """The true answer comes slowly."""
    REDIRECT = "redirect"
    """Another place is named."""
    EXPIRE = "expire"
    """The token of the request is void from now on, or its link has ended."""


class When(Enum):
    """Whether the request is carried out before the fault shows; `BEFORE` processing means that it never is."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which of the requests that match: all of them when nothing is said.

    Attributes:
        spans: First and last number, counted from 1; a last of None is no end.
        every: Each so manieth.
        chance: Probability, from 0 to 1.
        seed: Of the chance; the n-th match of a seed is always decided in the same way.
    """

    spans: tuple[tuple[int, int | None], ...] = ()
    every: int | None = None
    chance: float | None = None
    seed: int = 0

    def takes(self, number: int) -> bool:
        """Whether the request that matched as the `number`-th (from 1) is meant."""
        if self.every is not None:
            return number % self.every == 0
        if self.chance is not None:
            return random.Random(f"{self.seed}:{number}").random() < self.chance  # noqa: S311 - no secret
        return not self.spans or any(first <= number and (last is None or number <= last) for first, last in self.spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to a request.

    Attributes:
        action: How the exchange ends.
        when: Before or after processing; for a change of status also when that happens. None is each action's own.
        status: HTTP status of an answer or redirect.
        body: Name of the answer's body (`answers.BODIES`).
        retry_after: Value of the header Retry-After, or None.
        location: Where a redirect leads; None is the same request once more.
        expires: `token` or `link`.
        amount: Bytes of the true body that come (stall, truncate), or bytes a second (drip); None is each action's own.
        delay_s: Seconds of waiting, before processing or between processing and answer.
        store: Only so many jobs of the request are stored; None is all.
        late_s: The request is carried out so many seconds after the answer; None is at once.
        replay_s: The request is carried out once more so many seconds later; None is not.
        lag_s: A list does not show what was created in the last seconds; None is no lag.
        batch: Status that the batch of the request gets, or None.
        job: Status that one of its jobs gets, or None.
        position: Which job, counted from 0; None is the first that has not ended.
        for_s: Seconds until a status that is not an end goes back; None is never.
    """

    action: Action = Action.PASS
    when: When | None = None
    status: int = 0
    body: str = "json"
    retry_after: str | None = None
    location: str | None = None
    expires: str = ""
    amount: int | None = None
    delay_s: float = 0.0
    store: int | None = None
    late_s: float | None = None
    replay_s: float | None = None
    lag_s: float | None = None
    batch: str | None = None
    job: str | None = None
    position: int | None = None
    for_s: float | None = None

    @property
    def processed(self) -> bool:
        """Whether the request is carried out before the client sees how it ends."""
        if self.late_s is not None or self.action is Action.EXPIRE:
            return False
        if self.store is not None or self.action in (Action.PASS, Action.TRUNCATE, Action.DRIP):
            return True
        if self.when is not None:
            return self.when is When.AFTER
        if self.action is Action.STALL:
            return self.amount is not None
        return self.action is Action.ANSWER and self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Requests, and what happens to them.

    Attributes:
        text: The rule as it was written.
        methods: HTTP methods; empty for all.
        path: Pattern of the path: `*` is any text without a slash, `**` any text; `/api/...` is below `/core-fast`.
        which: Which of the requests that match.
        fault: What happens.
    """

    text: str
    methods: frozenset[str]
    path: str
    which: Which
    fault: Fault

    def matches(self, method: str, path: str) -> bool:
        """Whether a request is one of these, its number left aside; the path is as served, without the query."""
        return (not self.methods or method in self.methods) and path_pattern(self.path).fullmatch(path) is not None


@cache
def path_pattern(path: str) -> re.Pattern[str]:
    """The regular expression of a rule's path."""
    whole = BASE + path if path.startswith("/api/") else path
    parts = (".*" if part == "**" else "[^/]*" if part == "*" else re.escape(part) for part in re.split(r"(\*\*|\*)", whole))
    return re.compile("".join(parts))
