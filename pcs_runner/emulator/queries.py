"""What the lists of the API can be asked for, as SQL conditions: values are always parameters, columns always our own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    Conditions = list[tuple[str, Sequence[Any]]]

BATCH_ORDERS = {
    "created_at": "b.number",
    "updated_at": "b.updated_at",
    "start_datetime": "b.start_datetime",
    "end_datetime": "b.end_datetime",
    "status": "b.status",
    "device_type": "b.device_type",
    "jobs_count": "b.jobs_count",
    "id": "b.id",
}
"""`order_by` of batches -> column; batches are numbered in order of creation."""

JOB_ORDERS = {
    "created_at": "j.number",
    "creation_order": "j.number",
    "updated_at": "j.updated_at",
    "start_timestamp": "j.start_timestamp",
    "end_timestamp": "j.end_timestamp",
    "status": "j.status",
    "runs": "j.runs",
    "id": "j.id",
}
"""`order_by` of jobs -> column; jobs are numbered in order of creation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list, in which order.

    Attributes:
        limit: Most items; None for all.
        offset: Items left out at the beginning.
        order_by: A key of `BATCH_ORDERS` or `JOB_ORDERS`.
        descending: Whether the last comes first.
    """

    limit: int | None = 100
    offset: int = 0
    order_by: str = "created_at"
    descending: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchQuery:
    """Batches that pass every filter; None (or an empty list) is no filter. Times are ISO 8601 in UTC."""

    ids: Sequence[str] = ()
    id_prefix: str | None = None
    device_types: Sequence[str] = ()
    statuses: Sequence[str] = ()
    open: bool | None = None
    tag: str | None = None
    created_from: str | None = None
    created_to: str | None = None
    min_jobs: int | None = None
    max_jobs: int | None = None
    nothing: bool = False

    def where(self) -> tuple[str, list[Any]]:
        """A condition on `batches b`, and its values."""
        found: Conditions = [
            *_one_of("b.id", self.ids),
            *_one_of("b.device_type", self.device_types),
            *_one_of("b.status", self.statuses),
            *_starts("b.id", self.id_prefix),
            *_compared("b.open = ?", self.open),
            *_compared("b.created_at >= ?", self.created_from),
            *_compared("b.created_at <= ?", self.created_to),
            *_compared("b.jobs_count >= ?", self.min_jobs),
            *_compared("b.jobs_count <= ?", self.max_jobs),
            *_compared("b.number IN (SELECT batch FROM batch_tags WHERE tag = ?)", self.tag),
        ]
        return _all_of(found, nothing=self.nothing)

    def order(self, page: Page) -> str:
        """The `ORDER BY` of a page; equal ones come in order of creation."""
        return _order(BATCH_ORDERS[page.order_by], "b.number", descending=page.descending)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Jobs that pass every filter; None (or an empty list) is no filter. Times are ISO 8601 in UTC."""

    ids: Sequence[str] = ()
    id_prefix: str | None = None
    batch_ids: Sequence[str] = ()
    statuses: Sequence[str] = ()
    min_runs: int | None = None
    max_runs: int | None = None
    errors: bool | None = None
    created_from: str | None = None
    created_to: str | None = None
    nothing: bool = False

    def where(self) -> tuple[str, list[Any]]:
        """A condition on `jobs j`, and its values."""
        found: Conditions = [
            *self._of_batches(),
            *_one_of("j.id", self.ids),
            *_one_of("j.status", self.statuses),
            *_starts("j.id", self.id_prefix),
            *_compared("j.runs >= ?", self.min_runs),
            *_compared("j.runs <= ?", self.max_runs),
            *_compared("(j.errors <> '[]') = ?", self.errors),
            *_compared("j.created_at >= ?", self.created_from),
            *_compared("j.created_at <= ?", self.created_to),
        ]
        return _all_of(found, nothing=self.nothing)

    def order(self, page: Page) -> str:
        """The `ORDER BY` of a page; within one batch the position says the order of creation, and has an index."""
        column = JOB_ORDERS[page.order_by]
        if column == "j.number" and len(self.batch_ids) == 1:
            column = "j.position"
        return _order(column, "j.number", descending=page.descending)

    def _of_batches(self) -> Conditions:
        if len(self.batch_ids) == 1:
            return [("j.batch = (SELECT number FROM batches WHERE id = ?)", self.batch_ids)]
        inner = _one_of("id", self.batch_ids)
        return [(f"j.batch IN (SELECT number FROM batches WHERE {sql})", values) for sql, values in inner]  # noqa: S608 - own text


def _one_of(column: str, values: Sequence[str]) -> Conditions:
    return [(f"{column} IN ({','.join('?' * len(values))})", values)] if values else []


def _starts(column: str, prefix: str | None) -> Conditions:
    return [(f"substr({column}, 1, ?) = ?", (len(prefix), prefix))] if prefix else []


def _compared(condition: str, value: str | int | None) -> Conditions:
    return [] if value is None else [(condition, (value,))]


def _all_of(conditions: Conditions, *, nothing: bool) -> tuple[str, list[Any]]:
    parts = ["0"] if nothing else [sql for sql, _ in conditions]
    return " AND ".join(parts) or "1", [] if nothing else [value for _, values in conditions for value in values]


def _order(column: str, tie: str, *, descending: bool) -> str:
    direction = "DESC" if descending else "ASC"
    return f"{column} {direction}" if column.endswith((".number", ".position")) else f"{column} {direction}, {tie} {direction}"
