"""Whether the observables of a spec fit the registers of its plan."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from pcs_runner.errors import SpecError
from pcs_runner.results.estimates import Estimator, Register

if TYPE_CHECKING:
    from pcs_runner.errors import Problem
    from pcs_runner.plan import Plan

LOOKED_AT = 1000
"""Sequences that are looked at; the registers of more differ in the same ways."""


def check_observables(plan: Plan) -> None:
    """See that every observable fits the register of some sequence; a plan's warnings tell of those that do not fit all.

    Raises:
        SpecError: With each that fits none, located: no such atom, a bitstring of another length, no two sublattices.
    """
    observables = plan.spec.results.observables
    if not observables:
        return
    sequences = list(islice(plan.sequence_ids, LOOKED_AT))
    faults = [Estimator(observables, Register.of(plan.sequence(one))).faults for one in sequences]
    problems: list[Problem] = []
    for name in observables:
        unfit = [found[name] for found in faults if name in found]
        if not unfit:
            continue
        path, first = ("results", "observables", name), unfit[0]
        if len(unfit) == len(sequences):
            problems.append(plan.document.problem(path, first.message, hint=first.hint, offset=first.offset))
        else:
            message = f"no value for {len(unfit)} of {len(sequences)} sequences: {first.message}"
            plan.warnings.append(plan.document.problem(path, message, hint=first.hint, offset=first.offset, warning=True))
    if problems:
        raise SpecError(problems)
