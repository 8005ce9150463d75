"""Random and Sobol samples of several paths at once: points of the unit cube, and the values that they stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imcsim.experiment.ranges import MAX_POINTS, Range
from imcsim.rng import child
from imcsim.specs.fields import Spec, limited
from imcsim.study.grid import between, whole_between

SOBOL_BITS = 30  # of scipy's sequence, which repeats itself after 2^30 points


@dataclass(frozen=True, kw_only=True)
class Sampling(Spec):
    """How a sample is drawn, and how many points it has."""

    method: Literal["sobol", "random"]
    points: int = limited(low=1, high=MAX_POINTS)


@dataclass(frozen=True)
class Dimension:
    """What one path of a sample is drawn from: a range, of integers where `whole`, or the values of a choice."""

    path: str
    source: Range | tuple[Any, ...]
    whole: bool = False

    def value(self, share: float) -> Any:
        """The value at `share`, 0 ... 1 without 1: all alike for a choice, and along a linear range."""
        if not isinstance(self.source, Range):
            return self.source[int(share * len(self.source))]
        scale, low, high = self.source
        if self.whole:
            return whole_between(scale, int(low), int(high), share)
        return between(scale, low, high, share)


def sampled(sampling: Sampling, dimensions: Sequence[Dimension], seed: int) -> list[dict[str, Any]]:
    """The combinations of a sample; with more points, the same ones come first.

    A path has a stream of its own, so that its values stay when others join behind it.
    """
    streams = [child(seed, "grid sample", dimension.path) for dimension in dimensions]
    if sampling.method == "sobol":
        cube = _sobol(sampling.points, streams)
    else:
        cube = np.column_stack([_shares(stream, sampling.points) for stream in streams])
    return [
        {dimension.path: dimension.value(share) for dimension, share in zip(dimensions, point, strict=True)}
        for point in cube.tolist()
    ]


def _shares(stream: np.random.Generator, count: int) -> NDArray[np.float64]:
    """(count,) uniform on 0 ... 1 without 1, from raw words: numpy keeps their stream between versions."""
    words: NDArray[np.float64] = (stream.bit_generator.random_raw(count) >> np.uint64(11)) / 2.0**53
    return words


def _sobol(points: int, streams: Sequence[np.random.Generator]) -> NDArray[np.float64]:
    """(points, len(streams)) of Sobol's sequence, each dimension under a digital shift from its stream.

    The shift keeps the sequence's balance (Lemieux 2009, section 6.2; unverified): of the first 2^m points, one lies in
    each of the 2^m equal intervals of each dimension.
    """
    from scipy.stats import qmc

    # unscrambled, since scipy's scrambling may change with its version; whole powers of two, as the sequence wants
    size = math.ceil(math.log2(points))
    plain = qmc.Sobol(len(streams), scramble=False, bits=SOBOL_BITS).random_base2(size)[:points]
    digits = (plain * 2**SOBOL_BITS).astype(np.int64)
    shifts = [int(_shares(stream, 1)[0] * 2**SOBOL_BITS) for stream in streams]
    shifted: NDArray[np.float64] = ((digits ^ np.array(shifts)) + 0.5) / 2**SOBOL_BITS
    return shifted
