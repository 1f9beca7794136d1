"""Files of points: what is read, what is refused, and where the error is."""

from __future__ import annotations

import json
import os
import time
from array import array
from pathlib import Path

import pytest

from pcs_runner.spec.tables import InputError, Inputs, read_table


def _refusal(folder: Path, file: str, content: str | bytes | None = None) -> InputError:
    if content is not None:
        (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        read_table(Inputs(folder), file)
    return caught.value


def test_numbers_keep_their_type_and_lists_are_tuples(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text('t, x ,m,d\r\n1,1e-3,1,"[1, 2.5]"\r\n-2, .5 ,2.5,"[3, 4]"\r\n\r\n')
    (tmp_path / "p.json").write_text('[{"t": 1, "d": [1, 2.5]}, {"d": [3, 4], "t": 2.0}]')
    (tmp_path / "p.jsonl").write_text('{"t": 1}\n{"t": 2}\n\n')
    inputs = Inputs(tmp_path)
    csv = read_table(inputs, "p.csv")
    assert csv.rows == 2
    assert {name: list(column) for name, column in csv.columns.items()} == {
        "t": [1, -2], "x": [0.001, 0.5], "m": [1, 2.5], "d": [(1, 2.5), (3, 4)],
    }  # fmt: skip
    assert [type(value) for value in csv.columns["m"]] == [int, float]
    assert csv.columns["t"] == array("q", [1, -2])
    assert read_table(inputs, "p.json").columns == {"t": (1, 2.0), "d": ((1, 2.5), (3, 4))}
    assert read_table(inputs, "p.jsonl").columns["t"] == array("q", [1, 2])
    assert set(inputs.contents) == {"p.csv", "p.json", "p.jsonl"}


def test_a_word_is_allowed_for_variant_only(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("variant,x\ndark,1\nbright,2\n")
    assert read_table(Inputs(tmp_path), "p.csv").columns["variant"] == ("dark", "bright")
    assert "is not a number" in _refusal(tmp_path, "q.csv", "x\ndark\n").message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,y\n1,2\n3\n", "p.csv, line 3: 1 cells for 2 columns"),
        ("x,y\n1,\n", 'p.csv, line 2, column "y": an empty cell'),
        ("x\n1\n\n2\n", "p.csv, line 3: an empty line"),
        ("x,x\n1,2\n", 'p.csv, line 1: two columns are called "x"'),
        ("x;y\n1;2\n", 'p.csv, line 1: "x;y" is not a name'),
        ("1,2\n3,4\n", 'p.csv, line 1: "1" is not a name'),
        ("x\n.nan\n", 'p.csv, line 2, column "x": NaN and infinity are refused'),
        ("x\nnan\n", 'p.csv, line 2, column "x": "nan" is not a number'),
        ("x\n1_000\n", 'p.csv, line 2, column "x": "1_000" is not a number'),
        ("x\ntrue\n", 'p.csv, line 2, column "x": "true" is not a number'),
        ("x\n9223372036854775808\n", 'p.csv, line 2, column "x": an integer of 2**63 or more'),
        ("x\n", "p.csv holds no points"),
        ("", "p.csv holds no points"),
        (b"x\n\xff\n", "p.csv: byte 2 is not UTF-8"),
    ],
)
def test_a_bad_csv_is_refused_with_its_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert _refusal(tmp_path, "p.csv", content).message == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"x": 1}, {"y": 1}]', 'p.json, row 2: "'),
        ('[{"x": NaN}]', "p.json: NaN is not a finite number"),
        ('[{"x": 1e999}]', 'p.json, row 1, column "x": not a finite number'),
        ('[{"x": 1, "x": 2}]', 'p.json: "x" stands twice in a row'),
        ('[{"x": true}]', 'p.json, row 1, column "x": true is not a number'),
        ('[{"x": [[1]]}]', 'p.json, row 1, column "x": [1] is not a number'),
        ('{"x": [1]}', "p.json is not a list of rows"),
        ("[1]", "p.json, row 1: not a mapping of names to values"),
        ("[" * 100_000, "p.json: nested too deeply"),
        ('[{"x": ' + "1" * 5000 + "}]", "p.json: "),
        ("[{]", "p.json: not JSON: "),
        ("[]", "p.json holds no points"),
    ],
)
def test_a_bad_json_is_refused_with_its_row(tmp_path: Path, content: str, message: str) -> None:
    assert _refusal(tmp_path, "p.json", content).message.startswith(message)


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "spec"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.csv").write_text("x\n1\n")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "loop.csv").symlink_to(folder / "loop.csv")
    (folder / "inside.csv").symlink_to(folder / "good.csv")
    (folder / "good.csv").write_text("x\n1\n")
    os.mkfifo(folder / "pipe.csv")
    for path in ("../secret.csv", "link.csv", "sub/../../secret.csv"):
        assert "lies outside the spec's folder" in _refusal(folder, path).message
    assert "absolute path" in _refusal(folder, str(folder / "good.csv")).message
    assert "absolute path" in _refusal(folder, "C:\\points.csv").message
    assert "is a directory" in _refusal(folder, "sub").message
    assert "is not a plain file" in _refusal(folder, "pipe.csv").message
    assert "no such file" in _refusal(folder, "missing.csv").message
    assert "cannot be read" in _refusal(folder, "loop.csv").message
    assert "null character" in _refusal(folder, "a\0b.csv").message
    assert "is not a .csv" in _refusal(folder, "good.txt", "x\n1\n").message
    assert read_table(Inputs(folder), "inside.csv").rows == read_table(Inputs(folder), "sub/../good.csv").rows == 1


def test_recorded_files_are_not_read_again(tmp_path: Path) -> None:
    """A run can be resumed when the files beside the spec have changed or are gone."""
    inputs = Inputs(tmp_path, {"p.csv": b"x\n1\n"})
    assert read_table(inputs, "p.csv").columns["x"][0] == 1
    assert inputs.read("./p.csv") == b"x\n1\n"


def test_a_table_is_read_once_and_fast(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("a,b\n" + "".join(f"{i},{i / 7!r}\n" for i in range(100_000)))
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"a": i}) + "\n" for i in range(1000)))
    inputs = Inputs(tmp_path)
    start = time.process_time()
    table = read_table(inputs, "p.csv")
    assert table.rows == 100_000
    assert time.process_time() - start < 5
    (tmp_path / "p.csv").unlink()
    assert read_table(inputs, "p.csv") is table
