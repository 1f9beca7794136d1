"""A bearer token that is still valid: got by password, from a command or as it is, renewed before it expires and after a 401."""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pcs_runner.pcs.effects import Effects
from pcs_runner.pcs.endpoints import host_of
from pcs_runner.pcs.errors import AnswerError, PcsError, RefusedError, safe_text
from pcs_runner.pcs.exchange import Call
from pcs_runner.pcs.masking import MASK, PIECE, masked
from pcs_runner.pcs.tokens import Token, TokenCache

if TYPE_CHECKING:
    from pcs_runner.pcs.calls import Caller
    from pcs_runner.pcs.endpoints import TokenService
    from pcs_runner.pcs.exchange import Answer

MARGIN_S = 60.0
"""A token is renewed so many seconds before it expires, or a tenth of its lifetime when that is less."""

COMMAND_S = 60.0
"""Longest time that a token command may take, in seconds."""

LOGIN = "pcs-run login"


class AuthError(PcsError):
    """There is no token, or the service refuses it: the request was not carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where tokens come from.

    Attributes:
        fetch: Gets a token; raises `AuthError` when it cannot.
        name: For messages, for example `PASQAL_AUTH_TOKEN`.
        renewable: Whether asking again can give another token.
        secrets: What must not appear in any text, beside the tokens.
        cache: Keeps the token between commands, or None.
        hint: What to do when the token is refused for good.
    """

    fetch: Callable[[], Token]
    name: str
    renewable: bool = True
    secrets: tuple[str, ...] = field(default=(), repr=False)
    cache: TokenCache | None = None
    hint: str = LOGIN


class Bearer:
    """Hands out one token to all threads, and gets the next one once, whoever needs it first.

    Args:
        origin: Where tokens come from.
        effects: Clocks. A token is taken to have expired as soon as either clock says so: the monotonic one may stand still
            while the machine sleeps, the wall clock may be set back.
    """

    def __init__(self, origin: Origin, *, effects: Effects | None = None) -> None:
        self._origin = origin
        self._effects = effects or Effects()
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._until: tuple[float, float] | None = None
        self._seen: list[str] = []

    def token(self) -> str:
        """A token that has not expired.

        Raises:
            AuthError: There is none to be had.
        """
        with self._lock:
            if self._token is None or self._is_over():
                cached = None
                if self._token is None and self._origin.cache is not None:
                    cached = self._origin.cache.read(self._seconds())
                self._take(cached or self._fetched())
            assert self._token is not None
            return self._token.value

    def fresh(self) -> str:
        """A token that was just got, not one that was kept: who logs in wants to know whether the password is right.

        Raises:
            AuthError: There is none to be had.
        """
        with self._lock:
            self._take(self._fetched())
            assert self._token is not None
            return self._token.value

    def renewed(self, refused: str) -> str:
        """Another token than the one that was just refused with a 401.

        Raises:
            AuthError: There is none to be had.
        """
        with self._lock:
            if self._token is not None and self._token.value == refused:
                if self._origin.cache is not None:
                    self._origin.cache.forget()
                if not self._origin.renewable:
                    raise AuthError(f"the service refuses the token of {self._origin.name}", status=401, hint=self._origin.hint)
                self._take(self._fetched())
            assert self._token is not None
            return self._token.value

    def hide(self, text: str) -> str:
        """The text with `***` for every secret that this object has handled, or a part of one."""
        return masked(text, (*self._origin.secrets, *self._seen))

    def without_token(self, body: bytes) -> bytes:
        """A body, of any length, with `***` for every token that this object has handled."""
        for token in self._seen:
            if len(token) >= PIECE:
                body = body.replace(token.encode(), MASK.encode())
        return body

    def _fetched(self) -> Token:
        token = self._origin.fetch()
        if self._origin.cache is not None:
            self._origin.cache.write(token, self._seconds())
        return token

    def _take(self, token: Token) -> None:
        self._token, self._until = token, None
        self._seen = [*self._seen[-4:], token.value]
        if token.lifetime_s is not None:
            good_s = token.lifetime_s - min(MARGIN_S, token.lifetime_s / 10)
            self._until = (self._effects.monotonic() + good_s, self._seconds() + good_s)

    def _is_over(self) -> bool:
        return self._until is not None and (self._effects.monotonic() >= self._until[0] or self._seconds() >= self._until[1])

    def _seconds(self) -> float:
        return self._effects.now().timestamp()


def static_origin(token: str, name: str, hint: str = "") -> Origin:
    """A token as it is.

    Raises:
        AuthError: It has characters that no token has.
    """
    value = checked(token, name)
    hint = hint or f"Put a new token into {name}, or unset it and use `{LOGIN}`."
    return Origin(fetch=lambda: Token(value=value), name=name, renewable=False, secrets=(value,), hint=hint)


def command_origin(command: str, name: str) -> Origin:
    """A token that a command prints, for example of a vault or of a cluster's single sign-on."""
    return Origin(fetch=lambda: token_of_command(command, name), name=name, hint=f"Run the command of {name} by hand.")


