"""A string of equal elements between two exact ends: the reference of ramp and flash converters."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def transitions(sigma_rel: float, normals: Array) -> Array:
    """The transitions on a string of elements: normals (owners, levels) -> (owners, levels - 1) in LSB, float64.

    The string spans the range of the codes, from -0.5 to levels - 0.5 LSB, an element a code. With its ends exact, tap
    k of N errs as a Brownian bridge does: by sigma sqrt(k (1 - k/N)) LSB, to first order in sigma.
    """
    levels = normals.shape[1]
    heights = np.cumsum(1 + sigma_rel * normals.astype(np.float64), axis=1)
    return np.asarray(levels * heights[:, :-1] / heights[:, -1:] - 0.5)
