"""How a run ended, or how far it is: the last lines on stderr, its folder on stdout, and the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcs_runner.cli.session import command_line
from pcs_runner.cli.text import plural, printable
from pcs_runner.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.cli.session import Session
    from pcs_runner.run.outcome import Run

_FILES = (
    "results.jsonl",
    "results.csv",
    "counts.csv",
    "results.parquet",
    "results.nc",
    "report.html",
    "manifest.json",
    "run.log",
)

MOST_NAMED = 5
"""Strangers that the last line names; `pcs-run status` names all."""


def conclude(session: Session, run: Run) -> int:
    """Say how the run ended; its exit code.

    stdout gets the run folder, for `cd "$(pcs-run -q spec.yaml)"`; with `--json` nothing more, the events said it.
    """
    tell(session, run)
    if run.exit_code:
        command = command_line("retry" if _not_done(run) else "status", run.folder)
        session.labelled("error", _failure(run), style="bold red")
        session.labelled("next", command, style="bold")
    return run.exit_code


def leave(session: Session, run: Run) -> int:
    """Say how to come back to a run that goes on without us; exit code 0."""
    if not session.json:
        session.out(printable(str(run.folder)))
    session.say(f"collect the results with: {command_line('resume', run.folder)}")
    session.say(f"or cancel what has not begun: {command_line('cancel', run.folder)}")
    return 0


def tell(session: Session, run: Run) -> None:
    """State, counts and where the results are."""
    session.say(f"{printable(run.state)}: {_counts(run)}")
    if run.results_csv_path.is_file():
        session.say(f"results: {printable(str(run.results_csv_path))}")
    if (run.folder / "report.html").is_file():
        session.say(f"report: {printable(str(run.folder / 'report.html'))}")
    if not session.json:
        session.out(printable(str(run.folder)))


def status_lines(run: Run) -> Iterator[str]:
    """How far a run is, for people."""
    yield f"run      {printable(str(run.folder))}"
    yield f"state    {printable(run.state)}"
    if run.held_by is not None:
        host, pid = run.held_by
        yield f"held by  pid {pid} on {printable(host)}"
    yield f"jobs     {run.recorded} of {'?' if run.total is None else run.total} recorded: {_counts(run)}"
    yield from _observables(run)
    yield from _reused(run)
    for batch in run.batch_ids:
        yield f"batch    {printable(batch)}"
    for identifier, kind, jobs, outcome in run.strangers:
        yield printable(f"stranger {kind} {identifier}, {plural(jobs, 'job')}: {outcome}")
    yield f"digest   {printable(run.digest)}"
    for name in _FILES:
        if (run.folder / name).is_file():
            yield f"file     {printable(str(run.folder / name))}"


def summary(run: Run) -> dict[str, Any]:
    """The run as plain values."""
    return {
        "folder": str(run.folder),
        "digest": run.digest,
        "state": run.state,
        "ended": run.ended,
        "total": run.total,
        "recorded": run.recorded,
        "counts": dict(run.counts),
        "batch_ids": list(run.batch_ids),
        "last_observables": dict(last.estimates) if (last := run.last_record) is not None else {},
        "strangers": [list(stranger) for stranger in run.strangers],
        "held_by": run.held_by,
        "exit_code": run.exit_code,
    }


def _reused(run: Run) -> Iterator[str]:
    """What was taken over from earlier runs."""
    try:
        told = run.manifest.get("reuse") or {}
    except StorageError:
        return
    if told.get("sources"):
        yield printable(f"reused   {plural(told['reuse'], 'job')} whole, {told['extend']} in part: {', '.join(told['sources'])}")


def _observables(run: Run) -> Iterator[str]:
    """The spec's observables of the last recorded job."""
    last = run.last_record
    for name, one in last.estimates.items() if last is not None else ():
        value, error = one["value"], one["error"]
        text = "none" if value is None else f"{value:.4g}" + ("" if error is None else f" ± {error:.2g}")
        yield printable(f"last     {name} = {text} (job {last.index if last else 0})")


def _counts(run: Run) -> str:
    parts = (f"{count} {printable(status)}" for status, count in sorted(run.counts.items()) if count)
    return ", ".join(parts) or "no job is recorded yet"


def _not_done(run: Run) -> int:
    return sum(count for status, count in run.counts.items() if status != "DONE")


def _failure(run: Run) -> str:
    """Everything that makes the exit code 1."""
    failed = [f"{_not_done(run)} of {plural(run.recorded, 'job')} not DONE"] if _not_done(run) else []
    strangers = [f"{kind} {identifier} ({outcome})" for identifier, kind, _, outcome in run.strangers]
    if strangers:
        more = f" and {len(strangers) - MOST_NAMED} more" if len(strangers) > MOST_NAMED else ""
        failed.append(f"the service has what this run did not mean to send: {', '.join(strangers[:MOST_NAMED])}{more}")
    return printable("; ".join(failed))
