"""The text of a fault rule -> `Rule`: `POST /api/v2/batches/*/jobs #2: status=502, body=html, when=after`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pcs_runner.emulator.server.faults.answers import BODIES
from pcs_runner.emulator.server.faults.rule import Action, Fault, Rule, When, Which, path_pattern
from pcs_runner.errors import UsageError
from pcs_runner.pcs.protocol import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

LISTS = ("/core-fast/api/v1/batches", "/core-fast/api/v2/jobs", "/core-fast/api/v1/third-party-access/ovh/jobs")
"""Paths that a list can lag behind on."""

HEAD = re.compile(r"(?P<method>\s*\S+)(?P<path>\s+[^#]*[^\s#])?\s*(?:#(?P<which>.*))?", re.DOTALL)
SPAN = re.compile(r"(\d+)(?:(-)(\d*))?")
CHANCE = re.compile(r"(\d+(?:\.\d+)?)%(?:@(\d+))?")

LONGEST_S = 86_400.0
NOT_FORCED = frozenset({"PENDING", "RUNNING", "DONE"})
"""Statuses that only the twin itself gives."""

HINT = "docs/offline-pcs.md, section Faults, has the grammar."


class RuleError(UsageError):
    """A rule that cannot be read; the message says where.

    Args:
        text: The rule.
        position: Where in it, counted from 1.
        reason: What is wrong there.
    """

    def __init__(self, text: str, position: int, reason: str) -> None:
        super().__init__(f"fault rule {text!r:.300}, character {position}: {reason}", hint=HINT)
        self.position = position
        self.reason = reason


class _WrongError(Exception):
    """What is wrong with a value, without the place."""


def parse_rule(text: str) -> Rule:
    """Read a rule.

    Args:
        text: `METHOD PATH [#WHICH]: SETTING[, SETTING]...`.

    Raises:
        RuleError: It cannot be read, or its settings do not go together.
    """
    head, colon, tail = text.partition(":")
    found = HEAD.fullmatch(head)
    if found is None:
        raise RuleError(text, 1, "it begins with a method, for example POST")
    methods = _at(text, found.start("method"), found["method"], _methods)
    if not found["path"]:
        raise RuleError(text, found.end("method") + 1, "after the method comes a path, for example /api/v1/batches")
    path = _at(text, found.start("path"), found["path"], _path)
    which = Which() if found["which"] is None else _at(text, found.start("which"), found["which"], _which)
    if not colon:
        raise RuleError(text, len(text) + 1, "after the requests come a colon and the fault, for example ': status=502'")
    fault = _fault(text, len(head) + 1, tail)
    if fault.lag_s is not None and not any(path_pattern(path).fullmatch(one) for one in LISTS):
        raise RuleError(text, found.start("path") + 2, "lag is for lists: GET /api/v1/batches or GET /api/v2/jobs")
    return Rule(text=text.strip(), methods=methods, path=path, which=which, fault=fault)


def _at(text: str, start: int, part: str, read: Callable[[str], Any]) -> Any:
    """Read a part of a rule that begins at an index; what is wrong with it gets its place."""
    try:
        return read(part.strip())
    except _WrongError as error:
        raise RuleError(text, start + len(part) - len(part.lstrip()) + 1, str(error)) from None


def _methods(text: str) -> frozenset[str]:
    if text == "*":
        return frozenset()
    names = text.split("|")
    for name in names:
        if name not in METHODS:
            raise _WrongError(f"{name!r:.40} is not a method: one of {' '.join(METHODS)}, several with |, or * for all")
    return frozenset(names)


def _path(text: str) -> str:
    if not text.startswith("/") or re.search(r"[\s?]", text):
        raise _WrongError("a path begins with / and has neither blanks nor a query; * is any text without a slash, ** any text")
    return text


def _which(text: str) -> Which:
    if chance := CHANCE.fullmatch(text):
        if float(chance[1]) > 100:
            raise _WrongError("a probability is at most 100%")
        return Which(chance=float(chance[1]) / 100, seed=int(chance[2] or 0))
    if re.fullmatch(r"/[1-9]\d*", text):
        return Which(every=int(text[1:]))
    spans = []
    for part in text.split(","):
        span = SPAN.fullmatch(part.strip())
        first = int(span[1]) if span else 0
        last = first if span and not span[2] else int(span[3]) if span and span[3] else None
        if first < 1 or (last is not None and last < first):
            raise _WrongError(
                f"{part.strip()!r:.40} says no requests: 2, 2-4, 3- (from the third on), 1,5, /3 (every third) or 10%@7"
            )
        spans.append((first, last))
    return Which(spans=tuple(spans))


def _fault(text: str, start: int, tail: str) -> Fault:
    """The settings behind the colon; `start` is the index of the first character behind it."""
    values: dict[str, Any] = {}
    places: dict[str, int] = {}
    for part in tail.split(","):
        place = start + len(part) - len(part.lstrip()) + 1
        start += len(part) + 1
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in SETTINGS:
            raise RuleError(text, place, f"{name!r:.40} is not a setting: one of {' '.join(SETTINGS)}")
        if name in values:
            raise RuleError(text, place, f"{name} is said twice")
        try:
            values[name] = SETTINGS[name](value if equals else None)
        except _WrongError as error:
            raise RuleError(text, place, f"{name}: {error}") from None
        places[name] = place
    try:
        return _checked(values)
    except _ClashError as error:
        raise RuleError(text, places[error.name], str(error)) from None


class _ClashError(Exception):
    """A setting that does not go with the others."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


