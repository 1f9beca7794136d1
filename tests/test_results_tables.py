"""`results.csv` and `counts.csv`."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.results import tables
from test_results_jsonl import record

if TYPE_CHECKING:
    from pathlib import Path

ATOMS = {"aaaaaaaa": ("q0", "q1"), "bbbbbbbb": ("q0", "far")}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_one_row_a_job(tmp_path: Path) -> None:
    """Points, status and the mean of each atom's bit; empty where there is none."""
    path = tmp_path / "results.csv"
    records = [
        record(0, point={"x": 0.5}),
        record(1, point={"y": [1, 2]}, sequence="bbbbbbbb", counts={"10": 3, "11": 1}),
        record(2, point={"x": 2}, status="ERROR", counts={}),
    ]
    tables.write_results(path, lambda: records, ATOMS)
    assert path.read_text() == (
        "index,group,x,y,runs,status,duration_ns,occupation_q0,occupation_q1,occupation_far\n"
        "0,g,0.5,,10,DONE,1000,0.6,1.0,\n"
        '1,g,,"[1,2]",10,DONE,1000,1.0,,0.25\n'
        "2,g,2,,10,ERROR,1000,,,\n"
    )


def test_bitstrings_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    tables.write_counts(path, [record(0, counts={"11": 6, "01": 4}), record(1, status="ERROR", counts={})])
    assert path.read_text() == "index,bitstring,count\n0,b01,4\n0,b11,6\n"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("@x", "'@x"),
        ("a=b", "a=b"),
        (-1.5, -1.5),
        (True, "true"),
        (None, None),
        ([1.0, "=x"], '[1.0,"=x"]'),
        ({"q0": 1}, '{"q0":1}'),
    ],
)
def test_cells(value: Any, written: Any) -> None:
    """Text that a spreadsheet would run is escaped; numbers are numbers."""
    assert tables.cell(value) == written


def test_text_with_commas_and_quotes_survives(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    tables.write_results(path, lambda: [record(0, group='a,"b"\nµ', point={"runs": 3})], ATOMS)
    row = rows(path)[0]
    assert row["group"] == 'a,"b"\nµ'
    assert (row["point_runs"], row["runs"]) == ("3", "10")


def test_occupations() -> None:
    assert tables.occupations({"100": 1, "110": 2, "001": 1}, 3) == [0.75, 0.5, 0.25]


def test_nothing_to_write(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    tables.write_results(path, list, {})
    assert path.read_text() == "index,group,runs,status,duration_ns\n"
