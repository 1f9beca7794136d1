"""`pcs-run serve --fault` as a bare client meets it: each fault, what is on record of it, and the control path."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pcs_runner.cli import main
from pcs_runner.emulator.server.access import Access
from pcs_runner.emulator.server.app import create_app
from pcs_runner.emulator.server.faults import connection
from pcs_runner.emulator.server.faults.layer import FaultLayer
from pcs_runner.emulator.server.service import Service
from pcs_runner.emulator.server.webhooks import Webhooks
from pcs_runner.emulator.twin import Twin
from twin_sequences import PI_OMEGA, long, rabi
from twin_server import TwinServer, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTROL = "/_twin/faults"
BATCHES = "/api/v1/batches"
JOB = {"runs": 10, "variables": {"omega": PI_OMEGA}}


@pytest.fixture(scope="module")
def server() -> Iterator[TwinServer]:
    with serving("--workers", "1", "--fault-control") as twin:
        yield twin


@pytest.fixture(autouse=True)
def no_rules(server: TwinServer) -> Iterator[None]:
    """Each test begins and ends with a good token and without rules."""
    server.session.headers["Authorization"] = f"Bearer {server.token()}"
    yield
    server.session.headers["Authorization"] = f"Bearer {server.token()}"
    control(server, "DELETE")


def control(server: TwinServer, method: str, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = server.data(method, server.root + CONTROL, **options)
    return answer


def add(server: TwinServer, *rules: str) -> int:
    """Put rules into force; the number of the last fault so far."""
    fired = control(server, "POST", json={"rules": list(rules)})["fired"]
    return int(fired[-1]["number"]) if fired else 0


def fired(server: TwinServer, after: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = control(server, "GET", params={"after": after})["fired"]
    return found


def create(server: TwinServer, count: int = 0, **changes: Any) -> str:
    body = {"sequence_builder": rabi(), "jobs": [JOB] * count, "open": True, "device_type": "EMU_FREE", **changes}
    body["configuration"] = {"engine": "qutip"}
    return str(server.data("POST", BATCHES, json=server.batch_body(**body))["id"])


def jobs_count(server: TwinServer, batch: str) -> int:
    return int(server.data("GET", f"/api/v2/batches/{batch}")["jobs_count"])


def status_of(server: TwinServer, batch: str) -> dict[str, Any]:
    status: dict[str, Any] = server.data("GET", f"/api/v1/batches/{batch}/status")
    return status


def eventually(question: Callable[[], bool], within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not question():
        assert time.monotonic() < end
        time.sleep(0.05)


# Answers


@pytest.mark.parametrize(
    ("settings", "status", "body"),
    [
        ("status=500", 500, '"code":"HTTP_500"'),
        ("status=404, body=empty", 404, ""),
        ("status=502, body=html", 502, "<h1>502 Bad Gateway</h1>"),
        ("status=599", 599, "Unknown"),
        ("body=null-data", 200, '"data":null'),
        ("body=list", 200, "[1,2]"),
        ("body=list-data", 200, '"data":[1,2]'),
        ("body=text-data", 200, '"data":"nothing of use"'),
        ("body=garbage", 200, "\x00"),
        ("status=200", 200, '"data":{}'),
    ],
)
def test_an_answer_of_our_own(settings: str, status: int, body: str, server: TwinServer) -> None:
    add(server, f"GET {BATCHES}: {settings}")
    answer = server.ask("GET", BATCHES)
    assert answer.status_code == status
    assert body in answer.text if body else answer.content == b""
    add(server, "GET /api/v2/jobs: body=no-data")
    assert "data" not in server.ask("GET", "/api/v2/jobs").json()


def test_before_and_after_processing(server: TwinServer) -> None:
    batch = create(server)
    last = add(
        server,
        "POST /api/v2/batches/*/jobs #1: status=503, retry-after=7",
        "POST /api/v2/batches/*/jobs #2: status=502, when=after",
    )
    before, after = (server.ask("POST", f"/api/v2/batches/{batch}/jobs", json=[JOB]) for _ in range(2))
    assert (before.status_code, before.headers["Retry-After"], after.status_code) == (503, "7", 502)
    assert jobs_count(server, batch) == 1
    first, second = fired(server, last)
    assert (first["processed"], second["processed"]) == ([], [200])
    assert (first["method"], first["path"], first["match"], first["ended"]) == (
        "POST",
        f"/core-fast/api/v2/batches/{batch}/jobs",
        1,
        True,
    )
    assert [(one["matched"], one["fired"]) for one in control(server, "GET")["rules"]] == [(2, 1), (2, 1)]


def test_a_redirect_names_the_same_request_or_another_place(server: TwinServer) -> None:
    add(server, f"GET {BATCHES} #1: redirect", f"GET {BATCHES} #2: redirect=/elsewhere, status=302")
    same, other = (server.ask("GET", f"{BATCHES}?limit=3", allow_redirects=False) for _ in range(2))
    assert (same.status_code, same.headers["Location"]) == (307, f"{server.core}{BATCHES}?limit=3")
    assert (other.status_code, other.headers["Location"]) == (302, "/elsewhere")


# Connections


@pytest.mark.parametrize("settings", ["reset", "close"])
def test_a_broken_connection(settings: str, server: TwinServer) -> None:
    """A reset is a real RST, a closed connection an empty one; the request was carried out only with `when=after`."""
    add(server, f"POST {BATCHES} #1: {settings}", f"POST {BATCHES} #2: {settings}, when=after")
    tag = f"broken-{settings}"
    for made in (0, 1):
        with pytest.raises(requests.ConnectionError) as told:
            create(server, tags=[tag])
        assert ("Connection reset by peer" in str(told.value)) is (settings == "reset")
        assert ("closed connection without response" in str(told.value)) is (settings == "close")
        assert len(server.data("GET", BATCHES, params={"tag": tag})) == made


@pytest.mark.parametrize("amount", [None, 0, 5, 10**6])
def test_a_truncated_answer(amount: int | None, server: TwinServer) -> None:
    """Its Content-Length says more than comes, even if less than one byte is to be missing."""
    add(server, f"GET {BATCHES}: truncate" + ("" if amount is None else f"={amount}"))
    parts = urlsplit(server.core)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    link.request("GET", f"{parts.path}{BATCHES}", headers={"Authorization": str(server.session.headers["Authorization"])})
    answer = link.getresponse()
    with pytest.raises(http.client.IncompleteRead) as told:
        answer.read()
    whole = int(answer.headers["Content-Length"])
    assert len(told.value.partial) == {None: whole // 2, 0: 0, 5: 5, 10**6: whole - 1}[amount]
    link.close()


@pytest.mark.parametrize(("settings", "seen"), [("stall", b""), ("stall=9", b'{"status"')])
def test_a_stall_lasts_until_the_client_gives_up(settings: str, seen: bytes, server: TwinServer) -> None:
    last = add(server, f"GET {BATCHES}: {settings}")
    parts = urlsplit(server.core)
    with socket.create_connection((parts.hostname, parts.port), timeout=0.8) as link:
        token = server.session.headers["Authorization"]
        link.sendall(f"GET {parts.path}{BATCHES} HTTP/1.1\r\nHost: x\r\nAuthorization: {token!s}\r\n\r\n".encode())
        came = b""
        with pytest.raises(TimeoutError):  # noqa: PT012 - whichever recv it is
            while part := link.recv(4096):
                came += part
        assert came.rpartition(b"\r\n\r\n")[2] == seen
        assert not fired(server, last)[0]["ended"]
    eventually(lambda: bool(fired(server, last)[0]["ended"]), within_s=5)


def test_a_slow_drip_and_a_delay(server: TwinServer) -> None:
    last = add(server, f"GET {BATCHES} #1: drip=200", f"GET {BATCHES} #2: delay=0.4", f"GET {BATCHES} #3: status=500, delay=0.4")
    for status, at_least_s in ((200, 0.3), (200, 0.4), (500, 0.4)):
        begin = time.monotonic()
        answer = server.ask("GET", BATCHES, params={"tag": "nobody"})
        assert answer.status_code == status
        assert time.monotonic() - begin >= at_least_s
    assert [one["processed"] for one in fired(server, last)] == [[200], [200], []]


# What is stored, and when


def test_part_of_a_chunk_is_stored(server: TwinServer) -> None:
    """Also of a gzipped one, and of the jobs that a batch is made with."""
    batch = create(server)
    last = add(
        server,
        "POST /api/v2/batches/*/jobs #1: store=2",
        "POST /api/v2/batches/*/jobs #2: store=1, reset",
        f"POST {BATCHES}: store=1, status=500",
    )
    assert server.ask("POST", f"/api/v2/batches/{batch}/jobs", json=[JOB] * 5).status_code == 502
    assert jobs_count(server, batch) == 2
    with pytest.raises(requests.ConnectionError):
        server.ask("POST", f"/api/v2/batches/{batch}/jobs", json=[JOB] * 5)
    assert jobs_count(server, batch) == 3
    body = server.batch_body(sequence_builder=rabi(), jobs=[JOB] * 4, device_type="EMU_FREE", tags=["in part"])
    assert server.ask("POST", BATCHES, json=body).status_code == 500
    assert [one["jobs_count"] for one in server.data("GET", BATCHES, params={"tag": "in part"})] == [1]
    assert [(one["stored"], one["processed"]) for one in fired(server, last)] == [(2, [200]), (1, [200]), (1, [200])]


def test_a_request_is_applied_late_or_twice(server: TwinServer) -> None:
    batch = create(server)
    path = f"/api/v2/batches/{batch}/jobs"
    last = add(
        server,
        "POST /api/v2/batches/*/jobs #1: late=0.5",
        "POST /api/v2/batches/*/jobs #2: replay",
        "POST /api/v2/batches/*/jobs #3: replay=0.5, reset, when=after",
    )
    assert server.ask("POST", path, json=[JOB]).status_code == 504
    assert jobs_count(server, batch) == 0
    eventually(lambda: jobs_count(server, batch) == 1, within_s=10)
    assert server.data("POST", path, json=[JOB])["jobs_count"] == 2  # the answer to the first of the two
    assert jobs_count(server, batch) == 3
    with pytest.raises(requests.ConnectionError):
        server.ask("POST", path, json=[JOB])
    assert jobs_count(server, batch) == 4
    eventually(lambda: jobs_count(server, batch) == 5, within_s=10)
    assert [one["processed"] for one in fired(server, last)] == [[200], [200, 200], [200, 200]]


def test_lists_lag_behind(server: TwinServer) -> None:
    """What is young is neither shown nor counted; one's own `end_date` still holds."""
    batch = create(server, 1, tags=["lag"])
    add(server, f"GET {BATCHES}: lag=1", "GET /api/v2/jobs: lag=1")

    def seen() -> tuple[int, int]:
        batches = server.ask("GET", BATCHES, params={"tag": "lag"}).json()
        jobs = server.ask("GET", "/api/v2/jobs", params={"batch_id": batch}).json()
        assert (len(batches["data"]), len(jobs["data"])) == (batches["pagination"]["total"], jobs["pagination"]["total"])
        return len(batches["data"]), len(jobs["data"])

    assert seen() == (0, 0)
    assert jobs_count(server, batch) == 1
    eventually(lambda: seen() == (1, 1), within_s=10)
    assert server.data("GET", BATCHES, params={"tag": "lag", "end_date": "2020-01-01T00:00:00Z"}) == []
    assert server.ask("GET", BATCHES, params={"end_date": "yesterday"}).status_code == 422


