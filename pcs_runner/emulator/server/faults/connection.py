"""The connection below a request: an application can reset or close it, with every HTTP implementation of uvicorn.

uvicorn hides the transport from applications. `reachable()` is its protocol class (httptools, else h11) with one addition:
each request carries its transport in `scope["extensions"][TRANSPORT]`.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp, Receive, Scope, Send

TRANSPORT = "pcs_runner.transport"


def reachable(protocol: type[asyncio.Protocol] = AutoHTTPProtocol) -> type[asyncio.Protocol]:
    """A protocol class for `uvicorn.Config(http=...)` whose requests carry their transport.

    Args:
        protocol: uvicorn's class that does the work.
    """

    class Reachable(protocol):  # type: ignore[misc, valid-type]
        app: ASGIApp

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.app = _with_transport(self.app, transport)

    return Reachable


def _with_transport(app: ASGIApp, transport: asyncio.BaseTransport) -> ASGIApp:
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[TRANSPORT] = transport
        await app(scope, receive, send)

    return respond


async def reset(scope: Scope, receive: Receive) -> None:
    """Reset the connection of a request (RST): the client sees `Connection reset by peer`. Its body has been read.

    Raises:
        RuntimeError: The server does not use `reachable()`.
    """
    transport = _transport(scope)
    descriptor = os.dup(transport.get_extra_info("socket").fileno())
    with socket.socket(fileno=descriptor) as same:  # SO_LINGER of 0 s makes the last close a reset
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await gone(receive)


async def close(scope: Scope, receive: Receive) -> None:
    """Close the connection of a request (FIN) after what was sent. Its body has been read.

    Raises:
        RuntimeError: The server does not use `reachable()`.
    """
    _transport(scope).close()
    await gone(receive)


async def gone(receive: Receive) -> None:
    """Wait until the client, or we, have left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(scope: Scope) -> Any:
    transport = scope.get("extensions", {}).get(TRANSPORT)
    if transport is None:
        raise RuntimeError("connections can be reset and closed only under uvicorn.Config(http=connection.reachable())")
    return transport
