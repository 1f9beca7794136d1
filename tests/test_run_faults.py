"""Runs through a twin with faults: every job recorded, none stored twice, no batch left open, and the fault did happen."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pcs_runner
from pcs_runner.cli import main
from pcs_runner.pcs.access import find_access
from pcs_runner.pcs.calls import Limits
from pcs_runner.pcs.client import Client, Wire, polling_from
from pcs_runner.pcs.effects import Effects
from pcs_runner.run import execute
from twin_server import TwinServer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pcs_runner.plan import Target
    from pcs_runner.run.outcome import Run

SPEC = """\
version: 1
name: faults
sequence:
  device: AnalogDevice
  register: {from_coordinates: {coords: [[0, 0], [7, 0]]}, automatic_layout: true}
  channels: {ising: rydberg_global}
  operations: [{op: pulse, duration: 300, amplitude: omega, detuning: 0}]
jobs: {runs: 20, sweep: {grid: {omega: [3, 3, 3, 5, 5, 3, 3]}}}
targets:
  twin: {backend: pcs, engine: qutip, batch: {chunk: 3}}
"""
"""Seven jobs in three requests; neighbours are equal, so that a tail can be read in several ways."""

JOBS = 7
ADD = "POST /api/v2/batches/*/jobs"
CREATE = "POST /api/v1/batches"
LIST = "GET /api/v1/batches"
STATUS = "GET /api/v1/batches/*/status"
CLOSE = "PATCH /api/v2/batches/*/complete"


@pytest.fixture(scope="module")
def server() -> Iterator[TwinServer]:
    with serving("--workers", "1", "--fault-control") as twin:
        yield twin


@pytest.fixture(autouse=True)
def environment(server: TwinServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose cloud is the twin, with an empty home."""
    for name in [name for name in os.environ if name.startswith(("PASQAL_", "PCS_RUNNER_"))]:
        monkeypatch.delenv(name)
    line = server.line
    values = {
        "PCS_RUNNER_CORE_URL": line["core"],
        "PCS_RUNNER_ACCOUNT_URL": line["account"],
        "PCS_RUNNER_BILLING_URL": line["billing"],
        "PCS_RUNNER_TOKEN_URL": line["token_url"],
        "PCS_RUNNER_POLL_S": "0.05",
        "PCS_RUNNER_SETTLE_S": "0.6",
        "PASQAL_USERNAME": line["username"],
        "PASQAL_PASSWORD": line["password"],
        "PASQAL_PROJECT_ID": line["project_id"],
        "PASQAL_CONFIG_ROOT": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    Path("faults.yaml").write_text(SPEC, encoding="utf-8")


@contextmanager
def faults(server: TwinServer, *rules: str) -> Iterator[list[dict[str, Any]]]:
    """Rules in force while this lasts; the list is filled with what fired when it ends."""
    server.session.headers["Authorization"] = f"Bearer {server.token()}"
    fired: list[dict[str, Any]] = []
    path = f"{server.root}/_twin/faults"
    before = server.data("POST", path, json={"rules": list(rules)})["fired"]
    try:
        yield fired
    finally:
        server.session.headers["Authorization"] = f"Bearer {server.token()}"
        fired += server.data("DELETE", path, params={"after": len(before)})["fired"]


def impatient(target: Target, _folder: Path, _workers: int | None) -> Client:
    """The client of the environment, with deadlines of one and two seconds."""
    send = Wire()
    effects = Effects(sleep=send.sleep)
    where = find_access(target.region, os.environ, send, effects=effects)
    return Client(where, send=send, effects=effects, limits=Limits(attempt_s=1, total_s=2), polling=polling_from(os.environ))


def batches_of(server: TwinServer, run: Run) -> list[dict[str, Any]]:
    """Every batch that the server has with the run's tag."""
    found: list[dict[str, Any]] = server.data("GET", "/api/v1/batches", params={"tag": f"pcs-run:{run.uuid}", "limit": 100})
    return found


def jobs_of(server: TwinServer, run: Run) -> list[dict[str, Any]]:
    """Every job that the server has in any batch with the run's tag."""
    batches = batches_of(server, run)
    assert not [batch["id"] for batch in batches if batch["open"]]
    return [job for batch in batches for job in server.data("GET", "/api/v2/jobs", params={"batch_id": batch["id"]})]


def check_whole(server: TwinServer, run: Run, *, cancelled: int = 0) -> None:
    """Nothing lost, nothing twice: each record's job is on the server, and beside them only cancelled ones."""
    assert (run.state, run.counts, run.exit_code, run.strangers) == ("finished", {"DONE": JOBS}, 0, ())
    made, there = list(run.records), jobs_of(server, run)
    assert [record.index for record in made] == list(range(JOBS))
    assert [record.point["omega"] for record in made] == [3, 3, 3, 5, 5, 3, 3]
    assert sorted(record.job_id for record in made) == sorted(job["id"] for job in there if job["status"] == "DONE")
    assert [job["status"] for job in there if job["status"] != "DONE"] == ["CANCELED"] * cancelled


BORNE: Mapping[str, tuple[str, ...]] = {
    "502_after_adding": (f"{ADD} #2: status=502, body=html, when=after",),
    "reset_after_creating": (f"{CREATE} #1: reset, when=after",),
    "reset_before_creating": (f"{CREATE} #1: reset",),
    "reset_after_adding": (f"{ADD} #1: reset, when=after",),
    "every_third_request_reset": ("* /core-fast/** #/3: reset, when=after",),
    "part_of_a_chunk_then_reset": (f"{ADD} #1: store=2, reset",),
    "late_batch": (f"{CREATE} #1: late=0.3, reset",),
    "late_jobs": (f"{ADD} #2: late=0.3",),
    "lag_of_batches": (f"{LIST}: lag=0.4", f"{CREATE} #1: status=502, when=after"),
    "lag_of_jobs": ("GET /api/v2/jobs: lag=0.4", f"{ADD} #2: reset, when=after"),
    "expired_token": (f"{ADD} #2: expire=token", f"{STATUS} #1: expire=token"),
    "expired_link": ("GET /storage/results/* #2: expire=link",),
    "paused_batch": (f"{ADD} #1: batch=PAUSED, for=0.5",),
    "unknown_status": (f"{ADD} #1: batch=HIBERNATING, for=0.5",),
    "paused_job": (f"{ADD} #2: job=PAUSED, for=0.5",),
    "truncated_after_adding": (f"{ADD} #1: truncate",),
    "garbage_after_adding": (f"{ADD} #1: body=garbage",),
    "list_after_creating": (f"{CREATE} #1: body=list",),
    "null_data_after_closing": (f"{CLOSE} #1: body=null-data",),
    "lying_close": (f"{CLOSE} #1: status=200",),
    "slow_drip": (f"{STATUS} #1: drip=2000", f"{ADD} #1: drip=20000"),
    "too_many_requests": (f"{ADD} #2: status=429, retry-after=1", f"{STATUS} #1: status=503, retry-after=1, body=empty"),
    "redirect_of_jobs": (f"{ADD} #2: redirect=https://elsewhere.invalid/x",),
}


@pytest.mark.parametrize("name", BORNE)
def test_a_fault_is_borne(name: str, server: TwinServer) -> None:
    """`pcs-run` ends with exit code 0 as if nothing had been."""
    with faults(server, *BORNE[name]) as fired:
        assert main(["faults.yaml", "-t", "twin", "-o", "run", "-q", "--new"]) == 0
    assert {one["rule"] for one in fired} == set(BORNE[name])
    check_whole(server, pcs_runner.open_run("run"))


def test_a_list_of_jobs_that_lags_behind_their_count(server: TwinServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that are counted as DONE and not listed yet are looked for again, as long as the settle window lasts."""
    monkeypatch.setenv("PCS_RUNNER_SETTLE_S", "4")
    with faults(server, "GET /api/v2/jobs: lag=2") as fired:
        assert main(["faults.yaml", "-t", "twin", "-o", "run", "-q", "--new"]) == 0
    assert fired
    check_whole(server, pcs_runner.open_run("run"))


@pytest.mark.parametrize("status", ["ERROR", "TIMED_OUT"])
def test_a_batch_that_is_taken_away(status: str, server: TwinServer) -> None:
    """Jobs that its end cancelled follow into a next batch."""
    with faults(server, f"{ADD} #2: batch={status}, when=after") as fired:
        assert main(["faults.yaml", "-t", "twin", "-o", "run", "-q", "--new"]) == 0
    assert len(fired) == 1
    cancelled = [job for job in jobs_of(server, pcs_runner.open_run("run")) if job["status"] == "CANCELED"]
    assert cancelled
    check_whole(server, pcs_runner.open_run("run"), cancelled=len(cancelled))


@pytest.mark.parametrize(
    "rule",
    [
        f"{ADD} #2: stall",
        f"{STATUS} #1: stall",
        f"{ADD} #1: drip=20",
    ],
)
def test_a_client_that_gives_up(rule: str, server: TwinServer) -> None:
    """An answer that does not come in time is a doubt like any other."""
    with faults(server, rule) as fired:
        run = execute.start(pcs_runner.plan("faults.yaml", "twin"), output=Path("run"), new=True, client_factory=impatient)
    assert len(fired) == 1
    check_whole(server, run)


@pytest.mark.parametrize(("rule", "kind"), [(f"{CREATE} #1: replay", "batch"), (f"{ADD} #3: replay", "job")])
def test_what_a_gateway_repeats_is_told(rule: str, kind: str, server: TwinServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Every id that is too much is named, and the exit code is 1; also for an empty batch, which is cancelled in time."""
    with faults(server, rule) as fired:
        assert main(["faults.yaml", "-t", "twin", "-o", "run", "-q", "--new"]) == 1
    assert [one["processed"] for one in fired] == [[200, 200]]
    run = pcs_runner.open_run("run")
    assert (run.state, run.counts) == ("finished", {"DONE": JOBS})
    ((stranger, what, _, outcome),) = run.strangers
    assert what == kind
    assert f"the service has what this run did not mean to send: {kind} {stranger} ({outcome})" in capsys.readouterr().err
    assert not [batch["id"] for batch in batches_of(server, run) if batch["open"]]


def test_jobs_that_come_too_late_meet_a_closed_batch(server: TwinServer) -> None:
    """Beyond the settle window the jobs were sent again; the late request finds the batch closed and is refused."""
    with faults(server, f"{ADD} #3: late=2") as fired:
        assert main(["faults.yaml", "-t", "twin", "-o", "run", "-q", "--new"]) == 0
        time.sleep(2)
    assert [one["processed"] for one in fired] == [[400]]
    check_whole(server, pcs_runner.open_run("run"))


def test_a_refusal_can_be_resumed(server: TwinServer) -> None:
    """A 403 is not argued with: exit code 3, and `resume` ends the run."""
    with faults(server, f"{ADD} #2: status=403") as fired:
        assert main(["faults.yaml", "-t", "twin", "-o", "run", "-q", "--new"]) == 3
    assert [one["processed"] for one in fired] == [[]]
    assert main(["resume", "run", "-q"]) == 0
    check_whole(server, pcs_runner.open_run("run"))
