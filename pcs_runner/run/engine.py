"""Which engine a local plan runs on, and why; what is wrong with it is said at its place in the spec, before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from pcs_runner.emulator.engines import EngineSettings, catalogue
from pcs_runner.errors import SpecError
from pcs_runner.pcs.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pcs_runner.plan import Plan
    from pcs_runner.spec.document import Path

LOOKED_AT = 200
"""Distinct sequences whose engine is told; more are rarely of another kind."""


def check_engine(plan: Plan, *, installed: bool = True) -> None:
    """Check the engine of a plan on a local target; others have none.

    Args:
        plan: What is going to run.
        installed: Whether an engine that is not on this machine is refused; for a spec that runs elsewhere it is not.

    Raises:
        SpecError: There is no such engine, it refuses the config, or a sequence is too large for every engine.
    """
    if plan.target.backend != "local":
        return
    try:
        catalogue.check_name(plan.target.engine)
    except RefusedError as error:
        if error.code == catalogue.NOT_INSTALLED and not installed:
            return
        _refuse(plan, ("targets", plan.target.name, "engine"), error.message, error.hint)
    problem = catalogue.config_problem(plan.target.engine, plan.backend_configuration)
    if problem is not None:
        _refuse(plan, ("targets", plan.target.name, "engine"), f"engine {plan.target.engine}: {problem}", "")
    for choice in _choices(plan):
        if choice.problem is not None and installed:
            _refuse(plan, ("sequence",), choice.problem, "take fewer atoms, or another engine")


def _refuse(plan: Plan, path: Path, message: str, hint: str) -> NoReturn:
    raise SpecError([plan.document.problem(path, message, hint=hint)])


def _choices(plan: Plan) -> Iterator[catalogue.Choice]:
    """One for each distinct sequence, in order."""
    settings = EngineSettings(config=plan.backend_configuration, accuracy=plan.target.accuracy)
    for sequence in plan.sequence_ids[:LOOKED_AT]:
        yield catalogue.choose(plan.target.engine, plan.sequence(sequence), settings)


def engines_of(plan: Plan) -> list[Mapping[str, Any]]:
    """`{engine, reason, jobs}` for each engine and reason, the most jobs first; empty for a cloud target."""
    if plan.target.backend != "local":
        return []
    jobs: dict[tuple[str, str], int] = {}
    for sequence, choice in zip(plan.sequence_ids, _choices(plan), strict=False):
        key = (choice.engine, choice.reason)
        jobs[key] = jobs.get(key, 0) + plan.jobs_by_sequence[sequence]
    ranked = sorted(jobs.items(), key=lambda item: -item[1])
    return [{"engine": engine, "reason": reason, "jobs": count} for (engine, reason), count in ranked]
