"""Tokens and links: what opens the door, what does not, and when it closes."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qsl

import pytest

from pcs_runner.emulator.server.access import Access, LinkError
from pcs_runner.emulator.server.exchange import HttpError
from pcs_runner.emulator.server.login import REALM_GRANT, auth0_answer, keycloak_answer, read_form

FORM = {
    "grant_type": REALM_GRANT,
    "realm": "pcs-users",
    "client_id": "client",
    "audience": "https://apis",
    "username": "ada@lovelace",
    "password": "café",
}


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def access(clock: Clock | None = None, **changes: Any) -> Access:
    user = {"key": b"k" * 32, "username": "ada@lovelace", "password": "café", "user_id": "id"}
    return Access(**{**user, "clock": clock or Clock(), **changes})


def test_a_token_opens_until_it_ends() -> None:
    clock = Clock()
    door = access(clock, token_lifetime_s=60)
    header = f"Bearer {door.new_token('aud')}"
    door.check(header)
    clock.now += 59
    door.check(header)
    clock.now += 2
    with pytest.raises(HttpError, match="the bearer token has expired") as refused:
        door.check(header)
    assert (refused.value.status, refused.value.headers) == (401, {"WWW-Authenticate": "Bearer"})


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "no bearer token"),
        ("Bearer ", "no bearer token"),
        ("Basic dTpw", "no bearer token"),
        ("Bearer nonsense", "not valid"),
        ("Bearer a.b.c", "not valid"),
        ("Bearer ünïcode", "not valid"),
    ],
)
def test_other_headers_are_refused(header: str | None, reason: str) -> None:
    with pytest.raises(HttpError, match=reason):
        access().check(header)


def test_a_changed_token_is_refused() -> None:
    head, claims, signature = access().new_token("aud").split(".")
    body = json.loads(base64.urlsafe_b64decode(claims + "=="))
    later = base64.urlsafe_b64encode(json.dumps({**body, "exp": body["exp"] * 2}).encode()).decode().rstrip("=")
    with pytest.raises(HttpError, match="not valid"):
        access().check(f"Bearer {head}.{later}.{signature}")
    with pytest.raises(HttpError, match="not valid"):
        access(key=b"x" * 32).check(f"Bearer {head}.{claims}.{signature}")


def test_a_static_token_needs_no_login() -> None:
    access(static_token="s3cret").check("Bearer s3cret")
    with pytest.raises(HttpError):
        access().check("Bearer s3cret")


def test_secrets_are_not_in_the_text_of_the_object() -> None:
    assert "café" not in repr(access())
    assert "kkk" not in repr(access())


def link(door: Access, path: str = "/storage/results/1") -> dict[str, str]:
    return dict(parse_qsl(door.link(path).partition("?")[2]))


def test_a_link_opens_its_own_path_until_it_ends() -> None:
    clock = Clock()
    door = access(clock, link_lifetime_s=60)
    query = link(door)
    door.check_link("/storage/results/1", query, None)
    with pytest.raises(LinkError, match="does not match"):
        door.check_link("/storage/results/2", query, None)
    with pytest.raises(LinkError, match="does not match"):
        door.check_link("/storage/results/1", {**query, "X-Amz-Expires": "9999"}, None)
    with pytest.raises(LinkError, match="Access Denied"):
        door.check_link("/storage/results/1", {}, None)
    clock.now += 61
    with pytest.raises(LinkError, match="Request has expired"):
        door.check_link("/storage/results/1", query, None)


def test_a_link_with_an_authorization_header_is_refused() -> None:
    door = access()
    with pytest.raises(LinkError, match="Only one auth mechanism allowed") as refused:
        door.check_link("/storage/results/1", link(door), "Bearer token")
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({}, 200, None),
        ({"grant_type": "password"}, 200, None),
        ({"password": "wrong"}, 403, "invalid_grant"),
        ({"username": "eve"}, 403, "invalid_grant"),
        ({"grant_type": "client_credentials"}, 403, "unsupported_grant_type"),
        ({"realm": ""}, 400, "invalid_request"),
        ({"audience": ""}, 400, "invalid_request"),
    ],
)
def test_auth0(changes: dict[str, str], status: int, error: str | None) -> None:
    door = access()
    answered, body = auth0_answer(door, {**FORM, **changes})
    assert (answered, body.get("error")) == (status, error)
    if status == 200:
        assert body["expires_in"] == 86_400
        door.check(f"Bearer {body['access_token']}")


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({}, 200, None),
        ({"password": "wrong"}, 401, "invalid_grant"),
        ({"client_id": ""}, 401, "invalid_client"),
        ({"grant_type": REALM_GRANT}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
    ],
)
def test_keycloak(changes: dict[str, str], status: int, error: str | None) -> None:
    answered, body = keycloak_answer(access(), {**FORM, "grant_type": "password", **changes})
    assert (answered, body.get("error")) == (status, error)


def test_forms_and_json_are_read_and_nonsense_is_empty() -> None:
    assert read_form(b"password=caf%C3%A9&a=1+2", "application/x-www-form-urlencoded") == {"password": "café", "a": "1 2"}
    assert read_form(b'{"a": "b", "n": 1}', "application/json; charset=utf-8") == {"a": "b"}
    assert read_form(b"\xff=", "") == {}
    assert read_form(b"[" * 100_000, "application/json") == {}
