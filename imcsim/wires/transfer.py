"""Linear cells behind word lines: a transfer matrix in the place of their conductances, solved once a programming."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from imcsim.errors import CapabilityError
from imcsim.specs.wires import GatedWires, IdealWires, ResistiveWires, Wires
from imcsim.wires.closed_forms import dmr
from imcsim.wires.layout import Unused, check_arrival, conductances, laid, lines_of, picked_up
from imcsim.wires.network import solved

if TYPE_CHECKING:
    from imcsim.kernels.nodal import Line  # numba is loaded where it is used

Array = np.ndarray[Any, Any]


def transfer(wires: Wires, g: Array, unused: Unused = (0, 0)) -> Array:
    """The matrix M that reads as the array does, S: conductances g (..., polarities, rows, cols) -> the same shape.

    Word line voltages V (samples, rows) give the column currents V M of a polarity; where a pair shares its bit line,
    V M of the first less V M of the second. Raises SpecError for conductances that cannot be and for wires through
    which next to nothing arrives, CapabilityError where reads are no product with a matrix.
    """
    g = conductances(wires, g)
    if isinstance(wires, IdealWires):
        return g
    if isinstance(wires, GatedWires):
        raise CapabilityError.of("wires", "inputs that gate cells change the network", remedy="read with currents")
    cells, lines = laid(wires, g), lines_of(wires, unused)
    if wires.solver == "dmr":
        m = dmr(cells, *lines)
    else:
        from imcsim.kernels.nodal import transfer_matrix

        m = transfer_matrix(cells, *lines)
    check_arrival(m.sum(), cells.sum())
    return picked_up(wires, m, g.shape)


def rewritten(wires: ResistiveWires, m: Array, g: Array, new: Array, unused: Unused = (0, 0)) -> Array:
    """The transfer matrix after cells were written: from `m` of conductances g to that of `new`, all of one shape.

    Exact: where k cells of an array differ, M changes by a matrix of rank k (Woodbury), at the cost of a solve each;
    where 1000 k exceed the square of its narrower side, solving anew is cheaper, and done.
    """
    from imcsim.kernels.blas import single_threaded_blas

    g, new = conductances(wires, g), conductances(wires, new)
    if wires.solver != "nodal":
        return transfer(wires, new, unused)
    lines = lines_of(wires, unused)
    old, now, corrected = laid(wires, g), laid(wires, new), laid(wires, np.asarray(m, np.float64)).copy()
    counts = (old != now).sum(axis=(1, 2))
    anew = 1000 * counts > min(old.shape[1:]) ** 2
    if anew.any():
        from imcsim.kernels.nodal import transfer_matrix

        corrected[anew] = transfer_matrix(now[anew], *lines)
    with single_threaded_blas():
        for a in np.flatnonzero((counts > 0) & ~anew):
            corrected[a] += _correction(old[a], now[a], lines)
    check_arrival(corrected.sum(), now.sum())
    return picked_up(wires, corrected, g.shape)


def _correction(g: Array, new: Array, lines: tuple[Line, Line]) -> Array:
    """How the transfer matrix of one array changes from conductances g to `new`, both (rows, cols)."""
    from imcsim.kernels.nodal import line_resistances

    (rows, cols), (word, bit) = g.shape, lines
    at = np.nonzero(g != new)
    k, each = np.arange(len(at[0])), (new - g)[at]
    # an ampere through each changed cell's branch, beside what its conductance takes
    v = np.zeros((len(k), rows, cols))
    v[k, at[0], :] -= line_resistances(word, cols)[at[1]]
    v[k, :, at[1]] -= line_resistances(bit, rows)[at[0]]
    d = solved(np.broadcast_to(g, v.shape), v, lines, parallel=False)
    flowing = g * d
    flowing[k, at[0], at[1]] += 1
    into_rows, out_of_cols = flowing.sum(axis=2), flowing.sum(axis=1)  # by reciprocity, d of the cell a volt on a row
    impedance = -d[:, at[0], at[1]]
    # the branches' currents are each * d, and d = (d without them) - impedance @ currents
    branches = np.linalg.solve(np.eye(len(k)) + each[:, None] * impedance, each[:, None] * into_rows)
    return np.asarray(branches.T @ out_of_cols)
