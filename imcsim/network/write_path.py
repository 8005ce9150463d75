"""The write path: what of an update reaches the codes of a crossbar, and what an accumulator keeps of the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.compound import CompoundArray
from imcsim.crossbar import Crossbar
from imcsim.mapping import largest_code
from imcsim.rng import child, draw_key
from imcsim.specs.learning import WritePath
from imcsim.specs.pulsed import PulsedCell
from imcsim.updates import Update, dense, scaled

Array = np.ndarray[Any, Any]


def through(
    path: WritePath,
    layer: Crossbar | CompoundArray,
    kept: Array | None,
    update: Update,
    rng: np.random.Generator,
    now_s: float,
) -> tuple[Any, Array | None]:
    """Add an update to the weights of a layer: the layer after it, and what its accumulators hold beyond codes.

    `kept` is in codes, within half of one: None where there are no accumulators, or nothing was written yet. Pulsed
    devices take the update as it is, factors as factors.
    """
    if isinstance(layer, CompoundArray) or isinstance(layer.die.spec.cell, PulsedCell):
        return layer.write(update, rng, now_s=now_s), None
    if path.accumulator_bits is None and path.rounding == "nearest":
        return layer.write(update, rng, now_s=now_s), None  # a crossbar rounds so by itself
    key, array = draw_key(rng), layer.die.spec.array
    scale = layer.scale[:, None, None]
    change = np.asarray(dense(update), np.float64) / scale
    if path.accumulator_bits is None:
        change = _rounded(change, 1.0, path, child(key, "rounding"))
        return layer.write(_of(layer, change * scale), child(key, "cells"), now_s=now_s), None
    # an accumulator of A bits for weights of B: its unit is 2^-(A - B) of a code
    unit = 2.0 ** (array.weight_bits - path.accumulator_bits)
    change = _rounded(change, unit, path, child(key, "rounding")) + (0.0 if kept is None else kept)
    most = largest_code(array.weight_bits)
    held = np.clip(layer.codes + change, -most, most)
    written = layer.write(_of(layer, (np.rint(held) - layer.codes) * scale), child(key, "cells"), now_s=now_s)
    return written, held - written.codes


def written_back(
    layer: Crossbar | CompoundArray,
    before: Crossbar | CompoundArray,
    update: Update,
    rng: np.random.Generator,
    now_s: float,
) -> Any:
    """A layer that was `before` until it took `update`, with the codes of then; cells that changed are drawn anew.

    Nobody knows how far pulsed devices came: they take the opposite pulses.
    """
    if (
        isinstance(layer, CompoundArray)
        or isinstance(before, CompoundArray)
        or isinstance(layer.die.spec.cell, PulsedCell)
    ):
        return layer.write(scaled(update, -1.0), rng, now_s=now_s)
    return layer.write(_of(layer, (before.codes - layer.codes) * layer.scale[:, None, None]), rng, now_s=now_s)


def _rounded(change: Array, unit: float, path: WritePath, rng: np.random.Generator) -> Array:
    parts = change / unit
    if path.rounding == "stochastic":
        # floor(c + u), u uniform in [0, 1): the mean is c
        return np.asarray(np.floor(parts + rng.random(parts.shape)) * unit)
    return np.asarray(np.rint(parts) * unit)


def _of(layer: Crossbar, change: Array) -> Array:
    """A change (1 or members, rows, cols) as the crossbar takes it."""
    return change if layer.die.members is not None else change[0]
