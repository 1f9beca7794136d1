"""A process in which everything is imported already, and which forks a runner for each command line.

A runner that is started anew imports for 2 s; a forked one begins at once, and is a process like any other: it is killed with
SIGKILL, traced and waited for. Hundreds of deaths cost minutes then, not hours.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_WITHIN_S, END_WITHIN_S, TRACED_WITHIN_S = 120, 120, 30

FIRST_PAUSE_S = 0.05
"""First pause before a request is repeated, in place of the half second or second that a user waits."""

PR_SET_PTRACER, ANYBODY = 0x59616D61, -1


class Zygote:
    """Starts runners. One a test session; used by one thread.

    Args:
        home: A folder of its own.
        spec: Planned once, so that everything is loaded.
    """

    def __init__(self, home: Path, spec: Path) -> None:
        home.mkdir(parents=True)
        own = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "XDG_CONFIG_HOME": str(home), "PATH": os.environ.get("PATH", "")}
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**own, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        self._codes: dict[int, int] = {}
        self.package = str(self._answer(START_WITHIN_S)["package"])

    def start(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path, output: Path, traced: bool = False
    ) -> Runner:
        """Fork a runner.

        Args:
            arguments: The words after `pcs-run`.
            environment: All of its environment.
            folder: Where it works.
            output: The file that gets its stdout and stderr, at the end.
            traced: Whether it waits until somebody traces it.
        """
        request = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "folder": str(folder),
            "output": str(output),
            "traced": traced,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        while "started" not in (answer := self._answer(START_WITHIN_S)):
            self._codes[answer["ended"]] = answer["code"]
        return Runner(pid=answer["started"], zygote=self, output=output)

    def wait(self, pid: int, seconds: float) -> int | None:
        """The exit code of a runner (negative: the signal that ended it), or None when it has not ended in time."""
        end = time.monotonic() + seconds
        while pid not in self._codes:
            answer = self._answer(end - time.monotonic(), whole=False)
            if not answer:
                return None
            self._codes[answer["ended"]] = answer["code"]
        return self._codes.pop(pid)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _answer(self, seconds: float, *, whole: bool = True) -> dict[str, Any]:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, seconds))
        line = self._process.stdout.readline() if ready else b""
        if not line and (whole or ready):
            raise RuntimeError(f"the zygote ended with {self._process.poll()} or says nothing")
        answer: dict[str, Any] = json.loads(line) if line else {}
        return answer


@dataclass(slots=True, kw_only=True)
class Runner:
    """One process that carries out a command line."""

    pid: int
    zygote: Zygote = field(repr=False)
    output: Path

    def wait(self, seconds: float = END_WITHIN_S) -> int | None:
        """Its exit code (negative: the signal that ended it); one that takes longer is killed, and None."""
        code = self.zygote.wait(self.pid, seconds)
        if code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.zygote.wait(self.pid, END_WITHIN_S)
        return code

    def said(self) -> str:
        """What it printed."""
        return self.output.read_text(encoding="utf-8", errors="replace") if self.output.exists() else ""


def main(spec: str) -> None:
    """Load everything, then fork at each line of stdin and say on stdout which runner started and which ended how."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    _load(spec)
    news, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    import pcs_runner

    _say(answers, package=str(pcs_runner.__file__))
    waiting = b""
    while True:
        ready, _, _ = select.select([0, news], [], [])
        if news in ready:
            os.read(news, 4096)
            _reap(answers)
        if 0 in ready:
            received = os.read(0, 65536)
            if not received:
                return
            *lines, waiting = (waiting + received).split(b"\n")
            for line in lines:
                _say(answers, started=_fork(json.loads(line)))


def _load(spec: str) -> None:
    import pcs_runner
    from pcs_runner.cli import main as pcs_run
    from pcs_runner.pcs import retries
    from pcs_runner.run import patience

    retries.FIRST_PAUSE_S = FIRST_PAUSE_S
    patience.FIRST_S = FIRST_PAUSE_S
    pcs_runner.plan(spec, "twin")
    for module in ("run.execute", "pcs.client", "pcs.access", "emulator.seeding", "cli.run", "cli.resume", "cli.outcome"):
        __import__(f"pcs_runner.{module}")
    assert pcs_run(["validate", spec]) == 0
    assert threading.active_count() == 1, "a fork would lose the other threads"


def _fork(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        code = _carry_out(**request)
    finally:
        os._exit(code)


def _carry_out(*, arguments: list[str], environment: dict[str, str], folder: str, output: str, traced: bool) -> int:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.closerange(3, 256)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if traced:
        _wait_for_tracer()
    from pcs_runner.cli import main as pcs_run

    code = pcs_run(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _wait_for_tracer() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYBODY)
    end = time.monotonic() + TRACED_WITHIN_S
    while "TracerPid:\t0\n" in Path("/proc/self/status").read_text(encoding="ascii"):
        if time.monotonic() > end:
            raise RuntimeError("nobody traces this process")
        time.sleep(0.002)


def _reap(answers: Any) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _say(answers, ended=pid, code=os.waitstatus_to_exitcode(status))


def _say(answers: Any, **values: Any) -> None:
    answers.write(json.dumps(values).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
