"""What the service has under a run's or a plan's tags, read with care: tags and ids are text from outside."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcs_runner.errors import RunHeldError, ServiceError
from pcs_runner.pcs.errors import safe_text
from pcs_runner.pcs.protocol import TERMINAL
from pcs_runner.run import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pcs_runner.pcs.batch import Batch
    from pcs_runner.pcs.protocol import Client
    from pcs_runner.run.session import Session

LOOKS = 4
"""How often the list of a run's batches is read before somebody else is taken to be at work on it."""

BY_HAND = "Nothing was sent again. Check that it is the account that sent the run; to run the plan anew, start it with --new."

_RUN_TAG = re.compile(r"pcs-run:(?P<uuid>[0-9A-Za-z][0-9A-Za-z-]{0,63})")
_BATCH_TAG = re.compile(r"pcs-run:(?P<uuid>[0-9A-Za-z][0-9A-Za-z-]{0,63}):(?P<k>0|[1-9][0-9]{0,8})")


class RebuildError(ServiceError):
    """A lost journal cannot be rebuilt; nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBatch:
    """A batch of the run on the service: its number in the run, id, status, whether it takes jobs, and their number."""

    k: int
    id: str
    status: str
    open: bool
    jobs_count: int | None


def plan_tag(digest: str) -> str:
    """The tag by which the batches of all runs of a plan can be found."""
    return f"pcs-plan:{digest[:16]}"


def can_list(client: Client) -> bool:
    """Whether the service can be asked which batches there are."""
    return bool(getattr(client, "can_list_batches", True))


def number_of(batch: Batch, uuid: str) -> int | None:
    """The k of a batch of the run `uuid`, or None when its tags do not say that it is one."""
    for tag in batch.tags:
        found = _BATCH_TAG.fullmatch(str(tag))
        if found and found["uuid"] == uuid:
            return int(found["k"])
    return None


def earlier_run(client: Client, digest: str) -> str | None:
    """The uuid of the latest run of a plan that the service knows and that is worth having; one request.

    A run of which everything was cancelled is none: nothing was paid for it.
    """
    if not can_list(client):
        return None
    latest: str | None = None
    for batch in client.list_batches(tag=plan_tag(digest)):
        uuid = _uuid(batch)
        if uuid is not None and plan_tag(digest) in batch.tags and not _was_dropped(batch):
            latest = uuid
    return latest


def contents_of(client: Client, uuid: str) -> Counter[bytes | None]:
    """How often the service has each job of a run, by what is asked for (`fingerprint.of_job`)."""
    batches = [batch for batch in client.list_batches(tag=f"pcs-run:{uuid}") if number_of(batch, uuid) is not None]
    return Counter(fingerprint.of_job(job) for batch in batches for job in client.list_jobs(batch.id))


def batches_of(session: Session) -> dict[int, FoundBatch]:
    """The run's batches by their number, once the list stands still for a settle window; of several with one number the fullest.

    Raises:
        RebuildError: The service cannot be asked, or one of them is missing.
        RunHeldError: Batches and jobs keep coming.
    """
    if not can_list(session.client):
        raise RebuildError("the journal is lost, and this service cannot be asked which batches there are", hint=BY_HAND)
    before = _listed(session)
    for _ in range(LOOKS):
        session.wait(session.settle_s, "requests of the process that was lost may still arrive at the service")
        after = _listed(session)
        if after == before or session.settle_s == 0:
            break
        before = after
    else:
        raise RunHeldError(
            f"the service gets new jobs of the run {session.uuid}: another process is carrying it out",
            hint="Wait for it, or end it there with Ctrl-C.",
        )
    for k in range(len(after)):
        if k not in after:
            raise RebuildError(
                f"the service does not list batch {k} of the run {session.uuid}, although it lists later ones", hint=BY_HAND
            )
    return dict(sorted(after.items()))


def _listed(session: Session) -> dict[int, FoundBatch]:
    best: dict[int, FoundBatch] = {}
    for batch in session.client.list_batches(tag=session.run_tag):
        k = number_of(batch, session.uuid)
        if k is not None and (k not in best or (batch.jobs_count or 0) > (best[k].jobs_count or 0)):
            status = safe_text(batch.status, 40)
            best[k] = FoundBatch(
                k=k, id=batch.id, status=status, open=batch.open and status not in TERMINAL, jobs_count=batch.jobs_count
            )
    return best


def _uuid(batch: Batch) -> str | None:
    found: Iterable[re.Match[str] | None] = (_RUN_TAG.fullmatch(str(tag)) for tag in batch.tags)
    return next((match["uuid"] for match in found if match), None)


def _was_dropped(batch: Batch) -> bool:
    counts: Mapping[str, int] = batch.jobs_count_per_status or {}
    return batch.status in TERMINAL and (batch.jobs_count == 0 or {name for name, n in counts.items() if n} == {"CANCELED"})