def test_an_expired_token_stays_so(server: TwinServer) -> None:
    add(server, f"GET {BATCHES} #1: expire=token")
    told = [server.ask("GET", path) for path in (BATCHES, BATCHES, "/api/v2/jobs")]
    assert [(one.status_code, one.json()["message"]) for one in told] == [(401, "the bearer token has expired")] * 3
    server.session.headers["Authorization"] = f"Bearer {server.token()}"
    assert server.ask("GET", BATCHES).status_code == 200


def test_an_expired_link_can_be_asked_for_again(server: TwinServer) -> None:
    batch = create(server, 1, open=False)
    eventually(lambda: status_of(server, batch)["status"] == "DONE", within_s=120)
    (job,) = server.data("GET", "/api/v2/jobs", params={"batch_id": batch})
    link = server.data("GET", f"/api/v1/jobs/{job['id']}/results_link")["results_link"]
    last = add(server, "GET /storage/results/* #1: expire=link")
    expired, good = requests.get(link, timeout=10), requests.get(link, timeout=10)
    assert (expired.status_code, "Request has expired" in expired.text) == (403, True)
    assert good.json()["counter"] == {"1": 10}
    assert "Signature" not in str(fired(server, last))


# Statuses


@pytest.mark.parametrize("status", ["PAUSED", "HIBERNATING"])
def test_a_batch_is_held_and_goes_on(status: str, server: TwinServer) -> None:
    before = create(server, 1, open=False)
    eventually(lambda: status_of(server, before)["status"] == "DONE", within_s=120)  # so that the worker is quick
    last = add(server, f"POST {BATCHES}: batch={status}, for=1")
    batch = create(server, 3, open=False)
    held = status_of(server, batch)
    assert held["status"] == status
    time.sleep(0.5)
    assert status_of(server, batch) == held
    assert fired(server, last)[0]["changed"] == [f"batch {batch} {status}"]
    eventually(lambda: status_of(server, batch)["status"] == "DONE")
    assert status_of(server, batch)["jobs_count_per_status"] == {"DONE": 3}


