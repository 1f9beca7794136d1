"""Statuses that come from outside: a batch or a job of the twin is paused, ended or put into a status nobody knows.

A status that is not an end holds the batch: what runs is not stored and nothing begins, until it is taken back.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pcs_runner.pcs.protocol import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pcs_runner.emulator.store import Row, Store


class Statuses:
    """Gives and takes back statuses.

    Args:
        store: Of the twin.
        clock: Gives the time, timezone-aware.
        wake: Tells the execution that something changed.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime], wake: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake

    def set_batch(self, status: str, *, batch_id: str | None = None, job_id: str | None = None) -> str | None:
        """Give a batch a status; an end closes it and cancels its jobs that have not ended.

        Args:
            status: Any word in capitals.
            batch_id: Which batch.
            job_id: Or the batch of this job.

        Returns:
            Its id; None when there is no such batch, or it has ended.
        """
        with self._store.transaction():
            row = self._batch(batch_id, job_id)
            if row is None or row["status"] in TERMINAL:
                return None
            now = self._clock().isoformat()
            self._store.change_batch(row["number"], status=status, updated_at=now)
            if status in TERMINAL:
                going = [one for one in self._store.job_counts(row["number"]) if one not in TERMINAL]
                self._store.cancel_jobs(row["number"], going, now)
                self._store.change_batch(row["number"], open=0, end_datetime=now)
        self._wake()
        return str(row["id"])

    def set_job(
        self, status: str, *, job_id: str | None = None, batch_id: str | None = None, position: int | None = None
    ) -> str | None:
        """Give a job a status.

        Args:
            status: Any word in capitals.
            job_id: Which job.
            batch_id: Or a job of this batch.
            position: At this position, from 0; None for the first that has not ended.

        Returns:
            Its id; None when there is no such job, or it has ended.
        """
        with self._store.transaction():
            row = self._job(job_id, batch_id, position)
            if row is None or row["status"] in TERMINAL:
                return None
            now = self._clock()
            text = now.isoformat()
            ending = {"end_timestamp": text} if status in TERMINAL else {}
            if status == "ERROR":
                ending["errors"] = json.dumps(["the service gave up on this job"])
            self._store.change_job(row["number"], status=status, updated_at=text, **ending)
            if ending:
                self._store.settle(row["batch"], text, now.timestamp())
        self._wake()
        return str(row["id"])

    def release_batch(self, batch_id: str, status: str) -> None:
        """Let a batch go on that still has the status that it was given."""
        with self._store.transaction():
            row = self._store.batch(batch_id)
            if row is not None and row["status"] == status and status not in TERMINAL:
                before = "PENDING" if row["start_datetime"] is None else "RUNNING"
                now = self._clock()
                self._store.change_batch(row["number"], status=before, updated_at=now.isoformat())
                self._store.settle(row["number"], now.isoformat(), now.timestamp())
        self._wake()

    def release_job(self, job_id: str, status: str) -> None:
        """Let a job go on that still has the status that it was given."""
        with self._store.transaction():
            row = self._store.job(job_id)
            if row is not None and row["status"] == status and status not in TERMINAL:
                before = "PENDING" if row["start_timestamp"] is None else "RUNNING"
                self._store.change_job(row["number"], status=before, updated_at=self._clock().isoformat())
        self._wake()

    def _batch(self, batch_id: str | None, job_id: str | None) -> Row | None:
        if batch_id is None and job_id is not None:
            job = self._store.job(job_id)
            return None if job is None else self._store.batch_numbered(job["batch"])
        return None if batch_id is None else self._store.batch(batch_id)

    def _job(self, job_id: str | None, batch_id: str | None, position: int | None) -> Row | None:
        if job_id is not None:
            return self._store.job(job_id)
        batch = None if batch_id is None else self._store.batch(batch_id)
        return None if batch is None else self._store.unfinished_job(batch["number"], position)
