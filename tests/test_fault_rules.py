"""The text of fault rules: what it means, and where it is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pcs_runner.emulator.server.faults.rule import Action, When, Which
from pcs_runner.emulator.server.faults.text import RuleError, parse_rule


def test_a_whole_rule() -> None:
    rule = parse_rule(" POST|PATCH /api/v2/batches/*/jobs #2-4,7: status=502, body=html, retry-after=3, delay=0.5, when=after ")
    assert rule.methods == {"POST", "PATCH"}
    assert rule.which == Which(spans=((2, 4), (7, 7)))
    fault = rule.fault
    assert (fault.action, fault.status, fault.body, fault.retry_after, fault.delay_s) == (Action.ANSWER, 502, "html", "3", 0.5)
    assert (fault.when, fault.processed) == (When.AFTER, True)


@pytest.mark.parametrize(
    ("pattern", "path", "good"),
    [
        ("/api/v1/batches", "/core-fast/api/v1/batches", True),
        ("/api/v1/batches", "/core-fast/api/v1/batches/b", False),
        ("/api/v1/batches", "/account/api/v1/batches", False),
        ("/api/v2/batches/*/jobs", "/core-fast/api/v2/batches/b-1/jobs", True),
        ("/api/v2/batches/*/jobs", "/core-fast/api/v2/batches/b/1/jobs", False),
        ("/api/**", "/core-fast/api/v2/batches/b/jobs", True),
        ("/**", "/oauth/token", True),
        ("/storage/results/*", "/storage/results/j", True),
        ("/a.c", "/abc", False),
    ],
)
def test_paths(pattern: str, path: str, good: bool) -> None:
    assert parse_rule(f"GET {pattern}: reset").matches("GET", path) is good
    assert parse_rule(f"* {pattern}: reset").matches("PATCH", path) is good
    assert not parse_rule(f"POST {pattern}: reset").matches("GET", path)


@pytest.mark.parametrize(
    ("which", "taken"),
    [
        ("", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("#2", [2]),
        ("#1-3", [1, 2, 3]),
        ("#7-", [7, 8, 9]),
        ("#1,5, 8-", [1, 5, 8, 9]),
        ("#/3", [3, 6, 9]),
        ("#0%", []),
        ("#100%", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_which(which: str, taken: list[int]) -> None:
    rule = parse_rule(f"GET /x {which}: reset")
    assert [number for number in range(1, 10) if rule.which.takes(number)] == taken


def test_chance_has_a_seed() -> None:
    """The same seed takes the same requests, another one others, both about as many as asked for."""
    seven, again, eight = (parse_rule(f"GET /x #20%@{seed}: reset").which for seed in (7, 7, 8))
    taken = [number for number in range(1, 2001) if seven.takes(number)]
    assert taken == [number for number in range(1, 2001) if again.takes(number)]
    assert taken != [number for number in range(1, 2001) if eight.takes(number)]
    assert 300 < len(taken) < 500


@pytest.mark.parametrize(
    ("settings", "processed"),
    [
        ("status=502", False),
        ("status=502, when=after", True),
        ("body=garbage", True),
        ("status=200, when=before", False),
        ("reset", False),
        ("close, when=after", True),
        ("stall", False),
        ("stall=10", True),
        ("truncate", True),
        ("drip=100", True),
        ("redirect", False),
        ("expire=token", False),
        ("delay=2", True),
        ("store=3", True),
        ("late=3, reset", False),
        ("replay", True),
        ("reset, when=after, replay=2", True),
        ("batch=PAUSED, for=2", True),
        ("status=503, job=ERROR, position=3, when=before", False),
        ("note", True),
    ],
)
def test_whether_the_request_is_carried_out(settings: str, processed: bool) -> None:
    assert parse_rule(f"POST /x: {settings}").fault.processed is processed


def test_what_an_answer_is_when_only_half_is_said() -> None:
    said = {
        text: parse_rule(f"POST /x: {text}").fault for text in ("store=3", "late=2", "body=list", "redirect", "store=2, reset")
    }
    assert {text: (fault.action.name, fault.status) for text, fault in said.items()} == {
        "store=3": ("ANSWER", 502),
        "late=2": ("ANSWER", 504),
        "body=list": ("ANSWER", 200),
        "redirect": ("REDIRECT", 307),
        "store=2, reset": ("RESET", 0),
    }


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 1, "it begins with a method, for example POST"),
        ("POST", 5, "after the method comes a path, for example /api/v1/batches"),
        ("post /x: reset", 1, "'post' is not a method: one of GET POST"),
        ("POST x: reset", 6, "a path begins with / and has neither blanks nor a query"),
        ("POST /x?tag=a: reset", 6, "a path begins with / and has neither blanks nor a query"),
        ("POST /x", 8, "after the requests come a colon and the fault"),
        ("POST /x #0: reset", 10, "'0' says no requests: 2, 2-4, 3- (from the third on)"),
        ("POST /x #4-2: reset", 10, "'4-2' says no requests"),
        ("POST /x #200%: reset", 10, "a probability is at most 100%"),
        ("POST /x: ", 10, "'' is not a setting: one of status body"),
        ("POST /x: reset, rest", 17, "'rest' is not a setting"),
        ("POST /x: status=99", 10, "status: '99' is not an integer from 200 to 599"),
        ("POST /x: status=502,  status=503", 23, "status is said twice"),
        ("POST /x: status=502, body=xml", 22, "body: 'xml' is none of json html empty"),
        ("POST /x: body", 10, "body: it needs a value, for example json"),
        ("POST /x: reset=3", 10, "reset: it takes no value"),
        ("POST /x: delay=1e3", 10, "delay: '1e3' is not a number of seconds from 0 to 86400"),
        ("POST /x: redirect=ftp://x", 10, "redirect: 'ftp://x' is neither a URL nor a path"),
        ("POST /x: redirect, status=502", 20, "the status of a redirect is from 300 to 399"),
        ("POST /x: reset, close", 17, "close does not go with reset: an exchange ends in one way"),
        ("POST /x: retry-after=3", 10, "retry-after needs a status"),
        ("POST /x: reset, replay", 17, "replay repeats a request that was carried out: say when=after"),
        ("POST /x: late=1, note", 10, "late needs an end of the exchange that is not the true answer"),
        ("POST /x: late=1, store=2", 10, "late does not go with store"),
        ("POST /x: truncate, when=before", 20, "when does not go with truncate, drip and expire"),
        ("POST /x: when=after", 10, "when goes with a fault or a delay"),
        ("POST /x: store=2, truncate", 10, "store and late do not go with truncate"),
        ("GET /x: lag=3", 5, "lag is for lists: GET /api/v1/batches or GET /api/v2/jobs"),
        ("GET /api/v1/batches: lag=3, reset", 22, "lag does not go with another end of the exchange"),
        ("POST /x: batch=DONE", 10, "batch: 'DONE' is not a status that can be given"),
        ("POST /x: batch=ERROR, for=2", 23, "for is for a status that is not an end"),
        ("POST /x: for=2", 10, "for needs batch or job"),
        ("POST /x: position=3", 10, "position needs job"),
    ],
)
def test_a_bad_rule_is_told_with_its_place(text: str, position: int, words: str) -> None:
    with pytest.raises(RuleError) as told:
        parse_rule(text)
    assert told.value.exit_code == 2
    assert told.value.message.startswith(f"fault rule {text!r}, character {position}: {words}")


def test_the_rules_of_the_docs() -> None:
    text = (Path(__file__).resolve().parent.parent / "docs" / "offline-pcs.md").read_text(encoding="utf-8")
    rules = re.findall(r"--fault '([^']+)'", text)
    assert len(rules) >= 9
    for rule in rules:
        assert parse_rule(rule).text == rule
