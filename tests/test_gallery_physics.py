"""What the headers of `specs/gallery` say that is seen, is seen; the other specs' physics is in `test_specs_physics`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.linalg import expm

import pcs_runner
from pcs_runner.emulator.engines import EngineJob, EngineSettings
from pcs_runner.emulator.engines.batched import BatchedEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = Path(__file__).resolve().parent.parent / "specs" / "gallery"
RUNS = 2000
"""Shot noise of a probability is at most 0.011."""


def measured(name: str, select: str | None = None) -> Iterator[tuple[Mapping[str, float], Counter[str]]]:
    """The points of an experiment for which a condition holds (default: all), and the shares of their bitstrings."""
    plan = pcs_runner.plan(FOLDER / f"{name}.yaml", select=select, check=False)
    for job in plan.jobs():
        task = EngineJob(position=0, variables=dict(job.variables), runs=RUNS, entropy=(2026, 0, job.index))
        (result,) = BatchedEngine().run(plan.sequence(job.sequence), [task], EngineSettings(config=None, accuracy=None))
        yield job.point, Counter({bits: count / RUNS for bits, count in Counter(result.raw).items()})


def occupation(shares: Mapping[str, float], atom: int) -> float:
    return sum(share for bits, share in shares.items() if bits[atom] == "1")


def test_z2_quench_comes_back() -> None:
    select = "t == 1700 or t == 2400 or t == 3100 or t == 4500"
    seen = {point["t"]: shares["1010101"] for point, shares in measured("z2-quench", select)}
    assert seen == pytest.approx({1700: 0.35, 2400: 0.01, 3100: 0.20, 4500: 0.13}, abs=0.04)


def test_z2_phase_diagram_has_both_orders() -> None:
    select = "spacing != 5 and (d_end < -6 or d_end > 6 and d_end < 7 or d_end > 9 and d_end < 10)"
    for point, shares in measured("z2-phase-diagram", select):
        half_omegas, order = round(point["d_end"] / np.pi), {3.6: "1001001", 7.0: "1010101"}[point["spacing"]]
        assert shares.most_common(1)[0][0] == ("0000000" if half_omegas < 0 else order)
        if half_omegas < 0:
            assert sum(occupation(shares, atom) for atom in range(7)) < 7 * 0.05
        clearest = {(3.6, 3): 0.72, (7.0, 2): 0.60}.get((point["spacing"], half_omegas))
        assert clearest is None or shares[order] == pytest.approx(clearest, abs=0.05)


def test_z2_phase_diagram_at_the_border() -> None:
    best = {
        round(p["d_end"] / np.pi): s.most_common(1)[0][0] for p, s in measured("z2-phase-diagram", "spacing == 5 and d_end > 5")
    }
    assert best == {2: "1001001", 3: "1001001", 4: "1001001", 5: "1010101", 6: "1010101"}


def test_afm_ramp_orders_and_excites_the_corners() -> None:
    ordered = [shares["101010"] + shares["010101"] for _, shares in measured("afm-ramp", "d_end == U")]
    assert ordered == pytest.approx([0.23, 0.60, 0.81], abs=0.04)
    ((_, last),) = measured("afm-ramp", "t_sweep == 1600 and d_end == 2*U")
    assert last["101101"] == pytest.approx(0.77, abs=0.04)


def test_random_starts_hold_a_good_one() -> None:
    found = [shares["1001"] + shares["0110"] for _, shares in measured("random-starts")]
    assert (int(np.argmax(found)), len(found)) == (2, 40)
    assert max(found) == pytest.approx(0.96, abs=0.02)


def test_floquet_is_kicks_phases_and_the_interaction() -> None:
    for point, shares in measured("floquet", "n > 1"):
        expected = kicked(int(point["n"]), point["theta"])
        assert [occupation(shares, 0), occupation(shares, 1)] == pytest.approx([expected] * 2, abs=0.05)


def kicked(periods: int, theta: float) -> float:
    """Occupation of one of two atoms at 8 µm on MockDevice (C6/ħ = 5420158.53 rad/µs·µm⁶) after some periods."""
    flip, phase_flip = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]])
    both = [np.kron(flip, np.eye(2)) + np.kron(np.eye(2), flip), np.kron(phase_flip, np.eye(2)) + np.kron(np.eye(2), phase_flip)]
    excited, pair = np.diag([0.0, 1, 1, 2]), np.diag([0, 0, 0, 5420158.53 / 8**6])
    state = np.array([1, 0, 0, 0], complex)
    for k in range(periods):
        drive = theta / 0.1 / 2 * (np.cos(k * np.pi / 8) * both[0] + np.sin(k * np.pi / 8) * both[1])
        state = expm(-0.2j * (pair - 1.6 * np.pi * excited)) @ expm(-0.1j * (drive + pair)) @ state
    return float(abs(state[2]) ** 2 + abs(state[3]) ** 2)
