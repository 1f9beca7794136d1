"""Workers on a Dask cluster: each group of jobs is a task; the cluster is one that runs somewhere, or one started here."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import BrokenExecutor, Future
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcs_runner.emulator.workers import Outcome, Workers, WorkersDiedError, available_cores, one_thread, run_group
from pcs_runner.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcs_runner.emulator.workers import GroupTask

LOCAL = "local"
"""In the place of an address: a cluster started here."""

CONNECT_S = 10.0
"""How long a scheduler may take to answer the first time."""

START_S = 60.0
"""How long a cluster of our own may take to start: importing Dask from a network disk is slow."""

ASK_S = 30.0
"""How long a scheduler that answered before may take to answer again."""

TELL_AFTER_S = 30.0
"""Time between two words about a wait."""

SAME = ("pcs-runner", "pulser-core")
"""Packages whose version must be the same here and on the workers: results depend on them."""

_logger = logging.getLogger(__name__)


class SchedulerLostError(BrokenExecutor):
    """The scheduler does not answer any more."""


class DaskWorkers(Workers):
    """Runs groups as tasks of a Dask cluster.

    A worker that is lost is Dask's to replace, and it runs the worker's tasks again elsewhere; with the scheduler all that was
    not stored is lost, and the run stops, resumable.

    Args:
        where: `local`, the address of a scheduler (`tcp://host:8786`), or its scheduler file.
        width: Processes of a cluster that is started here; None for one on each processor.
        tell: Called with what is waited for and the seconds so far.

    Raises:
        UsageError: Dask is not installed, or the cluster's workers have other versions of what results depend on.
        ServiceError: No scheduler answers.
    """

    news_s = 1.0

    def __init__(self, where: str, width: int | None = None, tell: Callable[[str, float], None] | None = None) -> None:
        check_installed()
        self.generation = 0
        self._cluster = _LocalCluster(width or available_cores()) if where == LOCAL else None
        self.address = where if self._cluster is None else self._cluster.address
        self._client: Any = None
        self._width = 0
        self._asked_at = float("-inf")
        self._had_workers = True
        self._said = logging.getLogger("distributed.client")
        self._said_level = self._said.level
        self._said.setLevel(logging.CRITICAL)  # a lost scheduler is a traceback there, and one sentence here
        try:
            self._client = _connect(self.address)
            self._wait_for_a_worker(tell or _no_words)
            _check_versions(self._client)
        except BaseException:
            self.close()
            raise

    @property
    def width(self) -> int:
        """Threads of all the workers that are there now.

        Raises:
            ServiceError: The scheduler is gone.
        """
        if self._client is not None and time.monotonic() >= self._asked_at + self.news_s:
            try:
                threads = self._client.sync(self._client.scheduler.ncores, workers=None, callback_timeout=ASK_S)
            except Exception as error:
                raise self.failure(SchedulerLostError(str(error))) from error
            self._width, self._asked_at = sum(threads.values()), time.monotonic()
            if self._had_workers and not self._width:
                _logger.warning("the Dask cluster at %s has no workers at the moment", self.address)
            self._had_workers = bool(self._width)
        return self._width

    @property
    def restartable(self) -> bool:
        """Never: Dask looks after its workers."""
        return False

    def failure(self, error: BrokenExecutor) -> ServiceError:
        """What to say when the cluster is lost."""
        hint = "Resume with --dask, on this cluster or another: what is recorded is kept."
        return ServiceError(f"the Dask scheduler at {self.address} does not answer any more ({error})", hint=hint)

    def submit(self, task: GroupTask) -> Future[list[Outcome]]:
        """Send a group to the cluster.

        Raises:
            BrokenExecutor: The scheduler is gone.
        """
        landed: Future[list[Outcome]] = Future()
        try:
            # pure=False: equal groups are different experiments, and Dask would merge them.
            sent = self._client.submit(run_alone, task, pure=False)
        except Exception as error:
            raise SchedulerLostError(str(error)) from error
        sent.add_done_callback(lambda done: _land(done, landed))
        landed.add_done_callback(lambda ours: _drop(ours, sent))
        return landed

    def restart(self) -> None:
        """Nothing to restart."""
        self.generation += 1

    def close(self) -> None:
        """Leave the cluster: it forgets our tasks, though a worker goes on with the group in its hands. Stop it if it is ours."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close(timeout=2)
            self._said.setLevel(self._said_level)
        if self._cluster is not None:
            self._cluster.close()

    def _wait_for_a_worker(self, tell: Callable[[str, float], None]) -> None:
        begun = told = time.monotonic()
        while not self.width:
            now = time.monotonic()
            if told == begun or now - told >= TELL_AFTER_S:
                tell(f"the Dask cluster at {self.address} has no workers yet", now - begun)
                told = now
            time.sleep(self.news_s)


