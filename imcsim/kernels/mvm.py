"""Reads of an array: input codes and cell states -> sums of ADC codes, a sample and column."""

from __future__ import annotations

import numba as nb
import numpy as np

from imcsim.kernels.column import read_column
from imcsim.kernels.jit import parallel_kernel

# Rows whose subset sums stand in one table: the "method of four Russians". An input nibble picks one of 16 table rows,
# so that a read of r rows is r/4 additions of integers, exact in any order.
GROUP = 4

_BLOCK = 32  # samples an iteration takes through all tiles


@parallel_kernel
def subset_sums(states):
    """Tables of integer states (tiles, rows, columns), rows a multiple of 4 -> (tiles, rows / 4, 16, columns)."""
    tiles, rows, columns = states.shape
    tables = np.zeros((tiles, rows // GROUP, 16, columns), states.dtype)
    for index in nb.prange(tiles * (rows // GROUP)):
        tile, group = index // (rows // GROUP), index % (rows // GROUP)
        for subset in range(1, 16):
            for bit in range(GROUP):
                if subset >> bit & 1:
                    for c in range(columns):
                        tables[tile, group, subset, c] += states[tile, GROUP * group + bit, c]
    return tables


@parallel_kernel
def input_nibbles(codes, tiles, rows, cycles):
    """Bits of codes (samples, inputs) int64, two's complement -> (samples, tiles, cycles, rows / 4) uint8.

    Bit i of a nibble is the input of row 4 group + i at that cycle; rows beyond the last input see 0.
    """
    samples, inputs = codes.shape
    nibbles = np.zeros((samples, tiles, cycles, rows // GROUP), np.uint8)
    for sample in nb.prange(samples):
        for row in range(inputs):
            tile, local = row // rows, row % rows
            for cycle in range(cycles):
                bit = (codes[sample, row] >> cycle) & 1
                nibbles[sample, tile, cycle, local // GROUP] |= np.uint8(bit << (local % GROUP))
    return nibbles


@parallel_kernel
def bit_serial_read(nibbles, tables, grid, variance_tables, variance_grid, column, adc, cycle_weights, key):
    """Read bit by bit: nibbles (samples, tiles, cycles, groups) -> (samples, columns).

    Tables are (tiles, groups, 16, columns). The output, float64, sums cycle weight x ADC code (x value where the ADC
    is ideal) over cycles and tiles. Sums of cells are integers in units of `grid` MAC units, those of their variances
    of `variance_grid`.
    """
    samples, tiles, cycles, groups = nibbles.shape
    columns = tables.shape[3]
    out = np.zeros((samples, columns))
    for block in nb.prange((samples + _BLOCK - 1) // _BLOCK):
        sums = np.empty(columns, tables.dtype)
        variances = np.empty(columns, variance_tables.dtype)
        v = np.empty(columns, np.float32)
        variance_sum = np.empty(columns, np.float32)
        noise = np.empty(columns, np.float32)
        for tile in range(tiles):  # outermost, so that its tables stay in the cache
            for sample in range(block * _BLOCK, min((block + 1) * _BLOCK, samples)):
                for cycle in range(cycles):
                    sums[:] = 0
                    for group in range(groups):
                        row = tables[tile, group, nibbles[sample, tile, cycle, group]]
                        for c in range(columns):
                            sums[c] += row[c]
                    for c in range(columns):
                        v[c] = np.float32(sums[c]) * np.float32(grid)
                    if column.cell_variance > 0:
                        variances[:] = 0
                        for group in range(groups):
                            row = variance_tables[tile, group, nibbles[sample, tile, cycle, group]]
                            for c in range(columns):
                                variances[c] += row[c]
                        for c in range(columns):
                            variance_sum[c] = np.float32(variances[c]) * np.float32(variance_grid)
                    read_column(v, variance_sum, noise, column, adc, tile, key, tile * cycles + cycle, sample)
                    weight = cycle_weights[cycle]
                    for c in range(columns):
                        out[sample, c] += weight * v[c]
    return out


@parallel_kernel
def one_shot_read(codes, states, variance_states, column, adc, key):
    """Read in one cycle: codes (samples, tiles, rows) int64 -> (samples, columns).

    States are (tiles, rows, columns) float32. The output, float64, sums ADC codes (values where the
    ADC is ideal) over tiles.
    """
    samples, tiles, rows = codes.shape
    columns = states.shape[2]
    out = np.zeros((samples, columns))
    for sample in nb.prange(samples):
        v = np.empty(columns)
        variance_sum = np.zeros(columns)
        noise = np.empty(columns, np.float32)
        for tile in range(tiles):
            v[:] = 0
            for row in range(rows):
                x = codes[sample, tile, row]
                if x != 0:
                    for c in range(columns):
                        v[c] += x * states[tile, row, c]
            if column.cell_variance > 0:
                variance_sum[:] = 0
                for row in range(rows):
                    x2 = codes[sample, tile, row] ** 2
                    if x2 != 0:
                        for c in range(columns):
                            variance_sum[c] += x2 * variance_states[tile, row, c]
            read_column(v, variance_sum, noise, column, adc, tile, key, tile, sample)
            for c in range(columns):
                out[sample, c] += v[c]
    return out
