"""A run as a small HTML table for notebooks."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from pcs_runner.plan.html import SHOWN_JOBS, facts_table, table

if TYPE_CHECKING:
    from pcs_runner.run.outcome import Run


def run_html(run: Run) -> str:
    """How far a run is, and its first records: points, status, most frequent bitstring, observables."""
    counts = ", ".join(f"{number} {status}" for status, number in sorted(run.counts.items()) if number)
    facts = {
        "run": run.folder,
        "state": run.state,
        "recorded": f"{run.recorded} of {'?' if run.total is None else run.total}" + (f": {counts}" if counts else ""),
        "digest": run.digest[:8],
    }
    first = list(islice(run.records, SHOWN_JOBS))
    names = list(dict.fromkeys(name for record in first for name in record.point))
    observables = list(dict.fromkeys(name for record in first for name in record.estimates))
    rows = [
        [
            record.index,
            *(record.point.get(name, "") for name in names),
            record.runs,
            record.status,
            max(record.counts, key=lambda bits: record.counts[bits]) if record.counts else "",
            *(_number(record.estimates.get(name, {})) for name in observables),
        ]
        for record in first
    ]
    header = ["job", *names, "runs", "status", "most frequent", *observables]
    return facts_table(facts) + table(header, rows, total=run.recorded)


def _number(one: object) -> str:
    value, error = (one.get("value"), one.get("error")) if isinstance(one, dict) else (None, None)
    return "" if value is None else f"{value:.4g}" + ("" if error is None else f" ± {error:.2g}")
