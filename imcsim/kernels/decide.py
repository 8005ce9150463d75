"""How a converter finds its code: values in LSB from the lowest level become codes, by each kind's own procedure."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from imcsim.kernels.jit import inline
from imcsim.kernels.philox import fill_words, normal_of

NEAREST = 0  # the nearest code
STOCHASTIC = 1  # the code below or above at random, unbiased
SUCCESSIVE = 2  # a bit a decision: table = the weights of the bits in LSB, the highest first
COUNT = 3  # how many thresholds lie below: table = the thresholds in LSB, sorted
PIPELINE = 4  # stages of 1.5 bits: table = gain, step, lower and upper threshold of each; the last comparator's
DISTRIBUTION = 5  # at random: table = input levels in LSB, then for each of them P(code <= k) for every k < max_code

# Sources of randomness: the last word of the Philox counter.
DITHER = 8  # the one uniform number of a conversion
DECISION_NOISE = 16  # + j: the comparator's noise as it decides bit j


class Decision(NamedTuple):
    """What the converters of a die decide by, in the form of the kernels.

    `kind` says what the rows of `table` (owners, entries) float32 mean; `which` (tiles, columns) int32 is the row of
    each column. `noise_lsb` is drawn at every decision of a conversion.
    """

    kind: int
    table: Any
    which: Any
    noise_lsb: float


@inline
def decide(u, scratch, decision, tile, first, max_code, key, block, conversion, sample):
    """Turn values u (n,), in LSB from the lowest level, into codes 0 to max_code; u[c] is of column `first` + c.

    Gain, offset and sampled noise are in u already. `scratch` (n,) is float32. Column `first` has number 64 `block` in
    the random streams. Ideal converters (max_code 0) leave u as it is.
    """
    kind = decision.kind
    which = decision.which[tile]
    if max_code == 0:
        return
    if kind == NEAREST:
        top, zero = u.dtype.type(max_code), u.dtype.type(0)
        for c in range(u.shape[0]):
            u[c] = min(max(np.rint(u[c]), zero), top)
    elif kind == STOCHASTIC:
        _uniforms(scratch, key, block, conversion, sample)
        top, zero = u.dtype.type(max_code), u.dtype.type(0)
        for c in range(u.shape[0]):
            # not floor(u + U): the sum of a whole u and a U near 1 would round up
            below = np.floor(u[c])
            above = u.dtype.type(scratch[c] < u[c] - below)
            u[c] = min(max(below + above, zero), top)
    elif kind == SUCCESSIVE:
        _successive(
            u, scratch, decision.table, which, first, decision.noise_lsb, max_code, key, block, conversion, sample
        )
    elif kind == COUNT:
        count = _below(u, decision.table, which, first, decision.table.shape[1])
        for c in range(u.shape[0]):
            u[c] = min(count[c], np.uint64(max_code))
    elif kind == PIPELINE:
        _pipeline(u, decision.table, which, first, max_code)
    else:
        _uniforms(scratch, key, block, conversion, sample)
        _distribution(u, scratch, decision.table, which, first, max_code)


@inline
def _uniforms(out, key, block, conversion, sample):
    """Fill out (n,) float32 with the numbers of [0, 1) that the conversions of n columns draw."""
    words = out.view(np.uint32)
    fill_words(words, key, block, np.uint32(conversion), np.uint32(sample), np.uint32(DITHER))
    for c in range(out.shape[0]):
        out[c] = np.float32(words[c] >> np.uint32(8)) * np.float32(2.0**-24)


@inline
def _normals(out, key, block, conversion, sample, source):
    """Fill out (n,) float32 with the normals that the conversions of n columns draw from a source."""
    words = out.view(np.uint32)
    fill_words(words, key, block, np.uint32(conversion), np.uint32(sample), np.uint32(source))
    for c in range(out.shape[0]):
        out[c] = normal_of(words[c])


@inline
def _below(u, table, which, first, size):
    """How many of the first `size` entries, sorted, of each column's row lie below its u (n,): uint64 (n,)."""
    # all columns halve in step, choosing without branches, which nobody could predict; unsigned, so that no index is
    # checked for its sign
    one, zero = np.uint64(1), np.uint64(0)
    count, size = np.zeros(u.shape[0], np.uint64), np.uint64(size)
    while size > zero:
        half = (size + one) >> one
        for c in range(u.shape[0]):
            count[c] += half if table[np.uint64(which[first + c]), count[c] + half - one] < u[c] else zero
        size -= half
    return count


