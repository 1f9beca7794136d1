"""The worker processes: each runs groups of jobs, none outlives its parent, and starting them re-runs nothing of the user's."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import types
import zlib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from pcs_runner.emulator.engines import EngineJob, EngineSettings, catalogue
from pcs_runner.emulator.seeding import job_entropy
from pcs_runner.pcs.errors import PcsError
from pcs_runner.sequence.pulser_loading import load_pulser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import BrokenExecutor, Executor, Future
    from multiprocessing.context import BaseContext

    from pcs_runner.emulator.engines import EngineResult
    from pcs_runner.errors import PcsRunnerError

ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""Read by linear algebra, PyTorch and Numba when they are loaded."""

_main_hidden = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskJob:
    """One job as it travels to a worker: position in its batch, runs, variables (a JSON string or None), draw as in `NewJob`."""

    position: int
    runs: int
    variables: str | None
    draw: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTask:
    """A group of jobs of one sequence as it travels to a worker; fields as in `EngineSettings` and `TwinConfiguration`."""

    engine: str
    sequence: str
    config: str | None
    accuracy: float | None
    seed: int
    first_index: int
    jobs: tuple[TaskJob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one job.

    Attributes:
        position: That of the job in its batch.
        body: The results download `{raw, counter, serialised_results}`, JSON, compressed; None after a failure.
        error: Why it failed, or None.
    """

    position: int
    body: bytes | None = None
    error: str | None = None


def available_cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_group(task: GroupTask) -> list[Outcome]:
    """Run a group; an engine's failure is not raised but becomes the error of the jobs that it left without result."""
    outcomes: dict[int, Outcome] = {}
    reason = "EngineError: the engine gave no result for this job"
    try:
        wanted = {job.position: job.runs for job in task.jobs}
        settings = EngineSettings(config=task.config, accuracy=task.accuracy)
        for result in catalogue.load(task.engine).run(task.sequence, [_engine_job(task, job) for job in task.jobs], settings):
            outcomes[result.position] = _outcome(result, wanted[result.position])
    except Exception as error:  # noqa: BLE001 - a job's failure is data
        reason = f"{type(error).__name__}: {error}"
    return [outcomes.get(job.position) or Outcome(position=job.position, error=reason) for job in task.jobs]


def _engine_job(task: GroupTask, job: TaskJob) -> EngineJob:
    variables: dict[str, Any] = json.loads(job.variables) if job.variables else {}
    entropy = job_entropy(
        sequence=task.sequence,
        variables=variables,
        runs=job.runs,
        engine=task.engine,
        config=task.config,
        seed=task.seed,
        index=task.first_index + job.position if job.draw is None else job.draw,
    )
    return EngineJob(position=job.position, variables=variables, runs=job.runs, entropy=entropy)


def _outcome(result: EngineResult, runs: int) -> Outcome:
    """Check what an engine gave and pack it as the download that users get."""
    if result.error is not None:
        return Outcome(position=result.position, error=result.error)
    counter = Counter(result.raw)
    if len(result.raw) != runs or len({len(bits) for bits in counter}) != 1 or any(bits.strip("01") for bits in counter):
        return Outcome(position=result.position, error=f"EngineError: {len(result.raw)} bitstrings do not fit {runs} runs")
    body = {"raw": list(result.raw), "counter": dict(sorted(counter.items())), "serialised_results": result.serialised_results}
    return Outcome(position=result.position, body=zlib.compress(json.dumps(body, separators=(",", ":")).encode(), 1))


def read_body(body: bytes) -> dict[str, Any]:
    """`Outcome.body` as `{raw, counter, serialised_results}`."""
    content: dict[str, Any] = json.loads(zlib.decompress(body))
    return content


class WorkersDiedError(Exception):
    """A group was tried several times by an executor of its own mind, and its worker died each time."""


class Workers:
    """Runs groups on an executor: its own process pool, started with the first group and restartable, or one handed in.

    Args:
        width: How many groups may run at once; a pool has at most that many processes and never more than it has groups.
        executor: Any executor whose workers can import this package; its owner shuts it down.
    """

    news_s: float | None = None
    """How often `width` has to be looked at, None where it does not change by itself."""

    _starting = False

    def __init__(self, width: int | None = None, executor: Executor | None = None) -> None:
        self._width = max(1, width or available_cores())
        self.generation = 0
        self._handed_in = executor
        self._pool: ProcessPoolExecutor | None = None

    @property
    def width(self) -> int:
        """How many groups may run at once."""
        return self._width

    @property
    def restartable(self) -> bool:
        """Whether `restart` can help."""
        return self._handed_in is None

    def failure(self, error: BrokenExecutor) -> PcsRunnerError:
        """What to say when an executor broke that `restart` cannot mend."""
        return PcsError(f"the executor broke: {error}", hint="Check its workers, then resume.")

    def submit(self, task: GroupTask) -> Future[list[Outcome]]:
        """Send a group to a worker.

        Raises:
            BrokenExecutor: A worker died since the last call: `restart`.
        """
        if self._handed_in is not None:
            return self._handed_in.submit(run_group, task)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._width, mp_context=_context(), initializer=begin_worker)
        self._starting = True
        try:
            with hidden_main(), _interrupts_blocked():
                return self._pool.submit(run_group, task)
        finally:
            self._starting = False

    def interrupt(self) -> None:
        """Have another thread's `submit` fail that waits for the process from which workers are forked, to be closed."""
        if self._starting and (pid := _server_pid()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def restart(self) -> None:
        """Kill what runs; the next group finds a new pool. Futures of the old one end with an exception."""
        self.generation += 1
        self.close()

    def close(self) -> None:
        """Kill the processes of the own pool, also in the middle of a simulation. An executor handed in is left alone."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        processes = list((getattr(pool, "_processes", None) or {}).values())
        for process in processes:
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.join(timeout=5)


def prepare() -> None:
    """Start the process from which workers are forked, and do not wait for it: it imports while something else is done.

    A process imports Pulser and Numba in some two seconds; a worker that is forked has them at once. Where there is no
    such process (Windows, no room for its socket), each worker imports for itself, and nothing is done here.
    """
    _context()


def _context() -> BaseContext:
    """How workers are started. Never by a fork of this process: it has threads, and may be a user's notebook."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        from multiprocessing import forkserver

        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["pcs_runner.emulator.preload"])
        with contextlib.suppress(OSError), hidden_main(), _interrupts_blocked():
            forkserver.ensure_running()
            return context
    return multiprocessing.get_context("spawn")


