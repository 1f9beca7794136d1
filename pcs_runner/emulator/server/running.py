"""A served twin from beginning to end: its folder, its key and its port, until a signal stops it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import signal
import socket
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from filelock import FileLock, Timeout

from pcs_runner.emulator.server.access import Access
from pcs_runner.emulator.server.app import ACCOUNT, BILLING, CORE, create_app
from pcs_runner.emulator.server.catalogue import Contract
from pcs_runner.emulator.server.faults import connection
from pcs_runner.emulator.server.faults.control import FaultControl, is_loopback
from pcs_runner.emulator.server.faults.layer import FaultLayer
from pcs_runner.emulator.server.faults.text import parse_rule
from pcs_runner.emulator.server.login import AUTH0_PATH
from pcs_runner.emulator.server.service import Service
from pcs_runner.emulator.server.webhooks import Webhooks
from pcs_runner.emulator.settings import TwinSettings
from pcs_runner.emulator.twin import Twin
from pcs_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pcs_runner.emulator.server.app import Layer
    from pcs_runner.emulator.server.faults.rule import Rule

    OnReady = Callable[["Ready"], None]

STOP_WITHIN_S = 2
"""How long requests that are under way may go on after a signal, in seconds."""

KEEP_ALIVE_S = 75
"""How long an idle connection stays open, in seconds; longer than clients pause between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a twin is served.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        data: Where the state is kept; None for a temporary folder.
        latency_ms: Delay of every answer, in milliseconds.
        workers: Most worker processes; None for one on each processor.
        idle_timeout_s: Seconds after which an open batch without work becomes TIMED_OUT; None for never.
        username: Who may log in.
        password: With what; None for one made from the key that lies with the data.
        token: A bearer token that is good without a login; None for none.
        allow_remote: Whether other machines may ask.
        token_lifetime_s: Seconds that a token is good for.
        link_lifetime_s: Seconds that a download link is good for.
        pricing: `shot` or `hour`.
        faults: Rules of what goes wrong (`faults.text`).
        fault_control: Whether rules can be changed while it runs (`faults.control`); on a loopback address only.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    data: Path | None = None
    latency_ms: float = 0.0
    workers: int | None = None
    idle_timeout_s: float | None = 300.0
    username: str = "user@twin.local"
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    allow_remote: bool = False
    token_lifetime_s: float = 86_400.0
    link_lifetime_s: float = 3_600.0
    pricing: str = "shot"
    faults: Sequence[str] = ()
    fault_control: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Where a twin can be reached, and with what."""

    core: str
    account: str
    billing: str
    token_url: str
    project_id: str
    username: str
    password: str = field(repr=False)
    pid: int


def serve(options: Options, on_ready: OnReady, *, layers: Sequence[Layer] = ()) -> None:
    """Serve until SIGINT or SIGTERM; a second one does not wait for requests that are under way.

    Args:
        options: How.
        on_ready: Called once, when requests are answered.
        layers: ASGI middleware around the APIs, the innermost first; faults are outside of them.

    Raises:
        UsageError: An address that is not allowed or not free, a folder that another twin has, or a rule that cannot be read.
        StorageError: The folder cannot be used.
    """
    check_address(options)
    rules = [parse_rule(text) for text in options.faults]
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(_listening(options.host, options.port))
        folder = stack.enter_context(_folder(options.data))
        key = _key(folder)
        access = Access(
            key=key,
            username=options.username,
            password=options.password or _password(key),
            user_id=TwinSettings().user_id,
            static_token=options.token,
            token_lifetime_s=options.token_lifetime_s,
            link_lifetime_s=options.link_lifetime_s,
        )
        settings = TwinSettings(idle_timeout_s=options.idle_timeout_s, hold_device=True, unheld_prefix="EMU_")
        twin = Twin(folder, workers=options.workers, settings=settings)
        stack.callback(twin.close)
        webhooks = Webhooks(twin)
        stack.callback(webhooks.close)
        webhooks.resume()
        service = Service(twin=twin, access=access, webhooks=webhooks, contract=Contract(metric=options.pricing))
        faults = [*_faults(rules, service, options)] if rules or options.fault_control else []
        app = create_app(service, latency_s=options.latency_ms / 1000, layers=[*layers, *faults])
        ready = _ready(options.host, listening, service)
        _Server(app, lambda: on_ready(ready), connection.reachable() if faults else "auto").run(sockets=[listening])


def _faults(rules: Sequence[Rule], service: Service, options: Options) -> Iterator[Layer]:
    layer = FaultLayer(rules, twin=service.twin)
    yield layer
    if options.fault_control:
        yield FaultControl(layer.book, service.access)


def check_address(options: Options) -> None:
    """Refuse to let other machines ask by accident.

    Raises:
        UsageError: The host is not this machine, and that was not said twice; or faults could be controlled from elsewhere.
    """
    if is_loopback(options.host):
        return
    if options.fault_control:
        raise UsageError(
            f"{options.host} is not a loopback address: other machines could change the faults",
            hint="Use --host 127.0.0.1, or give the rules with --fault and leave --fault-control out.",
        )
    if not options.allow_remote:
        raise UsageError(
            f"{options.host} is not a loopback address: other machines could run jobs here",
            hint="Use --host 127.0.0.1, or say --allow-remote and set PCS_RUNNER_SERVE_PASSWORD or PCS_RUNNER_SERVE_TOKEN.",
        )
    if options.password is None and options.token is None:
        raise UsageError(
            f"{options.host} is not a loopback address, and no password or token was given",
            hint="Set PCS_RUNNER_SERVE_PASSWORD or PCS_RUNNER_SERVE_TOKEN.",
        )


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens before anything else is begun."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"{host} cannot be listened on: {error.strerror}", hint="Use --host 127.0.0.1.") from error
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except OSError as error:
            hint = "Use --port 0 for any free port."
            raise UsageError(f"{host} port {port} cannot be listened on: {error.strerror}", hint=hint) from error
        listening.listen(2048)
        listening.setblocking(False)
        yield listening


@contextlib.contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    """The folder of the state, for this process alone; a temporary one is removed in the end."""
    if data is None:
        with tempfile.TemporaryDirectory(prefix="pcs-twin-", ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(data / "serve.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"{data} is used by another pcs-run serve", hint="Stop it, or give another folder with --data."
        ) from error
    try:
        yield data
    finally:
        lock.release()


def _key(folder: Path) -> bytes:
    """The key that signs tokens and links; made at the first start, and readable by its owner alone."""
    path = folder / "serve.key"
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(secrets.token_bytes(32))
    key = path.read_bytes()
    if len(key) < 32:
        raise UsageError(f"{path} is damaged", hint="Remove it: tokens and links that are out become void.")
    return key


def _password(key: bytes) -> str:
    """The same password at every start on the same data."""
    return base64.urlsafe_b64encode(hmac.new(key, b"password", hashlib.sha256).digest()[:18]).decode()


def _ready(host: str, listening: socket.socket, service: Service) -> Ready:
    name = f"[{host}]" if ":" in host else host
    base = f"http://{name}:{listening.getsockname()[1]}"
    return Ready(
        core=base + CORE,
        account=base + ACCOUNT,
        billing=base + BILLING,
        token_url=base + AUTH0_PATH,
        project_id=service.twin.settings.project_id,
        username=service.access.username,
        password=service.access.password,
        pid=os.getpid(),
    )


class _Server(uvicorn.Server):
    """uvicorn that says when it is ready, and for which a signal is an ordinary end."""

    def __init__(self, app: Any, on_ready: Callable[[], None], protocol: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                access_log=False,
                log_config=None,
                lifespan="off",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=STOP_WITHIN_S,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal; uvicorn would raise it once more afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
