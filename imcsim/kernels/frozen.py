"""Frozen randomness: normals that belong to a place on the die, not to a call."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from imcsim.kernels.jit import parallel_kernel
from imcsim.kernels.philox import fill_normals

# What a frozen normal stands for: the upper half of the last word of the Philox counter, where read noise has zero.
CELL_MISMATCH = 1
ADC_GAIN = 2
ADC_OFFSET = 3
ADC_ELEMENT = 4
ADC_COMPARATOR = 5
DAC_GAIN = 6
DAC_ELEMENT = 7
CELL_MINIMUM = 8  # the supply below which a cell loses its bit
CELL_POWER_UP = 9  # the state in which it wakes
CELL_STUCK = 10  # whether a resistive cell is stuck, and at what
CELL_TRAP = 11  # whether it has a trap
CELL_BACKWARD = 15  # what the transistor of its transposed read adds to its mismatch

# Normals of places that are not frozen: under the key of a call, and under that of a write.
READ_FLICKER = 12
READ_TELEGRAPH = 13
WRITE_DRIFT = 14  # which way a cell drifts until it is written again
WRITE = 64  # + k: the error of attempt k


@parallel_kernel(lambda *args: 10 * math.prod(args[2:7]))
def frozen_normals(key, source, row_tiles, rows, polarities, slices, columns, tile_columns):
    """Normals of every place: (row_tiles, rows, polarities, slices, columns) float32.

    Each is a function of (key, source, tile, polarity, slice, row, column in the tile) alone, whatever else is made.
    """
    out = np.empty((row_tiles, rows, polarities, slices, columns), np.float32)
    column_tiles = (columns + tile_columns - 1) // tile_columns
    for index in nb.prange(row_tiles * rows):
        row_tile, row = index // rows, index % rows
        for polarity in range(polarities):
            for s in range(slices):
                place = np.uint32(source << 16 | polarity << 8 | s)
                for column_tile in range(column_tiles):
                    first = column_tile * tile_columns
                    last = min(first + tile_columns, columns)
                    # the tile's number must not move when the layer gets more columns
                    tile = np.uint32(row_tile << 16 | column_tile)
                    fill_normals(out[row_tile, row, polarity, s, first:last], key, 0, np.uint32(row), tile, place)
    return out
