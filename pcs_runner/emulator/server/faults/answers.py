"""What a fault answers in the place of the service: wrong statuses, bodies of the wrong kind, words of gateways."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from starlette.responses import Response

from pcs_runner.emulator.server.exchange import error_body, rendered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pcs_runner.emulator.server.faults.rule import Fault

GARBAGE = bytes(range(256))
"""Neither JSON nor UTF-8."""


def reason(status: int) -> str:
    """`502` -> `Bad Gateway`."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _json(status: int) -> tuple[str, bytes]:
    if status < 400:
        return "application/json", rendered({"status": "success", "message": "OK.", "code": str(status), "data": {}})
    return "application/json", rendered(error_body(status, f"HTTP_{status}", f"{reason(status)} (a fault rule)"))


def _html(status: int) -> tuple[str, bytes]:
    title = escape(f"{status} {reason(status)}")
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    return "text/html", page.encode()


def _envelope_with(**data: object) -> Callable[[int], tuple[str, bytes]]:
    body = rendered({"status": "success", "message": "OK.", "code": "200", **data})
    return lambda _status: ("application/json", body)


BODIES: Mapping[str, Callable[[int], tuple[str, bytes]]] = {
    "json": _json,
    "html": _html,
    "empty": lambda _status: ("", b""),
    "garbage": lambda _status: ("application/json", GARBAGE),
    "no-data": _envelope_with(),
    "null-data": _envelope_with(data=None),
    "list-data": _envelope_with(data=[1, 2]),
    "text-data": _envelope_with(data="nothing of use"),
    "list": lambda _status: ("application/json", b"[1,2]"),
}
"""Name -> status -> media type (empty for none) and body."""


def answer_of(fault: Fault) -> Response:
    """The answer of a fault with a status."""
    kind, body = BODIES[fault.body](fault.status)
    headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    return Response(body, fault.status, headers=headers, media_type=kind or None)


def redirect_of(fault: Fault, url: str) -> Response:
    """A redirect, to `url` when the rule names no other place."""
    return Response(b"", fault.status, headers={"Location": fault.location or url})


def expired_token() -> Response:
    """What the APIs say to a token that is too old."""
    body = rendered(error_body(401, "UNAUTHORIZED", "the bearer token has expired"))
    return Response(body, 401, headers={"WWW-Authenticate": "Bearer"}, media_type="application/json")


def expired_link() -> Response:
    """What the object storage says to a link that has ended."""
    xml = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}', 403, media_type="application/xml")
