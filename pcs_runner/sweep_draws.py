"""Random values of a sweep: one raw stream of PCG64 for each name, so that adding a variable or a sample moves no other draw.

Only integers come from NumPy; what is made of them is computed with Python's `math`, the same on every processor.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.expressions import Scalar
from pcs_runner.sweep_axes import Computed, Scope, whole

if TYPE_CHECKING:
    import numpy as np

    from pcs_runner.spec.document import Path
    from pcs_runner.spec.jobs import Choice, Distribution, Integers, Loguniform, Normal, Uniform

_BLOCK = 4096
_KEPT_BLOCKS = 1024  # 32 MB: a shuffle visits the blocks in no order


class RawStream:
    """64 random bits for every place: the raw stream of PCG64, keyed by a seed and a name.

    Args:
        seed: Not negative.
        name: What is drawn; each name has a stream of its own.
    """

    def __init__(self, seed: int, name: str) -> None:
        self._entropy = [seed, int.from_bytes(hashlib.sha256(name.encode()).digest(), "big")]
        self._blocks: dict[int, array[int]] = {}

    def __getitem__(self, place: int) -> int:
        block, inside = divmod(place, _BLOCK)
        bits = self._blocks.get(block)
        if bits is None:
            if len(self._blocks) >= _KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            bits = self._blocks[block] = array("Q", self._generator(block * _BLOCK).random_raw(_BLOCK).tobytes())
        return bits[inside]

    def first(self, count: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """The first draws as an array."""
        bits: np.ndarray[Any, np.dtype[np.uint64]] = self._generator(0).random_raw(count)
        return bits

    def _generator(self, skipped: int) -> np.random.PCG64:
        import numpy as np

        generator = np.random.PCG64(np.random.SeedSequence(self._entropy))
        generator.advance(skipped)
        return generator


def draws(name: str, distribution: Distribution, samples: int, seed: int, scope: Scope, path: Path) -> Sequence[Any] | None:
    """The values of a random variable; None when its arguments are wrong (the scope knows why)."""
    kind = next(iter(distribution.model_fields_set))
    arguments = getattr(distribution, kind)
    transform = _TRANSFORMS[kind](arguments, scope, (*path, kind))
    if transform is None:
        return None
    stream = RawStream(seed, name)
    size = arguments.size
    if size is None:
        return Computed(samples, lambda place: transform(stream[place]))
    return Computed(samples, lambda place: tuple([transform(stream[place * size + part]) for part in range(size)]))


Transform = Callable[[int], Scalar]


def _unit(bits: int) -> float:
    """Uniform in [0, 1): the top 53 bits, as NumPy's Generator.random."""
    return (bits >> 11) * 2.0**-53


def _two(arguments: Any, names: tuple[str, str], scope: Scope, path: Path) -> tuple[Scalar, Scalar] | None:
    first, second = (scope.scalar(getattr(arguments, name), (*path, name)) for name in names)
    return None if first is None or second is None else (first, second)


def _uniform(arguments: Uniform, scope: Scope, path: Path) -> Transform | None:
    ends = _two(arguments, ("low", "high"), scope, path)
    if ends is None:
        return None
    low, width = ends[0], ends[1] - ends[0]
    if width < 0 or not math.isfinite(width):
        scope.fail(path, f"uniform from {ends[0]!r} to {ends[1]!r}: low must be below high")
        return None
    return lambda bits: low + width * _unit(bits)


def _normal(arguments: Normal, scope: Scope, path: Path) -> Transform | None:
    moments = _two(arguments, ("loc", "scale"), scope, path)
    if moments is None:
        return None
    loc, scale = moments
    if scale < 0:
        scope.fail((*path, "scale"), f"scale is {scale!r}, below 0")
        return None
    inverse = NormalDist().inv_cdf
    # The middle of one of 2**52 intervals: never 0 or 1, where the inverse is infinite.
    return lambda bits: loc + scale * inverse(((bits >> 12) + 0.5) * 2.0**-52)


def _integers(arguments: Integers, scope: Scope, path: Path) -> Transform | None:
    ends = _two(arguments, ("low", "high"), scope, path)
    if ends is None:
        return None
    low, high = whole(ends[0]), whole(ends[1])
    if low is None or high is None or low >= high:
        scope.fail(path, f"integers from {ends[0]!r} to {ends[1]!r}: both must be integers, low below high (which is left out)")
        return None
    return lambda bits: low + ((bits * (high - low)) >> 64)


def _choice(arguments: Choice, scope: Scope, path: Path) -> Transform | None:
    values = [scope.scalar(item, (*path, "a", place)) for place, item in enumerate(arguments.a)]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return lambda bits: known[(bits * len(known)) >> 64]


def _loguniform(arguments: Loguniform, scope: Scope, path: Path) -> Transform | None:
    ends = _two(arguments, ("low", "high"), scope, path)
    if ends is None:
        return None
    if not 0 < ends[0] <= ends[1]:
        scope.fail(path, f"loguniform from {ends[0]!r} to {ends[1]!r}: low must be positive and below high")
        return None
    low, width = math.log(ends[0]), math.log(ends[1]) - math.log(ends[0])
    return lambda bits: math.exp(low + width * _unit(bits))


_TRANSFORMS: dict[str, Callable[[Any, Scope, Path], Transform | None]] = {
    "uniform": _uniform,
    "normal": _normal,
    "integers": _integers,
    "choice": _choice,
    "loguniform": _loguniform,
}
