"""Steps of uniform quantisers that lose the least."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def least_squares_step(sizes: Array, top: int) -> float:
    """The step s that minimises the sum of (v - s min(rint(v / s), top))^2 over values v >= 0, any shape.

    By a search over 160 steps from 1/20 of max(v) / top to all of it, then with the codes held the exact least squares.
    """
    values = np.sort(sizes, axis=None).astype(np.float64)
    if values.size == 0 or values[-1] == 0.0:
        return 0.0
    # a code c is 1 for each of the thresholds 1/2, 3/2, ... that v / s exceeds, and c^2 is 1, 3, 5, ... for them
    thresholds, squares = np.arange(top) + 0.5, 2 * np.arange(top) + 1
    # summed by numpy: a BLAS would sum in an order that depends on its threads
    below, square = np.concatenate([[0.0], np.cumsum(values)]), float(np.square(values).sum())
    best, least = 0.0, np.inf
    for candidate in values[-1] / top * np.geomspace(0.05, 1.0, 160):
        step = float(candidate)
        for _ in range(2):
            first = np.searchsorted(values, thresholds * step)  # of those beyond each threshold
            vc, cc = float((below[-1] - below[first]).sum()), int((squares * (values.size - first)).sum())
            error = square - 2 * step * vc + step * step * cc
            if error < least:
                best, least = step, error
            step = vc / cc  # of the codes held, the best
    return best