ACTIONS: Mapping[str, Action] = {
    "status": Action.ANSWER,
    "body": Action.ANSWER,
    "reset": Action.RESET,
    "close": Action.CLOSE,
    "stall": Action.STALL,
    "truncate": Action.TRUNCATE,
    "drip": Action.DRIP,
    "redirect": Action.REDIRECT,
    "expire": Action.EXPIRE,
    "note": Action.PASS,
}
"""Setting -> how the exchange ends; a status may stand beside a body or a redirect."""


def _checked(values: Mapping[str, Any]) -> Fault:
    """The fault of settings that go together.

    Raises:
        _ClashError: They do not.
    """
    named = [name for name in ACTIONS if name in values]
    ends = [name for name in named if not (name == "status" and {"body", "redirect"} & set(named))]
    if len(ends) > 1:
        raise _ClashError(ends[1], f"{ends[1]} does not go with {ends[0]}: an exchange ends in one way")
    action = ACTIONS[ends[0]] if ends else Action.PASS
    if not ends and ("store" in values or "late" in values):
        action, values = Action.ANSWER, {**values, "status": 502 if "store" in values else 504}
    _check_together(values, action)
    status = values.get("status") or {Action.ANSWER: 200, Action.REDIRECT: 307}.get(action, 0)
    fault = Fault(
        action=action,
        when=values.get("when"),
        status=status,
        body=values.get("body", "json"),
        retry_after=values.get("retry-after"),
        location=values.get("redirect"),
        expires=values.get("expire", ""),
        amount=values.get("stall", values.get("truncate", values.get("drip"))),
        delay_s=values.get("delay", 0.0),
        store=values.get("store"),
        late_s=values.get("late"),
        replay_s=values.get("replay"),
        lag_s=values.get("lag"),
        batch=values.get("batch"),
        job=values.get("job"),
        position=values.get("position"),
        for_s=values.get("for"),
    )
    if fault.replay_s is not None and not fault.processed:
        raise _ClashError("replay", "replay repeats a request that was carried out: say when=after")
    return fault


