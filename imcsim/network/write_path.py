"""The write path: what of an update reaches the codes of a crossbar, and what an accumulator keeps of the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.crossbar import Crossbar
from imcsim.mapping import largest_code
from imcsim.rng import child, draw_key
from imcsim.specs.learning import WritePath

Array = np.ndarray[Any, Any]


def through(
    path: WritePath, crossbar: Crossbar, kept: Array | None, delta: Array, rng: np.random.Generator, now_s: float
) -> tuple[Crossbar, Array | None]:
    """Add delta (..., rows, cols) to the weights of a crossbar, `kept` being what its accumulators hold beyond codes.

    `kept` is in codes, within half of one: None where there are no accumulators, or nothing was written yet.
    """
    key, array = draw_key(rng), crossbar.die.spec.array
    scale = crossbar.scale[:, None, None]
    change = np.asarray(delta, np.float64) / scale + (0.0 if kept is None else kept)
    if path.accumulator_bits is not None:
        # an accumulator of A bits for weights of B: its unit is 2^-(A - B) of a code
        change = _rounded(change, 2.0 ** (array.weight_bits - path.accumulator_bits), path, child(key, "rounding"))
        codes, most = crossbar.codes, largest_code(array.weight_bits)
        held = np.clip(codes + change, -most, most)
        written = crossbar.write((np.rint(held) - codes) * scale, child(key, "cells"), now_s=now_s)
        return written, held - written.codes
    change = _rounded(change, 1.0, path, child(key, "rounding"))
    return crossbar.write(change * scale, child(key, "cells"), now_s=now_s), None


def _rounded(change: Array, unit: float, path: WritePath, rng: np.random.Generator) -> Array:
    parts = change / unit
    if path.rounding == "stochastic":
        # floor(c + u), u uniform in [0, 1): the mean is c
        return np.asarray(np.floor(parts + rng.random(parts.shape)) * unit)
    return np.asarray(np.rint(parts) * unit)
