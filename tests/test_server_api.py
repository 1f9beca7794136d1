"""The endpoints as a client without the SDK sees them: envelopes, bodies, refusals, downloads, money."""

from __future__ import annotations

import gzip
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests

from pcs_runner.emulator.client import LocalClient
from pcs_runner.pcs.protocol import BatchRequest, JobRequest
from twin_sequences import PI_OMEGA, long, rabi, typed
from twin_server import TwinServer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def server() -> Iterator[TwinServer]:
    with serving("--workers", "1") as twin:
        yield twin


def create(server: TwinServer, *omegas: float, runs: int = 10, **changes: Any) -> dict[str, Any]:
    jobs = [{"runs": runs, "variables": {"omega": omega}} for omega in omegas]
    body = server.batch_body(sequence_builder=rabi(), jobs=jobs, device_type="EMU_FREE", **changes)
    batch: dict[str, Any] = server.data("POST", "/api/v1/batches", json=body)
    return batch


def until_ended(server: TwinServer, batch_id: str) -> str:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        status = server.data("GET", f"/api/v1/batches/{batch_id}/status")["status"]
        if status in ("DONE", "CANCELED", "ERROR", "TIMED_OUT"):
            return str(status)
        time.sleep(0.05)
    pytest.fail("it does not end")


def jobs_of(server: TwinServer, batch_id: str) -> list[dict[str, Any]]:
    query = {"batch_id": batch_id, "order_by": "creation_order", "order_by_direction": "ASC"}
    jobs: list[dict[str, Any]] = server.data("GET", "/api/v2/jobs", params=query)
    return jobs


def result_of(server: TwinServer, job_id: str) -> dict[str, Any]:
    link = server.data("GET", f"/api/v1/jobs/{job_id}/results_link")["results_link"]
    body: dict[str, Any] = requests.get(link, timeout=30).json()
    return body


def test_the_envelope(server: TwinServer) -> None:
    batch = create(server, 0.0, tags=["a"], open=True)
    answer = server.ask("GET", "/api/v1/batches", params={"id": batch["id"]})
    body = answer.json()
    assert (body["status"], body["message"], body["code"]) == ("success", "OK.", "200")
    assert body["pagination"] == {"total": 1, "start": 0, "end": 1}
    assert answer.headers["Content-Range"] == "0-1/1"
    listed = body["data"][0]
    assert "sequence_builder" not in listed
    assert batch["sequence_builder"] == rabi()
    assert (listed["open"], listed["complete"], listed["tags"], listed["project_id"]) == (
        True,
        False,
        ["a"],
        server.line["project_id"],
    )
    server.data("PATCH", f"/api/v2/batches/{batch['id']}/cancel")


