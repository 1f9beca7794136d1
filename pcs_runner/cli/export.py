"""`pcs-run export`: the results of a run in other formats, or the compiled sequence of a spec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcs_runner.cli import options
from pcs_runner.cli.files import check_new, write_new
from pcs_runner.cli.session import Session
from pcs_runner.cli.text import printable
from pcs_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pcs_runner.plan.plan import Plan

SEQUENCE = "sequence"


@click.command("export", short_help="Write results in other formats, or a spec's sequence.")
@click.argument("source", metavar="RUN|SPEC", type=click.Path(path_type=Path))
@click.option("--to", "formats", metavar="FORMAT", multiple=True, required=True, help="Of a run or of a spec; repeatable.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write there instead.")
@click.option("--built", is_flag=True, help="sequence: one for each job, its variables built in.")
@options.target
@options.settings
@options.select
@options.allow_code
@options.verbosity
@click.pass_obj
def command(
    session: Session,
    source: Path,
    formats: tuple[str, ...],
    output: Path | None,
    built: bool,
    target: str | None,
    settings: tuple[str, ...],
    select: str | None,
    allow_code: bool,
) -> int:
    """Write the results of RUN, or print the sequence that SPEC compiles to.

    A run: jsonl, csv, counts, parquet, netcdf, from what is on disk, into the run folder or to FILE; the files are printed
    on stdout. A spec: sequence, in Pulser's abstract representation, on stdout or to FILE; where there are several, a JSON list.
    """
    from pcs_runner.cli.planned import planned
    from pcs_runner.cli.progress import Follower

    if output is not None and len(formats) > 1:
        raise UsageError(f"-o takes one format, {len(formats)} are asked for", hint="Leave -o away, or export one by one.")
    if source.is_dir():
        _refuse_for_run(source, {"--target": target, "--set": settings, "--select": select, "--built": built})
        return _export_run(session, source, formats, output)
    for name in formats:
        if name != SEQUENCE:
            raise _unknown(name, f"{printable(str(source))} is a spec", [SEQUENCE])
    if output is not None:
        check_new(output)
    with Follower(session) as follower:
        plan = planned(session, follower, source, target=target, settings=settings, select=select, allow_code=allow_code)
    _write_sequences(session, plan, output, built=built)
    return 0


def _refuse_for_run(folder: Path, for_spec: Mapping[str, object]) -> None:
    """A run was made from its spec already: options that change the spec would be without effect."""
    for name, given in for_spec.items():
        if given:
            raise UsageError(f"{name} is for a spec, and {printable(str(folder))} is a run", hint=f"Leave {name} away.")


def _export_run(session: Session, folder: Path, formats: tuple[str, ...], output: Path | None) -> int:
    from pcs_runner.cli.folders import existing_run
    from pcs_runner.run.directory import RunFolder
    from pcs_runner.run.formats import FORMATS

    place = RunFolder(existing_run(folder, "status"))
    for name in formats:
        if name not in FORMATS:
            raise _unknown(name, f"{printable(str(folder))} is a run", list(FORMATS))
    for name in formats:
        path = place.path / FORMATS[name].file if output is None else output
        if output is not None:
            check_new(output)
        FORMATS[name].write(place, path)
        session.out(printable(str(path)))
    return 0


def _unknown(name: str, what: str, known: list[str]) -> UsageError:
    return UsageError(f'{what}, and is not exported to "{printable(name)}"', hint=f"Give --to {', '.join(known)}.")


def _write_sequences(session: Session, plan: Plan, output: Path | None, *, built: bool) -> None:
    """Write the distinct sequences with their variables open, or every job's with its values."""
    count = plan.total_jobs if built else len(plan.sequence_ids)
    lines = _document(_built(plan) if built else map(plan.sequence, plan.sequence_ids), several=count != 1)
    if output is None:
        for line in lines:
            session.out(line)
    else:
        write_new(output, "".join(f"{line}\n" for line in lines))
        session.out(printable(str(output)))


def _built(plan: Plan) -> Iterator[str]:
    return (plan.built_sequence(job) for job in plan.jobs())


def _document(texts: Iterator[str], *, several: bool) -> Iterator[str]:
    """One JSON object, or a list with an item in each line; never all of it in memory."""
    if not several:
        yield from texts
        return
    last = None
    for text in texts:
        yield "[" if last is None else f"{last},"
        last = text
    yield from ([] if last is None else [last])
    yield "]" if last is not None else "[]"
