"""Many processes that start the same plan at the same moment: one run, no job twice, and the others say who has it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pcs_runner.run.execute import open_run

ROOT = Path(__file__).resolve().parent.parent

CODE = """\
import json, os, sys, time
from pathlib import Path
from pcs_runner.errors import PcsRunnerError
from small_plan import Bench, small_plan

here, folder = Path(sys.argv[1]), sys.argv[2]
bench = Bench(small_plan(here, 12))

def hold(name, when):
    # The one that carries it out waits for all the others to have been refused.
    if (name, when) == ("add_jobs", "after"):
        end = time.monotonic() + 60
        while len(list(here.glob("*.refused"))) < int(sys.argv[3]) - 1 and time.monotonic() < end:
            time.sleep(0.02)

bench.service.hook = hold
(here / f"{os.getpid()}.ready").touch()
while not (here / "go").exists():
    time.sleep(0.001)
try:
    run = bench.start(output=Path(folder) if folder else None)
    answer = {"exit": run.exit_code, "message": str(run.folder), "jobs": len(bench.service.all_jobs())}
except PcsRunnerError as error:
    (here / f"{os.getpid()}.refused").touch()
    answer = {"exit": error.exit_code, "message": str(error), "jobs": len(bench.service.all_jobs())}
print(json.dumps({"pid": os.getpid(), **answer}))
"""


def together(tmp_path: Path, count: int, folder: str) -> list[dict[str, object]]:
    """Start so many processes, let them go at once, and gather what they say."""
    (tmp_path / "go.py").write_text(CODE)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [sys.executable, str(tmp_path / "go.py"), str(tmp_path), folder, str(count)]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    end = time.monotonic() + 120
    while len(list(tmp_path.glob("*.ready"))) < count:
        assert time.monotonic() < end
        time.sleep(0.05)
    (tmp_path / "go").touch()
    return [json.loads(process.communicate(timeout=120)[0]) for process in processes]


def check(tmp_path: Path, answers: list[dict[str, object]]) -> None:
    (winner,) = [answer for answer in answers if answer["exit"] == 0]
    others = [answer for answer in answers if answer is not winner]
    folder = Path(str(winner["message"]))
    assert {answer["exit"] for answer in others} == {3}
    assert {answer["message"] for answer in others} == {
        f"the run {folder} is held by process {winner['pid']} on {platform.node()}"
    }
    assert winner["jobs"] == 12
    assert sum(int(str(answer["jobs"])) for answer in answers) == 12
    assert open_run(folder).counts == {"DONE": 12}
    assert len(list(tmp_path.rglob("journal.db"))) == 1


@pytest.mark.parametrize("own", [False, True], ids=["default", "own"])
def test_two_processes_at_once(tmp_path: Path, own: bool) -> None:
    check(tmp_path, together(tmp_path, 2, str(tmp_path / "own") if own else ""))


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True], ids=["default", "own"])
def test_twenty_processes_at_once(tmp_path: Path, own: bool) -> None:
    check(tmp_path, together(tmp_path, 20, str(tmp_path / "own") if own else ""))
