"""Nodal analysis of arrays whose wires resist.

A cell (i, j) of conductance g joins word line i and bit line j. Its current flows through both, and what it drops there
the cell lacks: d = v - R_word g d - R_bit g d, d the voltages across the cells. `transfer_matrix` eliminates nodes,
once for all inputs; `cell_voltages` iterates, for networks that are another at each read. Neither divides by the
resistance of a segment, so that it may be 0.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba as nb
import numpy as np

from imcsim.kernels.gemm import multiply
from imcsim.kernels.jit import inline, parallel_kernel

Array = np.ndarray[Any, Any]

LANES = 4  # networks that are solved side by side, one a vector lane


class Line(NamedTuple):
    """A wire past cells, in ohm: a segment between two, and from the first and the last to a source; inf: to none."""

    segment: float
    before: float
    after: float

    @property
    def ideal(self) -> bool:
        return self.before == 0 or self.after == 0

    @property
    def reversed(self) -> Line:
        return Line(self.segment, self.after, self.before)


def line_resistances(line: Line, cells: int) -> Array:
    """What an ampere drawn at one cell drops at another, ohm: (cells, cells), symmetric."""
    cell = np.arange(cells, dtype=np.float64)
    if line.ideal:
        return np.zeros((cells, cells))
    if line.after == math.inf:
        return line.before + line.segment * np.minimum.outer(cell, cell)
    if line.before == math.inf:
        return np.asarray(line_resistances(line.reversed, cells)[::-1, ::-1])
    whole = line.before + line.after + line.segment * (cells - 1)
    ahead = line.before + line.segment * np.minimum.outer(cell, cell)
    behind = line.after + line.segment * (cells - 1 - np.maximum.outer(cell, cell))
    return np.asarray(ahead * behind / whole)


def transfer_matrix(g: Array, word: Line, bit: Line) -> Array:
    """Currents of the bit lines a volt on each word line, S: conductances g (arrays, rows, cols) -> the same shape.

    A bit line's current is what leaves it at all its ends, at 0 V each; I = V M.
    """
    if g.shape[2] > g.shape[1]:  # reciprocity; what is eliminated leaves blocks of the narrower side
        turned = transfer_matrix(np.ascontiguousarray(np.swapaxes(g, 1, 2)), bit, word)
        return np.ascontiguousarray(np.swapaxes(turned, 1, 2))
    if bit.ideal:
        bit = Line(0.0, math.inf, 0.0)
    ends: list[Array] = []
    if bit.after < math.inf:
        ends.append(end_currents(g, word, bit))
    if bit.before < math.inf:
        ends.append(end_currents(np.ascontiguousarray(g[:, ::-1]), word, bit.reversed)[:, ::-1])
    return ends[0] if len(ends) == 1 else ends[0] + ends[1]


@parallel_kernel(lambda g, *lines: g.size * g.shape[2] ** 2, blas=True)  # noqa: ARG005
def end_currents(g, word, bit):
    """Currents out of the bit lines behind the last row a volt on each word line: g (arrays, rows, cols) -> the same.

    From the first row down, `y` (cols, cols) is the admittance of all above, seen from the bit lines' nodes in a row,
    and `arrived` what currents would flow there into a short circuit.
    """
    arrays, rows, cols = g.shape
    out = np.empty(g.shape)
    for a in nb.prange(arrays):
        y = np.zeros((cols, cols))
        for j in range(cols):
            y[j, j] = 1 / bit.before
        arrived, passed = np.zeros((rows, cols)), np.empty((rows, cols))
        for i in range(rows):
            _add_word_line(g[a, i], word, y, arrived[i])
            r = bit.segment if i < rows - 1 else bit.after
            if r > 0:
                for j in range(cols):
                    for k in range(cols):
                        y[j, k] *= r
                    y[j, j] += 1
                share = np.linalg.inv(y)  # of a current at this row's nodes, what passes the segment
                multiply(arrived, 0, 0, i + 1, share, passed)
                arrived, passed = passed, arrived
                for j in range(cols):  # (1 + r y)^-1 y
                    for k in range(cols):
                        y[j, k] = -share[j, k] / r
                    y[j, j] += 1 / r
        out[a] = arrived
    return out


@inline
def _add_word_line(g, word, y, arrived):
    """Add a word line and its cells g (cols,) to the admittance y (cols, cols) of the bit lines.

    `arrived` (cols,) becomes the currents into bit lines at 0 V, a volt on the word line.
    """
    cols, r = g.shape[0], word.segment
    if word.before == 0 or word.after == 0:
        for j in range(cols):
            y[j, j] += g[j]
            arrived[j] = g[j]
        return
    left, right = np.empty(cols), np.empty(cols)  # admittances from a node on towards an end, its cell with it
    left[0], right[cols - 1] = 1 / word.before + g[0], 1 / word.after + g[cols - 1]
    for j in range(1, cols):
        left[j] = left[j - 1] / (1 + r * left[j - 1]) + g[j]
        k = cols - 1 - j
        right[k] = right[k + 1] / (1 + r * right[k + 1]) + g[k]
    passing = 1 / (1 + r * right)  # the voltage of a node over that of the one before
    arrived[:] = 0
    for j in range(cols):
        raised = 1 / (left[j] + right[j] - g[j])  # the voltage of node k, an ampere into node j
        y[j, j] += g[j] - g[j] * g[j] * raised
        from_left, from_right = j == 0, j == cols - 1
        if from_left:
            arrived[0] += g[0] * raised / word.before
        if from_right:
            arrived[j] += g[j] * raised / word.after
        for k in range(j + 1, cols):
            raised *= passing[k]
            coupled = g[j] * g[k] * raised
            y[j, k] -= coupled
            y[k, j] -= coupled
            if from_left:
                arrived[k] += g[k] * raised / word.before
            if k == cols - 1:
                arrived[j] += g[j] * raised / word.after


TOLERANCE = 1e-12  # of the residual, beside that of zero currents
ACCURACY = 1e-9  # of the solution, beside itself
MOST_STEPS = 1000


def cell_voltages(g: Array, v: Array, word: Line, bit: Line, *, parallel: bool = False) -> tuple[Array, Array]:
    """Voltages d across cells g (items, rows, cols, LANES), driven by v (the same shape): d + (R_word + R_bit) g d = v.

    And whether each lane converged (items, LANES). `parallel`: the word line, here a supply, runs along the column too.
    """
    lines = [word, bit]
    weights = [_weight(word, g.shape[1 if parallel else 2]), _weight(bit, g.shape[1])]
    turned = weights[0] > weights[1]  # the worse line is solved directly, the other by iteration
    if turned:
        lines.reverse()
        if not parallel:
            g, v = (np.ascontiguousarray(np.swapaxes(array, 1, 2)) for array in (g, v))
    d, converged = iterate(g, v, *lines, parallel)
    return (np.swapaxes(d, 1, 2) if turned and not parallel else d), converged


def _weight(line: Line, cells: int) -> float:
    return 0.0 if line.ideal else cells * (cells * line.segment + min(line.before, line.after))


@parallel_kernel(lambda g, *others: 100 * g.size)  # noqa: ARG005
def iterate(g, v, first, second, parallel):
    """Solve for d (items, rows, cols, LANES) by conjugate gradients; and whether each lane converged (items, LANES).

    With y = sqrt(g) d: (1 + B + A) y = sqrt(g) v, where A is the first line, along rows or, where `parallel`, columns,
    and B the second, along columns. 1 + B, solved directly, is the preconditioner; so one step is exact where A is 0.
    """
    items, rows, cols, lanes = g.shape
    out, converged = np.empty(g.shape), np.empty((items, lanes), np.bool_)
    for item in nb.prange(items):
        shape = (rows, cols, LANES)
        root, y, p = np.empty(shape), np.zeros(shape), np.zeros(shape)
        residual, scaled, of_p, dropped = np.empty(shape), np.zeros(shape), np.empty(shape), np.empty(shape)
        factor, admittance = np.empty(shape), np.empty(shape)
        for i in range(rows):
            for j in range(cols):
                for s in range(LANES):
                    root[i, j, s] = np.sqrt(g[item, i, j, s])
                    residual[i, j, s] = root[i, j, s] * v[item, i, j, s]
        _factorise(root, second, admittance, factor)
        size, before, start = np.empty(LANES), np.ones(LANES), np.zeros(LANES)
        curvature, step, turn = np.empty(LANES), np.zeros(LANES), np.zeros(LANES)
        for count in range(MOST_STEPS + 1):
            _ladders(root, residual, second, admittance, factor, dropped)  # preconditioned residual
            size[:] = 0
            for i in range(rows):
                for j in range(cols):
                    for s in range(LANES):
                        size[s] += residual[i, j, s] * dropped[i, j, s]
            if count == 0:
                start[:] = size
            going = False
            for s in range(LANES):
                converged[item, s] = size[s] <= TOLERANCE * TOLERANCE * start[s]
                going |= not converged[item, s]
                turn[s] = size[s] / before[s] if count > 0 and before[s] > 0 else 0.0
                before[s] = size[s]
            if not going or count == MOST_STEPS:
                break
            for i in range(rows):
                for j in range(cols):
                    for s in range(LANES):
                        p[i, j, s] = dropped[i, j, s] + turn[s] * p[i, j, s]
                        # (1 + B) p, which needs no product: (1 + B) of the preconditioned residual is the residual
                        scaled[i, j, s] = residual[i, j, s] + turn[s] * scaled[i, j, s]
                        of_p[i, j, s] = root[i, j, s] * p[i, j, s]
            _drops(of_p, first, parallel, dropped)
            curvature[:] = 0
            for i in range(rows):
                for j in range(cols):
                    for s in range(LANES):
                        of_p[i, j, s] = scaled[i, j, s] + root[i, j, s] * dropped[i, j, s]
                        curvature[s] += p[i, j, s] * of_p[i, j, s]
            for s in range(LANES):  # a lane that is done stands still, whatever its neighbours do
                moving = not converged[item, s] and curvature[s] > 0
                step[s] = size[s] / curvature[s] if moving else 0.0
            for i in range(rows):
                for j in range(cols):
                    for s in range(LANES):
                        y[i, j, s] += step[s] * p[i, j, s]
                        residual[i, j, s] -= step[s] * of_p[i, j, s]
        of_p[:] = root * y
        _drops(of_p, first, parallel, dropped)
        out[item] = v[item] - dropped
        _drops(of_p, second, True, dropped)
        out[item] -= dropped
        for s in range(LANES):  # the residual itself, from which that of the iteration drifts away
            left = ((root[:, :, s] * out[item, :, :, s] - y[:, :, s]) ** 2).sum()
            converged[item, s] &= left <= ACCURACY * ACCURACY * (y[:, :, s] ** 2).sum()
    return out, converged


@inline
def _factorise(root, line, admittance, factor):
    """The admittance of a column from its first cell to each, and 1 / (1 + r admittance): (rows, cols, LANES)."""
    rows, cols = root.shape[:2]
    for i in range(rows):
        r = line.segment if i < rows - 1 else line.after
        for j in range(cols):
            for s in range(LANES):
                above = admittance[i - 1, j, s] * factor[i - 1, j, s] if i > 0 else 1 / line.before
                admittance[i, j, s] = above + root[i, j, s] * root[i, j, s]
                factor[i, j, s] = 1 / (1 + r * admittance[i, j, s])


@inline
def _ladders(root, b, line, admittance, factor, out):
    """Solve (1 + sqrt(g) R sqrt(g)) out = b for a line along columns, all (rows, cols, LANES)."""
    rows, cols = root.shape[:2]
    if line.before == 0 or line.after == 0:
        out[:] = b
        return
    # down: what would flow into a short circuit at each cell
    for j in range(cols):
        for s in range(LANES):
            out[0, j, s] = root[0, j, s] * b[0, j, s]
    for i in range(1, rows):
        for j in range(cols):
            for s in range(LANES):
                out[i, j, s] = out[i - 1, j, s] * factor[i - 1, j, s] + root[i, j, s] * b[i, j, s]
    # up: the voltages of the nodes
    below = np.empty((cols, LANES))
    last = rows - 1
    for j in range(cols):
        for s in range(LANES):
            if line.after < np.inf:
                below[j, s] = line.after * out[last, j, s] * factor[last, j, s]
            else:
                below[j, s] = out[last, j, s] / admittance[last, j, s]
            out[last, j, s] = b[last, j, s] - root[last, j, s] * below[j, s]
    for i in range(rows - 2, -1, -1):
        for j in range(cols):
            for s in range(LANES):
                down = (out[i, j, s] - admittance[i, j, s] * below[j, s]) * factor[i, j, s]
                below[j, s] += line.segment * down
                out[i, j, s] = b[i, j, s] - root[i, j, s] * below[j, s]


@inline
def _drops(current, line, along_columns, out):
    """What the currents of cells drop on a line: current (rows, cols, LANES) -> out, V."""
    rows, cols = current.shape[:2]
    if line.before == 0 or line.after == 0:
        out[:] = 0
    elif along_columns:
        total, summed, flow = np.zeros((cols, LANES)), np.zeros((cols, LANES)), np.empty((cols, LANES))
        for i in range(rows):
            for j in range(cols):
                for s in range(LANES):
                    total[j, s] += current[i, j, s]
                    if i < rows - 1:
                        summed[j, s] += total[j, s]
        for j in range(cols):
            for s in range(LANES):
                out[0, j, s], flow[j, s] = _first(total[j, s], summed[j, s], rows, line)
        for i in range(1, rows):
            for j in range(cols):
                for s in range(LANES):
                    flow[j, s] -= current[i - 1, j, s]
                    out[i, j, s] = out[i - 1, j, s] + line.segment * flow[j, s]
    else:
        total, summed, flow = np.empty((1, LANES)), np.empty((1, LANES)), np.empty((1, LANES))
        for i in range(rows):
            total[:] = 0
            summed[:] = 0
            for j in range(cols - 1):
                for s in range(LANES):
                    total[0, s] += current[i, j, s]
                    summed[0, s] += total[0, s]
            for s in range(LANES):
                total[0, s] += current[i, cols - 1, s]
                out[i, 0, s], flow[0, s] = _first(total[0, s], summed[0, s], cols, line)
            for j in range(1, cols):
                for s in range(LANES):
                    flow[0, s] -= current[i, j - 1, s]
                    out[i, j, s] = out[i, j - 1, s] + line.segment * flow[0, s]


@inline
def _first(total, summed, cells, line):
    """The drop at the first cell, and the current into it from ahead.

    `total` is what all cells draw, `summed` the sum over all segments of what the cells ahead of each draw.
    """
    if line.before == np.inf:
        return line.after * total + line.segment * summed, 0.0
    if line.after == np.inf:
        return line.before * total, total
    whole = line.before + line.after + line.segment * (cells - 1)
    ahead = (line.after * total + line.segment * summed) / whole
    return line.before * ahead, ahead
