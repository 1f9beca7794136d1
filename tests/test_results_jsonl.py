"""`results.jsonl`: append, read, repair, rewrite."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.results import jsonl
from pcs_runner.results.durable import replacing, write_bytes
from pcs_runner.results.record import JobRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def record(index: int, **values: Any) -> JobRecord:
    """A record with something in every field."""
    body: dict[str, Any] = {
        "index": index,
        "group": "g",
        "point": {"x": index / 3},
        "variables": {"x": [index / 3]},
        "runs": 10,
        "status": "DONE",
        "counts": {"01": 4, "11": 6},
        "duration_ns": 1000,
        "sequence": "aaaaaaaa",
        "batch_id": "b",
        "job_id": f"j{index}",
        "attempt": 1,
        "started_at": None,
        "ended_at": None,
    }
    return JobRecord(**{**body, **values})


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    assert list(jsonl.read(path)) == []
    jsonl.append(path, [record(0).to_line()])
    jsonl.append(path, [record(1).to_line(), record(2, raw=["01"] * 10).to_line()])
    read = list(jsonl.read(path))
    assert [item.to_line() for item in read] == [record(0).to_line(), record(1).to_line(), record(2, raw=["01"] * 10).to_line()]


def test_a_torn_last_line_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    jsonl.append(path, [record(0).to_line()])
    path.write_bytes(path.read_bytes() + b'{"index":1,"gro')
    assert [item.index for item in jsonl.read(path)] == [0]


def test_a_line_that_is_no_record_is_told(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(record(0).to_line().encode() + b"\n[]\n")
    with pytest.raises(ValueError, match=r"results\.jsonl:2: not a record"):
        list(jsonl.read(path))


def test_whole_lines_end_where_the_order_does(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    lines = [record(index).to_line().encode() + b"\n" for index in (0, 1, 3)]
    path.write_bytes(b"".join(lines))
    assert list(jsonl.whole_lines(path)) == [(lines[0], len(lines[0])), (lines[1], len(lines[0] + lines[1]))]
    jsonl.cut(path, len(lines[0]))
    assert path.read_bytes() == lines[0]


def test_rewriting_replaces_lines_in_place(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    jsonl.append(path, [record(index).to_line() for index in range(5)])
    jsonl.rewrite(path, [record(1, attempt=2), record(4, attempt=2)])
    assert [item.attempt for item in jsonl.read(path)] == [1, 2, 1, 1, 2]
    assert [item.index for item in jsonl.read(path)] == [0, 1, 2, 3, 4]


def test_a_rewrite_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    jsonl.append(path, [record(index).to_line() for index in range(5)])
    before = path.read_bytes()

    def failing() -> Iterator[JobRecord]:
        yield replace(record(1), attempt=2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jsonl.rewrite(path, failing())
    with pytest.raises(ValueError, match="has no line for job 9"):
        jsonl.rewrite(path, [record(9)])
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.jsonl"]


def test_a_replacement_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_bytes(path, b"old")

    def fill_the_disk() -> None:
        with replacing(path) as stream:
            stream.write(b"ne")
            raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    assert path.read_bytes() == b"old"
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
