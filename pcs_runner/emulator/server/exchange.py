"""One request and its answer: bodies in, JSend out, and every failure as a status with a body that says why."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pcs_runner.emulator.rules import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LONGEST_BODY = 64 * 2**20
"""Most bytes of a request body, before and after decompression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as its handler sees it.

    Attributes:
        path: Parameters of the path.
        query: The query's pairs, in order.
        body: The JSON of the body; None without one.
        base_url: Scheme, host and port under which the client reached us.
    """

    path: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    body: Any
    base_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a handler gives back.

    Attributes:
        data: The `data` of the envelope.
        start: Offset of a page; None when the answer is no page.
        total: Items in all, for a page.
        beside: Keys next to `data`.
    """

    data: Any
    start: int | None = None
    total: int = 0
    beside: Mapping[str, Any] = field(default_factory=dict)


class HttpError(Exception):
    """A request that is not carried out.

    Args:
        status: HTTP status.
        code: The service's own code.
        message: Why, in words.
        detail: Which parts of the request are wrong, as FastAPI says it (status 422).
        headers: Headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        detail: Sequence[Mapping[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.headers = dict(headers or {})


def unprocessable(place: str, name: str, message: str) -> HttpError:
    """A 422 in FastAPI's words, which is what PCS documents for a request that does not fit its schema.

    Args:
        place: `query`, `path` or `body`.
        name: Of the parameter.
        message: What is wrong with it.
    """
    detail = [{"loc": [place, name], "msg": message, "type": "value_error"}]
    return HttpError(422, "UNPROCESSABLE_ENTITY", f"{name}: {message}", detail=detail)


def read_body(content: bytes, encoding: str) -> Any:
    """The JSON of a request body, decompressed; None for an empty one.

    Raises:
        HttpError: It is too long, badly compressed, or not JSON.
    """
    content = _decompressed(content, encoding.strip().lower())
    if not content.strip():
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise unprocessable("body", "body", f"not JSON ({type(error).__name__})") from error


def _decompressed(content: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return content
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise HttpError(415, "UNSUPPORTED_ENCODING", f"Content-Encoding {encoding[:40]!r} is not known: send gzip or nothing")
    inflate = zlib.decompressobj(wbits=47)
    try:
        plain = inflate.decompress(content, LONGEST_BODY + 1)
    except zlib.error as error:
        raise HttpError(400, "BAD_BODY", f"the body is not {encoding}: {error}") from error
    check_length(len(plain))
    if not inflate.eof:
        raise HttpError(400, "BAD_BODY", f"the {encoding} body was cut off")
    return plain


def check_length(size: int) -> None:
    """Refuse a body that is too long.

    Raises:
        HttpError: It is.
    """
    if size > LONGEST_BODY:
        raise HttpError(413, "BODY_TOO_LARGE", f"the body is longer than {LONGEST_BODY} bytes")


def json_object(body: Any) -> dict[str, Any]:
    """The body of a request that wants an object.

    Raises:
        HttpError: It is something else.
    """
    if not isinstance(body, dict):
        raise unprocessable("body", "body", "must be a JSON object")
    return body


def json_list(body: Any, what: str) -> list[Any]:
    """The body of a request that wants a list.

    Raises:
        RefusedError: It is something else.
    """
    if not isinstance(body, list):
        refuse(f"the body is not a list of {what}", code="INVALID_BODY")
    return body


def rendered(value: Any) -> bytes:
    """JSON as it is sent."""
    return json.dumps(value, separators=(",", ":")).encode()


def envelope(answer: Answer) -> dict[str, Any]:
    """An answer in JSend's words."""
    body: dict[str, Any] = {"status": "success", "message": "OK.", "code": "200", "data": answer.data, **answer.beside}
    if answer.start is not None:
        body["pagination"] = {"total": answer.total, "start": answer.start, "end": answer.start + len(answer.data)}
    return body


def error_body(status: int, code: str, message: str, detail: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """A failure in JSend's words: `fail` is the client's, `error` the server's."""
    body: dict[str, Any] = {
        "status": "fail" if status < 500 else "error",
        "message": message,
        "code": code,
        "data": {"description": message},
    }
    if detail is not None:
        body["detail"] = list(detail)
    return body
