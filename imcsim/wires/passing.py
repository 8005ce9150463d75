"""How much of what a cell changes arrives, to first order: what read noise meets on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from imcsim.specs.wires import IdealWires, Wires
from imcsim.wires.layout import Unused, along_columns, conductances, laid, lines_of, picked_up

if TYPE_CHECKING:
    from imcsim.kernels.nodal import Line  # numba is loaded where it is used

Array = np.ndarray[Any, Any]


def passing(wires: Wires, g: Array, unused: Unused = (0, 0)) -> Array:
    """What of a small change of each cell arrives at the ground, of those of g (..., polarities, rows, cols): 0 to 1.

    A cell whose row alone is driven changes the current of its column by a b dg, where a is what arrives of the voltage
    at its node of the word line, and b of its current at the ground: of each line by itself, past cells that lead to
    0 V. Other rows that are driven raise the bit line, which lowers the voltage across the cell and is left out: in
    64 x 64 cells of 1 to 100 uS with segments of 1 ohm, which lose 12 % of their current, the noise of a column comes
    out too large by 3.5 % for bits at random and 5 % for uniform inputs, by 12 % for the farthest cells where all rows
    are driven. A row alone: within 1 %.
    """
    g = conductances(wires, g)
    if isinstance(wires, IdealWires):
        return np.ones(g.shape)
    cells, (first, bit) = laid(wires, g), lines_of(wires, unused)
    ahead = np.swapaxes(arriving(np.swapaxes(cells, 1, 2), first), 1, 2) if along_columns(wires) else None
    of_voltage = arriving(cells, first) if ahead is None else ahead
    return picked_up(wires, of_voltage * of_currents(cells, bit), g.shape)


def of_currents(g: Array, bit: Line) -> Array:
    """What arrives at the ground of a current into each node of the bit lines, past cells g (arrays, rows, cols)."""
    return np.swapaxes(arriving(np.swapaxes(g, 1, 2), bit), 1, 2)


def arriving(g: Array, line: Line) -> Array:
    """What arrives of a volt at the ends of lines at each of their nodes, whose cells g (..., cells) lead to 0 V.

    By reciprocity also what of an ampere into a node leaves at the ends, where those are at 0 V.
    """
    if line.ideal:
        return np.ones(g.shape)
    arrived = np.zeros(g.shape)
    if line.before < np.inf:
        arrived += _from_the_first(g, line)
    if line.after < np.inf:
        arrived += _from_the_first(g[..., ::-1], line.reversed)[..., ::-1]
    return arrived


def _from_the_first(g: Array, line: Line) -> Array:
    """The voltages of the nodes where the first end is at 1 V, and the other, if it leads anywhere, at 0 V."""
    voltages = np.empty(g.shape)  # first the admittance of each node with all behind it
    voltages[..., -1] = g[..., -1] + 1 / line.after
    for k in range(g.shape[-1] - 2, -1, -1):
        behind = voltages[..., k + 1]
        voltages[..., k] = g[..., k] + behind / (1 + line.segment * behind)
    voltages[..., 0] = 1 / (1 + line.before * voltages[..., 0])
    for k in range(1, g.shape[-1]):
        voltages[..., k] = voltages[..., k - 1] / (1 + line.segment * voltages[..., k])
    return voltages
