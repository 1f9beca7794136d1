"""Journals that are lost, damaged, or another run's: rebuilt from the service and the results, or refused; never paid twice."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.errors import InterruptedRunError, RunHeldError, ServiceError, StorageError
from pcs_runner.pcs.errors import UnreachableError
from pcs_runner.run.directory import RunFolder
from pcs_runner.run.execute import open_run
from pcs_runner.run.journal import Journal
from small_plan import Bench, small_plan
from stand_in_client import Service, StoredJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder: these tests make many syncs and need none of them."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCS_RUNNER_SETTLE_S", "40")


def interrupted_at(bench: Bench, call: str, n: int, moment: str = "before") -> Path:
    """Start a run and end it at the n-th moment of a call, as a crash would; its folder."""
    count = 0

    def hook(name: str, when: str) -> None:
        nonlocal count
        if (name, when) == (call, moment):
            count += 1
            if count == n:
                raise KeyboardInterrupt

    bench.service.hook = hook
    with pytest.raises(InterruptedRunError):
        bench.start()
    bench.service.hook = lambda _name, _when: None
    return Path(bench.told("created")[0].message)


def missing(folder: Path) -> None:
    (folder / "journal.db").unlink()


def empty(folder: Path) -> None:
    (folder / "journal.db").write_bytes(b"")


def garbage(folder: Path) -> None:
    (folder / "journal.db").write_bytes(b"not a database, but long enough to be one" * 200)


def cut(folder: Path) -> None:
    path = folder / "journal.db"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_runs(folder: Path) -> None:
    path = folder / "journal.db"
    path.unlink()
    Journal.create(path, uuid="somebody-elses", digest="0123456789abcdef" * 4, total=20)


DAMAGES: list[Callable[[Path], None]] = [missing, empty, garbage, cut, other_runs]
POINTS = [
    ("add_jobs", 2, "before"),
    ("add_jobs", 2, "after"),
    ("batch_status", 3, "before"),
    ("results", 2, "before"),
    ("close_batch", 1, "after"),
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("backend", ["local", "pcs"])
def test_a_damaged_journal_is_rebuilt(tmp_path: Path, damage: Callable[[Path], None], backend: str) -> None:
    """Nothing is sent twice, nothing is lost, and the old file is kept."""
    bench = Bench(small_plan(tmp_path, 14, backend=backend), is_twin=backend == "local")
    folder = interrupted_at(bench, "add_jobs", 3, "after")
    damage(folder)
    run = bench.resume(folder)
    bench.check_whole(run)
    assert len(bench.service.all_jobs()) == 14
    assert len(bench.service.batches) == 1
    assert run.strangers == ()
    assert len(bench.told("rebuilt")) == 1
    assert (folder / "journal.db.damaged").exists() == (damage is not missing)
    assert not (folder / "journal.db.new").exists()


@pytest.mark.parametrize("xs", [[float(i) for i in range(14)], [1.0] * 14, [1.0, 2.0] * 7], ids=["different", "equal", "pairs"])
@pytest.mark.parametrize(("call", "n", "moment"), POINTS)
@pytest.mark.parametrize(
    "options",
    [{}, {"max_jobs": 5}, {"open": False, "max_jobs": 6}, {"on_failure": {"retries": 2}}],
    ids=["one", "several", "closed", "retries"],
)
def test_a_lost_journal_is_rebuilt_at_every_point(
    tmp_path: Path, call: str, n: int, moment: str, options: dict[str, Any], xs: list[float]
) -> None:
    """Also with neighbours of equal content, with failures that are sent again, and where several batches are needed."""
    bench = Bench(small_plan(tmp_path, xs=xs, **options))
    if "on_failure" in options:
        bench.service.failures = {1.0: 2}
    if options.get("open") is False and call in ("add_jobs", "close_batch"):
        call, n = "create_batch", 2
    folder = interrupted_at(bench, call, n, moment)
    missing(folder)
    run = bench.resume(folder)
    bench.check_whole(run)
    assert sum(job.status == "DONE" for job in bench.service.all_jobs()) == 14
    assert run.strangers == ()


@pytest.mark.parametrize("options", [{"split": "sequence"}, {}], ids=["split", "own"])
def test_several_sequences(tmp_path: Path, options: dict[str, Any]) -> None:
    """Jobs of different sequences are told apart by the sequence, where variables and runs are the same."""
    bench = Bench(small_plan(tmp_path, xs=[1.0] * 12, sequences=("aaaaaaaa", "bbbbbbbb", "cccccccc"), **options))
    folder = interrupted_at(bench, "add_jobs", 2, "after")
    missing(folder)
    run = bench.resume(folder)
    bench.check_whole(run)
    assert len(bench.service.all_jobs()) == 12
    assert [record.sequence for record in run.records] == ["aaaaaaaa", "bbbbbbbb", "cccccccc"] * 4


def test_an_older_copy_of_the_journal(tmp_path: Path) -> None:
    """A journal that was restored from a backup knows less than the service: what it does not know is not sent again."""
    bench = Bench(small_plan(tmp_path, 14))
    folder = interrupted_at(bench, "add_jobs", 2, "before")
    shutil.copy(folder / "journal.db", tmp_path / "older")
    interrupted_again = 0

    def hook(name: str, when: str) -> None:
        nonlocal interrupted_again
        if (name, when) == ("batch_status", "before"):
            interrupted_again += 1
            if interrupted_again == 3:
                raise KeyboardInterrupt

    bench.service.hook = hook
    with pytest.raises(InterruptedRunError):
        bench.resume(folder)
    bench.service.hook = lambda _name, _when: None
    shutil.copy(tmp_path / "older", folder / "journal.db")
    run = bench.resume(folder)
    bench.check_whole(run)
    assert len(bench.service.all_jobs()) == 14
    assert run.strangers == ()


def test_the_first_copy_of_the_journal(tmp_path: Path) -> None:
    """As it was before anything was sent."""
    bench = Bench(small_plan(tmp_path, 14))
    folder = interrupted_at(bench, "add_jobs", 3, "after")
    path = folder / "journal.db"
    uuid = open_run(folder).uuid
    path.unlink()
    Journal.create(path, uuid=uuid, digest="0123456789abcdef" * 4, total=14)
    bench.check_whole(bench.resume(folder))
    assert len(bench.service.all_jobs()) == 14


def test_a_finished_run_stays_finished(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 14))
    bench.service.failures = {3.0: 9}
    run = bench.start()
    body = run.results_path.read_bytes()
    missing(run.folder)
    with pytest.raises(StorageError, match=r"journal\.db is missing"):
        open_run(run.folder)
    again = bench.start()
    assert (again.folder, again.state, again.counts, again.exit_code) == (run.folder, "finished", {"DONE": 13, "ERROR": 1}, 1)
    assert again.results_path.read_bytes() == body
    assert len(bench.service.all_jobs()) == 14
    bench.service.failures = {}
    missing(run.folder)
    bench.check_whole(bench.retry(run.folder))
    assert len(bench.service.all_jobs()) == 15


def test_a_cancelled_run_stays_cancelled(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 30))
    folder = interrupted_at(bench, "add_jobs", 4)
    run = bench.cancel(folder)
    missing(folder)
    again = bench.resume(folder)
    assert (again.state, again.counts) == (run.state, run.counts) == ("cancelled", run.counts)
    assert bench.service.calls["create_batch"] == 1


def test_jobs_that_a_gateway_repeated_are_told_apart(tmp_path: Path) -> None:
    """They are extra: reported, and cancelled while pending."""
    bench = Bench(small_plan(tmp_path, 14))
    folder = interrupted_at(bench, "add_jobs", 3, "after")
    jobs = bench.service.batches[0].jobs
    jobs += [StoredJob(id=f"x{job.id}", batch_id=job.batch_id, request=job.request) for job in jobs[-4:]]
    missing(folder)
    run = bench.resume(folder)
    bench.check_whole(run)
    assert len(run.strangers) == 4
    assert run.exit_code == 1


def test_a_cloud_that_lists_nothing_is_not_trusted(tmp_path: Path) -> None:
    """It may be another account: nothing is sent, exit code 3."""
    bench = Bench(small_plan(tmp_path, 14, backend="pcs"), is_twin=False)
    folder = interrupted_at(bench, "add_jobs", 2, "after")
    missing(folder)
    kept, bench.service.batches = bench.service.batches, []
    attempts: list[Callable[[], Any]] = [bench.start, lambda: bench.resume(folder)]
    for attempt in attempts:
        with pytest.raises(ServiceError, match="lists no batch of its run") as caught:
            attempt()
        assert caught.value.exit_code == 3
        assert "--new" in caught.value.hint
    assert bench.service.batches == []
    bench.service.batches = kept
    bench.check_whole(bench.start())
    assert len(bench.service.all_jobs()) == 14


def test_a_service_that_is_not_reached(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 14, backend="pcs"), is_twin=False)
    folder = interrupted_at(bench, "add_jobs", 2, "after")
    garbage(folder)

    def down(_name: str, _when: str) -> None:
        raise UnreachableError("connection refused")

    bench.service.hook = down
    with pytest.raises(UnreachableError):
        bench.resume(folder)
    bench.service.hook = lambda _name, _when: None
    bench.check_whole(bench.resume(folder))
    assert len(bench.service.all_jobs()) == 14


def test_jobs_that_are_not_the_plans_are_a_contradiction(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 14))
    folder = interrupted_at(bench, "add_jobs", 3, "after")
    missing(folder)
    other = Bench(small_plan(tmp_path, xs=[99.0] * 14), service=bench.service)
    with pytest.raises(ServiceError, match="is none of the plan's"):
        other.resume(folder)
    assert bench.service.calls["add_jobs"] == 3


def test_a_batch_that_is_not_listed_is_a_contradiction(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 14, max_jobs=5))
    folder = interrupted_at(bench, "add_jobs", 4, "after")
    missing(folder)
    del bench.service.batches[0]
    with pytest.raises(ServiceError, match="does not list batch 0 of the run"):
        bench.resume(folder)


def test_results_of_another_run_are_a_contradiction(tmp_path: Path) -> None:
    bench = Bench(small_plan(tmp_path, 14, backend="pcs"), is_twin=False)
    folder = interrupted_at(bench, "results", 2)
    other = Bench(small_plan(tmp_path / "other", 14), service=Service())
    other.service.new_id("x")
    shutil.copy(other.start().results_path, folder / "results.jsonl")
    missing(folder)
    with pytest.raises(ServiceError, match="does not have in this run"):
        bench.resume(folder)


def test_a_twin_whose_store_is_gone_too(tmp_path: Path) -> None:
    """On this machine nothing is paid: what is recorded stays, the rest is run."""
    bench = Bench(small_plan(tmp_path, 14))
    folder = interrupted_at(bench, "results", 3)
    lines = (folder / "results.jsonl").read_bytes()
    missing(folder)
    bench.service.batches = []
    run = bench.resume(folder)
    assert run.counts == {"DONE": 14}
    assert run.results_path.read_bytes().startswith(lines)


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_of_another_machine_is_adopted(tmp_path: Path, finished: bool) -> None:
    """The folder is gone: the run is found by the plan's tag, its results are fetched, and only the rest is sent."""
    service = Service()
    first = Bench(small_plan(tmp_path / "one", 14, backend="pcs"), service=service, is_twin=False)
    uuid = first.start().uuid if finished else open_run(interrupted_at(first, "add_jobs", 3, "after")).uuid
    second = Bench(small_plan(tmp_path / "two", 14, backend="pcs"), service=service, is_twin=False)
    run = second.start()
    second.check_whole(run)
    assert run.uuid == uuid
    assert len(service.all_jobs()) == 14
    assert second.kinds()[:2] == ["run_adopted", "created"]
    assert second.start() == run
    new = second.start(new=True)
    assert new.uuid != uuid
    assert len(service.all_jobs()) == 28


