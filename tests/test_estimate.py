"""Cost, queue and budget of a plan on the cloud: what the service says, and an honest `unknown` for what it does not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pcs_runner
from cloud_client import environment
from loopback import Loopback, Received, Reply, data, refusal
from pcs_runner import api
from pcs_runner.cli import main
from pcs_runner.errors import SpecError
from pcs_runner.run import estimate as estimating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.plan import Plan
    from pcs_runner.run.estimate import Estimate

SPEC = """\
version: 1
name: dear
constants: {{omega: 6.0}}
sequence:
  device: AnalogDevice
  register: {{from_coordinates: {{coords: [[0, 0]]}}, automatic_layout: true}}
  channels: {{ising: rydberg_global}}
  operations: [{{op: pulse, duration: t, amplitude: omega}}]
jobs: {{runs: 100, sweep: {{grid: {{t: [100, 200, 400]}}}}}}
budget: {budget}
targets:
  qpu: {{backend: pcs, batch: {{device_type: FRESNEL_CAN1}}}}
  mps: {{backend: pcs, batch: {{device_type: EMU_MPS}}}}
  ovh: {{backend: pcs, provider: ovh, batch: {{device_type: FRESNEL}}}}
"""
CONTRACTS, QUEUE = "/billing/api/v1/contracts", "/core/api/v1/devices/FRESNEL_CAN1/queue"


def terms(**changes: Any) -> Reply:
    """A contract: a QPU shot costs 2 credits, an emulator's hour 10."""
    body = {
        "qpu_pricing": {"metric": "shot", "price": 2},
        "emulator_pricing": {"metric": "hour", "price": 10},
        "remaining_qpu_credits": 5000,
        "remaining_emu_credits": 20,
    }
    return data({**body, **changes})


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A cloud that answers what a plan asks; anything else is 404."""
    with Loopback() as server:
        for name in [name for name in os.environ if name.startswith(("PASQAL_", "PCS_RUNNER_"))]:
            monkeypatch.delenv(name)
        values = environment(server, tmp_path, PASQAL_AUTH_TOKEN="token", XDG_CACHE_HOME=str(tmp_path / "cache"))
        for name, value in {**values, "XDG_CONFIG_HOME": str(tmp_path / "config")}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        server.on("GET", "/core/api/v1/devices/public-specs", data([]))
        server.on("GET", CONTRACTS, terms())
        server.on("GET", QUEUE, data([{"jobs_count": 40}, {"jobs_count": 2}]))
        server.on("GET", "/core/api/v1/devices/EMU_MPS/queue", data([]))
        yield server


def write(budget: str = "{}") -> str:
    Path("dear.yaml").write_text(SPEC.format(budget=budget), encoding="utf-8")
    return "dear.yaml"


def planned(target: str = "qpu", budget: str = "{}") -> Plan:
    plan: Plan = pcs_runner.plan(write(budget), target, check=False)
    return plan


def estimated(target: str = "qpu") -> Estimate:
    found = api.estimate(planned(target))
    assert found is not None
    return found


def earlier_run(name: str, device_type: str = "EMU_MPS", *, seconds: float = 36.0, runs: int = 100) -> Path:
    """A folder as an earlier run has left it: two jobs that are done, one that failed, one without times."""
    folder = Path("runs", "dear", name)
    folder.mkdir(parents=True)
    target = {"backend": "pcs", "batch": {"device_type": device_type}}
    (folder / "manifest.json").write_text(json.dumps({"target": target}), encoding="utf-8")
    record = {
        "index": 0,
        "group": "0",
        "point": {},
        "variables": {},
        "runs": runs,
        "status": "DONE",
        "counts": {},
        "duration_ns": 100,
        "sequence": "00000000",
        "batch_id": "b",
        "job_id": "j",
        "attempt": 1,
        "started_at": "2026-11-01T10:00:00+00:00",
        "ended_at": f"2026-11-01T10:00:{seconds:09.6f}+00:00",
    }
    lines = [record, {**record, "index": 1}, {**record, "index": 2, "status": "ERROR"}, {**record, "index": 3, "ended_at": None}]
    (folder / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def test_cost_by_shot_with_credits_and_queue(service: Loopback) -> None:
    found = estimated()
    assert found.summary() == {
        "cost": {
            "credits": 600.0,
            "metric": "shot",
            "price": 2.0,
            "remaining": 5000.0,
            "text": "600 credits (2 a shot), 5000 left",
        },
        "queue": {"batches": 2, "jobs": 42},
        "time_s": None,
        "unknown": [],
    }
    (asked,) = service.calls("GET", CONTRACTS)
    assert asked.query == (("project_id", "p-1"),)
    assert service.calls("POST") == []


def test_cost_by_hour_is_unknown_without_own_history(service: Loopback) -> None:
    found = estimated("mps")
    assert (found.credits, found.metric, found.price, found.remaining, found.seconds) == (None, "hour", 10.0, 20.0, None)
    assert found.unknown == ("the contract charges by hour, and no earlier run says how long a shot takes",)
    assert (found.queue_batches, found.queue_jobs) == (0, 0)
    assert found.summary()["cost"]["text"] == "unknown"


def test_cost_by_hour_by_own_history(service: Loopback) -> None:
    """36 s for 100 shots: 300 shots take 108 s, which is 0.03 h."""
    earlier_run("20261101T100000Z-00000000")
    earlier_run("20261101T110000Z-00000000", "FRESNEL_CAN1", seconds=1.0)
    found = estimated("mps")
    assert found.seconds == pytest.approx(108.0)
    assert found.credits == pytest.approx(0.3)
    assert found.unknown == ()
    assert found.summary()["cost"]["text"] == "0.3 credits (10 a hour), 20 left"


def test_history_is_of_the_latest_runs_on_this_device_type(service: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimating, "HISTORY_RUNS", 2)
    earlier_run("20261101T100000Z-00000000", seconds=59.0)
    earlier_run("20261102T100000Z-00000000", seconds=1.0)
    earlier_run("20261103T100000Z-00000000", seconds=3.0)
    torn = earlier_run("20261104T100000Z-00000000", "EMU_SV")
    (torn / "manifest.json").write_text('{"target": {', encoding="utf-8")
    assert estimating.seconds_per_shot(Path("runs"), "EMU_MPS") == pytest.approx(0.02)
    assert estimating.seconds_per_shot(Path("runs"), "EMU_FREE") is None
    assert estimating.seconds_per_shot(Path("nowhere"), "EMU_MPS") is None


@pytest.mark.parametrize(
    ("contract", "reason"),
    [
        (refusal(404, "CONTRACT_NOT_FOUND", "project p-1 has no contract"), "the contract is unknown: "),
        (refusal(500, "INTERNAL", "oops"), "the contract is unknown: "),
        (data([]), "the contract is unknown: the service names none"),
        (data("nonsense"), "the contract is unknown: "),
        (terms(qpu_pricing=None), "the contract names no price"),
        (terms(qpu_pricing={"metric": "shot", "price": "a lot"}), "the contract names no price"),
        (terms(qpu_pricing={"metric": "moon", "price": 1}), "the contract charges by moon, and no earlier run says"),
    ],
)
def test_a_contract_that_does_not_say_is_unknown_with_the_reason(
    contract: Reply, reason: str, service: Loopback, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcs_runner.pcs.client.Wire.sleep", lambda *_: None)
    service.on("GET", CONTRACTS, contract)
    assert main(["plan", write(), "-t", "qpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "cost       unknown" in lines
    assert [line for line in lines if line.startswith(f"unknown    {reason}")]
    assert "queue      2 batches, 42 jobs ahead" in lines


def test_a_queue_that_does_not_answer_is_unknown_too(service: Loopback) -> None:
    service.on("GET", QUEUE, refusal(404, "NOT_FOUND", "no such device"))
    found = estimated()
    assert (found.queue_batches, found.queue_jobs, found.credits) == (None, None, 600.0)
    assert len(found.unknown) == 1
    assert found.unknown[0].startswith("the queue is unknown: ")


def test_a_plan_for_people_and_for_programs(service: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    earlier_run("20261101T100000Z-00000000", "FRESNEL_CAN1", seconds=10.0)
    assert main(["plan", write(), "-t", "qpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "plan       dear on target qpu (pcs, device type FRESNEL_CAN1)"
    assert lines[-4:-1] == [
        "cost       600 credits (2 a shot), 5000 left",
        "queue      2 batches, 42 jobs ahead",
        "time       30 s on the device",
    ]
    assert main(["plan", write(), "-t", "qpu", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["cost"] == {
        "credits": 600.0,
        "metric": "shot",
        "price": 2.0,
        "remaining": 5000.0,
        "text": "600 credits (2 a shot), 5000 left",
    }
    assert (body["queue"], body["time_s"], body["unknown"]) == ({"batches": 2, "jobs": 42}, 30.0, [])
    assert (body["device_type"], body["jobs"], body["runs"]) == ("FRESNEL_CAN1", 3, 300)


def test_nobody_who_is_logged_in_can_plan_but_not_run(
    service: Loopback, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PASQAL_AUTH_TOKEN", "PASQAL_USERNAME", "PASQAL_PASSWORD"):
        monkeypatch.delenv(name)
    assert main(["plan", write(), "-t", "qpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-4:-1] == [
        "queue      unknown",
        "time       unknown",
        "unknown    contract and queue are unknown: nobody is logged in to Pasqal Cloud",
    ]
    assert main([write(), "-t", "qpu", "--yes"]) == 2
    assert "error: nobody is logged in to Pasqal Cloud" in capsys.readouterr().err
    assert list(Path("runs").rglob("manifest.json")) == []


def test_a_local_plan_is_free_and_asks_nobody(service: Loopback) -> None:
    assert api.estimate(planned("local")) is None
    assert service.received == []


def test_ovh_is_not_asked(service: Loopback) -> None:
    """It has neither contract nor queue, and no login is needed to plan for it."""
    found = api.estimate(planned("ovh"))
    assert found is not None
    assert found.unknown == ("ovh tells neither contract nor queue",)
    assert {call.path for call in service.received} == {"/core/api/v1/devices/public-specs"}


def refused(service: Loopback, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said by a command that ends with 2; nothing was sent and nothing was made."""
    assert main(list(arguments)) == 2
    assert service.calls("POST") == []
    assert not Path("runs").exists()
    return capsys.readouterr().err


