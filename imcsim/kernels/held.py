"""Sums of columns that are held while they are converted again and again, each time with noise of its own.

A pass may find the cells of one row changed: that changes the sums of its columns by what drives the row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

from imcsim.kernels.jit import parallel_kernel
from imcsim.kernels.sums import convert_sample


class Sums(NamedTuple):
    """What the columns of some inputs add up to, in MAC units, and the variances of that in their squares: float64.

    `sums` (sets, samples, reads, cycles, pair, columns), `variances` the same, no entries where cells are not noisy;
    `drives` (sets, samples, reads, cycles, rows) is what drives the rows. One set is read by all passes; of many, each
    pass has its own.
    """

    sums: Any
    variances: Any
    drives: Any


class Changes(NamedTuple):
    """What is added to the cells of one row in each pass: states and variances (passes, pair, columns) float64.

    `read` and `row` (passes,) are where it lies; a read of -1: no cell changes.
    """

    read: Any
    row: Any
    states: Any
    variances: Any


@parallel_kernel(lambda held, changes, *_: 10 * changes.read.size * held.sums[0].size)
def convert_held(held, changes, like, column, noisy, linear, adc, weights, accumulate, key):
    """Read what is held, once a pass, with the changes of that pass: (passes, samples, columns) float64.

    As convert_sums reads sums in the type of `like`, of one member and samples that number pass x samples + sample.
    """
    sets, samples, reads, cycles, pair, columns = held.sums.shape
    passes, cell_noise = changes.read.shape[0], column.cell_variance > 0
    out = np.zeros((passes, samples, columns))
    for sample in nb.prange(samples):
        sums = np.empty((reads, cycles, pair, columns), like.dtype)
        variances = np.empty(sums.shape, like.dtype)
        for number in range(passes):
            of, read, row = number % sets, changes.read[number], changes.row[number]
            sums[:] = held.sums[of, sample]
            if cell_noise:
                variances[:] = held.variances[of, sample]
            if read >= 0:
                for cycle in range(cycles):
                    x = held.drives[of, sample, read, cycle, row]
                    for p in range(pair):
                        before, change = held.sums[of, sample, read, cycle, p], changes.states[number, p]
                        for c in range(columns):
                            sums[read, cycle, p, c] = before[c] + x * change[c]
                        if cell_noise:
                            before, change = held.variances[of, sample, read, cycle, p], changes.variances[number, p]
                            for c in range(columns):
                                variances[read, cycle, p, c] = before[c] + x * x * change[c]
            convert_sample(
                sums, variances, column, noisy, linear, adc, weights, accumulate,
                key, 0, number * samples + sample, out[number, sample],
            )  # fmt: skip
    return out


@parallel_kernel(lambda held, changes, *_: 4 * changes.states.size * held.sums.shape[1] * held.sums.shape[3])
def round_held(held, changes, like, column, adc, weights):
    """convert_held of a set that all passes read, nothing noisy or nonlinear, and converters that round to nearest.

    Only what changes is converted again; nor may a sum of codes exceed what float64 holds exactly. One column a pair.
    """
    _, samples, reads, cycles, _, columns = held.sums.shape
    passes, zero, top, pedestal = (
        changes.read.shape[0],
        like.dtype.type(0),
        like.dtype.type(adc.max_code),
        column.pedestal,
    )
    out = np.empty((passes, samples, columns))
    for sample in nb.prange(samples):
        clean, codes = np.zeros(columns), np.empty((reads, cycles, columns))
        for read in range(reads):
            scale, shift = adc.scale[read], adc.shift[read]
            for cycle in range(cycles):
                before, code = held.sums[0, sample, read, cycle, 0], codes[read, cycle]
                for c in range(columns):
                    value = like.dtype.type(before[c])
                    code[c] = min(max(np.rint((value + pedestal[c]) * scale[c] + shift[c]), zero), top)
                    clean[c] += weights[cycle] * code[c]
        for number in range(passes):
            read, row, total = changes.read[number], changes.row[number], out[number, sample]
            for c in range(columns):
                total[c] = clean[c]
            if read < 0:
                continue
            change, scale, shift = changes.states[number, 0], adc.scale[read], adc.shift[read]
            for cycle in range(cycles):
                x, weight = held.drives[0, sample, read, cycle, row], weights[cycle]
                before, code = held.sums[0, sample, read, cycle, 0], codes[read, cycle]
                for c in range(columns):
                    value = like.dtype.type(before[c] + x * change[c])
                    moved = min(max(np.rint((value + pedestal[c]) * scale[c] + shift[c]), zero), top)
                    total[c] += weight * (moved - code[c])
    return out
