"""`Batch` and `Job`: every attribute from recorded payloads, every method over the embedded twin."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.emulator.client import LocalClient
from pcs_runner.errors import ServiceError
from pcs_runner.pcs import Batch, Job, JobRetryError, NoClientError, PcsError, RefusedError, UncertainError
from pcs_runner.pcs.protocol import BatchRequest, BatchStatus, JobRequest
from twin_sequences import PI_OMEGA, built_rabi, rabi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB: dict[str, Any] = {
    "id": "5e4d1f7e-51a6-4a3c-a5a3-0e1e3e0a0001",
    "batch_id": "00000000-0000-0000-0000-0000000000b1",
    "project_id": "00000000-0000-0000-0000-0000000000c1",
    "runs": 100,
    "status": "DONE",
    "variables": {"omega": 6.28},
    "errors": None,
    "parent_id": None,
    "created_at": "2026-11-10T15:27:44.110274+00:00",
    "updated_at": "2026-11-10T15:28:44Z",
    "start_timestamp": "2026-11-10T15:28:00",
    "end_timestamp": "2026-11-10T15:28:40.5+00:00",
    "creation_order": 0,
    "sequence": None,
}
BATCH: dict[str, Any] = {
    "id": "00000000-0000-0000-0000-0000000000b1",
    "project_id": "00000000-0000-0000-0000-0000000000c1",
    "user_id": "auth0|user",
    "parent_id": None,
    "status": "PAUSED",
    "open": True,
    "device_type": "FRESNEL_CAN1",
    "device_status": "UP",
    "created_at": "2026-11-10T15:27:44.110274+00:00",
    "updated_at": "2026-11-10T15:28:44.110274+00:00",
    "start_datetime": "2026-11-10T15:27:50+00:00",
    "end_datetime": None,
    "webhook": "https://example.org/hook",
    "jobs_count": 1,
    "jobs_count_per_status": {"DONE": 1},
    "configuration": {"dt": 10},
    "backend_configuration": "{}",
    "tags": ["mine"],
    "sequence_builder": "{}",
    "jobs": [JOB],
    "queue_priority": "HIGH",
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    with ThreadPoolExecutor(1) as executor, LocalClient(tmp_path, executor=executor) as client:
        yield client


def open_batch(client: LocalClient, *omegas: float) -> Batch:
    jobs = [JobRequest(runs=20, variables={"omega": omega}) for omega in omegas]
    return client.create_batch(BatchRequest(sequence_builder=rabi(), jobs=jobs, open=True, tags=["a", "b"]))


def test_a_recorded_batch_exposes_every_attribute() -> None:
    batch = Batch(**BATCH)
    assert {
        name: getattr(batch, name) for name in BATCH if name not in {"jobs", "created_at", "updated_at", "start_datetime"}
    } == {name: value for name, value in BATCH.items() if name not in {"jobs", "created_at", "updated_at", "start_datetime"}}
    assert batch.created_at == datetime(2026, 11, 10, 15, 27, 44, 110274, tzinfo=UTC)
    assert [job.id for job in batch.ordered_jobs] == [JOB["id"]]
    assert not batch.is_terminal
    with pytest.warns(DeprecationWarning, match=r"Batch\.complete is deprecated, read Batch\.open"):
        assert batch.complete is False


def test_a_recorded_job_exposes_every_attribute() -> None:
    job = Job(**JOB)
    for name in ("id", "batch_id", "project_id", "runs", "status", "variables", "parent_id", "sequence", "creation_order"):
        assert getattr(job, name) == JOB[name], name
    assert job.errors == []
    assert job.updated_at == datetime(2026, 11, 10, 15, 28, 44, tzinfo=UTC)
    assert job.start_timestamp == datetime(2026, 11, 10, 15, 28, tzinfo=UTC)
    assert job.end_timestamp == datetime(2026, 11, 10, 15, 28, 40, 500000, tzinfo=UTC)


def test_odd_values_are_kept_and_not_fatal() -> None:
    odd = Batch(id=7, status="CANCELING", open=None, jobs_count="many", tags=None, created_at="yesterday", configuration="x")
    kept = odd.model_dump(include={"id", "status", "jobs_count", "tags", "created_at", "configuration"}, warnings=False)
    assert kept == {
        "id": "7",
        "status": "CANCELING",
        "jobs_count": "many",
        "tags": [],
        "created_at": "yesterday",
        "configuration": "x",
    }


def test_an_old_payload_says_complete_instead_of_open() -> None:
    assert Batch(id="1", status="PENDING", complete=False).open
    assert not Batch(id="1", status="PENDING", complete=True).open


def test_a_page_of_jobs_is_not_taken_for_all_of_them() -> None:
    with pytest.raises(NoClientError):
        _ = Batch(**{**BATCH, "jobs_count": 2}).ordered_jobs


def test_jobs_is_a_deprecated_writable_view_of_ordered_jobs() -> None:
    batch = Batch(**BATCH)
    with pytest.warns(DeprecationWarning, match="use Batch.ordered_jobs"):
        assert list(batch.jobs) == [JOB["id"]]
    with pytest.warns(DeprecationWarning, match="use Batch.ordered_jobs"):
        batch.jobs = {"x": Job(id="x", status="DONE"), "y": {"id": "y", "status": "ERROR"}}
    assert [job.id for job in batch.ordered_jobs] == ["x", "y"]


def test_without_a_client_a_request_says_what_is_missing() -> None:
    with pytest.raises(
        NoClientError, match=f"^Batch {BATCH['id']} has no client, so nothing can be asked of the service$"
    ) as caught:
        Batch(**BATCH).refresh()
    assert caught.value.hint == "Build it with its client: Batch(**payload, _client=client)."


def test_add_jobs_appends_to_ordered_jobs_and_waits(client: LocalClient) -> None:
    batch = open_batch(client, 0.0)
    first = batch.ordered_jobs[0]
    again = batch.add_jobs([{"runs": 10, "variables": {"omega": PI_OMEGA}}, {"runs": 5, "sequence": built_rabi()}])
    assert again is batch
    assert batch.jobs_count == 3
    assert batch.ordered_jobs[0] is first
    batch.add_jobs([JobRequest(runs=1, variables={"omega": 0.0})], wait=True)
    assert [job.status for job in batch.ordered_jobs] == ["DONE"] * 4
    assert [job.result for job in batch.ordered_jobs] == [{"0": 20}, {"1": 10}, {"1": 5}, {"0": 1}]
    assert batch.open


@pytest.mark.parametrize("job", [3, {"variables": {}}, "runs"])
def test_add_jobs_refuses_what_is_no_job(client: LocalClient, job: Any) -> None:
    with pytest.raises(TypeError, match="a job is a mapping"):
        open_batch(client).add_jobs([job])


def test_close_waits_and_fetches_results(client: LocalClient) -> None:
    batch = open_batch(client, 0.0, PI_OMEGA)
    assert batch.close(fetch_results=True) is batch
    assert (batch.open, batch.status, batch.jobs_count_per_status) == (False, "DONE", {"DONE": 2})
    client.close()  # results are there: nothing is asked any more
    full = batch.ordered_jobs[1].full_result
    assert full is not None
    assert full["raw"] == ["1"] * 20
    assert full["counter"] == {"1": 20}
    assert str(full["serialised_results"]).startswith('{"atom_order":["q0"]')


def test_declare_complete_warns_and_closes(client: LocalClient) -> None:
    batch = open_batch(client, 0.0)
    with pytest.warns(DeprecationWarning, match="use Batch.close"):
        batch.declare_complete(wait=True)
    assert batch.status == "DONE"


def test_waiting_asks_less_and_less_often_and_an_unknown_status_is_still_going(client: LocalClient) -> None:
    batch = open_batch(client)
    answers = [BatchStatus(status="HIBERNATING")] * 6 + [BatchStatus(status="DONE")]
    client.batch_status = lambda batch_id: answers.pop(0)  # type: ignore[method-assign]
    slept: list[float] = []
    batch.close(wait=True, sleep=slept.append)
    assert slept == [0.02, 0.04, 0.08, 0.16, 0.25, 0.25]


def test_cancel_refresh_and_tags(client: LocalClient) -> None:
    batch = open_batch(client)
    other = client.get_batch(batch.id)
    assert other.set_tags(["c"]).tags == ["c"]
    assert batch.tags == ["a", "b"]
    assert batch.refresh().tags == ["c"]
    assert batch.cancel().status == "CANCELED"
    assert batch.is_terminal


def test_lazy_attributes_are_fetched_on_first_use(client: LocalClient) -> None:
    made = open_batch(client, 0.0)
    (listed,) = client.list_batches(tag="a")
    assert "sequence_builder" not in listed.model_dump()
    assert listed.sequence_builder == rabi()
    assert [job.id for job in listed.ordered_jobs] == [job.id for job in made.ordered_jobs]
    made.add_jobs([{"runs": 5, "sequence": built_rabi()}])
    assert [job.sequence for job in made.ordered_jobs] == [None, built_rabi()]


def test_retry_adds_a_copy(client: LocalClient) -> None:
    batch = open_batch(client, 0.0)
    batch.add_jobs([{"runs": 5, "sequence": built_rabi()}], wait=True)
    for job in list(batch.ordered_jobs):
        batch.retry(job, wait=True)
    old, own, copy, own_copy = batch.ordered_jobs
    assert (copy.runs, copy.variables) == (old.runs, old.variables)
    assert (own_copy.runs, own_copy.sequence) == (own.runs, own.sequence)


def test_retry_that_cannot_be_says_why(client: LocalClient) -> None:
    batch, other = open_batch(client, 0.0), open_batch(client)
    job = batch.ordered_jobs[0]
    with pytest.raises(JobRetryError, match=f"^job {job.id} belongs to batch {batch.id}, not to {other.id}$"):
        other.retry(job)
    stale = client.get_batch(batch.id)
    batch.close()
    with pytest.raises(JobRetryError, match=f"^job {job.id} cannot be retried: batch {batch.id} is closed$"):
        batch.retry(job)
    with pytest.raises(JobRetryError, match=f"^job {job.id} cannot be retried: batch {batch.id} is ") as caught:
        stale.retry(job)
    assert caught.value.status == 400


def test_a_job_has_no_result_before_it_is_done(tmp_path: Path) -> None:
    with LocalClient(tmp_path, execute=False) as client:
        (job,) = open_batch(client, 0.0).ordered_jobs
        assert job.full_result is None
        assert job.result is None
        assert job.cancel().status == "CANCELED"
        with pytest.raises(RefusedError, match=f"^job {job.id} is CANCELED: only a PENDING job can be cancelled$"):
            job.cancel()
        assert job.result is None


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __int__ = __index__ = __str__


@pytest.mark.parametrize("value", [None, 404, "404", b"\xff\x1b[1m<html>", object(), Unprintable(), ["x"], "\ud800", "a" * 10**6])
def test_an_error_can_be_built_from_anything(value: object) -> None:
    error = PcsError(value, status=value, code=value, description=value, request=value, response=value, hint=value)
    assert isinstance(error, ServiceError)
    assert len(str(error)) <= 4000
    assert "\x1b" not in str(error) + error.response
    assert pickle.loads(pickle.dumps(error)).response == error.response
    assert error.exit_code == 3


def test_an_error_keeps_what_is_known() -> None:
    error = UncertainError(
        "x", status="504", code="TIMEOUT", description="gateway", request="POST /api/v1/batches", response="<p>"
    )
    assert (error.status, error.code, error.description) == (504, "TIMEOUT", "gateway")
    assert (error.request, error.response) == ("POST /api/v1/batches", "<p>")