@pytest.mark.parametrize("path", ["/api/v1/batches", "/api/v2/jobs", "/api/v1/devices/specs", "/api/v1/devices/EMU_FREE/queue"])
def test_questions_need_a_token(server: TwinServer, path: str) -> None:
    answer = requests.get(server.core + path, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")


def test_public_specs_need_none(server: TwinServer) -> None:
    answer = requests.get(f"{server.core}/api/v1/devices/public-specs", timeout=30).json()
    specs = {item["device_type"]: json.loads(item["specs"]) for item in answer["data"]}
    assert {"AnalogDevice", "MockDevice", "FRESNEL", "FRESNEL_SA1"} <= set(specs)
    assert not any(name.startswith("EMU_") for name in specs)
    assert specs["FRESNEL_CAN1"]["name"] == "FRESNEL_CAN1"


def test_the_specs_say_that_this_is_a_twin(server: TwinServer) -> None:
    answer = server.ask("GET", "/api/v1/devices/specs").json()
    assert {"auto", "qutip"} <= set(answer["twin"]["engines"])
    assert all(isinstance(json.loads(spec), dict) for spec in answer["data"].values())


@pytest.mark.parametrize("encoding", ["gzip", ""])
def test_bodies_may_be_compressed(server: TwinServer, encoding: str) -> None:
    content = json.dumps(server.batch_body(sequence_builder=rabi(), jobs=[], open=True)).encode()
    content = gzip.compress(content) if encoding else content
    batch = server.data("POST", "/api/v1/batches", data=content, headers={"Content-Encoding": encoding})
    assert (batch["status"], batch["device_type"]) == ("PENDING", "MockDevice")
    assert server.data("PATCH", f"/api/v2/batches/{batch['id']}/complete")["open"] is False
    assert until_ended(server, batch["id"]) == "DONE"


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (b"{", {}, 422, "not JSON"),
        (b"[" * 200_000, {}, 422, "not JSON"),
        (b"[]", {}, 422, "must be a JSON object"),
        (b"", {}, 422, "must be a JSON object"),
        (b"nonsense", {"Content-Encoding": "gzip"}, 400, "not gzip"),
        (gzip.compress(b"{}")[:-6], {"Content-Encoding": "gzip"}, 400, "cut off"),
        (gzip.compress(bytes(80 * 2**20)), {"Content-Encoding": "gzip"}, 413, "longer than"),
        (b"{}", {"Content-Encoding": "br"}, 415, "gzip or nothing"),
        (b"{}", {}, 422, "project_id: field required"),
        (b'{"project_id": "x"}', {}, 403, "not a member of project 'x'"),
    ],
    ids=["half", "deep", "list", "empty", "no-gzip", "cut", "bomb", "brotli", "no-project", "project"],
)
def test_bad_bodies(server: TwinServer, content: bytes, headers: dict[str, str], status: int, words: str) -> None:
    answer = server.ask("POST", "/api/v1/batches", data=content, headers=headers)
    assert answer.status_code == status
    assert words in answer.json()["message"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sequence_builder": "{}"}, "INVALID_SEQUENCE"),
        ({"sequence_builder": None}, "INVALID_JOB"),
        ({"jobs": []}, "NO_JOBS"),
        ({"jobs": [{"variables": {"omega": 1}}]}, "INVALID_RUNS"),
        ({"jobs": [{"runs": 1, "variables": {"omega": 1}, "sequence": rabi}]}, "INVALID_JOB"),
        ({"jobs": [{"runs": 1, "variables": {"alpha": 1}}]}, "INVALID_VARIABLES"),
        ({"device_type": "EMU_FANTASY"}, "UNKNOWN_DEVICE_TYPE"),
        ({"device_type": 5}, "INVALID_BATCH"),
        ({"open": "yes"}, "INVALID_BATCH"),
        ({"webhook": {}}, "INVALID_BATCH"),
        ({"tags": "tag"}, "INVALID_TAGS"),
        ({"configuration": {"engine": "os:system"}}, "UNKNOWN_ENGINE"),
        ({"configuration": {"seed": -1}}, "INVALID_CONFIGURATION"),
        ({"backend_configuration": "[]"}, "INVALID_CONFIGURATION"),
    ],
)
def test_batches_that_break_a_rule(server: TwinServer, changes: dict[str, Any], code: str) -> None:
    for job in changes.get("jobs", []):
        if callable(job.get("sequence")):
            job["sequence"] = rabi()
    jobs = [{"runs": 10, "variables": {"omega": 1.0}}]
    body = server.batch_body(**{"sequence_builder": rabi(), "jobs": jobs, "device_type": "EMU_FREE", **changes})
    answer = server.ask("POST", "/api/v1/batches", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json()["data"]["description"]


def test_too_many_runs_for_a_device(server: TwinServer) -> None:
    jobs = [{"runs": 2001, "variables": {"omegas": [1, 2], "t": 200}}]
    answer = server.ask("POST", "/api/v1/batches", json=server.batch_body(sequence_builder=typed(), jobs=jobs))
    assert "above max_runs 2000 of AnalogDevice" in answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v2/batches/{id}"),
        ("GET", "/api/v1/batches/{id}/status"),
        ("POST", "/api/v2/batches/{id}/jobs"),
        ("PATCH", "/api/v2/batches/{id}/complete"),
        ("PATCH", "/api/v2/batches/{id}/cancel"),
        ("PATCH", "/api/v2/batches/{id}/cancel/jobs"),
        ("PATCH", "/api/v1/batches/{id}/tags"),
        ("POST", "/api/v1/batches/{id}/rebatch"),
        ("GET", "/api/v2/jobs/{id}"),
        ("GET", "/api/v1/jobs/{id}/status"),
        ("PATCH", "/api/v2/jobs/{id}/cancel"),
        ("GET", "/api/v1/jobs/{id}/results_link"),
        ("GET", "/api/v1/third-party-access/ovh/batches/{id}"),
        ("GET", "/api/v1/devices/{id}/queue"),
        ("GET", "/api/v1/workloads/{id}"),
    ],
)
def test_what_is_not_there_is_404(server: TwinServer, method: str, path: str) -> None:
    answer = server.ask(method, path.format(id=uuid.uuid4()), json=[] if method != "GET" else None)
    assert (answer.status_code, answer.json()["status"]) == (404, "fail")


