"""A token is got from where DESIGN says, kept, renewed in time and once after a 401, and no secret is ever shown."""

from __future__ import annotations

import base64
import json
import logging
import stat
import sys
import threading
import time as real_time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from cloud_client import BATCH, PASSWORD, TOKEN, Time, environment, token_reply
from loopback import PAGE, RESET, Loopback, Reply, as_json, data, refusal
from pcs_runner.errors import UsageError
from pcs_runner.pcs import access, auth, credentials, endpoints
from pcs_runner.pcs.auth import AuthError, Bearer, static_origin, token_of_command
from pcs_runner.pcs.calls import Caller, Limits
from pcs_runner.pcs.client import Client, Wire
from pcs_runner.pcs.credentials import Credentials, CredentialsError, from_file, merged
from pcs_runner.pcs.tokens import Token, TokenCache, forget_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GET = "/core/api/v2/batches/b-1"


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as loopback:
        yield loopback


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a history: no caches, no keyring, no configuration."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return tmp_path


def reach(server: Loopback, home: Path, time: Time | None = None, **more: str) -> Client:
    """A client as the environment describes it."""
    effects = (time or Time()).effects
    wire = Wire()
    where = access.find_access("fr", environment(server, home, **more), wire, effects=effects, tokens=home / "tokens")
    return Client(where, send=wire, effects=effects)


def test_auth0_gets_its_realm_form_and_the_token_is_used_again(server: Loopback, home: Path) -> None:
    server.on("POST", "/token", token_reply())
    server.on("GET", GET, data(BATCH))
    cloud = reach(server, home)
    cloud.get_batch("b-1")
    cloud.get_batch("b-1")
    (login,) = server.calls("POST")
    assert login.form == {
        "grant_type": "http://auth0.com/oauth/grant-type/password-realm",
        "realm": "pcs-users",
        "client_id": "PeZvo7Atx7IVv3iel59asJSb4Ig7vuSB",
        "audience": "https://apis.pasqal.cloud/account/api/v1",
        "username": "ada@example.com",
        "password": PASSWORD,
    }
    assert login.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in login.headers
    assert [one.headers["authorization"] for one in server.calls("GET")] == [f"Bearer {TOKEN}"] * 2


def test_keycloak_gets_its_own_form(server: Loopback, home: Path) -> None:
    server.on("POST", "/token", token_reply())
    wire = Wire()
    where = access.find_access("sa", environment(server, home), wire, tokens=home / "tokens")
    assert where.bearer.token() == TOKEN
    form = server.received[0].form
    assert (form["grant_type"], form["client_id"], "realm" in form) == ("password", "cloud-sdk", False)


def test_a_token_is_renewed_before_it_expires_by_either_clock(server: Loopback, home: Path) -> None:
    server.on("POST", "/token", token_reply("token-1", 600), token_reply("token-2", 600), token_reply("token-3", 600))
    time = Time()
    bearer = access.find_access("fr", environment(server, home), Wire(), effects=time.effects, tokens=home / "t").bearer
    assert bearer.token() == "token-1"
    time.pass_by(539)
    assert bearer.token() == "token-1"
    time.seconds += 2  # the wall clock was set back meanwhile
    assert bearer.token() == "token-2"
    time.moment = time.moment.replace(year=2027)  # the machine slept; the monotonic clock stood still
    assert bearer.token() == "token-3"
    assert len(server.received) == 3


def test_a_401_in_the_middle_renews_the_token_once(server: Loopback, home: Path) -> None:
    server.on("POST", "/token", token_reply("token-1"), token_reply("token-2"))
    server.on("POST", "/core/api/v2/batches/b-1/jobs", refusal(401, "UNAUTHORIZED", "revoked"), data(BATCH))
    reach(server, home).add_jobs("b-1", [])
    used = [one.headers.get("authorization") for one in server.received]
    assert used == [None, "Bearer token-1", None, "Bearer token-2"]


