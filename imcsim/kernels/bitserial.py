"""Reads bit by bit: which cells the input bits pick, their sums, and the codes of the sums.

A bit-serial read adds integers by the "method of four Russians": the subset sums of every 4 rows stand in a table, an
input nibble picks one, and 16 such picks add up 64 rows. The table of 64 rows and one vector of columns is 16 KiB,
which stays in the first-level cache while all samples of a block pass; integer sums are exact in any order.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from imcsim.kernels.column import CELL_NOISE, SECOND_CELL_NOISE, analog, convert, convert_linear
from imcsim.kernels.inputs import part_of
from imcsim.kernels.jit import inline, parallel_kernel
from imcsim.kernels.lanes import LANE_BYTES, ROWS_A_SUM, add_sum, add_vectors, set_sum
from imcsim.kernels.philox import fill_words, normal_of

GROUP = 4  # rows whose subset sums stand in one table
SLAB = GROUP * ROWS_A_SUM  # rows that one pass adds up; the kernels take rows in whole slabs
CHUNK = 64  # columns that an iteration owns; the kernels take columns in whole chunks
_BLOCK = 128  # samples that an iteration owns: enough to earn the building of the tables


@parallel_kernel(lambda codes, *others: codes.size * others[3].shift.size)
def table_rows(codes, tiles, used, rows, cycles):
    """Which table row each group of 4 inputs picks: (samples, inputs) -> (samples, tiles, cycles, rows / 4) uint8.

    16 x the group's place in its slab + the nibble, whose bit i is the input of row 4 group + i in that cycle: cycles
    of one bit, from codes of at most 16. A tile uses `used` inputs and has `rows`, a multiple of 64; the rest sees 0.
    """
    samples, inputs = codes.shape
    groups, count = rows // GROUP, cycles.shift.shape[0]
    picks = np.empty((samples, tiles, count, groups), np.uint8)
    for sample in nb.prange(samples):
        for tile in range(tiles):
            for group in range(groups):
                place = np.uint8(16 * (group % ROWS_A_SUM))
                four, part = np.uint64(0), -1  # the codes of the group's rows, 16 bits each
                for cycle in range(count):
                    if cycles.part[cycle] != part:
                        part, four = cycles.part[cycle], np.uint64(0)
                        for i in range(GROUP):
                            local = GROUP * group + i
                            if local < used and tile * used + local < inputs:
                                code = part_of(np.int32(codes[sample, tile * used + local]), part)
                                four |= np.uint64(code & 0xFFFF) << np.uint64(16 * i)
                    # bits 0, 16, 32, 48 of the masked word, brought side by side by one multiplication
                    spread = (four >> np.uint64(cycles.shift[cycle])) & np.uint64(0x0001000100010001)
                    nibble = (spread * np.uint64(0x0001000200040008) >> np.uint64(48)) & np.uint64(15)
                    picks[sample, tile, cycle, group] = place | np.uint8(nibble)
    return picks


@inline
def sum_slabs(picks, sample, samples, states, at, tile, column, table, sums):
    """Sum the picked states of CHUNK columns, for all cycles of `samples` samples, into sums (samples, cycles, CHUNK).

    `picks` (samples, tiles, cycles, groups) as table_rows gives them, of `tile`; states (all tiles, rows, columns), of
    which `at` is the tile's, of any integer type; `table` (256 vectors) is scratch. All arrays but `states` are flat in
    memory.
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
                    row = states[at, (slab * ROWS_A_SUM + group) * GROUP + bit]
                    for subset in range(1 << bit):
                        target = first + (subset + (1 << bit)) * vector
                        add_vectors(table, target, table, first + subset * vector, row, column + part)
            for i in range(samples):
                start = ((sample + i) * tiles + tile) * cycles * groups + slab * ROWS_A_SUM
                for cycle in range(cycles):
                    to = (i * cycles + cycle) * CHUNK + part
                    if slab == 0:
                        set_sum(table, flat, start + cycle * groups, out, to)
                    else:
                        add_sum(table, flat, start + cycle * groups, out, to)


@inline
def _round_sums(sums, grid, column, adc, tile, columns, weights, totals):
    """Add to totals (samples, CHUNK) float32 the weighted codes of sums (samples, cycles, CHUNK).

    Nothing is noisy or nonlinear.
    """
    top, zero, unit = np.float32(adc.max_code), np.float32(0), np.float32(grid)
    scale, shift, pedestal = adc.scale[tile, columns], adc.shift[tile, columns], column.pedestal[columns]
    for i in range(sums.shape[0]):
        for cycle in range(sums.shape[1]):
            weight = np.float32(weights[cycle])
            for c in range(CHUNK):
                u = (np.float32(sums[i, cycle, c]) * unit + pedestal[c]) * scale[c] + shift[c]
                totals[i, c] += weight * min(max(np.rint(u), zero), top)


