"""Reads as matrix products: inputs of any size, whole or in cycles, through cells of any state.

A block of samples meets a tile in one product of a fixed shape, zero-padded, on one thread: so its bits depend neither
on the batch nor on the threads, which share the blocks out among themselves.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from llvmlite.binding import get_host_cpu_features

from imcsim.kernels.column import CELL_NOISE, DAC_NOISE, SECOND_CELL_NOISE, analog, convert, convert_linear
from imcsim.kernels.gemm import multiply
from imcsim.kernels.inputs import AS_IS, drive
from imcsim.kernels.jit import inline, parallel_kernel
from imcsim.kernels.philox import fill_normals

BLOCK = 256  # samples of a product
MOST_COLUMNS = 256  # of a product: the values of a block stay in the second-level cache
_ROUNDED = 16  # samples: a block that lacks some is as high as whole multiples of these
_ONE_PASS = 256  # rows whose sums a BLAS makes in one pass, so that no bit of them depends on the samples beside


# Terms of a product that OpenBLAS makes of its operands as they lie, without packing them first: with AVX-512 alone.
_UNPACKED = 1_000_000 if get_host_cpu_features().get("avx512f") else 0


@inline
def height(count, rows):
    """The samples of a product through `rows` for a block of `count`: it decides on the bits where rows are many."""
    return BLOCK if rows > _ONE_PASS else (count + _ROUNDED - 1) // _ROUNDED * _ROUNDED


@inline
def multiply_block(x, row, col, rows, weights, out):
    """multiply, in strips of samples where that is faster; not a bit of the product tells."""
    inner, width = weights.shape
    strip = rows
    if inner <= _ONE_PASS:
        whole = _UNPACKED // (inner * width) // _ROUNDED * _ROUNDED
        strip = min(whole, rows) if whole > 0 else rows
    for first in range(0, rows, strip):
        multiply(x, row + first, col, min(strip, rows - first), weights, out[first:])


@parallel_kernel(lambda codes, used, states: codes.size * states[0].size, blas=True)  # noqa: ARG005
def add_products(codes, used, states):
    """The product itself: codes (count, samples, inputs) -> (count, samples, columns) float64.

    `states` (count x parts, chunks, used, width) are the weights, in parts of `used` inputs whose products are exact in
    their type; they are added in float64.
    """
    count, samples, inputs = codes.shape
    parts, chunks, _, width = states.shape
    parts //= count
    blocks = (samples + BLOCK - 1) // BLOCK
    out = np.zeros((count, samples, chunks * width))
    for item in nb.prange(count * blocks * chunks):
        one, block, chunk = item // (blocks * chunks), item // chunks % blocks, item % chunks
        first = block * BLOCK
        rows = min(BLOCK, samples - first)
        x = np.zeros((rows, used), states.dtype)
        v = np.empty((rows, width), states.dtype)
        for part in range(parts):
            if (part + 1) * used <= inputs:
                multiply_block(codes[one], first, part * used, rows, states[one * parts + part, chunk], v)
            else:
                x[:, : inputs - part * used] = codes[one, first : first + rows, part * used :]
                multiply_block(x, 0, 0, rows, states[one * parts + part, chunk], v)
            for i in range(rows):
                add(out[one, first + i, chunk * width : (chunk + 1) * width], 1.0, v[i])
    return out


@inline
def drive_block(codes, first, count, tile, used, cycles, cycle, levels, member, noise_lsb, key, x, noise):
    """Fill x (count or more, rows) with what drives the rows of `tile` in `cycle`, as the rows' converters have it.

    `levels` (members, rows of all tiles, digits), no entries where they are exact; `noise` (rows or more,) is scratch.
    """
    inputs = codes.shape[1]
    rows = max(min(used, inputs - tile * used), 0)
    for i in range(count):
        row_of_x = x[i]
        drive(codes[first + i], tile * used, rows, cycles, cycle, row_of_x)
        if levels.shape[0] > 0:
            for row in range(rows):
                digit = row_of_x[row]
                level = levels[member, tile * used + row, int(abs(digit))]
                row_of_x[row] = -level if digit < 0 else level
            if noise_lsb > 0:
                number = tile * cycles.shift.shape[0] + cycle
                fill_normals(noise[:rows], key, 0, np.uint32(number), np.uint32(first + i), np.uint32(DAC_NOISE))
                for row in range(rows):
                    row_of_x[row] += row_of_x.dtype.type(noise_lsb) * noise[row]


@inline
def square(x, first_row, first_column, out):
    """Fill out (rows, columns) with the squares of a part of x."""
    for i in range(out.shape[0]):
        values, squares = x[first_row + i, first_column : first_column + out.shape[1]], out[i]
        for c in range(out.shape[1]):
            squares[c] = values[c] * values[c]


@parallel_kernel(lambda codes, *others: codes.size * others[4][0].size, blas=True)
def round_products(codes, cycles, used, levels, noise_lsb, states, variances, column, noisy, adc, keys):
    """convert_products where nothing is nonlinear and converters round to the nearest code: values are codes at once.

    Nor may a sum of codes exceed what the type of `states` holds exactly. `noisy`: cells, columns or converters are.
    """
    samples, members, chunks, width = codes.shape[1], keys.shape[0], states.shape[1], states.shape[3]
    blocks = (samples + BLOCK - 1) // BLOCK
    out = np.empty((members, samples, chunks * width))
    for item in nb.prange(members * blocks * chunks):
        member, block, chunk = item // (blocks * chunks), item // chunks % blocks, item % chunks
        _round_block(
            codes[member % codes.shape[0]], cycles, used, levels, noise_lsb, states, variances, column, noisy, adc,
            keys[member], member, block, chunk, states.shape[0] // members, out[member],
        )  # fmt: skip
    return out


@inline
def _round_block(
    codes, cycles, used, levels, noise_lsb, states, variances, column, noisy, adc, key, member, block, chunk, tiles, out
):
    rows, width = states.shape[2:]
    count_of_cycles = cycles.shift.shape[0]
    first, start = block * BLOCK, chunk * width
    count, here = min(BLOCK, codes.shape[0] - first), slice(start, start + width)
    high, cell_noise = height(count, rows), column.cell_variance > 0
    # a whole block of codes that enter as they are is multiplied where it lies
    direct = cycles.part[0] == AS_IS and levels.shape[0] == 0 and count == BLOCK
    x = np.zeros((high, rows), states.dtype)
    squares = np.zeros((high, rows) if cell_noise else (1, 1), states.dtype)
    v = np.empty((high, width), states.dtype)
    variance_sums = np.zeros((high if cell_noise else 1, width), states.dtype)
    totals = np.zeros((count, width), states.dtype)
    noise = np.empty(max(width, rows), np.float32)
    for tile in range(tiles):
        at = member * tiles + tile
        for cycle in range(count_of_cycles):
            where_it_lies = direct and (tile + 1) * used <= codes.shape[1]
            if where_it_lies:
                multiply_block(codes, first, tile * used, BLOCK, states[at, chunk], v)
            else:
                drive_block(codes, first, count, tile, used, cycles, cycle, levels, member, noise_lsb, key, x, noise)
                multiply_block(x, 0, 0, high, states[at, chunk], v)
            if cell_noise:
                square(codes, first, tile * used, squares) if where_it_lies else square(x, 0, 0, squares)
                multiply_block(squares, 0, 0, high, variances[at, chunk], variance_sums)
            if noisy:
                round_noisy_values(
                    v, variance_sums, noise[:width], column, adc, at, here, cycles.weights[cycle],
                    key, start // 64, tile * count_of_cycles + cycle, first, totals,
                )  # fmt: skip
            else:
                round_values(v, column, adc, at, here, cycles.weights[cycle], totals)
    for i in range(count):
        out[first + i, here] = totals[i]


@inline
def round_values(v, column, adc, tile, columns, weight, totals):
    """Add to totals (count, n) weight x the codes of sums v (count or more, n): nothing is noisy or nonlinear."""
    number = v.dtype.type
    top, zero, factor = number(adc.max_code), number(0), number(weight)
    scale, shift, pedestal = adc.scale[tile, columns], adc.shift[tile, columns], column.pedestal[columns]
    for i in range(totals.shape[0]):
        for c in range(totals.shape[1]):
            u = (v[i, c] + pedestal[c]) * scale[c] + shift[c]
            totals[i, c] += factor * min(max(np.rint(u), zero), top)


@inline
def round_noisy_values(
    v, variance_sums, noise, column, adc, tile, columns, weight, key, block, conversion, first, totals
):
    """round_values where cells, columns or converters are noisy: see convert_linear. v[0] is sample `first`."""
    number = v.dtype.type
    top, zero, factor = number(adc.max_code), number(0), number(weight)
    cell_noise, unit = column.cell_variance > 0, number(column.cell_variance)
    adc_variance = number(adc.noise_lsb * adc.noise_lsb)
    scale, shift = adc.scale[tile, columns], adc.shift[tile, columns]
    pedestal, own = column.pedestal[columns], column.variance[columns]
    for i in range(totals.shape[0]):
        fill_normals(noise, key, block, np.uint32(conversion), np.uint32(first + i), np.uint32(CELL_NOISE))
        for c in range(totals.shape[1]):
            cells = unit * variance_sums[i, c] if cell_noise else number(0)
            sigma = np.sqrt((cells + own[c]) * scale[c] * scale[c] + adc_variance)
            u = (v[i, c] + pedestal[c]) * scale[c] + shift[c] + sigma * noise[c]
            totals[i, c] += factor * min(max(np.rint(u), zero), top)


@parallel_kernel(lambda codes, *others: codes.size * others[4][0].size, blas=True)
def convert_products(
    codes, cycles, used, levels, noise_lsb, states, variances, column, noisy, linear, adc, accumulate, pair, keys
):
    """Read by products: codes (1 or members, samples, inputs) -> (members, samples, columns) float64.

    The output sums cycle weight x ADC code (x value where the ADC is ideal) over cycles and tiles of `used` inputs.
    `states` and `variances` (members x tiles, pair x chunks, rows, width) in MAC units and their squares; `levels`
    (members, rows of all tiles, digits) of the rows' converters, no entries where they are exact, `noise_lsb` theirs.
    Where `pair` is 2, the value of a column is that of its partner, chunks further, subtracted from it ahead of the
    converter. `accumulate`: the weighted cycles are added as values and converted once.
    """
    samples, members, chunks, width = codes.shape[1], keys.shape[0], states.shape[1] // pair, states.shape[3]
    blocks = (samples + BLOCK - 1) // BLOCK
    out = np.zeros((members, samples, chunks * width))
    for item in nb.prange(members * blocks * chunks):
        member, block, chunk = item // (blocks * chunks), item // chunks % blocks, item % chunks
        _convert_block(
            codes[member % codes.shape[0]], cycles, used, levels, noise_lsb, states, variances, column, noisy, linear,
            adc, accumulate, pair, keys[member], member, block, chunk, states.shape[0] // members, out[member],
        )  # fmt: skip
    return out


@inline
def _convert_block(
    codes, cycles, used, levels, noise_lsb, states, variances, column, noisy, linear, adc, accumulate, pair, key,
    member, block, chunk, tiles, out,
):  # fmt: skip
    rows, width = states.shape[2:]
    columns, chunks = out.shape[1], states.shape[1] // pair
    count_of_cycles = cycles.shift.shape[0]
    first, start = block * BLOCK, chunk * width
    count, here = min(BLOCK, codes.shape[0] - first), slice(start, start + width)
    philox_block = start // 64
    high, cell_noise = height(count, rows), column.cell_variance > 0
    merged = linear and (noisy or adc.noise_lsb > 0) and not accumulate and pair == 1
    x = np.zeros((high, rows), states.dtype)
    squares = np.zeros((high, rows) if cell_noise else (1, 1), states.dtype)
    v = np.empty((high, width), states.dtype)
    variance_sums = np.zeros((high if cell_noise else 1, width), states.dtype)
    held = np.empty((count if pair == 2 else 1, width), states.dtype)
    gathered = np.empty((count if accumulate else 1, width), states.dtype)
    deviation = np.empty(width, states.dtype)
    noise = np.empty(max(width, rows), np.float32)
    scratch = noise[:width]
    for tile in range(tiles):
        at = member * tiles + tile
        gathered[:] = 0
        for cycle in range(count_of_cycles):
            number, weight = tile * count_of_cycles + cycle, cycles.weights[cycle]
            drive_block(codes, first, count, tile, used, cycles, cycle, levels, member, noise_lsb, key, x, noise)
            if cell_noise:
                square(x, 0, 0, squares)
            for p in range(pair):
                there = slice(start + p * columns, start + p * columns + width)
                source = CELL_NOISE if p == 0 else SECOND_CELL_NOISE
                multiply_block(x, 0, 0, high, states[at, p * chunks + chunk], v)
                if cell_noise:
                    multiply_block(squares, 0, 0, high, variances[at, p * chunks + chunk], variance_sums)
                for i in range(count):
                    sample, value, variance_sum = first + i, v[i], variance_sums[i if cell_noise else 0]
                    if merged:
                        convert_linear(
                            value, variance_sum, scratch, column, adc, at, here, key, philox_block, number, sample
                        )
                        add(out[sample, here], weight, value)
                        continue
                    analog(
                        value, variance_sum, deviation, scratch, column, noisy, linear, there,
                        key, philox_block, number, sample, source,
                    )  # fmt: skip
                    if p < pair - 1:
                        held[i] = value
                        continue
                    if pair == 2:
                        for c in range(width):
                            value[c] = held[i, c] - value[c]
                    if accumulate:
                        add(gathered[i], weight, value)
                    else:
                        convert(value, scratch, adc, at, here, key, philox_block, number, sample)
                        add(out[sample, here], weight, value)
        if accumulate:
            for i in range(count):
                number = tile * count_of_cycles
                convert(gathered[i], scratch, adc, at, here, key, philox_block, number, first + i)
                add(out[first + i, here], 1.0, gathered[i])


@inline
def add(out, weight, values):
    """Add weight x values to out, both (n,)."""
    factor = out.dtype.type(weight)
    for c in range(out.shape[0]):
        out[c] += factor * values[c]
