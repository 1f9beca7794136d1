"""Made-up runs for the report and for the page of runs compared, with as many jobs, names and hostile texts as a test wants."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pcs_runner.results import jsonl
from pcs_runner.results.compare import compare, distances
from pcs_runner.results.record import JobRecord
from pcs_runner.results.report.compared import html, letter
from pcs_runner.results.report.compared_points import Versus
from pcs_runner.results.report.source import ReportSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)


def record(index: int, point: dict[str, Any], counts: dict[str, int], **more: Any) -> JobRecord:
    """A job that is done, unless `more` says otherwise."""
    values: dict[str, Any] = {
        "group": "0",
        "variables": {},
        "runs": sum(counts.values()),
        "status": "DONE",
        "duration_ns": 1000,
        "sequence": "aaaaaaaa",
        "batch_id": "b",
        "job_id": f"j{index}",
        "attempt": 1,
        "started_at": "2026-11-22T12:00:00+00:00",
        "ended_at": "2026-11-22T12:00:02+00:00",
        "point_index": index,
    }
    return JobRecord(index=index, point=point, counts=counts, **{**values, **more})


def source(records: Callable[[], Iterator[JobRecord]], **more: Any) -> ReportSource:
    """A run with these records; its sequence is not on disk."""

    def gone(_sequence: str) -> str:
        raise FileNotFoundError("no sequences")

    manifest = {
        "name": "made-up",
        "description": "",
        "target": {"name": "local", "backend": "local"},
        "engines": [{"engine": "batched", "reason": "small", "jobs": 1}],
        "totals": {"jobs": None, "runs": 0},
        "times": {"started": "2026-11-22T12:00:00+00:00", "ended": "2026-11-22T12:00:10+00:00"},
        **more.pop("manifest", {}),
    }
    values: dict[str, Any] = {
        "state": "finished",
        "held": False,
        "sequence": gone,
        "spec": None,
        "spec_text": "version: 1\n",
        "units": {},
        "folder": "a-run",
        "now": NOW,
    }
    return ReportSource(manifest=manifest, records=records, **{**values, **more})


def comparison(folder: Path, runs: Sequence[Iterable[JobRecord]], **more: Any) -> str:
    """The page that compares runs with these records; `more` is that of their sources, a list for what differs."""
    paths = [folder / f"{number}.jsonl" for number in range(len(runs))]
    sources = []
    for number, (path, records) in enumerate(zip(paths, runs, strict=True)):
        jsonl.append(path, (one.to_line() for one in records))
        own = {key: value[number] if isinstance(value, list) else value for key, value in more.items()}
        sources.append(source(partial(jsonl.read, path), **own))
    others = [
        Versus(
            name=letter(number),
            source=sources[number],
            found=compare(paths[0], paths[number], (sources[0].manifest, sources[number].manifest)),
            distances=partial(distances, paths[0], paths[number]),
        )
        for number in range(1, len(runs))
    ]
    return html(sources[0], others, now=NOW)
