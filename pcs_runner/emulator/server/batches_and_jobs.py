"""Batches and jobs over HTTP: one handler for each endpoint of the core API; requests in, payloads out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcs_runner.emulator.payloads import without_sequence
from pcs_runner.emulator.rules import refuse
from pcs_runner.emulator.server.catalogue import check_device_type
from pcs_runner.emulator.server.exchange import Answer, HttpError, json_list, json_object, unprocessable
from pcs_runner.emulator.server.filters import batch_page, batch_query, job_page, job_query

if TYPE_CHECKING:
    from pcs_runner.emulator.server.exchange import Call
    from pcs_runner.emulator.server.service import Service

STORAGE_PATH = "/storage/results"
"""Where downloads are: beside the APIs, as on another host."""


def create_batch(service: Service, call: Call) -> Answer:
    """POST /api/v1/batches."""
    body = json_object(call.body)
    _check_project(service, body)
    return _created(service, body)


def create_third_party_batch(service: Service, call: Call) -> Answer:
    """POST /api/v1/third-party-access/ovh/batches: the token says the project; closed batches only, without tags."""
    body = json_object(call.body)
    if body.get("open") or body.get("complete") is False:
        refuse("open batches are not part of third-party access", code="INVALID_BATCH", hint="Send all jobs at once.")
    if body.get("tags"):
        refuse("tags are not part of third-party access", code="INVALID_TAGS")
    return _created(service, body)


def _created(service: Service, body: dict[str, Any]) -> Answer:
    check_device_type(body)
    batch = service.twin.create_batch(body)
    service.webhooks.watch(batch)
    return Answer(data=batch)


def _check_project(service: Service, body: dict[str, Any]) -> None:
    project_id = body.get("project_id")
    if not project_id:
        raise unprocessable("body", "project_id", "field required")
    if project_id != service.twin.settings.project_id:
        message = f"you are not a member of project {project_id!r:.80}"
        raise HttpError(403, "PROJECT_FORBIDDEN", message)


def get_batch(service: Service, call: Call) -> Answer:
    """GET /api/v2/batches/{id}."""
    return Answer(data=service.twin.get_batch(call.path["batch_id"]))


def batch_status(service: Service, call: Call) -> Answer:
    """GET /api/v1/batches/{id}/status."""
    return Answer(data=service.twin.batch_status(call.path["batch_id"]))


def list_batches(service: Service, call: Call) -> Answer:
    """GET /api/v1/batches."""
    page = batch_page(call.query)
    batches, total = service.twin.find_batches(batch_query(call.query, service.twin.settings), page)
    return Answer(data=batches, start=page.offset, total=total)


def add_jobs(service: Service, call: Call) -> Answer:
    """POST /api/v2/batches/{id}/jobs."""
    return Answer(data=service.twin.add_jobs(call.path["batch_id"], json_list(call.body, "jobs")))


def close_batch(service: Service, call: Call) -> Answer:
    """PATCH /api/v2/batches/{id}/complete."""
    return Answer(data=service.twin.close_batch(call.path["batch_id"]))


def cancel_batch(service: Service, call: Call) -> Answer:
    """PATCH /api/v2/batches/{id}/cancel."""
    return Answer(data=service.twin.cancel_batch(call.path["batch_id"]))


def cancel_batches(service: Service, call: Call) -> Answer:
    """PATCH /api/v1/batches/cancel."""
    ids = json_object(call.body).get("batch_ids")
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise unprocessable("body", "batch_ids", "must be a list of ids")
    outcome = service.twin.cancel_batches(ids)
    return Answer(data={**outcome, "batches": [without_sequence(batch) for batch in outcome["batches"]]})


def cancel_jobs(service: Service, call: Call) -> Answer:
    """PATCH /api/v2/batches/{id}/cancel/jobs."""
    query = job_query(call.query, service.twin.settings)
    return Answer(data=service.twin.cancel_found_jobs(call.path["batch_id"], query))


def rebatch(service: Service, call: Call) -> Answer:
    """POST /api/v1/batches/{id}/rebatch."""
    batch = service.twin.rebatch(call.path["batch_id"], job_query(call.query, service.twin.settings))
    service.webhooks.watch(batch)
    return Answer(data=batch)


def set_tags(service: Service, call: Call) -> Answer:
    """PATCH /api/v1/batches/{id}/tags."""
    return Answer(data=service.twin.set_tags(call.path["batch_id"], call.body))


def list_jobs(service: Service, call: Call) -> Answer:
    """GET /api/v2/jobs."""
    page = job_page(call.query)
    jobs, total = service.twin.find_jobs(job_query(call.query, service.twin.settings), page)
    return Answer(data=jobs, start=page.offset, total=total)


def list_third_party_jobs(service: Service, call: Call) -> Answer:
    """GET /api/v1/third-party-access/ovh/jobs: of batches whose ids are known."""
    if not any(name == "batch_id" for name, _ in call.query):
        raise unprocessable("query", "batch_id", "field required")
    return list_jobs(service, call)


def get_job(service: Service, call: Call) -> Answer:
    """GET /api/v2/jobs/{id}."""
    return Answer(data=service.twin.get_job(call.path["job_id"]))


def job_status(service: Service, call: Call) -> Answer:
    """GET /api/v1/jobs/{id}/status."""
    return Answer(data=service.twin.job_status(call.path["job_id"]))


def cancel_job(service: Service, call: Call) -> Answer:
    """PATCH /api/v2/jobs/{id}/cancel."""
    return Answer(data=service.twin.cancel_job(call.path["job_id"]))


def results_link(service: Service, call: Call) -> Answer:
    """GET /api/v1/jobs/{id}/results_link: null while there are no results."""
    job_id = call.path["job_id"]
    link = None
    if service.twin.has_results(job_id):
        link = call.base_url + service.access.link(f"{STORAGE_PATH}/{job_id}")
    return Answer(data={"results_link": link})
