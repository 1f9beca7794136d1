"""What goes wrong on the way to the service: each fault has its message, and a POST is never sent twice unless that is safe."""

from __future__ import annotations

import gzip
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time as real_time
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from cloud_client import BATCH, TOKEN, Time, client, endpoints
from loopback import PAGE, RESET, Loopback, Reply, as_json, data, refusal
from pcs_runner.pcs.access import Access
from pcs_runner.pcs.answers import UnavailableError
from pcs_runner.pcs.auth import AuthError, Bearer, static_origin
from pcs_runner.pcs.calls import Limits
from pcs_runner.pcs.client import Client, Wire
from pcs_runner.pcs.errors import AnswerError, NotFoundError, PcsError, RefusedError, UncertainError, UnreachableError
from pcs_runner.pcs.faults import TLS_HINT
from pcs_runner.pcs.protocol import BatchRequest, JobRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GET = "/core/api/v2/batches/b-1"
POST = "/core/api/v2/batches/b-1/jobs"
SHORT = Limits(attempt_s=0.4, total_s=0.6)
JOBS = [JobRequest(runs=1)]
DOUBT = "POST /api/v2/batches/b-1/jobs was answered with HTTP {} after it was sent, so whether it was carried out is not known"
SILENCE = "POST /api/v2/batches/b-1/jobs was sent, but {}; whether it was carried out is not known"


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as loopback:
        yield loopback


def ask(server: Loopback | str, time: Time | None = None, **options: Any) -> PcsError:
    """The error of a question."""
    with pytest.raises(PcsError) as caught:
        client(server, time, **options).get_batch("b-1")
    return caught.value


def tell(server: Loopback | str, time: Time | None = None, **options: Any) -> PcsError:
    """The error of a request that changes something."""
    with pytest.raises(PcsError) as caught:
        client(server, time, **options).add_jobs("b-1", JOBS)
    return caught.value


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def own_certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    file = folder / "own.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    subprocess.run([openssl, *words.split(), "-keyout", file, "-out", folder / "crt.pem"], check=True, capture_output=True)
    file.write_text(file.read_text() + (folder / "crt.pem").read_text())
    return file


PASSING = [
    PAGE,
    as_json({}, 500),
    as_json({}, 503),
    as_json({}, 429),
    RESET,
    Reply(body=data(BATCH).body, cut=20),
    Reply(body=b""),
    Reply(body=b"<html><body>maintenance</body></html>"),
    as_json({"status": "success"}),
    as_json([1]),
    data(None),
]


