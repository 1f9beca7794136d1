"""`report.html`: a run as one page that needs no network and no script, made from what is on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcs_runner.results.report import sections
from pcs_runner.results.report.gather import gather
from pcs_runner.results.report.page import page, paragraph

if TYPE_CHECKING:
    from pcs_runner.results.report.source import ReportSource


def html(source: ReportSource) -> str:
    """The page. The records are read twice and not kept; 10^5 jobs make a page hardly larger than 100 do.

    Raises:
        ValueError: A line of the results is not a record.
        OSError: They cannot be read.
    """
    found, groups = gather(source.records, source.let_names, source.units)
    inline = sections.Inliner()
    body = [
        sections.head(source, found),
        sections.results(source, found, groups, inline),
        sections.failures(source, found),
        sections.drawings(source, found, inline),
        sections.cards(source, groups, inline),
        sections.timing(source, found),
        sections.provenance(source),
    ]
    asof = f"{source.now:%Y-%m-%d %H:%M} UTC"
    made = paragraph(f"Made by pcs-runner on {asof} from the run folder; `pcs-run report` makes it again.", "muted")
    title = f"{source.manifest.get('name', 'run')}, results"
    return page(title, [*filter(None, body), f"<footer>{made}</footer>"])