@inline
def _round_noisy_sums(
    sums, grid, variance_sums, variance_grid, noise, column, adc, tile, columns, weights,
    key, block, conversion, first, totals,
):  # fmt: skip
    """_round_sums where cells, columns or converters are noisy: see convert_linear. sums[0] is sample `first`.

    `variance_sums` (samples, cycles, CHUNK) are read only where cells are noisy; `noise` (cycles x CHUNK,) float32 is
    scratch.
    """
    samples, cycles = sums.shape[:2]
    words = noise.view(np.uint32)
    top, zero, unit = np.float32(adc.max_code), np.float32(0), np.float32(grid)
    cell_noise = column.cell_variance > 0
    variance_unit = np.float32(column.cell_variance * variance_grid)
    adc_variance = np.float32(adc.noise_lsb * adc.noise_lsb)
    scale, shift = adc.scale[tile, columns], adc.shift[tile, columns]
    pedestal, own = column.pedestal[columns], column.variance[columns]
    for i in range(samples):
        for cycle in range(cycles):
            part = words[cycle * CHUNK : (cycle + 1) * CHUNK]
            counter = np.uint32(conversion + cycle), np.uint32(first + i), np.uint32(CELL_NOISE)
            fill_words(part, key, block, *counter)
        for c in range(cycles * CHUNK):
            noise[c] = normal_of(words[c])
        for cycle in range(cycles):
            weight, at = np.float32(weights[cycle]), cycle * CHUNK
            for c in range(CHUNK):
                cells = variance_unit * np.float32(variance_sums[i, cycle, c]) if cell_noise else zero
                sigma = np.sqrt((cells + own[c]) * scale[c] * scale[c] + adc_variance)
                u = (np.float32(sums[i, cycle, c]) * unit + pedestal[c]) * scale[c] + shift[c] + sigma * noise[at + c]
                totals[i, c] += weight * min(max(np.rint(u), zero), top)


