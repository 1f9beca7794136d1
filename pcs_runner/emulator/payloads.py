"""Rows of the store as the API words them: what an HTTP server answers, and what `Batch` and `Job` are built from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.emulator.settings import TwinSettings
    from pcs_runner.emulator.store import Row

BATCH_AS_IT_IS = (
    "id",
    "status",
    "device_type",
    "webhook",
    "backend_configuration",
    "parent_id",
    "created_at",
    "updated_at",
    "start_datetime",
    "end_datetime",
    "jobs_count",
)
JOB_AS_IT_IS = (
    "id",
    "batch_id",
    "status",
    "runs",
    "parent_id",
    "created_at",
    "updated_at",
    "start_timestamp",
    "end_timestamp",
)

QUEUE_PRIORITY = "MEDIUM"
"""Of every batch: a twin knows no other."""


def batch_payload(row: Row, counts: Mapping[str, int], settings: TwinSettings) -> dict[str, Any]:
    """A batch without its jobs; with `sequence_builder` when the row has it."""
    payload: dict[str, Any] = {name: row[name] for name in BATCH_AS_IT_IS}
    payload.update(
        open=bool(row["open"]),
        complete=not row["open"],
        tags=json.loads(row["tags"]),
        configuration=None if row["configuration"] is None else json.loads(row["configuration"]),
        jobs_count_per_status=dict(counts),
        device_status="UP",
        queue_priority=QUEUE_PRIORITY,
        project_id=settings.project_id,
        user_id=settings.user_id,
    )
    if "sequence_builder" in row.keys():  # noqa: SIM118 - a Row is not a mapping
        payload["sequence_builder"] = row["sequence_builder"]
    return payload


def job_payload(row: Row, settings: TwinSettings) -> dict[str, Any]:
    """A job; its own `sequence` is null when it has none, and left out when it has one that the row does not carry."""
    payload: dict[str, Any] = {name: row[name] for name in JOB_AS_IT_IS}
    payload.update(
        variables=None if row["variables"] is None else json.loads(row["variables"]),
        errors=json.loads(row["errors"]),
        creation_order=row["position"],
        project_id=settings.project_id,
    )
    if row["sequence"] is None:
        payload["sequence"] = None
    elif "own_sequence" in row.keys():  # noqa: SIM118 - a Row is not a mapping
        payload["sequence"] = row["own_sequence"]
    return payload


def without_sequence(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch's payload as lists show it."""
    return {name: value for name, value in batch.items() if name != "sequence_builder"}
