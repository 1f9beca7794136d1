"""What it takes to check every point of a plan before anything is sent, and the highest memory, against building each one.

    python tests/benchmarks/checks.py [--points N ...] [--peer-points N] [--rounds N]

Each case is a fresh process that has imported Pulser and planned a small spec before it measures. `plan` is the points, their
digest and the check together: what `pcs-run plan` takes. Growth is the highest resident memory while it works, above that before
(Linux). The peer is the loop that a user writes: `Sequence.build` at every point, in the same process, on an even choice of the
points; its time is that of the whole at the same rate.
Three sweeps. `ramps`: rise, plateau and fall on AnalogDevice, a grid over a duration, amplitude and detuning. `echo`: two
phases and a swept delay. `refused`: the first, where a sixth of the amplitudes goes beyond the limit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Spread, machine, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD = """\
version: 1
name: checks
sequence:
  device: DEVICE
  register: {from_coordinates: {coords: [[0, 0], [6, 0]]}, automatic_layout: true}
  channels: {ising: rydberg_global}
  operations:
"""
RAMPS = """\
    - {op: pulse, duration: t, amplitude: {kind: ramp, start: 0, stop: omega}, detuning: delta}
    - {op: pulse, duration: 500, amplitude: omega, detuning: {kind: ramp, start: delta, stop: 2*delta}}
    - {op: pulse, duration: t, amplitude: {kind: ramp, start: omega, stop: 0}, detuning: 2*delta}
"""
ECHO = """\
    - {op: pulse, duration: 100, amplitude: omega}
    - {op: delay, time: t}
    - {op: pulse, duration: 200, amplitude: omega, phase: phi}
"""
GRID = "jobs: {runs: 100, sweep: {grid: {t: {arange: {start: 100, stop: LAST, step: 4}}, "
LINE = "{linspace: {start: START, stop: STOP, num: 50}}"


def spec_of(kind: str, points: int) -> str:
    """The spec of a sweep of so many points, a multiple of 2,500."""
    grid = GRID.replace("LAST", str(100 + 4 * (points // 2500)))
    omega = LINE.replace("START", "1").replace("STOP", "15" if kind == "refused" else "12")
    other = ("phi", "0", "6") if kind == "echo" else ("delta", "-10", "10")
    line = LINE.replace("START", other[1]).replace("STOP", other[2])
    head = HEAD.replace("DEVICE", "DigitalAnalogDevice" if kind == "echo" else "AnalogDevice")
    return f"{head}{ECHO if kind == 'echo' else RAMPS}{grid}omega: {omega}, {other[0]}: {line}}}}}}}\n"


def measure(spec: Path, peer_points: int) -> dict[str, float]:
    """Plan a spec with every check, then build some of its points one by one."""
    import pcs_runner
    from pcs_runner.errors import SpecError

    small = spec.with_name("small.yaml")
    small.write_text(spec_of("ramps", 2500), encoding="utf-8")
    pcs_runner.plan(small)
    before_kib = _resident_kib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here: proc(5)
    begun = time.perf_counter()
    plan = pcs_runner.plan(spec, check=False)
    planned = time.perf_counter()
    refused = 0
    try:
        plan.check()
    except SpecError as error:
        refused = len(error.problems)
    ended = time.perf_counter()
    grown_kib = _resident_kib("VmHWM") - before_kib
    peer_s = _loop_s(plan, peer_points)
    return {
        "plan_s": ended - begun,
        "check_s": ended - planned,
        "peer_s": peer_s,
        "growth_mb": grown_kib * 1024 / 1e6,
        "causes": refused,
    }


def _loop_s(plan: Any, points: int) -> float:
    """Seconds that the plain loop would take for all points."""
    total: int = plan.total_jobs
    chosen: list[Mapping[str, Any]] = [job.variables for job in islice(plan.jobs(), 0, None, max(1, total // points))]
    sequence = plan.loaded_sequence(plan.sequence_ids[0])
    begun = time.perf_counter()
    for variables in chosen:
        try:
            sequence.build(**variables).get_duration()
        except ValueError:
            continue
    return (time.perf_counter() - begun) * total / len(chosen)


def _resident_kib(field: str) -> int:
    """Resident memory of this process, now (`VmRSS`) or at its peak (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def in_a_process(spec: Path, peer_points: int) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(spec), "--peer-points", str(peer_points)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def row(kind: str, points: int, peer_points: int, rounds: int, folder: Path) -> tuple[str, ...]:
    """A sweep, measured some times."""
    spec = folder / f"{kind}-{points}.yaml"
    spec.write_text(spec_of(kind, points), encoding="utf-8")
    found = [in_a_process(spec, peer_points) for _ in range(rounds)]
    ours, check, peer, growth = (Spread(tuple(one[key] for one in found)) for key in ("plan_s", "check_s", "peer_s", "growth_mb"))
    ratio = check.over(peer).text(3)
    return kind, str(points), ours.text(), check.text(), peer.text(1), ratio, f"{growth.median:.0f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--peer-points", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.peer_points)))
        return
    with tempfile.TemporaryDirectory() as name:
        rows = [
            row(kind, points, options.peer_points, options.rounds, Path(name))
            for kind in ("ramps", "echo", "refused")
            for points in options.points
        ]
    head = ("sweep", "points", "plan and check, s", "check, s", "peer: build each, s", "ratio", "growth, MB")
    print_table(f"Checks: {machine()}, {options.rounds} rounds, min / median / max", head, rows)


if __name__ == "__main__":
    main()
