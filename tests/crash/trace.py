"""strace as the hand of fate: kills a runner at its n-th system call of a kind, or makes that call fail."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from crash.zygote import Runner

CHANGING = (
    *("write", "pwrite64", "?writev", "?pwritev", "fsync", "fdatasync", "ftruncate", "?truncate", "?chmod", "fchmod", "fchmodat"),
    *("?rename", "?renameat", "renameat2", "?unlink", "unlinkat", "?mkdir", "mkdirat", "?rmdir", "?link", "linkat"),
)
"""System calls that change files, beside `openat`; a name with ? is not there on every processor."""

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@contextmanager
def tampering(
    runner: Runner, calls: Sequence[str], how: str, *, paths: Sequence[Path] = (), log: Path, options: Sequence[str] = ()
) -> Iterator[None]:
    """Trace a runner that was started with `traced` until it has ended.

    Args:
        runner: It waits for this.
        calls: Which system calls.
        how: What happens, in strace's words: `signal=KILL:when=3`. It counts for each thread; the main one changes all files.
        paths: Only calls that concern one of these.
        log: Gets the calls.
        options: More of strace.
    """
    names = ",".join(calls)
    command = ["strace", "-f", "-qq", "-y", "-e", f"trace={names}", "-e", "signal=none", "-o", str(log), "-p", str(runner.pid)]
    command += [*options, *([] if not how else ["-e", f"inject={names}:{how}"])]
    for path in paths:
        command += ["-P", str(path)]
    words = log.with_name("strace.err")  # a pipe that nobody empties would stop the tracer, and with it the runner
    with words.open("w") as stream:
        tracer = subprocess.Popen(command, stderr=stream)
        try:
            yield
            tracer.wait(30)
        finally:
            tracer.kill()
            tracer.wait()
    assert tracer.returncode in (0, -9, 137), words.read_text(encoding="utf-8", errors="replace")


def creations(log: Path) -> list[int]:
    """Which `openat` calls of the main thread made a file, counted from 1."""
    calls = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if "openat(" in line]
    main = calls[0].split()[0]
    mine = [line for line in calls if line.split()[0] == main]
    return [number for number, line in enumerate(mine, 1) if re.search(r"O_CREAT", line)]
