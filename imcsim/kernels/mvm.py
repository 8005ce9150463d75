"""Reads of an array: input codes and cell states -> sums of ADC codes, a sample and column.

A bit-serial read adds integers by the "method of four Russians": the subset sums of every 4 rows stand in a table, an
input nibble picks one, and 16 such picks add up 64 rows. The table of 64 rows and one vector of columns is 16 KiB,
which stays in the first-level cache while all samples of a block pass; integer sums are exact in any order.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from imcsim.kernels.column import read_column
from imcsim.kernels.jit import inline, parallel_kernel
from imcsim.kernels.lanes import LANE_BYTES, ROWS_A_SUM, add_sum, add_vectors, set_sum

GROUP = 4  # rows whose subset sums stand in one table
SLAB = GROUP * ROWS_A_SUM  # rows that one pass adds up; the kernels take rows in whole slabs
CHUNK = 64  # columns that an iteration owns; the kernels take columns in whole chunks
_BLOCK = 128  # samples that an iteration owns: enough to earn the building of the tables
_EXACT = 2.0**24  # integers below it are exact in float32


@parallel_kernel(lambda codes, *sizes: codes.size * sizes[-1])
def table_rows(codes, tiles, used, rows, cycles):
    """Which table row each group of 4 inputs picks: (samples, inputs) int64 -> (samples, tiles, cycles, rows / 4).

    The bits of the codes in two's complement, least significant cycle first, as uint8: 16 x the group's place in its
    slab + the nibble, whose bit i is the input of row 4 group + i. A tile uses `used` inputs and has `rows`, a multiple
    of 64; the rest sees 0.
    """
    samples, inputs = codes.shape
    groups = rows // GROUP
    picks = np.empty((samples, tiles, cycles, groups), np.uint8)
    for sample in nb.prange(samples):
        for tile in range(tiles):
            for group in range(groups):
                four = np.uint64(0)  # the codes of the group's rows, 16 bits each
                for i in range(GROUP):
                    local = GROUP * group + i
                    if local < used and tile * used + local < inputs:
                        four |= np.uint64(codes[sample, tile * used + local] & 0xFFFF) << np.uint64(16 * i)
                place = np.uint8(16 * (group % ROWS_A_SUM))
                for cycle in range(cycles):
                    # bits 0, 16, 32, 48 of the masked word, brought side by side by one multiplication
                    spread = (four >> np.uint64(cycle)) & np.uint64(0x0001000100010001)
                    nibble = (spread * np.uint64(0x0001000200040008) >> np.uint64(48)) & np.uint64(15)
                    picks[sample, tile, cycle, group] = place | np.uint8(nibble)
    return picks


@inline
def sum_slabs(picks, sample, samples, states, tile, column, table, sums):
    """Sum the picked states of CHUNK columns, for all cycles of `samples` samples, into sums (samples, cycles, CHUNK).

    `picks` (samples, tiles, cycles, groups) as table_rows gives them, states (tiles, rows, columns) of any unsigned
    integer type; `table` (256 vectors) is scratch. All arrays but `states` are flat in memory.
    """
    tiles, cycles, groups = picks.shape[1:]
    flat, out = picks.reshape(-1), sums.reshape(-1)
    vector = LANE_BYTES // states.itemsize
    for part in range(0, CHUNK, vector):
        for slab in range(groups // ROWS_A_SUM):
            for group in range(ROWS_A_SUM):
                first = group * 16 * vector
                table[first : first + vector] = 0
                for bit in range(GROUP):
                    row = states[tile, (slab * ROWS_A_SUM + group) * GROUP + bit]
                    for subset in range(1 << bit):
                        target = first + (subset + (1 << bit)) * vector
                        add_vectors(table, target, table, first + subset * vector, row, column + part)
            for i in range(samples):
                at = ((sample + i) * tiles + tile) * cycles * groups + slab * ROWS_A_SUM
                for cycle in range(cycles):
                    to = (i * cycles + cycle) * CHUNK + part
                    if slab == 0:
                        set_sum(table, flat, at + cycle * groups, out, to)
                    else:
                        add_sum(table, flat, at + cycle * groups, out, to)


@parallel_kernel(lambda picks, states, *_: picks.size * states.shape[2] // 4)
def bit_serial_read(picks, states, grid, variances, variance_grid, column, adc, cycle_weights, key):
    """Read bit by bit: picks (samples, tiles, cycles, groups) -> (samples, columns) float64.

    The output sums cycle weight x ADC code (x value where the ADC is ideal) over cycles and tiles. `states` and
    `variances` (tiles, rows, columns) are unsigned integers in units of `grid` MAC units, and of `variance_grid`; no
    sum over the rows of a tile may overflow them. Rows come in whole slabs, columns in whole chunks.
    """
    samples, tiles, cycles = picks.shape[:3]
    columns = states.shape[2]
    chunks = columns // CHUNK
    largest = adc.max_code * np.abs(cycle_weights).sum()
    exact_in_float32 = adc.max_code > 0 and largest < _EXACT
    out = np.zeros((samples, columns))
    for item in nb.prange((samples + _BLOCK - 1) // _BLOCK * chunks):
        first, chunk = item // chunks * _BLOCK, item % chunks
        count, start = min(_BLOCK, samples - first), chunk * CHUNK
        table = np.empty(256 * LANE_BYTES // states.itemsize, states.dtype)
        sums = np.empty((count, cycles, CHUNK), states.dtype)
        variance_table = np.empty(256 * LANE_BYTES // variances.itemsize, variances.dtype)
        variance_sums = np.empty((count, cycles, CHUNK), variances.dtype)
        v = np.empty(cycles * CHUNK, np.float32)
        variance_sum = np.empty(cycles * CHUNK, np.float32)
        noise = np.empty(cycles * CHUNK, np.float32)
        scale = np.empty(cycles * CHUNK, np.float32)
        shift = np.empty(cycles * CHUNK, np.float32)
        total = np.empty(CHUNK, np.float32)
        for tile in range(tiles):
            for cycle in range(cycles):
                scale[cycle * CHUNK : (cycle + 1) * CHUNK] = adc.scale[tile, start : start + CHUNK]
                shift[cycle * CHUNK : (cycle + 1) * CHUNK] = adc.shift[tile, start : start + CHUNK]
            sum_slabs(picks, first, count, states, tile, start, table, sums)
            if column.cell_variance > 0:
                sum_slabs(picks, first, count, variances, tile, start, variance_table, variance_sums)
            for i in range(count):
                sample = first + i
                all_sums = sums[i].reshape(-1)
                for c in range(cycles * CHUNK):
                    v[c] = np.float32(all_sums[c]) * np.float32(grid) + np.float32(column.pedestal)
                if column.cell_variance > 0:
                    all_variances = variance_sums[i].reshape(-1)
                    for c in range(cycles * CHUNK):
                        variance_sum[c] = np.float32(all_variances[c]) * np.float32(variance_grid)
                read_column(
                    v, variance_sum, noise, column, scale, shift, adc.max_code, adc.noise_lsb,
                    cycles, key, chunk, tile * cycles, sample,
                )  # fmt: skip
                if exact_in_float32:
                    total[:] = 0
                    for cycle in range(cycles):
                        weight = np.float32(cycle_weights[cycle])
                        for c in range(CHUNK):
                            total[c] += weight * v[cycle * CHUNK + c]
                    for c in range(CHUNK):
                        out[sample, start + c] += total[c]
                else:
                    for cycle in range(cycles):
                        for c in range(CHUNK):
                            out[sample, start + c] += cycle_weights[cycle] * v[cycle * CHUNK + c]
    return out


@parallel_kernel(lambda codes, states, *_: codes.size * states.shape[2])
def one_shot_read(codes, states, variances, column, adc, key):
    """Read in one cycle: codes (samples, tiles, rows) int64 -> (samples, columns) float64.

    `states` and `variances` are (tiles, rows, columns) float32. The output sums ADC codes (values where the ADC is
    ideal) over tiles.
    """
    samples, tiles, rows = codes.shape
    columns = states.shape[2]
    out = np.zeros((samples, columns))
    for sample in nb.prange(samples):
        v = np.empty(columns)
        variance_sum = np.zeros(columns)
        noise = np.empty(columns, np.float32)
        for tile in range(tiles):
            v[:] = column.pedestal
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
                            variance_sum[c] += x2 * variances[tile, row, c]
            read_column(
                v, variance_sum, noise, column, adc.scale[tile], adc.shift[tile], adc.max_code, adc.noise_lsb,
                1, key, 0, tile, sample,
            )  # fmt: skip
            for c in range(columns):
                out[sample, c] += v[c]
    return out


@parallel_kernel(lambda sums, *_: sums.size)
def shift_and_add(sums, worth, lsb, constant):
    """Recombine sums (samples, polarities, slices, cols) of ADC codes -> (samples, cols) float64.

    A column stands for lsb[slice] x sum + constant[slice] MAC units, each worth worth[polarity, slice].
    """
    samples, polarities, slices, cols = sums.shape
    out = np.zeros((samples, cols))
    for sample in nb.prange(samples):
        for polarity in range(polarities):
            for s in range(slices):
                factor, add = worth[polarity, s] * lsb[s], worth[polarity, s] * constant[s]
                for c in range(cols):
                    out[sample, c] += factor * sums[sample, polarity, s, c] + add
    return out
