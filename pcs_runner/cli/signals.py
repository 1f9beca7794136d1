"""Ctrl-C and SIGTERM: the first one stops in order, the second one leaves at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

LEFT = 130
"""Exit code of a process that left."""

FAREWELL = b"\nleft at once; what was sent is known, and the same command goes on\n"


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """In the block Ctrl-C and SIGTERM (a scheduler's, a shutdown's) raise KeyboardInterrupt once, so that it can clean up.

    The next one ends the process where it stands: a run can be resumed from any point. Worker processes end with it. A signal
    that the user ignores (`nohup`) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = [number for number, handler in before.items() if handler in (signal.SIG_DFL, signal.default_int_handler)]

    def first(_number: int, _frame: FrameType | None) -> NoReturn:
        for number in ours:
            signal.signal(number, _leave)
        raise KeyboardInterrupt

    for number in ours:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _leave(_number: int, _frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, FAREWELL)
    os._exit(LEFT)
