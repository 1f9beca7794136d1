"""`verify`: what journal, files and service disagree about, and nothing when they agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.errors import UsageError
from pcs_runner.pcs.errors import UnreachableError
from pcs_runner.results import jsonl
from pcs_runner.run.verify import Verification, verify
from pcs_runner.spec.models import ResultOptions
from recorded_run import recorded_run
from small_plan import Bench, small_plan
from stand_in_client import StandInClient, StoredBatch, StoredJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder: these tests make many syncs and need none of them."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def finished(tmp_path: Path, **options: Any) -> tuple[Bench, Path]:
    """A finished run of ten jobs whose files have something to verify."""
    plan = small_plan(tmp_path, 10, **options)
    bench = Bench(plan)
    return bench, bench.start().folder


def verified(bench: Bench, folder: Path) -> Verification:
    def connect(_target: object, _folder: object, _workers: object) -> StandInClient:
        return StandInClient(bench.service)

    return verify(folder, make_plan=lambda _folder: bench.plan, client_factory=connect)


def lines(found: Verification) -> list[str]:
    return [str(finding) for finding in found.findings]


def test_an_undisturbed_run_has_no_difference(tmp_path: Path) -> None:
    """And verifying changes nothing."""
    for options in ({}, {"max_jobs": 4}, {"split": "sequence", "sequences": ("aaaaaaaa", "bbbbbbbb")}):
        bench, folder = finished(tmp_path / str(len(options)) / str("split" in options), **options)
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        calls = bench.service.calls["create_batch"] + bench.service.calls["add_jobs"]
        found = verified(bench, folder)
        assert (found.findings, found.unreached, found.exit_code) == ((), "", 0)
        assert "10 records" in found.checked
        assert "results.csv and counts.csv" in found.checked
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
        assert bench.service.calls["create_batch"] + bench.service.calls["add_jobs"] == calls


def change_count(folder: Path) -> None:
    path = folder / "results.jsonl"
    body = path.read_text().splitlines()
    record = json.loads(body[4])
    record["counts"] = {"00": 9}
    body[4] = json.dumps(record, separators=(",", ":"))
    path.write_text("\n".join(body) + "\n")


def lose_line(folder: Path) -> None:
    path = folder / "results.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:8]))


def add_bytes(folder: Path) -> None:
    with (folder / "results.jsonl").open("ab") as stream:
        stream.write(b'{"index":99')


def edit_table(folder: Path) -> None:
    path = folder / "results.csv"
    path.write_text(path.read_text().replace("DONE", "done", 1))


def edit_spec(folder: Path) -> None:
    (folder / "spec.yaml").write_text("version: 1\nname: other\n")


def edit_sequence(folder: Path) -> None:
    (folder / "sequences" / "aaaaaaaa.json").write_text('{"sequence": "bbbbbbbb"}')


def lose_table(folder: Path) -> None:
    (folder / "counts.csv").unlink()


def lose_sequence(folder: Path) -> None:
    (folder / "sequences" / "aaaaaaaa.json").unlink()


def add_sequence(folder: Path) -> None:
    (folder / "sequences" / "cccccccc.json").write_text("{}")


def lose_journal(folder: Path) -> None:
    (folder / "journal.db").unlink()


def break_journal(folder: Path) -> None:
    (folder / "journal.db").write_bytes(b"x" * 9000)


TABLES = ["changed  results.csv", "changed  counts.csv"]
FILES: list[tuple[Callable[[Path], None], list[str]]] = [
    (
        change_count,
        ["changed  results.jsonl: line 5: the service's result of job j5 cannot be right: 9 shots for 10 runs", *TABLES],
    ),
    (lose_line, ["missing  results.jsonl: 2 jobs that the journal knows to be recorded have no line", *TABLES]),
    (add_bytes, ["extra    results.jsonl: 11 bytes after line 10 are no record of the next job"]),
    (edit_table, ["changed  results.csv: it is not what results.jsonl gives"]),
    (lose_table, ["missing  counts.csv: the table is not there"]),
    (edit_spec, ["changed  spec.yaml: it is not the spec that the run was started with"]),
    (edit_sequence, ["changed  sequences/aaaaaaaa.json: it is not the sequence that the spec gives"]),
    (lose_sequence, ["missing  sequences/aaaaaaaa.json: the sequence is not there"]),
    (add_sequence, ["extra    sequences/cccccccc.json: no job of the plan has it"]),
    (lose_journal, ["missing  journal.db"]),
    (break_journal, ["changed  journal.db"]),
]


@pytest.mark.parametrize(("damage", "expected"), FILES)
def test_a_file_that_was_changed(tmp_path: Path, damage: Callable[[Path], None], expected: list[str]) -> None:
    bench, folder = finished(tmp_path)
    damage(folder)
    found = verified(bench, folder)
    assert len(found.findings) == len(expected), lines(found)
    for line, start in zip(lines(found), expected, strict=True):
        assert line.startswith(start)
    assert found.exit_code == 1


def test_parquet_and_netcdf_are_compared_by_what_they_hold(tmp_path: Path) -> None:
    """Another compression is no difference, another value is one."""
    import netCDF4
    import pyarrow.parquet as pq

    bench = Bench(small_plan(tmp_path, 10))
    options = ResultOptions(directory=str(tmp_path), formats=["csv", "parquet", "netcdf"])
    bench.plan.spec.results = options  # type: ignore[misc]  # of the stand-in
    folder = bench.start().folder
    parquet, netcdf = folder / "results.parquet", folder / "results.nc"
    table = pq.read_table(parquet)
    pq.write_table(table, parquet, compression="gzip", row_group_size=3)
    found = verified(bench, folder)
    assert lines(found) == []
    assert "results.csv, counts.csv, results.parquet and results.nc" in found.checked
    pq.write_table(table.slice(0, 9), parquet)
    with netCDF4.Dataset(netcdf, "a") as file:
        file["occupation"][2, 0] = 0.25
    expected = "it is not what results.jsonl gives"
    assert lines(verified(bench, folder)) == [f"changed  results.parquet: {expected}", f"changed  results.nc: {expected}"]
    parquet.write_bytes(b"PAR1")
    netcdf.write_bytes(b"x" * 100)
    assert lines(verified(bench, folder)) == [f"changed  results.parquet: {expected}", f"changed  results.nc: {expected}"]


def test_observables_are_those_of_the_counts(tmp_path: Path) -> None:
    made = recorded_run(tmp_path, "{runs: 20, sweep: {grid: {t: [100, 200], om: [1.5, 3.0]}}}")
    break_journal(made.folder.path)  # the records were made without it
    first = verify(made.folder.path, make_plan=lambda _folder: made.plan)
    assert [finding.where for finding in first.findings] == ["journal.db"]
    record = made.records()[2]
    changed = replace(record, estimates={**record.estimates, "n": {"value": 1.7, "error": record.estimates["n"]["error"]}})
    jsonl.rewrite(made.folder.results, [changed])
    found = verify(made.folder.path, make_plan=lambda _folder: made.plan)
    assert lines(found)[1:] == ["changed  results.jsonl: line 3: observables are not what the counts give: n"]


def test_a_service_that_has_less_more_or_else(tmp_path: Path) -> None:
    """Batches and jobs that are gone, that nobody meant, or that ended otherwise."""
    bench, folder = finished(tmp_path, max_jobs=4)
    service = bench.service
    del service.batches[0].jobs[3]
    service.batches[1].jobs[0].status = "ERROR"
    service.batches[2].jobs.append(
        StoredJob(id="late", batch_id=service.batches[2].id, request=service.batches[0].jobs[0].request)
    )
    request = service.batches[0].request
    service.batches.append(StoredBatch(id="twice", request=request, tags=list(request.tags), open=False, status="DONE"))
    first, _, third = (batch.id for batch in service.batches[:3])
    job = service.batches[1].jobs[0].id
    assert lines(verified(bench, folder)) == [
        f"missing  service: batch {first} has 3 jobs, the journal knows of 4",
        f"missing  service: batch {first} does not list job 3, which was sent to its position 3",
        f"changed  service: job {job} is ERROR, the journal has DONE for job 4",
        f"extra    service: batch {third} has 3 jobs, the journal knows of 2",
        f"extra    service: job late at position 2 of batch {third} was not sent by this run",
        "extra    service: batch twice with 0 jobs, DONE, was not meant",
    ]
    del service.batches[0]
    assert f"missing  service: it has no batch {first} (number 0 of the run)" in lines(verified(bench, folder))


def test_a_service_that_is_not_reached(tmp_path: Path) -> None:
    """The files are compared all the same; exit code 3, or 1 when they differ."""
    bench, folder = finished(tmp_path)

    def down(_name: str, _when: str) -> None:
        raise UnreachableError("connection refused")

    bench.service.hook = down
    found = verified(bench, folder)
    assert (found.findings, found.unreached, found.exit_code) == ((), "connection refused", 3)
    assert "10 records" in found.checked
    edit_table(folder)
    assert verified(bench, folder).exit_code == 1


def test_what_a_server_says_is_made_safe(tmp_path: Path) -> None:
    bench, folder = finished(tmp_path)
    bench.service.batches[0].jobs[0].status = "\x1b[2JDONE"
    (line,) = lines(verified(bench, folder))
    assert "\x1b" not in line


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run folder"):
        verify(tmp_path)


SPEC = """\
version: 1
name: tiny
sequence:
  device: AnalogDevice
  register: {from_coordinates: {coords: [[0, 0]]}, automatic_layout: true}
  channels: {ising: rydberg_global}
  operations: [{op: pulse, duration: t, amplitude: 6.28, detuning: 0}]
jobs: {runs: 20, sweep: {grid: {t: [100, 500]}}}
"""


def test_on_the_command_line(tmp_path: Path) -> None:
    """A real run on the local twin: no difference; then one, as text and as JSON; then without the twin's store."""
    (tmp_path / "tiny.yaml").write_text(SPEC)
    command = [sys.executable, "-m", "pcs_runner"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}

    def pcs_run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    assert pcs_run("-q", "tiny.yaml", "-o", "here", "--workers", "1").returncode == 0
    done = pcs_run("verify", "here")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert done.stderr.splitlines()[-1] == "no difference"
    edit_table(tmp_path / "here")
    (tmp_path / "here" / "twin.db").unlink()
    done = pcs_run("verify", "here", "--json")
    assert done.returncode == 1
    body = json.loads(done.stdout)
    assert [finding["where"] for finding in body["findings"]] == ["results.csv", "twin.db"]
    assert done.stderr.splitlines()[-2:] == ["error: 2 differences", "next: pcs-run status here"]
    assert not (tmp_path / "here" / "twin.db").exists()
