"""Networks that are another at each read: the voltages across their cells, linear or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from imcsim.errors import SolverError
from imcsim.wires.layout import check_arrival

if TYPE_CHECKING:
    from imcsim.kernels.nodal import Line

Array = np.ndarray[Any, Any]


class Law(NamedTuple):
    """A nonlinear cell: I = g current(v), current(0) = 0, and its slope > 0; functions of arrays of voltages."""

    current: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def solved(g: Array, v: Array, lines: tuple[Line, Line], *, parallel: bool) -> Array:
    """Voltages across the cells g (samples, rows, cols) of as many networks, driven by v, of the same shape."""
    from imcsim.kernels.nodal import LANES, cell_voltages

    samples, items = len(g), -(-len(g) // LANES)

    def in_lanes(array: Array) -> Array:
        padded = np.zeros((items * LANES, *array.shape[1:]))
        padded[:samples] = array
        return np.ascontiguousarray(np.moveaxis(padded.reshape(items, LANES, *array.shape[1:]), 1, -1))

    d, converged = cell_voltages(in_lanes(g), in_lanes(v), *lines, parallel=parallel)
    d = np.moveaxis(d, -1, 1).reshape(items * LANES, *g.shape[1:])[:samples]
    missed = int((~converged.ravel()[:samples]).sum())
    if missed:
        check_arrival((g * np.abs(d)).sum(), (g * np.abs(v)).sum())
        allowed = "the network's equations must be solved to 1e-9"
        raise SolverError.of(
            "wires", allowed, given=f"{missed} of {samples} reads are not", remedy="lower the resistances"
        )
    return d


NEWTON_STEPS = 50
MOST_HALVINGS = 30
NEWTON_TOLERANCE = 1e-11  # of the voltages that are applied, what may be left of the residual


def newton(g: Array, v: Array, lines: tuple[Line, Line], law: Law, parallel: bool) -> Array:
    """Voltages d across nonlinear cells g (samples, rows, cols): d + R g current(d) = v, by Newton's method.

    Each step solves the network of the slopes, and is halved until it leaves less of the equation.
    """
    from imcsim.kernels.nodal import line_resistances

    word, bit = lines
    along_word = line_resistances(word, g.shape[1 if parallel else 2])
    along_bit = line_resistances(bit, g.shape[1])

    def residual(d: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):  # a step that is too far, and will be halved
            i = g * law.current(d)
            return np.asarray(d - v + (along_word @ i if parallel else i @ along_word) + along_bit @ i)

    def size(of: Array) -> Array:
        return np.asarray(np.sqrt(np.square(of).sum(axis=(1, 2), keepdims=True)))

    d = np.zeros(v.shape)  # where slopes are moderate, however steep the law is at v
    left = -v
    for _ in range(NEWTON_STEPS):
        going = ~(size(left) <= NEWTON_TOLERANCE * size(v))
        if not going.any():
            return d
        slopes = g * law.slope(d)
        if not (np.isfinite(slopes).all() and (slopes >= 0).all() and np.isfinite(left).all()):
            allowed = "current and slope of a cell must be finite, and the slope positive, at the voltages applied"
            raise SolverError.of("law", allowed, remedy="lower the input voltages, or check the cell's I-V law")
        step = -solved(slopes, np.where(going, left, 0.0), lines, parallel=parallel)
        part = np.where(going, 1.0, 0.0)
        for _ in range(MOST_HALVINGS):
            tried = d + part * step
            now = residual(tried)
            worse = going & ~(size(now) < size(left))
            if not worse.any():
                break
            part[worse] /= 2
        else:
            break
        d, left = tried, now
    raise SolverError.of(
        "wires",
        f"Newton's method must converge in {NEWTON_STEPS} steps",
        given=f"{int(going.sum())} of {len(g)} reads did not",
        remedy="lower the resistances or the input voltages",
    )
