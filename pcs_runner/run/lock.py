"""One writer a run: a kernel file lock that dies with its process, and a note that says who holds it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pcs_runner.errors import RunHeldError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_NAME = "run.lock"
HOLDER_NAME = "run.holder"

LOOKS, LOOK_S = 20, 0.05
"""How often, and seconds between, a lock is tried whose holder has not said yet who it is."""


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold the run in `folder` for the block.

    The lock is the kernel's: it is gone when the process is, however it died. The file `run.holder` only tells people who it is.

    Raises:
        RunHeldError: Another process holds it; the message has its host and pid.
    """
    import filelock

    lock = filelock.FileLock(folder / LOCK_NAME, thread_local=False, mode=0o600)
    for _ in range(LOOKS):
        try:
            lock.acquire(timeout=0)
            break
        except filelock.Timeout:
            if _is_alive(holder(folder)):
                raise _held(folder) from None
            time.sleep(LOOK_S)  # it is about to say who it is, or to let go
    else:
        raise _held(folder)
    try:
        note = json.dumps({"host": platform.node(), "pid": os.getpid()})
        with contextlib.suppress(OSError):
            (folder / HOLDER_NAME).touch(mode=0o600)
            (folder / HOLDER_NAME).write_text(note, encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / HOLDER_NAME).unlink(missing_ok=True)
        lock.release()


@contextmanager
def finding(folder: Path, digest: str, timeout_s: float = 60.0) -> Iterator[None]:
    """Keep other processes from looking for, or making, a run of the same plan in `folder` during the block.

    Raises:
        RunHeldError: Another process is in such a block for more than `timeout_s`.
    """
    import filelock

    lock = filelock.FileLock(folder / f".{digest[:8]}.lock", thread_local=False, mode=0o600)
    try:
        lock.acquire(timeout=timeout_s)
    except filelock.Timeout:
        raise RunHeldError(
            f"another process has been starting this plan in {folder} for {timeout_s:.0f} s", hint="Wait for it, or end it."
        ) from None
    try:
        yield
    finally:
        lock.release()


def holder(folder: Path) -> tuple[str, int] | None:
    """Host and pid of the process that last said that it holds the run, or None."""
    try:
        note = json.loads((folder / HOLDER_NAME).read_text(encoding="utf-8"))
        return str(note["host"]), int(note["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_held(folder: Path) -> bool:
    """Whether some process holds the run now."""
    import filelock

    if not (folder / LOCK_NAME).exists():
        return False
    lock = filelock.FileLock(folder / LOCK_NAME, thread_local=False, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except (filelock.Timeout, OSError):
        return True
    lock.release()
    return False


def _is_alive(who: tuple[str, int] | None) -> bool:
    """Whether a note names a process that can be the holder: one of another machine, or one that there is on this one."""
    if who is None or who[0] != platform.node():
        return who is not None
    try:
        os.kill(who[1], 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _held(folder: Path) -> RunHeldError:
    who = holder(folder)
    process = f"process {who[1]} on {who[0]}" if who else "another process"
    return RunHeldError(
        f"the run {folder} is held by {process}",
        hint=f"Wait for it, or end it there with Ctrl-C; `pcs-run status {folder}` shows how far it is.",
    )