def test_a_run_of_which_nothing_is_left_is_not_adopted(tmp_path: Path) -> None:
    service = Service(speed=0)
    first = Bench(small_plan(tmp_path / "one", 14, backend="pcs"), service=service, is_twin=False)
    first.cancel(interrupted_at(first, "add_jobs", 2, "before"))
    service.speed = 3
    second = Bench(small_plan(tmp_path / "two", 14, backend="pcs"), service=service, is_twin=False)
    assert second.start().counts == {"DONE": 14}
    assert "run_adopted" not in second.kinds()


def test_a_run_that_somebody_is_carrying_out_is_left_alone(tmp_path: Path) -> None:
    """While its batches grow, another machine is at work on it."""
    service = Service(speed=0)
    first = Bench(small_plan(tmp_path / "one", 14, backend="pcs"), service=service, is_twin=False)
    interrupted_at(first, "add_jobs", 1, "after")

    def grow(name: str, when: str) -> None:
        if (name, when) == ("list_batches", "before"):
            jobs = service.batches[0].jobs
            jobs.append(StoredJob(id=service.new_id("j"), batch_id="b0", request=jobs[0].request))

    service.hook = grow
    second = Bench(small_plan(tmp_path / "two", 14, backend="pcs"), service=service, is_twin=False)
    with pytest.raises(RunHeldError, match="another process is carrying it out"):
        second.start()
    assert service.calls["add_jobs"] == 1


