"""From inputs to what drives the rows: codes, and the digits of each cycle."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

from imcsim.kernels.jit import inline, parallel_kernel

EXACT = 2.0**24  # integers below it are exact in float32

# What of an input code a cycle takes its digit from.
CODE = 0  # the code, in two's complement
POSITIVE = 1  # the code where it is positive
NEGATIVE = 2  # its magnitude where it is negative
SIGNED = 3  # its magnitude; the digit takes the sign
BINARY = 4  # (code + 1) / 2 of a code that is -1 or +1
AS_IS = 5  # the digit is the code


class Cycles(NamedTuple):
    """The cycles of a read, (cycles,) each: the digit is (part of the code >> shift) & mask, and counts `weights`."""

    weights: Any
    shift: Any
    mask: Any
    part: Any


@parallel_kernel(lambda x, *_: x.size)
def quantise_inputs(x, step, low, top, binary):
    """Codes of x (samples, rows) in steps of `step`: float32 (samples, rows), rounded to nearest, within low ... top.

    `binary`: the signs, -1 or +1. Beside them, how many inputs of each sample have no code of their own, being not
    finite or beyond the codes: (samples,) int64.
    """
    samples, rows = x.shape
    codes = np.empty((samples, rows), np.float32)
    wrong = np.empty(samples, np.int64)
    for sample in nb.prange(samples):
        wrong[sample] = quantise(x[sample], step, low, top, binary, codes[sample])
    return codes, wrong


@inline
def quantise(x, step, low, top, binary, codes):
    """Fill codes (rows,) with those of one sample, as quantise_inputs does; how many inputs have none."""
    size, lowest, highest = x.dtype.type(step), np.float32(low), np.float32(top)
    without = np.int32(0)  # of 32 bits, as codes are: wider, it would halve the vectors
    if binary:
        for row in range(x.shape[0]):
            codes[row] = np.float32(1) if x[row] >= 0 else np.float32(-1)
            without = np.int32(without + np.int32(not np.abs(x[row]) < np.inf))
    else:
        for row in range(x.shape[0]):
            code = np.float32(np.rint(x[row] / size))
            kept = min(max(code, lowest), highest)
            without = np.int32(without + np.int32(not code == kept))  # noqa: SIM201  # nan is not equal
            codes[row] = kept
    return without


@inline
def part_of(code, part):
    """The integer from which the digits of a cycle are taken."""
    if part == POSITIVE:
        return max(code, 0)
    if part == NEGATIVE:
        return max(-code, 0)
    if part == SIGNED:
        return abs(code)
    if part == BINARY:
        return (code + 1) >> 1
    return code


@inline
def drive(codes, first, used, cycles, cycle, x):
    """Fill x (rows,) with the digits that cycle `cycle` takes from codes[first : first + used]; rows beyond see 0."""
    shift, mask, part = cycles.shift[cycle], cycles.mask[cycle], cycles.part[cycle]
    if part == AS_IS:
        for row in range(used):
            x[row] = codes[first + row]
    else:
        for row in range(used):
            code = np.int32(codes[first + row])
            digit = (part_of(code, part) >> shift) & mask
            x[row] = -digit if part == SIGNED and code < 0 else digit
    x[used:] = 0
