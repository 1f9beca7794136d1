"""Engine `batched`: all points of a sweep through the Schrödinger equation together, each to the infidelity that was asked for.

State vectors in the ground-rydberg basis, with the noise that leaves them pure (SPAM, Doppler, amplitude, detuning). What else
there is, `coverage.covers` says, and `auto` gives it to another engine. Modules, in the order of the work: `coverage`, `points`
(Pulser's samples), `waveforms` (splines), `stepping` (grids), `integrate` (blocks, extrapolation), `kernels` and `vectors`
(compiled), `observables`, `shots`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pcs_runner.emulator.engines import EngineJob, EngineResult, EngineSettings


class BatchedEngine:
    """Integrates each distinct point once, in blocks; a job's result depends on that job alone, whatever it is grouped with."""

    name = "batched"
    group_size = 64

    def run(self, sequence: str, jobs: Sequence[EngineJob], settings: EngineSettings) -> Iterator[EngineResult]:
        """Simulate the jobs of one sequence, in groups of equal physics; results come in any order.

        A job that fails gives an `EngineResult` with its error, and the others go on.

        Raises:
            UnsupportedError: The engine does not cover the sequence or the settings.
            Exception: The sequence or the config cannot be read, so no job can run.
        """
        from pcs_runner.emulator.engines.batched.group import run_group

        yield from run_group(sequence, jobs, settings)