def test_asking_for_earlier_runs_costs_one_request(tmp_path: Path) -> None:
    """And none on this machine."""
    for backend, listed in (("pcs", 2), ("local", 1)):
        bench = Bench(small_plan(tmp_path / backend, 6, backend=backend), is_twin=False)
        bench.start()
        assert bench.service.calls["list_batches"] == listed, "one before, one for the audit at the end"


def test_tags_of_strangers_are_not_believed(tmp_path: Path) -> None:
    """A tag is text from outside: it names no file and no run that it does not spell rightly."""
    service = Service()
    first = Bench(small_plan(tmp_path / "one", 6, backend="pcs"), service=service, is_twin=False)
    first.start()
    service.batches[0].tags = ["pcs-plan:0123456789abcdef", "pcs-run:../../etc/passwd", "pcs-run:a b", "pcs-run:\x1b[2J"]
    second = Bench(small_plan(tmp_path / "two", 6, backend="pcs"), service=service, is_twin=False)
    second.check_whole(second.start())
    assert "run_adopted" not in second.kinds()


def test_the_manifest_says_that_a_run_was_adopted(tmp_path: Path) -> None:
    service = Service()
    Bench(small_plan(tmp_path / "one", 6, backend="pcs"), service=service, is_twin=False).start()
    run = Bench(small_plan(tmp_path / "two", 6, backend="pcs"), service=service, is_twin=False).start()
    assert run.manifest["adopted"] is True
    assert json.loads(RunFolder(run.folder).manifest.read_bytes())["run"] == run.uuid


