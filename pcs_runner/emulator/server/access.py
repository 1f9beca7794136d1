"""Who may ask: passwords become bearer tokens with an end, and downloads have links that are signed and end too.

Nothing is remembered: tokens and links are signed with a key that lies with the data, so both survive a restart.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from pcs_runner.emulator.server.exchange import HttpError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ALGORITHM = "AWS4-HMAC-SHA256"
DATE_FORMAT = "%Y%m%dT%H%M%SZ"


class LinkError(Exception):
    """A download that is refused, in the words of the object storage.

    Args:
        status: HTTP status.
        code: S3's error code.
        message: S3's words.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The one user of a twin, and what is signed for them.

    Attributes:
        key: Signs tokens and links.
        username: Who may log in.
        password: With what.
        user_id: Subject of the tokens.
        static_token: A bearer token that is good without a login and has no end; None for none.
        token_lifetime_s: Seconds that a token is good for.
        link_lifetime_s: Seconds that a download link is good for.
        clock: Seconds since the epoch.
    """

    key: bytes = field(repr=False)
    username: str
    password: str = field(repr=False)
    user_id: str
    static_token: str | None = field(default=None, repr=False)
    token_lifetime_s: float = 86_400.0
    link_lifetime_s: float = 3_600.0
    clock: Callable[[], float] = time.time

    def knows(self, username: str, password: str) -> bool:
        """Whether these are the user's name and password."""
        same_name = hmac.compare_digest(username.encode(), self.username.encode())
        return hmac.compare_digest(password.encode(), self.password.encode()) and same_name

    def new_token(self, audience: str) -> str:
        """A bearer token (a JWT, HS256)."""
        now = self.clock()
        claims = {
            "sub": self.user_id,
            "aud": audience,
            "iat": int(now),
            "exp": now + self.token_lifetime_s,
            "jti": secrets.token_hex(8),
        }
        unsigned = f"{_packed({'alg': 'HS256', 'typ': 'JWT'})}.{_packed(claims)}"
        return f"{unsigned}.{_base64(self._signature('token', unsigned))}"

    def check(self, authorization: str | None) -> None:
        """Let a request pass that carries a good bearer token.

        Raises:
            HttpError: 401; the message says whether it is missing, wrong or too old.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("the request has no bearer token")
        if self.static_token is not None and hmac.compare_digest(token.encode(), self.static_token.encode()):
            return
        unsigned, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), _base64(self._signature("token", unsigned)).encode()):
            raise _unauthorized("the bearer token is not valid")
        if _unpacked(unsigned.partition(".")[2])["exp"] <= self.clock():
            raise _unauthorized("the bearer token has expired")

    def link(self, path: str) -> str:
        """A path with a query that lets it be downloaded for a while without a token, as S3 presigns it."""
        date = datetime.fromtimestamp(self.clock(), UTC).strftime(DATE_FORMAT)
        query = {"X-Amz-Algorithm": ALGORITHM, "X-Amz-Date": date, "X-Amz-Expires": str(int(self.link_lifetime_s))}
        return f"{quote(path)}?{urlencode(query)}&X-Amz-Signature={self._link_signature(path, query)}"

    def check_link(self, path: str, query: Mapping[str, str], authorization: str | None) -> None:
        """Let a download pass whose link is signed and has not ended.

        Raises:
            LinkError: 400 with an Authorization header beside the signature, else 403.
        """
        if authorization is not None:
            raise LinkError(
                400,
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
                "Signature query string parameter or the Authorization header should be specified",
            )
        signed = {name: query.get(name, "") for name in ("X-Amz-Algorithm", "X-Amz-Date", "X-Amz-Expires")}
        if "X-Amz-Signature" not in query:
            raise LinkError(403, "AccessDenied", "Access Denied")
        if not hmac.compare_digest(query["X-Amz-Signature"].encode(), self._link_signature(path, signed).encode()):
            raise LinkError(
                403, "SignatureDoesNotMatch", "The request signature we calculated does not match the one you provided."
            )
        begin = datetime.fromisoformat(signed["X-Amz-Date"]).timestamp()
        if begin + int(signed["X-Amz-Expires"]) <= self.clock():
            raise LinkError(403, "AccessDenied", "Request has expired")

    def _link_signature(self, path: str, query: Mapping[str, str]) -> str:
        return self._signature("link", "\n".join((path, *query.values()))).hex()

    def _signature(self, purpose: str, text: str) -> bytes:
        return hmac.new(self.key, f"{purpose}\n{text}".encode(), hashlib.sha256).digest()


def _unauthorized(message: str) -> HttpError:
    return HttpError(401, "UNAUTHORIZED", message, headers={"WWW-Authenticate": "Bearer"})


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _packed(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _unpacked(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return value
