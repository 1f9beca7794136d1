"""A small real HTTP server on a loopback port: answers as told, misbehaves as told, and remembers what came."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from types import TracebackType


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it came.

    Attributes:
        method: HTTP method.
        path: Without the query.
        query: Pairs in order.
        headers: Names in lower case.
        body: Decompressed.
        raw: As it came.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def json(self) -> Any:
        """The body as data."""
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered.

    Attributes:
        status: HTTP status.
        body: As it goes out.
        headers: Beside Content-Length.
        cut: Announce the whole body and send only so many bytes, then close.
        drip_s: Send head and body one byte at a time, with so many seconds between them.
        wait_s: Seconds before anything is sent.
        reset: Answer nothing and break the connection.
        endless: After the body this again and again, until the client goes away; nothing says how long it will be.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    drip_s: float = 0.0
    wait_s: float = 0.0
    reset: bool = False
    endless: bytes = b""


def data(value: Any, status: int = 200, **beside: Any) -> Reply:
    """A JSend answer."""
    return as_json({"status": "success", "code": str(status), "message": "OK.", "data": value, **beside}, status)


def refusal(status: int, code: str, description: str) -> Reply:
    """A JSend error as the API writes it."""
    body = {"status": "error", "code": code, "message": "Error", "data": {"description": description}}
    return as_json(body, status)


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    """Any JSON."""
    return Reply(status=status, body=json.dumps(value).encode(), headers={"Content-Type": "application/json", **headers})


RESET = Reply(reset=True)
PAGE = Reply(
    status=502,
    body=b"<html><head><title>502 Bad \x1b[31mGateway</title></head><body>nginx</body></html>",
    headers={"Content-Type": "text/html"},
)

Handler = Callable[[Received], Reply]


class Loopback:
    """The server, as a context: `with Loopback() as server`.

    Attributes:
        received: Every request, in the order in which they came.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self._handlers: dict[tuple[str, str], list[Reply | Handler]] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def on(self, method: str, path: str, *replies: Reply | Handler) -> None:
        """Answer requests for a path with these, one after the other; the last one stays."""
        with self._lock:
            self._handlers[method, path] = list(replies)

    def calls(self, method: str, path: str | None = None) -> list[Received]:
        """The requests of a method for a path."""
        return [one for one in self.received if one.method == method and path in (None, one.path)]

    def reply_to(self, request: Received) -> Reply:
        """Remember the request and find its answer."""
        with self._lock:
            self.received.append(request)
            replies = self._handlers.get((request.method, request.path)) or self._handlers.get((request.method, "*"))
            if not replies:
                return refusal(404, "NOT_FOUND", f"no such path {request.path}")
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
        return reply(request) if callable(reply) else reply


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], loopback: Loopback) -> None:
        self.loopback = loopback
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.loopback.connections += 1

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Nothing on stderr."""

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = gzip.decompress(raw) if headers.get("content-encoding") == "gzip" else raw
        parts = urlsplit(self.path)
        request = Received(
            method=self.command,
            path=parts.path,
            query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
            headers=headers,
            body=body,
            raw=raw,
        )
        self._answer(self.server.loopback.reply_to(request))

    do_GET = do_POST = do_PATCH = _serve  # noqa: N815  the names that http.server looks for

    def _answer(self, reply: Reply) -> None:
        time.sleep(reply.wait_s)
        if reply.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        head = f"HTTP/1.1 {reply.status} Said\r\n"
        length = {} if reply.endless else {"Content-Length": str(len(reply.body))}
        for name, value in {**length, **reply.headers}.items():
            head += f"{name}: {value}\r\n"
        message = head.encode("latin-1") + b"\r\n" + reply.body[: reply.cut]
        if reply.drip_s:
            for i in range(len(message)):
                self.connection.sendall(message[i : i + 1])
                time.sleep(reply.drip_s)
        else:
            self.connection.sendall(message)
        while reply.endless:
            self.connection.sendall(reply.endless)
        self.close_connection = self.close_connection or reply.cut is not None
