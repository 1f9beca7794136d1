"""Small HTML tables for notebooks: everything that is shown is escaped, cut and counted."""

from __future__ import annotations

from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pcs_runner.plan.plan import Plan

SHOWN_JOBS = 10
SHOWN_COLUMNS = 12
LONGEST_CELL = 80


def plan_html(plan: Plan) -> str:
    """What a plan is, and its first jobs."""
    target = f"{plan.target.name} ({plan.target.backend})"
    atoms = sorted({len(plan.atoms(one)) for one in islice(plan.sequence_ids, SHOWN_JOBS)})
    durations = plan.durations_ns
    facts = {
        "plan": plan.name,
        "target": target,
        "device": plan.device.name,
        "points": f"{plan.total_points}, {plan.dropped_points} dropped by where",
        "jobs": "unknown" if plan.total_jobs is None else plan.total_jobs,
        "runs": plan.total_runs,
        "atoms": "..".join(map(str, sorted({atoms[0], atoms[-1]}))) if atoms else "unknown",
        "duration": f"{durations[0]}..{durations[1]} ns" if durations else "not checked",
        "sequences": len(plan.sequence_ids),
        "digest": plan.digest[:8],
    }
    first = list(islice(plan.jobs(), SHOWN_JOBS))
    names = list(dict.fromkeys(name for job in first for name in job.point))
    rows = [[job.index, *(job.point.get(name, "") for name in names), job.runs] for job in first]
    return facts_table(facts) + table(["job", *names, "runs"], rows, total=plan.total_jobs)


def facts_table(facts: Mapping[str, Any]) -> str:
    """Labels beside values."""
    rows = "".join(f"<tr><th scope='row'>{cell(name)}</th><td>{cell(value)}</td></tr>" for name, value in facts.items())
    return f"<table>{rows}</table>"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], *, total: int | None) -> str:
    """A table of the first rows and columns, with the numbers of those that are not shown.

    Args:
        header: Names of the columns.
        rows: Values, as many as the header has; those that are shown.
        total: How many rows there are, None while that is not known.
    """
    shown = list(rows)
    hidden = len(header) - SHOWN_COLUMNS
    head = "".join(f"<th scope='col'>{cell(name)}</th>" for name in header[:SHOWN_COLUMNS])
    body = "".join(f"<tr>{''.join(f'<td>{cell(value)}</td>' for value in row[:SHOWN_COLUMNS])}</tr>" for row in shown)
    more = [f"{total - len(shown)} more rows"] if total is not None and total > len(shown) else []
    more += [f"{hidden} more columns"] if hidden > 0 else []
    note = f"<p>... and {' and '.join(more)}</p>" if more else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"


def cell(value: Any) -> str:
    """A value as text that no browser takes for more; floats to six digits."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return escape(text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 3]}...")
