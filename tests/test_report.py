"""The report of a run: what it shows, what it survives, and what it costs."""

from __future__ import annotations

import json
import re
import shutil
import tracemalloc
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pcs_runner
from pcs_runner.api import report
from pcs_runner.cli import main
from pcs_runner.results.report import html
from pcs_runner.results.report.names import Names, arrange
from pcs_runner.results.report.quantities import Mean, Quantity, interval
from pcs_runner.run.journal import Journal
from report_page import record, source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.results.record import JobRecord
    from pcs_runner.run.events import Event

SPEC = """\
version: 1
name: pair
description: Two atoms <&> a sweep.
sequence:
  device: AnalogDevice
  register: {q0: [0, 0], q1: [6, 0]}
  channels: {ising: rydberg_global}
  operations:
    - {op: pulse, duration: t, amplitude: 6, detuning: 0}
  measurement: ground-rydberg
jobs:
  runs: 50
  sweep: {grid: {t: [100, 200, 300]}}
targets: {local: {engine: qutip, workers: 1}}
"""

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\x1b[31m\u202e"


class Tags(HTMLParser):
    """Names of all elements and attributes of a page, and whether its elements are closed in order."""

    VOID = frozenset({"meta", "path", "rect", "circle"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three jobs on the twin."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "pair.yaml").write_text(SPEC, encoding="utf-8")
    return pcs_runner.run(pcs_runner.plan(folder / "pair.yaml"), output=folder / "run").folder


def test_a_run_leaves_its_report(finished: Path) -> None:
    page = (finished / "report.html").read_text(encoding="utf-8")
    manifest = json.loads((finished / "manifest.json").read_text(encoding="utf-8"))
    assert len(page) < 100_000
    assert "Two atoms &lt;&amp;&gt; a sweep." in page
    assert f"sha256 {manifest['spec']['sha256']}" in page
    assert manifest["digest"] in page
    assert f"pulser-core {manifest['packages']['pulser-core']}" in page
    assert "P(11) against t (ns)" in page
    assert "1 = Rydberg state r, 0 = ground state g" in page
    assert "2 atoms, the nearest 6 µm apart" in page
    assert "amplitude of ising from 0 to 6 rad/µs" in page
    assert "Occupation on the register" in page
    assert "highest P(11)" in page
    assert "amplitude: 6, detuning: 0" in page  # the spec
    assert "still going" not in page
    assert "Failures" not in page


def test_the_page_needs_nothing_but_itself(finished: Path) -> None:
    page = (finished / "report.html").read_text(encoding="utf-8")
    tags = Tags(page)
    assert not {"script", "link", "img", "iframe", "object", "use", "image"} & set(tags.tags)
    assert not {"src", "href", "srcset", "xlink:href"} & tags.attributes
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_the_command_makes_the_same_page_again(finished: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["report", str(finished), "-o", str(tmp_path / "again.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'again.html'}\n"
    made = re.compile("Made by pcs-runner on .* UTC")
    first, second = (
        made.sub("", path.read_text(encoding="utf-8")) for path in (finished / "report.html", tmp_path / "again.html")
    )
    assert first == second


def test_a_run_that_stopped_before_its_end_says_so(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    journal = Journal.open(folder / "journal.db")
    journal.set_state("running")
    journal.close()
    lines = (folder / "results.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "results.jsonl").write_bytes(lines[0] + lines[1][:40])
    page = report(folder).read_text(encoding="utf-8")
    assert "This run stopped before its end; `pcs-run resume` goes on with it." in page
    assert "1 of 3 jobs are recorded" in page


def test_a_run_that_is_still_going_says_as_of_when() -> None:
    running = source(lambda: iter([record(0, {"x": 1}, {"0": 5})]), state="running", held=True, manifest={"totals": {"jobs": 9}})
    assert "This run is still going. As of 2026-11-22 12:30:00 UTC, 1 of 9 jobs are recorded" in html(running)


def test_a_run_without_records_has_a_report() -> None:
    page = html(source(lambda: iter([]), state="running", held=True))
    Tags(page)
    assert "They are drawn when the first job is recorded." in page


def test_a_run_folder_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_the_spec_can_do_without_a_report(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SPEC + "results: {report: false}\n", encoding="utf-8")
    run = pcs_runner.run(pcs_runner.plan(tmp_path / "a.yaml"), output=tmp_path / "run")
    assert not (run.folder / "report.html").exists()
    assert report(run.folder).is_file()


def test_a_report_that_cannot_be_made_breaks_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text(SPEC, encoding="utf-8")
    events: list[Event] = []

    def tell(event: Event) -> None:
        events.append(event)
        if event.kind == "created":
            (tmp_path / "run" / "report.html").mkdir()  # where the file should go

    run = pcs_runner.run(pcs_runner.plan(tmp_path / "a.yaml"), output=tmp_path / "run", on_event=tell)
    assert (run.state, run.exit_code) == ("finished", 0)
    (failed,) = [event.message for event in events if event.kind == "report_failed"]
    assert f"make it again with `pcs-run report {tmp_path / 'run'}`" in failed


def test_no_text_becomes_markup() -> None:
    def records() -> Iterator[JobRecord]:
        yield record(0, {HOSTILE: HOSTILE, "x": 1}, {"01": 5, "10": 7}, group=HOSTILE)
        yield record(
            1, {HOSTILE: "b", "x": 2}, {"01": 5, "11": 7}, group=HOSTILE, estimates={HOSTILE: {"value": 1.0, "error": 0.1}}
        )
        yield record(2, {HOSTILE: "c", "x": 3}, {}, group=HOSTILE, status=HOSTILE, errors=(HOSTILE,), started_at=HOSTILE)

    manifest = {
        "name": HOSTILE,
        "description": HOSTILE,
        "devices": {HOSTILE: {"sha256": HOSTILE}},
        "target": {"name": HOSTILE, "backend": "pcs", "batch": {"device_type": HOSTILE}},
        "engines": [{"engine": HOSTILE, "reason": HOSTILE, "jobs": 1}],
        "packages": {HOSTILE: HOSTILE},
        "git": {"commit": HOSTILE, "dirty": True},
        "overrides": {HOSTILE: HOSTILE},
        "times": {"started": HOSTILE},
    }
    page = html(source(records, manifest=manifest, spec_text=HOSTILE, units={HOSTILE: HOSTILE}, folder=HOSTILE))
    tags = Tags(page)
    assert not {"script", "img"} & set(tags.tags)
    assert "onerror" not in tags.attributes
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_failures_stand_there_with_their_reasons() -> None:
    def records() -> Iterator[JobRecord]:
        for index in range(200):
            if index % 2:
                reason = "laser <off>" if index < 100 else f"reason {index}"
                yield record(index, {"x": index}, {}, status="ERROR", errors=(reason,))
            else:
                yield record(index, {"x": index}, {"0": 3, "1": 4})

    page = html(source(records))
    assert "100 of 200 jobs have no result" in page
    assert "laser &lt;off&gt;" in page
    assert "job 1: x = 1; job 3: x = 3" in page
    assert "31 jobs failed for other reasons" in page  # 50 reasons, one more than 19 of them are listed
    assert len(page) < 100_000


def many_jobs(count: int) -> str:
    """The page of so many jobs."""

    def records() -> Iterator[JobRecord]:
        for index in range(count):
            yield record(index, {"t": index * 0.01}, {"0": 10 + index % 7, "1": 5})

    return html(source(records))


def test_ten_times_the_jobs_make_no_larger_page_and_are_not_kept() -> None:
    small = many_jobs(1_000)
    tracemalloc.start()
    large = many_jobs(10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "There are more values of t than a chart can show: neighbours share a mark." in large
    assert len(large) < 1.2 * len(small) + 2_000
    assert peak < 6_000_000  # a hash of each point; the records are more than ten times that


def points(**axes: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def arranged(rows: list[dict[str, Any]], *computed: str, repeat: int = 1) -> Any:
    names = Names()
    for repetition in range(repeat):
        for index, point in enumerate(rows):
            names.add(record(index, point, {"0": 1}, repetition=repetition))
    return arrange(names, frozenset(computed), {})


MANY = [float(number) for number in range(-6, 6)]


def test_one_axis_makes_lines() -> None:
    found = arranged(points(x=MANY))
    assert (found.kind, found.x.name, found.series) == ("lines", "x", None)


def test_two_axes_make_a_heat_map_or_a_few_lines() -> None:
    plane = arranged(points(y=MANY[:5], x=MANY))
    assert (plane.kind, plane.y.name, plane.x.name) == ("heat", "y", "x")
    lines = arranged(points(y=MANY[:4], x=MANY))
    assert (lines.kind, lines.series.name, lines.x.name) == ("lines", "y", "x")


def test_three_axes_make_small_multiples() -> None:
    found = arranged(points(z=[1, 2, 3], y=MANY, x=MANY))
    assert (found.kind, [axis.name for axis in found.facets]) == ("heat", ["z"])


def test_more_axes_than_can_be_drawn_are_averaged_and_named() -> None:
    found = arranged(points(a=[1, 2, 3], b=[1, 2, 3], c=[1, 2, 3], y=MANY, x=MANY))
    assert len(found.facets) == 2
    assert found.averaged == ["c"]


def test_names_that_follow_others_are_no_axes() -> None:
    zipped = [{"omega": 1.0 / t, "t": t, "x": x, "delta": x / t} for t in (1, 2) for x in MANY]
    found = arranged(zipped, "delta")
    assert (found.kind, found.series.name, found.x.name) == ("lines", "omega", "x")


def test_points_that_form_no_grid_are_a_cloud() -> None:
    scattered = [{"a": (7 * n) % 24 / 3, "b": (11 * n) % 24, "v": [n * 1.5, -n]} for n in range(24)]
    assert arranged(scattered).kind == "cloud"


def test_passes_are_lines_of_their_own_when_they_are_few() -> None:
    few, many = arranged(points(x=MANY), repeat=3), arranged(points(x=MANY), repeat=9)
    assert (few.series.name, list(few.averaged)) == ("pass", [])
    assert (many.series, list(many.averaged)) == (None, ["pass"])


def test_the_interval_of_a_probability_is_wilsons() -> None:
    # E. B. Wilson's interval at z = 1: for 0 of 10 it ends at 1/(n + 1), for 5 of 10 it is symmetric.
    value, low, high = interval(Quantity("bitstring", "1"), Mean(10, 0, 0))
    assert value == 0
    assert low == pytest.approx(0)
    assert high == pytest.approx(1 / 11)
    value, low, high = interval(Quantity("bitstring", "1"), Mean(10, 5, 5))
    assert value - low == pytest.approx(high - value)
    assert high - value == pytest.approx(0.5 / 11**0.5)


def test_the_error_of_the_occupation_knows_that_atoms_go_together() -> None:
    # Ten shots, half of them 11 and half 00: the mean of two atoms is no better known than that of one.
    mean = Mean(10, 5, 5)
    value, low, _ = interval(Quantity("occupation"), mean)
    assert value - low == pytest.approx((0.25 / 9) ** 0.5)
