"""The jobs of a plan as a stream of rows: CSV for people and spreadsheets, or JSON Lines, with the variables too."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.cli.session import Session
    from pcs_runner.plan.expansion import PlannedJob
    from pcs_runner.plan.plan import Plan

FIRST_COLUMNS = ("index", "group")
LAST_COLUMNS = ("runs", "duration_ns", "sequence")
AT_ONCE = 500


def print_points(session: Session, plan: Plan) -> None:
    """Print every job of a checked plan on stdout, in order: CSV, or a JSON object a line when the session wants JSON."""
    lines = (json.dumps(_as_json(plan, job)) for job in plan.jobs()) if session.json else _csv(plan)
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == AT_ONCE:
            session.out(*block)
            block = []
    if block:
        session.out(*block)


def _as_json(plan: Plan, job: PlannedJob) -> dict[str, Any]:
    return {
        "index": job.index,
        "group": job.group,
        "point_index": job.point_index,
        "repetition": job.repetition,
        "point": dict(job.point),
        "variables": dict(job.variables),
        "runs": job.runs,
        "duration_ns": plan.duration_ns(job),
        "sequence": job.sequence,
    }


def _csv(plan: Plan) -> Iterator[str]:
    """A header, then one row a job; lists are JSON, and a name that is also a fixed column is called `point_<name>`."""
    from pcs_runner.results.tables import cell

    names = _names(plan)
    fixed = FIRST_COLUMNS + LAST_COLUMNS
    yield _row([*FIRST_COLUMNS, *(f"point_{name}" if name in fixed else name for name in names), *LAST_COLUMNS])
    for job in plan.jobs():
        values = (job.point.get(name) for name in names)
        yield _row([job.index, cell(job.group), *map(cell, values), job.runs, plan.duration_ns(job), job.sequence])


def _names(plan: Plan) -> list[str]:
    """Names of the points of all groups, in the order in which they first appear."""
    from pcs_runner.plan.expansion import plain_point

    names: dict[str, None] = {}
    for group in plan.expansion.groups:
        first = next(group.points(), None)
        names.update(dict.fromkeys(plain_point(group, first) if first is not None else ()))
    return list(names)


def _row(values: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()
