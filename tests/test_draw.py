"""`pcs-run draw`: every spec as SVG, and drawings that say what the sequence does."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pulser
import pytest
from pulser import Pulse, Register, Register3D, Sequence
from pulser.waveforms import BlackmanWaveform, ConstantWaveform, CustomWaveform, RampWaveform

from pcs_runner.cli import main
from pcs_runner.results.charts.axes import Scale, round_ticks, tick_texts, value_text
from pcs_runner.results.charts.register import Atoms, draw_register, nearest_um
from pcs_runner.results.charts.sampled import Channel, Curve, Sampled, sampled
from pcs_runner.results.charts.sequence import draw_sequence
from pcs_runner.results.charts.sweep import collect

if TYPE_CHECKING:
    from collections.abc import Sequence as Several

ROOT = Path(__file__).resolve().parent.parent
SVG = "{http://www.w3.org/2000/svg}"


def written(path: Path) -> str:
    """All text of an SVG file, which is well-formed."""
    return " ".join(text for text in ET.parse(path).getroot().itertext() if text.strip())


@pytest.mark.parametrize("spec", sorted((ROOT / "specs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_spec_can_be_drawn(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "-q", str(spec), "-o", str(tmp_path)]) == 0
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(printed) == sorted(tmp_path.iterdir())
    kinds = [path.stem.rsplit("-", 1)[1] for path in printed]
    assert kinds.count("sequence") == kinds.count("register") > 0
    assert kinds.count("sweep") == 1
    assert all(written(path) for path in printed)


def test_a_point_in_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["draw", "-q", str(ROOT / "specs" / "afm-ramp.yaml"), "--point", "5", "-o", "one.svg"]) == 0
    assert capsys.readouterr().out == "one.svg\n"
    text = written(Path("one.svg"))
    assert "afm-ramp, job 5: t_rise = 252 ns, d_end = 27.83 rad/µs" in text
    assert "9 atoms, the nearest 6 µm apart" in text
    assert "job, in the order in which they run" in text


def test_files_lie_in_a_folder_of_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["draw", "-q", str(ROOT / "specs" / "rabi.yaml"), "--point", "0"]) == 0
    names = sorted(path.name for path in (tmp_path / "rabi-drawings").iterdir())
    assert names == ["rabi-point-0-register.svg", "rabi-point-0-sequence.svg", "rabi-sweep.svg"]


def test_pulsers_own_drawing(tmp_path: Path) -> None:
    spec = str(ROOT / "specs" / "rabi.yaml")
    drawn = []
    for name in ("a", "b"):
        assert main(["draw", "-q", spec, "--point", "9", "--pulser", "-o", str(tmp_path / name)]) == 0
        drawn.append((tmp_path / name / "rabi-point-9-sequence.svg").read_bytes())
    assert b"Basis: ground-rydberg" in drawn[0]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--point", "50"], "there is no job 50: the spec has 50 jobs, from 0"),
        (["--pulser", "-o", "a.svg"], "Pulser's drawing cannot be put into one picture with the others"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["draw", str(ROOT / "specs" / "rabi.yaml"), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_one_picture_takes_one_sequence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", str(ROOT / "specs" / "blockade.yaml"), "-o", str(tmp_path / "a.svg")]) == 2
    error = capsys.readouterr().err
    assert "a.svg takes one sequence, the spec has 13" in error
    assert "--point" in error


def sequence(*pulses: Pulse) -> Any:
    found = Sequence(Register({"q0": (0, 0)}), pulser.MockDevice)
    found.declare_channel("ising", "rydberg_global")
    for pulse in pulses:
        found.add(pulse, "ising")
    return found


def at(points: Several[tuple[float, float]], time: float) -> float:
    """The drawn curve between two corners; at a jump what comes after it."""
    for (a, low), (b, high) in reversed(list(pairwise(points))):
        if a <= time <= b and b > a:
            return low + (high - low) * (time - a) / (b - a)
    raise AssertionError(time)


WAVES = [
    ConstantWaveform(400, 5.0),
    RampWaveform(400, 0.0, 7.0),
    BlackmanWaveform(400, 3.0),
    CustomWaveform(np.repeat([1.0, 4.0, 0.0, 2.0], 100)),
    CustomWaveform(np.sin(np.arange(400) / 17) + 1.5),
]


@pytest.mark.parametrize("wave", WAVES, ids=lambda wave: type(wave).__name__)
def test_the_drawn_curve_is_the_sampled_one(wave: Any) -> None:
    built = sequence(Pulse.ConstantDetuning(wave, 0, 0), Pulse.ConstantPulse(100, 0, 0, 0))
    (curve, *_) = sampled(built).channels[0].curves
    samples = np.concatenate([np.asarray(wave.samples), np.zeros(100)])
    spread = samples.max() - samples.min()
    drawn = np.array([at(curve.points, time) for time in range(500)])
    assert np.abs(drawn - samples).max() < 0.03 * spread  # less than three pixels of 74
    assert len(curve.points) < 120


def test_channels_show_targets_eom_phase_and_detuning_maps() -> None:
    device = pulser.MockDevice
    found = Sequence(Register({"a": (0, 0), "b": (8, 0)}), device)
    found.declare_channel("ising", "rydberg_global")
    found.declare_channel("raman", "raman_local", initial_target="a")
    found.config_detuning_map(found.register.define_detuning_map({"a": 1.0}), "dmm_0")
    found.add(Pulse.ConstantPulse(100, 2, -1, 0.5), "ising")
    found.add(Pulse.ConstantPulse(100, 3, 0, 0), "raman")
    found.target("b", "raman")
    found.add(Pulse.ConstantPulse(100, 3, 0, 0), "raman")
    found.add_dmm_detuning(ConstantWaveform(100, -4.0), "dmm_0")
    ising, raman, dmm = sampled(found).channels
    assert [curve.name for curve in ising.curves] == ["amplitude", "detuning", "phase"]
    assert [names for _, names in raman.targets] == ["a", "b"]
    assert [curve.name for curve in dmm.curves] == ["detuning"]
    picture = draw_sequence(sampled(found), title="all")
    assert "detuning of dmm_0 from -4 to 0 rad/µs" in picture.description
    ET.fromstring(picture.file())


def test_eom_mode_is_marked() -> None:
    found = Sequence(Register({"q0": (0, 0)}), pulser.AnalogDevice)
    found.declare_channel("ising", "rydberg_global")
    found.enable_eom_mode("ising", amp_on=6.0, detuning_on=0.0)
    found.add_eom_pulse("ising", duration=200, phase=0.0)
    found.disable_eom_mode("ising")
    found.add(Pulse.ConstantPulse(200, 2, 0, 0), "ising")
    shown = sampled(found)
    ((start, stop),) = shown.channels[0].eom
    assert 0 <= start < stop < shown.duration_ns
    assert ">shaded: EOM mode<" in draw_sequence(shown, title="eom").file()


def test_targets_that_come_close_stand_in_rows() -> None:
    """None of three is left out, and the second is lower than the first."""
    targets = [(0.0, "control"), (60.0, "target"), (120.0, "control")]
    curve = Curve(name="amplitude", unit="rad/µs", points=[(0.0, 0.0), (1000.0, 5.0)])
    shown = Sampled(duration_ns=1000, channels=[Channel(name="ryd", kind="Local", curves=[curve], targets=targets)])
    drawn = draw_sequence(shown, title="cz").file()
    places = [float(y) for y in re.findall(r'y="([0-9.]+)" class="small">(?:control|target)<', drawn)]
    assert len(places) == 3
    assert places[0] < places[1]


def test_a_register_is_to_scale() -> None:
    atoms = Atoms.of(
        {
            "register": [{"name": "a", "x": 0, "y": 0}, {"name": "b", "x": 10, "y": 0}, {"name": "<c>", "x": 0, "y": 5}],
            "layout": {"coordinates": [[5, 5]]},
            "slm_mask_targets": ["b"],
        }
    )
    assert nearest_um(atoms) == 5
    root = ET.fromstring(draw_register(atoms, title="r", bond_um=6).file())
    a, b, c = (
        (float(circle.get("cx", "")), float(circle.get("cy", "")))
        for circle in root.iter(f"{SVG}circle")
        if circle.get("class") == "atom f0"
    )
    assert b[0] - a[0] == pytest.approx(2 * (a[1] - c[1]), abs=0.1)  # up is up, 10 µm are twice 5 µm
    assert len([path for path in root.iter(f"{SVG}path") if path.get("class") == "bond"]) == 1
    assert len([ring for ring in root.iter(f"{SVG}circle") if ring.get("stroke-dasharray")]) == 1


def test_three_dimensions_and_no_places() -> None:
    cube = Register3D.cubic(2, 6, prefix="q")
    atoms = Atoms(places={name: tuple(place.as_array()) for name, place in cube.qubits.items()}, names=tuple(cube.qubits))
    spots = re.findall(r'<circle cx="([^"]+)" cy="([^"]+)"', draw_register(atoms, title="cube").file())
    assert len(set(spots)) == 8
    mappable = Atoms.of({"register": [{"qid": "a"}, {"qid": "b"}], "layout": {"coordinates": [[0, 0], [6, 0]]}})
    assert "2 atoms; each job binds them to traps" in draw_register(mappable, title="m").file()


def test_values_on_the_register_are_colours() -> None:
    atoms = Atoms(places={"a": (0.0, 0.0), "b": (6.0, 0.0)}, names=("a", "b"))
    picture = draw_register(atoms, title="r", values={"a": 0.0, "b": 1.0}, value_label="occupation").file()
    assert '#440154"/>' in picture
    assert '#fde725"/>' in picture
    assert ">1.00<" in picture


def test_a_sweep_shows_what_varies() -> None:
    jobs = [(n, "first" if n < 6 else "second", {"t": n, "same": 1, "v": [n, -n], "w": "ab"[n % 2]}) for n in range(12)]
    strips, groups = collect(jobs, 12, {"t": "ns"})
    assert [strip.name for strip in strips] == ["t", "v[0]", "v[1]", "w"]
    assert strips[0].unit == "ns"
    assert groups == [("first", 0), ("second", 6)]


def test_a_long_sweep_is_thinned() -> None:
    strips, _ = collect(((n, "0", {"t": n}) for n in range(100_000)), 100_000, {})
    assert len(strips[0].values) == 1000


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.5, 1]), (-4, 4, [-4, -2, 0, 2, 4]), (252, 500, [300, 350, 400, 450, 500]), (3, 3, [3])],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    about = 2 if low == 0 else 4
    assert round_ticks(low, high, about) == pytest.approx(ticks)


def test_ticks_have_equal_decimals_and_a_minus() -> None:
    assert tick_texts([-0.5, 0.0, 0.5]) == ["−0.5", "0.0", "0.5"]
    assert tick_texts([-100.0, 0.0, 100.0]) == ["−100", "0", "100"]
    assert tick_texts([0.05 * k for k in range(3)]) == ["0.00", "0.05", "0.10"]
    assert tick_texts([1, 2, 5, 10]) == ["1", "2", "5", "10"]
    assert tick_texts([2e6, 4e6]) == ["2e6", "4e6"]
    assert tick_texts([]) == []
    assert Scale(low=0, high=1, start=0, stop=1, whole=True).ticks(5) == [0, 1]


def test_logarithmic_ticks_and_places() -> None:
    scale = Scale(low=1, high=1000, start=0, stop=300, log=True)
    assert scale(10) == pytest.approx(100)
    assert scale.ticks(4) == pytest.approx([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000])


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (0.1 + 0.2, "0.3"), (1e-7, "1e-7"), (12345678, "1.235e7"), ([1, 2.5], "[1, 2.5]"), ("a" * 30, "a" * 23 + "…")],
)
def test_values_are_short(value: object, text: str) -> None:
    assert value_text(value) == text
