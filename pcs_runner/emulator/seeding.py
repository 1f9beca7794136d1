"""Where a job's randomness comes from: what the job is, its seed and its index, and nothing else."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LEFT_OUT = frozenset({"pulser_version", "uuid"})
"""Keys that say who wrote a sequence or a config, not what it does; Pulser draws the uuid of an observable at random."""


def canonical(value: Any) -> Any:
    """Plain data with numbers at 12 significant digits (an integral float is an integer) and without the keys of `LEFT_OUT`."""
    if isinstance(value, dict):
        return _known({key: canonical(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return _number(value) if isinstance(value, float) else value


@lru_cache(maxsize=4096)
def _number(value: float | str) -> int | float:
    rounded = float(format(float(value), ".12g"))
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _known(body: dict[str, Any]) -> dict[str, Any]:
    return body if LEFT_OUT.isdisjoint(body) else {key: item for key, item in body.items() if key not in LEFT_OUT}


def canonical_text(value: Any) -> str:
    """`canonical` as JSON with sorted keys."""
    return _sorted_text(canonical(value))


def _sorted_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@lru_cache(maxsize=32)
def document_digest(text: str | None) -> str:
    """SHA-256 of a JSON document's canonical form, computed once for each distinct text; empty for none."""
    if text is None:
        return ""
    body = json.loads(text, parse_float=_number, object_hook=_known)  # `canonical`, while it is read
    return hashlib.sha256(_sorted_text(body).encode()).hexdigest()


def job_entropy(
    *, sequence: str, variables: Mapping[str, Any], runs: int, engine: str, config: str | None, seed: int, index: int
) -> tuple[int, int, int]:
    """Entropy of one job for `numpy.random.SeedSequence`.

    Args:
        sequence: Abstract representation (a JSON string).
        variables: Values by name; a list of one number is that number.
        runs: Repetitions.
        engine: Name of the engine that runs it.
        config: `EmulationConfig` in abstract representation (a JSON string), or None.
        seed: Of the run, not negative.
        index: Of the job in its run, from 0.

    Returns:
        Hash of what the job is, seed, index.
    """
    values = {name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in variables.items()}
    what = canonical_text([document_digest(sequence), values, runs, engine, document_digest(config)])
    return int.from_bytes(hashlib.sha256(what.encode()).digest(), "big"), seed, index