@pytest.mark.parametrize("command", [["plan"], ["run", "--yes"], ["run"]])
def test_a_plan_above_max_credits_is_refused(command: list[str], service: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(service, capsys, *command, write("{max_credits: 599.5}"), "-t", "qpu")
    assert "dear.yaml:10:23: budget.max_credits: the plan costs 600 credits, the budget allows 599.5" in said
    assert "lower runs or the number of points" in said


def test_a_plan_that_just_fits_its_budget_is_not_refused(service: Loopback) -> None:
    found = api.estimate(planned(budget="{max_credits: 600}"))
    assert found is not None
    assert found.credits == 600.0


def test_under_a_budget_qpu_time_is_not_spent_without_knowing(service: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    service.on("GET", CONTRACTS, terms(qpu_pricing={"metric": "hour", "price": 3000}))
    said = refused(service, capsys, "run", write("{max_credits: 599.5}"), "-t", "qpu", "--yes")
    assert "the cost is not known (the contract charges by hour, and no earlier run says how long a shot takes)" in said


def test_a_budget_does_not_stop_an_emulator_whose_cost_is_not_known(service: Loopback) -> None:
    found = api.estimate(planned("mps", "{max_credits: 1}"))
    assert found is not None
    assert found.credits is None


def test_python_cannot_go_around_the_budget(service: Loopback) -> None:
    with pytest.raises(SpecError, match="the plan costs 600 credits, the budget allows 5"):
        pcs_runner.run(planned(budget="{max_credits: 5}"))
    assert service.calls("POST") == []


@pytest.mark.parametrize("target", ["local", "qpu"])
def test_a_plan_above_max_runs_is_refused(target: str, service: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(service, capsys, "run", write("{max_runs: 299}"), "-t", target, "--yes")
    assert "budget.max_runs: the plan has 300 runs in 3 jobs, the budget allows 299" in said


QUESTION = "Send 3 jobs (300 runs, cost 600 credits (2 a shot), 5000 left) to FRESNEL_CAN1, a real device?"


def test_without_a_terminal_nothing_is_sent(service: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(service, capsys, write(), "-t", "qpu", "-q")
    assert said == (
        f"error: {QUESTION} There is no terminal to ask on, and nothing was sent\nnext: pcs-run dear.yaml -t qpu -q --yes\n"
    )


class Terminal:
    """stdin and stderr of somebody who sits there and types."""

    def __init__(self, stream: Any, typed: str = "") -> None:
        self._stream, self._typed = stream, typed

    def isatty(self) -> bool:
        return True

    def readline(self, *_: int) -> str:
        return self._typed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def test_on_a_terminal_the_cost_is_asked_about(
    service: Loopback, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr("sys.stdin", Terminal(sys.stdin, "n\n"))
    monkeypatch.setattr("sys.stderr", Terminal(sys.stderr))
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: (sys.stderr.write(prompt), "n")[1])
    said = refused(service, capsys, write(), "-t", "qpu", "-q")
    assert said.startswith(f"{QUESTION} [y/N]: ")
    assert "not confirmed, nothing was sent" in said


def test_yes_sends(service: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    """The one POST is the batch, which this service refuses."""

    def remember(request: Received) -> Reply:
        return refusal(403, "FORBIDDEN", "not on Sundays")

    service.on("GET", "/core/api/v1/batches", data([], pagination={"total": 0, "start": 0, "end": 0}))
    service.on("GET", "/core/api/v1/devices/specs", data({}))
    service.on("POST", "/core/api/v1/batches", remember)
    assert main([write(), "-t", "qpu", "--yes", "-q"]) == 3
    assert "not on Sundays" in capsys.readouterr().err
    assert {call.path for call in service.calls("POST")} == {"/core/api/v1/batches"}
