"""The token endpoint, in the forms of Auth0 (region `fr`) and of Keycloak (region `sa`), with the errors of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.emulator.server.access import Access

AUTH0_PATH = "/oauth/token"
KEYCLOAK_PATH = "/realms/pasqal-cloud/protocol/openid-connect/token"

REALM_GRANT = "http://auth0.com/oauth/grant-type/password-realm"


def read_form(content: bytes, content_type: str) -> dict[str, str]:
    """The fields of a login; Auth0 takes JSON too. Empty when they cannot be read."""
    try:
        if "json" in content_type.lower():
            body = json.loads(content)
            return {name: value for name, value in body.items() if isinstance(value, str)} if isinstance(body, dict) else {}
        return dict(parse_qsl(content.decode(), keep_blank_values=True))
    except (ValueError, RecursionError):
        return {}


def auth0_answer(access: Access, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """Status and body of a login at Auth0."""
    grant = form.get("grant_type", "")
    if missing := _missing(form, ("grant_type", "client_id", "audience")):
        return 400, _error("invalid_request", f"Missing required parameter: {missing}")
    if grant not in (REALM_GRANT, "password"):
        return 403, _error("unsupported_grant_type", f"Unsupported grant type: {grant[:80]}")
    if missing := _missing(form, ("realm",) if grant == REALM_GRANT else ()) or _missing(form, ("username", "password")):
        return 400, _error("invalid_request", f"Missing required parameter: {missing}")
    if not access.knows(form["username"], form["password"]):
        return 403, _error("invalid_grant", "Wrong email or password.")
    return 200, {"access_token": access.new_token(form["audience"]), "expires_in": _seconds(access), "token_type": "Bearer"}


def keycloak_answer(access: Access, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """Status and body of a login at Keycloak."""
    if not form.get("grant_type"):
        return 400, _error("invalid_request", "Missing form parameter: grant_type")
    if form["grant_type"] != "password":
        return 400, _error("unsupported_grant_type", "Unsupported grant_type")
    if not form.get("client_id"):
        return 401, _error("invalid_client", "Invalid client or Invalid client credentials")
    if not access.knows(form.get("username", ""), form.get("password", "")):
        return 401, _error("invalid_grant", "Invalid user credentials")
    token = access.new_token(form.get("audience", "account"))
    return 200, {"access_token": token, "expires_in": _seconds(access), "token_type": "Bearer", "scope": "profile email"}


def _missing(form: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((name for name in names if not form.get(name)), "")


def _error(error: str, description: str) -> dict[str, Any]:
    return {"error": error, "error_description": description}


def _seconds(access: Access) -> int | float:
    lifetime = access.token_lifetime_s
    return int(lifetime) if lifetime == int(lifetime) else lifetime