def _server_pid() -> int | None:
    """The process from which workers are forked, None where there is none."""
    from multiprocessing import forkserver

    return getattr(forkserver._forkserver, "_forkserver_pid", None)


@contextmanager
def hidden_main() -> Iterator[None]:
    """Put an empty module in the place of `__main__`: a worker would run the user's script again, guarded or not."""
    with _main_hidden:
        main = sys.modules.get("__main__")
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            if main is not None:
                sys.modules["__main__"] = main


def begin_worker() -> None:
    """Prepare a fresh worker: Ctrl-C is the parent's business, one thread for linear algebra, no life after the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it was blocked until here
    one_thread()
    load_pulser()
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()


def one_thread() -> None:
    """One thread for each job, so that workers do not fight for cores and sums are added in one order everywhere.

    Libraries that are loaded already are told; those that will be read the environment.
    """
    for name in ONE_THREAD:
        os.environ[name] = "1"
    numba, torch = sys.modules.get("numba"), sys.modules.get("torch")
    if numba is not None and numba.config.NUMBA_NUM_THREADS > 1:  # asking it makes locks that a killed worker leaves behind
        numba.set_num_threads(1)
    if torch is not None:
        torch.set_num_threads(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this thread: processes started meanwhile begin life so, and Ctrl-C cannot hit them while they import.

    The resource tracker of multiprocessing is started first: it unblocks SIGINT in the thread that starts it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
