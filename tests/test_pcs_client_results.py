"""Results come in the order asked, many at a time, without our token, checked, and with flat memory."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time as real_time
from typing import TYPE_CHECKING, Any

import pytest

from cloud_client import TOKEN, Time, client
from loopback import RESET, Loopback, Received, Reply, as_json, data
from pcs_runner.pcs.answers import UnavailableError
from pcs_runner.pcs.calls import Limits
from pcs_runner.pcs.downloads import in_order
from pcs_runner.pcs.errors import AnswerError, PcsError, RefusedError
from pcs_runner.pcs.job_calls import DOWNLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator

LINK = "/core/api/v1/jobs/j-1/results_link"
SIGNATURE = "X-Amz-Signature=signature-that-nobody-may-see"
RESULT = {"raw": ["01", "00"], "counter": {"01": 1, "00": 1}, "serialised_results": None}


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as loopback:
        yield loopback


def stored(server: Loopback, *replies: Any) -> None:
    """One job, whose results are stored under a presigned address."""
    server.on("GET", LINK, data({"results_link": f"{server.url}/store/j-1?{SIGNATURE}"}))
    server.on("GET", "/store/j-1", *replies)


def fetch(server: Loopback, time: Time | None = None, **options: Any) -> list[Any]:
    with client(server, time, **options) as cloud:
        return list(cloud.results(["j-1"]))


def failure(server: Loopback, time: Time | None = None, **options: Any) -> PcsError:
    with pytest.raises(PcsError) as caught:
        fetch(server, time, **options)
    return caught.value


def test_results_are_downloaded_without_the_token(server: Loopback) -> None:
    stored(server, as_json(RESULT))
    ((job_id, result),) = fetch(server)
    assert (job_id, result.counter, result.raw) == ("j-1", {"01": 1, "00": 1}, ["01", "00"])
    link, download = server.received
    assert link.headers["authorization"] == f"Bearer {TOKEN}"
    assert "authorization" not in download.headers
    assert download.query == (("X-Amz-Signature", "signature-that-nobody-may-see"),)


def many(server: Loopback, count: int, wait_s: float = 0.0) -> list[str]:
    ids = [f"j-{i}" for i in range(count)]
    for i, job_id in enumerate(ids):
        server.on("GET", f"/core/api/v1/jobs/{job_id}/results_link", data({"results_link": f"{server.url}/store/{job_id}"}))
        late = Reply(body=json.dumps({"counter": {"1": i}}).encode(), wait_s=wait_s * (3 if i % 7 == 0 else 1))
        server.on("GET", f"/store/{job_id}", late)
    return ids


def test_many_results_come_in_the_order_asked_and_at_once(server: Loopback) -> None:
    ids = many(server, 96, wait_s=0.05)
    begin = real_time.monotonic()
    with client(server) as cloud:
        assert [(job_id, result.counter["1"]) for job_id, result in cloud.results(iter(ids))] == list(zip(ids, range(96)))  # noqa: B905
    assert real_time.monotonic() - begin < 96 * 0.05 / 2
    assert server.connections <= DOWNLOADS


def test_no_more_is_fetched_than_the_window_holds(server: Loopback) -> None:
    ids = many(server, 300)
    asked = itertools.count()
    with client(server) as cloud:
        results = cloud.results(job_id for job_id, _ in zip(ids, asked))  # noqa: B905
        next(results)
        real_time.sleep(0.3)
        assert next(asked) <= 2 * DOWNLOADS + 2
        results.close()  # type: ignore[attr-defined]


def test_a_reader_that_stops_leaves_nothing_waiting() -> None:
    from concurrent.futures import ThreadPoolExecutor

    done: list[int] = []
    gate = threading.Semaphore(1)

    def wait(key: int) -> int:
        assert gate.acquire(timeout=5)
        done.append(key)
        return key

    with ThreadPoolExecutor(1) as pool:
        reader = in_order(range(10), wait, pool, 4)
        assert next(reader) == (0, 0)
        reader.close()  # type: ignore[attr-defined]
        gate.release(10)
    assert done in ([0], [0, 1])


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_an_address_that_has_expired_is_asked_for_once_more(server: Loopback, status: int) -> None:
    stored(server, Reply(status=status, body=b"<Error>Expired</Error>"), as_json(RESULT))
    assert fetch(server)[0][1].counter == {"01": 1, "00": 1}
    assert [one.path for one in server.received] == [LINK, "/store/j-1"] * 2
    stored(server, Reply(status=status, body=f"<Error>{SIGNATURE}</Error>".encode()))
    error = failure(server)
    assert isinstance(error, RefusedError)
    assert error.message == f"GET results of job j-1 was refused ({status})"
    assert error.response == ""
    assert len(server.received) == 8


@pytest.mark.parametrize(
    "fault", [RESET, as_json({}, 503), Reply(body=json.dumps(RESULT).encode(), cut=9), Reply(body=b"<html>")]
)
def test_a_download_that_fails_is_repeated(server: Loopback, fault: Reply) -> None:
    time = Time()
    stored(server, fault, as_json(RESULT))
    assert fetch(server, time)[0][1].raw == ["01", "00"]
    assert (len(server.received), time.slept) == (3, [0.5])


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (as_json({**RESULT, "counter": None}), "GET results of job j-1 gave no counter"),
        (as_json({**RESULT, "counter": [1]}), "GET results of job j-1 gave a counter that is a JSON list"),
        (
            as_json({**RESULT, "counter": {"0\x1b1": 1}}),
            "GET results of job j-1 gave a counter of something other than bitstrings",
        ),
        (as_json({**RESULT, "counter": {"": 1}}), "GET results of job j-1 gave a counter of something other than bitstrings"),
        (
            as_json({**RESULT, "counter": {"01": -1}}),
            "GET results of job j-1 gave a counter whose counts are not natural numbers",
        ),
        (
            as_json({**RESULT, "counter": {"01": True}}),
            "GET results of job j-1 gave a counter whose counts are not natural numbers",
        ),
        (
            as_json({**RESULT, "counter": {"01": 1.5}}),
            "GET results of job j-1 gave a counter whose counts are not natural numbers",
        ),
        (as_json({**RESULT, "raw": [1]}), "GET results of job j-1 gave raw shots that are not a list of bitstrings"),
        (as_json({**RESULT, "serialised_results": {}}), "GET results of job j-1 gave serialised results that are not text"),
        (as_json(None), "GET results of job j-1 gave a JSON null, not results"),
        (as_json([RESULT]), "GET results of job j-1 gave a JSON list, not results"),
        (Reply(body=b"\xff\xfe"), "GET results of job j-1 was answered with something that is not JSON"),
        (Reply(body=b""), "GET results of job j-1 was answered with nothing (HTTP 200)"),
    ],
)
def test_results_of_the_wrong_shape(server: Loopback, reply: Reply, message: str) -> None:
    stored(server, reply)
    error = failure(server)
    assert (type(error), error.message) == (AnswerError, message)


def test_a_job_without_results(server: Loopback) -> None:
    server.on("GET", LINK, data({"results_link": None}))
    error = failure(server)
    assert (error.message, error.hint) == (
        "the service has no results of job j-1",
        "They may come later, or were deleted.",
    )
    server.on("GET", LINK, data({}))
    assert failure(server).message == "GET /api/v1/jobs/j-1/results_link was answered without a results link"


@pytest.mark.parametrize(
    "link",
    [
        "http://example.com/x",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "https://user:word@example.com/x",
        "//x",
        7,
        "https://a b",
    ],
)
def test_an_address_that_cannot_be_trusted_is_not_followed(server: Loopback, link: Any) -> None:
    server.on("GET", LINK, data({"results_link": link}))
    assert failure(server).message == "GET /api/v1/jobs/j-1/results_link was answered with an address that cannot be trusted"


def test_results_that_are_too_long_or_too_slow_are_given_up(server: Loopback) -> None:
    stored(server, Reply(body=b" " * 5000))
    error = failure(server, limits=Limits(result=1000))
    assert error.message == "GET results of job j-1 failed: its answer is longer than 1000 bytes"
    stored(server, Reply(body=b" " * 5000, drip_s=0.05))
    begin = real_time.monotonic()
    error = failure(server, limits=Limits(attempt_s=0.3, total_s=0.4))
    assert isinstance(error, UnavailableError)
    assert real_time.monotonic() - begin < 1.5


def test_no_signature_appears_anywhere(server: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for reply in (RESET, as_json({"message": SIGNATURE}, 500), Reply(body=SIGNATURE.encode()), Reply(status=302)):
        stored(server, reply)
        error = failure(server)
        texts = [error.message, error.hint, error.description, error.response, repr(error), repr(error.__context__)]
        assert not any("nobody-may-see" in text for text in texts)
    assert "GET /store/j-1?***" in caplog.text
    assert "nobody-may-see" not in caplog.text


def test_redirects_of_a_download_are_not_followed(server: Loopback) -> None:
    def redirect(_: Received) -> Reply:
        return Reply(status=307, headers={"Location": f"{server.url}/elsewhere"})

    stored(server, redirect)
    assert failure(server).message == "GET results of job j-1 was redirected (HTTP 307), and redirects are not followed"
    assert "/elsewhere" not in {one.path for one in server.received}
