"""Ctrl-C and SIGTERM: the first one stops in order, the second one leaves at once."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from typing import TYPE_CHECKING, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

LEFT = 130
"""Exit code of a process that left."""

FAREWELL = b"\nleft at once; what was sent is known, and the same command goes on\n"

NUDGE_S = 0.2
"""Seconds after which a main thread that has not heard of a signal is woken."""


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
    with _Watch(ours) as watch:
        for number in ours:
            signal.signal(number, watch.heard)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, before[number])


class _Watch:
    """A thread that sees each signal at once, also while the main thread sleeps or is busy in C code.

    Python runs handlers in the main thread only, when it comes back to bytecode; the kernel may hand the signal to any thread,
    and then a sleeping main thread is not even woken.
    """

    def __init__(self, numbers: list[signal.Signals]) -> None:
        self._numbers = frozenset(numbers)
        self._main = threading.get_ident()
        self._raised = False
        self._nudges = 0

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._old = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._look, name="signals", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._old)
        os.close(self._writer)
        self._thread.join(timeout=1)
        os.close(self._reader)

    def heard(self, _number: int, _frame: FrameType | None) -> None:
        """The handler, in the main thread."""
        if not self._raised:
            self._raised = True
            raise KeyboardInterrupt
        if not self._nudges:
            _leave()

    def _look(self) -> None:
        seen, echoes = 0, 0
        while True:
            waiting = seen > 0 and not self._raised
            ready, _, _ = select.select([self._reader], [], [], NUDGE_S if waiting else None)
            if not ready:
                self._nudges, echoes = self._nudges + 1, echoes + 1
                signal.pthread_kill(self._main, signal.SIGINT if signal.SIGINT in self._numbers else signal.SIGTERM)
                continue
            told = os.read(self._reader, 64)
            if not told:
                return
            for number in told:
                if number in self._numbers and echoes:
                    echoes -= 1
                elif number in self._numbers:
                    seen += 1
            if seen > 1:
                _leave()


def _leave() -> NoReturn:
    with contextlib.suppress(OSError):
        os.write(2, FAREWELL)
    os._exit(LEFT)
