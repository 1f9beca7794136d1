"""How a run ended: its counts, its folder, its exit code and the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pcs_runner.cli.outcome import conclude, status_lines
from pcs_runner.cli.session import Session
from pcs_runner.run.outcome import Run

if TYPE_CHECKING:
    from pathlib import Path


def ended(folder: Path, counts: dict[str, int], strangers: tuple[tuple[str, str, int, str], ...] = ()) -> Run:
    """A run that has ended with these counts."""
    total = sum(counts.values())
    return Run(
        folder=folder,
        uuid="u",
        digest="ab" * 32,
        state="finished",
        total=total,
        recorded=total,
        counts=counts,
        batch_ids=("b-1",),
        strangers=strangers,
    )


def test_failed_jobs_are_said_and_can_be_retried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert conclude(Session(), ended(tmp_path, {"DONE": 2, "ERROR": 1})) == 1
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path}\n"
    assert captured.err == (f"finished: 2 DONE, 1 ERROR\nerror: 1 of 3 jobs not DONE\nnext: pcs-run retry {tmp_path}\n")


def test_strangers_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each by its id, an empty batch too."""
    run = ended(tmp_path, {"DONE": 1}, strangers=(("b-2", "batch", 0, "cancel\x1bled"),))
    assert conclude(Session(), run) == 1
    assert capsys.readouterr().err == (
        "finished: 1 DONE\n"
        "error: the service has what this run did not mean to send: batch b-2 (cancel\\x1bled)\n"
        f"next: pcs-run status {tmp_path}\n"
    )
    assert "stranger batch b-2, 0 jobs: cancel\\x1bled" in list(status_lines(run))


def test_many_strangers_beside_failed_jobs_are_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ended(tmp_path, {"DONE": 1, "ERROR": 1}, strangers=tuple((f"j-{n}", "job", 1, "cancelled") for n in range(7)))
    assert conclude(Session(quiet=True), run) == 1
    named = ", ".join(f"job j-{n} (cancelled)" for n in range(5))
    assert capsys.readouterr().err == (
        f"error: 1 of 2 jobs not DONE; the service has what this run did not mean to send: {named} and 2 more\n"
        f"next: pcs-run retry {tmp_path}\n"
    )


def test_quiet_leaves_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.csv").touch()
    assert conclude(Session(quiet=True), ended(tmp_path, {"DONE": 1})) == 0
    assert tuple(capsys.readouterr()) == (f"{tmp_path}\n", "")
