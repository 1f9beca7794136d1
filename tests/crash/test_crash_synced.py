"""Each of our writing functions: what it has returned from is on disk, whatever happens to all that was not synced by then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from crash.disk import CALLS, Disk, calls, write_state
from crash.trace import needs_strace
from pcs_runner.run.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

    from crash.disk import State

pytestmark = needs_strace

SCRIPT = """\
import os, sys
from pathlib import Path
from pcs_runner.results import durable, jsonl
from pcs_runner.results.record import JobRecord
from pcs_runner.run import directory
from pcs_runner.run.journal import Journal
from pcs_runner.run.fingerprint import BYTES
from pcs_runner.run.rows import JobRow

def returned(name):
    os.write(1, f"returned {name};".encode())

folder = Path.cwd() / "run"

def content(run):
    directory.write_inputs(run, b"the spec", {"tables/a.csv": b"x"}, [])
    Journal.create(run.journal, uuid="u", digest="d", total=None)
    durable.write_bytes(run.manifest, b"{}")

def line(index, **changes):
    given = dict(index=index, group="", point={}, variables={}, runs=1, status="DONE", counts={"0": 1}, duration_ns=1,
                 sequence="s", batch_id="b", job_id="j", attempt=1, started_at=None, ended_at=None, errors=[],
                 point_index=0, repetition=0)
    return JobRecord(**{**given, **changes})

returned("nothing")
directory.make(folder, content)
returned("make")
jsonl.append(folder / "results.jsonl", [line(0).to_line()])
returned("append")
jsonl.append(folder / "results.jsonl", [line(1).to_line(), line(2).to_line()])
returned("append again")
jsonl.cut(folder / "results.jsonl", len(line(0).to_line()) + 1)
returned("cut")
jsonl.append(folder / "results.jsonl", [line(1).to_line()])
jsonl.rewrite(folder / "results.jsonl", [line(0, runs=7, counts={"0": 7})])
returned("rewrite")
durable.write_bytes(folder / "inputs" / "tables" / "a.csv", b"y")
returned("replace")
journal = Journal.open(folder / "journal.db")
journal.intend_batch(sequence=None, first_index=0, now=1.0)
returned("transaction")
journal.intend_chunk(0, [JobRow(idx=0, attempt=1, content=b"c" * BYTES)], 2.0)
returned("another transaction")
"""


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> dict[str, State]:
    """What is surely on disk when each step has returned."""
    place = tmp_path_factory.mktemp("synced")
    disk = Disk(place)
    log = tmp_path_factory.mktemp("log") / "strace.txt"
    traced = ",".join(f"?{name}" for name in CALLS)
    command = ["strace", "-f", "-qq", "-y", "-xx", "-s", "1000000", "-e", f"trace={traced}", "-e", "signal=none", "-o", str(log)]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [*command, sys.executable, "-P", "-c", SCRIPT],
        cwd=place,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    states: dict[str, State] = {}
    for call in calls(log.read_text(encoding="ascii")):
        if call.name == "write" and call.content(1).startswith(b"returned "):
            states[call.content(1).decode().removeprefix("returned ").rstrip(";")] = next(disk.states())[1]
        else:
            disk.apply(call)
    return states


def lines(state: State) -> list[tuple[int, int]]:
    """Index and runs of each record."""
    content = state.get("run/results.jsonl") or b""
    return [(body["index"], body["runs"]) for body in map(json.loads, content.splitlines())]


def test_a_run_folder_that_was_made(after: dict[str, State]) -> None:
    """With everything in it, and without the marker that says that nothing was sent from there."""
    assert after["nothing"] == {}
    made = after["make"]
    assert made["run/spec.yaml"] == b"the spec"
    assert made["run/inputs/tables/a.csv"] == b"x"
    assert made["run/manifest.json"] == b"{}"
    assert "run/.incomplete" not in made


def test_results(after: dict[str, State]) -> None:
    assert lines(after["append"]) == [(0, 1)]
    assert lines(after["append again"]) == [(0, 1), (1, 1), (2, 1)]
    assert lines(after["cut"]) == [(0, 1)]
    assert lines(after["rewrite"]) == [(0, 7), (1, 1)]


def test_a_file_that_was_replaced(after: dict[str, State]) -> None:
    assert after["rewrite"]["run/inputs/tables/a.csv"] == b"x"
    assert after["replace"]["run/inputs/tables/a.csv"] == b"y"


def test_transactions(after: dict[str, State], tmp_path: Path) -> None:
    """The file itself, and that no rollback journal is left that would undo the last one."""
    found = []
    for name in ("make", "transaction", "another transaction"):
        place = tmp_path / name
        place.mkdir()
        write_state({path: content for path, content in after[name].items() if "inputs" not in path}, place)
        journal = Journal.open(place / "run" / "journal.db")
        found.append((len(journal.batches()), [chunk.count for chunk in journal.doubtful_chunks()]))
        journal.close()
    assert found == [(0, []), (1, []), (1, [1])]
