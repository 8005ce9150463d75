"""Closed forms in the place of nodal analysis, with their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from imcsim.errors import SpecError

if TYPE_CHECKING:
    from imcsim.kernels.nodal import Line

Array = np.ndarray[Any, Any]


def dmr(g: Array, word: Line, bit: Line) -> Array:
    """The transfer matrix of lines with one end, in O(cells): diag(a) g diag(b), of g (arrays, rows, cols).

    Each factor is what passes a ladder whose cells are the mean of a row, or of a column, to first order in what the
    line resists. With cells of 1 to 100 uS at random in an array of 64 x 64, inputs of 0 or 1 at random and segments of
    0.1, 1 and 4 ohm, the column currents are off by 0.05, 0.5 and 2.3 % (rms) where the wires take 1.4, 13 and 36 %.
    """
    a = _towards_the_last(g.mean(axis=2), bit.segment, bit.after)
    b = _towards_the_last(g.mean(axis=1)[:, ::-1], word.segment, word.before)[:, ::-1]
    return np.asarray(a[:, :, None] * g * b[:, None, :])


def _towards_the_last(mean: Array, segment: float, end: float) -> Array:
    """What arrives at the last end of a ladder with cells `mean` (arrays, cells) to ground, from each of them."""
    cells = mean.shape[1]
    # a_j = (1 + R sum_{k<j} (j - k) mean_k) / (1 + R sum_k (N - k) mean_k): DMR, with a terminal of its own
    ahead = np.cumsum(np.cumsum(mean, axis=1), axis=1)
    up_to = np.concatenate([np.zeros((len(mean), 1)), ahead[:, :-1]], axis=1)
    dropped = mean @ (segment * np.arange(cells - 1, -1, -1) + end)
    if (dropped > 1).any():
        allowed = (
            'the closed form "dmr" holds where a line drops less, to first order, than the voltage that is applied'
        )
        remedy = 'lower the resistances, or use solver = "nodal"'
        raise SpecError.of("wires", allowed, f"{dropped.max():.3g} times the voltage", remedy)
    return np.asarray((1 + segment * up_to) / (1 + dropped)[:, None])


def aihwkit(g: Array, v: Array, bit: Line, unused_rows: int) -> Array:
    """Currents (arrays, samples, cols) of arrays g (arrays, rows, cols) at v (arrays, samples, rows), in O(a product).

    aihwkit's formula: a column loses what a bit line of N even segments drops where its current is spread evenly, as
    far as that is little; the rest is its fit. On bit lines alone, else as in `_dmr`, the column currents are off by
    0.03, 0.3 and 0.9 % (rms) where the wires take 0.3, 3.5 and 12.5 %.
    """
    used = g.shape[1]
    rows = used + unused_rows
    full = np.abs(v).max(axis=2, keepdims=True)
    a = rows * bit.segment * (np.abs(v) @ g) / np.where(full > 0, full, 1.0)
    share = 0.05 * a**3 - 0.2 * a**2 + 0.5 * a
    if (share >= 1).any():  # the current of the farthest cell would turn round
        allowed = 'the closed form "aihwkit" holds where a bit line drops less than the voltage that is applied'
        raise SpecError.of("wires.r_col_ohm", allowed, f"{bit.segment:g}", 'lower it, or use solver = "nodal"')
    distance = (rows - np.arange(used)) / rows  # of a row from the ground behind the last
    return np.asarray(v @ g - share * ((v * (1 - (1 - distance) ** 2)) @ g))
