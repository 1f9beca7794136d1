"""The twin itself: every call of the API over a store and its execution, payloads in and payloads out.

`LocalClient` wraps it for this process; a server can wrap it for others.
"""

from __future__ import annotations

import atexit
import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from pcs_runner.emulator import rules
from pcs_runner.emulator.declared import read_declared
from pcs_runner.emulator.execution import Execution
from pcs_runner.emulator.payloads import batch_payload, job_payload
from pcs_runner.emulator.queries import Page
from pcs_runner.emulator.settings import TwinSettings
from pcs_runner.emulator.statuses import Statuses
from pcs_runner.emulator.store import Store
from pcs_runner.emulator.workers import Workers
from pcs_runner.errors import StorageError
from pcs_runner.pcs.errors import NotFoundError, RefusedError
from pcs_runner.pcs.protocol import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from pcs_runner.emulator.queries import BatchQuery, JobQuery
    from pcs_runner.emulator.store import Row

IN_ORDER = Page(limit=None, order_by="creation_order", descending=False)
"""All jobs, in order of creation."""

_open_twins: set[Twin] = set()


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def new_uuid() -> str:
    """A random id."""
    return str(uuid.uuid4())


class Twin:
    """PCS on this machine.

    Args:
        folder: Where `twin.db` is or will be; made when it is missing.
        workers: Most worker processes, None for one on each processor; or the workers themselves, closed with the twin.
        executor: Takes the place of the own pool; its owner shuts it down.
        settings: Where clouds differ.
        execute: False to look and cancel only: nothing is run.
        clock: Gives the time, timezone-aware.
        new_id: Gives ids of batches and jobs, each different.

    Attributes:
        statuses: Gives batches and jobs statuses from outside.

    Raises:
        StorageError: The folder or the store cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int | Workers | None = None,
        executor: Executor | None = None,
        settings: TwinSettings | None = None,
        execute: bool = True,
        clock: Callable[[], datetime] = utc_now,
        new_id: Callable[[], str] = new_uuid,
    ) -> None:
        self.settings = settings or TwinSettings()
        self._clock = clock
        self._new_id = new_id
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{folder} cannot be made: {error}") from error
        self._store = Store(folder / "twin.db")
        self._execute = execute
        pool = workers if isinstance(workers, Workers) else Workers(workers, executor)
        self._execution = Execution(self._store, pool, self.settings, clock)
        self.statuses = Statuses(self._store, clock, self._execution.wake if execute else lambda: None)
        self._closed = False
        if execute:
            with self._store.transaction():
                self._store.forget_running(self._now())
            if self._store.unfinished_batches():
                self._execution.wake()
        _open_twins.add(self)

    def close(self) -> None:
        """Stop at once, also in the middle of a simulation; what was accepted stays accepted. May be called again."""
        if not self._closed:
            self._closed = True
            _open_twins.discard(self)
            self._execution.close()
            self._store.close()

    # Batches

    def create_batch(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST /api/v1/batches."""
        self._check()
        batch = rules.new_batch(body)
        rules.check_engine(batch, own_classes=self.settings.own_classes)
        with self._store.transaction():
            self._keep_devices([batch.sequence_builder])
            now = self._clock()
            number = self._store.add_batch(batch, self._new_id(), now.isoformat(), now.timestamp())
            self._add_jobs(number, batch.jobs)
        return self._changed(number)

    def get_batch(self, batch_id: str) -> dict[str, Any]:
        """GET /api/v2/batches/{id}."""
        return self._payload(self._batch(batch_id))

    def batch_status(self, batch_id: str) -> dict[str, Any]:
        """GET /api/v1/batches/{id}/status."""
        row = self._batch(batch_id)
        return {"status": row["status"], "jobs_count_per_status": self._store.job_counts(row["number"])}

    def add_jobs(self, batch_id: str, jobs: Sequence[Any]) -> dict[str, Any]:
        """POST /api/v2/batches/{id}/jobs."""
        with self._store.transaction():
            row = self._batch(batch_id)
            rules.check_accepts_jobs(batch_id, is_open=bool(row["open"]), status=row["status"])
            accepted = rules.new_jobs(jobs, row["sequence_builder"], row["backend_configuration"])
            if not accepted:
                rules.refuse("no jobs were given", code="NO_JOBS")
            self._add_jobs(row["number"], accepted)
        return self._changed(row["number"])

    def close_batch(self, batch_id: str) -> dict[str, Any]:
        """PATCH /api/v2/batches/{id}/complete; a closed batch stays closed."""
        with self._store.transaction():
            row = self._batch(batch_id)
            if row["open"]:
                now = self._clock()
                self._store.change_batch(row["number"], open=0, updated_at=now.isoformat(), idle_since=None)
                self._store.settle(row["number"], now.isoformat(), now.timestamp())
        return self._changed(row["number"])

    def cancel_batch(self, batch_id: str) -> dict[str, Any]:
        """PATCH /api/v2/batches/{id}/cancel: jobs that have not ended, the running one too, are CANCELED."""
        with self._store.transaction():
            row = self._batch(batch_id)
            rules.check_cancels_batch(batch_id, row["status"])
            if row["status"] != "CANCELED":
                now = self._now()
                going = [status for status in self._store.job_counts(row["number"]) if status not in TERMINAL]
                self._store.cancel_jobs(row["number"], going, now)
                self._store.change_batch(row["number"], status="CANCELED", open=0, updated_at=now, end_datetime=now)
        return self._changed(row["number"])

    def cancel_batches(self, batch_ids: Sequence[str]) -> dict[str, Any]:
        """PATCH /api/v1/batches/cancel: `{batches, errors: {id: reason}}`."""
        batches: list[dict[str, Any]] = []
        errors: dict[str, str] = {}
        for batch_id in dict.fromkeys(batch_ids):
            try:
                batches.append(self.cancel_batch(batch_id))
            except RefusedError as error:
                errors[batch_id] = error.message
        return {"batches": batches, "errors": errors}

    def rebatch(self, batch_id: str, query: JobQuery) -> dict[str, Any]:
        """POST /api/v1/batches/{id}/rebatch: a new closed batch with copies of the jobs that the query finds, in their order."""
        with self._store.transaction():
            row = self._batch(batch_id)
            jobs, _ = self._store.find_jobs(replace(query, batch_ids=(batch_id,)), IN_ORDER)
            if not jobs:
                rules.refuse(f"batch {batch_id} has no such jobs", code="NO_JOBS", hint="Change the filters.")
            now = self._clock()
            number = self._store.add_batch(rules.repeated_batch(row), self._new_id(), now.isoformat(), now.timestamp())
            self._add_jobs(number, [self._repeated(job) for job in jobs])
        return self._changed(number)

    def set_tags(self, batch_id: str, tags: Any) -> dict[str, Any]:
        """PATCH /api/v1/batches/{id}/tags."""
        with self._store.transaction():
            row = self._batch(batch_id)
            self._store.set_tags(row["number"], rules.new_tags(tags), self._now())
        return self._payload(self._store.batch_numbered(row["number"]))

    def list_batches(
        self, *, after: int = 0, limit: int = 100, tag: str | None = None, status: str | None = None
    ) -> tuple[list[dict[str, Any]], int | None]:
        """GET /api/v1/batches, oldest first: a page, and what to give as `after` for the next one, None at the end."""
        self._check()
        rows = self._store.batches(after=after, limit=limit, tag=tag, status=status)
        return [self._payload(row) for row in rows], rows[-1]["number"] if len(rows) == limit else None

    def find_batches(self, query: BatchQuery, page: Page) -> tuple[list[dict[str, Any]], int]:
        """GET /api/v1/batches: a page of the batches that a query finds, and how many it finds in all."""
        self._check()
        rows, total = self._store.find_batches(query, page)
        return [self._payload(row) for row in rows], total

    # Jobs

    def find_jobs(self, query: JobQuery, page: Page) -> tuple[list[dict[str, Any]], int]:
        """GET /api/v2/jobs: a page of the jobs that a query finds, and how many it finds in all."""
        self._check()
        rows, total = self._store.find_jobs(query, page)
        return [job_payload(row, self.settings) for row in rows], total

    def list_jobs(self, batch_id: str, *, start: int, stop: int) -> list[dict[str, Any]]:
        """GET /api/v2/jobs of a batch in creation order: positions `start` to `stop` (left out)."""
        rows = self._store.jobs(self._batch(batch_id)["number"], start=start, stop=stop)
        return [job_payload(row, self.settings) for row in rows]

    def get_job(self, job_id: str) -> dict[str, Any]:
        """GET /api/v2/jobs/{id}."""
        return job_payload(self._job(job_id), self.settings)

    def cancel_job(self, job_id: str) -> dict[str, Any]:
        """PATCH /api/v2/jobs/{id}/cancel."""
        with self._store.transaction():
            row = self._job(job_id)
            if problem := rules.job_cancel_problem(job_id, row["status"]):
                rules.refuse(problem, code="JOB_NOT_PENDING")
            self._cancel(row)
        self._changed(row["batch"])
        return self.get_job(job_id)

    def cancel_jobs(self, batch_id: str, job_ids: Sequence[str] = ()) -> dict[str, Any]:
        """PATCH /api/v2/batches/{id}/cancel/jobs: `{jobs, errors: {id: reason}}`; without ids all PENDING ones."""
        cancelled: list[str] = []
        errors: dict[str, str] = {}
        with self._store.transaction():
            number = self._batch(batch_id)["number"]
            for job_id in job_ids or list(self._pending_ids(number)):
                row = self._store.job(job_id)
                if row is None or row["batch"] != number:
                    errors[job_id] = f"batch {batch_id} has no job {job_id}"
                elif problem := rules.job_cancel_problem(job_id, row["status"]):
                    errors[job_id] = problem
                else:
                    self._cancel(row, settle=False)
                    cancelled.append(job_id)
            now = self._clock()
            self._store.settle(number, now.isoformat(), now.timestamp())
        self._changed(number)
        return {"jobs": cancelled, "errors": errors}

    def cancel_found_jobs(self, batch_id: str, query: JobQuery) -> dict[str, Any]:
        """PATCH /api/v2/batches/{id}/cancel/jobs: `{jobs: [payload], errors: {id: reason}}`.

        Jobs that the query names by id and that cannot be cancelled are errors; others that are not PENDING are left out.
        """
        with self._store.transaction():
            self._batch(batch_id)
            wanted = replace(query, batch_ids=(batch_id,), statuses=query.statuses if query.ids else ("PENDING",))
            found = [row["id"] for row in self._store.find_jobs(wanted, IN_ORDER)[0]]
            unknown = sorted(set(query.ids) - set(found))
            outcome = self.cancel_jobs(batch_id, [*found, *unknown]) if found or unknown else {"jobs": [], "errors": {}}
            cancelled = [job_payload(row, self.settings) for job_id in outcome["jobs"] if (row := self._store.job(job_id))]
        return {"jobs": cancelled, "errors": outcome["errors"]}

    def job_status(self, job_id: str) -> dict[str, Any]:
        """GET /api/v1/jobs/{id}/status."""
        return {"status": self._job_state(job_id)["status"]}

    def has_results(self, job_id: str) -> bool:
        """Whether a job has results to download."""
        return bool(self._job_state(job_id)["has_results"])

    def usage(self) -> list[dict[str, Any]]:
        """What the jobs took, for each device type and status: `runs` and `hours`."""
        self._check()
        return [dict(row) for row in self._store.usage()]

    def results(self, job_id: str) -> bytes:
        """The results download of a DONE job, as the workers packed it (`workers.read_body`).

        Raises:
            RefusedError: The job is not DONE.
        """
        self._check()
        body = self._store.result(job_id)
        if body is None:
            rules.refuse(f"job {job_id} is {self._job_state(job_id)['status']}: it has no results", code="NO_RESULTS")
        return body

    def device_specs(self) -> dict[str, str]:
        """GET /api/v1/devices/specs: Pulser's bundled devices and those that came with sequences. Imports Pulser."""
        self._check()
        return self._store.devices() | bundled_devices()

    # What the calls are made of

    def _now(self) -> str:
        return self._clock().isoformat()

    def _check(self) -> None:
        if self._closed:
            rules.refuse("this client is closed", code="CLOSED", hint="Open a new one on the same folder.")
        self._execution.check()

    def _batch(self, batch_id: str) -> Row:
        self._check()
        row = self._store.batch(batch_id)
        if row is None:
            raise NotFoundError(f"there is no batch {batch_id!r:.80}", status=404, code="BATCH_NOT_FOUND")
        return row

    def _job(self, job_id: str) -> Row:
        self._check()
        return _known_job(job_id, self._store.job(job_id))

    def _job_state(self, job_id: str) -> Row:
        self._check()
        return _known_job(job_id, self._store.job_state(job_id))

    def _payload(self, row: Row) -> dict[str, Any]:
        return batch_payload(row, self._store.job_counts(row["number"]), self.settings)

    def _changed(self, number: int) -> dict[str, Any]:
        """Tell the execution, and answer the batch."""
        if self._execute:
            self._execution.wake()
        return self._payload(self._store.batch_numbered(number))

    def _keep_devices(self, sequences: Iterable[str | None]) -> None:
        declared = [read_declared(sequence) for sequence in dict.fromkeys(sequences) if sequence is not None]
        for name, device in dict.fromkeys((one.device_name, one.device) for one in declared):
            if device is not None:
                self._store.add_device(name, device)

    def _add_jobs(self, number: int, jobs: Sequence[rules.NewJob]) -> None:
        self._keep_devices(job.sequence for job in jobs)
        self._store.add_jobs(number, jobs, iter(self._new_id, None), self._now())

    def _repeated(self, row: Row) -> rules.NewJob:
        sequence = None if row["sequence"] is None else self._store.sequence(row["sequence"])
        return rules.NewJob(runs=row["runs"], variables=row["variables"], sequence=sequence, parent_id=row["id"])

    def _pending_ids(self, number: int) -> Iterator[str]:
        position = 0
        while rows := self._store.pending_jobs(number, position, 500):
            position = rows[-1]["position"] + 1
            yield from (row["id"] for row in rows)

    def _cancel(self, row: Row, *, settle: bool = True) -> None:
        now = self._clock()
        self._store.cancel_job(row["number"], now.isoformat())
        if settle:
            self._store.settle(row["batch"], now.isoformat(), now.timestamp())


def _known_job(job_id: str, row: Row | None) -> Row:
    if row is None:
        raise NotFoundError(f"there is no job {job_id!r:.80}", status=404, code="JOB_NOT_FOUND")
    return row


@cache
def bundled_devices() -> dict[str, str]:
    """Pulser's bundled devices: name -> abstract representation (a JSON string). Imports Pulser."""
    from pulser import devices

    kinds = (devices.Device, devices.VirtualDevice)
    return {device.name: str(device.to_abstract_repr()) for device in vars(devices).values() if isinstance(device, kinds)}


def close_open_twins() -> None:
    """Close what a program left open, so that its end does not wait for simulations."""
    for twin in list(_open_twins):
        twin.close()


# Before concurrent.futures waits for its processes, which an ordinary atexit handler comes too late for.
getattr(threading, "_register_atexit", atexit.register)(close_open_twins)
