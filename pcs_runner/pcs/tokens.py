"""Tokens kept between commands, in files that only their owner can read, one for each token service, audience and user."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token.

    Attributes:
        value: The secret itself; not part of the text of this object.
        lifetime_s: Seconds that it is good for, from now on; None when nobody said.
    """

    value: str = field(repr=False)
    lifetime_s: float | None = None


def default_folder() -> Path:
    """Where tokens are kept: below the user's cache folder."""
    return Path(platformdirs.user_cache_dir("pcs-runner", appauthor=False)) / "tokens"


class TokenCache:
    """The file of one token. What cannot be read or written is as good as not there: a token can be had again.

    Args:
        folder: Where the files are.
        url: Of the token service.
        audience: What the token is good for.
        user: Whose it is.
    """

    def __init__(self, folder: Path, *, url: str, audience: str, user: str) -> None:
        self._folder = folder
        key = hashlib.sha256(f"{url}\0{audience}\0{user}".encode()).hexdigest()
        self.path = folder / f"{key[:40]}.json"
        self._about = {"url": url, "audience": audience, "user": user}

    def read(self, now_s: float) -> Token | None:
        """The token, when there is one that is still good.

        Args:
            now_s: Wall clock, seconds since 1970.
        """
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            content = read_private(self.path)
            body: Mapping[str, Any] = json.loads(content)
            value, left_s = body["access_token"], float(body["expires_at"]) - now_s
            if body["for"] == self._about and isinstance(value, str) and math.isfinite(left_s) and left_s > 0:
                return Token(value=value, lifetime_s=left_s)
        return None

    def write(self, token: Token, now_s: float) -> None:
        """Keep a token that says how long it is good for."""
        if token.lifetime_s is None:
            return
        body = {"for": self._about, "access_token": token.value, "expires_at": now_s + token.lifetime_s}
        with contextlib.suppress(OSError):
            write_private(self.path, json.dumps(body).encode())

    def forget(self) -> bool:
        """Remove the token; whether there was one."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True


def forget_all(folder: Path) -> int:
    """Remove every token of this user; their number.

    Raises:
        OSError: One is there and cannot be removed.
    """
    files = [*folder.glob("*.json"), *folder.glob(".*.new")] if folder.is_dir() else []
    for file in files:
        file.unlink(missing_ok=True)
    return len(files)


def read_private(path: Path) -> bytes:
    """The content of a file that is ours alone.

    Raises:
        OSError: It is not there, not a plain file, or others can read or write it.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with open(descriptor, "rb") as stream:  # noqa: PTH123  a descriptor
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_mode & 0o077 or about.st_uid != os.getuid():
            raise PermissionError(f"{path} is not private")
        return stream.read(100_000)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that was never readable to others, whole or not at all.

    Raises:
        OSError: The disk refuses.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as stream:  # noqa: PTH123  a descriptor
            stream.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
