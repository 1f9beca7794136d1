"""What an answer says: its data, or an error with the service's own words, whatever the body turns out to be."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Any

from pcs_runner.pcs.errors import AnswerError, NotFoundError, PcsError, RefusedError, UncertainError, UnreachableError, safe_text
from pcs_runner.pcs.exchange import Answer, Failure
from pcs_runner.pcs.protocol import JobResult

if TYPE_CHECKING:
    from collections.abc import Mapping

_TITLE = re.compile(rb"<(title|h1)[^>]*>(.{1,200}?)</", re.IGNORECASE | re.DOTALL)
_BITS = re.compile(r"[01]+")
_LONGEST_WORDS = 500

HINTS = {
    402: "The project's contract or credits do not cover it; ask the project's owner. EMU_FREE needs none.",
    403: "Check that PASQAL_PROJECT_ID is a project of yours whose contract has not ended; to see yours: `pcs-run login`.",
    413: "Send fewer jobs in a request: `chunk` of the target's batch options.",
    429: "Wait some minutes, or run fewer things at once.",
}
"""HTTP status -> what the user can do about it."""


class UnavailableError(PcsError):
    """A question stayed without an answer, also when it was asked again; it changes nothing, so it can be asked later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jsend:
    """A JSend answer.

    Attributes:
        data: What was asked for; never None.
        total: Number of items that a list has in all, None when the answer does not say (so) as a number.
        is_twin: Whether the server says that it is a twin of PCS (a key `twin` beside `data`).
    """

    data: Any
    total: int | None = None
    is_twin: bool = False


class GarbledError(Exception):
    """A compressed body is not what its encoding says, or has an encoding that was not asked for."""


