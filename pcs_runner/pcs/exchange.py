"""What crosses the door to the network: a request and its answer, or why there is none, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, as it will be sent each time.

    Attributes:
        name: Method and path, for messages; holds no query and no secret.
        method: HTTP method.
        url: Whole address.
        changes: Whether it changes something on the server, so that it is repeated only when it surely was not carried out.
        with_token: Whether it carries the bearer token.
        headers: Beside the token.
        body: As it goes out.
        limit: Most bytes of the answer.
    """

    name: str
    method: str
    url: str = field(repr=False)
    changes: bool
    with_token: bool
    headers: Mapping[str, str]
    body: bytes | None = field(default=None, repr=False)
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One request, ready to be sent. Its text shows no secret.

    Attributes:
        method: `GET`, `POST` or `PATCH`.
        url: Whole, with its query; the signature of a presigned one is a secret.
        headers: Name -> value, the bearer token among them.
        body: As it goes out, compressed or not.
        deadline_s: Seconds for everything: connecting, sending, and reading the last byte of the answer.
        limit: Most bytes of the answer's body, after decompression.
        fresh: Whether it must not ride on a connection that has been idle: the server may be closing it just now, and
            then nobody knows whether the request arrived.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    deadline_s: float
    limit: int
    fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answered, read to its end.

    Attributes:
        status: HTTP status.
        headers: Names in lower case -> value.
        body: Decompressed.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no answer.

    Attributes:
        reason: What happened, as the end of a sentence.
        arrived: False when the request surely did not reach the server; True when it may have.
        again: Whether the same request may fare better later.
        hint: What the user can do, or empty.
    """

    reason: str
    arrived: bool
    again: bool = True
    hint: str = ""


Send = Callable[[Outgoing], Answer | Failure]
"""Sends one request, once, and never raises for what the network does."""
