"""Points that are not built have the verdict that Pulser gives when it builds each: accepted or refused, why, how long."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pulser
import pytest
from pulser.channels import DMM, Rydberg
from pulser.devices import MockDevice
from pulser.waveforms import (
    BlackmanWaveform,
    CompositeWaveform,
    ConstantWaveform,
    InterpolatedWaveform,
    KaiserWaveform,
    RampWaveform,
)

from pcs_runner.errors import SpecError
from pcs_runner.plan.check import LOOKED_AT_ONCE
from pcs_runner.sequence.build import build, load_sequence
from pcs_runner.sequence.extremes import ALONE, Extremes
from spec_text import planned, spec_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MAX_AMP, MAX_DET = 10.0, 20.0
SEEDS = 40
POINTS = 60


class Draw:
    """A random parametrised sequence on a device with limits, and points of which some go beyond these."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.channels = 1 + int(self.random.integers(2))
        self.device = self.some_device()
        places = {"a": (0, 0), "b": (8, 0), "c": (0, 8)}
        self.sequence = pulser.Sequence(pulser.Register(places), self.device)
        self.declare()

    def chance(self, of: float) -> bool:
        return bool(self.random.random() < of)

    def some_device(self) -> Any:
        channel = Rydberg.Global(
            MAX_DET,
            MAX_AMP,
            clock_period=4 if self.chance(0.5) else 1,
            min_duration=16,
            max_duration=2000,
            min_avg_amp=0.5 if self.chance(0.3) else 0,
            mod_bandwidth=8 if self.chance(0.3) else None,
            custom_phase_jump_time=100 if self.chance(0.2) else None,
        )
        local = Rydberg.Local(MAX_DET, MAX_AMP, min_duration=16, max_duration=2000, min_retarget_interval=100, max_targets=1)
        dmm = DMM(bottom_detuning=-15.0, total_bottom_detuning=-40.0, min_avg_abs_detuning=1.0 if self.chance(0.3) else 0)
        return replace(
            MockDevice,
            name="Limited",
            channel_objects=(channel, local),
            channel_ids=("global", "local"),
            dmm_objects=(dmm,),
            max_sequence_duration=4000 if self.chance(0.5) else None,
        )

    def declare(self) -> None:
        self.sequence.declare_channel("g", "global")
        if self.channels == 2:
            self.sequence.declare_channel("l", "local", initial_target="a")
        self.floats: dict[str, Any] = {name: self.sequence.declare_variable(name) for name in ("x", "y", "z")}
        self.lengths = {name: self.sequence.declare_variable(name, dtype=int) for name in ("t", "u")}
        self.pair = self.sequence.declare_variable("p", size=2)

    def number(self, scale: float) -> Any:
        """A literal, a variable, or arithmetic of variables."""
        x = self.floats[str(self.random.choice(list(self.floats)))]
        kinds: list[Any] = [
            scale * float(self.random.random()),
            0.0,
            x * scale,
            x * scale,
            2 * x * scale - scale,
            scale * self.pair[int(self.random.integers(2))],
            scale * x**2,
            scale * np.sin(x),
            scale - scale * x / 2,
        ]
        return kinds[int(self.random.integers(len(kinds)))]

    def length(self) -> Any:
        t = self.lengths[str(self.random.choice(list(self.lengths)))]
        return [100, t, t, 2 * t][int(self.random.integers(4))]

    def waveform(self, duration: Any, scale: float, kinds: int = 9) -> Any:
        kind = int(self.random.integers(kinds))
        if kind == 0 or kind >= 5:
            return ConstantWaveform(duration, self.number(scale))
        if kind == 1:
            return RampWaveform(duration, self.number(scale), self.number(scale))
        if kind == 2:
            return BlackmanWaveform(duration, self.number(scale) * 0.04)
        if kind == 3:
            return KaiserWaveform(duration, self.number(scale) * 0.04)
        values = [0.0, scale / 2, 0.0] + self.floats["x"] * [0.0, scale, 0.0]
        return InterpolatedWaveform(duration, values, times=[0.0, 0.5, 1.0])

    def composite(self, scale: float) -> Any:
        parts = [self.waveform(length, scale, 2) for length in (40, self.length())]
        return CompositeWaveform(*parts)

    def add_pulse(self) -> None:
        channel = "l" if self.channels == 2 and self.chance(0.5) else "g"
        phase = [0.0, 1.0, self.floats["z"], self.number(2.0)][int(self.random.integers(4))]
        shift = self.number(1.0) if self.chance(0.1) else 0.0
        if self.chance(0.15):
            amplitude = self.composite(MAX_AMP)
            pulse = pulser.Pulse.ConstantDetuning(amplitude, self.number(2 * MAX_DET), phase, shift)
        elif self.chance(0.15):
            pulse = pulser.Pulse.ConstantAmplitude(self.number(MAX_AMP), self.composite(MAX_DET), phase, shift)
        elif self.chance(0.1):
            duration = self.length()
            pulse = pulser.Pulse.ArbitraryPhase(self.waveform(duration, MAX_AMP), RampWaveform(duration, 0.0, self.number(1.0)))
        else:
            duration = self.length()
            pulse = pulser.Pulse(self.waveform(duration, MAX_AMP), self.waveform(duration, MAX_DET), phase, shift)
        protocol: Any = str(self.random.choice(["min-delay", "no-delay", "wait-for-all"]))
        self.sequence.add(pulse, channel, protocol=protocol)

    def finish(self) -> str:
        if self.chance(0.3):
            weights = self.sequence.register.define_detuning_map({"a": 1.0, "b": 0.5})
            self.sequence.config_detuning_map(weights, "dmm_0")
            self.sequence.add_dmm_detuning(self.waveform(self.length(), -16.0, 3), "dmm_0")
        for _ in range(int(self.random.integers(1, 5))):
            self.add_pulse()
            if self.chance(0.3):
                self.sequence.delay(self.length(), "g", at_rest=self.chance(0.3))
            if self.channels == 2 and self.chance(0.2):
                self.sequence.target(str(self.random.choice(["a", "b"])), "l")
            if self.channels == 2 and self.chance(0.2):
                self.sequence.align("g", "l", at_rest=self.chance(0.5))
            if self.chance(0.1):
                self.sequence.phase_shift(self.number(1.0), "a", basis="ground-rydberg")
        if self.chance(0.1):
            self.sequence.truncate(self.lengths["t"] + 200)
        if self.chance(0.8):
            self.sequence.measure("ground-rydberg")
        return str(self.sequence.to_abstract_repr())

    def points(self) -> list[dict[str, Any]]:
        """Values inside, on and beyond the limits; some several times; durations on and off the clock, some too short."""
        beyond = float(self.random.choice([1.0, 1.0, 1.3]))
        values = np.concatenate([self.random.uniform(-0.1 * self.chance(0.2), beyond, 12), [0.0, 1.0, 1.0, 0.5]])
        lengths = [100] if self.chance(0.6) else [100, 200] if self.chance(0.5) else [8, 16, 100, 102, 1000, 1001, 2004]
        return [
            {name: float(self.random.choice(values)) for name in self.sequence.declared_variables if name in "xyz"}
            | {name: int(self.random.choice(lengths)) for name in "tu"}
            | {"p": [float(value) for value in self.random.choice(values, 2)]}
            for _ in range(POINTS)
        ]


