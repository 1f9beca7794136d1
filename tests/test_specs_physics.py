"""Every spec in `specs/` runs by the real command, and its results show the physics that its comment promises.

Shots are drawn from the specs' seeds, so nothing here is random; tolerances are five standard deviations of the shot noise
where no other is named, for the day the draws change.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from filelock import FileLock
from scipy.optimize import curve_fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
SPECS = {path.stem: path for path in sorted((ROOT / "specs").glob("*.yaml"))}
FILES = ("spec.yaml", "manifest.json", "journal.db", "results.jsonl", "results.csv", "counts.csv", "run.log")
SIGMAS = 5
ENGINE_SHOTS = 20_000
OTHER_BASES = {"file-sequence"}
"""Specs that only QuTiP takes."""


@dataclass(frozen=True, slots=True)
class Finished:
    """One run of a spec.

    Attributes:
        folder: Its run folder.
        returncode: Exit code of the command.
        stdout: What it printed.
        stderr: What it told people.
        records: Lines of `results.jsonl`, in order.
    """

    folder: Path
    returncode: int
    stdout: str
    stderr: str
    records: tuple[dict[str, Any], ...]

    def group(self, name: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["group"] == name]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Finished]:
    """Runs a spec when it is first asked for: once per session, also when pytest-xdist splits it over processes."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def run(name: str) -> Finished:
        folder, said = shared / f"spec-{name}", shared / f"spec-{name}.json"
        with FileLock(f"{said}.lock"):
            if not said.exists():
                command = [sys.executable, "-m", "pcs_runner", "run", str(SPECS[name]), "-o", str(folder)]
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
                said.write_text(json.dumps([done.returncode, done.stdout, done.stderr]), encoding="utf-8")
        returncode, stdout, stderr = json.loads(said.read_text(encoding="utf-8"))
        assert returncode == 0, stderr
        lines = (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
        return Finished(folder, returncode, stdout, stderr, tuple(json.loads(line) for line in lines))

    return run


def probability(record: Mapping[str, Any], *strings: str) -> float:
    """Share of the shots that gave one of the strings."""
    return float(sum(record["counts"].get(one, 0) for one in strings) / record["runs"])


def occupation(record: Mapping[str, Any], atom: int) -> float:
    """Share of the shots in which an atom read 1."""
    return float(sum(count for bits, count in record["counts"].items() if bits[atom] == "1") / record["runs"])


def with_ones(atoms: int, ones: Iterable[int]) -> list[str]:
    """The strings of so many atoms whose number of ones is among `ones`."""
    strings = ("".join(bits) for bits in itertools.product("01", repeat=atoms))
    return [bits for bits in strings if bits.count("1") in set(ones)]


def shot_noise(p: float, runs: int) -> float:
    """Standard deviation of a measured probability; that of one count where the probability is 0 or 1."""
    return math.sqrt(max(p * (1 - p), 1 / runs) / runs)


def assert_counts(record: Mapping[str, Any], expected: Mapping[str, float]) -> None:
    """Counts agree with probabilities within shot noise (and two counts, for strings that are expected less than once)."""
    runs = record["runs"]
    strings = {*record["counts"], *expected}
    off = {bits: record["counts"].get(bits, 0) - runs * expected.get(bits, 0.0) for bits in strings}
    spread = {bits: math.sqrt(runs * (p := expected.get(bits, 0.0)) * (1 - p)) for bits in strings}
    assert {bits: off[bits] for bits in strings if abs(off[bits]) > SIGMAS * spread[bits] + 2} == {}, record["point"]


def fitted(model: Callable[..., Any], x: ArrayLike, y: ArrayLike, start: Sequence[float]) -> NDArray[np.float64]:
    """Parameters of a least-squares fit."""
    parameters: NDArray[np.float64] = curve_fit(model, np.asarray(x, dtype=float), np.asarray(y, dtype=float), p0=start)[0]
    return parameters


def rabi(t_us: NDArray[np.float64], omega: float, height: float) -> NDArray[np.float64]:
    """Resonant oscillation: height * sin²(omega*t/2)."""
    return height * np.sin(omega * t_us / 2) ** 2


def times_us(records: Sequence[Mapping[str, Any]]) -> list[float]:
    return [record["point"]["t"] / 1000 for record in records]


def simulated(sequence: Any) -> dict[str, float]:
    """Probability of every bitstring, by Pulser alone."""
    from pulser_simulation import QutipBackendV2

    state: Any = QutipBackendV2(sequence).run().final_state
    return {bits: float(p) for bits, p in state.bitstring_probabilities().items()}


# --- every spec


def test_there_are_specs() -> None:
    assert {"rabi", "blockade", "afm-ramp", "detuning-scan", "random-starts", "interpolated", "file-sequence"} <= set(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_spec_runs_to_the_end(name: str, finished: Callable[[str], Finished]) -> None:
    """Exit code 0, the folder's path on stdout, every file there, and as many records as the plan has jobs, all done."""
    from pcs_runner import plan

    run = finished(name)
    assert run.stdout.splitlines()[-1] == str(run.folder)
    assert [file for file in FILES if not (run.folder / file).is_file()] == []
    assert (run.folder / "spec.yaml").read_bytes() == SPECS[name].read_bytes()
    jobs = list(plan(SPECS[name], check=False).jobs())
    assert [(r["index"], r["status"], r["errors"]) for r in run.records] == [(job.index, "DONE", []) for job in jobs]
    assert [r["runs"] for r in run.records] == [job.runs for job in jobs] == [sum(r["counts"].values()) for r in run.records]
    assert {f"{r['sequence']}.json" for r in run.records} == {path.name for path in (run.folder / "sequences").iterdir()}


@pytest.mark.parametrize("name", SPECS)
def test_engine_auto_gives_the_physics_of_qutip(name: str) -> None:
    """A few points of each spec with 20,000 shots by either engine: no bitstring's share differs by more than shot noise."""
    from pcs_runner import plan
    from pcs_runner.emulator.engines import EngineJob, EngineSettings, catalogue

    made = plan(SPECS[name], check=False)
    settings = EngineSettings(config=made.backend_configuration, accuracy=made.target.accuracy)
    jobs = list(made.jobs())
    for job in jobs[:: -(-len(jobs) // 3)]:
        sequence = made.sequence(job.sequence)
        taken = {"qutip", catalogue.choose("auto", sequence, settings).engine}
        assert taken == {"qutip", "batched"} or name in OTHER_BASES
        shares = []
        for engine in sorted(taken):
            task = EngineJob(position=0, variables=job.variables, runs=ENGINE_SHOTS, entropy=(job.index, len(engine)))
            (result,) = catalogue.load(engine).run(sequence, [task], settings)
            assert result.error is None
            shares.append({bits: count / ENGINE_SHOTS for bits, count in Counter(result.raw).items()})
        for bits in set().union(*shares):
            one, other = (share.get(bits, 0.0) for share in (shares[0], shares[-1]))
            spread = math.sqrt(2) * shot_noise((one + other) / 2, ENGINE_SHOTS)
            assert abs(one - other) < SIGMAS * spread, (job.point, bits)


# --- one atom


def test_rabi_frequency(finished: Callable[[str], Finished]) -> None:
    records = finished("rabi").records
    omega, height = fitted(rabi, times_us(records), [occupation(r, 0) for r in records], [6.0, 1.0])
    assert omega == pytest.approx(2 * math.pi, rel=0.02)
    assert height == pytest.approx(1, abs=0.03)


def test_detuning_scan_line(finished: Callable[[str], Finished]) -> None:
    """Both lines stand at resonance and are as wide as their Rabi frequency says: half the frequency, half the width."""
    records = finished("detuning-scan").records
    widths = []
    for omega, t_us in ((math.pi, 1.0), (math.pi / 2, 2.0)):
        line = [r for r in records if r["point"]["omega"] == pytest.approx(omega)]
        assert len(line) == 25
        assert {r["duration_ns"] for r in line} == {1000 * t_us}

        def spectrum(delta: NDArray[np.float64], centre: float, width: float, t_us: float = t_us) -> NDArray[np.float64]:
            w = np.sqrt(width**2 + (delta - centre) ** 2)
            return np.asarray(width**2 / w**2 * np.sin(w * t_us / 2) ** 2)

        deltas, excited = [r["point"]["delta"] for r in line], [occupation(r, 0) for r in line]
        centre, width = fitted(spectrum, deltas, excited, [0.3, 0.8 * omega])
        assert centre == pytest.approx(0, abs=0.03 * omega)
        assert width == pytest.approx(omega, rel=0.03)
        assert max(excited) == excited[12] >= 0.99
        widths.append(_half_width(deltas, excited))
    assert widths[0] == pytest.approx(1.6 * math.pi, rel=0.08)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.1)


def _half_width(x: Sequence[float], y: Sequence[float]) -> float:
    """Distance between the two places where a line crosses one half, interpolated."""
    up = next(i for i, value in enumerate(y) if value >= 0.5)
    down = len(y) - 1 - next(i for i, value in enumerate(reversed(y)) if value >= 0.5)
    left = np.interp(0.5, [y[up - 1], y[up]], [x[up - 1], x[up]])
    right = np.interp(0.5, [y[down + 1], y[down]], [x[down + 1], x[down]])
    return float(right - left)


def test_ramsey_fringes(finished: Callable[[str], Finished]) -> None:
    """Full contrast, and a phase that grows by delta*wait."""
    records = finished("file-sequence").records
    for wait in (500, 2000):
        fringe = [r for r in records if r["point"]["wait"] == wait]
        phases = [r["point"]["phase"] for r in fringe]
        assert phases == pytest.approx([2 * math.pi * k / 16 for k in range(16)])
        height, c, s = fitted(
            lambda p, a, b, d: a + b * np.cos(p) + d * np.sin(p), phases, [occupation(r, 0) for r in fringe], [1] * 3
        )
        noise = 0.5 / math.sqrt(400 * 16)
        assert height == pytest.approx(0.5, abs=SIGMAS * noise)
        assert 2 * math.hypot(c, s) == pytest.approx(1, abs=SIGMAS * noise * 2 * math.sqrt(2))
        assert math.atan2(s, c) == pytest.approx(1.0 * wait / 1000, abs=SIGMAS * noise * 2 * math.sqrt(2))


def test_ramsey_file_is_what_pulser_writes() -> None:
    """The program in the spec's comment gives the file, whatever version of Pulser wrote it."""
    text = SPECS["file-sequence"].read_text(encoding="utf-8")
    program = "\n".join(line.removeprefix("#   ") for line in text.splitlines() if line.startswith("#   "))
    names: dict[str, Any] = {"np": np}
    exec("from pulser import *\nfrom pulser.devices import MockDevice\n" + program, names)
    written = json.loads(names["seq"].to_abstract_repr())
    kept = json.loads((ROOT / "specs/sequences/ramsey.json").read_text(encoding="utf-8"))
    parts = ("register", "channels", "variables", "operations", "measurement")
    assert {part: kept[part] for part in parts} == {part: written[part] for part in parts}
    assert kept["device"]["name"] == "MockDevice"


def test_drift_references_and_passes(finished: Callable[[str], Finished]) -> None:
    """References read 1; every point of every pass lies on sin²(area/2); runs follow their expressions."""
    run = finished("drift")
    references = [*run.group("before"), *run.group("after"), *(r for r in run.group("interleaved") if r["point"]["scan"] == 0)]
    assert [probability(r, "1") for r in references] == [1.0] * (1 + 1 + 12)
    for record in run.records:
        expected = math.sin(record["point"]["area"] / 2) ** 2
        assert probability(record, "1") == pytest.approx(expected, abs=SIGMAS * shot_noise(expected, record["runs"]))
    assert [r["runs"] for r in run.group("interleaved")] == [100, 300] * 12
    shuffled = run.group("shuffled")
    assert [r["runs"] for r in shuffled] == [round(100 + 300 * math.sin(r["point"]["area"]) ** 2) for r in shuffled]


def test_drift_order(finished: Callable[[str], Finished]) -> None:
    """Groups in order; passes of a shuffled group in orders of their own, with the index of the unshuffled point."""
    run = finished("drift")
    sizes = [(name, len(list(group))) for name, group in itertools.groupby(r["group"] for r in run.records)]
    assert sizes == [("before", 1), ("interleaved", 24), ("shuffled", 24), ("after", 1)]
    passes = [[r["point"]["area"] for r in run.group("shuffled") if r["repetition"] == k] for k in range(3)]
    assert [sorted(one) for one in passes] == [pytest.approx([k * math.pi / 4 for k in range(1, 9)])] * 3
    assert len({tuple(one) for one in [*passes, sorted(passes[0])]}) == 4
    assert all(r["point"]["area"] == pytest.approx((r["point_index"] + 1) * math.pi / 4) for r in run.group("shuffled"))


# --- two and three atoms


def test_blockade_against_distance(finished: Callable[[str], Finished]) -> None:
    """P(11) goes from 0 to 1 around the radius at which the interaction equals omega."""
    records = finished("blockade").group("distance")
    distances = [r["point"]["spacing"] for r in records]
    both = [probability(r, "11") for r in records]
    assert distances == pytest.approx(range(5, 17))
    assert len({r["sequence"] for r in records}) == 12
    assert max(both[:2]) < 0.03
    assert min(both[7:]) > 0.97
    assert all(b > a - SIGMAS * 0.01 for a, b in itertools.pairwise(both))
    radius = (865723.02 / math.pi) ** (1 / 6)  # AnalogDevice's interaction coefficient, rad/µs·µm⁶, at omega = pi rad/µs
    assert np.interp(0.5, both, distances) == pytest.approx(radius, rel=0.05)


def test_blockaded_pair_is_faster_by_root_two(finished: Callable[[str], Finished]) -> None:
    records = finished("blockade").group("time")
    near = [r for r in records if r["point"]["spacing"] == 5]
    far = [r for r in records if r["point"]["spacing"] == 30]
    assert (len(near), len(far)) == (24, 24)
    alone, _ = fitted(rabi, times_us(far), [(occupation(r, 0) + occupation(r, 1)) / 2 for r in far], [3.0, 1.0])
    pair, height = fitted(rabi, times_us(near), [probability(r, "01", "10") for r in near], [4.0, 1.0])
    assert alone == pytest.approx(math.pi, rel=0.02)
    assert pair / alone == pytest.approx(math.sqrt(2), rel=0.03)
    assert height > 0.97
    assert sum(r["counts"].get("11", 0) for r in near) / sum(r["runs"] for r in near) < 0.005


def test_random_starts_agree_with_pulser(finished: Callable[[str], Finished]) -> None:
    """Each draw lies in its range, and its counts are those of the same sequence written in Python."""
    records = finished("random-starts").records
    assert len(records) == 24
    for record in records:
        point = record["point"]
        assert 2 <= point["omega"] < 8
        assert 25 <= point["ticks"] < 126
        assert all(-10 <= value < 10 for value in point["delta"])
        assert record["duration_ns"] >= 8 * point["ticks"]
        assert_counts(record, simulated(_two_layers(**point)))


def _two_layers(*, omega: float, delta: list[float], phase: float, ticks: int) -> Any:
    from pulser import Pulse, Register, Sequence
    from pulser.devices import AnalogDevice

    chain = Register.from_coordinates([(0, 0), (5, 0), (10, 0)], prefix="q").with_automatic_layout(AnalogDevice)
    sequence = Sequence(chain, AnalogDevice)
    sequence.declare_channel("ising", "rydberg_global")
    sequence.add(Pulse.ConstantPulse(4 * ticks, omega, delta[0], 0), "ising")
    sequence.add(Pulse.ConstantPulse(4 * ticks, omega, delta[1], phase), "ising")
    return sequence


def test_random_starts_physics(finished: Callable[[str], Finished]) -> None:
    """Blockaded strings are rare, the chain's ends are alike, and starts differ in how well they find 101."""
    records = finished("random-starts").records
    for record in records:
        assert probability(record, "011", "110", "111") < 0.15
        ends = occupation(record, 0) - occupation(record, 2)
        assert abs(ends) < SIGMAS * math.sqrt(2 * 0.25 / record["runs"])
    found = sorted(probability(r, "101") for r in records)
    assert found[0] < 0.05
    assert found[-1] > 0.45


def test_pulse_table_agrees_with_pulser(finished: Callable[[str], Finished]) -> None:
    """Points are the file's rows in order, and counts those of the same sequence written in Python."""
    records = finished("pulse-table").records
    with (ROOT / "specs/points/pulses.csv").open(encoding="utf-8", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert [r["point"] for r in records] == rows
    for record in records:
        assert_counts(record, simulated(_triangle(**record["point"])))


def _triangle(*, omega: float, delta: float, t: int) -> Any:
    from pulser import Pulse, Register, Sequence
    from pulser.devices import AnalogDevice

    atoms = Register.from_coordinates([(0, 0), (5.2, 0), (2.6, 5.2 * math.sqrt(0.75))], prefix="q")
    sequence = Sequence(atoms.with_automatic_layout(AnalogDevice), AnalogDevice)
    sequence.declare_channel("ising", "rydberg_global")
    sequence.add(Pulse.ConstantPulse(t, omega, delta, 0), "ising")
    return sequence


def test_pulse_table_is_collective(finished: Callable[[str], Finished]) -> None:
    """Three atoms share one excitation, with sqrt(3)*omega; each of them has it equally often."""
    records = finished("pulse-table").records
    for record in records:
        omega, delta, t_us = record["point"]["omega"], record["point"]["delta"], record["point"]["t"] / 1000
        w = math.sqrt(3 * omega**2 + delta**2)
        expected = 3 * omega**2 / w**2 * math.sin(w * t_us / 2) ** 2
        # light shifts move the line by up to omega²/U
        slack = 0.05 + SIGMAS * shot_noise(expected, record["runs"])
        assert probability(record, *with_ones(3, [1])) == pytest.approx(expected, abs=slack)
        assert probability(record, *with_ones(3, [2, 3])) < 0.03
    single = [sum(r["counts"].get(bits, 0) for r in records) for bits in ("100", "010", "001")]
    assert single == pytest.approx([sum(single) / 3] * 3, abs=SIGMAS * math.sqrt(sum(single) * 2 / 9))


# --- chains and arrays


def test_interpolated_sweep_ends_in_z2(finished: Callable[[str], Finished]) -> None:
    """The slower the sweep, the purer 10101; there and back ends where it began."""
    records = finished("interpolated").records
    shapes = [list(group) for _, group in itertools.groupby(records, key=lambda r: tuple(r["point"]["shape"]))]
    assert [[r["point"]["t"] for r in shape] for shape in shapes] == [[500, 1000, 2000, 4000]] * 3
    even, slow, back = (
        [probability(r, bits) for r in shape] for shape, bits in zip(shapes, ("10101", "10101", "00000"), strict=True)
    )
    assert even == sorted(even)
    assert back == sorted(back)
    assert min(even[3], slow[3], back[3]) > 0.95
    assert max(even[0], slow[0], back[0]) < 0.45
    for record in records:
        assert_counts(record, simulated(_sweep(**record["point"])))


def _sweep(*, shape: list[float], t: int) -> Any:
    from pulser import InterpolatedWaveform, Pulse, Register, Sequence
    from pulser.devices import AnalogDevice

    chain = Register.from_coordinates([(6 * k, 0) for k in range(5)], prefix="q").with_automatic_layout(AnalogDevice)
    sequence = Sequence(chain, AnalogDevice)
    sequence.declare_channel("ising", "rydberg_global")
    amplitude = InterpolatedWaveform(t, [0, 2 * math.pi, 2 * math.pi, 0])
    sequence.add(Pulse(amplitude, InterpolatedWaveform(t, shape), 0), "ising")
    return sequence


def test_afm_order(finished: Callable[[str], Finished]) -> None:
    """Neighbours anticorrelate everywhere; the checkerboard leads at U; the time of rise makes no difference."""
    records = finished("afm-ramp").records
    checkerboard = {t: [probability(r, "101010101") for r in records if r["point"]["t_rise"] == t] for t in (252, 500)}
    assert [len(one) for one in checkerboard.values()] == [11, 11]
    assert max(_neighbour_correlation(r) for r in records) < -0.01
    assert max(_neighbour_correlation(r) for r in (records[0], records[11])) < -0.1
    for first in (records[0], records[11]):
        assert max(first["counts"], key=first["counts"].__getitem__) == "101010101"
        assert probability(first, "101010101") == pytest.approx(0.41, abs=SIGMAS * shot_noise(0.41, 500))
    for middle in (records[5], records[16]):
        assert probability(middle, "101000101", "101010101") > 0.6
    noise = SIGMAS * math.sqrt(2) * shot_noise(0.4, 500)
    assert checkerboard[252] == pytest.approx(checkerboard[500], abs=noise)


def _neighbour_correlation(record: Mapping[str, Any]) -> float:
    """Mean of <n_i n_j> - <n_i><n_j> over the twelve pairs of neighbours on a 3x3 square."""
    shots = np.array([[int(bit) for bit in bits] for bits, count in record["counts"].items() for _ in range(count)])
    pairs = [(i, i + 1) for i in range(9) if i % 3 < 2] + [(i, i + 3) for i in range(6)]
    covariance = np.cov(shots.T, bias=True)
    return float(np.mean([covariance[pair] for pair in pairs]))
