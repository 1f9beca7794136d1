"""What an engine computed beside the shots: Pulser's serialised `Results` as plain data for a record."""

from __future__ import annotations

import json
from typing import Any

SHOTS = "bitstrings"


def observables(serialised: str | None) -> dict[str, dict[str, list[Any]]]:
    """The observables of a job, but for the shots at its end, which are the record's counts.

    Args:
        serialised: Pulser `Results` in abstract representation (a JSON string), or None.

    Returns:
        Tag -> `times` (fractions of the duration, 0 to 1) and `values` at these times, as Pulser serialises them; empty when
        there are none, or when the service sent something else.
    """
    try:
        body = json.loads(serialised) if serialised else {}
        found = {
            tag: {"times": body["times"][key], "values": body["results"][key]} for tag, key in body.get("tagmap", {}).items()
        }
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
    return {tag: one for tag, one in found.items() if not (tag == SHOTS and one["times"] == [1.0])}
