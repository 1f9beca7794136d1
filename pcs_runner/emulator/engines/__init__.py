"""Engines: one sequence and a group of its jobs in, counts out. Each is a module of its own, found by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineJob:
    """One job of a group.

    Attributes:
        position: The job's position in its batch; given back with its result.
        variables: Values of the sequence's variables; empty for a built sequence.
        runs: Shots to draw, at least 1.
        entropy: Non-negative integers for `numpy.random.SeedSequence`: all randomness of this job comes from them.
    """

    position: int
    variables: Mapping[str, Any]
    runs: int
    entropy: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What holds for a whole group.

    Attributes:
        config: Pulser's `EmulationConfig` in abstract representation (a JSON string), or None for Pulser's defaults.
        accuracy: Allowed infidelity of a point, or None for the engine's own default.
    """

    config: str | None = None
    accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineResult:
    """What one job measured, or why it failed.

    Attributes:
        position: That of the job.
        raw: Bitstrings in shot order, leftmost character = first atom of the register; empty after a failure.
        serialised_results: Pulser `Results` in abstract representation (a JSON string), or None.
        error: Why the job failed, or None.
    """

    position: int
    raw: Sequence[str] = ()
    serialised_results: str | None = None
    error: str | None = None


class Engine(Protocol):
    """Sequence + group of jobs -> results, as they come. Implementations hold no state between groups."""

    name: str
    group_size: int
    """How many jobs of one sequence it likes to get at once."""

    def run(self, sequence: str, jobs: Sequence[EngineJob], settings: EngineSettings) -> Iterator[EngineResult]:
        """Simulate the jobs of one sequence (Pulser's abstract representation, a JSON string; parametrised or built)."""
