"""Names every file of a run, and makes a run folder whole or not at all."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import RunHeldError, StorageError, UsageError
from pcs_runner.results.durable import sync_folder, write_bytes
from pcs_runner.run import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

MARKER = ".incomplete"
"""Present while a folder is being filled; with it nothing was ever sent from there."""

FILLED = (
    "spec.yaml",
    "inputs",
    "sequences",
    "manifest.json",
    "journal.db",
    "journal.db-journal",
    "twin.db",
    "twin.db-journal",
    "reused.jsonl",
    ".manifest.json.new",
    ".reused.jsonl.new",
    ".spec.yaml.new",
)
"""What is written while a folder is being filled, so what may be removed when that did not end."""

LOCK_FILES = (lock.LOCK_NAME, lock.HOLDER_NAME)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run folder by its path; the files need not exist.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def spec(self) -> Path:
        """The spec, byte for byte."""
        return self.path / "spec.yaml"

    @property
    def inputs(self) -> Path:
        """Folder with every file that the spec read, at its path relative to the spec."""
        return self.path / "inputs"

    @property
    def manifest(self) -> Path:
        """Provenance."""
        return self.path / "manifest.json"

    @property
    def sequences(self) -> Path:
        """Folder with each distinct Pulser sequence."""
        return self.path / "sequences"

    @property
    def journal(self) -> Path:
        """The source of truth (SQLite)."""
        return self.path / "journal.db"

    @property
    def results(self) -> Path:
        """One line a job."""
        return self.path / "results.jsonl"

    @property
    def reused(self) -> Path:
        """What the run takes over from earlier ones; only where a spec has `reuse: true`."""
        return self.path / "reused.jsonl"

    @property
    def results_csv(self) -> Path:
        """One row a job."""
        return self.path / "results.csv"

    @property
    def counts_csv(self) -> Path:
        """One row a job and bitstring."""
        return self.path / "counts.csv"

    @property
    def report(self) -> Path:
        """The page that shows the run."""
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        """What happened, with UTC times."""
        return self.path / "run.log"

    @property
    def spec_bytes(self) -> bytes:
        """Content of the spec."""
        return _read(self.spec)

    def read_manifest(self) -> dict[str, Any]:
        """The manifest as plain data.

        Raises:
            StorageError: It is missing or damaged.
        """
        try:
            body = json.loads(_read(self.manifest))
        except ValueError as error:
            raise StorageError(f"{self.manifest} is damaged: {error}", hint="Restore it from a backup.") from error
        if not isinstance(body, dict):
            raise StorageError(f"{self.manifest} is damaged: not a mapping", hint="Restore it from a backup.")
        return body

    def target(self) -> dict[str, Any]:
        """The resolved target that the run was started with, as plain data."""
        return dict(self.read_manifest()["target"])

    def devices(self) -> dict[str, str]:
        """Device name -> device (a JSON string), as pinned when the run was started."""
        devices = self.read_manifest()["devices"]
        return {name: json.dumps(entry["spec"]) for name, entry in devices.items()}

    def atoms(self) -> dict[str, tuple[str, ...]]:
        """Sequence id -> names of its atoms, in the order of the bitstrings."""
        registers = self.read_manifest()["registers"]
        return {sequence: tuple(register["atoms"]) for register in registers for sequence in register["sequences"]}

    def is_run(self) -> bool:
        """Whether this is a run folder that was made whole; its journal may have been lost since."""
        return (self.manifest.is_file() or self.journal.is_file()) and not (self.path / MARKER).exists()


def candidates(parent: Path, digest: str) -> list[RunFolder]:
    """Run folders below `parent` whose name ends with the digest's first 8 digits, oldest first."""
    found = (RunFolder(path) for path in parent.glob(f"*-{digest[:8]}*") if not path.name.startswith("."))
    return sorted((folder for folder in found if folder.is_run()), key=lambda folder: folder.path.name)


def new_path(parent: Path, digest: str, now: datetime) -> Path:
    """`<parent>/<UTC time>-<digest, 8 hex>`; with `-2`, `-3`, ... when that is taken."""
    stem = f"{now:%Y%m%dT%H%M%SZ}-{digest[:8]}"
    names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 10_000))
    return next(path for path in (parent / name for name in names) if not path.exists())


