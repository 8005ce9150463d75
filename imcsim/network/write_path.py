"""The write path: what of an update reaches the codes of a crossbar, and what an accumulator keeps of the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.accepted import checked_dense
from imcsim.compound import CompoundArray
from imcsim.crossbar import Crossbar
from imcsim.mapping import largest_code, quantise_weights
from imcsim.rng import child, draw_key
from imcsim.specs.array import ArraySpec
from imcsim.specs.learning import WritePath
from imcsim.specs.pulsed import PulsedCell
from imcsim.updates import Update, scaled

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

    `kept` (1 or members, rows, cols) is in codes, at most half the step between two: None where there are no
    accumulators. Pulsed devices take the update as it is, factors as factors.
    """
    if isinstance(layer, CompoundArray) or isinstance(layer.die.spec.cell, PulsedCell):
        return layer.write(update, rng, now_s=now_s), None
    if path.accumulator_bits is None and path.rounding == "nearest":
        return layer.write(update, rng, now_s=now_s), None  # a crossbar rounds so by itself
    key, array = draw_key(rng), layer.die.spec.array
    scale = layer.scale[:, None, None]
    change = checked_dense(update, layer.die.shape, layer.die.members) / scale
    change = _rounded(change, resolution(path, array), path, child(key, "rounding"))
    if path.accumulator_bits is None:
        return layer.write(_of(layer, change * scale), child(key, "cells"), now_s=now_s), None
    assert kept is not None
    most = largest_code(array.weight_bits)
    held = change  # all are whole steps of the accumulator, whose sums are exact in any order
    held += kept
    held += layer.codes
    np.clip(held, -most, most, out=held)
    codes = quantise_weights(held, 1.0, array.weight_bits)
    written = layer.write(_of(layer, (codes - layer.codes) * scale), child(key, "cells"), now_s=now_s)
    held -= codes
    return written, held


def kept_at_first(path: WritePath, layer: Crossbar | CompoundArray, weights: Array) -> Array | None:
    """What accumulators hold beyond the codes when a layer was programmed with weights (rows, cols): see `through`."""
    if isinstance(layer, CompoundArray) or path.accumulator_bits is None:
        return None
    array = layer.die.spec.array
    unit, most = resolution(path, array), largest_code(array.weight_bits)
    codes = weights / layer.scale[:, None, None]
    held = np.clip(np.rint(codes / unit) * unit, -most, most)
    # a weight that an accumulator rounds to half way between two codes: by itself, no write must take it to the other
    apart = quantise_weights(held, 1.0, array.weight_bits) - layer.codes
    return np.asarray(held - layer.codes - unit * np.sign(apart))


def resolution(path: WritePath, array: ArraySpec) -> float:
    """The smallest step that a write resolves, in codes: from a code to the next, or of an accumulator of A bits.

    That is 2^-(A - B) codes for weights of B bits. Codes of a single bit are -1 and 1, two apart.
    """
    if path.accumulator_bits is not None:
        return float(2.0 ** (array.weight_bits - path.accumulator_bits))
    return 2.0 if array.weight_bits == 1 else 1.0


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
    """A change (1 or members, rows, cols) in whole units, in its place."""
    if unit != 1.0:
        change /= unit
    if path.rounding == "stochastic":
        change += rng.random(change.shape)  # floor(c + u), u uniform in [0, 1): the mean is c
        np.floor(change, out=change)
    else:
        np.rint(change, out=change)
    if unit != 1.0:
        change *= unit
    return change


def _of(layer: Crossbar, change: Array) -> Array:
    """A change (1 or members, rows, cols) as the crossbar takes it."""
    return change if layer.die.members is not None else change[0]
