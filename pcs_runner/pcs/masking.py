"""Text without our secrets: what a service echoes of a request must not reach a message, a log or a file."""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"

SHORTEST = 4
"""Shorter secrets are left alone: they would be found in any text."""

PIECE = 12
"""So many characters of a secret in a row are hidden too: an echo may be cut off."""


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` for each secret, whole or in part, as it is, percent-encoded, in JSON and in base64.

    Args:
        text: Not long: the cost grows with the length of text and secrets together.
        secrets: Passwords and tokens.
    """
    for secret in secrets:
        if len(secret) >= SHORTEST:
            for form in _forms(secret):
                text = _without(text, form)
    return text


@lru_cache(maxsize=64)
def _forms(secret: str) -> tuple[str, ...]:
    """The texts by which a secret can be known, the secret itself first."""
    forms = [secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]]
    for shift in range(3):  # in base64 a text looks different at each of three places
        whole = base64.b64encode(b"\0" * shift + secret.encode()).decode().rstrip("=")
        inner = whole[-(-8 * shift // 6) : len(whole) - 1]
        forms += [inner, inner.replace("+", "-").replace("/", "_")]
    return tuple(dict.fromkeys(form for form in forms if len(form) >= SHORTEST))


def _without(text: str, secret: str) -> str:
    """The text with `***` for every stretch that it shares with a secret, when it is the whole or at least a piece of it."""
    text = text.replace(secret, MASK)
    start = 0
    while start + PIECE <= len(secret):
        at = text.find(secret[start : start + PIECE])
        if at < 0:
            start += 1
            continue
        end = PIECE
        while start + end < len(secret) and text[at + end : at + end + 1] == secret[start + end]:
            end += 1
        text = f"{text[:at]}{MASK}{text[at + end :]}"
    return text
