"""`pcs-run plan SPEC`: what a run would do, and what it would cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcs_runner.cli import options
from pcs_runner.cli.problems import as_text
from pcs_runner.cli.session import Session
from pcs_runner.cli.text import cells, plural, printable, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pcs_runner.errors import Problem

_LABEL_WIDTH = 11
_UNITS = {"distance": "µm", "duration": "ns", "period": "ns", "amp": "rad/µs", "detuning": "rad/µs"}
"""Units of device limits, by a part of their name; as in Pulser's device specs."""


@click.command("plan", short_help="Print what a run would do and cost.")
@options.spec_argument
@options.target
@options.settings
@options.select
@options.allow_code
@click.option("--points", is_flag=True, help="Print every job instead, as CSV: point, runs, duration, sequence.")
@options.json_output("The plan as one JSON object; with --points one a line for each job.")
@options.verbosity
@click.pass_obj
def command(
    session: Session,
    spec: Path,
    target: str | None,
    settings: tuple[str, ...],
    select: str | None,
    allow_code: bool,
    points: bool,
) -> int:
    """Print what running SPEC would do: points, jobs, sequences, device and its limits, cost, digest. Send nothing."""
    from pcs_runner import api
    from pcs_runner.cli.plan_points import print_points
    from pcs_runner.cli.planned import planned
    from pcs_runner.cli.progress import Follower
    from pcs_runner.run.engine import engines_of

    with Follower(session) as follower:
        plan = planned(session, follower, spec, target=target, settings=settings, select=select, allow_code=allow_code)
        taken_over = None if points else api.reuse(plan)
        found = None if points else api.estimate(plan, taken_over)
    if points:
        print_points(session, plan)
        return 0
    summary = {**plan.summary(), **(found.summary() if found else {}), "engines": engines_of(plan)}
    summary["reuse"] = taken_over.summary() if taken_over else None
    if session.json:
        session.out_json(summary)
    else:
        session.out(*plan_lines(summary, plan.warnings))
    return 0


def plan_lines(summary: Mapping[str, Any], warnings: Sequence[Problem] = ()) -> Iterator[str]:
    """`Plan.summary()`, with `engines` beside it, and the plan's warnings as text, safe to print."""
    yield _row("plan", f"{summary['name']} on target {summary['target']} ({_where(summary)})")
    yield _row("points", f"{summary['points']}, {summary['dropped']} dropped by where")
    yield _row("jobs", summary["jobs"])
    yield _row("runs", f"{summary['runs']} in all")
    yield _row("atoms", _range(summary["atoms"]))
    durations = summary["duration_ns"]
    yield _row("duration", f"{_range(durations)} ns" if durations else None)
    yield _row("sequences", f"{summary['sequence_count']}, {summary['travel']}")
    yield from _sequences(summary)
    yield from _block("engine", _engines(summary))
    yield from _block("names", summary["names"])
    yield from _limits(summary)
    if summary.get("reuse"):
        yield _row("reuse", reuse_text(summary["reuse"]))
    yield _row("cost", summary["cost"]["text"])
    yield from _wait(summary)
    yield _row("digest", summary["digest"])
    for warning in warnings:
        yield from as_text(warning)


def reuse_text(taken_over: Mapping[str, Any]) -> str:
    """`reuse 10 / add 5 / extend 0 / failed 1, from 2 runs`, and what it means that some have more runs."""
    counts = " / ".join(f"{kind} {taken_over[kind]}" for kind in ("reuse", "add", "extend", "failed"))
    sources = len(taken_over["sources"])
    text = f"{counts}, {plural(taken_over['runs'], 'run')} from {plural(sources, 'earlier run folder')}" if sources else counts
    more = taken_over["more"]
    return f"{text}; of {plural(more, 'added job')} an earlier run has more runs than are asked for" if more else text


def _where(summary: Mapping[str, Any]) -> str:
    """`local, engine auto` or `pcs, device type FRESNEL_CAN1`."""
    if summary["engine"]:
        return f"{summary['backend']}, engine {summary['engine']}"
    return f"{summary['backend']}, device type {summary['device_type']}"


def _engines(summary: Mapping[str, Any]) -> dict[str, str]:
    """Engine -> why, and for how many jobs when there are several."""
    engines: Sequence[Mapping[str, Any]] = summary.get("engines", ())
    told: dict[str, list[str]] = {}
    for one in engines:
        told.setdefault(one["engine"], []).append(
            str(one["reason"]) if len(engines) == 1 else f"{plural(one['jobs'], 'job')}: {one['reason']}"
        )
    return {printable(engine): printable("; ".join(reasons)) for engine, reasons in told.items()}


def _sequences(summary: Mapping[str, Any]) -> Iterator[str]:
    """One line a sequence, when there is a choice."""
    if summary["sequence_count"] == 1:
        return
    for sequence in summary["sequences"]:
        values = [f"{name} = {value}" for name, value in sequence["values"].items()]
        parts = [str(sequence["id"]), plural(sequence["atoms"], "atom"), plural(sequence["jobs"], "job"), ", ".join(values)]
        yield "  " + printable("  ".join(part for part in parts if part))
    hidden = summary["sequence_count"] - len(summary["sequences"])
    if hidden:
        yield f"  ... and {hidden} more"


def _limits(summary: Mapping[str, Any]) -> Iterator[str]:
    """The device, its limits, and a line for each channel."""
    limits: Mapping[str, Any] = summary["limits"]
    own = {name: limit for name, limit in limits.items() if not isinstance(limit, dict)}
    channels = {name: _listing(limit) for name, limit in limits.items() if isinstance(limit, dict)}
    yield _row("device", ": ".join(part for part in (str(summary["device"]), _listing(own)) if part))
    yield from _block("channels", channels)


def _wait(summary: Mapping[str, Any]) -> Iterator[str]:
    """Queue and time of a cloud target, and why something is not known."""
    queue: Mapping[str, Any] | None = summary.get("queue")
    if queue is not None:
        jobs = "" if queue["jobs"] is None else f", {plural(queue['jobs'], 'job')}"
        ahead = "unknown" if queue["batches"] is None else f"{plural(queue['batches'], 'batch', 'batches')}{jobs} ahead"
        yield _row("queue", ahead)
        yield _row("time", "unknown" if summary["time_s"] is None else f"{seconds(summary['time_s'])} on the device")
    for reason in (*summary.get("unknown", ()), *summary.get("notes", ())):
        yield _row("unknown", printable(reason))


def _listing(limits: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_value(limit)}{_unit(name)}" for name, limit in limits.items())


def _unit(name: str) -> str:
    return next((f" {unit}" for part, unit in _UNITS.items() if part in name), "")


def _block(label: str, entries: Mapping[str, Any]) -> Iterator[str]:
    """The label before the first entry, the entries below each other."""
    width = max((cells(name) for name in entries), default=0)
    for number, (name, text) in enumerate(entries.items()):
        yield _row("" if number else label, f"{name:<{width}}  {text}")


def _row(label: str, value: object) -> str:
    return f"{label:<{_LABEL_WIDTH}}{_value(value)}"


def _range(values: Sequence[int] | None) -> str:
    """`9`, `16..2000`, or `unknown`."""
    if not values:
        return "unknown"
    return str(values[0]) if values[0] == values[-1] else f"{values[0]}..{values[-1]}"


def _value(value: object) -> str:
    """A value for people: floats to six digits, `unknown` for None, everything printable."""
    if value is None:
        return "unknown"
    if isinstance(value, float):
        return f"{value:.6g}"
    return printable(str(value))
