"""Where the services are: by region, or where the user's own environment says, under rules that keep secrets at home."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from pcs_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

CORE, ACCOUNT, BILLING, TOKEN = (
    "PCS_RUNNER_CORE_URL",
    "PCS_RUNNER_ACCOUNT_URL",
    "PCS_RUNNER_BILLING_URL",
    "PCS_RUNNER_TOKEN_URL",
)

AUDIENCE = "https://apis.pasqal.cloud/account/api/v1"

_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]{0,126}[A-Za-z0-9_-])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenService:
    """Who gives tokens for a name and a password, and the fixed part of the form it wants.

    Attributes:
        url: Where the form is posted.
        form: Fields beside user name and password.
    """

    url: str
    form: Mapping[str, str]

    @property
    def audience(self) -> str:
        """What the tokens are good for."""
        return self.form.get("audience", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Base addresses, without a slash at the end.

    Attributes:
        core: Batches, jobs, devices.
        account: Projects; None when it is not known.
        billing: Contracts; None when it is not known.
        token: Gives tokens; None when there is a token already.
        official: Whether core, account and billing are the provider's own.
        official_token: Whether the token service is.
    """

    core: str
    account: str | None
    billing: str | None
    token: TokenService | None
    official: bool = True
    official_token: bool = True

    @property
    def is_loopback(self) -> bool:
        """Whether the core is on this machine."""
        return is_loopback(self.core)


def _form(**fields: str) -> Mapping[str, str]:
    return MappingProxyType({**fields, "audience": AUDIENCE})


def _region(apis: str, token_url: str, form: Mapping[str, str]) -> Endpoints:
    return Endpoints(
        core=f"{apis}/core-fast",
        account=f"{apis}/account",
        billing=f"{apis}/billing",
        token=TokenService(url=token_url, form=form),
    )


REGIONS: Mapping[str, Endpoints] = MappingProxyType(
    {
        "fr": _region(
            "https://apis.pasqal.cloud",
            "https://pasqal.eu.auth0.com/oauth/token",
            _form(
                grant_type="http://auth0.com/oauth/grant-type/password-realm",
                realm="pcs-users",
                client_id="PeZvo7Atx7IVv3iel59asJSb4Ig7vuSB",
            ),
        ),
        "sa": _region(
            "https://apis.sa.pasqal.cloud",
            "https://auth.sa.pasqal.cloud/realms/pasqal-cloud/protocol/openid-connect/token",
            _form(grant_type="password", client_id="cloud-sdk"),
        ),
    }
)
"""Region -> where its services are. Source: PCS.md; Auth0's realm form in `fr`, Keycloak in `sa`."""


def from_environment(region: str, environ: Mapping[str, str], *, own_token: bool) -> Endpoints:
    """The services of a region, or those that the user's environment puts in their place.

    Args:
        region: `fr` or `sa`.
        environ: The user's environment; never anything that a spec can set.
        own_token: Whether a token is there without a token service (static, or printed by a command).

    Raises:
        UsageError: An unknown region, an address that breaks a rule, or overrides that would send a secret to a service
            that it does not belong to. Nothing was sent.
    """
    if region not in REGIONS:
        raise UsageError(f'there is no region "{region}"', hint=f"Regions: {', '.join(REGIONS)}.")
    given = {name: checked_url(environ[name], name) for name in (CORE, ACCOUNT, BILLING, TOKEN) if environ.get(name)}
    home = REGIONS[region]
    assert home.token is not None
    token = TokenService(url=given[TOKEN], form=home.token.form) if TOKEN in given else home.token
    if CORE not in given:
        alone = [name for name in (ACCOUNT, BILLING) if name in given]
        if alone:
            raise UsageError(f"{alone[0]} is set but {CORE} is not", hint=f"Set {CORE} too, or unset {alone[0]}.")
        return Endpoints(
            core=home.core, account=home.account, billing=home.billing, token=token, official_token=TOKEN not in given
        )
    if TOKEN not in given and not own_token:
        raise UsageError(
            f"{CORE} is set, and there is no token for it: your password does not go to {host_of(home.token.url)} for it",
            hint=f"Set {TOKEN} or PASQAL_AUTH_TOKEN too, or unset {CORE}.",
        )
    return Endpoints(
        core=given[CORE],
        account=given.get(ACCOUNT),
        billing=given.get(BILLING),
        token=token if TOKEN in given else None,
        official=False,
        official_token=False,
    )


def checked_url(url: str, name: str) -> str:
    """An address without the slash at its end.

    Raises:
        UsageError: It is not https (plain http only to this machine), or carries more than a host and a path.
    """
    problem = _problem(url)
    if problem:
        raise UsageError(f"{name} {problem}", hint=f"Set {name} to an address such as https://host/path, or unset it.")
    return url.rstrip("/")


def _problem(url: str) -> str:
    if not url.isascii() or not url.isprintable() or " " in url:
        return "has characters that do not belong into an address"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not an address"
    if parts.scheme not in ("https", "http") or not host:
        return "is not an https address"
    if "@" in parts.netloc:
        return "carries a user name or password"
    if parts.query or parts.fragment:
        return "has a query or a fragment"
    if parts.scheme == "http" and not is_loopback(url):
        return "is plain http to another machine, where anybody on the way could read your token"
    return ""


def is_safe_link(url: str, *, loopback: bool) -> bool:
    """Whether a download address that a server gave may be followed.

    Args:
        url: The address.
        loopback: Whether the server itself is on this machine; only then may it point to this machine.
    """
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc:
        return False
    return loopback and parts.scheme in ("http", "https") if is_loopback(url) else parts.scheme == "https"


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    return _is_this_machine(urlsplit(url).hostname or "")


@lru_cache(maxsize=64)
def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(url: str) -> str:
    """Host and port of an address, for messages."""
    return urlsplit(url).netloc.rpartition("@")[2]


def is_id(value: object) -> bool:
    """Whether a value can be the id of a batch, a job or a project: no separators, no dots at its end, not too long."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def in_path(value: str) -> str:
    """An id as one segment of a path.

    Raises:
        UsageError: It is not an id; nothing was sent.
    """
    if not is_id(value):
        raise UsageError(f"{value[:80]!r} is not an id of the service", hint="An id has letters, digits and - _ . : only.")
    return quote(value, safe="")
