"""The control path of a served twin: rules are added, listed and removed while it runs, and what fired is read.

For this machine and for whoever has a token of the twin. A browser page has none, and is refused for being one as well.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from pcs_runner.emulator.server.exchange import (
    Answer,
    HttpError,
    check_length,
    envelope,
    error_body,
    json_object,
    read_body,
    rendered,
    unprocessable,
)
from pcs_runner.emulator.server.faults.text import RuleError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from pcs_runner.emulator.server.access import Access
    from pcs_runner.emulator.server.faults.book import FaultBook

PATH = "/_twin/faults"

BROWSER = ("origin", "sec-fetch-site", "sec-fetch-mode")
"""Headers that a browser puts on requests of a page and that no script of a page can leave out."""


class FaultControl:
    """ASGI middleware that answers the control path itself, outside of the faults.

    Args:
        book: The rules.
        access: Whose tokens are good.
    """

    def __init__(self, book: FaultBook, access: Access) -> None:
        self._book = book
        self._access = access

    def __call__(self, app: ASGIApp) -> ASGIApp:
        """The application with the control path beside it."""

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] != PATH:
                await app(scope, receive, send)
                return
            request = Request(scope, receive)
            try:
                check_caller(request)
                self._access.check(request.headers.get("authorization"))
                body = envelope(Answer(data=await self._carry_out(request)))
                answer = Response(rendered(body), media_type="application/json")
            except HttpError as error:
                failure = error_body(error.status, error.code, error.message, error.detail)
                answer = Response(rendered(failure), error.status, headers=error.headers, media_type="application/json")
            await answer(scope, receive, send)

        return respond

    async def _carry_out(self, request: Request) -> dict[str, Any]:
        """GET, POST or DELETE; each answers with the rules in force and what fired.

        Raises:
            HttpError: 405, or 422 with the place in the rule.
        """
        query = request.query_params
        if request.method == "POST":
            self._add(await _read(request))
        elif request.method == "DELETE":
            self._book.remove(_number(query.get("id"), "id"))
        elif request.method != "GET":
            raise HttpError(405, "METHOD_NOT_ALLOWED", f"{PATH} takes GET, POST and DELETE")
        fired = self._book.fired(_number(query.get("after"), "after") or 0)
        return {"rules": [one.payload() for one in self._book.entries()], "fired": [one.payload() for one in fired]}

    def _add(self, content: bytes) -> None:
        rules = json_object(read_body(content, "")).get("rules")
        if not isinstance(rules, list) or not rules or not all(isinstance(rule, str) for rule in rules):
            raise unprocessable("body", "rules", "must be a list of rules, each a string")
        try:
            self._book.add(*rules)
        except RuleError as error:
            raise unprocessable("body", "rules", error.message) from error


def check_caller(request: Request) -> None:
    """Let this machine pass, and no page in its browser.

    Raises:
        HttpError: 403. The client or the host that it asked for is not a loopback address (a name that points here does
            not do: DNS rebinding), or a browser sent the request for a page.
    """
    asked = _hostname(request.headers.get("host", ""))
    if request.client is None or not is_loopback(request.client.host) or not is_loopback(asked):
        raise HttpError(403, "FORBIDDEN", f"{PATH} is for this machine only, by its loopback address")
    if any(name in request.headers for name in BROWSER):
        raise HttpError(403, "FORBIDDEN", f"{PATH} is not for pages in a browser")


def _hostname(host: str) -> str:
    """`localhost:8000` -> `localhost`; empty when it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's loopback address or `localhost`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _read(request: Request) -> bytes:
    content = b""
    async for part in request.stream():
        content += part
        check_length(len(content))
    return content


def _number(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 15:
        raise unprocessable("query", name, f"must be a number; got {text!r:.40}")
    return int(text)