def check_free(path: Path) -> None:
    """Refuse a folder that holds something else than a run; nothing is touched.

    Raises:
        UsageError: It is a file, cannot be read, or holds files of somebody else.
    """
    try:
        names = {entry.name for entry in path.iterdir()} if path.exists() else set()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be a run folder: {error.strerror or error}", hint="Choose another folder with -o."
        ) from error
    if MARKER in names:
        names -= {MARKER, *FILLED}
    foreign = sorted(names - set(LOCK_FILES))
    if foreign and not RunFolder(path).is_run():  # another process may be making a run there, and have ended since we looked
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise UsageError(f"{path} holds something else: {foreign[0]}{more}", hint="Choose an empty or a new folder with -o.")


def make(path: Path, content: Callable[[RunFolder], None]) -> RunFolder:
    """Make the run folder `path` (mode 0700) and fill it under its lock; what fails leaves nothing half-made.

    Args:
        path: New, empty, or left half-made by a process that died.
        content: Writes the files.

    Raises:
        UsageError: The disk is full or not writable, or `path` holds something else; nothing was sent.
        RunHeldError: Another process is filling it.
    """
    check_free(path)
    existed = path.exists()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        with lock.holding(path):
            folder = RunFolder(path)
            if not folder.is_run():
                _fill(folder, content)
    except RunHeldError:
        raise
    except (OSError, StorageError) as error:
        _remove(path, existed=existed)
        reason = error.message if isinstance(error, StorageError) else (error.strerror or str(error))
        raise UsageError(
            f"the run folder {path} cannot be written: {reason}",
            hint="Nothing was sent. Make room, or choose another folder with -o.",
        ) from error
    except BaseException:
        _remove(path, existed=existed)
        raise
    return folder


def discard(path: Path, *, existed: bool) -> None:
    """Take a run folder away again that was just made and from which nothing was sent.

    Args:
        path: The folder.
        existed: Whether it was there before, empty: then it stays.
    """
    with contextlib.suppress(OSError):
        (path / MARKER).touch(mode=0o600)
    _remove(path, existed=existed)


def write_inputs(folder: RunFolder, spec: bytes, inputs: Mapping[str, bytes], sequences: Iterable[tuple[str, str]]) -> None:
    """Write the spec, the files that it read and the distinct sequences.

    Args:
        folder: Where to.
        spec: The spec, byte for byte.
        inputs: Relative path -> content of every file that the spec read.
        sequences: Id and text of each sequence, one at a time.

    Raises:
        UsageError: An input's path leaves the folder.
        OSError: The disk is full or not writable.
    """
    write_bytes(folder.spec, spec)
    folder.inputs.mkdir(mode=0o700)
    for relative, content in inputs.items():
        pure = PurePosixPath(relative)
        if pure.is_absolute() or ".." in pure.parts:
            raise UsageError(f"the spec's file {relative} lies outside its folder", hint="Copy it beside the spec.")
        for parent in reversed(pure.parents):
            (folder.inputs / parent).mkdir(mode=0o700, exist_ok=True)
        write_bytes(folder.inputs / pure, content)
    for parent in {parent for relative in inputs for parent in PurePosixPath(relative).parents}:
        sync_folder(folder.inputs / parent)
    folder.sequences.mkdir(mode=0o700)
    for name, sequence in sequences:
        # Not synced one by one: each can be made again from the spec.
        path = folder.sequences / f"{name}.json"
        path.touch(mode=0o600)
        path.write_text(sequence, encoding="utf-8")


def _fill(folder: RunFolder, content: Callable[[RunFolder], None]) -> None:
    marker = folder.path / MARKER
    marker.touch(mode=0o600)
    _clear(folder.path)
    content(folder)
    sync_folder(folder.path)
    sync_folder(folder.path.parent)
    marker.unlink()
    sync_folder(folder.path)  # a marker that came back after a power cut would say that nothing was sent


def _clear(path: Path) -> None:
    for name in FILLED:
        entry = path / name
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)


def _remove(path: Path, *, existed: bool) -> None:
    """Undo what `make` began; only what it wrote itself, and only when nothing can have been sent."""
    if not (path / MARKER).exists() and existed:
        return
    with contextlib.suppress(OSError):
        _clear(path)
        for name in (MARKER, *LOCK_FILES):
            (path / name).unlink(missing_ok=True)
        if not existed:
            path.rmdir()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}", hint="Restore it from a backup.") from error
