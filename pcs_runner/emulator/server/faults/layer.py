"""Faults around an application: what the rules in force say happens to the requests that they mean.

layer = FaultLayer(["POST /api/v2/batches/*/jobs #2: reset, when=after"], twin=twin)
app = create_app(service, layers=[layer])
uvicorn.Config(app, http=connection.reachable())  # without it nothing can be reset or closed

layer.book.fired()  # what happened, in order
layer.book.add("GET /api/v1/batches: lag=5")  # while it runs
layer.book.remove()
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from pcs_runner.emulator.server.faults import connection
from pcs_runner.emulator.server.faults.answers import answer_of, expired_link, expired_token, redirect_of
from pcs_runner.emulator.server.faults.book import FaultBook
from pcs_runner.emulator.server.faults.held import hold
from pcs_runner.emulator.server.faults.rule import Action, When
from pcs_runner.emulator.server.faults.states import change

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from pcs_runner.emulator.server.faults.book import Fired
    from pcs_runner.emulator.server.faults.held import Held
    from pcs_runner.emulator.server.faults.rule import Fault, Rule
    from pcs_runner.emulator.twin import Twin

DRIP_EVERY_S = 0.1
"""Time between two pieces of a dripping answer, in seconds."""

WANT_TOKENS = ("/core-fast/", "/account/", "/billing/")
"""Paths on which a void token is refused; a login does not look at it."""

_log = logging.getLogger(__name__)


class FaultLayer:
    """ASGI middleware for `create_app(..., layers=[...])`.

    Args:
        rules: The first rules, as text or parsed; more can come with `book.add`.
        twin: Whose batches and jobs get statuses.
        clock: Gives the time, timezone-aware.
        sleep: Waits so many seconds.

    Attributes:
        book: The rules, their counts, and every fault that fired.

    Raises:
        RuleError: A rule cannot be read.
    """

    def __init__(
        self,
        rules: Iterable[Rule | str] = (),
        *,
        twin: Twin,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.book = FaultBook(rules, clock=clock)
        self._twin = twin
        self._clock = clock
        self._sleep = sleep
        self._void_tokens: set[str] = set()
        self._later: set[asyncio.Task[None]] = set()

    def __call__(self, app: ASGIApp) -> ASGIApp:
        """The application with faults around it."""

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
            elif _token(scope) in self._void_tokens and scope["path"].startswith(WANT_TOKENS):
                await expired_token()(scope, receive, send)
            elif (hit := self._meet(scope)) is None:
                await app(scope, receive, send)
            elif (request := await hold(app, scope, receive)) is not None:
                await self._carry_out(*hit, request, receive, send)

        return respond

    def _meet(self, scope: Scope) -> tuple[Fault, Fired] | None:
        hit = self.book.meet(scope["method"], scope["path"], scope.get("raw_path", b"").decode("ascii", "replace"))
        if hit is None:
            return None
        rule, fired = hit
        _log.info("fault %d, %r: %s %s, match %d", fired.number, rule.text, fired.method, fired.path, fired.match)
        return rule.fault, fired

    async def _carry_out(self, fault: Fault, fired: Fired, request: Held, receive: Receive, send: Send) -> None:
        """Process as the fault says, then let the exchange end as it says."""
        if fault.lag_s is not None:
            request = request.lagging(fault.lag_s, self._clock())
        await self._change(fault, fired, request, None)
        first_wait = fault.action is Action.PASS and fault.when is not When.AFTER
        if first_wait:
            await self._sleep(fault.delay_s)
        answer = await self._process(fault, fired, request) if fault.processed else None
        if answer is not None:
            await self._change(fault, fired, request, answer)
        if not first_wait:
            await self._sleep(fault.delay_s)
        if fault.late_s is not None:
            self._start(self._once_more(fault.late_s, fired, request))
        await self._end(fault, request, answer, receive, send)
        fired.ended = True

    async def _process(self, fault: Fault, fired: Fired, request: Held) -> Response:
        if fault.store is not None:
            request = request.cut(fault.store)
            fired.stored = request.jobs
        answer = await request.process()
        fired.processed.append(answer.status_code)
        if fault.replay_s == 0:
            await self._once_more(0, fired, request)
        elif fault.replay_s is not None:
            self._start(self._once_more(fault.replay_s, fired, request))
        return answer

    async def _once_more(self, seconds: float, fired: Fired, request: Held) -> None:
        await self._sleep(seconds)
        fired.processed.append((await request.process()).status_code)

    async def _change(self, fault: Fault, fired: Fired, request: Held, answer: Response | None) -> None:
        if fault.batch is None and fault.job is None:
            return
        for undo in await change(self._twin, fault, fired, request, answer):
            if fault.for_s is not None:
                self._start(self._undone(fault.for_s, undo))

    async def _undone(self, seconds: float, undo: Callable[[], None]) -> None:
        await self._sleep(seconds)
        await run_in_threadpool(undo)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        """Begin something that nobody waits for; it ends with the server."""
        task = asyncio.create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _end(self, fault: Fault, request: Held, answer: Response | None, receive: Receive, send: Send) -> None:
        """What the client sees."""
        scope = request.scope
        match fault.action:
            case Action.RESET:
                await connection.reset(scope, receive)
            case Action.CLOSE:
                await connection.close(scope, receive)
            case Action.STALL:
                if answer is not None and fault.amount is not None:
                    await _send_part(answer, fault.amount, send)
                await connection.gone(receive)
            case Action.TRUNCATE:
                assert answer is not None
                await _send_part(answer, len(answer.body) // 2 if fault.amount is None else fault.amount, send)
                await connection.close(scope, receive)
            case Action.DRIP:
                assert answer is not None
                assert fault.amount is not None
                await _drip(answer, fault.amount, receive, send)
            case Action.EXPIRE if fault.expires == "token":
                self._void_tokens.add(_token(scope))
                await expired_token()(scope, receive, send)
            case Action.EXPIRE:
                await expired_link()(scope, receive, send)
            case Action.REDIRECT:
                await redirect_of(fault, str(Request(scope).url))(scope, receive, send)
            case Action.ANSWER:
                await answer_of(fault)(scope, receive, send)
            case Action.PASS:
                assert answer is not None
                await answer(scope, receive, send)


def _token(scope: Scope) -> str:
    """The Authorization header; empty without one."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"), "")


async def _send_part(answer: Response, count: int, send: Send) -> None:
    """The head of an answer and the first bytes of its body, never all of them."""
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    part = bytes(answer.body)[: min(count, max(0, len(answer.body) - 1))]
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def _drip(answer: Response, bytes_per_s: int, receive: Receive, send: Send) -> None:
    """An answer in small pieces, until it is whole or the client has left."""
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    left = asyncio.ensure_future(connection.gone(receive))
    body, sent, begin = bytes(answer.body), 0, asyncio.get_running_loop().time()
    try:
        while sent < len(body) and not left.done():
            due = int((asyncio.get_running_loop().time() - begin) * bytes_per_s) + 1
            if due > sent:
                await send({"type": "http.response.body", "body": body[sent:due], "more_body": due < len(body)})
                sent = due
            await asyncio.wait({left}, timeout=max(DRIP_EVERY_S, 1 / bytes_per_s))
        if not body:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        left.cancel()