@inline
def _successive(u, scratch, table, which, first, noise_lsb, max_code, key, block, conversion, sample):
    number = u.dtype.type
    half, top, sigma = number(0.5), number(max_code), number(noise_lsb)
    bits = table.shape[1]
    code = np.zeros_like(u)
    scratch[:] = 0
    for j in range(bits - 1, -1, -1):
        if noise_lsb > 0:
            _normals(scratch, key, block, conversion, sample, DECISION_NOISE + j)
        worth = number(1 << j)
        for c in range(u.shape[0]):
            weight = number(table[which[first + c], bits - 1 - j])
            keep = (u[c] + sigma * scratch[c] > weight - half) & (code[c] + worth <= top)
            code[c] += worth if keep else number(0)
            u[c] -= weight if keep else number(0)  # what is left of u above the sum of the weights kept
    u[:] = code


@inline
def _pipeline(u, table, which, first, max_code):
    number = u.dtype.type
    stages = table.shape[1] // 4
    half, one, zero, top = number(0.5), number(1), number(0), number(max_code)
    per_lsb = number(0.5**stages)
    code = np.zeros_like(u)
    for c in range(u.shape[0]):
        u[c] = (u[c] + half) * per_lsb - one  # in V_ref, which is 2^stages LSB, from the middle of the range
    for stage in range(stages):
        for c in range(u.shape[0]):
            row = which[first + c]
            gain, step = number(table[row, 4 * stage]), number(table[row, 4 * stage + 1])
            above_lower = one if u[c] > table[row, 4 * stage + 2] else zero
            above_upper = one if u[c] > table[row, 4 * stage + 3] else zero
            digit = above_lower + above_upper - one
            code[c] = code[c] + code[c] + digit
            u[c] = gain * u[c] - digit * step
    middle = number((1 << stages) - 1)
    for c in range(u.shape[0]):
        last = one if u[c] > table[which[first + c], 4 * stages] else zero
        u[c] = min(max(code[c] + middle + last, zero), top)


@inline
def _distribution(u, uniform, table, which, first, max_code):
    number = u.dtype.type
    one, zero, codes = np.uint64(1), np.uint64(0), np.uint64(max_code)
    inputs = np.uint64(table.shape[1] // (max_code + 1))  # each has its level, and a probability a code but the last
    upper = _below(u, table, which, first, inputs)
    lower = np.empty_like(upper)
    for c in range(u.shape[0]):
        row = np.uint64(which[first + c])
        lower[c] = upper[c] - one if upper[c] > zero else zero
        upper[c] = upper[c] if upper[c] < inputs else inputs - one
        share = number(0)  # of the upper input, in the mixture of the two
        if upper[c] > lower[c]:
            from_lower = u[c] - number(table[row, lower[c]])
            share = from_lower / (number(table[row, upper[c]]) - number(table[row, lower[c]]))
        u[c] = share
    # the first code whose probability, with that of all below it, exceeds the uniform number: searched as in _below
    count, size = np.zeros(u.shape[0], np.uint64), codes
    while size > zero:
        half = (size + one) >> one
        for c in range(u.shape[0]):
            row, k = np.uint64(which[first + c]), inputs + count[c] + half - one
            at_lower, at_upper = number(table[row, k + lower[c] * codes]), number(table[row, k + upper[c] * codes])
            count[c] += half if at_lower + u[c] * (at_upper - at_lower) <= uniform[c] else zero
        size -= half
    u[:] = count
