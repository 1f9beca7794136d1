"""The ASGI application: which path goes to which handler, what is checked before, and what surrounds it all."""

from __future__ import annotations

import asyncio
import json
import logging
import zlib
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from pcs_runner.emulator.server import batches_and_jobs, catalogue, login
from pcs_runner.emulator.server.access import LinkError
from pcs_runner.emulator.server.exchange import Call, HttpError, check_length, envelope, error_body, read_body, rendered
from pcs_runner.errors import PcsRunnerError
from pcs_runner.pcs.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pcs_runner.emulator.server.exchange import Answer
    from pcs_runner.emulator.server.service import Service

    Handler = Callable[[Service, Call], Answer]
    Layer = Callable[[ASGIApp], ASGIApp]

CORE, ACCOUNT, BILLING = "/core-fast", "/account", "/billing"
"""Base paths of the three APIs, as in the cloud's URLs."""

OVH = f"{CORE}/api/v1/third-party-access/ovh"

ENDPOINTS: Sequence[tuple[str, str, Handler]] = (
    ("GET", f"{CORE}/api/v1/jobs/{{job_id}}/results_link", batches_and_jobs.results_link),
    ("GET", f"{CORE}/api/v1/batches/{{batch_id}}/status", batches_and_jobs.batch_status),
    ("GET", f"{CORE}/api/v2/batches/{{batch_id}}", batches_and_jobs.get_batch),
    ("GET", f"{CORE}/api/v2/jobs", batches_and_jobs.list_jobs),
    ("POST", f"{CORE}/api/v2/batches/{{batch_id}}/jobs", batches_and_jobs.add_jobs),
    ("POST", f"{CORE}/api/v1/batches", batches_and_jobs.create_batch),
    ("GET", f"{CORE}/api/v1/batches", batches_and_jobs.list_batches),
    ("PATCH", f"{CORE}/api/v2/batches/{{batch_id}}/complete", batches_and_jobs.close_batch),
    ("PATCH", f"{CORE}/api/v2/batches/{{batch_id}}/cancel", batches_and_jobs.cancel_batch),
    ("PATCH", f"{CORE}/api/v2/batches/{{batch_id}}/cancel/jobs", batches_and_jobs.cancel_jobs),
    ("PATCH", f"{CORE}/api/v1/batches/cancel", batches_and_jobs.cancel_batches),
    ("PATCH", f"{CORE}/api/v1/batches/{{batch_id}}/tags", batches_and_jobs.set_tags),
    ("POST", f"{CORE}/api/v1/batches/{{batch_id}}/rebatch", batches_and_jobs.rebatch),
    ("GET", f"{CORE}/api/v2/jobs/{{job_id}}", batches_and_jobs.get_job),
    ("GET", f"{CORE}/api/v1/jobs/{{job_id}}/status", batches_and_jobs.job_status),
    ("PATCH", f"{CORE}/api/v2/jobs/{{job_id}}/cancel", batches_and_jobs.cancel_job),
    ("GET", f"{CORE}/api/v1/devices/specs", catalogue.device_specs),
    ("GET", f"{CORE}/api/v1/devices/{{name}}/queue", catalogue.device_queue),
    ("GET", f"{ACCOUNT}/api/v1/projects", catalogue.projects),
    ("GET", f"{BILLING}/api/v1/contracts", catalogue.contract),
    ("POST", f"{OVH}/batches", batches_and_jobs.create_third_party_batch),
    ("GET", f"{OVH}/batches/{{batch_id}}", batches_and_jobs.get_batch),
    ("GET", f"{OVH}/batches/{{batch_id}}/status", batches_and_jobs.batch_status),
    ("GET", f"{OVH}/jobs", batches_and_jobs.list_third_party_jobs),
    ("GET", f"{OVH}/jobs/{{job_id}}/status", batches_and_jobs.job_status),
    ("GET", f"{OVH}/jobs/{{job_id}}/results_link", batches_and_jobs.results_link),
)
"""Method, path and handler of everything that wants a token; what is asked most comes first."""

QUICK = frozenset({batches_and_jobs.results_link, batches_and_jobs.batch_status, batches_and_jobs.job_status})
"""Handlers that read a row or two: carried out in the event loop, where a hop to a thread would cost more than they do."""

PUBLIC_ENDPOINTS: Sequence[tuple[str, str, Handler]] = (("GET", f"{CORE}/api/v1/devices/public-specs", catalogue.public_specs),)
"""The same for what wants none."""

_log = logging.getLogger(__name__)