def drawn(seed: int) -> tuple[str, list[dict[str, Any]]]:
    """A sequence in abstract representation, with points; Pulser may refuse a pulse without variables, then another is drawn."""
    for attempt in range(20):
        draw = Draw(seed + 10_000 * attempt)
        try:
            return draw.finish(), draw.points()
        except (ValueError, TypeError, RuntimeError):
            continue
    raise AssertionError("no sequence")


def verdict(sequence: Any, variables: Mapping[str, Any]) -> tuple[Any, ...]:
    """Pulser's: the duration and what it warns of, or why it refuses."""
    try:
        built, said = build(sequence, variables)
    except Exception as error:  # noqa: BLE001 - whatever Pulser refuses with
        return "refused", type(error), re.sub(r"-?\d[\d.e-]*", "#", str(error))
    return "built", built.get_duration(), tuple(said)


def assert_alike(text: str, points: list[dict[str, Any]]) -> int:
    """Assert that points which share an outcome have one verdict; how many points need not be built."""
    extremes, sequence = Extremes(text, {}), load_sequence(text)
    alike: dict[Any, tuple[Any, ...]] = {}
    saved = 0
    middle = len(points) // 2
    for half in (points[:middle], points[middle:]):
        settled = extremes.settle(half)
        for place, variables in enumerate(half):
            leader, of_class = settled.leaders[place], settled.classes[place]
            key: Any = (id(half), leader) if of_class is None else id(of_class)
            if of_class is None and leader == ALONE:
                continue
            assert leader <= place
            own = verdict(sequence, variables)
            saved += key in alike
            assert own == alike.setdefault(key, own)
    return saved


@pytest.mark.parametrize("seed", range(SEEDS))
def test_points_that_share_an_outcome_have_the_same_verdict(seed: int) -> None:
    assert_alike(*drawn(seed))


