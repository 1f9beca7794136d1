"""The first operations of a sequence, built through Pulser's public API to find the one that it refuses."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.build import build, load_sequence

if TYPE_CHECKING:
    from collections.abc import Mapping


def first_failing(text: str, variables: Mapping[str, Any]) -> int | None:
    """Index of the first operation whose prefix fails; -1 when none is needed to fail, None when all of them pass.

    Args:
        text: The sequence in abstract representation (a JSON string).
        variables: Of the point.
    """
    count = operations_in(text)
    if _fails(text, 0, variables):
        return -1
    if not _fails(text, count, variables):
        return None
    low, high = 0, count  # the prefix of `low` operations passes, that of `high` fails
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _fails(text, middle, variables) else (middle, high)
    return high - 1


def _fails(text: str, count: int, variables: Mapping[str, Any]) -> bool:
    try:
        build(prefix(text, count), variables)
    except Exception:  # noqa: BLE001 - whatever Pulser refuses with
        return True
    return False


@lru_cache(maxsize=16)
def operations_in(text: str) -> int:
    """Number of operations of a sequence."""
    return len(json.loads(text)["operations"])


@lru_cache(maxsize=64)
def prefix(text: str, count: int) -> Any:
    """The `pulser.Sequence` of the first `count` operations, not measured; Pulser's own exceptions when it refuses."""
    body = json.loads(text)
    body["operations"] = body["operations"][:count]
    body["measurement"] = None
    return load_sequence(json.dumps(body))
