"""Every kind of fault at every request of a run: it ends right by itself, or says why and is resumed to the right end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crash.extent import every, points
from crash.world import SETTLE_S, Allowed

if TYPE_CHECKING:
    from crash.conftest import Lab

FAMILY = "fault matrix"

FAULTS = (
    "status=500",
    "status=502, body=html",
    "status=502, body=html, when=after",
    "status=503, body=empty, retry-after=0",
    "status=504, body=empty, when=after",
    "status=429, retry-after=0",
    "status=401",
    "status=403",
    "status=404, body=html",
    "status=422",
    "status=409, body=empty",
    "reset",
    "reset, when=after",
    "close",
    "close, when=after",
    "truncate=40",
    "drip=40000",
    "delay=0.1, when=after",
    "body=garbage, when=after",
    "body=empty, when=after",
    "body=html, when=after",
    "body=no-data, when=after",
    "body=null-data, when=after",
    "body=list-data, when=after",
    "body=text-data, when=after",
    "body=list, when=after",
    "redirect",
    "redirect, when=after",
    "expire=token",
    "expire=link",
    "late=0.02",
)
ON_CHUNKS = (
    "store=0",
    "store=1",
    "store=2",
    "store=2, status=422",
    "store=2, reset",
    "late=0.02, reset",
    "late=0.02, status=500",
)
REPEATED = (
    "replay",
    "replay=0.02",
    "replay, reset, when=after",
    "replay=0.02, status=502, when=after",
    "late=0.4",
    "late=0.4, reset",
)
"""Here a gateway repeats a request, or carries it out after the settle window: nobody can prevent it, but it is found."""

ENDS = ("batch=TIMED_OUT", "batch=ERROR", "batch=PAUSED, for=0.1", "job=STRANGE, for=0.1")


def go_through(lab: Lab, variant: str, *rules: str, allowed: Allowed | None = None) -> int:
    """Run under rules and resume until it ends well, at most three times; how often the first rule was met."""
    world = lab.world(variant, faults=rules)
    codes = [world.carry_out(world.command)]
    while codes[-1] in (2, 3) and len(codes) < 4:
        assert codes[-1] != 2 or not world.cloud.batches(), f"{rules}: exit code 2, although something was sent"
        assert world.said().count("error:") == 1, f"{rules}: {world.said()}"
        codes.append(world.carry_out(world.resumption(len(codes))))
    fired = sum(one.rule_id == 1 for one in world.cloud.faults.book.fired())
    if fired or codes[-1] != 0:
        lab.check(world, codes[-1], f"{rules}, exit codes {codes}", allowed)
    return fired


@every(40)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_at_every_request(lab: Lab, fault: str, step: int) -> None:
    """From the first request, which is the login, to the last."""
    for variant in ("open", "several_closed")[FAULTS.index(fault) % min(2, step) :: min(2, step)]:
        most = lab.reference(variant).requests
        for n in points(step, variant + fault):
            if n > 2 * most or not go_through(lab, variant, f"* /** #{n}: {fault}"):
                break


@every(2)
@pytest.mark.parametrize("fault", ON_CHUNKS)
def test_every_fault_at_every_chunk(lab: Lab, fault: str, step: int) -> None:
    """What arrived of a chunk is found by its content, although its jobs are all equal."""
    lab.reference("open")
    for n in points(step, fault, 3):
        if not go_through(lab, "open", f"POST /api/v2/batches/*/jobs #{n}: {fault}"):
            return


@every(4)
@pytest.mark.parametrize("fault", REPEATED)
def test_what_a_gateway_repeats_is_found(lab: Lab, fault: str, step: int) -> None:
    """Extra jobs are reported, each by its id, and the exit code is 1."""
    lab.pace_s = 0.1  # so that the run goes on until the late request has come
    for variant in ("open", "several_closed")[:: min(2, step)]:
        lab.reference(variant)
        for n in points(step, fault, 3):
            if not go_through(lab, variant, f"POST /api/** #{n}: {fault}", allowed=Allowed(repeated=True)):
                break


@every(6)
@pytest.mark.parametrize("loss", ["reset, when=after", "status=502, when=after", "reset"])
@pytest.mark.parametrize("lag_s", [0.03, 0.3])
def test_lists_that_lag_behind(lab: Lab, loss: str, lag_s: float, step: int) -> None:
    """The answer to a POST is lost, and the list does not show yet what it made: within the settle window, and beyond it."""
    lab.reference("open")
    lab.pace_s = 0.1
    for n in points(step, loss, 3):
        rules = f"POST /api/** #{n}: {loss}", f"GET /api/v1/batches: lag={lag_s}", f"GET /api/v2/jobs: lag={lag_s}"
        if not go_through(lab, "open", *rules, allowed=Allowed(repeated=lag_s > float(SETTLE_S))):
            return


@every(9)
@pytest.mark.parametrize("end", ENDS)
def test_what_the_service_ends(lab: Lab, end: str, step: int) -> None:
    """Jobs whose batch was taken away follow into the next one, and none is measured twice; unknown statuses go on."""
    lab.reference("open")
    lab.pace_s = 0.01
    for n in points(step, end):
        if not go_through(lab, "open", f"* /api/v*/batches/** #{n}: {end}", allowed=Allowed(moved=True)):
            return