def test_a_job_is_held_and_goes_on(server: TwinServer) -> None:
    """Those behind it wait: the jobs of a batch run in order."""
    last = add(server, f"POST {BATCHES}: job=PAUSED, position=1, for=1.5")
    batch = create(server, 4, open=False)
    counts = status_of(server, batch)["jobs_count_per_status"]
    assert counts["PAUSED"] == 1
    assert fired(server, last)[0]["changed"][0].endswith(" PAUSED")
    eventually(lambda: status_of(server, batch)["status"] == "DONE")
    assert status_of(server, batch)["jobs_count_per_status"] == {"DONE": 4}


@pytest.mark.parametrize("status", ["ERROR", "TIMED_OUT", "CANCELED"])
def test_a_batch_ends(status: str, server: TwinServer) -> None:
    """For good: what has not ended is cancelled, and no more jobs are taken."""
    batch = create(server, 2, sequence_builder=long(), jobs=[{"runs": 1}] * 2)
    add(server, f"GET /api/v2/batches/*: batch={status}")
    payload = server.data("GET", f"/api/v2/batches/{batch}")
    assert (payload["status"], payload["open"], payload["jobs_count_per_status"]) == (status, False, {"CANCELED": 2})
    assert server.ask("POST", f"/api/v2/batches/{batch}/jobs", json=[{"runs": 1}]).json()["code"] == "BATCH_ENDED"