def _check_together(values: Mapping[str, Any], action: Action) -> None:
    """Refuse settings that would do nothing.

    Raises:
        _ClashError: There are such.
    """
    given = set(values)
    pairs = (
        ("retry-after", "status" in given, "retry-after needs a status"),
        ("position", "job" in given, "position needs job"),
        ("for", bool({"batch", "job"} & given), "for needs batch or job"),
        ("for", not {values.get("batch"), values.get("job")} & TERMINAL, "for is for a status that is not an end"),
        ("late", "note" not in given, "late needs an end of the exchange that is not the true answer"),
        ("late", "store" not in given, "late does not go with store"),
        ("replay", not {"store", "late"} & given, "replay does not go with store and late"),
        ("lag", action is Action.PASS, "lag does not go with another end of the exchange"),
        ("when", not {"store", "late"} & given, "with store the request is carried out before the fault, with late after it"),
        ("when", action not in (Action.TRUNCATE, Action.DRIP, Action.EXPIRE), "when does not go with truncate, drip and expire"),
        ("when", values.get("stall") is None, "a stall after some bytes is after processing"),
        ("when", action is not Action.PASS or bool({"delay", "batch", "job"} & given), "when goes with a fault or a delay"),
    )
    for name, good, reason in pairs:
        if name in given and not good:
            raise _ClashError(name, reason)
    ended = action in (Action.TRUNCATE, Action.DRIP, Action.EXPIRE)
    if ended and {"store", "late"} & given:
        raise _ClashError("store" if "store" in given else "late", f"store and late do not go with {action.value}")
    if action is Action.REDIRECT and not 300 <= values.get("status", 307) < 400:
        raise _ClashError("status", "the status of a redirect is from 300 to 399")


def _flag(value: str | None) -> None:
    if value is not None:
        raise _WrongError("it takes no value")


def _needed(value: str | None, example: str) -> str:
    if not value:
        raise _WrongError(f"it needs a value, for example {example}")
    return value


def _seconds(value: str | None) -> float:
    text = _needed(value, "2.5")
    if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", text) or float(text) > LONGEST_S:
        raise _WrongError(f"{text!r:.40} is not a number of seconds from 0 to {LONGEST_S:.0f}")
    return float(text)


def _integer(lowest: int, highest: int, *, needed: bool = True) -> Callable[[str | None], int | None]:
    def read(value: str | None) -> int | None:
        if value is None and not needed:
            return None
        text = _needed(value, str(max(lowest, min(highest, 3))))
        if not re.fullmatch(r"\d{1,10}", text) or not lowest <= int(text) <= highest:
            raise _WrongError(f"{text!r:.40} is not an integer from {lowest} to {highest}")
        return int(text)

    return read


def _one_of(*names: str) -> Callable[[str | None], str]:
    def read(value: str | None) -> str:
        text = _needed(value, names[0])
        if text not in names:
            raise _WrongError(f"{text!r:.40} is none of {' '.join(names)}")
        return text

    return read


def _state(value: str | None) -> str:
    text = _needed(value, "PAUSED")
    if not re.fullmatch(r"[A-Z][A-Z_]{1,30}", text) or text in NOT_FORCED:
        raise _WrongError(
            f"{text!r:.40} is not a status that can be given: PAUSED, ERROR, TIMED_OUT, CANCELED or one of your own"
        )
    return text


def _location(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"(https?://|/)[!-~]*", value):
        raise _WrongError(f"{value!r:.40} is neither a URL nor a path")
    return value


def _retry_after(value: str | None) -> str:
    text = _needed(value, "2")
    if not re.fullmatch(r"[ -~]{1,60}", text):
        raise _WrongError("it is a text of at most 60 ASCII characters, usually a number of seconds")
    return text


SETTINGS: Mapping[str, Callable[[str | None], Any]] = {
    "status": _integer(200, 599),
    "body": _one_of(*BODIES),
    "retry-after": _retry_after,
    "reset": _flag,
    "close": _flag,
    "stall": _integer(0, 2**31, needed=False),
    "truncate": _integer(0, 2**31, needed=False),
    "drip": _integer(1, 2**31),
    "redirect": _location,
    "expire": _one_of("token", "link"),
    "delay": _seconds,
    "when": lambda value: When(_one_of("before", "after")(value)),
    "store": _integer(0, 2**31),
    "late": _seconds,
    "replay": lambda value: 0.0 if value is None else _seconds(value),
    "lag": _seconds,
    "batch": _state,
    "job": _state,
    "position": _integer(0, 2**31),
    "for": _seconds,
    "note": _flag,
}
"""Setting -> its reader, which takes the text behind the equals sign or None."""
