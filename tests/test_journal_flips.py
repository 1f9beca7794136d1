"""A journal with a wrong byte, wherever it is: it says the same as before, or it is refused before anything is sent."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.errors import StorageError
from pcs_runner.run.journal import Journal
from pcs_runner.run.journal.seal import SEALED
from small_plan import Bench, small_plan
from test_run_rebuild import interrupted_at

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER, FIRST_PAGE = 100, 4096
"""Bytes of SQLite's header, and of the page that it begins; the rest of that is the schema, which is compared as text."""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def content(path: Path) -> list[Any]:
    """Every row of every table, without any check."""
    with closing(sqlite3.connect(path)) as database:
        return [database.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall() for table, columns in SEALED.items()]


def is_refused(path: Path) -> bool:
    """Whether a journal is not opened; an opened one is closed again."""
    try:
        Journal.open(path).close()
    except StorageError:
        return True
    return False


@pytest.mark.parametrize(
    "step", [pytest.param(7, id="bounded"), pytest.param(1, id="whole", marks=[pytest.mark.crash, pytest.mark.slow])]
)
@pytest.mark.parametrize(("call", "n", "moment"), [("add_jobs", 3, "after"), ("results", 1, "before")], ids=["doubt", "results"])
def test_a_wrong_byte_is_found_or_changes_nothing(tmp_path: Path, call: str, n: int, moment: str, step: int) -> None:
    """All bits of a byte, and one of them: in those that are not zero; on demand in every byte of the file."""
    folder = interrupted_at(Bench(small_plan(tmp_path, xs=[float(i) for i in range(14)])), call, n, moment)
    right, meant = (folder / "journal.db").read_bytes(), content(folder / "journal.db")
    used = [at for at, byte in enumerate(right) if byte and not HEADER <= at < FIRST_PAGE]
    assert len(used) > 500
    path, refused = tmp_path / "journal.db", 0
    for at in range(len(right)) if step == 1 else used[::step]:
        for bits in (0xFF, 1 << at % 8) if right[at] else (0xFF,):
            path.write_bytes(right[:at] + bytes([right[at] ^ bits]) + right[at + 1 :])
            if is_refused(path):
                refused += 1
            else:
                assert content(path) == meant, (at, bits)
    assert refused > len(used) // step