def test_other_methods_are_405(server: TwinServer) -> None:
    assert server.ask("DELETE", "/api/v1/batches").status_code == 405


def test_results_are_downloaded_without_a_token(server: TwinServer) -> None:
    batch = create(server, PI_OMEGA)
    job = jobs_of(server, batch["id"])[0]["id"]
    assert until_ended(server, batch["id"]) == "DONE"
    link = server.data("GET", f"/api/v1/jobs/{job}/results_link")["results_link"]
    assert link.startswith(f"{server.root}/storage/")
    good = requests.get(link, timeout=30)
    assert (good.status_code, good.json()["counter"], good.json()["raw"]) == (200, {"1": 10}, ["1"] * 10)
    with_token = requests.get(link, headers={"Authorization": f"Bearer {server.token()}"}, timeout=30)
    assert (with_token.status_code, "<Code>InvalidArgument</Code>" in with_token.text) == (400, True)
    unsigned = requests.get(link.partition("?")[0], timeout=30)
    assert (unsigned.status_code, "AccessDenied" in unsigned.text) == (403, True)
    another = requests.get(link.replace(job, str(uuid.uuid4())), timeout=30)
    assert (another.status_code, "SignatureDoesNotMatch" in another.text) == (403, True)


def test_there_is_no_link_before_there_are_results(server: TwinServer) -> None:
    body = server.batch_body(sequence_builder=long(), jobs=[{"runs": 1}], device_type="EMU_FREE")
    batch = server.data("POST", "/api/v1/batches", json=body)
    job = jobs_of(server, batch["id"])[0]["id"]
    assert server.data("GET", f"/api/v1/jobs/{job}/results_link") == {"results_link": None}
    assert server.data("GET", f"/api/v1/jobs/{job}/status")["status"] in ("PENDING", "RUNNING")
    assert server.data("PATCH", f"/api/v2/batches/{batch['id']}/cancel")["status"] == "CANCELED"


def test_the_same_job_gives_the_same_counts_as_embedded(server: TwinServer, tmp_path: Path) -> None:
    """DESIGN: whether the twin is embedded or served changes nothing."""
    omegas = [0.5, 1.5, 2.5]
    configuration = {"seed": 7, "first_index": 4}
    batch = create(server, *omegas, runs=100, configuration=configuration)
    assert until_ended(server, batch["id"]) == "DONE"
    served = [result_of(server, job["id"])["raw"] for job in jobs_of(server, batch["id"])]
    with LocalClient(tmp_path, workers=1) as local:
        jobs = [JobRequest(runs=100, variables={"omega": omega}) for omega in omegas]
        request = BatchRequest(sequence_builder=rabi(), jobs=jobs, open=False, configuration=configuration)
        embedded = local.create_batch(request)
        embedded.close(wait=True)
        found = [result.raw for _, result in local.results([job.id for job in embedded.ordered_jobs])]
    assert found == served
    assert len({tuple(raw) for raw in served}) == 3


