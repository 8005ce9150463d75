"""Signed weights <-> bits of cells: integer codes, and how digits of columns add up to them again."""

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

    `worth` (polarities, slices) float64: the code of a weight is sum(worth x bit) + `offset`, and so the product is
    sum(worth x column sum) + offset x sum of inputs, which the digital side adds.
    """

    worth: Array
    offset: float

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
    bits = array.weight_bits
    powers = 2.0 ** np.arange(bits)
    if array.mapping == "differential":
        magnitude = powers[: max(bits - 1, 1)]
        return Layout(worth=np.stack([magnitude, -magnitude]), offset=0.0)
    if bits == 1:  # -1 and +1 are stored as (w + 1) / 2
        return Layout(worth=np.array([[2.0]]), offset=-1.0)
    if array.mapping == "offset":
        return Layout(worth=powers[None], offset=-(2.0 ** (bits - 1)))
    return Layout(worth=np.concatenate([powers[:-1], -powers[-1:]])[None], offset=0.0)


def quantise_weights(weights: Array, scale: float, bits: int) -> Array:
    """Codes of weights (any shape) in steps of `scale`: int32, rounded to nearest and clipped; one bit: the sign."""
    if bits == 1:
        return np.where(weights >= 0, 1, -1).astype(np.int32)
    top = largest_code(bits)
    return np.asarray(np.clip(np.rint(weights / scale), -top, top), dtype=np.int32)


def weight_scale(weights: Array, array: ArraySpec) -> float:
    """The step of the weight codes: of least squared error ("mse"), or largest weight to largest code ("max")."""
    size = np.abs(weights)
    if array.weight_bits == 1:  # of all s with codes -1 and +1, the mean size has the least squared error
        chosen = float(size.mean() if array.weight_scale == "mse" else size.max())
    elif array.weight_scale == "max":
        chosen = float(size.max()) / largest_code(array.weight_bits)
    else:
        chosen = least_squares_step(size, largest_code(array.weight_bits))
    return chosen or 1.0  # all weights zero: any step represents them


def cell_bits(codes: Array, array: ArraySpec) -> Array:
    """The bits stored for weight codes (rows, cols) -> (rows, polarities, slices, cols) uint8."""
    shape = layout(array)
    if array.mapping == "differential":
        polar = np.stack([np.maximum(codes, 0), np.maximum(-codes, 0)], axis=1)
    elif array.weight_bits == 1:
        polar = (codes[:, None] + 1) // 2
    elif array.mapping == "offset":
        polar = codes[:, None] + 2 ** (array.weight_bits - 1)
    else:
        polar = codes[:, None] & (2**array.weight_bits - 1)
    digits = (polar[:, :, None, :] >> np.arange(shape.slices)[:, None]) & 1
    return np.asarray(digits, dtype=np.uint8)
