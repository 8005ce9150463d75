"""Weight codes: what a write makes of them, and what cells that hold them add to their columns."""

from __future__ import annotations

import numba as nb
import numpy as np

from imcsim.kernels.gemm import multiply_transposed
from imcsim.kernels.jit import inline, parallel_kernel

ROWS = 32  # of a product of factors: it stays in the first-level cache


@parallel_kernel(lambda codes, scale, delta, *_: 5 * max(codes.size, delta.size))  # noqa: ARG005
def rewrite(codes, scale, delta, binary, digits, before):
    """Add delta to weights of codes (1 or members, rows, cols) in steps of scale (1 or members,): the codes after.

    Rounded to the nearest code and clipped at the largest; `binary`: the signs, -1 or 1. `digits` (codes, cells of a
    weight) are those of each code, the least first. Beside the codes: how often each cell was written, (members, rows,
    cols, cells of a weight) uint8, where `before` were earlier writes (no entries: none) and are less than 255; and how
    many codes changed in each row, (members, rows) int64.
    """
    members, rows, cols = max(codes.shape[0], delta.shape[0]), codes.shape[1], codes.shape[2]
    after = np.empty((members, rows, cols), np.int32)
    written = np.empty((members, rows, cols, digits.shape[1]), np.uint8)
    changed = np.empty((members, rows), np.int64)
    for item in nb.prange(members * rows):
        member, row = item // rows, item % rows
        added, step = delta[member % delta.shape[0], row], scale[member % scale.shape[0]]
        change = np.empty(cols)
        for c in range(cols):
            change[c] = added[c] / step
        of_row = codes[member % codes.shape[0], row], after[member, row], written[member, row]
        changed[member, row] = _rewrite_row(change, binary, digits, before, member, row, *of_row)
    return after, written, changed


