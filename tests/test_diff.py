"""`pcs-run diff`: the statistics against brute force, and real runs that differ or do not."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

import pcs_runner
from pcs_runner.cli import main
from pcs_runner.results import two_samples
from pcs_runner.results.compare import LEVEL, compare
from pcs_runner.results.record import JobRecord
from pcs_runner.results.report.compared_points import p_text
from report_page import comparison, record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

SPEC = """\
version: 1
name: rabi
sequence:
  device: MockDevice
  register: {{q0: [0, 0], q1: [9, 0]}}
  channels: {{ising: rydberg_global}}
  operations: [{{op: pulse, duration: t, amplitude: {omega}}}]
  measurement: ground-rydberg
jobs: {{runs: {runs}, sweep: {{grid: {{t: {{arange: {{start: 100, stop: {stop}, step: 100}}}}}}}}}}
seed: {seed}
targets: {{local: {{engine: qutip, workers: 1}}}}
"""


def finished(folder: Path, name: str, *, omega: float = 6.0, runs: int = 500, seed: int = 0, stop: int = 1501) -> Path:
    """The folder of a run of twin and laptop."""
    spec = folder / f"{name}.yaml"
    spec.write_text(SPEC.format(omega=omega, runs=runs, seed=seed, stop=stop), encoding="utf-8")
    return pcs_runner.run(pcs_runner.plan(spec), output=folder / name).folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        "one": finished(folder, "one"),
        "other-seed": finished(folder, "other-seed", seed=1),
        "stronger": finished(folder, "stronger", omega=6.3, seed=2),
        "longer": finished(folder, "longer", seed=3, stop=1701),
    }


@pytest.fixture
def diff(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Calls the command; its exit code and both streams."""

    def call(*arguments: object) -> tuple[int, str]:
        code = main(["diff", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


def test_two_seeds_of_one_twin_do_not_differ(runs: Mapping[str, Path], diff: Callable[..., tuple[int, str]]) -> None:
    code, said = diff(runs["one"], runs["other-seed"])
    assert code == 0
    assert "no difference at level 0.01" in said
    assert "15 compared; 0 differ" in said
    assert "spec       -seed: 0" in said
    assert "spec       +seed: 1" in said


def test_five_percent_more_amplitude_differ(runs: Mapping[str, Path], diff: Callable[..., tuple[int, str]]) -> None:
    code, said = diff("--json", runs["one"], runs["other-seed"], runs["stronger"])
    same, other = json.loads(said)["others"]
    assert code == 1
    assert (same["differs"], other["differs"]) == (False, True)
    assert other["p_value"] < 1e-6
    assert other["differing"] > 0
    worst = other["points"][0]
    assert worst["p_value"] < LEVEL
    assert worst["distance"]["variation"] > 3 * worst["distance"]["noise"]
    assert {shift["name"] for shift in worst["shifts"]} == {"occupation[0]", "occupation[1]"}


def test_points_of_one_run_only_are_counted(runs: Mapping[str, Path], diff: Callable[..., tuple[int, str]]) -> None:
    code, said = diff(runs["one"], runs["longer"])
    assert (code, "15 compared, 2 only in the second" in said) == (0, True)
    code, said = diff(runs["longer"], runs["one"])
    assert (code, "15 compared, 2 only in the first" in said) == (0, True)


def test_what_is_not_equal_is_said(runs: Mapping[str, Path], diff: Callable[..., tuple[int, str]]) -> None:
    _, said = diff("--json", runs["one"], runs["other-seed"])
    names = {line["name"] for line in json.loads(said)["others"][0]["provenance"]}
    assert {"seed", "digest", "spec.sha256"} <= names
    assert not {name for name in names if name.startswith(("times", "packages"))}


def test_a_value_that_was_set_for_one_run_only_is_said(tmp_path: Path) -> None:
    files = [written(tmp_path / name, [{}]) for name in ("a.jsonl", "b.jsonl")]
    found = compare(files[0], files[1], ({"overrides": {}, "git": None}, {"overrides": {"constants.omega": 6.3}, "git": None}))
    assert found.provenance == [("overrides.constants.omega", None, 6.3)]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"point": {"t": 7}}], "the runs have no point in common (1 only in the first, 1 only in the second)"),
        ([{"status": "ERROR", "counts": {}}], "the runs have no point in common (1 failed in one of them)"),
        ([{"counts": {"010": 10}}], "job 0 of the first run has 2 atoms and job 0 of the second 3"),
    ],
)
def test_runs_that_cannot_be_compared(tmp_path: Path, records: Sequence[dict[str, Any]], message: str) -> None:
    one, other = written(tmp_path / "a.jsonl", [{}]), written(tmp_path / "b.jsonl", records)
    with pytest.raises(pcs_runner.errors.UsageError, match=message.replace("(", r"\(").replace(")", r"\)")):
        compare(one, other, ({}, {}))


