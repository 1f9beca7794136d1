"""`pcs-run` against the script that everyone writes, whole processes: `python tests/benchmarks/end_to_end.py [--rounds N]`.

First table: a sweep of 200 points of a 4 µs adiabatic sequence, 1,000 shots each, by `pcs-run` on the embedded twin (imports,
checks, journal, files and all) and by a plain Python script that builds each point, runs it on `QutipBackendV2` and pickles the
counts. They take turns; kernels are compiled and cached before. Second table: the same sweep on 6 atoms with more points, and the
peak memory of the largest of its processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Spread, command_s, machine, print_table

GOALS = {6: 5, 8: 8, 10: 15, 12: 30}
"""Atoms -> ratio of the script's time to ours that is wanted."""

SPEC = """\
version: 1
name: end-to-end
sequence:
  device: AnalogDevice
  register: {{rectangle: {{rows: {rows}, columns: 2, spacing: 6, prefix: q}}, automatic_layout: true}}
  channels: {{ising: rydberg_global}}
  operations:
    - {{op: pulse, amplitude: {{kind: ramp, duration: 500, start: 0, stop: omega}}, detuning: -25}}
    - {{op: pulse, amplitude: omega, detuning: {{kind: ramp, duration: 3000, start: -25, stop: final}}}}
    - {{op: pulse, amplitude: {{kind: ramp, duration: 500, start: omega, stop: 0}}, detuning: final}}
  measurement: ground-rydberg
jobs:
  runs: 1000
  sweep:
    zip:
      omega: {{linspace: {{start: 6, stop: 11, num: {points}}}}}
      final: {{linspace: {{start: 10, stop: 25, num: {points}}}}}
"""

SCRIPT = """\
import pickle, sys
import numpy as np
from pulser import AnalogDevice, Pulse, RampWaveform, Register, Sequence
from pulser_simulation import QutipBackendV2

rows, points, file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
register = Register.rectangle(rows, 2, spacing=6, prefix="q").with_automatic_layout(AnalogDevice)
sequence = Sequence(register, AnalogDevice)
sequence.declare_channel("ising", "rydberg_global")
omega, final = sequence.declare_variable("omega"), sequence.declare_variable("final")
sequence.add(Pulse.ConstantDetuning(RampWaveform(500, 0, omega), -25, 0), "ising")
sequence.add(Pulse.ConstantAmplitude(omega, RampWaveform(3000, -25, final), 0), "ising")
sequence.add(Pulse.ConstantDetuning(RampWaveform(500, omega, 0), final, 0), "ising")
sequence.measure("ground-rydberg")
counts = []
for one, other in zip(np.linspace(6, 11, points), np.linspace(10, 25, points)):
    built = sequence.build(omega=one, final=other)
    counts.append(QutipBackendV2(built).run().final_bitstrings)
with open(file, "wb") as out:
    pickle.dump(counts, out)
"""

MEASURED = """\
import json, resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "pcs_runner", *sys.argv[1:]], capture_output=True, text=True)
print(json.dumps([done.returncode, done.stderr, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))
"""


def spec_of(folder: Path, atoms: int, points: int) -> Path:
    """The spec of so many atoms in two columns and so many points."""
    spec = folder / f"{atoms}-{points}.yaml"
    spec.write_text(SPEC.format(rows=atoms // 2, points=points), encoding="utf-8")
    return spec


def against_the_script(folder: Path, atoms: int, points: int, rounds: int) -> tuple[str, ...]:
    """One line of the first table."""
    spec, script = spec_of(folder, atoms, points), folder / "loop.py"
    script.write_text(SCRIPT, encoding="utf-8")
    warm = folder / "warm.yaml"
    warm.write_text(SPEC.format(rows=atoms // 2, points=4), encoding="utf-8")
    command_s(["-m", "pcs_runner", str(warm), "--new", "-q"])
    ours: list[float] = []
    peer: list[float] = []
    for _ in range(rounds):
        ours.append(command_s(["-m", "pcs_runner", str(spec), "--new", "-q"]))
        peer.append(command_s([str(script), str(atoms // 2), str(points), str(folder / "counts.pickle")]))
    mine, theirs = Spread(tuple(ours)), Spread(tuple(peer))
    return str(atoms), theirs.text(1), mine.text(), theirs.over(mine).text(1), f">= {GOALS.get(atoms, 1)}"


def of_many(folder: Path, points: int) -> tuple[str, ...]:
    """One line of the second table."""
    spec = spec_of(folder, 6, points)
    begun_s = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", MEASURED, str(spec), "--new", "-q"], capture_output=True, text=True, check=True)
    elapsed_s = time.perf_counter() - begun_s
    returncode, errors, peak_mb = json.loads(done.stdout)
    if returncode:
        raise RuntimeError(errors)
    return str(points), f"{elapsed_s:.1f}", f"{points / elapsed_s:.0f}", f"{peak_mb:.0f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--atoms", type=int, nargs="+", default=list(GOALS))
    parser.add_argument("--many", type=int, nargs="*", default=[1000, 10_000], help="points of the second table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        print(machine(), flush=True)
        rows = [against_the_script(folder, atoms, options.points, options.rounds) for atoms in options.atoms]
        title = f"End to end: {options.points} points, {options.rounds} rounds, min / median / max"
        print_table(title, ("atoms", "script, s", "pcs-run, s", "ratio", "goal"), rows)
        many = [of_many(folder, points) for points in options.many]
        print_table("6 atoms, many points", ("points", "s", "jobs a second", "peak of the largest process, MB"), many)


if __name__ == "__main__":
    main()