@parallel_kernel(lambda codes, x, delta, *_: codes.size * x.shape[1] // 4, blas=True)  # noqa: ARG005
def rewrite_outer(codes, x, delta, binary, digits, before):
    """As `rewrite`, add the sum over samples of x^T delta: x (1 or members, samples, rows), delta (..., samples, cols).

    In codes; both are of float32 or of float64, and so is their product.
    """
    members, rows, cols = max(codes.shape[0], x.shape[0], delta.shape[0]), codes.shape[1], codes.shape[2]
    blocks = (rows + ROWS - 1) // ROWS
    after = np.empty((members, rows, cols), np.int32)
    written = np.empty((members, rows, cols, digits.shape[1]), np.uint8)
    changed = np.empty((members, rows), np.int64)
    for item in nb.prange(members * blocks):
        member, first = item // blocks, item % blocks * ROWS
        count = min(ROWS, rows - first)
        change = np.empty((ROWS, cols), x.dtype)
        multiply_transposed(x[member % x.shape[0]], 0, first, count, delta[member % delta.shape[0]], change)
        for i in range(count):
            row = first + i
            of_row = codes[member % codes.shape[0], row], after[member, row], written[member, row]
            changed[member, row] = _rewrite_row(change[i], binary, digits, before, member, row, *of_row)
    return after, written, changed


@inline
def _rewrite_row(change, binary, digits, before, member, row, old, new, count):
    """Fill the codes `new` (cols,) and the writes `count` (cols, cells) of a row, by a change in codes: the changed."""
    cols, top = old.shape[0], digits.shape[0] // 2
    if binary:
        for c in range(cols):
            new[c] = 1 if old[c] + np.float64(change[c]) >= 0 else -1
    else:
        least, most = np.float64(-top), np.float64(top)
        for c in range(cols):
            new[c] = np.int32(min(max(np.rint(old[c] + np.float64(change[c])), least), most))
    count = count.reshape(-1)  # a flat copy vectorises
    if before.shape[0] > 0:
        earlier = before[member % before.shape[0], row].reshape(-1)
        for i in range(count.shape[0]):
            count[i] = earlier[i]
    else:
        for i in range(count.shape[0]):
            count[i] = 0
    words = np.int32(0)
    for c in range(cols):
        words = np.int32(words + np.int32(old[c] != new[c]))
    if words > 0:
        # places first, without a branch: which codes change cannot be foreseen
        places, found = np.empty(cols, np.int32), 0
        for c in range(cols):
            places[found] = c
            found += old[c] != new[c]
        cells = digits.shape[1]
        for place in range(found):
            c = places[place]
            for cell in range(cells):
                count[c * cells + cell] += digits[old[c] + top, cell] != digits[new[c] + top, cell]
    return words


@parallel_kernel(lambda *args: 2 * args[-1].size)
def lay(codes, values, factors, source, used, groups, sign, pair, out):
    """Fill out (members x reads, pair x chunks, rows of a read, width) with what cells of the codes add.

    `codes` (1 or members, rows, cols) are those of weights, `values` (polarities, slices, codes) what a cell has at
    each code, the least first, `factors` (members, tiles, rows of a tile, polarities, slices, columns) what multiplies
    it in each cell, no entries where nothing does; both float32. A tile is of `used` rows, read in `groups`. `source`
    (columns,) is the weight of each physical column, -1 where it stores the weight 0. The second polarity, times
    `sign`, is added to the first; 0: it has columns of its own. What no weight fills is zero.
    """
    columns, line = source.shape[0], out.shape[1] * out.shape[3]
    plain = columns == codes.shape[2]
    for c in range(columns):
        plain = plain and source[c] == c
    for read in nb.prange(out.shape[0]):
        filled, index = np.zeros(line, np.float32), np.empty(columns, np.uint32)
        _lay_read(codes, values, factors, source, plain, used, groups, sign, pair, read, index, filled, out)


@inline
def _lay_read(codes, values, factors, source, plain, used, groups, sign, pair, read, index, filled, out):
    polarities, slices, levels = values.shape
    parallel, width = out.shape[2:]
    rows = codes.shape[1]
    columns, part = index.shape[0], filled.shape[0] // pair
    tiles = -(-rows // used)
    member, tile, first = read // (tiles * groups), read // groups % tiles, read % groups * parallel
    middle = np.int32(levels // 2)
    weights = max(min(parallel, used - first, rows - tile * used - first), 0)
    for place in range(weights):
        code = codes[member % codes.shape[0], tile * used + first + place]
        if plain:
            for c in range(columns):
                index[c] = np.uint32(code[c] + middle)
        else:
            for c in range(columns):
                index[c] = np.uint32((code[source[c]] if source[c] >= 0 else 0) + middle)
        for s in range(slices):
            for polarity in range(1 if sign != 0 else polarities):
                start = polarity * part + s * columns if pair == 2 else (polarity * slices + s) * columns
                of_slice = filled[start : start + columns]
                if factors.shape[0] > 0:
                    own = factors[member % factors.shape[0], tile, first + place]
                    _scaled(values[polarity, s], index, own[polarity, s], of_slice)
                    if sign != 0:
                        _add_scaled(values[1, s], index, own[1, s], np.float32(sign), of_slice)
                else:
                    table = values[polarity, s]
                    for c in range(columns):
                        of_slice[c] = table[index[c]]
                    if sign != 0:
                        other = values[1, s]
                        for c in range(columns):
                            of_slice[c] += np.float32(sign) * other[index[c]]
        for chunk in range(out.shape[1]):
            row = out[read, chunk, place]
            for c in range(width):  # a copy by a slice would not vectorise
                row[c] = filled[chunk * width + c]
    for chunk in range(out.shape[1]):
        for place in range(weights, parallel):
            row = out[read, chunk, place]
            for c in range(width):
                row[c] = 0


@inline
def _scaled(values, index, factors, out):
    for c in range(out.shape[0]):
        out[c] = values[index[c]] * factors[c]


@inline
def _add_scaled(values, index, factors, sign, out):
    for c in range(out.shape[0]):
        out[c] += sign * (values[index[c]] * factors[c])