def test_failures_of_equal_jobs_are_shared_out(tmp_path: Path) -> None:
    """Two jobs failed once each: neither counts as one that failed twice, so both still have their retry."""
    bench = Bench(small_plan(tmp_path, xs=[1.0] * 5, chunk=3, on_failure={"retries": 1}))
    bench.service.failures = {1.0: 2}
    folder = interrupted_at(bench, "add_jobs", 2, "after")
    bench.service.advance()
    (folder / "journal.db").unlink()
    run = bench.resume(folder)
    bench.check_whole(run)
    assert sorted(record.attempt for record in run.records) == [1, 1, 1, 2, 2]
    assert len(bench.service.all_jobs()) == 7


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE jobs SET fate = 'opfn' WHERE idx = 5",
        "UPDATE jobs SET position = position + 64 WHERE idx = 5",
        "UPDATE jobs SET idx = idx + 64 WHERE idx = 5",
        "UPDATE jobs SET status = 'DNNE' WHERE idx = 0",
        "UPDATE batches SET state = 'opeo'",
        "UPDATE batches SET next_position = next_position + 256",
        "UPDATE run SET recorded = 300",
        "UPDATE run SET state = 'runninf'",
        "CREATE TABLE runs AS SELECT 1",
    ],
)
def test_a_journal_with_a_changed_value_is_rebuilt(tmp_path: Path, change: str) -> None:
    """SQLite finds nothing wrong with the file, but a row says what this program never writes."""
    bench = Bench(small_plan(tmp_path, xs=[1.0] * 14))
    folder = interrupted_at(bench, "add_jobs", 4, "before")
    with closing(Journal.open(folder / "journal.db")) as journal:
        journal._write(change)
    run = bench.resume(folder)
    assert len(bench.told("rebuilt")) == 1
    bench.check_whole(run)
    assert len(bench.service.all_jobs()) == 14
    assert run.exit_code == 0


def test_a_journal_of_an_older_version_is_carried_on(tmp_path: Path) -> None:
    """Before the sum there was none."""
    bench = Bench(small_plan(tmp_path, 14))
    folder = interrupted_at(bench, "add_jobs", 2, "after")
    with closing(sqlite3.connect(folder / "journal.db")) as database:
        database.executescript("DROP TABLE seal; PRAGMA user_version = 1;")
    bench.check_whole(bench.resume(folder))
    assert not bench.told("rebuilt")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE jobs SET content = (SELECT content FROM jobs WHERE idx = 0) WHERE idx = 12",
        "UPDATE jobs SET content = (SELECT content FROM jobs WHERE idx = 0) WHERE idx = 4",
        "UPDATE jobs SET retries = 1 WHERE idx = 4",
        "UPDATE batches SET id = 'b8'",
        "UPDATE batches SET known = known + 1",
        "UPDATE batches SET intended_at = 0",
        "UPDATE chunks SET count = count + 1 WHERE state = 'intent'",
        "UPDATE run SET total = 15",
        "DELETE FROM chunks",
        "UPDATE batches SET id = CAST(x'62b0' AS TEXT)",
    ],
)
def test_a_journal_with_another_value_that_could_be_right_is_rebuilt(tmp_path: Path, change: str) -> None:
    """The sum over its rows is not theirs. The last request is in doubt: another content there would send it once more."""
    bench = Bench(small_plan(tmp_path, xs=[float(i) for i in range(14)]))
    folder = interrupted_at(bench, "add_jobs", 4, "after")
    with closing(sqlite3.connect(folder / "journal.db")) as database, database:
        assert database.execute(change).rowcount
    run = bench.resume(folder)
    assert len(bench.told("rebuilt")) == 1
    bench.check_whole(run)
    assert len(bench.service.all_jobs()) == 14
    assert run.exit_code == 0