def contract(server: TwinServer, **query: str) -> dict[str, Any]:
    path = f"{server.line['billing']}/api/v1/contracts"
    terms: dict[str, Any] = server.data("GET", path, params={"project_id": server.line["project_id"], **query})
    return terms


def test_credits_are_reserved_used_and_given_back(server: TwinServer) -> None:
    before = contract(server)
    assert before["qpu_pricing"]["metric"] == before["emulator_pricing"]["metric"] == "shot"
    qpu = server.batch_body(
        sequence_builder=rabi(), jobs=[{"runs": 30, "variables": {"omega": 0}}], device_type="FRESNEL", open=True
    )
    batch = server.data("POST", "/api/v1/batches", json=qpu)
    create(server, 0.0, runs=1000)
    assert contract(server)["remaining_qpu_credits"] == before["remaining_qpu_credits"] - 30
    assert contract(server)["remaining_emu_credits"] == before["remaining_emu_credits"]
    while server.data("GET", f"/api/v1/batches/{batch['id']}/status")["jobs_count_per_status"] != {"DONE": 1}:
        time.sleep(0.05)
    second = server.data("POST", "/api/v1/batches", json={**qpu, "open": False})
    assert contract(server)["remaining_qpu_credits"] == before["remaining_qpu_credits"] - 60
    queue = server.ask("GET", "/api/v1/devices/FRESNEL/queue").json()
    assert [(one["id"], one["jobs_count"]) for one in queue["data"]] == [(batch["id"], 1), (second["id"], 1)]
    assert queue["pagination"]["total"] == 2
    assert server.data("GET", f"/api/v1/batches/{second['id']}/status")["status"] == "PENDING"
    server.data("PATCH", f"/api/v2/batches/{second['id']}/cancel")
    server.data("PATCH", f"/api/v2/batches/{batch['id']}/complete")
    assert contract(server)["remaining_qpu_credits"] == before["remaining_qpu_credits"] - 30
    assert server.data("GET", "/api/v1/devices/FRESNEL/queue") == []


def test_anothers_project_has_no_contract(server: TwinServer) -> None:
    path = f"{server.line['billing']}/api/v1/contracts"
    assert server.ask("GET", path).status_code == 422
    assert server.ask("GET", path, params={"project_id": str(uuid.uuid4())}).status_code == 404


def test_projects_by_status(server: TwinServer) -> None:
    path = f"{server.line['account']}/api/v1/projects"
    assert [one["id"] for one in server.data("GET", path, params={"project_status": "ACTIVE"})] == [server.line["project_id"]]
    assert server.data("GET", path, params={"project_status": "ARCHIVED"}) == []


def test_third_party_access_has_closed_batches_only(server: TwinServer) -> None:
    base = "/api/v1/third-party-access/ovh"
    jobs = [{"runs": 5, "variables": {"omega": 0}}]
    batch = server.data("POST", f"{base}/batches", json={"sequence_builder": rabi(), "jobs": jobs, "device_type": "EMU_FREE"})
    assert until_ended(server, batch["id"]) == "DONE"
    job = server.data("GET", f"{base}/jobs", params={"batch_id": batch["id"]})[0]["id"]
    assert server.data("GET", f"{base}/jobs/{job}/status") == {"status": "DONE"}
    assert server.data("GET", f"{base}/jobs/{job}/results_link")["results_link"]
    assert server.ask("GET", f"{base}/jobs").status_code == 422
    assert server.ask("POST", f"{base}/batches", json={"sequence_builder": rabi(), "open": True}).status_code == 400
    assert (
        server.ask("POST", f"{base}/batches", json={"sequence_builder": rabi(), "jobs": jobs, "tags": ["a"]}).status_code == 400
    )
    assert server.ask("PATCH", f"{base}/batches/{batch['id']}/cancel").status_code == 404
