"""The cloud over HTTP: `Client`, with one method for each endpoint, and the door to the network behind it."""

from __future__ import annotations

import http.client
import io
import logging
import os
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.util.connection import create_connection

from pcs_runner.errors import UsageError
from pcs_runner.pcs import access
from pcs_runner.pcs.account_calls import AccountCalls
from pcs_runner.pcs.answers import Body, GarbledError
from pcs_runner.pcs.calls import Caller
from pcs_runner.pcs.effects import Effects
from pcs_runner.pcs.endpoints import is_loopback
from pcs_runner.pcs.errors import AnswerError
from pcs_runner.pcs.exchange import Answer, Failure, Outgoing
from pcs_runner.pcs.faults import CONNECT_S, failure_of
from pcs_runner.pcs.protocol import Polling

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from pcs_runner.pcs.access import Access
    from pcs_runner.pcs.calls import Limits, OnWait
    from pcs_runner.pcs.credentials import Credentials
    from pcs_runner.pcs.exchange import Send

POLL = "PCS_RUNNER_POLL_S"

IDLE_S = 2.0
"""A connection that was idle for longer is not used for a request that changes something: the server may be closing it."""

CHUNK = 65_536
SLICE_S = 0.5
"""A read looks up at least so often, to see whether the client was closed."""


