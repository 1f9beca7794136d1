"""The journal: what was meant, acknowledged and known, on disk before the next step. The only user of sqlite3 in `run/`."""

from __future__ import annotations

from pcs_runner.run.journal.book import Journal
from pcs_runner.run.journal.file import DamagedJournalError

__all__ = ["DamagedJournalError", "Journal"]
