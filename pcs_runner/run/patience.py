"""A service that does not answer is asked again, less and less often, for as long as wanted; and nobody waits in silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pcs_runner.pcs.answers import UnavailableError
from pcs_runner.pcs.auth import AuthError
from pcs_runner.pcs.errors import AnswerError, PcsError, UncertainError, UnreachableError
from pcs_runner.run.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcs_runner.run.session import Session

T = TypeVar("T")

FIRST_S, LONGEST_S = 1.0, 60.0
"""First and longest pause between two attempts, in seconds."""

NONSENSE_S = 900.0
"""How long answers that cannot be read are borne, in seconds: a login page in between goes away, a changed API does not."""

SILENCE_S, LONGEST_SILENCE_S = 30.0, 600.0
"""First and longest time without a word while nothing moves, in seconds."""

PASSING_STATUSES = frozenset({408, 425, 429})


@dataclass(slots=True)
class Silence:
    """Says now and then that nothing has moved: first after 30 s, then after twice as long each time.

    Args:
        session: Whose clock and events.
    """

    session: Session
    _since: float | None = None
    _told_s: float = 0.0

    def ends(self) -> None:
        """Something moved."""
        self._since, self._told_s = None, 0.0

    def goes_on(self, reason: str, coming_s: float) -> None:
        """Nothing has moved, and for `coming_s` more seconds nothing will be asked; say so when it is time."""
        now = self.session.effects.monotonic()
        self._since = now if self._since is None else self._since
        passed_s = now - self._since
        if passed_s + coming_s >= self._told_s + min(LONGEST_SILENCE_S, max(SILENCE_S, self._told_s)):
            since = f" (for {passed_s:.0f} s so far)" if passed_s >= 1 else ""
            self.session.emit(Event(kind="waiting", message=f"{reason}{since}", seconds=coming_s))
            self._told_s = passed_s + coming_s


def patiently(session: Session, step: Callable[[], T]) -> T:
    """Take a step that may be repeated; while the service cannot be reached, take it again until the user's patience ends.

    Raises:
        ServiceError: Refused, or not reached for longer than `session.patience_s`.
    """
    pause_s, waited_s, began, silence = FIRST_S, 0.0, None, Silence(session)
    while True:
        try:
            return step()
        except PcsError as error:
            now = session.effects.monotonic()
            began = now if began is None else began
            lost_s = max(now - began, waited_s)
            limit_s = min(session.patience_s, NONSENSE_S) if isinstance(error, AnswerError) else session.patience_s
            if not passes(error) or lost_s >= limit_s:
                raise
            silence.goes_on(f"the service cannot be reached, it is asked again: {error.message}", pause_s)
            session.effects.sleep(pause_s)
            waited_s, pause_s = waited_s + pause_s, min(2 * pause_s, LONGEST_S)


def passes(error: PcsError) -> bool:
    """Whether the same question may be answered later, although nobody does anything."""
    if isinstance(error, AuthError):
        return error.status is None or error.status >= 500 or error.status in PASSING_STATUSES
    if isinstance(error, (UnreachableError, UnavailableError, UncertainError, AnswerError)):
        return True
    return error.status in PASSING_STATUSES