def one_channel(**options: Any) -> Any:
    """A sequence with the variables `x` and `y` on a global channel `g` with limits."""
    channel = Rydberg.Global(MAX_DET, MAX_AMP, **options)
    dmm = DMM(bottom_detuning=-15.0, total_bottom_detuning=-40.0, min_avg_abs_detuning=5.0)
    device = replace(MockDevice, name="Limited", channel_objects=(channel,), channel_ids=("global",), dmm_objects=(dmm,))
    sequence = pulser.Sequence(pulser.Register({"a": (0, 0), "b": (8, 0)}), device)
    sequence.declare_channel("g", "global")
    return sequence, sequence.declare_variable("x"), sequence.declare_variable("y")


def after_a_phase_jump() -> str:
    """With a modulation bandwidth the second pulse waits until the first has fallen, the longer the stronger that was."""
    sequence, x, _ = one_channel(mod_bandwidth=2.0)
    for phase in (0.0, 1.0):
        sequence.add(pulser.Pulse.ConstantPulse(100, MAX_AMP * x / 2, 0.0, phase), "g")
    return str(sequence.to_abstract_repr())


def faint_mask() -> str:
    """A DMM accepts what rounds to nothing, and refuses what is weaker than its least average."""
    sequence, x, _ = one_channel()
    sequence.config_detuning_map(sequence.register.define_detuning_map({"a": 1.0}), "dmm_0")
    sequence.add_dmm_detuning(ConstantWaveform(100, -7.0 * x), "dmm_0")
    return str(sequence.to_abstract_repr())


def faint_pulse() -> str:
    """A mean amplitude below the least that is not 0."""
    sequence, x, _ = one_channel(min_avg_amp=1.0)
    sequence.add(pulser.Pulse.ConstantDetuning(RampWaveform(100, 0.0, 4.0 * x), 0.0, 0.0), "g")
    return str(sequence.to_abstract_repr())


def both_sides() -> str:
    """Detunings too far on both sides, and allowed between them."""
    sequence, x, _ = one_channel()
    sequence.add(pulser.Pulse.ConstantPulse(100, 1.0, 30.0 * (x - 1), 0.0), "g")
    return str(sequence.to_abstract_repr())


def ends_of_a_ramp() -> str:
    """Neither the starts nor the stops alone say how high a ramp goes."""
    sequence, x, y = one_channel()
    sequence.add(pulser.Pulse.ConstantDetuning(RampWaveform(333, 6.0 * x, 6.0 * y), 0.0, 0.0), "g")
    return str(sequence.to_abstract_repr())


def nothing_at_times() -> str:
    """A pulse without amplitude and with a constant detuning is a delay, whose phase does not count."""
    sequence, x, _ = one_channel(custom_phase_jump_time=200)
    for phase in (0.0, 1.0, 0.0):
        amplitude = 2.0 if phase == 0.0 else np.floor(x)
        sequence.add(pulser.Pulse.ConstantPulse(100, amplitude, x, phase), "g")
    return str(sequence.to_abstract_repr())


def phases_that_meet() -> str:
    """Equal phases need no jump."""
    sequence, x, y = one_channel(custom_phase_jump_time=200)
    for phase in (x, y):
        sequence.add(pulser.Pulse.ConstantPulse(100, 1.0, 0.0, phase), "g")
    return str(sequence.to_abstract_repr())


HARD = [after_a_phase_jump, faint_mask, faint_pulse, both_sides, ends_of_a_ramp, nothing_at_times, phases_that_meet]


@pytest.mark.parametrize("make", HARD, ids=lambda make: make.__name__)
def test_what_is_no_matter_of_extremes_alone_is_told_apart(make: Callable[[], str]) -> None:
    values = [0.0, 1e-9, 0.01, 0.2, 0.5, 0.9, 1.0, 1.1, 1.3, 1.7, 1.9, 2.0]
    assert_alike(make(), [{"x": x, "y": y} for y in values for x in values])


def test_most_points_of_such_sequences_are_not_built() -> None:
    """The property above would hold for a check that builds everything, too."""
    kinds = {"built": 0, "refused": 0}
    for seed in range(15):
        text, points = drawn(seed)
        sequence, settled = load_sequence(text), Extremes(text, {}).settle(points)
        leaders = {leader for leader in settled.leaders if leader != ALONE}
        for place, leader in enumerate(settled.leaders):
            if leader != ALONE and place not in leaders:
                kinds[verdict(sequence, points[place])[0]] += 1
    assert kinds["built"] > 50
    assert kinds["refused"] > 5


SWEPT = "{runs: 10, sweep: {grid: {t: [100, 152, 200], omega: {linspace: {start: 0, stop: 12, num: 60}}, "
LIMITED = {
    "device": "AnalogDevice",
    "register": "{from_coordinates: {coords: [[0, 0], [6, 0]]}, automatic_layout: true}",
}
RISE_AND_FALL = (
    "{op: pulse, duration: t, amplitude: {kind: ramp, start: 0, stop: omega}, detuning: delta}",
    "{op: pulse, duration: 100, amplitude: omega, detuning: {kind: ramp, start: delta, stop: -delta}}",
    "{op: pulse, duration: t, amplitude: {kind: ramp, start: omega, stop: 0}, detuning: -delta}",
)