@pytest.mark.parametrize("fault", PASSING)
def test_a_question_is_asked_again(server: Loopback, fault: Reply) -> None:
    time = Time()
    server.on("GET", GET, fault, fault, data(BATCH))
    assert client(server, time).get_batch("b-1").id == "b-1"
    assert len(server.received) == 3
    assert time.slept == [0.5, 1.0]


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        (
            PAGE,
            UnavailableError,
            'GET /api/v2/batches/b-1 was answered with HTTP 502 6 times: a web page titled "502 Bad [31mGateway"',
        ),
        (
            as_json({"message": "sorry"}, 500),
            UnavailableError,
            "GET /api/v2/batches/b-1 was answered with HTTP 500 6 times: sorry",
        ),
        (RESET, UnavailableError, "GET /api/v2/batches/b-1 failed 6 times: the connection broke before the answer was there"),
        (
            Reply(body=data(BATCH).body, cut=20),
            UnavailableError,
            "GET /api/v2/batches/b-1 failed 6 times: its answer (HTTP 200) was cut off",
        ),
        (Reply(body=b" "), AnswerError, "GET /api/v2/batches/b-1 was answered with nothing (HTTP 200)"),
        (
            Reply(body=b"<!doctype html><h1>Log in</h1>"),
            AnswerError,
            'GET /api/v2/batches/b-1 was answered with a web page instead of JSON titled "Log in"',
        ),
        (Reply(body=b"{'a': 1}"), AnswerError, "GET /api/v2/batches/b-1 was answered with something that is not JSON"),
        (Reply(body=b"[" * 100_000), AnswerError, "GET /api/v2/batches/b-1 was answered with something that is not JSON"),
        (as_json({"status": "success"}), AnswerError, "GET /api/v2/batches/b-1 was answered with JSON without data"),
        (data(None), AnswerError, "GET /api/v2/batches/b-1 was answered with JSON without data"),
        (as_json([BATCH]), AnswerError, "GET /api/v2/batches/b-1 was answered with a JSON list"),
    ],
)
def test_a_question_that_stays_without_an_answer(server: Loopback, fault: Reply, kind: type[PcsError], message: str) -> None:
    time = Time()
    server.on("GET", GET, fault)
    error = ask(server, time)
    assert (type(error), error.message) == (kind, message)
    assert len(server.received) == 6
    assert time.slept == [0.5, 1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (["not a batch"], "GET /api/v2/batches/b-1 was answered with something that is not a batch"),
        ({"status": "DONE"}, "GET /api/v2/batches/b-1 was answered with a batch whose id is None"),
        ({**BATCH, "id": "../b"}, "GET /api/v2/batches/b-1 was answered with a batch whose id is '../b'"),
        ({**BATCH, "id": "b-2"}, "GET /api/v2/batches/b-1 was answered with another batch, b-2"),
        ({"id": "b-1"}, "GET /api/v2/batches/b-1 was answered with a batch that cannot be read (ValidationError)"),
        ({**BATCH, "jobs": [7]}, "GET /api/v2/batches/b-1 was answered with a batch that cannot be read (ValidationError)"),
    ],
)
def test_data_of_the_wrong_shape(server: Loopback, answer: Any, message: str) -> None:
    if answer == {**BATCH, "jobs": [7]}:
        answer["jobs_count"] = 1
        message = message.replace("ValidationError", "TypeError")
    server.on("GET", GET, data(answer))
    assert ask(server).message == message


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        (
            PAGE,
            UncertainError,
            f'{DOUBT.format(502)}: a web page titled "502 Bad [31mGateway"',
        ),
        (
            as_json({}, 408),
            UncertainError,
            DOUBT.format(408),
        ),
        (
            RESET,
            UncertainError,
            SILENCE.format("the connection broke before the answer was there"),
        ),
        (
            Reply(body=data(BATCH).body, cut=20),
            UncertainError,
            SILENCE.format("its answer (HTTP 200) was cut off"),
        ),
        (as_json({}), AnswerError, "POST /api/v2/batches/b-1/jobs was answered with JSON without data"),
        (Reply(body=b"<html>"), AnswerError, "POST /api/v2/batches/b-1/jobs was answered with a web page instead of JSON"),
    ],
)
def test_a_post_with_an_unclear_outcome_is_sent_once(server: Loopback, fault: Reply, kind: type[PcsError], message: str) -> None:
    time = Time()
    server.on("POST", POST, fault)
    error = tell(server, time)
    assert (type(error), error.message) == (kind, message)
    assert (len(server.received), time.slept) == (1, [])


def test_a_post_without_a_connection_is_repeated_because_it_did_not_arrive() -> None:
    time = Time()
    port = free_port()
    error = tell(f"http://127.0.0.1:{port}", time)
    assert isinstance(error, UnreachableError)
    assert error.message == (
        f"POST /api/v2/batches/b-1/jobs failed 6 times: no connection to 127.0.0.1:{port} (Connection refused)"
    )
    assert error.hint == "Check the network, then try again."
    assert time.slept == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_what_a_caller_is_handling_says_nothing_about_the_next_request(server: Loopback) -> None:
    server.on("POST", POST, RESET)
    connection = urllib3.connection.HTTPConnection("127.0.0.1")
    try:
        raise urllib3.exceptions.NewConnectionError(connection, "an earlier one")
    except urllib3.exceptions.NewConnectionError:
        error = tell(server)
    assert isinstance(error, UncertainError)
    assert len(server.received) == 1


def test_a_question_without_a_connection_does_not_claim_that_nothing_arrived_before() -> None:
    error = ask(f"http://127.0.0.1:{free_port()}")
    assert isinstance(error, UnavailableError)
    assert not isinstance(error, UnreachableError)


