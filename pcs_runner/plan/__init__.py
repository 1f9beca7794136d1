"""Spec + target -> Plan: the exact ordered jobs, their runs and sequences, what they cost, and a digest."""

from __future__ import annotations

from pcs_runner.callable_module import make_callable
from pcs_runner.plan.expansion import PlannedJob
from pcs_runner.plan.make import make_plan, plan_from_run
from pcs_runner.plan.plan import Plan
from pcs_runner.plan.target import Target

__all__ = ["Plan", "PlannedJob", "Target", "make_plan", "plan_from_run"]

make_callable(__name__)