def create_app(service: Service, *, latency_s: float = 0.0, layers: Sequence[Layer] = ()) -> ASGIApp:
    """The application of a service.

    Args:
        service: What is served.
        latency_s: Delay of every answer, in seconds.
        layers: ASGI middleware around the APIs, the innermost first; the latency is outside of them.
    """
    routes = [_route(service, *endpoint, public=False) for endpoint in ENDPOINTS]
    routes += [_route(service, *endpoint, public=True) for endpoint in PUBLIC_ENDPOINTS]
    routes += [
        Route(f"{batches_and_jobs.STORAGE_PATH}/{{job_id}}", _download(service), methods=["GET"]),
        Route(login.AUTH0_PATH, _login(service, login.auth0_answer), methods=["POST"]),
        Route(login.KEYCLOAK_PATH, _login(service, login.keycloak_answer), methods=["POST"]),
    ]
    inner = Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_allowed, Exception: _crashed})
    inner.router.redirect_slashes = False
    app: ASGIApp = inner
    for layer in layers:
        app = layer(app)
    return Latency(app, latency_s) if latency_s > 0 else app


class Latency:
    """Delays each answer: what is asked has been carried out before the delay begins.

    Args:
        app: What answers.
        seconds: How long.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_later(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(self._seconds)
            await send(message)

        await self._app(scope, receive, send_later)


def _route(service: Service, method: str, path: str, handler: Handler, *, public: bool) -> Route:
    async def respond(request: Request) -> Response:
        try:
            if not public:
                service.access.check(request.headers.get("authorization"))
            content = b"" if method == "GET" else await _read(request)
        except HttpError as error:
            return _failed(error)
        if handler in QUICK:
            return _carried_out(service, handler, request, content)
        return await run_in_threadpool(_carried_out, service, handler, request, content)

    return Route(path, respond, methods=[method], name=f"{method} {path}")


def _carried_out(service: Service, handler: Handler, request: Request, content: bytes) -> Response:
    """Run a handler, off the event loop; its failure is an answer too."""
    try:
        call = Call(
            path=request.path_params,
            query=request.query_params.multi_items(),
            body=read_body(content, request.headers.get("content-encoding", "")),
            base_url=str(request.base_url).rstrip("/"),
        )
        answer = handler(service, call)
    except HttpError as error:
        return _failed(error)
    except RefusedError as error:
        message = f"{error.message}. {error.hint}" if error.hint else error.message
        return _failed(HttpError(error.status or 400, error.code or "REFUSED", message))
    except PcsRunnerError as error:
        _log.error("%s %s: %s", request.method, request.url.path, error)
        return _failed(HttpError(500, "INTERNAL_ERROR", error.message))
    headers = {}
    if answer.start is not None:
        headers["Content-Range"] = f"{answer.start}-{answer.start + len(answer.data)}/{answer.total}"
    return Response(rendered(envelope(answer)), headers=headers, media_type="application/json")


async def _read(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        check_length(size)
        parts.append(part)
    return b"".join(parts)


def _failed(error: HttpError) -> Response:
    body = error_body(error.status, error.code, error.message, error.detail)
    return Response(rendered(body), error.status, headers=error.headers, media_type="application/json")


def _login(service: Service, answer: Callable[..., tuple[int, dict[str, Any]]]) -> Callable[..., Any]:
    async def respond(request: Request) -> Response:
        try:
            content = await _read(request)
        except HttpError as error:
            return _failed(error)
        status, body = answer(service.access, login.read_form(content, request.headers.get("content-type", "")))
        return Response(json.dumps(body), status, headers={"Cache-Control": "no-store"}, media_type="application/json")

    return respond


def _download(service: Service) -> Callable[..., Any]:
    async def respond(request: Request) -> Response:
        try:
            service.access.check_link(request.scope["path"], request.query_params, request.headers.get("authorization"))
            body = _stored(service, request.path_params["job_id"])
        except LinkError as error:
            xml = f"<Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message></Error>"
            return Response(f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}', error.status, media_type="application/xml")
        return Response(body, media_type="application/json")

    return respond


def _stored(service: Service, job_id: str) -> bytes:
    """The results of a job as JSON.

    Raises:
        LinkError: There are none.
    """
    try:
        return zlib.decompress(service.twin.results(job_id))
    except RefusedError as error:
        raise LinkError(404, "NoSuchKey", "The specified key does not exist.") from error


async def _not_found(request: Request, _error: Exception) -> Response:
    return _failed(HttpError(404, "NOT_FOUND", f"{request.method} {request.url.path} is not part of this twin"))


async def _not_allowed(request: Request, _error: Exception) -> Response:
    return _failed(HttpError(405, "METHOD_NOT_ALLOWED", f"{request.url.path} does not take {request.method}"))


async def _crashed(request: Request, _error: Exception) -> Response:
    return _failed(HttpError(500, "INTERNAL_ERROR", f"{request.method} {request.url.path} met a bug of the twin; see its log"))