def test_a_name_that_does_not_resolve() -> None:
    error = tell("https://service.invalid")
    assert isinstance(error, UnreachableError)
    assert error.message == "POST /api/v2/batches/b-1/jobs failed 6 times: the name of service.invalid cannot be resolved"


@pytest.mark.parametrize(
    ("header", "waits", "told"),
    [
        ("7", [7.0], []),
        ("45", [45.0], [("the service is busy (HTTP 429 to POST /api/v2/batches/b-1/jobs)", 45.0)]),
        (
            "3600",
            [60.0],
            [("the service is busy (HTTP 429 to POST /api/v2/batches/b-1/jobs, which asked for 3600 s)", 60.0)],
        ),
        ("Sun, 01 Nov 2026 12:00:09 GMT", [9.0], []),
        ("Sun, 01 Nov 2026 11:00:00 GMT", [0.0], []),
        ("in a while", [0.5], []),
        ("-3", [0.0], []),
        ("nan", [0.5], []),
        (None, [0.5], []),
    ],
)
def test_a_post_that_was_told_to_wait_waits_and_is_sent_again(
    server: Loopback, header: str | None, waits: list[float], told: list[tuple[str, float]]
) -> None:
    time, heard = Time(), list[tuple[str, float]]()
    headers = {} if header is None else {"Retry-After": header}
    server.on("POST", POST, as_json({}, 429, **headers), data(BATCH))
    cloud = client(server, time, on_wait=lambda reason, seconds: heard.append((reason, seconds)))
    cloud.add_jobs("b-1", JOBS)
    assert (len(server.received), time.slept, heard) == (2, waits, told)


def test_a_service_that_stays_busy_is_given_up(server: Loopback) -> None:
    time = Time()
    server.on("POST", POST, as_json({}, 429, **{"Retry-After": "3600"}))
    error = tell(server, time, on_wait=lambda *_: None)
    assert isinstance(error, RefusedError)
    assert error.message == "POST /api/v2/batches/b-1/jobs was refused (429) 6 times"
    assert error.hint == "Wait some minutes, or run fewer things at once."
    assert time.slept == [60.0] * 5


@pytest.mark.parametrize(
    ("reply", "kind", "message", "hint"),
    [
        (refusal(404, "BATCH_NOT_FOUND", "No batch."), NotFoundError, "was refused (404, BATCH_NOT_FOUND): No batch.", ""),
        (
            refusal(403, "FORBIDDEN", "Project p-1 is not yours"),
            RefusedError,
            "was refused (403, FORBIDDEN): Project p-1 is not yours",
            "Check that PASQAL_PROJECT_ID is a project of yours whose contract has not ended; to see yours: `pcs-run login`.",
        ),
        (
            refusal(403, "X", "Contract expired on 2026-01-01"),
            RefusedError,
            "was refused (403, X): Contract expired on 2026-01-01",
            "The project's contract has ended or does not cover it; ask the project's owner. EMU_FREE needs none.",
        ),
        (
            as_json({"detail": [{"loc": ["body", 0, "runs"], "msg": "too many"}]}, 422),
            RefusedError,
            "was refused (422): body.0.runs: too many",
            "",
        ),
        (Reply(status=400, body=b"bad \x1b[2J\n thing"), RefusedError, "was refused (400): bad [2J thing", ""),
        (
            Reply(status=413, body=b"<html><title>413</title>"),
            RefusedError,
            'was refused (413): a web page titled "413"',
            "Send fewer jobs in a request: `chunk` of the target's batch options.",
        ),
    ],
)
def test_a_refusal_is_said_in_the_services_own_words(
    server: Loopback, reply: Reply, kind: type[PcsError], message: str, hint: str
) -> None:
    server.on("POST", POST, reply)
    error = tell(server)
    assert (type(error), error.message) == (kind, f"POST /api/v2/batches/b-1/jobs {message}")
    assert (error.hint, error.status, len(server.received)) == (hint, reply.status, 1)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(server: Loopback, status: int) -> None:
    target = f"{server.url}/elsewhere?token=secret"
    reply = Reply(status=status, headers={"Location": target})
    server.on("GET", GET, reply)
    server.on("POST", POST, reply)
    for error, method in ((ask(server), "GET /api/v2/batches/b-1"), (tell(server), "POST /api/v2/batches/b-1/jobs")):
        assert isinstance(error, AnswerError)
        assert error.message == (
            f"{method} was redirected to {server.url}/elsewhere (HTTP {status}), and redirects are not followed"
        )
    assert [one.path for one in server.received] == [GET, POST]


