"""The twin over HTTP in the tests' own process, with a device that remembers what each job gives and a door where runners die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import uvicorn

from pcs_runner.emulator.server.access import Access
from pcs_runner.emulator.server.app import ACCOUNT, BILLING, CORE, create_app
from pcs_runner.emulator.server.faults.connection import reachable
from pcs_runner.emulator.server.faults.layer import FaultLayer
from pcs_runner.emulator.server.login import AUTH0_PATH
from pcs_runner.emulator.server.service import Service
from pcs_runner.emulator.server.webhooks import Webhooks
from pcs_runner.emulator.settings import TwinSettings
from pcs_runner.emulator.twin import Twin
from pcs_runner.emulator.workers import Outcome, run_group
from pcs_runner.pcs.protocol import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pcs_runner.emulator.server.app import Layer
    from pcs_runner.emulator.workers import GroupTask, TaskJob

USERNAME, PASSWORD = "ada@twin.local", "a password of the crash tests"

MOMENTS = ("before", "after", "answered")
"""When a runner dies: before the server carried its request out, after that but without the answer, and with the answer."""


class Device(Executor):
    """Runs groups one after the other in a thread. The real engine measures each job once; it is a pure function of the job.

    Attributes:
        pace_s: How long each job takes at least, so that there is a middle to die in.
        failures: Value of omega -> how many jobs that come with it still fail.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._known: dict[Any, Outcome] = {}
        self.pace_s = 0.0
        self.failures: Counter[float] = Counter()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        assert fn is run_group
        return self._pool.submit(self._run, *args)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def _run(self, task: GroupTask) -> list[Outcome]:
        return [self._measured(task, job) for job in task.jobs]

    def _measured(self, task: GroupTask, job: TaskJob) -> Outcome:
        time.sleep(self.pace_s)
        omega = json.loads(job.variables or "{}").get("omega")
        if self.failures[omega] > 0:
            self.failures[omega] -= 1
            return Outcome(position=job.position, error="the laser was off")
        index = task.first_index + job.position if job.draw is None else job.draw
        key = (task.engine, task.sequence, task.config, task.accuracy, task.seed, index, job.runs, job.variables)
        if key not in self._known:
            (self._known[key],) = run_group(replace(task, jobs=(job,)))
        return replace(self._known[key], position=job.position)


@dataclass
class Fuse:
    """Kills a runner at its n-th request; an ASGI layer.

    Attributes:
        pid: Whom; 0 for nobody.
        at: At which request, from 1; 0 for none.
        when: One of `MOMENTS`.
        count: Requests so far, since it was set.
        blown: Whether it killed.
        counts: Whether a request counts, by its `METHOD path`.
    """

    pid: int = 0
    at: int = 0
    when: str = "before"
    count: int = 0
    blown: bool = False
    counts: Callable[[str], bool] = field(default=bool, repr=False)
    app: ASGIApp | None = field(default=None, repr=False)

    def set(self, at: int, when: str, counts: Callable[[str], bool] = bool) -> None:
        """Begin to count; whom to kill is told later."""
        self.pid, self.at, self.when, self.count, self.blown, self.counts = 0, at, when, 0, False, counts

    def around(self, app: ASGIApp) -> ASGIApp:
        """As a layer."""
        self.app = app
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        counts = self.counts(f"{scope['method']} {scope['path']}")
        self.count += counts
        if not counts or self.count != self.at:
            await self.app(scope, receive, send)
        elif self.when == "before":
            self.blow()
        elif self.when == "after":
            await self.app(scope, receive, _nowhere)
            self.blow()
        else:
            await self.app(scope, receive, send)
            await asyncio.sleep(0)  # the answer is in the socket
            self.blow()

    def blow(self) -> None:
        """Kill."""
        self.blown = True
        end = time.monotonic() + 5
        while not self.pid and time.monotonic() < end:
            time.sleep(0.001)  # it asked before we were told who it is
        assert self.pid, "nobody says whom to kill"
        os.kill(self.pid, signal.SIGKILL)


async def _nowhere(_message: Message) -> None:
    """Takes an answer that nobody gets."""


class Cloud:
    """A server that stays, with a twin that is exchanged for each point. Everything of it can be asked without HTTP."""

    def __init__(self) -> None:
        self.device = Device()
        self.fuse = Fuse()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.root = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._app: ASGIApp | None = None
        self.twin: Twin | None = None
        config = uvicorn.Config(
            self._serve, http=reachable(), interface="asgi3", access_log=False, log_config=None, lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="cloud", daemon=True)
        self._thread.start()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        await self._app(scope, receive, send)

    def open(self, folder: Path, *, faults: Sequence[str] = ()) -> None:
        """Serve the twin of a folder, a new one when there is none; what the rules do comes before the fuse sees the answer."""
        self.shut()
        settings = TwinSettings(hold_device=True, unheld_prefix="EMU_", idle_timeout_s=None)
        self.twin = Twin(folder, executor=self.device, settings=settings)
        access = Access(key=b"k" * 32, username=USERNAME, password=PASSWORD, user_id=settings.user_id)
        service = Service(twin=self.twin, access=access, webhooks=Webhooks(self.twin))
        self.faults = FaultLayer(faults, twin=self.twin)
        self._app = create_app(service, layers=[self.faults, self.fuse.around])

    def wrap(self, layer: Layer) -> None:
        """Put a layer around everything that is served now."""
        assert self._app is not None
        self._app = layer(self._app)

    def shut(self) -> None:
        """Let go of the twin; it can be opened again from its folder."""
        self.fuse.set(0, "before")
        if self.twin is not None:
            self.twin.close()
        self.twin = None

    def close(self) -> None:
        """End."""
        self.shut()
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
        self.device.shutdown()

    @property
    def environment(self) -> dict[str, str]:
        """What a user sets to work with it."""
        return {
            "PCS_RUNNER_CORE_URL": self.root + CORE,
            "PCS_RUNNER_ACCOUNT_URL": self.root + ACCOUNT,
            "PCS_RUNNER_BILLING_URL": self.root + BILLING,
            "PCS_RUNNER_TOKEN_URL": self.root + AUTH0_PATH,
            "PASQAL_USERNAME": USERNAME,
            "PASQAL_PASSWORD": PASSWORD,
            "PASQAL_PROJECT_ID": TwinSettings().project_id,
        }

    def batches(self) -> list[dict[str, Any]]:
        """Every batch, oldest first, each with its `jobs` in order of creation."""
        assert self.twin is not None
        batches, _ = self.twin.list_batches(limit=1000)
        return [{**batch, "jobs": self.twin.list_jobs(batch["id"], start=0, stop=10**6)} for batch in batches]

    def quiet(self, seconds: float = 10.0) -> None:
        """Wait until every closed batch has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(not one["open"] and one["status"] not in TERMINAL for one in self.batches()):
            time.sleep(0.005)
