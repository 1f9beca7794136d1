"""Measuring for the benchmarks: repeated times, ratios to a peer that ran in the same round, and tables of them."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Spread:
    """Values of repeated measurements."""

    values: tuple[float, ...]

    def text(self, digits: int = 2) -> str:
        """min / median / max."""
        return " / ".join(f"{one:.{digits}f}" for one in (min(self.values), statistics.median(self.values), max(self.values)))

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    def over(self, peer: Spread) -> Spread:
        """Ratios, round by round."""
        return Spread(tuple(ours / theirs for ours, theirs in zip(self.values, peer.values, strict=True)))


def in_rounds(actions: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Spread]:
    """Call each action once a round, in turn, after one round that does not count; an action returns its own measurement."""
    for action in actions.values():
        action()
    measured: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            measured[name].append(action())
    return {name: Spread(tuple(values)) for name, values in measured.items()}


def command_s(arguments: Sequence[str], *, returncode: int = 0, cpu: bool = False) -> float:
    """Wall time in seconds of a Python command in a fresh process; with `cpu` its processor time, for a machine that is not idle.

    Raises:
        RuntimeError: It ended with another exit code.
    """
    begun_s = _children_cpu_s() if cpu else time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    elapsed_s = (_children_cpu_s() if cpu else time.perf_counter()) - begun_s
    if done.returncode != returncode:
        raise RuntimeError(f"{arguments} ended with {done.returncode}: {done.stderr}")
    return elapsed_s


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine() -> str:
    """One line that says where a figure was measured."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return (
        f"{cores} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"Pulser {version('pulser-core')}, load {load}"
    )


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table, ready for `docs/benchmarks.md`."""
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in [head, *rows]
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    print(f"\n{title}\n\n" + "\n".join([lines[0], rule, *lines[1:]]), flush=True)