def password_origin(
    caller: Caller, service: TokenService, username: str, password: str, *, name: str, cache: TokenCache | None = None
) -> Origin:
    """A token for a user name and a password, by Auth0's realm form or Keycloak's password grant."""
    return Origin(
        fetch=lambda: password_grant(caller, service, username, password, name=name),
        name=name,
        secrets=(password,),
        cache=cache,
    )


def password_grant(caller: Caller, service: TokenService, username: str, password: str, *, name: str) -> Token:
    """Ask a token service (one form, not sent again once it is refused).

    Args:
        caller: Makes the call; without a token of its own.
        service: Where, and with which form.
        username: Of the user.
        password: Of the user; appears in no message.
        name: Where the password comes from, for messages.

    Raises:
        AuthError: Wrong name or password, not reached in time, or an answer without a token.
    """
    host = host_of(service.url)
    call = Call(
        name=f"POST {host} (log in)",
        method="POST",
        url=service.url,
        changes=False,
        with_token=False,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=urlencode({**service.form, "username": username, "password": password}).encode(),
        limit=2**20,
    )
    failure: AuthError | None = None
    try:
        return caller.carry_out(call, _read_token)
    except RefusedError as error:
        words = masked(error.description, (password,))
        wrong = error.status in (400, 401, 403)
        what = f"refuses user name or password of {name}" if wrong else f"refuses to give a token (HTTP {error.status})"
        hint = f"Check PASQAL_USERNAME and PASQAL_PASSWORD, or type them again: `{LOGIN}`." if wrong else error.hint
        failure = AuthError(f"{host} {what}{f': {words}' if words else ''}", status=error.status, code=error.code, hint=hint)
    except PcsError as error:
        hint = f"{error.hint or 'Try later.'} Nothing was sent to PCS."
        failure = AuthError(f"no token: {masked(error.message, (password,))}", status=error.status, hint=hint)
    raise failure


def token_of_command(command: str, name: str, *, timeout_s: float = COMMAND_S) -> Token:
    """Run a command (no shell) and take the first line that it prints as the token; its errors go to the terminal.

    Raises:
        AuthError: It cannot be run, fails, takes too long, or prints no token.
    """
    problem = ""
    try:
        words = shlex.split(command)
        output = _output_of(words, timeout_s)
        return Token(value=(value := checked(output.strip().partition("\n")[0].strip(), name)), lifetime_s=_jwt_lifetime(value))
    except ValueError:
        problem = "cannot be split into words: a quote is missing"
    except OSError as error:
        problem = f"cannot be run: {error.strerror}"
    except subprocess.TimeoutExpired:
        problem = f"printed no token within {timeout_s:.0f} s"
    except subprocess.CalledProcessError as error:
        problem = f"failed with exit code {error.returncode}"
    raise AuthError(f"the command of {name} {problem}", hint=f"Run the command of {name} by hand and see what it says.")


def _output_of(words: list[str], timeout_s: float) -> str:
    """What a command prints, at most 100 kB of it; it is ended with all its children when it takes too long.

    Raises:
        OSError: It cannot be run.
        subprocess.SubprocessError: It fails or takes too long.
    """
    if not words:
        raise FileNotFoundError(2, "it is empty")
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True) as process:  # noqa: S603  the user's own command
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words[0])
    return output[:100_000].decode("utf-8", "replace")


def checked(token: str, name: str) -> str:
    """The token without blanks around it.

    Raises:
        AuthError: It is empty, or cannot be sent in a header.
    """
    token = token.strip()
    token = token.removeprefix("Bearer ").strip()
    if not token:
        raise AuthError(f"the token of {name} is empty", hint=f"Set it, or use `{LOGIN}`.")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise AuthError(f"the token of {name} has characters that no token has", hint="Copy the token alone, in one line.")
    return token


def _read_token(answer: Answer, name: str) -> Token:
    """The token of an answer of a token service (RFC 6749, 5.1).

    Raises:
        AnswerError: There is none. What came is not kept: it may hold the token.
    """
    try:
        body: Any = json.loads(answer.body)
        value = body["access_token"]
        usable = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value and value
    except (ValueError, KeyError, TypeError, RecursionError):
        usable = False
    if not usable:
        kind = safe_text(answer.headers.get("content-type", "an unknown type"), 60)
        raise AnswerError(f"{name} was answered without a token ({kind})", status=answer.status, request=name)
    lifetime = body.get("expires_in")
    seconds = float(lifetime) if isinstance(lifetime, (int, float)) and 0 < lifetime < 10**9 else _jwt_lifetime(value)
    return Token(value=value, lifetime_s=seconds)


def _jwt_lifetime(token: str, effects: Effects | None = None) -> float | None:
    """Seconds until the `exp` of a JWT (RFC 7519, 4.1.4); None when the token is not one or does not say."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        left_s = float(claims["exp"]) - (effects or Effects()).now().timestamp()
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return left_s if 0 < left_s < 10**9 else None
