"""What drives the atoms between the samples: the cubic spline through Pulser's 1 ns samples that QuTiP uses, and its integrals.

QuTiP reads an array of coefficients as a spline with not-a-knot ends (`scipy.interpolate.make_interp_spline`, order 3). Linear
reading differs by some 1e-6 of infidelity on smooth pulses, and by more where the detuning jumps by 100 rad/µs, so the spline
it is. The splines are taken of the amplitude's two quadratures, because QuTiP takes them of `amp * exp(-i phase)`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pcs_runner.emulator.engines.batched.kernels import jit

if TYPE_CHECKING:
    from numpy.typing import NDArray

MINIMUM_SAMPLES = 4
"""Fewer do not define the spline; Pulser refuses them as well."""


@jit
def _fill(values: Any, curvatures: Any, integrals: Any) -> None:
    """Second derivatives (per ns²) at the samples and integrals (times ns) up to them, of each row of `values`."""
    rows, count = values.shape
    last = count - 1
    ratios = np.zeros(count)
    for k in range(2, last - 1):
        ratios[k] = 1.0 / (4.0 - ratios[k - 1])
    for row in range(rows):
        f, m, total = values[row], curvatures[row], integrals[row]
        for k in range(1, last):
            m[k] = 6.0 * (f[k - 1] - 2.0 * f[k] + f[k + 1])
        m[1] /= 6.0
        m[last - 1] /= 6.0
        if last - 1 > 2:
            m[2] -= m[1]
            m[last - 2] -= m[last - 1]
            for k in range(3, last - 1):
                m[k] -= ratios[k - 1] * m[k - 1]
            m[last - 2] *= ratios[last - 2]
            for k in range(last - 3, 1, -1):
                m[k] = (m[k] - m[k + 1]) * ratios[k]
        m[0] = 2.0 * m[1] - m[2]
        m[last] = 2.0 * m[last - 1] - m[last - 2]
        total[0] = 0.0
        for k in range(last):
            total[k + 1] = total[k] + 0.5 * (f[k] + f[k + 1]) - (m[k] + m[k + 1]) / 24.0


@jit
def integral(values: Any, curvatures: Any, integrals: Any, time: float) -> float:
    """Integral of one spline from 0 to `time` (ns)."""
    k = min(int(time), values.size - 2)
    u = time - k
    v = 1.0 - u
    straight = values[k] * (u - 0.5 * u * u) + values[k + 1] * 0.5 * u * u
    bend = curvatures[k] * ((1.0 - v**4) * 0.25 - (u - 0.5 * u * u)) + curvatures[k + 1] * (0.25 * u**4 - 0.5 * u * u)
    return integrals[k] + straight + bend / 6.0  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """The drive of one point.

    Attributes:
        values: Samples at 0, 1, ..., duration ns, `(3, rows, duration + 1)`, rad/µs: amp cos(phase), amp sin(phase), detuning.
        row_of_atom: `(n,)`: the row that drives an atom, in the order of the register.
        curvatures: Second derivatives of the splines at the samples, as `values`, per ns².
        integrals: Integrals of the splines up to the samples, as `values`, times ns.
    """

    values: NDArray[np.float64]
    row_of_atom: NDArray[np.int64]
    curvatures: NDArray[np.float64] = field(init=False)
    integrals: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        if not np.isfinite(self.values).all():
            raise ValueError(
                "a sample of the sequence is infinite or not a number: look at the variables that enter its waveforms"
            )
        curvatures, totals = np.zeros_like(self.values), np.zeros_like(self.values)
        count = self.values.shape[2]
        _fill(self.values.reshape(-1, count), curvatures.reshape(-1, count), totals.reshape(-1, count))
        object.__setattr__(self, "curvatures", curvatures)
        object.__setattr__(self, "integrals", totals)

    @property
    def duration_ns(self) -> int:
        """Duration, ns."""
        return int(self.values.shape[2]) - 1

    def at(self, time_ns: float) -> NDArray[np.float64]:
        """The splines at a time, `(3, n)`, rad/µs: the two quadratures and the detuning of each atom."""
        k = min(int(time_ns), self.duration_ns - 1)
        u = time_ns - k
        v = 1.0 - u
        f, m = self.values, self.curvatures
        bend = (v**3 - v) * m[:, :, k] + (u**3 - u) * m[:, :, k + 1]
        result: NDArray[np.float64] = (v * f[:, :, k] + u * f[:, :, k + 1] + bend / 6.0)[:, self.row_of_atom]
        return result
