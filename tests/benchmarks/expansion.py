"""Time and memory to expand a sweep and digest its plan: a grid of a million points, a CSV file of a hundred thousand rows.

    python tests/benchmarks/expansion.py [--grid N] [--rows N] [--rounds N]

Each case is a fresh process that has imported Pulser and planned a small spec before it measures. Growth is the highest
resident memory while it works, above that before (Linux). The peer does by hand, in a plain loop, the least that the plan
does: it makes every point and hashes it in order.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measure import Spread, machine, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEC = """\
version: 1
name: expansion
sequence:
  device: AnalogDevice
  register: {from_coordinates: {coords: [[0, 0]]}, automatic_layout: true}
  channels: {ising: rydberg_global}
  operations: [{op: pulse, duration: t, amplitude: omega, detuning: delta}]
jobs: {runs: 100, sweep: SWEEP}
"""


def grid(points: int) -> str:
    """A sweep node of about so many points, a cube of three axes."""
    side = round(points ** (1 / 3))
    linspace = f"{{linspace: {{start: 1, stop: 12, num: {side}}}}}"
    return f"{{grid: {{t: {{arange: {{start: 100, stop: {100 + 4 * side}, step: 4}}}}, omega: {linspace}, delta: {linspace}}}}}"


def write_rows(path: Path, rows: int) -> None:
    """A table of points with the columns that the spec needs."""
    lines = (f"{16 + 4 * (k % 1000)},{1 + k % 97 / 10},{-10 + k * 20 / rows}\n" for k in range(rows))
    path.write_text("t,omega,delta\n" + "".join(lines), encoding="utf-8")


def measure_ours(spec: Path) -> dict[str, float]:
    """Plan the spec without building its points (the digest reads each), then walk its jobs once more."""
    import pcs_runner

    small = spec.with_name("small.yaml")
    small.write_text(SPEC.replace("SWEEP", grid(8)), encoding="utf-8")
    pcs_runner.plan(small)
    before_kib = _resident_kib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here: proc(5)
    begun = time.perf_counter()
    plan = pcs_runner.plan(spec, check=False)
    planned = time.perf_counter()
    walked = sum(1 for _ in plan.jobs())
    ended = time.perf_counter()
    grown_kib = _resident_kib("VmHWM") - before_kib
    return {"points": walked, "plan_s": planned - begun, "walk_s": ended - planned, "growth_mb": grown_kib * 1024 / 1e6}


def _resident_kib(field: str) -> int:
    """Resident memory of this process, now (`VmRSS`) or at its peak (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def measure_peer(spec: Path) -> dict[str, float]:
    """The same points by hand, hashed as JSON."""
    import hashlib

    table = spec.with_name("points.csv")
    begun = time.perf_counter()
    digest, count = hashlib.sha256(), 0
    for point in _rows_by_hand(table) if "points.csv" in spec.read_text(encoding="utf-8") else _grid_by_hand(spec):
        digest.update(json.dumps(point).encode())
        count += 1
    return {"points": count, "plan_s": time.perf_counter() - begun}


def _rows_by_hand(table: Path) -> Iterator[dict[str, float]]:
    import csv

    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {name: float(value) for name, value in row.items()}


def _grid_by_hand(spec: Path) -> Iterator[dict[str, float]]:
    import numpy as np
    import yaml

    axes = yaml.safe_load(spec.read_text(encoding="utf-8"))["jobs"]["sweep"]["grid"]
    values = [getattr(np, kind)(**arguments).tolist() for axis in axes.values() for kind, arguments in axis.items()]
    for point in itertools.product(*values):
        yield dict(zip(axes, point, strict=True))


def main() -> None:
    """Print the table; with `--case`, one measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", nargs=2, metavar=("WHO", "SPEC"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        measure = {"ours": measure_ours, "peer": measure_peer}[options.case[0]]
        print(json.dumps(measure(Path(options.case[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        by_grid, by_file = Path(folder, "grid.yaml"), Path(folder, "file.yaml")
        by_grid.write_text(SPEC.replace("SWEEP", grid(options.grid)), encoding="utf-8")
        by_file.write_text(SPEC.replace("SWEEP", "{file: points.csv}"), encoding="utf-8")
        write_rows(Path(folder, "points.csv"), options.rows)
        rows = [_row("grid", by_grid, options.rounds, "30 s, 150 MB"), _row("CSV", by_file, options.rounds, "a few s")]
    head = ("sweep", "points", "expand and digest, s", "walk again, s", "growth, MB", "by hand, s", "ratio", "goal")
    print_table(f"{machine()}, {options.rounds} rounds, min / median / max", head, rows)


def _row(name: str, spec: Path, rounds: int, goal: str) -> tuple[str, ...]:
    ours, peers = [], []
    for _ in range(rounds):
        ours.append(_in_process("ours", spec))
        peers.append(_in_process("peer", spec))
    assert {one["points"] for one in ours} == {one["points"] for one in peers}
    plan_s, walk_s, growth_mb = (Spread(tuple(one[key] for one in ours)) for key in ("plan_s", "walk_s", "growth_mb"))
    peer_s = Spread(tuple(one["plan_s"] for one in peers))
    points = f"{ours[0]['points']:.0f}"
    return (name, points, plan_s.text(), walk_s.text(), growth_mb.text(0), peer_s.text(), plan_s.over(peer_s).text(), goal)


def _in_process(who: str, spec: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--case", who, str(spec)]
    measured: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return measured


if __name__ == "__main__":
    main()
