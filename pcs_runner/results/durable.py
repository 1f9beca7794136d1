"""Writes that survive a power cut: a file is either the old one or the new one, whole, and its name is on disk too."""

from __future__ import annotations

import contextlib
import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Put the folder's entries (names, renames) on disk; where a system cannot sync a folder, nothing is done."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def replacing(path: Path, mode: int = 0o600) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`; at the end of the block it is synced and takes the place of `path`.

    After an exception in the block `path` is as it was and the temporary file is gone.

    Args:
        path: The file to write; its folder exists.
        mode: Permissions of the new file.

    Raises:
        OSError: The disk is full or not writable; `path` is as it was.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("wb") as stream:
            temporary.chmod(mode)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_bytes(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a whole file durably, replacing what was there.

    Raises:
        OSError: The disk is full or not writable; `path` is as it was.
    """
    with replacing(path, mode) as stream:
        stream.write(content)
