"""Which inputs and columns of a weight matrix come to lie on which array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.errors import SpecError
from imcsim.specs.array import ArraySpec

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Tiling:
    """A matrix on arrays: `tiles` of `used` rows each, read in `groups` of `parallel` rows.

    `array_of` and `place` (physical columns,) tell of each column of cells its column tile and its place in the array;
    `unit_of` (cols,) the physical column that holds the unit cells of each weight column, None where there are none;
    `weights` (cols,) the physical columns of the weights. `arrays` is the number of column tiles.
    """

    tiles: int
    used: int
    groups: int
    parallel: int
    arrays: int
    array_of: Array
    place: Array
    weights: Array
    unit_of: Array | None

    @property
    def columns(self) -> int:
        return len(self.place)

    def read_inputs(self, codes: Array) -> Array:
        """Codes (..., rows) in the order of the reads, rows without a cell put in as zeros: a read takes `parallel`."""
        if self.used == self.groups * self.parallel:
            return codes  # a read begins where the last one ended
        *outer, rows = codes.shape
        whole = np.zeros((*outer, self.tiles * self.used), codes.dtype)
        whole[..., :rows] = codes
        padding = [*[(0, 0)] * (len(outer) + 1), (0, self.groups * self.parallel - self.used)]
        return np.pad(whole.reshape(*outer, self.tiles, self.used), padding).reshape(*outer, -1)

    def read_rows(self, values: Array, axis: int) -> Array:
        """Values whose axes `axis`, `axis` + 1 are (tiles, used rows) -> (reads, parallel rows), empty rows zero."""
        padding = [(0, 0)] * values.ndim
        padding[axis + 1] = (0, self.groups * self.parallel - self.used)
        shape = (*values.shape[:axis], self.tiles * self.groups, self.parallel, *values.shape[axis + 2 :])
        return np.ascontiguousarray(np.pad(values, padding)).reshape(shape)


def tile(array: ArraySpec, shape: tuple[int, int]) -> Tiling:
    """Lay a matrix of `shape` (rows, cols) out on arrays. Raises SpecError where `shape` is none of a matrix."""
    if len(shape) != 2 or min(shape) < 1:
        raise SpecError.of("shape", "must be (rows, cols), each at least 1", given=str(shape))
    tiles, used = _cut(shape[0], array.rows, array.tiling)
    arrays, width = _cut(shape[1], array.cols, array.tiling)
    if arrays >= 2**16:
        raise SpecError.of("shape", f"takes more than 65535 arrays of {array.cols} columns", given=str(shape))
    if tiles >= 2**16:
        raise SpecError.of("shape", f"takes more than 65535 arrays of {array.rows} rows", given=str(shape))
    parallel = min(array.rows_parallel or used, used)
    columns = np.arange(shape[1])
    array_of, place = columns // width, columns % width
    weights, unit_of = columns, None
    if array.offset_correction == "unit_column":  # the last column of each array, behind those of the weights
        order = np.argsort(np.concatenate([array_of, np.arange(arrays)]), kind="stable")
        physical = np.argsort(order, kind="stable")
        weights, unit_of = physical[: shape[1]], physical[shape[1] :][array_of]
        array_of = np.concatenate([array_of, np.arange(arrays)])[order]
        place = np.concatenate([place, np.full(arrays, array.cols)])[order]
    return Tiling(tiles, used, -(-used // parallel), parallel, arrays, array_of, place, weights, unit_of)


def _cut(length: int, most: int, tiling: str) -> tuple[int, int]:
    """How many parts, and the length of each but perhaps the last."""
    parts = -(-length // most)
    return parts, (-(-length // parts) if tiling == "equal" else min(length, most))
