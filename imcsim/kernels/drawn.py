"""Codes of noisy values that are converted again and again: each decided by one random word.

A word's normal grows with it, so the code of a value grows with it, too: the words at which it takes the next code
are found once, and a pass compares. Louder noise, which reaches more codes than comparisons are worth, is drawn.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from imcsim.kernels.column import CELL_NOISE
from imcsim.kernels.jit import inline, parallel_kernel
from imcsim.kernels.philox import fill_normals, fill_words

MOST_EDGES = 12  # between the codes that a value reaches: a normal costs as much as comparing with so many

_NORMALS = 4096  # drawn in one go: 16 KB, which the first-level cache holds
_FEW = 4  # edges that are compared with in one go
_NOTHING = 1e-9  # of a deviation
_REACH = 6.36  # sigma: no word's normal lies beyond
_WORDS = 2.0**32
_NODES_A_SIGMA, _LAST = 32, 6.5
_NODES = np.arange(-_LAST, _LAST + 0.5 / _NODES_A_SIGMA, 1 / _NODES_A_SIGMA)
_BELOW = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in _NODES])
_DENSITY = np.exp(-0.5 * _NODES**2) / math.sqrt(2 * math.pi)


@parallel_kernel(lambda u, sigma, weights, max_code, key, passes: 4 * u.size * passes)  # noqa: ARG005
def draw_codes(u, sigma, weights, max_code, key, passes):
    """Codes of values u (samples, conversions, columns), in LSB with noise of deviation sigma: summed, once a pass.

    (passes, samples, columns) float64: conversions count `weights`, and round to the nearest code up to max_code. Both
    are float32, which is to hold every sum of codes exactly.
    """
    samples, conversions, columns = u.shape
    out = np.empty((passes, samples, columns))
    each = conversions * columns
    together = max(1, min(_NORMALS // each, passes))
    edges = int(2 * _REACH * sigma.max()) + 1
    compared = edges <= MOST_EDGES
    for sample in nb.prange(samples):
        words, noise = np.empty(together * each, np.uint32), np.empty(together * each, np.float32)
        values, deviations = u[sample].reshape(each), sigma[sample].reshape(each)
        codes, lowest, totals = np.empty(each, np.float32), np.zeros(each, np.float32), np.empty(columns, np.float32)
        last = np.empty(((min(edges, MOST_EDGES) + _FEW - 1) // _FEW, _FEW, each), np.uint32)
        if compared:
            _words_ahead(values, deviations, max_code, lowest, last)
        least = np.zeros(columns, np.float32)
        _add(least, weights, lowest)
        for number in range(passes):
            start = number % together * each
            here = slice(start, start + each)
            if compared:
                if start == 0:  # for passes together, as a call costs as much as some dozens of words
                    fill_words(words, key, 0, np.uint32(number), np.uint32(sample), np.uint32(CELL_NOISE))
                _count(words[here], last, codes)
            else:
                if start == 0:
                    fill_normals(noise, key, 0, np.uint32(number), np.uint32(sample), np.uint32(CELL_NOISE))
                _round(values, deviations, noise[here], max_code, codes)
            totals[:] = least
            _add(totals, weights, codes)
            out[number, sample] = totals
    return out


@inline
def _add(totals, weights, codes):
    """Add codes (conversions x columns,) to totals (columns,), by the weights of their conversions."""
    columns = totals.size
    for k in range(codes.size // columns):
        weight, code = np.float32(weights[k]), codes[k * columns : (k + 1) * columns]
        for c in range(columns):
            totals[c] += weight * code[c]


@inline
def _count(words, last, codes):
    """How many words of last (edges / 4, 4, n) each of the words is beyond: codes (n,)."""
    for some in range(last.shape[0]):
        one, two, three, four = last[some, 0], last[some, 1], last[some, 2], last[some, 3]
        for i in range(codes.size):
            word, before = words[i], codes[i] if some > 0 else np.float32(0)
            beyond = np.int32(word > one[i]) + np.int32(word > two[i])
            beyond += np.int32(word > three[i]) + np.int32(word > four[i])
            codes[i] = before + np.float32(beyond)


@inline
def _round(values, deviations, noise, max_code, codes):
    zero, top = np.float32(0), np.float32(max_code)
    for i in range(codes.size):
        codes[i] = min(max(np.rint(values[i] + deviations[i] * noise[i]), zero), top)


@inline
def _words_ahead(values, deviations, max_code, lowest, last):
    """The lowest code of each value (n,), and the last word (edges / 4, 4, n) ahead of each of the next."""
    top, never = float(max_code), _WORDS - 1
    for i in range(values.size):
        # a value without noise has one code, and no edge of it is within reach
        u, reach = float(values[i]), _REACH * float(deviations[i])
        first = np.rint(u) if reach == 0 else np.ceil(u - reach - 0.5)
        lowest[i] = min(max(first, 0.0), top)
    for some in range(last.shape[0]):
        for other in range(_FEW):
            ahead = last[some, other]
            for i in range(values.size):
                edge = float(lowest[i]) + (some * _FEW + other) + 0.5
                apart = (edge - float(values[i])) / max(float(deviations[i]), _NOTHING)
                # word w stands for the probability (w + 1/2) / 2^32, of which normal_of gives the quantile
                word = np.ceil(_probability_below(apart) * _WORDS - 0.5) - 1
                beyond = edge > top or deviations[i] == 0
                ahead[i] = np.uint32(np.int64(never if beyond else min(max(word, 0.0), never)))


@inline
def _probability_below(x):
    """The standard normal distribution at x, to 2^-34: four terms of its Taylor series from the nearest node."""
    x = min(max(x, -_LAST), _LAST)
    node = np.int32((x + _LAST) * _NODES_A_SIGMA + 0.5)
    at = float(node) / _NODES_A_SIGMA - _LAST
    d = x - at
    more = 1 - d * (at * 0.5 - d * ((at * at - 1) * (1 / 6) - d * (at * at * at - 3 * at) * (1 / 24)))
    return _BELOW[node] + _DENSITY[node] * d * more