@pytest.mark.parametrize("drip", [Reply(wait_s=3.0, body=data(BATCH).body), Reply(drip_s=0.05, body=data(BATCH).body)])
def test_neither_a_stall_nor_a_slow_drip_outlives_the_deadline(server: Loopback, drip: Reply) -> None:
    server.on("GET", GET, drip)
    server.on("POST", POST, drip)
    begin = real_time.monotonic()
    error = tell(server, limits=SHORT)
    assert real_time.monotonic() - begin < 1.2
    assert isinstance(error, UncertainError)
    assert error.message == SILENCE.format("there was no whole answer within 1 s")
    begin = real_time.monotonic()
    time = Time()
    assert isinstance(ask(server, time, limits=SHORT), UnavailableError)
    assert real_time.monotonic() - begin < 1.2
    assert len(server.calls("POST")) == 1


def test_a_call_with_its_repetitions_has_a_deadline(server: Loopback) -> None:
    time = Time()

    def slow(_: Any) -> Reply:
        time.pass_by(25)
        return as_json({}, 503)

    server.on("GET", GET, slow)
    ask(server, time)
    assert time.seconds - 1000 <= 60 + 25
    assert len(server.received) == 3


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b" " * 200_000, {}),
        (gzip.compress(b" " * 50_000_000), {"Content-Encoding": "gzip"}),
        (b" " * 10, {"Content-Length": "99999999999"}),
    ],
)
def test_a_gigantic_body_and_a_decompression_bomb_are_left_unread(server: Loopback, body: bytes, headers: dict[str, str]) -> None:
    server.on("GET", GET, Reply(body=body, headers=headers, cut=len(body)))
    error = ask(server, limits=Limits(answer=100_000, attempt_s=2.0))
    endings = ("its answer is longer than 100000 bytes", "its answer (HTTP 200) was cut off")
    assert error.message.endswith(endings)


@pytest.mark.parametrize(
    ("body", "encoding", "reason"),
    [
        (b"no gzip", "gzip", "its answer is not compressed as it says"),
        (gzip.compress(data(BATCH).body)[:-20], "gzip", "its answer (HTTP 200) was cut off"),
        (b"x", "br\x1b[1m", "its answer is encoded as 'br[1m', which was not asked for"),
    ],
)
def test_a_body_that_is_not_what_its_encoding_says(server: Loopback, body: bytes, encoding: str, reason: str) -> None:
    server.on("GET", GET, Reply(body=body, headers={"Content-Encoding": encoding}))
    assert ask(server).message == f"GET /api/v2/batches/b-1 failed 6 times: {reason}"


def test_a_compressed_answer_is_read(server: Loopback) -> None:
    server.on("GET", GET, Reply(body=gzip.compress(data(BATCH).body), headers={"Content-Encoding": "gzip"}))
    assert client(server).get_batch("b-1").id == "b-1"
    assert server.received[0].headers["accept-encoding"] == "gzip"


def test_a_token_that_is_refused_for_good(server: Loopback) -> None:
    server.on("POST", POST, refusal(401, "UNAUTHORIZED", "Expired"))
    error = tell(server)
    assert isinstance(error, AuthError)
    assert (error.message, error.status) == ("the service refuses the token of the test", 401)
    assert error.hint == "Put a new token into the test, or unset it and use `pcs-run login`."
    assert len(server.received) == 1


