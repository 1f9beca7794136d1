"""Time and memory to write the tables of a run from its records: CSV, Parquet and netCDF of 10^4 to 10^6 rows of counts.

    python tests/benchmarks/tables.py [--rows N ...] [--rounds N] [--cpu]

A row is a bitstring of a job with its count; a job has twenty of them. Each case is a fresh process that has written a small
table before it measures. Growth is the highest resident memory while it works, above that before (Linux). The peer is what a
user writes: the records read into lists, pandas (for netCDF xarray) builds the same tables in memory and writes them. `csv` is
results.csv and counts.csv; Parquet has the counts of a job as a list; netCDF has occupations, correlations and the counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Spread, machine, print_table

from pcs_runner.results import jsonl, tables
from pcs_runner.results.dataset import write_netcdf
from pcs_runner.results.parquet import write_parquet
from pcs_runner.results.record import JobRecord
from pcs_runner.results.source import Grid, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

A_JOB = 20
"""Distinct bitstrings of a job."""
COLUMNS = 50
ATOMS = tuple(f"q{number}" for number in range(6))
WARM = 1000


def records(rows: int) -> Iterator[JobRecord]:
    """Jobs of a grid of two axes with so many rows of counts, a multiple of 1,000."""
    for index in range(rows // A_JOB):
        row, column = divmod(index, COLUMNS)
        bits = sorted(f"{(index * 7 + number * 3) % 64:06b}" for number in range(A_JOB))
        yield JobRecord(
            index=index,
            group="0",
            point={"delta": 0.1 * row, "omega": 0.2 * column},
            variables={"delta": [0.1 * row], "omega": [0.2 * column]},
            runs=11 * A_JOB,
            status="DONE",
            counts={one: 1 + (index + 2 * number) % 21 for number, one in enumerate(bits)},
            duration_ns=1000,
            sequence="aaaaaaaa",
            batch_id="b",
            job_id=f"job-{index}",
            attempt=1,
            started_at="2026-11-22T12:00:00+00:00",
            ended_at="2026-11-22T12:00:01+00:00",
            point_index=index,
        )


def source_of(results: Path, rows: int) -> Source:
    """The records with what labels them."""
    delta = tuple(0.1 * row for row in range(rows // A_JOB // COLUMNS))
    axes = {"delta": delta, "omega": tuple(0.2 * column for column in range(COLUMNS))}
    return Source(results=results, atoms={"aaaaaaaa": ATOMS}, grid=Grid(axes=axes, shuffled=False))


# ---- ours


def our_csv(results: Path, rows: int) -> None:
    """Both tables."""
    tables.write_results(results.with_suffix(".csv"), lambda: jsonl.read(results), {"aaaaaaaa": ATOMS})
    tables.write_counts(results.with_suffix(".counts"), jsonl.read(results))


def our_parquet(results: Path, rows: int) -> None:
    """One row a job."""
    write_parquet(results.with_suffix(".parquet"), source_of(results, rows))


def our_netcdf(results: Path, rows: int) -> None:
    """The dataset."""
    write_netcdf(results.with_suffix(".nc"), source_of(results, rows))


# ---- the peer


def _lines(results: Path) -> list[dict[str, Any]]:
    with results.open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def _frames(lines: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Jobs and counts."""
    import pandas as pd

    counts = pd.DataFrame(
        [(line["index"], bits, count) for line in lines for bits, count in line["counts"].items()],
        columns=["index", "bitstring", "count"],
    )
    bits = counts["bitstring"].str
    for place, atom in enumerate(ATOMS):
        counts[f"occupation_{atom}"] = (bits[place] == "1") * counts["count"]
    sums = counts.drop(columns="bitstring").groupby("index").sum()
    kept = ["index", "group", "runs", "status", "duration_ns", "job_id", "batch_id", "started_at", "ended_at"]
    jobs = pd.DataFrame([{**{name: line[name] for name in kept}, **line["point"]} for line in lines])
    for atom in ATOMS:
        jobs[f"occupation_{atom}"] = (sums[f"occupation_{atom}"] / sums["count"]).to_numpy()
    return jobs, counts[["index", "bitstring", "count"]]


def peer_csv(results: Path, rows: int) -> None:
    """Both tables."""
    jobs, counts = _frames(_lines(results))
    jobs.to_csv(results.with_suffix(".csv"), index=False)
    counts.assign(bitstring="b" + counts["bitstring"]).to_csv(results.with_suffix(".counts"), index=False)


def peer_parquet(results: Path, rows: int) -> None:
    """One row a job, its counts as a list."""
    lines = _lines(results)
    jobs, _ = _frames(lines)
    jobs["counts"] = [[{"bitstring": bits, "count": count} for bits, count in line["counts"].items()] for line in lines]
    jobs.to_parquet(results.with_suffix(".parquet"), compression="zstd", index=False)


