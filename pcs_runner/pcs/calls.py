"""One call of the service from beginning to end: token, deadline, repetition where that is safe, and a clear error."""

from __future__ import annotations

import gzip
import json
import logging
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from pcs_runner import __version__
from pcs_runner.pcs import answers, retries
from pcs_runner.pcs.auth import AuthError
from pcs_runner.pcs.effects import Effects
from pcs_runner.pcs.errors import AnswerError, PcsError, safe_text
from pcs_runner.pcs.exchange import Answer, Call, Failure, Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pcs_runner.pcs.answers import Jsend
    from pcs_runner.pcs.auth import Bearer
    from pcs_runner.pcs.exchange import Send

    OnWait = Callable[[str, float], None]
    Query = Mapping[str, str | int | bool | Sequence[str] | None]

T = TypeVar("T")

TELL_AFTER_S = 30.0
"""A longer wait says what it waits for."""

GZIP_FROM = 1024
"""Request bodies of at least so many bytes are compressed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how large.

    Attributes:
        attempt_s: Deadline of one request that changes nothing, in seconds.
        total_s: Deadline of a call with its repetitions, in seconds; waits that the server asks for are not counted.
        answer: Most bytes of an answer.
        result: Most bytes of the results of one job.
    """

    attempt_s: float = 30.0
    total_s: float = 60.0
    answer: int = 64 * 2**20
    result: int = 32 * 2**20


