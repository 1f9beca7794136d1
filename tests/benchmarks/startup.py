"""How long the user waits before anything happens: `--help`, `validate`, and a schema error, each against a bare import.

    python tests/benchmarks/startup.py [--rounds N] [--cpu]

Every figure is a fresh process; ours and the peer alternate.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import command_s, in_rounds, machine, print_table

SPEC = """\
version: 1
name: startup
description: A spec of about a kilobyte with a hundred points, as a user would write it for two atoms.
constants:
  spacing: 6.0              # µm
  U: interaction_coeff/spacing**6
  omega: 2*pi*1.0           # rad/µs
sequence:
  device: AnalogDevice
  register:
    rectangle: {rows: 1, columns: 2, spacing: spacing}
    automatic_layout: true
  channels: {ising: rydberg_global}
  operations:
    - {op: pulse, duration: t_rise, amplitude: {kind: ramp, start: 0, stop: omega}, detuning: "delta[0]"}
    - {op: pulse, duration: 600, amplitude: omega, detuning: {kind: ramp, start: "delta[0]", stop: "delta[1]"}}
    - {op: pulse, duration: 200, amplitude: {kind: ramp, start: omega, stop: 0}, detuning: "delta[1]"}
  measurement: ground-rydberg
jobs:
  runs: 200
  sweep:
    grid:
      t_rise: {arange: {start: 100, stop: 500, step: 40}}
      d_end: {linspace: {start: 0, stop: U, num: 10}}
  let: {delta: [-10, d_end]}
batch: {device_type: EMU_FREE, tags: [benchmark]}
"""

MODULES = """\
import contextlib, io, json, sys
from pcs_runner.cli import main
with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
    try:
        code = main(["validate", sys.argv[1]])
    except SystemExit as end:
        code = end.code
print(json.dumps({"code": code, "loaded": sorted({"pulser", "numpy", "matplotlib", "scipy"} & set(sys.modules))}))
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cpu", action="store_true", help="Processor time instead of wall time: the machine is not idle.")
    options = parser.parse_args()
    rounds, cpu = options.rounds, options.cpu
    with tempfile.TemporaryDirectory() as folder:
        good, bad = Path(folder, "good.yaml"), Path(folder, "bad.yaml")
        good.write_text(SPEC, encoding="utf-8")
        bad.write_text(SPEC.replace("measurement:", "mesurement:"), encoding="utf-8")
        measured = in_rounds(
            {
                "import click": lambda: command_s(["-c", "import click"], cpu=cpu),
                "--help": lambda: command_s(["-m", "pcs_runner", "--help"], cpu=cpu),
                "schema error": lambda: command_s(["-m", "pcs_runner", "validate", str(bad)], returncode=2, cpu=cpu),
                "import pulser": lambda: command_s(["-c", "import pulser"], cpu=cpu),
                "validate": lambda: command_s(["-m", "pcs_runner", "validate", str(good)], cpu=cpu),
            },
            rounds,
        )
        loaded = json.loads(
            subprocess.run([sys.executable, "-c", MODULES, str(bad)], capture_output=True, text=True, check=True).stdout
        )
    rows = [
        (name, measured[name].text(3), peer, measured[peer].text(3), measured[name].over(measured[peer]).text(), goal)
        for name, peer, goal in (
            ("--help", "import click", "2.5"),
            ("validate", "import pulser", "1.5"),
            ("schema error", "import pulser", "no pulser"),
        )
    ]
    head = ("command", "s, min / median / max", "peer", "s, min / median / max", "ratio, min / median / max", "goal")
    print_table(
        f"{machine()}, {rounds} rounds, {'processor' if cpu else 'wall'} time, spec of {len(SPEC.encode())} bytes", head, rows
    )
    print(f"\nA schema error ends with {loaded['code']} and has loaded {loaded['loaded'] or 'none of Pulser, NumPy, SciPy'}.")


if __name__ == "__main__":
    main()