def test_nothing_that_a_server_echoes_gives_the_token_away(server: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = {"message": f"bad header Authorization: Bearer {TOKEN}", "code": "X"}
    server.on("POST", POST, as_json(echo, 400))
    server.on("GET", GET, as_json(echo, 200))
    for error in (tell(server), ask(server)):
        everything = [error.message, error.hint, error.description, error.response, repr(error), str(error.args), caplog.text]
        assert not any(TOKEN in text for text in everything)
    assert "Bearer ***" in tell(server).message
    assert TOKEN in server.received[0].headers["authorization"]


def test_netrc_and_proxies_do_not_touch_this_machine(server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("default login eve password stolen\nmachine 127.0.0.1 login eve password stolen\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    server.on("GET", GET, data(BATCH))
    client(server).get_batch("b-1")
    assert server.received[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_proxy_that_refuses_is_named_and_gets_no_token(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                seen.append(sock.recv(4096))
                sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                sock.close()

        threading.Thread(target=refuse, daemon=True).start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listener.getsockname()[1]}")
        error = tell("https://service.invalid")
    assert isinstance(error, UnreachableError)
    assert error.message == "POST /api/v2/batches/b-1/jobs failed 6 times: the proxy refuses or cannot be reached"
    assert error.hint == "Check HTTPS_PROXY and NO_PROXY."
    assert seen
    assert all(one.startswith(b"CONNECT service.invalid:443") and TOKEN.encode() not in one for one in seen)


def test_a_certificate_that_cannot_be_verified(tmp_path: Path) -> None:
    certificate = own_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Loopback() as server:
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        url = server.url.replace("http://", "https://")
        error = tell(url)
        assert isinstance(error, UnreachableError)
        assert error.message.startswith(
            f"POST /api/v2/batches/b-1/jobs failed: the certificate of {url.removeprefix('https://')} is refused: self"
        )
        assert error.hint == TLS_HINT
        assert "REQUESTS_CA_BUNDLE" in TLS_HINT
        assert server.received == []


def test_a_server_that_does_not_speak_tls(server: Loopback) -> None:
    url = server.url.replace("http://", "https://")
    error = ask(url)
    assert error.message == f"GET /api/v2/batches/b-1 failed: {url.removeprefix('https://')} does not speak TLS as it should"


def test_a_closed_client_gives_up_what_is_under_way(server: Loopback) -> None:
    server.on("GET", GET, Reply(wait_s=5.0))
    cloud = client(server)
    threading.Timer(0.2, cloud.close).start()
    begin = real_time.monotonic()
    with pytest.raises(PcsError):
        cloud.get_batch("b-1")
    assert real_time.monotonic() - begin < 2.0
    with pytest.raises(PcsError, match="the client is closed"):
        cloud.get_batch("b-1")


def test_a_closed_client_does_not_wait_for_a_busy_service(server: Loopback) -> None:
    server.on("GET", GET, as_json({}, 429, **{"Retry-After": "20"}))
    wire = Wire()
    where = Access(endpoints=endpoints(server), bearer=Bearer(static_origin(TOKEN, "the test")), project_id=None)
    cloud = Client(where, send=wire)
    threading.Timer(0.2, cloud.close).start()
    begin = real_time.monotonic()
    with pytest.raises(PcsError, match="the client is closed"):
        cloud.get_batch("b-1")
    assert real_time.monotonic() - begin < 2.0


def test_values_that_json_lacks_are_not_sent(server: Loopback) -> None:
    with pytest.raises(ValueError, match="JSON"):
        client(server).add_jobs("b-1", [JobRequest(runs=1, variables={"t": float("nan")})])
    assert server.received == []


def test_an_uncertain_creation_says_what_is_known(server: Loopback) -> None:
    server.on("POST", "/core/api/v1/batches", refusal(504, "GATEWAY", "timed out"))
    with pytest.raises(UncertainError) as caught:
        client(server).create_batch(BatchRequest(sequence_builder="{}"))
    error = caught.value
    assert (error.status, error.code, error.description) == (504, "GATEWAY", "timed out")
    assert error.request == "POST /api/v1/batches"
    assert error.hint == "Look whether it was, before you send it again."
    assert error.exit_code == 3
