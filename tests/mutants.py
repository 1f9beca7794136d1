"""Deliberate bugs in our own code, each of which the tests must catch: `python tests/mutants.py [--only NAME] [--jobs N]`.

Each one is put into a copy of the package in a temporary folder, which then comes first on the import path; the tests that must
catch it run against that copy. Without any bug they must pass there first. The exit code is 1 when a bug survives.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

ROOT = Path(__file__).resolve().parent.parent

COPY = "MUTANTS_COPY"
"""Environment variable: the folder from which the package must be imported."""

LONGEST_S = 400
"""A mutant whose tests take longer hangs, which is caught too."""

SURVIVED, CAUGHT = 0, 1
"""Exit codes of pytest: all passed, some failed. Others mean that the tests did not run."""

SYNCED = ("tests/crash/test_crash_synced.py",)
UNSYNCED = ("tests/crash/test_crash_unsynced.py", "-k", "bounded")
DEATHS = ("tests/test_run_crash.py",)
DOUBTS = ("tests/test_run_doubt.py",)
FAULTS = ("tests/test_pcs_client_faults.py",)
REBUILT = ("tests/test_run_rebuild.py",)
STRANGERS = ("tests/test_run_strangers.py",)
FAILURES = ("tests/test_run_failures.py",)
STARTS = ("tests/test_run_start.py",)
REUSED = ("tests/test_reuse.py", "-k", "extended_sweep or more_runs_add or measured_otherwise or equal_jobs or lost_journal")
TWINS = ("tests/test_emulator_workers.py", "-k", "one_worker_or_three")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug.

    Attributes:
        name: Short; what is wrong.
        file: Below `pcs_runner/`.
        old: Text that stands there once.
        new: What takes its place.
        tests: What must catch it, as arguments of pytest.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The file that it changes, in this repository."""
        return ROOT / "pcs_runner" / self.file

    def changed(self, text: str) -> str:
        """The file's text with the bug in it.

        Raises:
            ValueError: The old text does not stand there exactly once.
        """
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.file} has {text.count(self.old)} times {self.old!r}")
        return text.replace(self.old, self.new)