class Caller:
    """Makes calls; used by many threads at once.

    Args:
        send: The door to the network.
        bearer: Gives the token; None for services that want none.
        effects: Clocks, sleep and chance.
        limits: How long and how large.
        on_wait: Told what is waited for and how many seconds, when that is more than 30 s or less than the server asked for.
            May be called from a worker thread, one call at a time.
    """

    def __init__(
        self,
        send: Send,
        bearer: Bearer | None = None,
        *,
        effects: Effects | None = None,
        limits: Limits | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.on_wait: OnWait = on_wait or _log_wait
        self._send = send
        self._bearer = bearer
        self._effects = effects or Effects()
        self._telling = threading.Lock()

    def ask(self, base: str, path: str, query: Query | None = None, *, with_token: bool = True) -> Jsend:
        """GET: a question, asked again while that may help.

        Raises:
            RefusedError: HTTP 4xx.
            AuthError: No token, or one that is refused.
            UnavailableError: No answer.
            AnswerError: An answer that cannot be read.
        """
        call = Call(
            name=f"GET {path}",
            method="GET",
            url=f"{base}{path}{_query(query)}",
            changes=False,
            with_token=with_token,
            headers={},
            limit=self.limits.answer,
        )
        return self.carry_out(call, answers.read_jsend)

    def tell(self, method: str, base: str, path: str, body: Any = None, query: Query | None = None) -> Jsend:
        """POST or PATCH: sent once; again only when it surely was not carried out.

        Raises:
            RefusedError: HTTP 4xx; nothing was changed.
            AuthError: No token, or one that is refused; nothing was changed.
            UnreachableError: It surely did not arrive.
            UncertainError: Whether it was carried out is not known.
            AnswerError: The same, because the answer cannot be read.
        """
        headers, content = _encoded(body)
        call = Call(
            name=f"{method} {path}",
            method=method,
            url=f"{base}{path}{_query(query)}",
            changes=True,
            with_token=True,
            headers=headers,
            body=content,
            limit=self.limits.answer,
        )
        return self.carry_out(call, answers.read_jsend)

    def download(self, url: str, name: str, read: Callable[[Answer, str], T]) -> T:
        """GET a presigned address without the token; neither it nor what it answers appears in a message.

        Raises:
            RefusedError: HTTP 4xx: the address has expired, or was never good.
            UnavailableError: No answer.
            AnswerError: An answer that cannot be read.
        """
        call = Call(name=name, method="GET", url=url, changes=False, with_token=False, headers={}, limit=self.limits.result)
        return self.carry_out(call, read, show=False)

    def carry_out(self, call: Call, read: Callable[[Answer, str], T], *, show: bool = True) -> T:
        """Send a call until it is answered, or may not or cannot be repeated.

        Args:
            call: The call.
            read: Reads a 2xx answer; its `AnswerError` makes a question be asked again.
            show: Whether the error may hold what the server answered.
        """
        end, attempt = self._effects.monotonic() + self.limits.total_s, 0
        while True:
            attempt += 1
            outcome, error = self._once(call, end), None
            repeat = not call.changes
            if isinstance(outcome, Answer) and 200 <= outcome.status < 300:
                try:
                    return read(self._without_token(outcome) if call.with_token else outcome, call.name)
                except AnswerError as unreadable:
                    error = self._hidden(unreadable)
            else:
                repeat = retries.may_repeat(outcome, changes=call.changes)
            if repeat and attempt < retries.ATTEMPTS:
                pause = retries.pause(outcome, attempt, now=self._effects.now(), chance=self._effects.chance())
                if pause.asked_s is not None:
                    end += pause.seconds
                if self._effects.monotonic() + pause.seconds < end:
                    self._wait(call, outcome, pause)
                    continue
            raise error or self._error(call, outcome, attempt, show=show)

    def _once(self, call: Call, end: float) -> Answer | Failure:
        """Send it once; after a 401 once more with a new token, for a 401 is a refusal: nothing was carried out."""
        if self._bearer is None or not call.with_token:
            return self._send(self._outgoing(call, None, end))
        token = self._bearer.token()
        outcome = self._send(self._outgoing(call, token, end))
        if not isinstance(outcome, Answer) or outcome.status != 401:
            return outcome
        token = self._bearer.renewed(token)
        outcome = self._send(self._outgoing(call, token, end))
        if isinstance(outcome, Answer) and outcome.status == 401:
            _, words = answers.refusal(outcome)
            raise AuthError(
                self._bearer.hide(f"{call.name}: the service refuses a token that is new{f': {words}' if words else ''}"),
                status=401,
                request=call.name,
                hint="Check that region and account belong together, then `pcs-run login`.",
            )
        return outcome

    def _outgoing(self, call: Call, token: str | None, end: float) -> Outgoing:
        left = end - self._effects.monotonic()
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"pcs-runner/{__version__}",
            **call.headers,
        }
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        deadline_s = left if call.changes else min(left, self.limits.attempt_s)
        return Outgoing(
            method=call.method,
            url=call.url,
            headers=headers,
            body=call.body,
            deadline_s=max(0.1, deadline_s),
            limit=call.limit,
            fresh=call.changes,
        )

    def _error(self, call: Call, outcome: Answer | Failure, attempts: int, *, show: bool) -> PcsError:
        if isinstance(outcome, Answer) and not show:
            outcome = Answer(status=outcome.status, headers={}, body=b"")
        return self._hidden(answers.problem(outcome, call.name, changes=call.changes, attempts=attempts))

    def _hidden(self, error: T) -> T:
        """The error without our secrets, which a server may echo."""
        if self._bearer is not None and isinstance(error, PcsError):
            hide = self._bearer.hide
            error.message, error.description, error.response = hide(error.message), hide(error.description), hide(error.response)
            error.args = (error.message,)
        return error

    def _without_token(self, answer: Answer) -> Answer:
        """A good answer; should one of its texts hold our token, it would end up in records and logs."""
        return answer if self._bearer is None else replace(answer, body=self._bearer.without_token(answer.body))

    def _wait(self, call: Call, outcome: Answer | Failure, pause: retries.Pause) -> None:
        why = outcome.reason if isinstance(outcome, Failure) else f"HTTP {outcome.status}"
        _log.info("%s: %s; again in %.1f s", call.name, safe_text(why, 200), pause.seconds)
        capped = pause.asked_s is not None and pause.asked_s > pause.seconds
        if capped or pause.seconds > TELL_AFTER_S:
            asked = f", which asked for {pause.asked_s:.0f} s" if capped else ""
            with self._telling:
                self.on_wait(f"the service is busy (HTTP {getattr(outcome, 'status', '?')} to {call.name}{asked})", pause.seconds)
        self._effects.sleep(pause.seconds)


def _encoded(body: Any) -> tuple[dict[str, str], bytes | None]:
    """Headers and bytes of a JSON body, compressed when that is worth it.

    Raises:
        ValueError: A value that JSON does not have (NaN, infinity).
    """
    if body is None:
        return {}, None
    content = json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    headers = {"Content-Type": "application/json"}
    if len(content) >= GZIP_FROM:
        content = gzip.compress(content, compresslevel=6, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return headers, content


def _query(query: Query | None) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in (query or {}).items():
        if value is None:
            continue
        values = [value] if isinstance(value, (str, int)) else value
        pairs += [(name, str(one).lower() if isinstance(one, bool) else str(one)) for one in values]
    return f"?{urlencode(pairs)}" if pairs else ""


def _log_wait(reason: str, seconds: float) -> None:
    _log.warning("waiting %.0f s: %s", seconds, reason)