def test_a_401_after_a_new_token_ends_it(server: Loopback, home: Path) -> None:
    server.on("POST", "/token", token_reply("token-1"), token_reply("token-2"))
    server.on("GET", GET, refusal(401, "UNAUTHORIZED", "token-2 is of another region"))
    with pytest.raises(AuthError) as caught:
        reach(server, home).get_batch("b-1")
    assert caught.value.message == ("GET /api/v2/batches/b-1: the service refuses a token that is new: *** is of another region")
    assert caught.value.hint == "Check that region and account belong together, then `pcs-run login`."
    assert len(server.received) == 4


def test_many_threads_get_one_token(server: Loopback, home: Path) -> None:
    server.on("POST", "/token", Reply(**{**vars_of(token_reply("token-1")), "wait_s": 0.1}), token_reply("token-2"))
    bearer = access.find_access("fr", environment(server, home), Wire(), tokens=home / "t").bearer
    seen: list[str] = []
    for work in (bearer.token, lambda: bearer.renewed("token-1")):
        threads = [threading.Thread(target=lambda: seen.append(work())) for _ in range(16)]  # noqa: B023  joined below
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == ["token-1"] * 16 + ["token-2"] * 16
    assert len(server.received) == 2


def vars_of(reply: Reply) -> dict[str, Any]:
    return {name: getattr(reply, name) for name in ("status", "body", "headers")}


@pytest.mark.parametrize(
    ("reply", "message", "requests"),
    [
        (
            as_json({"error": "invalid_grant", "error_description": "Wrong email or password."}, 403),
            "refuses user name or password of the environment: Wrong email or password.",
            1,
        ),
        (
            as_json({"error": "invalid_grant", "error_description": f"no {PASSWORD}"}, 401),
            "refuses user name or password of the environment: no ***",
            1,
        ),
        (as_json({"error": "x"}, 404), "refuses to give a token (HTTP 404): x", 1),
        (PAGE, None, 6),
        (RESET, None, 6),
        (as_json({"token": "elsewhere"}), None, 6),
        (as_json({"access_token": "two\nlines"}), None, 6),
        (as_json({"access_token": 7}), None, 6),
        (Reply(status=302, headers={"Location": "https://login.example/x?code=1"}), None, 1),
    ],
)
def test_a_login_that_fails(server: Loopback, home: Path, reply: Reply, message: str | None, requests: int) -> None:
    server.on("POST", "/token", reply)
    with pytest.raises(AuthError) as caught:
        reach(server, home).get_batch("b-1")
    error = caught.value
    host = server.url.removeprefix("http://")
    assert error.message == f"{host} {message}" if message else error.message.startswith(f"no token: POST {host} (log in) ")
    assert "Nothing was sent to PCS." in error.hint or "PASQAL_PASSWORD" in error.hint or not error.hint
    assert error.exit_code == 3
    assert [one.path for one in server.received] == ["/token"] * requests
    text = "".join(traceback.format_exception(error)) + repr(error) + error.response
    assert PASSWORD not in text


def test_a_token_service_that_hangs_has_a_deadline(server: Loopback, home: Path) -> None:
    server.on("POST", "/token", Reply(wait_s=5))
    service = endpoints.TokenService(url=f"{server.url}/token", form={})
    caller = Caller(Wire(), effects=Time().effects, limits=Limits(attempt_s=0.3, total_s=0.4))
    begin = real_time.monotonic()
    with pytest.raises(AuthError) as caught:
        auth.password_grant(caller, service, "ada", PASSWORD, name="the environment")
    assert real_time.monotonic() - begin < 1.0
    assert "there was no whole answer within 0 s" in caught.value.message
    assert access.LOGIN_S <= 30


def test_a_token_is_kept_for_the_next_command_and_only_for_its_owner(server: Loopback, home: Path) -> None:
    server.on("POST", "/token", token_reply())
    server.on("GET", GET, data(BATCH))
    reach(server, home).get_batch("b-1")
    reach(server, home).get_batch("b-1")
    assert len(server.calls("POST")) == 1
    (file,) = (home / "tokens").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert PASSWORD not in file.read_text()
    reach(server, home, PASQAL_USERNAME="bob@example.com").get_batch("b-1")
    assert len(server.calls("POST")) == 2
    assert len(list((home / "tokens").iterdir())) == 2
    assert forget_all(home / "tokens") == 2
    assert list((home / "tokens").iterdir()) == []


