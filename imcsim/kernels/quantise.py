"""Steps of uniform quantisers that lose the least."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def least_squares_step(sizes: Array, top: int) -> float:
    """The step s that minimises the sum of (v - s min(rint(v / s), top))^2 over values v >= 0, any shape.

    By a search over 160 steps from 1/20 of max(v) / top to all of it, then with the codes held the exact least squares.
    """
    values, counts = np.unique(sizes.astype(np.float64), return_counts=True)  # of pixels, say, a handful differ
    largest = float(values.max(initial=0.0))
    if largest == 0.0:
        return 0.0
    candidates = largest / top * np.geomspace(0.05, 1.0, 160)
    best, least = candidates[-1], np.inf
    for step in candidates:
        codes = np.minimum(np.rint(values / step), top)
        # summed by numpy: a BLAS would sum in an order that depends on its threads
        refined = float((counts * values * codes).sum() / (counts * codes * codes).sum()) if codes.any() else step
        for candidate in (float(step), refined):
            lost = values - candidate * np.minimum(np.rint(values / candidate), top)
            error = float((counts * lost * lost).sum())
            if error < least:
                best, least = candidate, error
    return float(best)
