"""The Python API: load, validate, plan, run, resume, open_run, cancel, retry. The command line works through these."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcs_runner.errors import Problem, SpecError
from pcs_runner.spec.document import load_document
from pcs_runner.spec.schema import validate as validate_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcs_runner.plan import Plan
    from pcs_runner.run.events import Event
    from pcs_runner.run.execute import Run
    from pcs_runner.spec.document import Document
    from pcs_runner.spec.models import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSpec:
    """A spec that the schema accepts.

    Attributes:
        document: Its text, with positions.
        spec: Its content.
    """

    document: Document
    spec: Spec

    def plan(self, target: str | None = None) -> Plan:
        """Plan it; see `plan`."""
        return plan(self, target)


def load(path: str | pathlib.Path) -> LoadedSpec:
    """Read a spec and check it against the schema; Pulser is not imported.

    Args:
        path: A YAML file.

    Raises:
        SpecError: With every problem, located.
    """
    document = load_document(pathlib.Path(path), file=str(path))
    try:
        return LoadedSpec(document=document, spec=validate_schema(document))
    except SpecError as error:
        from pcs_runner.plan.beside import problems_beside

        raise SpecError([*error.problems, *problems_beside(document, error.problems)]) from None


def plan(
    spec: LoadedSpec | str | pathlib.Path,
    target: str | None = None,
    *,
    check: bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> Plan:
    """The exact ordered jobs of a spec on a target; nothing is sent.

    Args:
        spec: A loaded spec, or the path of one.
        target: Name of a target in the spec; default `local`.
        check: Build every job with Pulser, so that everything it refuses is refused here.
        on_progress: Told the number of jobs checked, now and then.

    Raises:
        SpecError: With every problem, located.
        UsageError: No such target.
    """
    from pcs_runner.plan import make_plan

    loaded = spec if isinstance(spec, LoadedSpec) else load(spec)
    made = make_plan(loaded.document, target=target)
    if check:
        made.check(on_progress)
    return made


def validate(path: str | pathlib.Path, target: str | None = None) -> list[Problem]:
    """Everything wrong with a spec, for one target or for all whose device is known on this machine.

    Args:
        path: A YAML file.
        target: Name of a target; default all of them.

    Returns:
        Problems and warnings sorted by position; empty when there are none.

    Raises:
        UsageError: No such target.
    """
    try:
        loaded = load(path)
    except SpecError as error:
        return list(error.problems)
    found: dict[Problem, None] = {}
    for name in [target] if target is not None else _distinct_targets(loaded.spec):
        try:
            found.update(dict.fromkeys(plan(loaded, name).warnings))
        except SpecError as error:
            found.update(dict.fromkeys(error.problems))
    return sorted(found, key=lambda p: (p.line, p.column, p.path, p.message))


def _distinct_targets(spec: Spec) -> list[str]:
    """`local`, and the targets whose jobs may be refused for reasons of their own."""
    from pcs_runner.sequence.devices import bundled_names

    names = ["local"]
    for name, options in spec.targets.items():
        differs = options.device is not None or options.runs is not None or options.batch or options.config
        unknown = isinstance(options.device, str) and options.device not in bundled_names()
        if name != "local" and differs and not unknown:
            names.append(name)
    return names


def run(
    plan: Plan,
    *,
    output: str | pathlib.Path | None = None,
    new: bool = False,
    on_event: Callable[[Event], None] | None = None,
    workers: int | None = None,
) -> Run:
    """Carry a plan out: submit, follow, collect. Continues by itself when this plan has an unfinished run.

    Args:
        plan: What to run.
        output: The run folder; default `<results.directory>/<name>/<time>-<digest>`.
        new: Run again although this plan has a run.
        on_event: Told what happens.
        workers: Worker processes of the local twin; default the target's, else the machine's cores.

    Raises:
        UsageError: The folder holds something else.
        RunHeldError: Another process holds the run.
        ServiceError: The service refused or is unreachable; the run can be resumed.
        InterruptedRunError: Ctrl-C; the run can be resumed.
    """
    from pcs_runner.run.execute import start

    return start(plan, output=None if output is None else pathlib.Path(output), new=new, on_event=on_event, workers=workers)


def resume(folder: str | pathlib.Path, *, on_event: Callable[[Event], None] | None = None, workers: int | None = None) -> Run:
    """Continue a run where it stopped; finished jobs are not run again. Raises as `run`."""
    from pcs_runner.run import execute

    return execute.resume(pathlib.Path(folder), on_event=on_event, workers=workers)


def open_run(folder: str | pathlib.Path) -> Run:
    """A run as it is on disk; nothing is sent.

    Raises:
        UsageError: The folder holds no run.
    """
    from pcs_runner.run import execute

    return execute.open_run(pathlib.Path(folder))


def cancel(folder: str | pathlib.Path, *, on_event: Callable[[Event], None] | None = None) -> Run:
    """Cancel what has not finished; what has is kept. Raises as `run`."""
    from pcs_runner.run import execute

    return execute.cancel(pathlib.Path(folder), on_event=on_event)


def retry(folder: str | pathlib.Path, *, on_event: Callable[[Event], None] | None = None, workers: int | None = None) -> Run:
    """Send the failed jobs of a finished run again; their records are replaced in place. Raises as `run`."""
    from pcs_runner.run import execute

    return execute.retry(pathlib.Path(folder), on_event=on_event, workers=workers)
