"""Files that a command reads or writes where `-` may be the terminal's own streams; nothing is overwritten unasked."""

from __future__ import annotations

import sys
from pathlib import Path

from pcs_runner.cli.text import printable
from pcs_runner.errors import UsageError

STREAM = Path("-")


def read_bytes(path: Path, most: int) -> bytes:
    """The first `most` bytes of a file, or of stdin for `-`.

    Raises:
        UsageError: It cannot be read.
    """
    if path == STREAM:
        return sys.stdin.buffer.read(most)
    try:
        with path.open("rb") as stream:
            return stream.read(most)
    except OSError as error:
        raise UsageError(f"{printable(str(path))} cannot be read: {error.strerror or error}") from error


def check_new(path: Path) -> None:
    """Refuse a file that exists, or whose folder does not.

    Raises:
        UsageError: Either.
    """
    if path.exists() or path.is_symlink():
        raise UsageError(
            f"{printable(str(path))} exists already, and nothing is overwritten", hint="Choose another file with -o."
        )
    if not path.parent.is_dir():
        raise UsageError(
            f"the folder {printable(str(path.parent))} does not exist", hint="Make it, or choose another file with -o."
        )


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet; a half-written one is taken away again.

    Raises:
        OSError: It exists, or the disk refuses.
    """
    with path.open("x", encoding="utf-8", newline="\n") as stream:
        try:
            stream.write(text)
            stream.flush()
        except BaseException:
            path.unlink()
            raise
