"""Queries of the list endpoints: text pairs in, checked filters out, 422 for what the API does not know."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pcs_runner.emulator.payloads import QUEUE_PRIORITY
from pcs_runner.emulator.queries import BATCH_ORDERS, JOB_ORDERS, BatchQuery, JobQuery, Page
from pcs_runner.emulator.server.exchange import unprocessable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pcs_runner.emulator.settings import TwinSettings

    Pairs = Sequence[tuple[str, str]]

JOB_STATUSES = frozenset({"PENDING", "RUNNING", "DONE", "ERROR", "CANCELED", "CANCELING"})
BATCH_STATUSES = JOB_STATUSES | {"TIMED_OUT", "PAUSED"}
PRIORITIES = frozenset({"CRITICAL", "HIGH", "MEDIUM", "LOW", "FREE"})
LARGEST = 2**63 - 1
LONGEST_PAGE = 100


class Fields:
    """The pairs of a query, read by name; the empty string counts as not given, as it does in PCS."""

    def __init__(self, pairs: Pairs) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if value != "":
                self._values.setdefault(name, []).append(value)

    def all(self, name: str) -> list[str]:
        """Every value of a name."""
        return self._values.get(name, [])

    def text(self, name: str) -> str | None:
        """The last value of a name."""
        values = self.all(name)
        return values[-1] if values else None

    def some_of(self, name: str, known: Collection[str]) -> list[str]:
        """Every value of a name, each of which has to be known."""
        for value in self.all(name):
            if value not in known:
                raise unprocessable("query", name, f"must be one of {', '.join(sorted(known))}; got {value!r:.80}")
        return self.all(name)

    def integer(self, name: str, lowest: int, highest: int = LARGEST) -> int | None:
        """An integer within bounds."""
        text = self.text(name)
        if text is None:
            return None
        try:
            number = int(text) if len(text) < 30 else highest + 1
        except ValueError:
            number = lowest - 1
        if not lowest <= number <= highest:
            bounds = f"from {lowest}" + (f" to {highest}" if highest < LARGEST else "")
            raise unprocessable("query", name, f"must be an integer {bounds}; got {text!r:.80}")
        return number

    def boolean(self, name: str) -> bool | None:
        """True or false, as FastAPI reads them."""
        text = self.text(name)
        if text is None:
            return None
        if text.lower() in ("true", "1", "yes", "on", "t", "y"):
            return True
        if text.lower() in ("false", "0", "no", "off", "f", "n"):
            return False
        raise unprocessable("query", name, f"must be true or false; got {text!r:.80}")

    def time(self, name: str) -> str | None:
        """A time, as the store writes them: ISO 8601 in UTC."""
        text = self.text(name)
        if text is None:
            return None
        try:
            time = datetime.fromisoformat(text)
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
        except (ValueError, OverflowError) as error:
            raise unprocessable("query", name, f"must be an ISO 8601 time; got {text!r:.80}") from error

    def excludes(self, name: str, value: str) -> bool:
        """Whether values were given, and this is none of them."""
        return bool(self.all(name)) and value not in self.all(name)


def batch_query(pairs: Pairs, settings: TwinSettings) -> BatchQuery:
    """The filters of `GET /api/v1/batches`.

    Raises:
        HttpError: 422.
    """
    fields = Fields(pairs)
    fields.some_of("queue_priority", PRIORITIES)
    complete, is_open = fields.boolean("complete"), fields.boolean("open")
    return BatchQuery(
        ids=fields.all("id"),
        id_prefix=fields.text("id__starts_with"),
        device_types=fields.all("device_type"),
        statuses=fields.some_of("status", BATCH_STATUSES),
        open=is_open if complete is None else not complete,
        tag=fields.text("tag"),
        created_from=fields.time("start_date"),
        created_to=fields.time("end_date"),
        min_jobs=fields.integer("min_jobs", 0),
        max_jobs=fields.integer("max_jobs", 0),
        nothing=_is_anothers(fields, settings)
        or fields.excludes("queue_priority", QUEUE_PRIORITY)
        or (complete is not None and complete is is_open),
    )


def job_query(pairs: Pairs, settings: TwinSettings) -> JobQuery:
    """The filters of `GET /api/v2/jobs`, of cancelling jobs and of a rebatch.

    Raises:
        HttpError: 422.
    """
    fields = Fields(pairs)
    return JobQuery(
        ids=fields.all("id"),
        id_prefix=fields.text("id__starts_with"),
        batch_ids=fields.all("batch_id"),
        statuses=fields.some_of("status", JOB_STATUSES),
        min_runs=fields.integer("min_runs", 0),
        max_runs=fields.integer("max_runs", 0),
        errors=fields.boolean("errors"),
        created_from=fields.time("start_date"),
        created_to=fields.time("end_date"),
        nothing=_is_anothers(fields, settings) or fields.excludes("origin", "CLIENT"),
    )


def batch_page(pairs: Pairs) -> Page:
    """The page of a list of batches."""
    return _page(Fields(pairs), BATCH_ORDERS)


def job_page(pairs: Pairs) -> Page:
    """The page of a list of jobs."""
    return _page(Fields(pairs), JOB_ORDERS)


def _page(fields: Fields, orders: Mapping[str, str]) -> Page:
    """Limit, offset and order.

    Raises:
        HttpError: 422.
    """
    limit, offset = fields.integer("limit", 1, LONGEST_PAGE), fields.integer("offset", 0)
    fields.some_of("order_by", orders)
    fields.some_of("order_by_direction", ("ASC", "DESC"))
    return Page(
        limit=LONGEST_PAGE if limit is None else limit,
        offset=offset or 0,
        order_by=fields.text("order_by") or "created_at",
        descending=fields.text("order_by_direction") != "ASC",
    )


def _is_anothers(fields: Fields, settings: TwinSettings) -> bool:
    return fields.excludes("project_id", settings.project_id) or fields.excludes("user_id", settings.user_id)
