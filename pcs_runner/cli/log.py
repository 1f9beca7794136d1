"""The package's log on the screen, for `-v`; without it the log goes to the run folder only."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pcs_runner.cli.text import printable

if TYPE_CHECKING:
    from pcs_runner.cli.session import Session


class ScreenHandler(logging.Handler):
    """Log records as lines on stderr."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        self._session.complain(printable(f"{record.levelname.lower()} {record.name}: {record.getMessage()}"), style="dim")


def show_log(session: Session) -> None:
    """Show what the package logs until `hide_log`: what it does with `-v`, everything with `-vv`."""
    hide_log()
    logger = logging.getLogger("pcs_runner")
    logger.addHandler(ScreenHandler(session))
    logger.setLevel(logging.DEBUG if session.verbose > 1 else logging.INFO)


def hide_log() -> None:
    """Show nothing of the log any more: the command has ended, and the process may run others."""
    logger = logging.getLogger("pcs_runner")
    for handler in [one for one in logger.handlers if isinstance(one, ScreenHandler)]:
        logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
