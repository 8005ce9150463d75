"""Reads in one pass, from inputs to products: where inputs enter whole and every weight is one column.

A block of samples becomes codes, meets the cells, is converted and scaled while it lies in the cache.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from imcsim.kernels.inputs import quantise
from imcsim.kernels.jit import inline, parallel_kernel
from imcsim.kernels.product import BLOCK, height, multiply_block, round_noisy_values, round_values, square


@parallel_kernel(lambda x, *others: x.size * others[6][0].size, blas=True)
def read_direct(x, step, low, top, binary, used, lsb, constant, states, variances, column, noisy, adc, cols, keys):
    """Read inputs x (1 or members, samples, inputs), from quantise_inputs to shift_and_add: (members, samples, cols).

    In float64. Inputs become codes from `low` to `top` in steps of `step` (1 or members,), `binary`: signs; they drive
    tiles of `used` inputs. Cells, columns and converters are those of round_products. A product is the sum of its codes
    times `lsb`, and `constant` beside, (1 or members,) both. Also, how many inputs of each block have no code.
    """
    samples, members, chunks = x.shape[1], keys.shape[0], states.shape[1]
    blocks = (samples + BLOCK - 1) // BLOCK
    out, wrong = np.empty((members, samples, cols)), np.empty(members * blocks * chunks, np.int64)
    for item in nb.prange(members * blocks * chunks):
        member, block, chunk = item // (blocks * chunks), item // chunks % blocks, item % chunks
        wrong[item] = _read_block(
            x[member % x.shape[0]], step[member % step.shape[0]], low, top, binary, used, lsb[member % lsb.shape[0]],
            constant[member % constant.shape[0]], states, variances, column, noisy, adc, keys[member],
            member, block, chunk, states.shape[0] // members, out[member],
        )  # fmt: skip
    return out, wrong


@inline
def _read_block(
    inputs, step, low, top, binary, used, lsb, constant, states, variances, column, noisy, adc, key,
    member, block, chunk, tiles, out,
):  # fmt: skip
    rows, width = states.shape[2:]
    first, start = block * BLOCK, chunk * width
    count, here = min(BLOCK, inputs.shape[0] - first), slice(start, start + width)
    high, cell_noise = height(count, rows), column.cell_variance > 0
    codes = np.empty((high, rows), states.dtype)
    squares = np.empty((high, rows) if cell_noise else (1, 1), states.dtype)
    v = np.empty((high, width), states.dtype)
    variance_sums = np.empty((high if cell_noise else 1, width), states.dtype)
    totals = np.zeros((count, width), states.dtype)
    noise = np.empty(width, np.float32)
    wrong = 0
    for tile in range(tiles):
        at, driven = member * tiles + tile, min(used, inputs.shape[1] - tile * used)
        if driven < rows or count < high:
            codes[:] = 0
        for i in range(count):
            entering = inputs[first + i, tile * used : tile * used + driven]
            wrong += quantise(entering, step, low, top, binary, codes[i, :driven])
        multiply_block(codes, 0, 0, high, states[at, chunk], v)
        if cell_noise:
            square(codes, 0, 0, squares)
            multiply_block(squares, 0, 0, high, variances[at, chunk], variance_sums)
        if noisy:
            round_noisy_values(
                v, variance_sums, noise, column, adc, at, here, 1.0, key, start // 64, tile, first, totals
            )
        else:
            round_values(v, column, adc, at, here, 1.0, totals)
    last = min(start + width, out.shape[1])
    for i in range(count):
        products, sums = out[first + i, start:last], totals[i]
        for c in range(last - start):
            products[c] = lsb * sums[c] + constant
    return wrong