def check_installed() -> None:
    """Whether Dask can be used.

    Raises:
        UsageError: Its package is not installed.
    """
    if find_spec("distributed") is None:
        raise UsageError("Dask is not installed", hint="Install it: `pip install 'pcs-runner[dask]'`.")


def run_alone(task: GroupTask) -> list[Outcome]:
    """`run_group` on a Dask worker, which other tasks of the user may share: one thread each."""
    one_thread()
    return run_group(task)


def _land(done: Any, landed: Future[list[Outcome]]) -> None:
    """Pass on what became of a task."""
    if not landed.set_running_or_notify_cancel():
        return
    try:
        landed.set_result(done.result())
    except Exception as error:  # noqa: BLE001 - raised again in the thread that reads the future
        landed.set_exception(_translated(done, error))
    except BaseException as error:  # noqa: BLE001 - asyncio.CancelledError is no Exception
        landed.set_exception(SchedulerLostError(f"the connection was lost: {type(error).__name__}"))


def _translated(done: Any, error: Exception) -> Exception:
    if isinstance(error, import_module("distributed").KilledWorker):
        return WorkersDiedError("the workers that ran it died, one after the other (out of memory?)")
    if done.status in {"cancelled", "lost"}:
        return SchedulerLostError("the connection was lost")
    return error


def _drop(ours: Future[list[Outcome]], sent: Any) -> None:
    if ours.cancelled():
        with contextlib.suppress(Exception):
            sent.cancel()


def _no_words(_message: str, _seconds: float) -> None:
    pass


def _connect(address: str) -> Any:
    """A client of the scheduler.

    Raises:
        ServiceError: None answers.
    """
    distributed: Any = import_module("distributed")
    place = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        return distributed.Client(**place, timeout=CONNECT_S, set_as_default=False, name="pcs-run")
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        message = f"no Dask scheduler answers at {address} ({reason[:200]})"
        raise ServiceError(message, hint="Start it and give its address, or `--dask local`.") from error


def versions() -> dict[str, str | None]:
    """Versions of what results depend on, in this process."""
    found: dict[str, str | None] = {}
    for name in SAME:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def _check_versions(client: Any) -> None:
    """Ask the workers that are there.

    Raises:
        UsageError: One of them cannot load this package, or has another version.
    """
    hint = "Install the same versions on the workers as here."
    ours = versions()
    for worker, theirs in client.run(versions, on_error="return").items():
        if isinstance(theirs, BaseException):
            raise UsageError(f"the Dask worker {worker} cannot load pcs_runner: {theirs}", hint=hint)
        for name, version in ours.items():
            if theirs.get(name) != version:
                raise UsageError(f"the Dask worker {worker} has {name} {theirs.get(name)}, this machine {version}", hint=hint)


class _LocalCluster:
    """A cluster in a process of its own (`dask_local`).

    Raises:
        ServiceError: It does not start.
    """

    def __init__(self, workers: int) -> None:
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the cluster
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "pcs_runner.emulator.dask_local", str(workers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            start_new_session=True,  # Ctrl-C is this process's business
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        self.address = self._first_line()

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().strip()
        if not line:
            self._process.wait(START_S)
            self._words.seek(0)
            said = self._words.read().decode("utf-8", "replace").strip().splitlines()
            self.close()
            raise ServiceError(f"the local Dask cluster did not start: {said[-1] if said else 'it said nothing'}")
        return line

    def close(self) -> None:
        """Stop it, by force when it does not within seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._words.close()