@parallel_kernel(lambda picks, states, *_: picks.size * states.shape[2] // 4)
def round_read(picks, states, grid, variances, variance_grid, column, noisy, adc, weights, keys):
    """convert_read where nothing is nonlinear and converters round to the nearest code: sums become codes in one pass.

    Nor may a sum of codes exceed what float32 holds exactly. `noisy`: cells, columns or converters are.
    """
    members, samples, columns = keys.shape[0], picks.shape[1], states.shape[2]
    chunks, blocks = columns // CHUNK, (samples + _BLOCK - 1) // _BLOCK
    out = np.empty((members, samples, columns))
    for item in nb.prange(members * blocks * chunks):
        member, block, chunk = item // (blocks * chunks), item // chunks % blocks, item % chunks
        _round_block(
            picks[member % picks.shape[0]], states, grid, variances, variance_grid, column, noisy, adc, weights,
            keys[member], member, block, chunk, out[member],
        )  # fmt: skip
    return out


@inline
def _round_block(
    picks, states, grid, variances, variance_grid, column, noisy, adc, weights, key, member, block, chunk, out
):
    samples, tiles, cycles = picks.shape[:3]
    first, start = block * _BLOCK, chunk * CHUNK
    count, here = min(_BLOCK, samples - first), slice(start, start + CHUNK)
    cell_noise = column.cell_variance > 0
    table = np.empty(256 * LANE_BYTES // states.itemsize, states.dtype)
    variance_table = np.empty(256 * LANE_BYTES // variances.itemsize, variances.dtype)
    sums = np.empty((count, cycles, CHUNK), states.dtype)
    variance_sums = np.empty((count if cell_noise else 1, cycles, CHUNK), variances.dtype)
    totals = np.zeros((count, CHUNK), np.float32)
    noise = np.empty(cycles * CHUNK, np.float32)
    for tile in range(tiles):
        at = member * tiles + tile
        sum_slabs(picks, first, count, states, at, tile, start, table, sums)
        if cell_noise:
            sum_slabs(picks, first, count, variances, at, tile, start, variance_table, variance_sums)
        if noisy:
            _round_noisy_sums(
                sums, grid, variance_sums, variance_grid, noise, column, adc, at, here, weights,
                key, chunk, tile * cycles, first, totals,
            )  # fmt: skip
        else:
            _round_sums(sums, grid, column, adc, at, here, weights, totals)
    for i in range(count):
        out[first + i, here] = totals[i]


@parallel_kernel(lambda picks, states, *_: picks.size * states.shape[2] // 4)
def convert_read(
    picks, states, grid, variances, variance_grid, column, noisy, linear, adc, weights, accumulate, pair, keys
):
    """Read bit by bit: picks (1 or members, samples, tiles, cycles, groups) -> (members, samples, columns) float64.

    The output sums weight x ADC code (x value where the ADC is ideal) over cycles and tiles. `states` and `variances`
    (members x tiles, rows, pair x columns) are integers in units of `grid` MAC units, and of `variance_grid`; no sum
    over the rows of a tile may overflow them. Rows come in whole slabs, columns in whole chunks. Where `pair` is 2, the
    value of column c is that of columns + c subtracted from it, ahead of the converter. `accumulate`: the weighted
    cycles are added as values and converted once.
    """
    members, samples, columns = keys.shape[0], picks.shape[1], states.shape[2] // pair
    chunks, blocks = columns // CHUNK, (samples + _BLOCK - 1) // _BLOCK
    out = np.zeros((members, samples, columns))
    for item in nb.prange(members * blocks * chunks):
        member, block, chunk = item // (blocks * chunks), item // chunks % blocks, item % chunks
        _convert_block(
            picks[member % picks.shape[0]], states, grid, variances, variance_grid, column, noisy, linear, adc, weights,
            accumulate, pair, keys[member], member, block, chunk, out[member],
        )  # fmt: skip
    return out


@inline
def _convert_block(
    picks, states, grid, variances, variance_grid, column, noisy, linear, adc, weights, accumulate, pair, key,
    member, block, chunk, out,
):  # fmt: skip
    samples, tiles, cycles = picks.shape[:3]
    columns = out.shape[1]
    first, start = block * _BLOCK, chunk * CHUNK
    count, here = min(_BLOCK, samples - first), slice(start, start + CHUNK)
    cell_noise = column.cell_variance > 0
    merged = linear and (noisy or adc.noise_lsb > 0) and not accumulate and pair == 1
    table = np.empty(256 * LANE_BYTES // states.itemsize, states.dtype)
    variance_table = np.empty(256 * LANE_BYTES // variances.itemsize, variances.dtype)
    sums = np.empty((pair, count, cycles, CHUNK), states.dtype)
    variance_sums = np.empty((pair, count if cell_noise else 0, cycles, CHUNK), variances.dtype)
    v = np.empty((cycles, CHUNK), np.float32)
    other = np.empty(CHUNK, np.float32)
    variance_sum = np.empty(CHUNK, np.float32)
    deviation = np.empty(CHUNK, np.float32)
    noise = np.empty(CHUNK, np.float32)
    for tile in range(tiles):
        at = member * tiles + tile
        for p in range(pair):
            sum_slabs(picks, first, count, states, at, tile, start + p * columns, table, sums[p])
            if cell_noise:
                to = variance_sums[p]
                sum_slabs(picks, first, count, variances, at, tile, start + p * columns, variance_table, to)
        for i in range(count):
            sample = first + i
            for p in range(pair):
                there = slice(start + p * columns, start + p * columns + CHUNK)
                source = CELL_NOISE if p == 0 else SECOND_CELL_NOISE
                for cycle in range(cycles):
                    number = tile * cycles + cycle
                    value = v[cycle] if p == 0 else other
                    _scaled(sums[p, i, cycle], grid, value)
                    if cell_noise:
                        _scaled(variance_sums[p, i, cycle], variance_grid, variance_sum)
                    if merged:
                        convert_linear(value, variance_sum, noise, column, adc, at, here, key, chunk, number, sample)
                        continue
                    analog(
                        value, variance_sum, deviation, noise, column, noisy, linear, there,
                        key, chunk, number, sample, source,
                    )  # fmt: skip
                    if p == 1:
                        for c in range(CHUNK):
                            v[cycle, c] -= other[c]
            if accumulate:
                other[:] = 0
                for cycle in range(cycles):
                    for c in range(CHUNK):
                        other[c] += np.float32(weights[cycle]) * v[cycle, c]
                v[0] = other
            for cycle in range(1 if accumulate else cycles):
                if not merged:
                    convert(v[cycle], noise, adc, at, here, key, chunk, tile * cycles + cycle, sample)
                weight = 1.0 if accumulate else weights[cycle]
                for c in range(CHUNK):
                    out[sample, start + c] += weight * v[cycle, c]


@inline
def _scaled(integers, grid, out):
    """Integers (CHUNK,) in units of `grid`, as float32."""
    unit = np.float32(grid)
    for c in range(CHUNK):
        out[c] = np.float32(integers[c]) * unit
