"""The Python API: load, validate, plan, run, resume, open_run, cancel, retry. The command line works through these."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import Problem, SpecError, UsageError
from pcs_runner.spec.document import load_document
from pcs_runner.spec.schema import validate as validate_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pcs_runner.plan import Plan
    from pcs_runner.run.estimate import Estimate
    from pcs_runner.run.events import Event
    from pcs_runner.run.execute import Run
    from pcs_runner.run.opening import ClientFactory
    from pcs_runner.run.reuse import Reuse
    from pcs_runner.run.verify import Verification
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

    def plan(self, target: str | None = None, *, allow_code: bool = False) -> Plan:
        """Plan it; see `plan`."""
        return plan(self, target, allow_code=allow_code)


def load(path: str | pathlib.Path, *, overrides: Mapping[str, Any] | None = None, select: str | None = None) -> LoadedSpec:
    """Read a spec and check it against the schema; Pulser is not imported.

    Args:
        path: A YAML file.
        overrides: Path in the spec, such as `sweep.grid.omega.linspace.num`, -> another value; a run's manifest keeps them.
        select: A condition beside `where`, such as `omega > 3`: only points for which it holds are kept.

    Raises:
        SpecError: With every problem, located.
        UsageError: An override's path leads nowhere.
    """
    document = load_document(pathlib.Path(path), file=str(path))
    if overrides or select is not None:
        from pcs_runner.spec import overrides as changes

        document = changes.override(document, overrides or {})
        document = document if select is None else changes.select(document, select)
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
    allow_code: bool = False,
    overrides: Mapping[str, Any] | None = None,
    select: str | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> Plan:
    """The exact ordered jobs of a spec on a target; nothing is sent.

    Args:
        spec: A loaded spec, or the path of one.
        target: Name of a target in the spec; default `local`.
        check: Check every job with Pulser, so that everything it refuses is refused here.
        allow_code: Run the Python code that the spec names (`sequence: {python: ...}`); it is refused otherwise.
        overrides: As of `load`; not for a spec that is loaded.
        select: As of `load`.
        on_progress: Told the number of jobs checked, and of all jobs where it is known, now and then.

    Raises:
        SpecError: With every problem, located.
        UsageError: No such target.
    """
    from pcs_runner.plan import make_plan

    loaded = spec if isinstance(spec, LoadedSpec) else load(spec, overrides=overrides, select=select)
    stale = _refresh_devices(loaded, target)
    made = make_plan(loaded.document, target=target, code="allowed" if allow_code else "refused")
    made.notes += (stale,) if stale else ()
    if check:
        from pcs_runner.run.engine import check_engine
        from pcs_runner.run.observables import check_observables

        made.check(on_progress)
        check_engine(made)
        check_observables(made)
    return made


def _refresh_devices(loaded: LoadedSpec, target: str | None) -> str:
    """Get the device specs of today for a cloud target; why they could not be had, or an empty text."""
    options = loaded.spec.targets.get(target or "local")
    if options is None or options.backend != "pcs":
        return ""
    from pcs_runner.run.cloud_devices import refresh

    return refresh(options.region or "fr")


def reuse(plan: Plan) -> Reuse | None:
    """What a run of the plan would take over from earlier runs; None where the spec or the target does not allow it."""
    from pcs_runner.run.reuse import preview

    return preview(plan)


def estimate(plan: Plan, taken_over: Reuse | None = None) -> Estimate | None:
    """Cost and wait of a plan on a cloud target, as far as the service tells; None for the local twin, which is free.

    Args:
        plan: What is going to run.
        taken_over: What does not have to be paid, from `reuse`.

    Raises:
        SpecError: It costs more than the spec's budget allows.
    """
    if plan.target.backend == "local":
        return None
    from pcs_runner.run.estimate import check_budget

    found = _estimate(plan, plan.total_runs - (taken_over.runs if taken_over else 0))
    check_budget(plan, found)
    return found


def _estimate(plan: Plan, runs: int) -> Estimate:
    """What the service says; whoever is not logged in can plan, and knows no price."""
    from pcs_runner.run.connect import cloud_client
    from pcs_runner.run.estimate import Estimate
    from pcs_runner.run.estimate import estimate as ask

    if plan.target.provider != "pasqal":
        return Estimate(unknown=(f"{plan.target.provider} tells neither contract nor queue",))
    try:
        client = cloud_client(plan.target)
    except UsageError as error:
        return Estimate(unknown=(f"contract and queue are unknown: {error.message}",))
    with client:
        return ask(plan, client, runs=runs)


def validate(
    path: str | pathlib.Path,
    target: str | None = None,
    *,
    allow_code: bool = False,
    overrides: Mapping[str, Any] | None = None,
    select: str | None = None,
) -> list[Problem]:
    """Everything wrong with a spec, for one target or for all whose device is known on this machine.

    Args:
        path: A YAML file.
        target: Name of a target; default all of them.
        allow_code: Run the Python code that the spec names; it is a problem otherwise.
        overrides: As of `load`.
        select: As of `load`.

    Returns:
        Problems and warnings sorted by position; empty when there are none.

    Raises:
        UsageError: No such target.
    """
    try:
        loaded = load(path, overrides=overrides, select=select)
    except SpecError as error:
        return list(error.problems)
    found: dict[Problem, None] = {}
    for name in [target] if target is not None else _distinct_targets(loaded.spec):
        try:
            made = _checked(loaded, name, installed=target is not None, allow_code=allow_code)
            found.update(dict.fromkeys(made.warnings))
        except SpecError as error:
            found.update(dict.fromkeys(error.problems))
    return sorted(found, key=lambda p: (p.line, p.column, p.path, p.message))


def _checked(loaded: LoadedSpec, target: str, *, installed: bool, allow_code: bool) -> Plan:
    """A plan that was checked, without asking any service; its engine may be one of another machine."""
    from pcs_runner.plan import make_plan
    from pcs_runner.run.engine import check_engine
    from pcs_runner.run.observables import check_observables

    made = make_plan(loaded.document, target=target, code="allowed" if allow_code else "refused")
    made.check()
    check_engine(made, installed=installed)
    check_observables(made)
    return made


def _distinct_targets(spec: Spec) -> list[str]:
    """`local`, and the targets whose jobs may be refused for reasons of their own and whose device is known here."""
    names = ["local"]
    for name, options in spec.targets.items():
        differs = options.device is not None or options.runs is not None or options.batch or options.config or options.engine
        if name != "local" and differs and (not isinstance(options.device, str) or _is_known(options.device)):
            names.append(name)
    return names


def _is_known(device: str) -> bool:
    """Whether the spec of a device is on this machine."""
    from pcs_runner.sequence.device_cache import cached_specs
    from pcs_runner.sequence.devices import bundled_names

    return device in bundled_names() or device in cached_specs()


def run(
    plan: Plan,
    *,
    output: str | pathlib.Path | None = None,
    new: bool = False,
    detach: bool = False,
    on_event: Callable[[Event], None] | None = None,
    workers: int | None = None,
    dask: str | None = None,
    cost: Estimate | None = None,
) -> Run:
    """Carry a plan out: submit, follow, collect. Continues by itself when this plan has an unfinished run.

    Args:
        plan: What to run.
        output: The run folder; default `<results.directory>/<name>/<time>-<digest>`.
        new: Run again although this plan has a run, here or on the service.
        detach: Return when every job was sent; `resume` collects the results. Not for local targets.
        on_event: Told what happens.
        workers: Worker processes of the local twin; default the target's, else the machine's cores.
        dask: Run the groups of jobs on a Dask cluster instead: `local` (one of `workers` processes is started), the address of a
            scheduler, or its scheduler file.
        cost: What `estimate` said, for the manifest; default: asked when the spec has a budget of credits.

    Raises:
        UsageError: The folder holds something else.
        RunHeldError: Another process holds the run.
        ServiceError: The service refused or is unreachable; the run can be resumed.
        InterruptedRunError: Ctrl-C; the run can be resumed.
    """
    from pcs_runner.run.execute import start

    if cost is None and plan.spec.budget.max_credits is not None:
        cost = estimate(plan, reuse(plan))
    return start(
        plan,
        output=None if output is None else pathlib.Path(output),
        new=new,
        detach=detach,
        on_event=on_event,
        workers=workers,
        cost=cost,
        client_factory=_client_factory(dask, on_event),
    )


def _client_factory(dask: str | None, on_event: Callable[[Event], None] | None) -> ClientFactory:
    """What makes the client of a run; a cluster that cannot be used is refused before there is a folder.

    Raises:
        UsageError: Dask is not installed.
    """
    from functools import partial

    from pcs_runner.run.connect import connect

    if dask is not None:
        from pcs_runner.emulator.dask_pool import check_installed

        check_installed()
    return partial(connect, dask=dask, on_event=on_event)


def resume(
    folder: str | pathlib.Path,
    *,
    on_event: Callable[[Event], None] | None = None,
    workers: int | None = None,
    dask: str | None = None,
) -> Run:
    """Continue a run where it stopped; finished jobs are not run again. Arguments and errors as of `run`."""
    from pcs_runner.run import execute

    client_factory = _client_factory(dask, on_event)
    return execute.resume(pathlib.Path(folder), on_event=on_event, workers=workers, client_factory=client_factory)


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


def retry(
    folder: str | pathlib.Path,
    *,
    on_event: Callable[[Event], None] | None = None,
    workers: int | None = None,
    dask: str | None = None,
) -> Run:
    """Send the failed jobs of a finished run again; their records are replaced in place. Arguments and errors as of `run`."""
    from pcs_runner.run import execute

    client_factory = _client_factory(dask, on_event)
    return execute.retry(pathlib.Path(folder), on_event=on_event, workers=workers, client_factory=client_factory)


def verify(folder: str | pathlib.Path) -> Verification:
    """Compare journal, files and, where it can be asked, the service; nothing is changed.

    Raises:
        UsageError: The folder holds no run.
    """
    from pcs_runner.run.verify import verify as verify_run

    return verify_run(pathlib.Path(folder))


def report(folder: str | pathlib.Path, *, output: str | pathlib.Path | None = None) -> pathlib.Path:
    """Write the page that shows a run, also of one that is still going.

    Args:
        folder: The run folder.
        output: The file; default `report.html` in the folder.

    Returns:
        The file.

    Raises:
        UsageError: The folder holds no run.
        StorageError: The manifest, the spec or the results are missing or damaged.
        OSError: The disk is full or not writable.
    """
    from pcs_runner.run.report import report as make

    return make(pathlib.Path(folder), output=None if output is None else pathlib.Path(output))
