"""What a plan costs on the cloud and how long it waits: asked, never guessed; what cannot be known is said to be unknown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import PcsRunnerError, SpecError
from pcs_runner.results import jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.pcs.client import Client
    from pcs_runner.pcs.reading import Contract, Price, Queue
    from pcs_runner.plan import Plan

HISTORY_RUNS = 10
"""Earlier runs that are looked at for the time a shot takes."""

HISTORY_JOBS = 1000
"""Jobs of each that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Cost and wait of a plan on a cloud target.

    Attributes:
        credits: What the plan costs, or None when it is not known.
        metric: What the contract charges for: `shot`, `hour`, or another word of the service.
        price: Credits for one unit of the metric.
        remaining: Credits that are left, or None.
        seconds: Time on the device by own history, or None.
        queue_batches: Batches ahead in the device's queue, or None.
        queue_jobs: Jobs in these, or None.
        unknown: Why something is not known, one sentence each.
    """

    credits: float | None = None
    metric: str | None = None
    price: float | None = None
    remaining: float | None = None
    seconds: float | None = None
    queue_batches: int | None = None
    queue_jobs: int | None = None
    unknown: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """As plain data for `pcs-run plan`."""
        return {
            "cost": {
                "credits": self.credits,
                "metric": self.metric,
                "price": self.price,
                "remaining": self.remaining,
                "text": self._cost_text(),
            },
            "queue": {"batches": self.queue_batches, "jobs": self.queue_jobs},
            "time_s": self.seconds,
            "unknown": list(self.unknown),
        }

    def _cost_text(self) -> str:
        if self.credits is None:
            return "unknown"
        text = f"{self.credits:.6g} credits ({self.price:.6g} a {self.metric})"
        return text if self.remaining is None else f"{text}, {self.remaining:.6g} left"


def estimate(plan: Plan, client: Client, *, results: Path | None = None, runs: int | None = None) -> Estimate:
    """Ask contract and queue for a plan on a cloud target; a service that fails makes a figure unknown, with the reason.

    Args:
        plan: On a target with backend `pcs`.
        client: The cloud.
        results: Folder of earlier runs, for the time a shot takes; default the spec's.
        runs: How many are sent; default all of the plan's.
    """
    runs = plan.total_runs if runs is None else runs
    if plan.target.provider != "pasqal":
        return Estimate(unknown=(f"{plan.target.provider} tells neither contract nor queue",))
    unknown: list[str] = []
    contract = _asked("the contract", unknown, lambda: next(iter(client.contracts()), None))
    queue = _asked("the queue", unknown, lambda: client.device_queue(plan.target.device_type))
    rate = seconds_per_shot(results or Path(plan.spec.results.directory), plan.target.device_type)
    seconds = None if rate is None else rate * runs
    return _priced(plan, runs, contract, queue, seconds, unknown)


def check_budget(plan: Plan, found: Estimate) -> None:
    """Refuse a plan that costs more than the spec's budget allows, or more than is left.

    Raises:
        SpecError: It does; or the cost is not known, and the plan would spend QPU time under a budget.
    """
    limit = plan.spec.budget.max_credits
    path = ("budget", "max_credits")
    if limit is None:
        return
    if found.credits is None and plan.target.spends:
        message = f"the cost is not known ({'; '.join(found.unknown)}), the budget allows {limit:.6g} credits"
        raise SpecError([plan.document.problem(path, message, hint="take the budget out to spend without knowing")])
    if found.credits is not None and found.credits > limit:
        message = f"the plan costs {found.credits:.6g} credits, the budget allows {limit:.6g}"
        raise SpecError([plan.document.problem(path, message, hint="lower runs or the number of points")])


def seconds_per_shot(results: Path, device_type: str) -> float | None:
    """Seconds a shot took in the latest runs on a device type, by the service's start and end of each job; None without any."""
    seconds, shots = 0.0, 0
    for folder in _earlier_runs(results, device_type):
        for record in islice(jsonl.read(folder / "results.jsonl"), HISTORY_JOBS):
            if record.status == "DONE" and record.started_at and record.ended_at:
                seconds += (datetime.fromisoformat(record.ended_at) - datetime.fromisoformat(record.started_at)).total_seconds()
                shots += record.runs
    return seconds / shots if shots else None


def _priced(
    plan: Plan, runs: int, contract: Contract | None, queue: Queue | None, seconds: float | None, unknown: list[str]
) -> Estimate:
    emulator = plan.target.device_type.startswith("EMU")
    price = None if contract is None else contract.emulator if emulator else contract.qpu
    remaining = None if contract is None else contract.remaining_emu_credits if emulator else contract.remaining_qpu_credits
    return Estimate(
        credits=None if price is None else _credits(price, runs, seconds, unknown),
        metric=None if price is None else price.metric,
        price=None if price is None else price.price,
        remaining=remaining,
        seconds=seconds,
        queue_batches=None if queue is None else queue.batches,
        queue_jobs=None if queue is None else queue.jobs,
        unknown=tuple(unknown),
    )


def _credits(price: Price, shots: int, seconds: float | None, unknown: list[str]) -> float | None:
    if price.price is None:
        unknown.append("the contract names no price")
    elif price.metric == "shot":
        return price.price * shots
    elif price.metric == "hour" and seconds is not None:
        return price.price * seconds / 3600
    else:
        unknown.append(f"the contract charges by {price.metric}, and no earlier run says how long a shot takes")
    return None


def _asked(what: str, unknown: list[str], ask: Any) -> Any:
    """The answer, or None with the reason noted: contract and queue are advisory."""
    try:
        answer = ask()
    except PcsRunnerError as error:
        unknown.append(f"{what} is unknown: {error.message}")
        return None
    if answer is None:
        unknown.append(f"{what} is unknown: the service names none")
    return answer


def _earlier_runs(results: Path, device_type: str) -> Iterator[Path]:
    """Folders of the latest runs on a device type, over all names."""
    manifests = sorted(results.glob("*/*/manifest.json"), key=lambda path: path.parent.name, reverse=True)
    found = (path.parent for path in manifests if _ran_on(path, device_type))
    yield from islice(found, HISTORY_RUNS)


def _ran_on(manifest: Path, device_type: str) -> bool:
    try:
        target = json.loads(manifest.read_text(encoding="utf-8"))["target"]
        return bool(target["backend"] == "pcs" and target["batch"]["device_type"] == device_type)
    except (OSError, ValueError, KeyError, TypeError):
        return False
