"""Whether a result can be what was measured: bitstrings of the right length, counts that sum to the runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pcs_runner.errors import ServiceError

if TYPE_CHECKING:
    from pcs_runner.pcs.protocol import JobResult


def check_result(result: JobResult, *, runs: int, n_atoms: int, job_id: str) -> None:
    """Check that a result can be what was measured.

    Raises:
        ServiceError: A bitstring of the wrong length or with other characters, a count that is none, or a wrong sum.
    """
    wrong = ""
    for bits, count in result.counter.items():
        if len(bits) != n_atoms or bits.strip("01"):
            wrong = f"bitstring {bits[:64]!r} for {n_atoms} atoms"
        elif isinstance(count, bool) or not isinstance(count, int) or count < 0:
            wrong = f"count {count!r:.64} of bitstring {bits[:64]!r}"
    total = 0 if wrong else sum(result.counter.values())
    if not wrong and total != runs:
        wrong = f"{total} shots for {runs} runs"
    if not wrong and result.raw is not None and len(result.raw) != runs:
        wrong = f"{len(result.raw)} raw bitstrings for {runs} runs"
    if not wrong and result.raw is not None and Counter(result.raw) != Counter(result.counter):
        wrong = "the raw bitstrings are not the ones that were counted"
    if wrong:
        raise ServiceError(
            f"the service's result of job {job_id} cannot be right: {wrong}",
            hint="Nothing was written for it. Resume later, and report it to the provider when it stays.",
        )
