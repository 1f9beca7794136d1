"""What a report is made from: the records and what a run folder says about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pcs_runner.results.charts.register import Atoms

if TYPE_CHECKING:
    from datetime import datetime

    from pcs_runner.results.record import JobRecord
    from pcs_runner.spec.models import Spec

ENDED = frozenset({"finished", "stopped", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSource:
    """A run.

    Attributes:
        manifest: Provenance, as plain data.
        state: Of the run.
        held: Whether a process is carrying it out.
        records: Gives the records anew at each call.
        sequence: Sequence id -> abstract representation (a JSON string); raises OSError where it is gone.
        spec: The spec, None when this version cannot read it.
        spec_text: The spec as it was run.
        units: Unit of each name of the points that is known.
        folder: The run folder's name.
        now: In UTC.
    """

    manifest: Mapping[str, Any]
    state: str
    held: bool
    records: Callable[[], Iterator[JobRecord]]
    sequence: Callable[[str], str]
    spec: Spec | None
    spec_text: str
    units: Mapping[str, str]
    folder: str
    now: datetime
    _registers: dict[str, Atoms | None] = field(default_factory=dict, repr=False)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in ENDED

    @property
    def let_names(self) -> dict[str, frozenset[str]]:
        """Group -> names that are computed from its points."""
        if self.spec is None:
            return {}
        return {group.name or str(number): frozenset(group.let) for number, group in enumerate(self.spec.groups)}

    def one_means(self, job: JobRecord) -> str:
        """What a 1 in the bitstrings of a job is, or an empty text."""
        try:
            body = json.loads(self.sequence(job.sequence))
            basis = body.get("measurement") or _basis_of(body.get("channels", {}).values())
        except (OSError, ValueError, AttributeError):
            return ""
        return str(self.manifest.get("one_means", {}).get(basis, ""))

    def register(self, job: JobRecord) -> Atoms | None:
        """The atoms of a job; None where its sequence is gone."""
        if job.sequence not in self._registers:
            try:
                self._registers[job.sequence] = Atoms.of(self.sequence(job.sequence))
            except (OSError, ValueError, KeyError):
                self._registers[job.sequence] = None
        found = self._registers[job.sequence]
        return self._bound(job) if found is not None and not found.places else found

    def _bound(self, job: JobRecord) -> Atoms | None:
        """The atoms of a mappable register, on the traps of this job."""
        from pcs_runner.results.charts.built import Built

        try:
            return Built.of(self.sequence(job.sequence), job.variables).atoms
        except Exception:  # noqa: BLE001 - a drawing that fails must not lose the report
            return None


def _basis_of(channels: Iterable[str]) -> str:
    """The basis that channel ids speak of, where nothing is measured."""
    ids = " ".join(map(str, channels))
    return "XY" if "mw" in ids else "digital" if "raman" in ids and "rydberg" not in ids else "ground-rydberg"