MUTANTS = (
    # What is written is on disk before it is relied on.
    Mutant(
        "results not synced",
        "results/jsonl.py",
        "            stream.flush()\n            os.fsync(stream.fileno())\n        except OSError:",
        "            stream.flush()\n        except OSError:",
        UNSYNCED,
    ),
    Mutant(
        "name of the results not synced",
        "results/jsonl.py",
        "    if new:\n        sync_folder(path.parent)\n",
        "",
        SYNCED,
    ),
    Mutant(
        "replaced file not synced",
        "results/durable.py",
        "            stream.flush()\n            os.fsync(stream.fileno())\n        temporary.replace(path)",
        "            stream.flush()\n        temporary.replace(path)",
        SYNCED,
    ),
    Mutant(
        "name of a replaced file not synced",
        "results/durable.py",
        "        raise\n    sync_folder(path.parent)\n",
        "        raise\n",
        SYNCED,
    ),
    Mutant("journal not synced", "run/journal/file.py", '"PRAGMA synchronous = EXTRA"', '"PRAGMA synchronous = OFF"', SYNCED),
    Mutant(
        "end of a transaction not synced",
        "run/journal/file.py",
        '"PRAGMA synchronous = EXTRA"',
        '"PRAGMA synchronous = FULL"',
        SYNCED,
    ),
    Mutant("name of the run folder not synced", "run/directory.py", "    sync_folder(folder.path.parent)\n", "", SYNCED),
    Mutant(
        "removal of the marker not synced",
        "run/directory.py",
        "    sync_folder(folder.path)  # a marker that came back",
        "    # a marker that came back",
        SYNCED,
    ),
    Mutant(
        "names of input folders not synced",
        "run/directory.py",
        "        sync_folder(folder.inputs / parent)\n",
        "        pass\n",
        SYNCED,
    ),
    # Nothing is sent that may have arrived.
    Mutant(
        "POST repeated after a 502",
        "pcs/retries.py",
        "return outcome.status == 429 if changes else outcome.status in PASSING",
        "return outcome.status in PASSING",
        FAULTS,
    ),
    Mutant(
        "POST repeated after a broken connection",
        "pcs/retries.py",
        "return outcome.again and not (changes and outcome.arrived)",
        "return outcome.again",
        FAULTS,
    ),
    Mutant(
        "POST on a connection that may be closing",
        "pcs/calls.py",
        "            fresh=call.changes,\n",
        "",
        ("tests/test_pcs_client.py",),
    ),
    Mutant(
        "batch created without its own tag",
        "run/submit.py",
        "tags=(session.run_tag, session.batch_tag(batch.k), f",
        "tags=(session.run_tag, f",
        DEATHS,
    ),
    Mutant(
        "tags of an answer not checked",
        "run/doubt.py",
        "item for item in session.client.list_batches(tag=session.batch_tag(batch.k)) if session.batch_tag(batch.k) in item.tags",
        "item for item in session.client.list_batches(tag=session.batch_tag(batch.k))",
        STRANGERS,
    ),
    Mutant(
        "adopted by the run's tag",
        "run/doubt.py",
        "item for item in session.client.list_batches(tag=session.batch_tag(batch.k)) if session.batch_tag(batch.k) in item.tags",
        "item for item in session.client.list_batches(tag=session.run_tag)",
        DEATHS,
    ),
    Mutant(
        "newest batch kept", "run/doubt.py", "return found[0] if found else None", "return found[-1] if found else None", DOUBTS
    ),
    Mutant(
        "strangers that run are cancelled",
        "run/doubt.py",
        'if not jobs or (counts and set(counts) == {"PENDING"}):',
        "if True:",
        STRANGERS,
    ),
    Mutant(
        "batch of a dead process not looked for",
        "run/doubt.py",
        "        if batch.intended_at:\n            found =",
        "        if False:\n            found =",
        DEATHS,
    ),
    Mutant(
        "no settle window",
        "run/doubt.py",
        'session.wait(session.settle_s, "a request without an answer may still arrive at the service")',
        "return",
        DOUBTS,
    ),
    Mutant(
        "unclear chunk taken to have arrived",
        "run/doubt.py",
        "    strangers = [*tail[:offset], *tail[offset + landed :]]\n",
        "    landed, offset = len(rows), 0\n    strangers = []\n",
        DOUBTS,
    ),
    Mutant(
        "tail not compared by content",
        "run/doubt.py",
        "        if list(part) == list(meant[: len(part)]):\n",
        "        if part:\n",
        DOUBTS,
    ),
    Mutant(
        "list not compared with the count",
        "run/doubt.py",
        "        if count is None or count == first + len(tail):\n            return tail",
        "        if True:\n            return tail",
        STRANGERS,
    ),
    Mutant(
        "refused chunk not looked for",
        "run/submit.py",
        "            landed = doubt.reconcile(session, batch, chunk)\n            if not landed and",
        "            landed = 0\n            session.journal.acknowledge_chunk(chunk, landed=0)\n            if not landed and",
        STRANGERS,
    ),
    Mutant(
        "batch closed before its tail is checked",
        "run/submit.py",
        "    assert batch.id is not None\n    check_tail(session, batch)\n",
        "    assert batch.id is not None\n",
        STRANGERS,
    ),
    Mutant(
        "closed without looking",
        "run/submit.py",
        "        if not fresh.open or fresh.status in TERMINAL:",
        "        if attempt:",
        DOUBTS,
    ),
    Mutant("no audit by the tag", "run/finish.py", "    audit(session)\n", "", DOUBTS),
    Mutant(
        "two writers", "run/lock.py", "            lock.acquire(timeout=0)\n            break\n", "            break\n", STARTS
    ),
    # The journal.
    Mutant(
        "chunk journalled as acknowledged before it is sent",
        "run/journal/book.py",
        "INSERT INTO chunks VALUES (?, ?, ?, 'intent', ?)",
        "INSERT INTO chunks VALUES (?, ?, ?, 'acknowledged', ?)",
        DEATHS,
    ),
    Mutant(
        "batch meant and forgotten",
        "run/journal/book.py",
        "SELECT 'intent', COALESCE(MAX(k) + 1, 0), ?, ?, ? FROM batches",
        "SELECT 'intent', COALESCE(MAX(k) + 1, 0), ?, ?, 0 * ? FROM batches",
        DEATHS,
    ),
    Mutant(
        "part of a chunk forgotten",
        "run/journal/book.py",
        "            write(unsent, (chunk.k, chunk.first + landed))\n",
        "            write(unsent, (chunk.k, chunk.first + landed + 1))\n",
        DOUBTS,
    ),
    Mutant(
        "failed transaction kept",
        "run/journal/file.py",
        "                    self._connection.rollback()",
        "                    self._connection.commit()",
        ("tests/test_journal.py",),
    ),
    Mutant(
        "changed value in the journal believed",
        "run/journal/file.py",
        "if version != UNSEALED and not seal.is_whole(connection):",
        "if False:",
        REBUILT,
    ),
    Mutant("older copy of the journal believed", "run/rebuild.py", "    if not is_behind(session):\n", "    if True:\n", REBUILT),
    Mutant(
        "fresh run does not look for earlier ones",
        "run/opening.py",
        "earlier = None if new else found.earlier_run(client, plan.digest)",
        "earlier = None",
        REBUILT,
    ),
    Mutant(
        "retried job keeps its old record",
        "run/journal/book.py",
        "UPDATE jobs SET fate = 'superseded' WHERE fate = 'recorded' AND status <> 'DONE'",
        "UPDATE jobs SET fate = 'superseded' WHERE fate = 'recorded' AND status = 'DONE'",
        FAILURES,
    ),
    # Following and collecting.
    Mutant(
        "journal written before the results",
        "run/collect.py",
        "            jsonl.append(session.folder.results, (record.to_line() for record in self._records(rows)))\n"
        "            recorded += len(rows)\n            session.journal.record(rows, recorded)\n",
        "            recorded += len(rows)\n            session.journal.record(rows, recorded)\n"
        "            jsonl.append(session.folder.results, (record.to_line() for record in self._records(rows)))\n",
        UNSYNCED,
    ),
    Mutant("appended behind a torn line", "run/collect.py", "    jsonl.cut(path, size)\n", "", STARTS),
    Mutant(
        "line of another job adopted",
        "run/collect.py",
        "            if row is None or not _is_record_of(line, row):\n",
        "            if row is None:\n",
        STRANGERS,
    ),
    Mutant(
        "results out of order",
        "run/collect.py",
        "return [row for index, row in enumerate(rows, start) if row.idx == index]",
        "return list(rows)",
        FAILURES,
    ),
    Mutant("counter that does not sum trusted", "run/result_check.py", "if not wrong and total != runs:", "if False:", FAILURES),
    Mutant(
        "bitstrings of the wrong length trusted",
        "run/result_check.py",
        'if len(bits) != n_atoms or bits.strip("01"):',
        'if bits.strip("01"):',
        FAILURES,
    ),
    Mutant(
        "unknown status taken for done",
        "run/follow.py",
        "may_lag=True) if job.status in TERMINAL]",
        'may_lag=True) if job.status not in ("PENDING", "RUNNING")]',
        STRANGERS,
    ),
    Mutant(
        "content of a job not compared",
        "run/follow.py",
        "if there is not None and row.content is not None and there != row.content:",
        "if False:",
        FAILURES,
    ),
    Mutant(
        "cancelled jobs sent again",
        "run/follow.py",
        '        if status == "CANCELED" and not taken_away:\n            return None',
        '        if status == "CANCELED" and False:\n            return None',
        ("tests/test_run_cancelled_elsewhere.py",),
    ),
    # What earlier runs measured.
    Mutant("points that are taken over are sent again", "run/opening.py", "    if taken_over:\n", "    if False:\n", REUSED),
    Mutant(
        "runs that are there are asked for again",
        "run/reuse.py",
        "return job.runs - (0 if record is None else record.runs)",
        "return job.runs",
        REUSED,
    ),
    Mutant(
        "added runs are the first draws once more",
        "run/reuse.py",
        "return job.index + (0 if record is None else record.runs * LARGEST_INDEX)",
        "return job.index",
        REUSED,
    ),
    Mutant(
        "one measurement taken over twice",
        "run/journal/earlier.py",
        "            self._forget(row[0])\n            folder, uuid",
        "            folder, uuid",
        REUSED,
    ),
    Mutant(
        "points of another place taken over",
        "run/journal/earlier.py",
        "if there != place or not folder.is_run():",
        "if not folder.is_run():",
        REUSED,
    ),
    Mutant(
        "points that were taken over lost with the journal",
        "run/rebuild.py",
        "for row in session.reused.rows(session.plan) if row.idx not in matching.recorded]",
        "for row in ()]",
        REUSED,
    ),
    # What is beyond the plan.
    Mutant(
        "an empty batch that is too much not told",
        "run/outcome.py",
        "failed or bool(self.strangers)",
        "failed or any(jobs for _, _, jobs, _ in self.strangers)",
        DOUBTS,
    ),
    # The twin and the client.
    Mutant(
        "results seeded by the worker",
        "emulator/workers.py",
        "runs=job.runs, entropy=entropy)",
        "runs=job.runs, entropy=(__import__('os').getpid(), *entropy))",
        TWINS,
    ),
    Mutant(
        "token in an error",
        "pcs/calls.py",
        "error.message, error.description, error.response = hide(error.message), hide(error.description), hide(error.response)",
        "error.description, error.response = hide(error.description), hide(error.response)",
        FAULTS,
    ),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        name: Of the mutant.
        outcome: `caught`, `SURVIVED`, or what went wrong.
        by: The test that failed first.
        seconds: How long its tests took.
    """

    name: str
    outcome: str
    by: str
    seconds: float


def pytest_sessionfinish(session: pytest.Session) -> None:
    """As a plugin of pytest: see that the package came from the copy, and from nowhere else."""
    copy = os.environ.get(COPY)
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "pcs_runner"]
    files = [Path(file) for module in modules if (file := getattr(module, "__file__", None))]
    if copy and (not files or not all(file.is_relative_to(copy) for file in files)):
        session.exitstatus = 4


def verdict_on(mutants: Sequence[Mutant]) -> Verdict:
    """Run the tests of mutants against a copy of the package: of one with its bug, of several without any."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder).resolve()
        shutil.copytree(ROOT / "pcs_runner", copy / "pcs_runner", ignore=shutil.ignore_patterns("__pycache__"))
        (copy / "schemas").symlink_to(ROOT / "schemas")
        if len(mutants) == 1:
            path = copy / "pcs_runner" / mutants[0].file
            path.write_text(mutants[0].changed(path.read_text(encoding="utf-8")), encoding="utf-8")
        name = mutants[0].name if len(mutants) == 1 else "(none)"
        tests = dict.fromkeys(one.tests for one in mutants)
        for arguments in tests:
            outcome, by = _pytest(copy, arguments)
            if outcome != "SURVIVED":
                return Verdict(name, outcome, by, time.monotonic() - begin)
    return Verdict(name, "SURVIVED", "", time.monotonic() - begin)


def environment_of(copy: Path) -> dict[str, str]:
    """The environment in which `python -P` takes the package from a copy.

    Without -P the current folder comes first on the import path; an editable installation comes after PYTHONPATH. Options
    for another pytest, such as `-n 2`, would move the tests out of the process that says which package it imported.
    """
    path = os.pathsep.join([str(copy), str(ROOT / "tests")])
    kept = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    return {**kept, "PYTHONPATH": path, COPY: str(copy), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(copy)}


def _pytest(copy: Path, arguments: Sequence[str]) -> tuple[str, str]:
    """Run tests with the package of a folder; what came out, and which test failed."""
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-x", "--tb=no", "-p", "no:cacheprovider", "-p", "mutants"]
    command += [str(ROOT / one) if one.startswith("tests/") else one for one in arguments]
    try:
        done = subprocess.run(
            [*command, "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")],
            cwd=copy,
            env=environment_of(copy),
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        return "caught", "time"
    failed = next((line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED")), "")
    if done.returncode == CAUGHT:
        return "caught", failed.rpartition("/")[2]
    return ("SURVIVED", "") if done.returncode == SURVIVED else (f"not tested (pytest {done.returncode})", done.stdout[-300:])


def main() -> int:
    """Test all mutants, or those of the command line; print what became of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="Only the mutants whose name has this in it.")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="So many at once.")
    parser.add_argument("--no-check", action="store_true", help="Do not look first whether the tests pass without any bug.")
    options = parser.parse_args()
    chosen = [one for one in MUTANTS if not options.only or any(word in one.name for word in options.only)]
    if not options.no_check:
        sound = verdict_on([*chosen, *chosen])
        print(f"without a bug: {'passed' if sound.outcome == 'SURVIVED' else sound} ({sound.seconds:.0f} s)", flush=True)
        if sound.outcome != "SURVIVED":
            return 1
    print("| mutant | caught by | seconds |\n|---|---|---:|", flush=True)
    caught = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(lambda one: verdict_on([one]), chosen):
            caught += verdict.outcome == "caught"
            shown = verdict.by if verdict.outcome == "caught" else f"{verdict.outcome} {verdict.by}".strip()
            print(f"| {verdict.name} | {shown} | {verdict.seconds:.0f} |", flush=True)
    print(f"{caught} of {len(chosen)} caught")
    return int(caught != len(chosen))


if __name__ == "__main__":
    sys.exit(main())
