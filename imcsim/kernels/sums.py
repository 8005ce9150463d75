"""Reads whose columns something else adds up: what drives their rows, and the codes of their sums."""

from __future__ import annotations

import numba as nb
import numpy as np

from imcsim.kernels.column import CELL_NOISE, SECOND_CELL_NOISE, analog, convert, convert_linear
from imcsim.kernels.jit import inline, parallel_kernel
from imcsim.kernels.product import add, drive_block


@parallel_kernel(lambda codes, first, count, reads, used, cycles, *_: count * reads * used * cycles.shift.size)  # noqa: ARG005
def drives(codes, first, count, reads, used, cycles, levels, noise_lsb, keys):
    """What drives the rows, of codes (1 or members, samples, inputs): (members, count, reads, cycles, used) float64.

    Of `count` samples from `first` on. A read takes `used` inputs; `levels` (members, rows of all reads, digits) are
    those of the rows' converters, no entries where they are exact, `noise_lsb` theirs.
    """
    members, number = keys.shape[0], cycles.shift.shape[0]
    out = np.empty((members, count, reads, number, used))
    for item in nb.prange(members * reads):
        member, read = item // reads, item % reads
        x, noise = np.empty((count, used)), np.empty(used, np.float32)
        of_member = codes[member % codes.shape[0]]
        for cycle in range(number):
            drive_block(
                of_member, first, count, read, used, cycles, cycle, levels, member, noise_lsb, keys[member], x, noise
            )
            out[member, :, read, cycle] = x
    return out


@parallel_kernel(lambda sums, *_: 10 * sums.size)
def convert_sums(sums, variances, column, noisy, linear, adc, weights, accumulate, keys, first):
    """Read columns that are summed already: sums (members, samples, tiles, cycles, pair, columns) float64 -> codes.

    As convert_products gives them, (members, samples, columns) float64, of samples that number from `first`. The
    `variances` of the cells, of the same shape, are in squares of MAC units, and read only where cells are noisy.
    """
    members, samples, _, _, _, columns = sums.shape
    out = np.zeros((members, samples, columns))
    for item in nb.prange(members * samples):
        member, sample = item // samples, item % samples
        convert_sample(
            sums[member, sample].copy(), variances[member, sample], column, noisy, linear, adc, weights, accumulate,
            keys[member], member, first + sample, out[member, sample],
        )  # fmt: skip
    return out


@inline
def convert_sample(sums, variances, column, noisy, linear, adc, weights, accumulate, key, member, sample, out):
    """Add to out (columns,) the codes of one sample's sums (tiles, cycles, pair, columns), float32 or float64.

    The sums are overwritten.
    """
    tiles, cycles, pair, columns = sums.shape
    here = slice(0, columns)
    merged = linear and (noisy or adc.noise_lsb > 0) and not accumulate and pair == 1
    deviation, gathered = np.empty(columns, sums.dtype), np.empty(columns, sums.dtype)
    noise = np.empty(columns, np.float32)
    for tile in range(tiles):
        at = member * tiles + tile
        gathered[:] = 0
        for cycle in range(cycles):
            number, weight, value = tile * cycles + cycle, weights[cycle], sums[tile, cycle, 0]
            if merged:
                of_cells = variances[tile, cycle, 0]
                convert_linear(value, of_cells, noise, column, adc, at, here, key, 0, number, sample)
                add(out, weight, value)
                continue
            for p in range(pair):
                there, source = slice(p * columns, (p + 1) * columns), CELL_NOISE if p == 0 else SECOND_CELL_NOISE
                analog(
                    sums[tile, cycle, p], variances[tile, cycle, p], deviation, noise, column, noisy, linear, there,
                    key, 0, number, sample, source,
                )  # fmt: skip
            if pair == 2:
                add(value, -1.0, sums[tile, cycle, 1])
            if accumulate:
                add(gathered, weight, value)
            else:
                convert(value, noise, adc, at, here, key, 0, number, sample)
                add(out, weight, value)
        if accumulate:
            convert(gathered, noise, adc, at, here, key, 0, tile * cycles, sample)
            add(out, 1.0, gathered)
