"""What a notebook shows: small escaped tables, and the example in docs/ run by a real kernel."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import pcs_runner
from pcs_runner.plan import html

ROOT = Path(__file__).resolve().parent.parent

SPEC = """\
version: 1
name: shown
sequence:
  device: MockDevice
  register: {"<b>": [0, 0]}
  channels: {g: rydberg_global}
  operations:
    - {op: pulse, duration: 100, amplitude: om, detuning: 0}
jobs:
  - {name: "<script>alert(1)</script>", runs: 10, sweep: {grid: {om: {linspace: {start: 1, stop: 6, num: 30}}}}}
results: {observables: {n: n_mean}}
"""


class Tables(HTMLParser):
    """The texts of cells, and which tags there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def test_the_example_notebook_runs(tmp_path: Path) -> None:
    """Every cell, in a kernel of its own; what it shows is what it says."""
    shutil.copytree(ROOT / "specs", tmp_path / "specs")
    notebook = nbformat.reads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    assert outputs(notebook) == [], "the notebook is kept without outputs"
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output["data"] for output in outputs(notebook) if "data" in output]
    tables = [one["text/html"] for one in shown if "text/html" in one]
    assert "d4c10ee0" in tables[0]
    assert "50 of 50: 50 DONE" in tables[1]
    assert any("image/png" in one for one in shown)
    assert shown[-1]["text/plain"].startswith("{'0':") or shown[-1]["text/plain"].startswith("Counter(")


def test_plan_and_run_show_small_escaped_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shown.yaml").write_text(SPEC, encoding="utf-8")
    plan = pcs_runner.load("shown.yaml").plan()
    run = pcs_runner.run(plan, workers=1, output=tmp_path / "<i>run")
    for text, words in (
        (plan._repr_html_(), ("shown", "om", "20 more rows")),
        (run._repr_html_(), ("finished", "n", "DONE", "20 more rows", str(tmp_path / "<i>run"))),
    ):
        found = Tables(text)
        assert found.tags <= {"table", "thead", "tbody", "tr", "th", "td", "p"}
        assert len(text) < 10_000
        for word in words:
            assert any(word in cell for cell in found.cells), word


def test_a_table_is_cut_and_says_so() -> None:
    shown = html.table([f"c{number}" for number in range(20)], [["<x>" * 100] * 20], total=None)
    assert shown.count("<td>") == 12
    assert "8 more columns" in shown
    assert "<x>" not in shown
    assert "..." in shown
