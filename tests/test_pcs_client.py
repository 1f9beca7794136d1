"""Each endpoint of PCS.md is one method: what it sends, and what it makes of the answer."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from cloud_client import BATCH, TOKEN, client, environment
from loopback import Loopback, Received, Reply, as_json, data
from pcs_runner.errors import UsageError
from pcs_runner.pcs.client import Client, polling_from
from pcs_runner.pcs.errors import AnswerError, RefusedError, UncertainError, UnreachableError
from pcs_runner.pcs.ovh import BASE, DOUBTS, OvhClient, UnresolvedError
from pcs_runner.pcs.protocol import BatchRequest, BatchStatus, JobRequest, Polling
from pcs_runner.pcs.protocol import Client as Protocol
from pcs_runner.pcs.reading import Price, Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

JOB = {"id": "j-1", "batch_id": "b-1", "status": "PENDING", "runs": 5, "variables": {"t": 4}}


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as loopback:
        yield loopback


def test_the_client_keeps_the_protocol(server: Loopback) -> None:
    keepers: list[Protocol] = [client(server), ovh(server)]
    assert [keeper.polling.first_s for keeper in keepers] == [0.2, 0.2]


def test_a_batch_is_created_with_everything_that_the_api_knows(server: Loopback) -> None:
    server.on("POST", "/core/api/v1/batches", data(BATCH, 201))
    request = BatchRequest(
        sequence_builder="{}",
        jobs=[JobRequest(runs=5, variables={"t": 4}), JobRequest(runs=6, sequence="{}")],
        device_type="FRESNEL",
        tags=["a", "b"],
        webhook="https://example.com/hook",
        configuration={"dt": 1.0},
        backend_configuration="{}",
    )
    batch = client(server).create_batch(request)
    assert (batch.id, batch.open) == ("b-1", True)
    (sent,) = server.received
    assert sent.json == {
        "sequence_builder": "{}",
        "jobs": [{"runs": 5, "variables": {"t": 4}}, {"runs": 6, "sequence": "{}"}],
        "open": True,
        "device_type": "FRESNEL",
        "project_id": "p-1",
        "tags": ["a", "b"],
        "webhook": "https://example.com/hook",
        "configuration": {"dt": 1.0},
        "backend_configuration": "{}",
    }
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["user-agent"].startswith("pcs-runner/")


def test_a_large_body_is_compressed_and_a_small_one_is_not(server: Loopback) -> None:
    server.on("POST", "/core/api/v2/batches/b-1/jobs", data(BATCH))
    cloud = client(server)
    cloud.add_jobs("b-1", [JobRequest(runs=1, variables={"t": 4})])
    cloud.add_jobs("b-1", [JobRequest(runs=1, variables={"t": t}) for t in range(200)])
    small, large = server.received
    assert "content-encoding" not in small.headers
    assert small.raw == b'[{"runs":1,"variables":{"t":4}}]'
    assert large.headers["content-encoding"] == "gzip"
    assert len(large.raw) < len(large.body) / 5
    assert json.loads(gzip.decompress(large.raw))[199] == {"runs": 1, "variables": {"t": 199}}


@pytest.mark.parametrize(
    ("name", "arguments", "method", "path", "body"),
    [
        ("get_batch", ["b-1"], "GET", "/core/api/v2/batches/b-1", None),
        ("add_jobs", ["b-1", [JobRequest(runs=3)]], "POST", "/core/api/v2/batches/b-1/jobs", [{"runs": 3, "variables": {}}]),
        ("close_batch", ["b-1"], "PATCH", "/core/api/v2/batches/b-1/complete", None),
        ("cancel_batch", ["b-1"], "PATCH", "/core/api/v2/batches/b-1/cancel", None),
        ("set_tags", ["b-1", ["x"]], "PATCH", "/core/api/v1/batches/b-1/tags", ["x"]),
    ],
)
def test_calls_about_a_batch(server: Loopback, name: str, arguments: list[Any], method: str, path: str, body: Any) -> None:
    server.on(method, path, data(BATCH))
    batch = getattr(client(server), name)(*arguments)
    assert batch.id == "b-1"
    (sent,) = server.received
    assert (json.loads(sent.body) if sent.body else None) == body


@pytest.mark.parametrize(
    ("name", "method", "path"),
    [("get_job", "GET", "/core/api/v2/jobs/j-1"), ("cancel_job", "PATCH", "/core/api/v2/jobs/j-1/cancel")],
)
def test_calls_about_a_job(server: Loopback, name: str, method: str, path: str) -> None:
    server.on(method, path, data(JOB))
    job = getattr(client(server), name)("j-1")
    assert (job.id, job.variables) == ("j-1", {"t": 4})
    assert len(server.received) == 1


def test_statuses_are_an_open_set_and_odd_counts_are_left_out(server: Loopback) -> None:
    answer = {"status": "DEFROSTING", "jobs_count_per_status": {"PENDING": 3, "LOST": "many"}}
    server.on("GET", "/core/api/v1/batches/b-1/status", data(answer))
    server.on("GET", "/core/api/v1/jobs/j-1/status", data({"status": "PAUSED"}))
    cloud = client(server)
    assert cloud.batch_status("b-1") == BatchStatus(status="DEFROSTING", jobs_count_per_status={"PENDING": 3})
    assert cloud.job_status("j-1") == "PAUSED"


def test_several_batches_are_cancelled_in_one_request(server: Loopback) -> None:
    server.on("PATCH", "/core/api/v1/batches/cancel", data({"batches": [BATCH], "errors": {"b-2": "too \x1b[2Jlate"}}))
    done = client(server).cancel_batches(["b-1", "b-2"])
    assert (done.ids, done.errors) == (("b-1",), {"b-2": "too [2Jlate"})
    assert server.received[0].json == {"batch_ids": ["b-1", "b-2"]}


def test_jobs_are_cancelled_by_id_a_hundred_at_a_time(server: Loopback) -> None:
    path = "/core/api/v2/batches/b-1/cancel/jobs"
    server.on("PATCH", path, lambda r: data({"jobs": [{"id": one} for _, one in r.query], "errors": {}}))
    ids = [f"j-{i}" for i in range(250)]
    assert client(server).cancel_jobs("b-1", ids) == ids
    assert [len(sent.query) for sent in server.received] == [100, 100, 50]
    server.on("PATCH", path, data({"jobs": [JOB], "errors": {}}))
    assert client(server).cancel_jobs("b-1") == ["j-1"]
    assert server.received[-1].query == ()


def test_a_batch_is_repeated_with_filters(server: Loopback) -> None:
    server.on("POST", "/core/api/v1/batches/b-1/rebatch", data({**BATCH, "id": "b-2", "parent_id": "b-1"}))
    assert client(server).rebatch("b-1", job_ids=["j-1", "j-2"], status=["ERROR"]).parent_id == "b-1"
    assert server.received[0].query == (("id", "j-1"), ("id", "j-2"), ("status", "ERROR"))


def test_projects_contracts_and_queue(server: Loopback) -> None:
    server.on("GET", "/account/api/v1/projects", data([{"id": "p-1", "name": "Rydberg \x1b]0;x\x07"}, {"name": "no id"}]))
    contract = {"qpu_pricing": {"metric": "HOUR", "price": "3000.5"}, "remaining_qpu_credits": 12, "emulator_pricing": None}
    server.on("GET", "/billing/api/v1/contracts", data([contract]))
    server.on("GET", "/core/api/v1/devices/FRESNEL/queue", data([{"jobs_count": 3}, {"jobs_count": 4}]))
    cloud = client(server)
    (project,) = cloud.projects()
    assert (project.id, project.name) == ("p-1", "Rydberg ]0;x")
    (found,) = cloud.contracts()
    assert (found.qpu, found.remaining_qpu_credits) == (Price(metric="hour", price=3000.5), 12.0)
    assert (found.emulator, found.remaining_emu_credits) == (Price(metric=None, price=None), None)
    assert cloud.device_queue("FRESNEL") == Queue(batches=2, jobs=7)
    assert [dict(sent.query) for sent in server.received] == [{"project_status": "ACTIVE"}, {"project_id": "p-1"}, {}]


def test_device_specs_have_two_shapes_and_the_public_ones_need_no_token(server: Loopback) -> None:
    server.on("GET", "/core/api/v1/devices/specs", data({"FRESNEL": '{"name": "FRESNEL"}', "BAD": "no json", "../x": "{}"}))
    server.on("GET", "/core/api/v1/devices/public-specs", data([{"device_type": "FRESNEL", "specs": {"name": "F"}}, {}]))
    cloud = client(server)
    assert cloud.device_specs() == {"FRESNEL": '{"name": "FRESNEL"}'}
    assert cloud.public_device_specs() == {"FRESNEL": '{"name": "F"}'}
    assert ["authorization" in sent.headers for sent in server.received] == [True, False]


@pytest.mark.parametrize(("beside", "twin"), [({"twin": {"version": "1"}}, True), ({}, False), ({"twin": "yes"}, False)])
def test_a_server_is_a_twin_when_its_device_answer_says_so(server: Loopback, beside: dict[str, Any], twin: bool) -> None:
    server.on("GET", "/core/api/v1/devices/specs", data({"X": "{}"}, **beside))
    cloud = client(server)
    assert (cloud.is_twin, cloud.is_twin) == (twin, twin)
    assert len(server.received) == 1


@pytest.mark.parametrize("body", [[], "X"])
def test_an_answer_without_devices_does_not_say_whether_it_is_a_twin(server: Loopback, body: Any) -> None:
    """A gateway that answers in its place would turn a twin into none, and its seeds off; it is asked again the next time."""
    server.on("GET", "/core/api/v1/devices/specs", data(body), data({"X": "{}"}, twin={"version": "1"}))
    cloud = client(server)
    with pytest.raises(AnswerError, match="not devices by name"):
        _ = cloud.is_twin
    assert cloud.is_twin


def paged(items: list[dict[str, Any]], *, most: int = 100, total: Any = None) -> Any:
    """A list endpoint that keeps `offset` and `limit`."""

    def answer(request: Received) -> Reply:
        query = dict(request.query)
        offset, limit = int(query["offset"]), min(most, int(query["limit"]))
        return data(items[offset : offset + limit], pagination={"total": len(items) if total is None else total})

    return answer


JOBS = [{**JOB, "id": f"j-{i}"} for i in range(250)]


@pytest.mark.parametrize(
    ("most", "total", "requests"),
    [(100, None, 3), (40, None, 7), (100, 0, 3), (100, 10**9, 4), (100, -5, 3), (100, "many", 3), (100, True, 3)],
)
def test_jobs_come_in_order_whatever_the_server_says_about_their_number(
    server: Loopback, most: int, total: Any, requests: int
) -> None:
    server.on("GET", "/core/api/v2/jobs", paged(JOBS, most=most, total=total))
    assert [job.id for job in client(server).list_jobs("b-1")] == [job["id"] for job in JOBS]
    assert len(server.received) == requests
    first = dict(server.received[0].query)
    assert first["order_by"] == "creation_order"
    assert first["order_by_direction"] == "ASC"
    assert first["batch_id"] == "b-1"


def test_a_part_of_the_jobs_is_asked_for_by_position(server: Loopback) -> None:
    server.on("GET", "/core/api/v2/jobs", paged(JOBS))
    assert [job.id for job in client(server).list_jobs("b-1", start=120, stop=125)] == [f"j-{i}" for i in range(120, 125)]
    assert [(dict(r.query)["offset"], dict(r.query)["limit"]) for r in server.received] == [("120", "5")]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            data(JOBS[:100], pagination={"total": 500}),
            "GET /api/v2/jobs repeats items from offset 100, so its list cannot be read",
        ),
        (data([JOB, JOB]), "GET /api/v2/jobs lists the same item twice"),
        (data({"jobs": []}), "GET /api/v2/jobs was answered with something that is not a list"),
        (data([1]), "GET /api/v2/jobs lists something without an id"),
        (data([{**JOB, "id": "../../admin"}]), "GET /api/v2/jobs was answered with a job whose id is '../../admin'"),
        (data([{**JOB, "batch_id": "b-2"}]), "GET /api/v2/jobs lists job j-1 of batch b-2, not of b-1"),
    ],
)
def test_a_list_that_cannot_be_read_ends_with_a_message(server: Loopback, reply: Reply, message: str) -> None:
    server.on("GET", "/core/api/v2/jobs", reply)
    with pytest.raises(AnswerError) as caught:
        list(client(server).list_jobs("b-1"))
    assert caught.value.message == message
    assert len(server.received) <= 2


def test_batches_come_oldest_first_in_whatever_order_the_server_lists_them(server: Loopback) -> None:
    batches: list[dict[str, Any]] = [
        {**BATCH, "id": f"b-{i}", "created_at": f"2026-11-01T10:{59 - i % 60:02}:{i // 60:02}Z"} for i in range(150)
    ]
    shifted = [batches[:100], [batches[99], *batches[100:]], []]
    server.on("GET", "/core/api/v1/batches", *(data(page, pagination={"total": 151}) for page in shifted))
    found = list(client(server).list_batches(tag="t", status="PENDING"))
    assert sorted(batch.id for batch in found) == sorted(one["id"] for one in batches)
    assert [str(batch.created_at) for batch in found] == sorted(str(batch.created_at) for batch in found)
    assert server.received[0].query == (("tag", "t"), ("status", "PENDING"), ("limit", "100"), ("offset", "0"))


@pytest.mark.parametrize("bad", ["a/b", "..", "", "a?b", "a b", "a%2fb", "é", "x" * 200])
def test_an_id_that_is_none_is_not_sent(server: Loopback, bad: str) -> None:
    cloud = client(server)
    for call in (cloud.get_batch, cloud.get_job, cloud.cancel_batch, cloud.results_link, cloud.device_queue):
        with pytest.raises(UsageError, match="is not an id of the service"):
            call(bad)
    with pytest.raises(UsageError):
        cloud.cancel_jobs("b-1", ["j-1", bad])
    assert server.received == []


def test_without_a_project_nothing_is_created(server: Loopback) -> None:
    cloud = client(server)
    cloud.project_id = None
    with pytest.raises(UsageError, match="no project is known") as caught:
        cloud.create_batch(BatchRequest(sequence_builder="{}"))
    assert caught.value.hint == "Set PASQAL_PROJECT_ID, or `pcs-run login`."
    assert server.received == []


def test_connections_are_used_again(server: Loopback) -> None:
    server.on("GET", "/core/api/v2/batches/b-1", data(BATCH))
    cloud = client(server)
    for _ in range(20):
        cloud.get_batch("b-1")
    assert (len(server.received), server.connections) == (20, 1)


def test_a_post_does_not_ride_on_a_connection_that_may_be_closing(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcs_runner.pcs.client.IDLE_S", -1.0)
    server.on("PATCH", "/core/api/v2/batches/b-1/complete", data(BATCH))
    cloud = client(server)
    cloud.close_batch("b-1")
    cloud.close_batch("b-1")
    assert server.connections == 2


def test_polling_comes_from_the_environment(server: Loopback, tmp_path: Path) -> None:
    assert polling_from({}) is None
    assert polling_from({"PCS_RUNNER_POLL_S": "0.05"}) == Polling(first_s=0.05, longest_s=0.8)
    assert polling_from({"PCS_RUNNER_POLL_S": "60"}) == Polling(first_s=60, longest_s=60)
    for bad in ("soon", "0", "-1", "nan", "1e9"):
        with pytest.raises(UsageError, match="PCS_RUNNER_POLL_S is"):
            polling_from({"PCS_RUNNER_POLL_S": bad})
    made = Client.from_environment(environ=environment(server, tmp_path, PCS_RUNNER_POLL_S="3"))
    assert made.polling == Polling(first_s=3, longest_s=30)


def ovh(server: Loopback) -> Client:
    environ = {"PCS_RUNNER_CORE_URL": f"{server.url}/core", "PASQAL_PULSER_ACCESS_TOKEN": TOKEN}
    return Client.from_environment(provider="ovh", environ=environ)


CLOSED = BatchRequest(sequence_builder="{}", jobs=[JobRequest(runs=1)], open=False, tags=["t"])


def test_ovh_has_its_own_paths_and_neither_project_nor_tags(server: Loopback) -> None:
    base = f"/core{BASE}"
    server.on("POST", f"{base}/batches", data(BATCH))
    server.on("GET", f"{base}/batches/b-1", data(BATCH))
    server.on("GET", f"{base}/batches/b-1/status", data({"status": "DONE"}))
    server.on("GET", f"{base}/jobs", data([JOB]))
    server.on("GET", f"{base}/jobs/j-1/results_link", data({"results_link": f"{server.url}/store/j-1"}))
    server.on("GET", "/store/j-1", as_json({"counter": {"01": 3}}))
    server.on("GET", "/core/api/v1/devices/public-specs", data([{"device_type": "FRESNEL", "specs": "{}"}]))
    cloud = ovh(server)
    cloud.create_batch(CLOSED)
    assert cloud.get_batch("b-1").id == "b-1"
    assert cloud.batch_status("b-1").status == "DONE"
    assert [job.id for job in cloud.list_jobs("b-1")] == ["j-1"]
    assert cloud.get_job("j-1").id == "j-1"
    assert [(job, dict(result.counter)) for job, result in cloud.results(["j-1"])] == [("j-1", {"01": 3})]
    assert cloud.device_specs() == {"FRESNEL": "{}"}
    assert not cloud.is_twin
    assert server.received[0].json == {
        "sequence_builder": "{}",
        "jobs": [{"runs": 1, "variables": {}}],
        "open": False,
        "device_type": "EMU_FREE",
        "webhook": None,
    }
    assert server.received[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_what_ovh_does_not_offer_is_refused_here(server: Loopback) -> None:
    cloud = ovh(server)
    assert isinstance(cloud, OvhClient)
    calls: list[Callable[[], object]] = [
        lambda: cloud.create_batch(BatchRequest(sequence_builder="{}")),
        lambda: cloud.add_jobs("b-1", []),
        lambda: cloud.close_batch("b-1"),
        lambda: cloud.cancel_batch("b-1"),
        lambda: cloud.cancel_batches(["b-1"]),
        lambda: cloud.cancel_jobs("b-1"),
        lambda: cloud.cancel_job("j-1"),
        lambda: cloud.rebatch("b-1"),
        lambda: cloud.set_tags("b-1", []),
    ]
    for call in calls:
        with pytest.raises(RefusedError, match=r"OVH does not offer .*; nothing was sent"):
            call()
    assert server.received == []


def test_a_doubt_at_ovh_stays_one(server: Loopback) -> None:
    server.on("POST", f"/core{BASE}/batches", as_json({}, 504))
    cloud = ovh(server)
    with pytest.raises(UncertainError):
        cloud.create_batch(CLOSED)
    with pytest.raises(UnresolvedError) as caught:
        cloud.list_batches(tag="t")
    assert not isinstance(caught.value, (*DOUBTS, RefusedError, UnreachableError)), "run/ would send it again"
    assert caught.value.message == (
        "OVH cannot be asked whether the batch exists, and it may run and be paid: POST /api/v1/third-party-access/ovh/batches "
        "was answered with HTTP 504 after it was sent, so whether it was carried out is not known"
    )
    assert caught.value.exit_code == 3
    assert "`--new`" in caught.value.hint
    assert len(server.received) == 1
