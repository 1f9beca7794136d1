"""The RUN argument: a run folder, or a refusal that lists the runs there are."""

from __future__ import annotations

from pathlib import Path

from pcs_runner.cli.session import bullets, command_line
from pcs_runner.cli.text import printable
from pcs_runner.errors import UsageError

_MOST_LISTED = 10


def is_run(folder: Path) -> bool:
    """Whether the folder holds a run."""
    from pcs_runner.run.directory import RunFolder

    return RunFolder(folder).is_run()


def known_runs(root: Path) -> list[Path]:
    """Run folders at `root` and up to two levels below, newest last (their names begin with the UTC time)."""
    candidates = [root, *root.glob("*"), *root.glob("*/*")]
    return sorted((folder for folder in candidates if is_run(folder)), key=lambda folder: (folder.name, str(folder)))


def existing_run(folder: Path, command: str, *, runs: Path = Path("runs")) -> Path:
    """The folder, when it holds a run.

    Args:
        folder: As the user typed it.
        command: What the user wanted, for the hint.
        runs: Where runs are looked for, when the folder itself has none below it.

    Raises:
        UsageError: It does not; the message lists the runs below it or below `runs`, newest last.
    """
    if is_run(folder):
        return folder
    what = "holds no run" if folder.is_dir() else "is not a folder" if folder.exists() else "does not exist"
    message = f"{printable(str(folder))} {what}"
    known = (known_runs(folder) if folder.is_dir() else []) or known_runs(runs)
    if not known:
        raise UsageError(f"{message}, and there are no runs below {runs}/", hint="pcs-run init")
    shown = known[-_MOST_LISTED:]
    more = [f"... and {len(known) - len(shown)} older ones"] if len(known) > len(shown) else []
    listing = "\n".join(bullets([*more, *(printable(str(run)) for run in shown)]))
    raise UsageError(f"{message}; runs here, newest last:\n{listing}", hint=command_line(command, shown[-1]))
