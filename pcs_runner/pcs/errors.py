"""What can go wrong with a cloud, as ordinary exceptions that keep everything known about it and never fail while being built."""

from __future__ import annotations

import unicodedata

from pcs_runner.errors import ServiceError

KEPT_CHARACTERS = 4000
"""Longest text kept of an answer: enough for any message, not for a page of HTML after page."""


def safe_text(value: object, limit: int = KEPT_CHARACTERS) -> str:
    """Any value as text of at most `limit` characters without control characters (a server's text may hold terminal escapes)."""
    try:
        if isinstance(value, bytes | bytearray):
            text = bytes(value[: 4 * limit]).decode("utf-8", "replace")
        else:
            text = "" if value is None else str(value)
        text = text[:limit]
        return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf", "Cs"})
    except Exception:  # noqa: BLE001 - an error that cannot be told is still told
        return f"<unprintable {type(value).__name__}>"


def _safe_status(value: object) -> int | None:
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]
    except Exception:  # noqa: BLE001 - see safe_text
        return None


class PcsError(ServiceError):
    """A call of the service failed.

    Args:
        message: What happened and where; anything that can be printed.
        status: HTTP status, None when there was no answer.
        code: The service's own code, for example `JOB_NOT_FOUND`; None when it gave none.
        description: The service's own words.
        request: Method and path, for example `POST /api/v1/batches`.
        response: The body of the answer, as it came; kept up to 4000 characters.
        hint: What to do now.
    """

    def __init__(
        self,
        message: object = "",
        *,
        status: object = None,
        code: object = None,
        description: object = None,
        request: object = None,
        response: object = None,
        hint: object = "",
    ) -> None:
        self.status: int | None = _safe_status(status)
        self.code: str | None = None if code is None else safe_text(code, 200)
        self.description = safe_text(description)
        self.request = safe_text(request)
        self.response = safe_text(response)
        super().__init__(safe_text(message) or self.description or type(self).__name__, hint=safe_text(hint))


class RefusedError(PcsError):
    """The service understood and said no (HTTP 4xx): nothing was changed, asking again gives the same answer."""


class NotFoundError(RefusedError):
    """The service does not know this id (HTTP 404)."""


class UnreachableError(PcsError):
    """The request surely did not arrive: it may be sent again."""


class UncertainError(PcsError):
    """A request that changes something was sent and its outcome is not known; the message says what is."""


class AnswerError(PcsError):
    """The service answered something that cannot be read: not JSON, no `data`, a missing id."""


class NoClientError(PcsError):
    """A `Batch` or `Job` that was built without a client was asked for something that needs a request."""

    def __init__(self, message: object = "", **context: object) -> None:
        context.setdefault("hint", "Build it with its client: Batch(**payload, _client=client).")
        super().__init__(message, **context)


class JobRetryError(PcsError):
    """A job cannot be added again to its batch: the batch is closed, or it is another batch's job."""