class Client(AccountCalls):
    """Pasqal Cloud Services over HTTP; keeps `pcs.protocol.Client`. May be used by several threads.

    Args:
        where: Endpoints, tokens and project; see `from_environment`.
        send: The door to the network; default one of its own.
        effects: Clocks, sleep and chance.
        limits: How long and how large.
        polling: How often it makes sense to ask; default by where the service is.
        on_wait: Told what is waited for and how many seconds when that is long; default: the log. May be replaced later.
    """

    can_list_batches = True
    """Whether the service can be asked which batches there are; where not, a doubt stays one."""

    def __init__(
        self,
        where: Access,
        *,
        send: Send | None = None,
        effects: Effects | None = None,
        limits: Limits | None = None,
        polling: Polling | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        super().__init__()
        self._send = send or Wire()
        if effects is None and isinstance(self._send, Wire):
            effects = Effects(sleep=self._send.sleep)
        self._endpoints = where.endpoints
        self._caller = Caller(self._send, where.bearer, effects=effects, limits=limits, on_wait=on_wait)
        self._twin: bool | None = None
        self.project_id = where.project_id
        self.polling = polling or default_polling(local=where.endpoints.is_loopback)

    @classmethod
    def from_environment(
        cls,
        region: str = "fr",
        provider: str = "pasqal",
        *,
        option: Credentials | None = None,
        environ: Mapping[str, str] | None = None,
        on_wait: OnWait | None = None,
    ) -> Client:
        """The client that the user's environment describes. Sends nothing yet.

        Args:
            region: `fr` or `sa`.
            provider: `pasqal` or `ovh`.
            option: Credentials that come before those of environment, file and keyring.
            environ: The environment; default that of this process.
            on_wait: As of `Client`.

        Raises:
            UsageError: Addresses or numbers in the environment that break a rule, or an unknown region or provider.
            CredentialsError: Nobody says who the user is.
        """
        environ = os.environ if environ is None else environ
        send = Wire()
        polling = polling_from(environ)
        if provider == "ovh":
            from pcs_runner.pcs.ovh import OvhClient

            where = access.find_ovh_access(region, environ, option=option)
            return OvhClient(where, send=send, polling=polling, on_wait=on_wait)
        if provider != "pasqal":
            raise UsageError(f'there is no provider "{provider}"', hint="Providers: pasqal, ovh.")
        where = access.find_access(region, environ, send, option=option, effects=Effects(sleep=send.sleep), on_wait=on_wait)
        return cls(where, send=send, polling=polling, on_wait=on_wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def is_twin(self) -> bool:
        """Whether the server says that it is a twin of PCS, in its answer to GET /api/v1/devices/specs (asked once).

        The provider's own services are not asked.

        Raises:
            AnswerError: What was answered are no devices, so that it says nothing.
        """
        if self._twin is None:
            self._twin = not self._endpoints.official and self._says_twin()
        return self._twin

    @is_twin.setter
    def is_twin(self, value: bool) -> None:
        self._twin = value

    def _says_twin(self) -> bool:
        path = "/api/v1/devices/specs"
        answer = self._caller.ask(self._endpoints.core, path)
        if not isinstance(answer.data, dict):
            raise AnswerError(f"GET {path} was answered with something that is not devices by name", request=f"GET {path}")
        return answer.is_twin

    @property
    def on_wait(self) -> OnWait:
        """Told what is waited for and how many seconds; may be called from a worker thread, one call at a time."""
        return self._caller.on_wait

    @on_wait.setter
    def on_wait(self, tell: OnWait) -> None:
        self._caller.on_wait = tell

    def close(self) -> None:
        """Let go of threads and connections, also of downloads that are under way. May be called again."""
        self._stop_downloads()
        if isinstance(self._send, Wire):
            self._send.close()


def default_polling(*, local: bool) -> Polling:
    """How often a service is asked that is on this machine, or not."""
    return Polling(first_s=0.2, longest_s=2.0) if local else Polling(first_s=2.0, longest_s=30.0)


def polling_from(environ: Mapping[str, str]) -> Polling | None:
    """How often to ask, from `PCS_RUNNER_POLL_S`: the first wait; the longest is 16 times it, or 30 s if that is less.

    Raises:
        UsageError: It is not a number of seconds.
    """
    text = environ.get(POLL, "")
    if not text:
        return None
    try:
        first_s = float(text)
    except ValueError:
        first_s = -1.0
    if not 0 < first_s <= 3600:
        raise UsageError(f"{POLL} is {text!r}, not a number of seconds above 0 and up to 3600", hint="Unset it.")
    return Polling(first_s=first_s, longest_s=max(first_s, min(30.0, 16 * first_s)))


class Wire:
    """Sends one request and reads its answer, within one deadline; each thread keeps its own connections.

    It works below `requests.Session`, so there are no redirects, no cookies and no `.netrc`: what is sent is what was
    given. Proxies and certificate bundles come from the environment as `requests` reads it; this machine is never
    reached through a proxy.
    """

    def __init__(self) -> None:
        self._local = threading.local()
        self._closed = threading.Event()
        self._bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True

    def __call__(self, outgoing: Outgoing) -> Answer | Failure:
        """Send it, once."""
        if self._closed.is_set():
            return Failure(reason="the client is closed", arrived=False, again=False)
        _clock.end, _clock.closed = time.monotonic() + outgoing.deadline_s, self._closed
        scheme, _, rest = outgoing.url.partition("://")
        host, _, path = rest.partition("/")
        try:
            response = self._connections(f"{scheme}://{host}", fresh=outgoing.fresh).urlopen(
                outgoing.method,
                f"/{path}",
                body=outgoing.body,
                headers=outgoing.headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=min(CONNECT_S, outgoing.deadline_s), read=outgoing.deadline_s),
                preload_content=False,
                decode_content=False,
            )
            return _read(response, outgoing)
        except (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            return failure_of(error, outgoing)
        finally:
            self._local.used = time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond `close`: a worker that waits for a busy service does not keep the process."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """Give up what is under way, within a second, and send nothing any more."""
        self._closed.set()

    def _connections(self, origin: str, *, fresh: bool) -> urllib3.HTTPConnectionPool:
        """This thread's connections to a server, directly or through the proxy that the environment names for it."""
        pools: dict[str, urllib3.HTTPConnectionPool] | None = getattr(self._local, "pools", None)
        if pools is None or (fresh and time.monotonic() - self._local.used > IDLE_S):
            pools = self._local.pools = {}
            self._local.adapter = _Adapter()
        if origin not in pools:
            adapter: HTTPAdapter = self._local.adapter
            request = requests.Request("GET", origin).prepare()
            proxies = {} if is_loopback(origin) else get_environ_proxies(origin)
            pool: Any = adapter.get_connection_with_tls_context(request, self._bundle, proxies=proxies)
            adapter.cert_verify(pool, origin, self._bundle, None)  # type: ignore[no-untyped-call]
            pools[origin] = pool
        return pools[origin]


class _Clock(threading.local):
    """When the request of this thread must be over."""

    end = 0.0
    closed: threading.Event | None = None

    def left_s(self) -> float:
        return 0.0 if self.closed is not None and self.closed.is_set() else self.end - time.monotonic()


_clock = _Clock()


class _TimedFile(io.RawIOBase):
    """Reads a socket until the deadline of the whole request: a server that drips single bytes does not outlive it."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._holder = sock.makefile("rb", buffering=0)  # keeps the socket open as long as this file is

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while (left_s := _clock.left_s()) > 0:
            self._sock.settimeout(min(left_s, SLICE_S))
            try:
                return int(self._sock.recv_into(buffer))
            except TimeoutError:
                continue
        raise TimeoutError("the deadline of the request is over")

    def close(self) -> None:
        self._holder.close()
        super().close()


class _TimedSocket:
    """A socket as `http.client.HTTPResponse` wants it: something to make a file of."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_TimedFile(self._sock))


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(_TimedSocket(sock), *arguments, **named)  # type: ignore[arg-type]


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _TimedResponse

    def _new_conn(self) -> socket.socket:
        return _connected(self)


class _SecureConnection(urllib3.connection.HTTPSConnection):
    response_class = _TimedResponse

    def _new_conn(self) -> socket.socket:
        return _connected(self)


def _connected(connection: urllib3.connection.HTTPConnection) -> socket.socket:
    """A connection to one of the server's addresses, before the deadline: urllib3 gives each of them its own time."""
    host, port = connection._dns_host.strip("[]"), connection.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise urllib3.exceptions.NameResolutionError(connection.host, connection, error) from error
    failed: OSError = TimeoutError()
    for address in dict.fromkeys(str(entry[4][0]) for entry in found):
        left_s = min(CONNECT_S, _clock.left_s())
        if left_s <= 0:
            break
        try:
            options = connection.socket_options
            return create_connection((address, port), left_s, source_address=connection.source_address, socket_options=options)
        except OSError as error:
            failed = error
    if isinstance(failed, TimeoutError):
        raise urllib3.exceptions.ConnectTimeoutError(connection, f"no connection to {host}") from failed
    raise urllib3.exceptions.NewConnectionError(connection, f"no connection to {host}") from failed


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    """An adapter of `requests` whose connections keep the deadline."""

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, *arguments: Any, **named: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **named)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager


def _read(response: urllib3.BaseHTTPResponse, outgoing: Outgoing) -> Answer | Failure:
    """The whole answer; the connection is kept only when it was read to its end."""
    whole = False
    try:
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = Body(outgoing.limit, headers.get("content-encoding", ""))
        for chunk in response.stream(CHUNK, decode_content=False):
            body.feed(chunk)
        length = headers.get("content-length", "")
        whole = not (length.isdigit() and response.tell() < int(length))
        if whole:
            return Answer(status=response.status, headers=headers, body=body.end())
    except OverflowError:
        return Failure(reason=f"its answer is longer than {outgoing.limit} bytes", arrived=True, again=False)
    except GarbledError as error:
        return Failure(reason=str(error), arrived=True)
    except (EOFError, ssl.SSLError, urllib3.exceptions.ProtocolError):
        whole = False
    finally:
        if whole:
            response.release_conn()
        else:
            response.close()
    return Failure(reason=f"its answer (HTTP {response.status}) was cut off", arrived=True)


def _without_query(record: logging.LogRecord) -> bool:
    """urllib3 writes every path into its log; the query of a presigned one is a secret."""
    if isinstance(record.args, tuple):
        record.args = tuple(one.partition("?")[0] + "?***" if isinstance(one, str) and "?" in one else one for one in record.args)
    return True


logging.getLogger("urllib3.connectionpool").addFilter(_without_query)
