"""Jobs as drawings: their register and their sequence, built by Pulser. Imports Pulser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcs_runner.results.charts.axes import point_text
from pcs_runner.results.charts.built import Built
from pcs_runner.results.charts.sequence import draw_sequence, ranges

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pcs_runner.results.charts.sampled import Sampled
    from pcs_runner.results.charts.svg import Picture
    from pcs_runner.results.record import JobRecord
    from pcs_runner.results.report.source import ReportSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A job.

    Attributes:
        sequence: Amplitude, detuning and phase against time.
        caption: Which job, and its point.
        register: The atoms; None when they are those of the job before.
        register_caption: How many atoms, how far apart, and the blockade radius.
    """

    sequence: Picture
    caption: str
    register: Picture | None
    register_caption: str


def drawn_jobs(source: ReportSource, jobs: Sequence[JobRecord]) -> Iterator[Drawn | str]:
    """Each job drawn, all to the same scale; a sentence where Pulser cannot."""
    built: list[tuple[JobRecord, Built]] = []
    for job in jobs:
        try:
            built.append((job, Built.of(source.sequence(job.sequence), job.variables)))
        except Exception as error:  # noqa: BLE001 - a drawing that fails must not lose the report
            yield f"The sequence of job {job.index} cannot be drawn: {error}"
    common = ranges([one.curves for _, one in built])
    end = max((one.curves.duration_ns for _, one in built), default=0)
    seen: list[Mapping[str, Any]] = []
    for job, one in built:
        fresh = one.atoms.places not in seen
        seen.append(one.atoms.places)
        point = point_text(job.point, source.units)
        yield Drawn(
            sequence=draw_sequence(one.curves, title=f"Sequence of job {job.index}", common=common, end_ns=end),
            caption=f"Job {job.index}{f': {point}' if point else ''}. {_measured(one.curves)}",
            register=one.register() if fresh else None,
            register_caption=one.register_caption,
        )


def _measured(curves: Sampled) -> str:
    return f"Duration {curves.duration_ns} ns" + (f", measured in the {curves.measurement} basis." if curves.measurement else ".")