def peer_netcdf(results: Path, rows: int) -> None:
    """Occupation and correlation on the grid, and the counts."""
    import numpy as np
    import xarray

    lines = _lines(results)
    jobs, counts = _frames(lines)
    correlation = np.empty((len(lines), len(ATOMS), len(ATOMS)))
    for number, line in enumerate(lines):
        bits = np.array([[int(bit) for bit in one] for one in line["counts"]], dtype=float)
        weights = np.array(list(line["counts"].values()), dtype=float) / sum(line["counts"].values())
        means = weights @ bits
        correlation[number] = (bits * weights[:, None]).T @ bits - np.outer(means, means)
    shape = (len(lines) // COLUMNS, COLUMNS)
    occupation = jobs[[f"occupation_{atom}" for atom in ATOMS]].to_numpy().reshape(*shape, len(ATOMS))
    data = xarray.Dataset(
        {
            "occupation": (("delta", "omega", "atom"), occupation),
            "correlation": (("delta", "omega", "atom", "atom_2"), correlation.reshape(*shape, len(ATOMS), len(ATOMS))),
            "counts_index": ("row", counts["index"].to_numpy()),
            "counts_bitstring": ("row", counts["bitstring"].to_numpy().astype("S6")),
            "counts": ("row", counts["count"].to_numpy()),
        },
        {"delta": sorted(set(jobs["delta"])), "omega": sorted(set(jobs["omega"])), "atom": list(ATOMS)},
    )
    data.to_netcdf(results.with_suffix(".nc"), encoding={name: {"zlib": True, "complevel": 1} for name in data.data_vars})


CASES: dict[str, tuple[Callable[[Path, int], None], Callable[[Path, int], None]]] = {
    "csv": (our_csv, peer_csv),
    "parquet": (our_parquet, peer_parquet),
    "netcdf": (our_netcdf, peer_netcdf),
}


def measure(write: Callable[[Path, int], None], results: Path, rows: int, clock: Callable[[], float]) -> dict[str, float]:
    """Seconds and growth in MB of one table, after a small one."""
    warm = results.with_name("warm.jsonl")
    warm.write_text("".join(f"{one.to_line()}\n" for one in records(WARM)), encoding="utf-8")
    write(warm, WARM)
    before_kib = _resident_kib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here: proc(5)
    begun = clock()
    write(results, rows)
    taken_s = clock() - begun
    return {"s": taken_s, "growth_mb": max(0, _resident_kib("VmHWM") - before_kib) * 1024 / 1e6}


def _resident_kib(field: str) -> int:
    """Resident memory of this process, now (`VmRSS`) or at its peak (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def main() -> None:
    """Print the table; with `--case`, one measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="Processor time instead of wall time: the machine is not idle.")
    parser.add_argument("--case", nargs=4, metavar=("FORMAT", "WHO", "RESULTS", "ROWS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        name, who, results, rows = options.case
        clock = time.process_time if options.cpu else time.perf_counter
        print(json.dumps(measure(CASES[name][who == "peer"], Path(results), int(rows), clock)))
        return
    table = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder, "results.jsonl")
            results.write_text("".join(f"{one.to_line()}\n" for one in records(rows)), encoding="utf-8")
            table += [_row(name, results, rows, options.rounds, cpu=options.cpu) for name in CASES]
    head = ("table", "rows", "s", "rows a second", "growth, MB", "pandas, s", "growth, MB", "ratio of times")
    kind = "processor" if options.cpu else "wall"
    print_table(f"{machine()}, {options.rounds} rounds, {kind} time, min / median / max", head, table)


def _row(name: str, results: Path, rows: int, rounds: int, *, cpu: bool) -> tuple[str, ...]:
    ours, peers = [], []
    for _ in range(rounds):
        ours.append(_in_process(name, "ours", results, rows, cpu=cpu))
        peers.append(_in_process(name, "peer", results, rows, cpu=cpu))
    (our_s, our_mb), (peer_s, peer_mb) = (
        [Spread(tuple(one[key] for one in found)) for key in ("s", "growth_mb")] for found in (ours, peers)
    )
    rate = f"{rows / our_s.median:,.0f}"
    return (name, f"{rows}", our_s.text(), rate, our_mb.text(0), peer_s.text(), peer_mb.text(0), our_s.over(peer_s).text())


def _in_process(name: str, who: str, results: Path, rows: int, *, cpu: bool) -> dict[str, float]:
    command = [sys.executable, __file__, *(["--cpu"] if cpu else []), "--case", name, who, str(results), str(rows)]
    measured: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return measured


if __name__ == "__main__":
    main()
