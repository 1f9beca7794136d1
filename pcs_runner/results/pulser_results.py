"""Records -> `pulser.backend.Results`."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulser.backend import Results

    from pcs_runner.results.record import JobRecord

SHOTS = "bitstrings"
MEAN = 2
"""`AggregationMethod.MEAN` of Pulser: how several results of an observable are put together where a record does not say it."""


def to_pulser(record: JobRecord, atoms: Sequence[str]) -> Results | None:
    """A job as the `pulser.backend.Results` that a backend would have returned.

    `final_bitstrings` are the counts; what the engine computed is there under its tag, with its times, as plain numbers.

    Args:
        record: A record.
        atoms: Names of the atoms of its sequence, in the order of the bitstrings.

    Returns:
        The results, or None when the job is not DONE.
    """
    from pulser.backend import Results

    if record.status != "DONE":
        return None
    n_atoms = len(next(iter(record.counts), ""))  # a mappable register may have fewer atoms than its sequence names
    made = Results.from_final_bitstrings(tuple(atoms[:n_atoms]), record.duration_ns, record.counts)
    if not record.observables:
        return made
    body = json.loads(made.to_abstract_repr(skip_validation=True))
    shots = body["tagmap"][SHOTS]
    for tag, found in record.observables.items():
        key = shots if tag == SHOTS else str(uuid.uuid5(uuid.NAMESPACE_OID, tag))
        body["tagmap"][tag] = key
        # Shots during the sequence come before those at its end, which are the counts.
        values = {time: value for time, value in zip(found["times"], found["values"], strict=True) if tag != SHOTS or time < 1}
        body["results"][key] = [*values.values(), *body["results"].get(key, ())]
        body["times"][key] = [*values, *body["times"].get(key, ())]
        body["aggregation_methods"].setdefault(key, MEAN)
    return Results.from_abstract_repr(json.dumps(body))
