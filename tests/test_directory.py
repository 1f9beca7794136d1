"""Names of a run's files, and folders that are made whole or not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pcs_runner.errors import StorageError, UsageError
from pcs_runner.run.directory import RunFolder, candidates, check_free, make, new_path, write_inputs

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 22, 9, 8, 7, tzinfo=UTC)
DIGEST = "0123456789abcdef" * 4


def fill(folder: RunFolder) -> None:
    write_inputs(folder, b"version: 1\n", {"points/a.csv": b"x\n1\n"}, [("9f3c1a2b", "{}")])
    folder.journal.write_bytes(b"j")


def test_names(tmp_path: Path) -> None:
    """UTC time and the plan's first digits; a number when two begin in one second."""
    assert new_path(tmp_path, DIGEST, NOW).name == "20261122T090807Z-01234567"
    (tmp_path / "20261122T090807Z-01234567").mkdir()
    assert new_path(tmp_path, DIGEST, NOW).name == "20261122T090807Z-01234567-2"


def test_only_runs_of_the_plan_are_candidates(tmp_path: Path) -> None:
    for name in ("20261122T090807Z-01234567", "20261121T000000Z-01234567-2", "20261123T000000Z-ffffffff"):
        make(tmp_path / name, fill)
    (tmp_path / "20261124T000000Z-01234567").mkdir()
    assert [folder.path.name for folder in candidates(tmp_path, DIGEST)] == [
        "20261121T000000Z-01234567-2",
        "20261122T090807Z-01234567",
    ]


def test_a_folder_is_made_whole(tmp_path: Path) -> None:
    folder = make(tmp_path / "a" / "b", fill)
    assert folder.spec_bytes == b"version: 1\n"
    assert (folder.inputs / "points" / "a.csv").read_bytes() == b"x\n1\n"
    assert (folder.sequences / "9f3c1a2b.json").read_text() == "{}"
    assert not (folder.path / ".incomplete").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), StorageError("disk is full"), KeyboardInterrupt()])
@pytest.mark.parametrize("existed", [True, False])
def test_a_folder_that_cannot_be_filled_is_not_there(tmp_path: Path, error: BaseException, existed: bool) -> None:
    """Neither the folder that was made, nor files in the one that was given."""
    path = tmp_path / "run"
    if existed:
        path.mkdir()

    def failing(folder: RunFolder) -> None:
        fill(folder)
        raise error

    with pytest.raises((UsageError, KeyboardInterrupt)):
        make(path, failing)
    assert (list(path.iterdir()) == []) if existed else not path.exists()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_an_input_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="lies outside its folder"):
        make(tmp_path / "run", lambda folder: write_inputs(folder, b"", {name: b"x"}, []))
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "x").exists()


def test_what_is_free(tmp_path: Path) -> None:
    check_free(tmp_path / "new")
    check_free(tmp_path)
    (tmp_path / "run.lock").touch()
    check_free(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError) as caught:
        check_free(tmp_path)
    assert str(caught.value) == f"{tmp_path} holds something else: a and 1 more"


def test_a_damaged_manifest_is_told(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for body in ("{", "[]"):
        folder.manifest.write_text(body)
        with pytest.raises(StorageError, match=r"manifest\.json is damaged"):
            folder.read_manifest()


def test_what_the_manifest_pins(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    manifest = {
        "target": {"name": "local"},
        "devices": {"D": {"sha256": "x", "spec": {"name": "D"}}},
        "registers": [{"atoms": ["q0", "q1"], "sequences": ["a", "b"]}],
    }
    folder.manifest.write_text(json.dumps(manifest))
    assert folder.target() == {"name": "local"}
    assert folder.devices() == {"D": '{"name": "D"}'}
    assert folder.atoms() == {"a": ("q0", "q1"), "b": ("q0", "q1")}
