"""Signed weights <-> digits of cells: integer codes, and how the columns of digits add up to them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.kernels.quantise import least_squares_step
from imcsim.specs.array import ArraySpec

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Layout:
    """How many columns a weight takes and what each is worth.

    `worth` (polarities, slices) float64: the code of a weight is sum(worth x digit) + `offset`, and so the product is
    sum(worth x column sum) + offset x sum of inputs. `top` (slices,) is the largest digit of each slice.
    """

    worth: Array
    offset: float
    top: Array

    @property
    def polarities(self) -> int:
        return int(self.worth.shape[0])

    @property
    def slices(self) -> int:
        return int(self.worth.shape[1])


def largest_code(bits: int) -> int:
    """The largest weight code of `bits` bits; the smallest is its negative, so that codes are symmetric."""
    return 1 if bits == 1 else 2 ** (bits - 1) - 1


def layout(array: ArraySpec) -> Layout:
    """The columns of a weight, least significant slice first."""
    slices = np.array(array.slice_bits)
    top = 2.0**slices - 1
    worth = 2.0 ** (np.cumsum(slices) - slices)
    if array.differential:
        return Layout(np.stack([worth, -worth]), 0.0, top)
    if array.weight_bits == 1:  # -1 and +1 are stored as (w + 1) / 2
        return Layout(np.array([[2.0]]), -1.0, top)
    if array.mapping == "offset":
        return Layout(worth[None], -(2.0 ** (array.weight_bits - 1)), top)
    return Layout(np.concatenate([worth[:-1], -worth[-1:]])[None], 0.0, top)


def quantise_weights(weights: Array, scale: Any, bits: int) -> Array:
    """Codes of weights (any shape) in steps of `scale`: int32, rounded to nearest and clipped; one bit: the sign."""
    if bits == 1:
        return np.where(weights >= 0, 1, -1).astype(np.int32)
    top = largest_code(bits)
    return np.asarray(np.clip(np.rint(weights / scale), -top, top), dtype=np.int32)


def weight_scale(weights: Array, array: ArraySpec) -> float:
    """The step of the weight codes: of least squared error ("mse"), or some size of weight to the largest code.

    Times the headroom, unless it is given.
    """
    size, top = np.abs(weights), largest_code(array.weight_bits)
    if array.weight_scale == "given":
        assert array.weight_limit is not None  # the spec holds it
        return array.weight_limit / top
    if array.weight_scale == "percentile":
        assert array.weight_percentile is not None  # the spec holds it
        chosen = float(np.percentile(size, array.weight_percentile)) / top
    elif array.weight_scale == "max":
        chosen = float(size.max()) / top
    elif array.weight_bits == 1:  # of all s with codes -1 and +1, the mean size has the least squared error
        chosen = float(size.mean())
    else:
        chosen = least_squares_step(size, top)
    return array.weight_headroom * (chosen or 1.0)  # all weights zero: any step represents them


def cell_digits(codes: Array, array: ArraySpec) -> Array:
    """The digits stored for weight codes (..., rows, cols) -> (..., rows, polarities, slices, cols) uint8."""
    if array.mapping == "differential":
        stored = [np.maximum(codes, 0), np.maximum(-codes, 0)]
    elif array.mapping == "differential_two_sided":
        # p - n = code with p + n the largest code or one more, so that neither leaves 0 ... largest
        plus = (codes + largest_code(array.weight_bits) + 1) >> 1
        stored = [plus, plus - codes]
    elif array.weight_bits == 1:
        stored = [(codes + 1) // 2]
    elif array.mapping == "offset":
        stored = [codes + 2 ** (array.weight_bits - 1)]
    else:
        stored = [codes & (2**array.weight_bits - 1)]
    bits = np.array(array.slice_bits)[:, None]
    shift = np.cumsum(bits, axis=0) - bits
    numbers = np.stack(stored, axis=-2)[..., None, :]
    return np.asarray((numbers >> shift) & (2**bits - 1), dtype=np.uint8)