def test_every_job_has_the_duration_that_pulser_builds(tmp_path: Path) -> None:
    """More points than are looked at once, in an order that mixes the classes."""
    num = LOOKED_AT_ONCE // 180 + 2
    jobs = SWEPT + f"delta: {{linspace: {{start: -9, stop: 9, num: {num}}}}}}}}}, order: {{shuffle: 3}}}}"
    told: list[tuple[int, int | None]] = []
    plan = planned(tmp_path, spec_text(*RISE_AND_FALL, **LIMITED, jobs=jobs), check=False)
    plan.check(lambda done, total: told.append((done, total)))
    assert told[-1] == (plan.total_jobs, 180 * num)
    for job in plan.jobs():
        assert plan.duration_ns(job) == 2 * job.variables["t"] + 100
        if job.index % 500 == 0:
            built, _ = build(plan.loaded_sequence(job.sequence), job.variables)
            assert plan.duration_ns(job) == built.get_duration()


def test_failing_points_are_counted_by_cause_as_pulser_refuses_them(tmp_path: Path) -> None:
    jobs = SWEPT.replace("stop: 12, num: 60", "stop: 14, num: 20") + "delta: {linspace: {start: -140, stop: 140, num: 15}}}}}"
    plan = planned(tmp_path, spec_text(*RISE_AND_FALL, **LIMITED, jobs=jobs), check=False)
    refused: dict[str, list[Any]] = {}
    for job in plan.jobs():
        words = verdict(plan.loaded_sequence(job.sequence), job.variables)[-1]
        if isinstance(words, str):
            refused.setdefault("detuning" if "detuning" in words else "amplitude", []).append(job)
    with pytest.raises(SpecError) as caught:
        plan.check()
    told = {problem.message.split()[0]: problem.message for problem in caught.value.problems}
    assert set(told) == set(refused) == {"amplitude", "detuning"}
    for what, failing in refused.items():
        first = failing[0].point
        assert f"({len(failing)} of 900 points, first: t={first['t']}, omega=" in told[what]
        assert told[what].endswith(f"delta={first['delta']:.12g})")


def test_warnings_are_counted_for_all_points_that_share_them(tmp_path: Path) -> None:
    operations = ("{op: pulse, duration: t, amplitude: omega}", "{op: pulse, duration: 50, amplitude: omega}")
    jobs = "{runs: 10, sweep: {grid: {t: [100, 102], omega: {linspace: {start: 1, stop: 12, num: 20}}}}}"
    plan = planned(tmp_path, spec_text(*operations, **LIMITED, jobs=jobs, more="  clock: round\n"))
    rounded = "Pulser rounds up"
    assert [(one.path, one.message) for one in plan.warnings] == [
        (
            "sequence.operations[0].duration",
            f"102 ns is off the 4 ns clock of channel ising: 100 or 104 fit; {rounded} (20 of 40 points, first: t=102, omega=1)",
        ),
        (
            "sequence.operations[1].duration",
            f"50 ns is off the 4 ns clock of channel ising: 48 or 52 fit; {rounded}",
        ),
    ]
    assert plan.durations_ns == (152, 156)


@pytest.mark.parametrize("seed", range(8))
def test_random_sweeps_are_refused_at_the_points_where_pulser_refuses(tmp_path: Path, seed: int) -> None:
    """Sequence files: every verdict, through the whole check."""
    text, points = drawn(seed + 500)
    (tmp_path / "sequence.json").write_text(text, encoding="utf-8")
    rows = "\n".join(f"      - {json.dumps(point)}" for point in points)
    spec = f"version: 1\nname: a\nsequence: {{file: sequence.json}}\njobs:\n  runs: 1\n  sweep:\n    points:\n{rows}\n"
    declared = load_sequence(text).declared_variables
    unused = [name for name in points[0] if name not in declared]
    assert not unused
    plan = planned(tmp_path, spec, check=False)
    verdicts = [verdict(plan.loaded_sequence(job.sequence), job.variables) for job in plan.jobs()]
    refused = sum(one[0] == "refused" for one in verdicts)
    try:
        plan.check()
        said = 0
    except SpecError as error:
        counts = [re.search(r"\((\d+) of 60 points", one.message) for one in error.problems if not one.warning]
        said = sum(int(one[1]) for one in counts if one)
    else:
        assert [plan.duration_ns(job) for job in plan.jobs()] == [one[1] for one in verdicts]
    assert said == refused
