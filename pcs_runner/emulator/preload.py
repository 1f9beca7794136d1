"""What every worker needs, loaded once: the process that they are forked from imports this module and does nothing else.

One thread for each library, set before it is loaded. The kernels of `batched` come from their cache with the first point. When
the parent ends meanwhile, so does this: it has the parent's output, and whoever reads that would wait.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from pcs_runner.emulator.engines import EngineJob, EngineSettings, catalogue
from pcs_runner.emulator.workers import one_thread
from pcs_runner.sequence.pulser_loading import load_pulser

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOK_S = 0.1
"""How often it is looked whether the parent is there."""


@contextlib.contextmanager
def ending_with_parent() -> Iterator[None]:
    """Leave when the parent is gone."""
    parent = os.getppid()

    def look(*_: object) -> None:
        if os.getppid() != parent:
            os._exit(1)

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_S, LOOK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _one_point() -> None:
    """Two atoms through the engine that most sweeps run on."""
    import pulser

    sequence = pulser.Sequence(pulser.Register({"q0": (0, 0), "q1": (8, 0)}), pulser.MockDevice)
    sequence.declare_channel("ising", "rydberg_global")
    amplitude = sequence.declare_variable("amplitude")
    sequence.add(pulser.Pulse.ConstantPulse(16, amplitude, 0, 0), "ising")
    job = EngineJob(position=0, variables={"amplitude": 1.0}, runs=1, entropy=(0, 0, 0))
    list(catalogue.load("batched").run(sequence.to_abstract_repr(), [job], EngineSettings()))


with ending_with_parent():
    one_thread()
    with contextlib.suppress(Exception):  # whatever is wrong is said by the worker that needs it
        load_pulser()
        _one_point()
