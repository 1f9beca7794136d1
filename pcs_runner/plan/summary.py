"""What a plan is, as plain data that `pcs-run plan` prints: counts, sequences, what each name does, limits, cost, digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.mappable import QUBITS
from pcs_runner.spec.expressions import float_text

if TYPE_CHECKING:
    from pcs_runner.plan.plan import Plan

LISTED_SEQUENCES = 50
DEVICE_LIMITS = ("max_runs", "max_atom_num", "max_radial_distance", "min_atom_distance", "max_sequence_duration")
CHANNEL_LIMITS = ("max_amp", "max_abs_detuning", "min_duration", "max_duration", "clock_period")


def summarise(plan: Plan) -> dict[str, Any]:
    """Describe a plan.

    Returns:
        JSON-able data. Durations in ns, amplitudes and detunings in rad/µs, distances in µm, as Pulser's device specs.
    """
    target = plan.target
    return {
        "name": plan.name,
        "spec": plan.document.file,
        "target": target.name,
        "backend": target.backend,
        "device": plan.device.name,
        "device_type": target.device_type,
        "engine": target.engine if target.backend == "local" else None,
        "points": plan.total_points,
        "dropped": plan.dropped_points,
        "jobs": plan.total_jobs,
        "runs": plan.total_runs,
        "atoms": sorted({len(plan.atoms(one)) for one in plan.sequence_ids[:LISTED_SEQUENCES]}),
        "duration_ns": list(plan.durations_ns) if plan.durations_ns else None,
        "names": _names(plan),
        "sequence_count": len(plan.sequence_ids),
        "sequences": [_sequence(plan, one) for one in plan.sequence_ids[:LISTED_SEQUENCES]],
        "travel": _travel(plan),
        "limits": _limits(plan),
        "cost": {"credits": 0, "text": "free"} if target.backend == "local" else {"credits": None, "text": "unknown"},
        "digest": plan.digest,
        "warnings": [str(warning) for warning in plan.warnings],
        "notes": list(plan.notes),
    }


def _names(plan: Plan) -> dict[str, str]:
    """What each swept or computed name does."""
    template = plan.expansion.template
    roles = {variable.name: f"sequence variable ({variable.type})" for variable in template.variables}
    for variable in template.variables:
        if variable.name.startswith("_e"):
            roles[variable.name] = f"sequence variable ({variable.type}), computed for each job: {variable.expression.text}"
    for name in sorted(template.structural_names):
        own = "a sequence for each value"
        roles[name] = f"{roles[name]}; {own}" if name in roles else own
    for group in plan.expansion.groups:
        for name in group.names:
            used = "traps of the mappable register" if name == QUBITS else "used by let, where or runs"
            roles.setdefault(name, used)
    return roles


def _sequence(plan: Plan, sequence_id: str) -> dict[str, Any]:
    env = plan.expansion.environments[sequence_id]
    names = sorted(plan.expansion.template.structural_names)
    return {
        "id": sequence_id,
        "atoms": len(plan.atoms(sequence_id)),
        "jobs": plan.jobs_by_sequence[sequence_id],
        "values": {name: env[name] if isinstance(env[name], str) else float_text(env[name]) for name in names if name in env},
    }


def _travel(plan: Plan) -> str:
    """How jobs reach the service."""
    if plan.carries_sequences:
        return "each job carries its built sequence"
    if len(plan.sequence_ids) == 1:
        return "one sequence; jobs carry its variables"
    return "a batch for each sequence; jobs carry its variables"


def _limits(plan: Plan) -> dict[str, Any]:
    body = plan.device.body
    limits: dict[str, Any] = {key: body[key] for key in DEVICE_LIMITS if body.get(key) is not None}
    for channel in body.get("channels", []):
        limits[channel["id"]] = {key: channel[key] for key in CHANNEL_LIMITS if channel.get(key) is not None}
    return limits