class Body:
    """Gathers a body that may be compressed, and never holds more than its limit.

    Args:
        limit: Most bytes after decompression.
        encoding: Content-Encoding of the answer.

    Raises:
        GarbledError: An encoding that was not asked for.
    """

    def __init__(self, limit: int, encoding: str) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise GarbledError(f"its answer is encoded as {safe_text(encoding, 40)!r}, which was not asked for")
        self._inflate = zlib.decompressobj(wbits=47) if encoding not in ("", "identity") else None
        self._limit = limit
        self._size = 0
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            OverflowError: The body is longer than the limit.
            GarbledError: It is not what its encoding says.
        """
        if self._inflate is not None:
            try:
                chunk = self._inflate.decompress(chunk, self._limit - self._size + 1)
            except zlib.error:
                raise GarbledError("its answer is not compressed as it says") from None
        self._size += len(chunk)
        if self._size > self._limit:
            raise OverflowError(f"the answer is longer than {self._limit} bytes")
        self._parts.append(chunk)

    def end(self) -> bytes:
        """The whole body.

        Raises:
            EOFError: The compressed body was cut off.
        """
        if self._inflate is not None and self._size and not self._inflate.eof:
            raise EOFError
        return b"".join(self._parts)


def read_jsend(answer: Answer, name: str) -> Jsend:
    """The data of a 2xx answer.

    Args:
        answer: The answer.
        name: Method and path, for the message.

    Raises:
        AnswerError: It is not JSON, or has no data.
    """
    body = _read_json(answer, name)
    if not isinstance(body, dict) or body.get("data") is None:
        what = "JSON without data" if isinstance(body, dict) else f"a JSON {_kind(body)}"
        raise AnswerError(f"{name} was answered with {what}", status=answer.status, request=name, response=answer.body)
    pagination = body.get("pagination")
    total = pagination.get("total") if isinstance(pagination, dict) else None
    return Jsend(
        data=body["data"],
        total=total if isinstance(total, int) and not isinstance(total, bool) and total >= 0 else None,
        is_twin=isinstance(body.get("twin"), dict),
    )


def read_result(answer: Answer, name: str) -> JobResult:
    """The results of a job as the download gives them; `name` is for messages.

    Raises:
        AnswerError: They are not `{raw, counter, serialised_results}`.
    """
    body = _read_json(answer, name, show=False)
    if not isinstance(body, dict):
        raise AnswerError(f"{name} gave a JSON {_kind(body)}, not results", status=answer.status, request=name)
    counter: Any = body.get("counter")
    raw, serialised = body.get("raw"), body.get("serialised_results")
    wrong = ""
    if not isinstance(counter, dict):
        wrong = "no counter" if counter is None else f"a counter that is a JSON {_kind(counter)}"
    elif not all(_BITS.fullmatch(bits) for bits in counter):
        wrong = "a counter of something other than bitstrings"
    elif not all(type(count) is int and count >= 0 for count in counter.values()):
        wrong = "a counter whose counts are not natural numbers"
    elif raw is not None and not (isinstance(raw, list) and all(isinstance(bits, str) for bits in raw)):
        wrong = "raw shots that are not a list of bitstrings"
    elif serialised is not None and not isinstance(serialised, str):
        wrong = "serialised results that are not text"
    if wrong:
        raise AnswerError(f"{name} gave {wrong}", status=answer.status, request=name, hint="Report it to the provider.")
    return JobResult(counter=counter, raw=raw, serialised_results=serialised)


def _read_json(answer: Answer, name: str, *, show: bool = True) -> Any:
    context: dict[str, Any] = {"status": answer.status, "request": name, "response": answer.body if show else ""}
    if not answer.body.strip():
        raise AnswerError(f"{name} was answered with nothing (HTTP {answer.status})", **context)
    if _is_page(answer):
        raise AnswerError(
            f"{name} was answered with a web page instead of JSON{_title(answer.body)}",
            hint="Something between you and the service answers in its place (a proxy, a login page, maintenance).",
            **context,
        )
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        pass
    raise AnswerError(f"{name} was answered with something that is not JSON", **context)


def problem(outcome: Answer | Failure, name: str, *, changes: bool, attempts: int = 1) -> PcsError:
    """The error for a request that did not succeed.

    Args:
        outcome: How it ended last.
        name: Method and path.
        changes: Whether it changes something on the server.
        attempts: How often it was sent.
    """
    if isinstance(outcome, Failure):
        return _without_answer(outcome, name, changes=changes, attempts=attempts)
    status = outcome.status
    code, words = refusal(outcome)
    context: dict[str, Any] = {"status": status, "code": code, "description": words, "request": name, "response": outcome.body}
    said = f": {words}" if words else ""
    if status < 400:
        return _redirected(outcome, name, context)
    if changes and (status >= 500 or status == 408):
        return UncertainError(
            f"{name} was answered with HTTP {status} after it was sent, so whether it was carried out is not known{said}",
            hint="Look whether it was, before you send it again.",
            **context,
        )
    if status >= 500 or status in (408, 425):
        return UnavailableError(
            f"{name} was answered with HTTP {status}{_times(attempts)}{said}",
            hint="The service has a problem; try later.",
            **context,
        )
    kind = NotFoundError if status == 404 else RefusedError
    shown = f"{status}, {code}" if code is not None and code != str(status) else str(status)
    return kind(f"{name} was refused ({shown}){_times(attempts)}{said}", hint=_hint(status, words), **context)


def _without_answer(failure: Failure, name: str, *, changes: bool, attempts: int) -> PcsError:
    if changes and failure.arrived:
        return UncertainError(
            f"{name} was sent, but {failure.reason}; whether it was carried out is not known",
            request=name,
            hint=failure.hint or "Look whether it was, before you send it again.",
        )
    kind = UnreachableError if changes else UnavailableError
    hint = failure.hint or "Check the network, then try again."
    return kind(f"{name} failed{_times(attempts)}: {failure.reason}", request=name, hint=hint)


def _redirected(answer: Answer, name: str, context: Mapping[str, Any]) -> PcsError:
    target = safe_text(re.sub(r"[?#].*", "", answer.headers.get("location", ""), flags=re.DOTALL), 200)
    where = f" to {target}" if target else ""
    return AnswerError(
        f"{name} was redirected{where} (HTTP {answer.status}), and redirects are not followed",
        hint="Check PCS_RUNNER_CORE_URL, if it is set, and whether a proxy or a login page answers in the service's place.",
        **context,
    )


def refusal(answer: Answer) -> tuple[str | None, str]:
    """Code and words of an error answer, the words on one line and safe to print; never fails."""
    if _is_page(answer):
        return None, f"a web page{_title(answer.body)}"
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None, _one_line(answer.body[:_LONGEST_WORDS])
    if not isinstance(body, dict):
        return None, _one_line(body)
    data = body.get("data")
    inner = data if isinstance(data, dict) else {}
    code = body.get("code", inner.get("code"))
    candidates = (
        inner.get("description"),
        body.get("message"),
        body.get("error_description"),
        body.get("detail"),
        body.get("error"),
    )
    words = next((_one_line(_details(one)) for one in candidates if one), "")
    return (safe_text(code, 80) if isinstance(code, (str, int)) else None), words


def _details(value: object) -> object:
    """FastAPI's list of validation errors as text; anything else as it is."""
    if not isinstance(value, list):
        return value
    parts = []
    for item in value[:10]:
        if isinstance(item, dict) and "msg" in item:
            where = ".".join(str(part) for part in item.get("loc", ())) if isinstance(item.get("loc"), list) else ""
            parts.append(f"{where}: {item['msg']}" if where else str(item["msg"]))
        else:
            parts.append(str(item))
    return "; ".join(parts)


def _hint(status: int, words: str) -> str:
    lowered = words.lower()
    if status in (400, 402, 403, 404, 409, 422) and "contract" in lowered:
        return "The project's contract has ended or does not cover it; ask the project's owner. EMU_FREE needs none."
    if status in (400, 403, 404, 422) and "project" in lowered:
        return HINTS[403]
    return HINTS.get(status, "")


def _is_page(answer: Answer) -> bool:
    head = answer.body.lstrip()[:15].lower()
    return head.startswith((b"<!doctype", b"<html", b"<head", b"<body")) or (
        head.startswith(b"<") and "html" in answer.headers.get("content-type", "")
    )


def _title(body: bytes) -> str:
    found = _TITLE.search(body[:20_000])
    words = _one_line(re.sub(r"<[^>]*>", "", unescape(found[2].decode("utf-8", "replace")))) if found else ""
    return f' titled "{words}"' if words else ""


def _one_line(value: object) -> str:
    return " ".join(safe_text(value, _LONGEST_WORDS).split())


def _kind(value: object) -> str:
    kinds = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}
    return "null" if value is None else kinds.get(type(value), "value")


def _times(attempts: int) -> str:
    return f" {attempts} times" if attempts > 1 else ""