@pytest.mark.parametrize("damage", ["mode", "expired", "garbage", "other", "link"])
def test_a_kept_token_that_cannot_be_trusted_is_not_used(home: Path, damage: str) -> None:
    cache = TokenCache(home / "tokens", url="https://a", audience="b", user="c")
    cache.write(Token(value=TOKEN, lifetime_s=100), 1000.0)
    assert cache.read(1050.0) == Token(value=TOKEN, lifetime_s=50.0)
    now = 1050.0
    if damage == "mode":
        cache.path.chmod(0o644)
    elif damage == "expired":
        now = 1101.0
    elif damage == "garbage":
        cache.path.write_text("{")
    elif damage == "other":
        cache.path.write_text(cache.path.read_text().replace('"c"', '"d"'))
    else:
        cache.path.rename(home / "elsewhere")
        cache.path.symlink_to(home / "elsewhere")
    assert cache.read(now) is None


def test_a_disk_that_refuses_does_not_keep_anybody_from_working(server: Loopback, home: Path) -> None:
    (home / "tokens").write_text("a file where the folder should be")
    server.on("POST", "/token", token_reply())
    server.on("GET", GET, data(BATCH))
    assert reach(server, home).get_batch("b-1").id == "b-1"


def test_a_static_token_is_used_as_it_is(server: Loopback, home: Path) -> None:
    server.on("GET", GET, data(BATCH), refusal(401, "X", "expired"))
    cloud = reach(server, home, PASQAL_AUTH_TOKEN=f" Bearer {TOKEN}\n")
    cloud.get_batch("b-1")
    assert server.received[0].headers["authorization"] == f"Bearer {TOKEN}"
    with pytest.raises(AuthError, match="the service refuses the token of PASQAL_AUTH_TOKEN"):
        cloud.get_batch("b-1")
    assert [one.path for one in server.received] == [GET, GET]
    for bad in ("", "two words", "é"):
        with pytest.raises(AuthError):
            static_origin(bad, "PASQAL_AUTH_TOKEN")


def test_a_command_prints_the_token(server: Loopback, home: Path) -> None:
    script = home / "token.py"
    script.write_text(f"import pathlib; p = pathlib.Path({str(home / 'n')!r}); n = len(p.read_text()) if p.exists() else 0\n")
    script.write_text(script.read_text() + "p.write_text('x' * (n + 1)); print(f'token-of-{n}'); print('noise')\n")
    server.on("GET", GET, refusal(401, "X", "expired"), data(BATCH))
    reach(server, home, PCS_RUNNER_TOKEN_COMMAND=f"{sys.executable} {script}").get_batch("b-1")
    assert [one.headers["authorization"] for one in server.received] == ["Bearer token-of-0", "Bearer token-of-1"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("/nowhere/at-all", "the command of X cannot be run: No such file or directory"),
        ("'", "the command of X cannot be split into words: a quote is missing"),
        (" ", "the command of X cannot be run: it is empty"),
        (f"{sys.executable} -c 'raise SystemExit(3)'", "the command of X failed with exit code 3"),
        (f"{sys.executable} -c 'pass'", "the token of X is empty"),
        (f"{sys.executable} -c 'import time; time.sleep(9)'", "the command of X printed no token within 0 s"),
    ],
)
def test_a_command_that_prints_no_token(command: str, message: str) -> None:
    with pytest.raises(AuthError) as caught:
        token_of_command(command, "X", timeout_s=0.3 if "sleep" in command else 10)
    assert caught.value.message == message


