"""Finds secrets in bytes, also in part, in other encodings, and inside of SQLite files."""

from __future__ import annotations

import base64
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PIECE, STEP = 16, 4
"""A piece of a long secret is so long, and the next one begins so many characters later: 20 characters in a row are found."""


@dataclass(frozen=True)
class Secret:
    """Something that may appear nowhere.

    Attributes:
        name: What it is, for messages.
        value: The secret itself.
        public: A beginning that everybody knows (the head of a JWT).
    """

    name: str
    value: str
    public: str = ""

    @cached_property
    def forms(self) -> Mapping[str, bytes]:
        """Name of a form -> bytes that give the secret away; the same bytes come once."""
        plain = self.value.removeprefix(self.public)
        found = {"plain": plain.encode()}
        for i in range(0, max(0, len(plain) - PIECE), STEP):
            found[f"part at {i}"] = plain[i : i + PIECE].encode()
        found |= {
            "percent-encoded": quote(plain, safe="").encode(),
            "form-encoded": quote_plus(plain).encode(),
            "in JSON": json.dumps(plain)[1:-1].encode(),
            "in repr": repr(plain)[1:-1].encode(),
            "UTF-16": plain.encode("utf-16-le"),
            "hex": plain.encode().hex().encode(),
        }
        for shift in range(3):
            # Base64 of a text in which the secret stands somewhere: it looks different at each of three places.
            whole = base64.b64encode(b"\0" * shift + plain.encode()).rstrip(b"=")
            kept = whole[-(-8 * shift // 6) : len(whole) - 1]
            found[f"base64 at {shift}"] = kept
            found[f"base64url at {shift}"] = kept.replace(b"+", b"-").replace(b"/", b"_")
        return {form: content for content, form in {content: form for form, content in reversed(found.items())}.items()}


def findings(places: Iterable[tuple[str, bytes]], secrets: Iterable[Secret]) -> list[str]:
    """Where which secret is, and in which form: one line for each place and secret."""
    secrets = list(secrets)
    return [
        f"{secret.name} ({form}) in {place}"
        for place, content in places
        for secret in secrets
        if (form := next((form for form, needle in secret.forms.items() if needle in content), None)) is not None
    ]


def places_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every name and every file below a folder, links not followed; of an SQLite file also each of its values."""
    for path in sorted(folder.rglob("*")):
        place = str(path.relative_to(folder))
        yield f"the name {place}", place.encode()
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        yield place, content
        if content.startswith(b"SQLite format 3\0"):
            yield f"{place} (its values)", _values(path)


def _values(path: Path) -> bytes:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [value for table in tables for row in connection.execute(f'SELECT * FROM "{table}"') for value in row]
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in rows)