def test_a_job_ends_in_an_error(server: TwinServer) -> None:
    """By its own id, or as the one at a position; a job that has ended is left alone."""
    batch = create(server, 0, sequence_builder=long(), jobs=[{"runs": 1}] * 3)
    first, second, third = (job["id"] for job in jobs_in_order(server, batch))
    last = add(server, "GET /api/v1/jobs/*/status: job=ERROR", f"GET /api/v1/batches/{batch}/status: job=TIMED_OUT, position=2")
    assert server.data("GET", f"/api/v1/jobs/{second}/status")["status"] == "ERROR"
    server.data("GET", f"/api/v1/jobs/{second}/status")
    assert status_of(server, batch)["jobs_count_per_status"]["TIMED_OUT"] == 1
    assert [one["changed"] for one in fired(server, last)] == [[f"job {second} ERROR"], [], [f"job {third} TIMED_OUT"]]
    jobs = jobs_in_order(server, batch)
    assert (jobs[1]["errors"], jobs[2]["status"]) == (["the service gave up on this job"], "TIMED_OUT")
    assert server.data("PATCH", f"/api/v2/batches/{batch}/cancel")["status"] == "CANCELED"
    assert server.data("GET", f"/api/v2/jobs/{first}")["status"] == "CANCELED"


def jobs_in_order(server: TwinServer, batch: str) -> list[dict[str, Any]]:
    query = {"batch_id": batch, "order_by": "creation_order", "order_by_direction": "ASC"}
    jobs: list[dict[str, Any]] = server.data("GET", "/api/v2/jobs", params=query)
    return jobs


