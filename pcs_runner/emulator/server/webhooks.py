"""Tells a batch's webhook of each job that ended: on this machine only, once, and without waiting for anybody."""

from __future__ import annotations

import http.client
import ipaddress
import json
import logging
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pcs_runner.emulator.queries import BatchQuery, JobQuery, Page
from pcs_runner.emulator.workers import read_body
from pcs_runner.errors import PcsRunnerError
from pcs_runner.pcs.protocol import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcs_runner.emulator.twin import Twin

    Post = Callable[[str, bytes], int]

LOOK_EVERY_S = 0.2
TIMEOUT_S = 5.0

_log = logging.getLogger(__name__)


class Webhooks:
    """Watches batches that have a webhook, from a thread of its own; a failed call is logged and not repeated.

    Args:
        twin: Whose batches they are.
        post: Sends JSON to a URL, and gives the HTTP status.
    """

    def __init__(self, twin: Twin, post: Post | None = None) -> None:
        self._twin = twin
        self._post = post or post_json
        self._told: dict[str, int] = {}
        self._urls: dict[str, str] = {}
        self._changed = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def resume(self) -> None:
        """Watch again what had not ended; jobs that ended before are taken as told."""
        for batch in self._twin.find_batches(BatchQuery(statuses=("PENDING", "RUNNING")), Page(limit=None))[0]:
            if batch["webhook"]:
                self.watch(batch, told=self._ended_jobs(batch["id"], 0)[1])

    def watch(self, batch: dict[str, Any], *, told: int = 0) -> None:
        """Tell the webhook of a batch, if it has one and it is on this machine.

        Args:
            batch: Its payload.
            told: How many ended jobs it has been told of.
        """
        url = batch["webhook"]
        if not url:
            return
        if not is_loopback(url):
            _log.warning("webhook of batch %s ignored: %.200r is not http on this machine", batch["id"], url)
            return
        with self._lock:
            self._told[batch["id"]], self._urls[batch["id"]] = told, url
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="twin-webhooks", daemon=True)
                self._thread.start()
        self._changed.set()

    def close(self) -> None:
        """Stop; a call that is under way is left to itself."""
        self._stopping = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join(timeout=1)

    def _run(self) -> None:
        while not self._stopping:
            for batch_id in list(self._urls):
                try:
                    self._look(batch_id)
                except PcsRunnerError as error:
                    _log.warning("webhook of batch %s given up: %s", batch_id, error)
                    self._forget(batch_id)
            self._changed.clear()
            self._changed.wait(LOOK_EVERY_S if self._urls else None)

    def _look(self, batch_id: str) -> None:
        """Tell what is new of one batch; a twin ends jobs in order of creation, so new ones come last."""
        ended = self._twin.batch_status(batch_id)["status"] in TERMINAL
        while jobs := self._ended_jobs(batch_id, self._told[batch_id])[0]:
            for job in jobs:
                if self._stopping:
                    return
                self._told[batch_id] += 1
                self._tell(self._urls[batch_id], job)
        if ended:
            self._forget(batch_id)

    def _ended_jobs(self, batch_id: str, offset: int) -> tuple[list[dict[str, Any]], int]:
        query = JobQuery(batch_ids=(batch_id,), statuses=("DONE", "ERROR"))
        return self._twin.find_jobs(query, Page(offset=offset, order_by="creation_order", descending=False))

    def _tell(self, url: str, job: dict[str, Any]) -> None:
        result = read_body(self._twin.results(job["id"])) if job["status"] == "DONE" else None
        try:
            status = self._post(url, json.dumps({**job, "result": result}).encode())
        except (OSError, http.client.HTTPException, ValueError) as error:
            _log.warning("webhook %.200s did not take job %s: %s", url, job["id"], error)
        else:
            _log.info("webhook %.200s told of job %s: HTTP %d", url, job["id"], status)

    def _forget(self, batch_id: str) -> None:
        with self._lock:
            self._urls.pop(batch_id, None)
            self._told.pop(batch_id, None)


def is_loopback(url: str) -> bool:
    """Whether a URL is plain http to this machine, named by address or as `localhost`."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        good_port = parts.port is None or parts.port > 0
        return parts.scheme == "http" and good_port and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def post_json(url: str, body: bytes) -> int:
    """POST JSON without proxies and redirects; the HTTP status.

    Raises:
        OSError: No connection.
        HTTPException: No HTTP.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT_S)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()