def test_the_page_shows_what_the_table_says(
    runs: Mapping[str, Path], diff: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    _, told = diff("--json", runs["one"], runs["other-seed"], runs["stronger"])
    code, said = diff(runs["one"], runs["other-seed"], runs["stronger"], "-o", tmp_path / "diff.html")
    page = (tmp_path / "diff.html").read_text(encoding="utf-8")
    same, other = json.loads(told)["others"]
    assert (code, said.splitlines()[-1]) == (1, f"page: {tmp_path / 'diff.html'}")
    assert f"A and B do not differ beyond shot noise at level 0.01: p = {p_text(same['p_value'])}." in page
    assert f"A and C differ beyond shot noise at level 0.01: p = {p_text(other['p_value'])}." in page
    assert f"{other['differing']} of {other['differing']} points that differ between A and C, the smallest p first" in page
    assert f"t = {other['points'][0]['point']['t']} ns" in page
    assert "P(11) against t (ns)" in page
    assert all(f">run {name}<" in page for name in "ABC")
    assert "Distance of A and C against t (ns)" in page
    assert "-    {op: pulse" not in page
    assert "-  operations: [{op: pulse, duration: t, amplitude: 6.0}]" in page
    assert "+  operations: [{op: pulse, duration: t, amplitude: 6.3}]" in page
    assert not {"<script", "<link", "<img", "src=", "href="} & set(page.split())
    assert len(page) < 300_000


def shifted(shares: Callable[[float, float], float], seed: int) -> list[JobRecord]:
    """A plane of points with these probabilities of 11."""
    rng = np.random.default_rng(seed)
    points = [(x, y) for y in range(5) for x in range(8)]
    ones = [int(rng.binomial(400, shares(x, y))) for x, y in points]
    return [record(k, {"y": y, "x": x}, {"00": 400 - n, "11": n}) for k, ((x, y), n) in enumerate(zip(points, ones, strict=True))]


def test_two_axes_are_maps_of_each_run_side_by_side(tmp_path: Path) -> None:
    page = comparison(tmp_path, [shifted(lambda x, y: 0.1 + 0.02 * x * y, seed) for seed in (1, 2)])
    assert all(f"P(11) against x and y, run {name}" in page for name in "AB")
    assert "Distance of A and B against job in A" in page
    assert "No point differs by itself between A and B; the most different ones" in page


def test_points_without_a_grid_are_compared_name_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    points = [{"a": float(a), "b": float(b)} for a, b in rng.random((30, 2))]
    runs = [[record(k, point, {"0": 50 + k, "1": 50}) for k, point in enumerate(points)] for _ in range(2)]
    page = comparison(tmp_path, runs)
    assert "The points form no grid: each panel shows all of them." in page
    assert page.count(">run B<") == 2  # a panel for each name


def test_a_single_point_and_hundreds_have_a_page(tmp_path: Path) -> None:
    single = comparison(tmp_path, [[record(0, {}, {"01": 30, "10": 70})] for _ in range(2)])
    assert "A and B do not differ" in single
    (tmp_path / "many").mkdir()
    many = comparison(tmp_path / "many", [[record(k, {"t": 0.1 * k}, {"0": 5, "1": 5}) for k in range(600)] for _ in range(2)])
    assert "neighbouring points share a mark" in many
    assert len(many) < 300_000


def test_text_of_a_run_is_no_markup_on_the_page(tmp_path: Path) -> None:
    hostile = "</title><script>alert(1)</script>"
    runs = [[record(0, {hostile: hostile}, {"01": 30 + 30 * k, "10": 70}, group=hostile)] for k in range(2)]
    manifests = [{"name": hostile, "seed": f"{hostile}{k}", "runner": hostile, "git": {"commit": hostile}} for k in range(2)]
    page = comparison(tmp_path, runs, manifest=manifests, spec_text=[hostile, f"{hostile}{hostile}"])
    assert "<script" not in page


def test_one_folder_alone_is_refused(runs: Mapping[str, Path], diff: Callable[..., tuple[int, str]]) -> None:
    code, said = diff(runs["one"])
    assert code == 2
    assert "at least two run folders" in said


def written(path: Path, changes: Sequence[Mapping[str, Any]]) -> Path:
    """Results whose records are the default one with these changes."""
    base: dict[str, Any] = {"group": "0", "point": {"t": 1}, "variables": {}, "runs": 10, "status": "DONE", "counts": {"01": 10}}
    rest = {"duration_ns": 1, "sequence": "s", "batch_id": "b", "job_id": "j", "attempt": 1, "started_at": None, "ended_at": None}
    lines = [JobRecord(**{**base, **rest, "index": k, **change}).to_line() for k, change in enumerate(changes)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_equal_points_are_taken_in_order_and_numbers_to_twelve_digits(tmp_path: Path) -> None:
    several = [{"point": {"t": 0.1 + 0.2}, "counts": {"01": 10 + k}} for k in range(3)]
    again = [{"point": {"t": 0.3}, "counts": {"01": 10 + k}} for k in range(3)]
    found = compare(written(tmp_path / "a.jsonl", several), written(tmp_path / "b.jsonl", again), ({}, {}))
    assert (found.compared, found.missing) == (3, {})
    assert sorted(point.runs for point in found.points) == [(10, 10), (11, 11), (12, 12)]


def draws(rng: np.random.Generator, shares: Sequence[float], shots: int) -> dict[str, int]:
    return {f"{k:03b}": int(n) for k, n in enumerate(rng.multinomial(shots, shares)) if n}


def test_runs_of_the_same_physics_are_called_different_no_more_often_than_said(tmp_path: Path) -> None:
    """300 pairs of runs of 12 points, some of them with rare bitstrings, at a level of 5 %."""
    rng = np.random.default_rng(11)
    shares = rng.dirichlet([0.3] * 8, size=12)
    called = 0
    for _ in range(300):
        files = [
            written(
                tmp_path / f"{name}.jsonl", [{"point": {"k": k}, "counts": draws(rng, p, shots)} for k, p in enumerate(shares)]
            )
            for name, shots in (("a", 200), ("b", 500))
        ]
        called += compare(files[0], files[1], ({}, {}), level=0.05).differs
    assert called <= stats.binom.ppf(0.999, 300, 0.05)


def test_the_test_is_that_of_scipy_and_the_noise_that_of_many_draws() -> None:
    one, other = {"00": 40, "01": 60, "11": 30}, {"00": 55, "01": 45, "11": 50}
    found = two_samples.distance(one, other)
    expected = stats.chi2_contingency([list(one.values()), list(other.values())], correction=False)
    assert found.chi_square == pytest.approx(expected.statistic)
    assert found.degrees == expected.dof
    assert found.p_value == pytest.approx(expected.pvalue)
    rng = np.random.default_rng(5)
    shares = [0.4, 0.3, 0.15, 0.1, 0.05]
    pairs = [(draws(rng, shares, 300), draws(rng, shares, 700)) for _ in range(1500)]
    distances = [two_samples.distance(*pair) for pair in pairs]
    assert np.mean([one.variation for one in distances]) == pytest.approx(np.mean([one.noise for one in distances]), rel=0.05)


def test_rare_bitstrings_are_one_cell() -> None:
    one = Counter({"0000": 990, **{f"{k:04b}": 1 for k in range(1, 11)}})
    other = Counter({"0000": 980, **{f"{k:04b}": 2 for k in range(6, 16)}})
    assert two_samples.distance(one, other).degrees == 1
    assert two_samples.distance({"00": 100}, {"00": 50}).degrees == 0
    assert two_samples.distance({"00": 100}, {"00": 50}).p_value == 1.0


def test_probabilities_are_set_as_in_print() -> None:
    assert [p_text(p) for p in (1.0, 0.25, 3.4e-5, 6.5e-89, 0.0)] == ["1", "0.25", "3.4·10⁻⁵", "6.5·10⁻⁸⁹", "below 10⁻³⁰⁰"]


def test_z_and_holm() -> None:
    assert two_samples.proportion_z(10, 100, 10, 100) == 0.0
    assert two_samples.proportion_z(0, 100, 0, 100) == 0.0
    assert two_samples.proportion_z(40, 100, 60, 100) == pytest.approx(0.2 / (0.5 * 0.02**0.5))
    assert two_samples.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert two_samples.two_sided(1.959963985) == pytest.approx(0.05)
    assert two_samples.stouffer(4.0, 4) == 2.0