def test_the_expiry_of_a_jwt_is_read_when_nobody_else_says_it(server: Loopback, home: Path) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": real_time.time() + 500}).encode()).decode().rstrip("=")
    jwt = f"aGVhZA.{claims}.c2ln"
    found = token_of_command(f"{sys.executable} -c 'print(\"{jwt}\")'", "X")
    assert found.value == jwt
    assert found.lifetime_s is not None
    assert 400 < found.lifetime_s <= 500


def test_nothing_secret_is_in_the_text_of_an_object(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = repr(
        [
            Credentials(username="ada", password=PASSWORD, token=TOKEN, command=TOKEN),
            Token(value=TOKEN),
            static_origin(TOKEN, "X"),
            Bearer(static_origin(TOKEN, "X")),
        ]
    )
    assert TOKEN not in told
    assert PASSWORD not in told
    assert "ada" in told


def test_the_first_source_that_says_who_the_user_is_counts() -> None:
    option = Credentials(project_id="p-option")
    environment_ = Credentials(username="ada", project_id="p-environment", source="environment")
    other = Credentials(username="bob", password="of-bob", source="file")
    keyring = Credentials(username="ada", password="of-ada", source="keyring")
    found = merged([option, environment_, other, keyring])
    assert (found.username, found.password, found.project_id, found.source) == ("ada", "of-ada", "p-option", "keyring")
    assert merged([Credentials(password="x"), Credentials(username="ada")]).is_complete
    token = merged([Credentials(token="t", source="a"), keyring])
    assert (token.token, token.password, token.source) == ("t", None, "a")
    assert not merged([Credentials(username="ada"), other]).is_complete


def test_sources_behind_the_one_that_is_enough_are_not_opened() -> None:
    def sources() -> Iterator[Credentials]:
        yield Credentials(token="t", project_id="p")
        raise AssertionError("the keyring was opened")

    assert merged(sources()).token == "t"


def test_the_file_of_qrmi_and_cuda_q_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(
        "# mine\n[default]\nUsername = ada@example.com\npassword='a=b # c'\nproject_id=p-1\nauth_endpoint=https://evil\nnonsense\n"
    )
    found = from_file(file)
    assert (found.username, found.password, found.project_id) == ("ada@example.com", "a=b # c", "p-1")
    assert from_file(tmp_path / "missing") == Credentials()


def test_the_file_is_for_the_providers_own_services_only(server: Loopback, home: Path) -> None:
    (home / ".pasqal").mkdir()
    (home / ".pasqal" / "config").write_text(f"username=ada\npassword={PASSWORD}\n")
    environ = environment(server, home)
    del environ["PASQAL_USERNAME"], environ["PASQAL_PASSWORD"]
    with pytest.raises(CredentialsError) as caught:
        access.find_access("fr", environ, Wire())
    assert (caught.value.message, caught.value.exit_code) == ("nobody is logged in to Pasqal Cloud", 2)
    assert caught.value.hint == "Set PASQAL_USERNAME, PASQAL_PASSWORD and PASQAL_PROJECT_ID, or log in once: `pcs-run login`."
    own = access.find_access("fr", {"PASQAL_CONFIG_ROOT": str(home)}, Wire())
    assert own.endpoints == endpoints.REGIONS["fr"]
    assert server.received == []


def test_a_name_without_a_password_is_good_as_long_as_the_last_login(server: Loopback, home: Path) -> None:
    server.on("POST", "/token", token_reply())
    server.on("GET", GET, data(BATCH))
    time = Time()
    reach(server, home, time).get_batch("b-1")
    later = reach(server, home, time, PASQAL_PASSWORD="")
    assert later.get_batch("b-1").id == "b-1"
    time.pass_by(3600)
    with pytest.raises(AuthError, match=r"there is no password for ada@example\.com at 127\.0\.0\.1"):
        later.get_batch("b-1")


@pytest.mark.parametrize("region", ["fr", "sa"])
def test_regions_have_their_own_services(region: str) -> None:
    where = endpoints.from_environment(region, {}, own_token=False)
    assert where.core == f"https://apis.{'' if region == 'fr' else 'sa.'}pasqal.cloud/core-fast"
    assert where.official
    assert not where.is_loopback


CORE = {"PCS_RUNNER_CORE_URL": "https://mine.example/core/"}


@pytest.mark.parametrize(
    ("environ", "own_token", "message"),
    [
        (
            CORE,
            False,
            "PCS_RUNNER_CORE_URL is set, and there is no token for it: your password does not go to pasqal.eu.auth0.com for it",
        ),
        (
            {"PCS_RUNNER_ACCOUNT_URL": "https://mine.example"},
            True,
            "PCS_RUNNER_ACCOUNT_URL is set but PCS_RUNNER_CORE_URL is not",
        ),
        (
            {"PCS_RUNNER_CORE_URL": "http://mine.example"},
            True,
            "PCS_RUNNER_CORE_URL is plain http to another machine, where anybody on the way could read your token",
        ),
        ({"PCS_RUNNER_CORE_URL": "ftp://mine.example"}, True, "PCS_RUNNER_CORE_URL is not an https address"),
        ({"PCS_RUNNER_CORE_URL": "https://a:b@mine.example"}, True, "PCS_RUNNER_CORE_URL carries a user name or password"),
        ({"PCS_RUNNER_CORE_URL": "https://mine.example?x=1"}, True, "PCS_RUNNER_CORE_URL has a query or a fragment"),
        ({"PCS_RUNNER_CORE_URL": "https://mine.example:port"}, True, "PCS_RUNNER_CORE_URL is not an address"),
        (
            {"PCS_RUNNER_TOKEN_URL": "https://a\x1b[2Jb"},
            True,
            "PCS_RUNNER_TOKEN_URL has characters that do not belong into an address",
        ),
    ],
)
def test_addresses_that_could_cost_a_secret_are_refused(environ: dict[str, str], own_token: bool, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        endpoints.from_environment("fr", environ, own_token=own_token)
    assert (caught.value.message, caught.value.exit_code) == (message, 2)
    assert caught.value.hint


def test_with_another_core_nothing_goes_to_the_providers_services(server: Loopback) -> None:
    where = endpoints.from_environment("fr", CORE, own_token=True)
    assert (where.core, where.account, where.billing, where.token) == ("https://mine.example/core", None, None, None)
    environ = {"PCS_RUNNER_CORE_URL": f"{server.url}/core", "PASQAL_AUTH_TOKEN": TOKEN, "PASQAL_PROJECT_ID": "p-1"}
    cloud = Client.from_environment(environ=environ)
    for call, hint in ((cloud.projects, "PCS_RUNNER_ACCOUNT_URL"), (cloud.contracts, "PCS_RUNNER_BILLING_URL")):
        with pytest.raises(Exception, match="is not known") as caught:
            call()
        assert hint in caught.value.hint  # type: ignore[attr-defined]
    assert server.received == []


@pytest.mark.parametrize(("region", "provider"), [("eu", "pasqal"), ("fr", "azure")])
def test_unknown_regions_and_providers(region: str, provider: str) -> None:
    with pytest.raises(UsageError, match="there is no"):
        Client.from_environment(region, provider, environ={"PASQAL_AUTH_TOKEN": TOKEN})


def test_ovh_without_a_token() -> None:
    with pytest.raises(CredentialsError) as caught:
        Client.from_environment(provider="ovh", environ={})
    assert caught.value.message == "there is no token for OVH: PASQAL_PULSER_ACCESS_TOKEN is not set"


def test_the_login_file_keeps_no_secret(home: Path) -> None:
    file = home / "login.json"
    found = Credentials(username="ada", password=PASSWORD, project_id="p-1")
    credentials.store_login(file, "https://a", found)
    assert PASSWORD not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = credentials.from_login(file, "https://a")
    assert (kept.username, kept.project_id, kept.password) == ("ada", "p-1", None)
    assert credentials.from_login(file, "https://b").username is None
    credentials.store_login(file, "https://a", None)
    assert credentials.from_login(file, "https://a").username is None
