"""`results.jsonl`: one record a line, in job order, appended durably, and repaired after a crash."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pcs_runner.results.durable import replacing, sync_folder
from pcs_runner.results.record import JobRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


_BLOCK = 65_536


def append(path: Path, lines: Iterable[str]) -> None:
    """Append lines (without their line feeds) and sync them; the file is made when it is missing.

    A failed write is cut away again as far as the disk allows; what a crash leaves is cut by `repair`.

    Raises:
        OSError: The disk is full or not writable.
    """
    new = not path.exists()
    body = "".join(f"{line}\n" for line in lines).encode()
    if new:
        path.touch(mode=0o600)
    with path.open("ab") as stream:
        before = stream.tell()
        try:
            stream.write(body)
            stream.flush()
            os.fsync(stream.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(stream.fileno(), before)
            raise
    if new:
        sync_folder(path.parent)


def read(path: Path) -> Iterator[JobRecord]:
    """The records in the file's order, lazily; a torn last line is left out, a missing file has none.

    Raises:
        ValueError: A whole line is not a record; the message has file and line.
    """
    return (record for _, record in located(path))


def located(path: Path, start: int = 0) -> Iterator[tuple[int, JobRecord]]:
    """The byte offset of each record's line from offset `start`, and the record; otherwise as `read`."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        first = start
        stream.seek(first)
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield start, JobRecord.from_line(line)
            except ValueError as error:
                where = f"{path}:{number}" if first == 0 else f"{path}: the line at byte {start}"
                raise ValueError(f"{where}: not a record: {error}") from error
            start += len(line)


def last(path: Path) -> JobRecord | None:
    """The last whole record, read from the end of the file; None when there is none."""
    if not path.exists():
        return None
    with path.open("rb") as stream:
        size = taken = stream.seek(0, os.SEEK_END)
        tail = b""
        while taken and tail.rfind(b"\n", 0, max(0, tail.rfind(b"\n"))) < 0:
            taken = max(0, taken - max(_BLOCK, size - taken))
            stream.seek(taken)
            tail = stream.read(size - taken)
    lines = tail[: tail.rfind(b"\n") + 1].splitlines()
    return JobRecord.from_line(lines[-1]) if lines else None


def read_at(path: Path, offsets: Iterable[int]) -> Iterator[JobRecord]:
    """The records whose lines begin at these byte offsets, in the order of the offsets."""
    with path.open("rb") as stream:
        for offset in offsets:
            stream.seek(offset)
            yield JobRecord.from_line(stream.readline())


def whole_lines(path: Path) -> Iterator[tuple[bytes, int]]:
    """Each whole line with the byte offset of its end, as long as line i is the record of job i."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        end = 0
        for index, line in enumerate(stream):
            if not (line.endswith(b"}\n") and line.startswith(b'{"index":%d,' % index)):
                return
            end += len(line)
            yield line, end


def cut(path: Path, size: int) -> None:
    """Cut the file to `size` bytes and sync; nothing is done when it is not longer."""
    if not path.exists() or path.stat().st_size <= size:
        return
    with path.open("r+b") as stream:
        stream.truncate(size)
        os.fsync(stream.fileno())


def rewrite(path: Path, records: Iterable[JobRecord]) -> None:
    """Replace the lines of the given records, atomically: the file is the old one or the new one.

    Args:
        path: The file; line i is the record of job i.
        records: The new records in ascending order of index; each index has a line already. Read as the file is copied.

    Raises:
        OSError: The disk is full or not writable; the file is as it was.
    """
    pending = iter(records)
    replacement = next(pending, None)
    with path.open("rb") as old, replacing(path) as new:
        for index, line in enumerate(old):
            if replacement is not None and replacement.index == index:
                new.write(f"{replacement.to_line()}\n".encode())
                replacement = next(pending, None)
            else:
                new.write(line)
        if replacement is not None:
            raise ValueError(f"{path} has no line for job {replacement.index}")