def test_what_was_held_goes_on_after_a_restart(tmp_path: Path) -> None:
    twin = Twin(tmp_path, execute=False)
    body: dict[str, Any] = {"sequence_builder": rabi(), "jobs": [JOB], "open": True, "device_type": "EMU_FREE"}
    batches = [twin.create_batch(body)["id"] for _ in range(2)]
    assert twin.statuses.set_batch("PAUSED", batch_id=batches[0]) == batches[0]
    assert twin.statuses.set_job("PAUSED", batch_id=batches[1]) is not None
    assert twin.statuses.set_batch("PAUSED", batch_id="nobody") is None
    twin.close()
    again = Twin(tmp_path, workers=1)
    states = [again.batch_status(batch) for batch in batches]
    again.close()
    assert {state["status"] for state in states} <= {"PENDING", "RUNNING"}
    assert [state["jobs_count_per_status"].get("PAUSED") for state in states] == [None, None]


# The control path


def test_rules_come_and_go(server: TwinServer) -> None:
    add(server, f"GET {BATCHES} #1: status=500", f"GET {BATCHES}: note")
    assert [server.ask("GET", BATCHES).status_code for _ in range(3)] == [500, 200, 200]
    rules = control(server, "GET")["rules"]
    assert [(rule["rule"], rule["matched"], rule["fired"]) for rule in rules] == [
        (f"GET {BATCHES} #1: status=500", 3, 1),
        (f"GET {BATCHES}: note", 3, 2),
    ]
    left = control(server, "DELETE", params={"id": rules[0]["id"]})
    assert [rule["id"] for rule in left["rules"]] == [rules[1]["id"]]
    assert control(server, "DELETE")["rules"] == []
    assert [one["number"] for one in left["fired"]] == list(range(1, len(left["fired"]) + 1))


def test_a_bad_rule_adds_none(server: TwinServer) -> None:
    rules = [f"GET {BATCHES}: reset", "GET /x: rest"]
    answer = server.ask("POST", server.root + CONTROL, json={"rules": rules})
    assert answer.status_code == 422
    assert "fault rule 'GET /x: rest', character 9: 'rest' is not a setting" in answer.json()["message"]
    assert control(server, "GET")["rules"] == []
    bodies: list[Any] = [{}, {"rules": []}, {"rules": "GET /x: reset"}, [1]]
    for body in bodies:
        assert server.ask("POST", server.root + CONTROL, json=body).status_code == 422
    assert server.ask("PUT", server.root + CONTROL).status_code == 405
    assert server.ask("DELETE", f"{server.root}{CONTROL}?id=x").status_code == 422


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer wrong.wrong.wrong"}, 401),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "[::"}, 403),
        ({"Host": "localhost:1"}, 200),
    ],
)
def test_who_may_control(headers: dict[str, str], status: int, server: TwinServer) -> None:
    assert server.ask("DELETE", server.root + CONTROL, headers=headers).status_code == status


