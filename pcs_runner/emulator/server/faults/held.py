"""One request that a fault meets: its body is at hand, so that it can be carried out whole, in part, late or twice."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from pcs_runner.emulator.server.exchange import LONGEST_BODY, HttpError, read_body, rendered

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A request whose body has been read.

    Attributes:
        app: What carries it out.
        scope: Its ASGI scope.
        body: Its body, as it came.
        jobs: How many of its jobs are left, when some were cut off.
    """

    app: ASGIApp
    scope: Scope
    body: bytes
    jobs: int | None = None

    @property
    def query(self) -> list[tuple[str, str]]:
        """The pairs of the query, in order."""
        return parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)

    def header(self, name: bytes) -> str | None:
        """The value of a header, by its name in lower case."""
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), None)

    async def process(self) -> Response:
        """Carry it out, and hold back the answer."""
        start: dict[str, Any] = {}
        parts: list[bytes] = []
        unread = [self.body]

        async def receive() -> Message:
            return {"type": "http.request", "body": unread.pop(), "more_body": False} if unread else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                parts.append(message.get("body", b""))

        try:
            await self.app(dict(self.scope), receive, send)
        except Exception:  # noqa: BLE001 - Starlette answers 500 and raises again
            _log.exception("%s %s failed", self.scope["method"], self.scope["path"])
        answer = Response(b"".join(parts), start.get("status", 500))
        answer.raw_headers = list(start.get("headers", answer.raw_headers))
        return answer

    def lagging(self, lag_s: float, now: datetime) -> Held:
        """The same question about what was there `lag_s` seconds ago: `end_date` of a list, which counts and pages with it."""
        latest = now - timedelta(seconds=lag_s)
        asked = next((value for name, value in reversed(self.query) if name == "end_date" and value), None)
        try:
            asked_time = datetime.fromisoformat(asked) if asked else latest
        except ValueError:
            return self  # refused as it is
        if (asked_time if asked_time.tzinfo else asked_time.replace(tzinfo=UTC)) < latest:
            return self
        query = [*self.query, ("end_date", latest.isoformat())]
        return replace(self, scope={**self.scope, "query_string": urlencode(query).encode()})

    def cut(self, count: int) -> Held:
        """The same request with its first `count` jobs only; itself when its body has no jobs."""
        try:
            body = read_body(self.body, self.header(b"content-encoding") or "")
        except HttpError:
            return self
        jobs = body.get("jobs") if isinstance(body, dict) else body
        if not isinstance(jobs, list):
            return self
        content = rendered({**body, "jobs": jobs[:count]} if isinstance(body, dict) else jobs[:count])
        headers = [(name, value) for name, value in self.scope["headers"] if name not in (b"content-encoding", b"content-length")]
        headers.append((b"content-length", str(len(content)).encode()))
        return replace(self, scope={**self.scope, "headers": headers}, body=content, jobs=min(count, len(jobs)))


async def hold(app: ASGIApp, scope: Scope, receive: Receive) -> Held | None:
    """Read the body of a request; None when the client left meanwhile. A body that is too long is cut just beyond the limit."""
    parts: list[bytes] = []
    size = 0
    while size <= LONGEST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body", False):
            break
    return Held(app=app, scope=scope, body=b"".join(parts))


def answered_id(answer: Response) -> str | None:
    """The id of the batch that an answer is about, or None."""
    try:
        value = json.loads(bytes(answer.body))["data"]["id"]
    except (ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None
