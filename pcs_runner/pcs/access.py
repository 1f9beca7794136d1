"""From what the environment says to a token that works: endpoints, credentials and the origin of tokens, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcs_runner.pcs import auth, credentials, endpoints
from pcs_runner.pcs.auth import AuthError, Bearer, Origin
from pcs_runner.pcs.calls import Caller, Limits
from pcs_runner.pcs.credentials import Credentials, CredentialsError
from pcs_runner.pcs.tokens import TokenCache, default_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pcs_runner.pcs.calls import OnWait
    from pcs_runner.pcs.effects import Effects
    from pcs_runner.pcs.endpoints import Endpoints, TokenService
    from pcs_runner.pcs.exchange import Send
    from pcs_runner.pcs.tokens import Token

LOGIN_S = 25.0
"""Deadline of one request for a token, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where to send requests, and with what.

    Attributes:
        endpoints: Base addresses.
        bearer: Gives tokens.
        project_id: The project that pays, or None.
    """

    endpoints: Endpoints
    bearer: Bearer
    project_id: str | None


def find_access(
    region: str,
    environ: Mapping[str, str],
    send: Send,
    *,
    option: Credentials | None = None,
    effects: Effects | None = None,
    on_wait: OnWait | None = None,
    tokens: Path | None = None,
) -> Access:
    """Look up endpoints and credentials; sends nothing yet.

    Args:
        region: `fr` or `sa`.
        environ: The user's environment.
        send: The door to the network.
        option: What the caller says; comes before everything else.
        effects: Clocks, sleep and chance.
        on_wait: Told of long waits.
        tokens: Folder of the token cache; default the user's.

    Raises:
        UsageError: The environment's addresses break a rule.
        CredentialsError: Nobody says who the user is.
    """
    found = credentials.find(
        option=option or Credentials(),
        environ=environ,
        endpoints_of=lambda own: endpoints.from_environment(region, environ, own_token=own),
    )
    return access_with(found, region, environ, send, effects=effects, on_wait=on_wait, tokens=tokens)


def access_with(
    found: Credentials,
    region: str,
    environ: Mapping[str, str],
    send: Send,
    *,
    effects: Effects | None = None,
    on_wait: OnWait | None = None,
    tokens: Path | None = None,
) -> Access:
    """Endpoints and tokens for these credentials alone. Arguments and errors as of `find_access`."""
    where = endpoints.from_environment(region, environ, own_token=bool(found.token or found.command))
    caller = Caller(send, effects=effects, limits=Limits(attempt_s=LOGIN_S), on_wait=on_wait)
    origin = origin_of(found, where, caller, default_folder() if tokens is None else tokens)
    return Access(endpoints=where, bearer=Bearer(origin, effects=effects), project_id=found.project_id)


def find_ovh_access(
    region: str, environ: Mapping[str, str], *, option: Credentials | None = None, effects: Effects | None = None
) -> Access:
    """The same for OVH: a static token and no project.

    Raises:
        UsageError: The environment's addresses break a rule.
        CredentialsError: There is no token.
    """
    name = credentials.OVH_TOKEN
    token = (option.token if option else None) or environ.get(name)
    if not token:
        raise CredentialsError(
            f"there is no token for OVH: {name} is not set", hint=f"Set {name} in an OVH notebook, or by hand."
        )
    where = endpoints.from_environment(region, environ, own_token=True)
    return Access(endpoints=where, bearer=Bearer(auth.static_origin(token, name), effects=effects), project_id=None)


def origin_of(found: Credentials, where: Endpoints, caller: Caller, tokens: Path) -> Origin:
    """Where tokens come from for these credentials.

    Raises:
        CredentialsError: They are not enough.
    """
    if found.token:
        return auth.static_origin(found.token, found.source)
    if found.command:
        return auth.command_origin(found.command, found.source)
    service = where.token
    if service is None or not found.username:
        raise CredentialsError(
            "nobody is logged in to Pasqal Cloud",
            hint=f"Set {credentials.USERNAME}, {credentials.PASSWORD} and {credentials.PROJECT}, or log in once: `{auth.LOGIN}`.",
        )
    cache = TokenCache(tokens, url=service.url, audience=service.audience, user=found.username)
    if found.password:
        return auth.password_origin(caller, service, found.username, found.password, name=found.source, cache=cache)
    return Origin(fetch=lambda: _no_password(found.username, service), name="`pcs-run login`", cache=cache)


def _no_password(username: str | None, service: TokenService) -> Token:
    """A name without a password is good as long as the token of its last login is."""
    raise AuthError(
        f"there is no password for {username} at {endpoints.host_of(service.url)}, and no login that is still good",
        hint=f"Set {credentials.PASSWORD}, or `{auth.LOGIN}`.",
    )