def test_a_rule_does_not_meet_the_control_path(server: TwinServer) -> None:
    add(server, "* /**: reset")
    with pytest.raises(requests.ConnectionError):
        server.ask("GET", BATCHES)
    assert len(control(server, "DELETE")["rules"]) == 0
    assert server.ask("GET", BATCHES).status_code == 200


def test_off_by_default_and_told_with_v() -> None:
    """Without `--fault-control` there is no such path; with -v each fault is a line on stderr."""
    with serving("--fault", f"GET {BATCHES} #1: status=500", "--fault", "* /**: note", "-v") as twin:
        assert [twin.ask("GET", BATCHES).status_code for _ in range(2)] == [500, 200]
        assert twin.ask("GET", twin.root + CONTROL).status_code == 404
        twin.stop()
        assert twin.process.stderr is not None
        assert f"'GET {BATCHES} #1: status=500': GET /core-fast{BATCHES}, match 1" in twin.process.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fault", "POST /x: rest"], "fault rule 'POST /x: rest', character 10: 'rest' is not a setting"),
        (["--fault-control", "--host", "0.0.0.0", "--allow-remote"], "other machines could change the faults"),
    ],
)
def test_a_bad_start(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PCS_RUNNER_SERVE_TOKEN", "of my own")
    assert main(["serve", "--port", "0", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("error:")) == ("", 1)
    assert words in err


# The layer in a program of one's own


@contextmanager
def in_process(layer: FaultLayer, twin: Twin, protocol: type[asyncio.Protocol] | str) -> Iterator[str]:
    """The twin with a layer on uvicorn in a thread of this process, with asyncio's own loop."""
    access = Access(key=b"k" * 32, username="u", password="p", user_id="i", static_token="token")
    app = create_app(Service(twin=twin, access=access, webhooks=Webhooks(twin)), layers=[layer])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, http=protocol, loop="asyncio", lifespan="off", log_config=None)
        own = uvicorn.Server(config)
        thread = threading.Thread(target=own.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/core-fast"
        finally:
            own.should_exit = True
            thread.join(10)


@pytest.mark.parametrize("protocol", [HttpToolsProtocol, H11Protocol])
def test_every_http_implementation(protocol: type[asyncio.Protocol], tmp_path: Path) -> None:
    twin = Twin(tmp_path, execute=False)
    layer = FaultLayer([f"GET {BATCHES} #1: reset", f"GET {BATCHES} #2: close"], twin=twin)
    seen = []
    with in_process(layer, twin, connection.reachable(protocol)) as core:
        layer.book.add(f"GET {BATCHES} #3: truncate", f"GET {BATCHES} #4: stall", f"GET {BATCHES} #5: drip=1000")
        for _ in range(5):
            try:
                answer = requests.get(core + BATCHES, headers={"Authorization": "Bearer token"}, timeout=0.5)
                seen.append(str(len(answer.json()["data"])))
            except requests.RequestException as error:
                seen.append(str(error))
    twin.close()
    words = ["reset by peer", "without response", "IncompleteRead", "timed out", "0"]
    assert [word in text for word, text in zip(words, seen, strict=True)] == [True] * 5, seen
    assert [one.rule_id for one in layer.book.fired()] == [1, 2, 3, 4, 5]


def test_a_server_that_hides_its_connections(tmp_path: Path) -> None:
    """Without `reachable` the client gets a 500, and the log says why."""
    twin = Twin(tmp_path, execute=False)
    with in_process(FaultLayer([f"GET {BATCHES}: reset"], twin=twin), twin, "h11") as core:
        assert requests.get(core + BATCHES, timeout=10).status_code == 500
    twin.close()
