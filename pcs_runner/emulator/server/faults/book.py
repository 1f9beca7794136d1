"""Which fault rules there are, how often each matched and fired, and every fault that fired, in order."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pcs_runner.emulator.server.faults.text import parse_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pcs_runner.emulator.server.faults.rule import Rule

MOST_FIRED = 100_000
"""Faults that are remembered; the oldest are forgotten first."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """A rule that is in force.

    Attributes:
        id: Its number, from 1, never used again.
        rule: The rule.
        matched: Requests that matched so far.
        fired: Those of them that it met.
    """

    id: int
    rule: Rule
    matched: int = 0
    fired: int = 0

    def payload(self) -> dict[str, Any]:
        """As the control path shows it."""
        return {"id": self.id, "rule": self.rule.text, "matched": self.matched, "fired": self.fired}


@dataclass(slots=True, kw_only=True)
class Fired:
    """One fault that was met by one request. What happened to the request is filled in as it happens.

    Attributes:
        number: Counted from 1 over all rules.
        rule_id: Of the rule.
        rule: Its text.
        method: Of the request.
        path: Of the request, percent-encoded, without the query (which may be a signature).
        match: The how manieth match of the rule this was, from 1.
        at: When it arrived, ISO 8601 in UTC.
        processed: HTTP status of each time that the request was carried out, also later ones; empty for never.
        stored: Jobs that were handed on when only some were; None otherwise.
        changed: Statuses that were given, for example `batch <id> PAUSED`.
        ended: Whether the client has seen the end of it.
    """

    number: int
    rule_id: int
    rule: str
    method: str
    path: str
    match: int
    at: str
    processed: list[int] = field(default_factory=list)
    stored: int | None = None
    changed: list[str] = field(default_factory=list)
    ended: bool = False

    def payload(self) -> dict[str, Any]:
        """As the control path shows it."""
        return {name: getattr(self, name) for name in Fired.__slots__}


class FaultBook:
    """Rules in force and what came of them; may be used by several threads.

    Args:
        rules: The first rules, as text or parsed.
        clock: Gives the time, timezone-aware.

    Raises:
        RuleError: A rule cannot be read.
    """

    def __init__(self, rules: Iterable[Rule | str] = (), *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._entries: dict[int, Entry] = {}
        self._fired: deque[Fired] = deque(maxlen=MOST_FIRED)
        self._next_id = 1
        self._next_number = 1
        self.add(*rules)

    def add(self, *rules: Rule | str) -> list[int]:
        """Put rules into force, behind the others; returns their ids. All or none.

        Raises:
            RuleError: A rule cannot be read.
        """
        parsed = [parse_rule(rule) if isinstance(rule, str) else rule for rule in rules]
        with self._lock:
            ids = list(range(self._next_id, self._next_id + len(parsed)))
            self._next_id += len(parsed)
            self._entries.update({number: Entry(id=number, rule=rule) for number, rule in zip(ids, parsed, strict=True)})
        return ids

    def remove(self, rule_id: int | None = None) -> int:
        """End a rule, or all; returns how many there were. What fired stays on record."""
        with self._lock:
            doomed = list(self._entries) if rule_id is None else [rule_id] if rule_id in self._entries else []
            for one in doomed:
                del self._entries[one]
        return len(doomed)

    def entries(self) -> list[Entry]:
        """The rules in force, with their counts, in order."""
        with self._lock:
            return list(self._entries.values())

    def fired(self, after: int = 0) -> list[Fired]:
        """The faults with a number above `after`, in order."""
        with self._lock:
            return [one for one in self._fired if one.number > after]

    def meet(self, method: str, path: str, raw_path: str) -> tuple[Rule, Fired] | None:
        """Count a request at every rule that it matches; the first that means it fires.

        Args:
            method: Of the request.
            path: As it is matched.
            raw_path: As it is recorded.
        """
        hit: tuple[Entry, int] | None = None
        with self._lock:
            for entry in self._entries.values():
                if not entry.rule.matches(method, path):
                    continue
                entry.matched += 1
                if hit is None and entry.rule.which.takes(entry.matched):
                    entry.fired += 1
                    hit = entry, entry.matched
            if hit is None:
                return None
            entry, match = hit
            fired = Fired(
                number=self._next_number,
                rule_id=entry.id,
                rule=entry.rule.text,
                method=method,
                path=raw_path,
                match=match,
                at=self._clock().isoformat(),
            )
            self._next_number += 1
            self._fired.append(fired)
        return entry.rule, fired
