"""Reads whose network is another at each input: gated cells, and nonlinear ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from imcsim.errors import CapabilityError, SpecError
from imcsim.specs.wires import GatedWires, IdealWires, Wires
from imcsim.wires.closed_forms import aihwkit, dmr
from imcsim.wires.layout import Unused, along_columns, check_arrival, conductances, laid, lines_of
from imcsim.wires.network import Law, newton, solved
from imcsim.wires.passing import of_currents

if TYPE_CHECKING:
    from imcsim.kernels.nodal import Line  # numba is loaded where it is used

Array = np.ndarray[Any, Any]

_CHUNK = 1 << 20  # cells x samples that are solved at a time: a few arrays of 8 MB


def currents(wires: Wires, g: Array, v: Array, law: Law | None = None, unused: Unused = (0, 0)) -> Array:
    """Column currents, A, of g (..., polarities, rows, cols) for voltages v (..., samples, rows), solved for each.

    -> (..., polarities, samples, cols), the polarities 1 where a pair shares its bit line, already subtracted. The
    leading axes of v broadcast against those of g. For gated cells v is the supply voltage in the rows whose input is
    1, and 0 in the others. Raises SpecError as `transfer` does, SolverError where the solution is not found.
    """
    return _currents(wires, g, v, law, unused, None)[0]


def noisy_currents(
    wires: Wires, g: Array, variances: Array, v: Array, law: Law | None = None, unused: Unused = (0, 0)
) -> tuple[Array, Array]:
    """`currents`, and their variances, A^2, where those of the cells' conductances are `variances`, S^2, as g is.

    To first order in the noise: each cell adds the square of what it carries a siemens times what of it arrives at the
    ground. What it adds to the columns beside its own, over the word line, is left out.
    """
    found, of_noise = _currents(wires, g, v, law, unused, conductances(wires, variances))
    assert of_noise is not None
    return found, of_noise


def _currents(
    wires: Wires, g: Array, v: Array, law: Law | None, unused: Unused, variances: Array | None
) -> tuple[Array, Array | None]:
    from imcsim.kernels.blas import single_threaded_blas

    g = conductances(wires, g)
    lead, (rows, cols) = g.shape[:-3], g.shape[-2:]
    v = np.asarray(v, np.float64)
    if v.ndim < 2 or v.shape[-1] != rows:
        raise SpecError.of("v", f"must be (samples, {rows}), of a voltage a row", given=f"shape {v.shape}")
    if not np.isfinite(v).all():
        raise SpecError.of("v", "must be finite", given=f"{int((~np.isfinite(v)).sum())} values infinite or nan")
    v = np.broadcast_to(v, (*lead, *v.shape[-2:]))
    if isinstance(wires, IdealWires):
        driving = (v if law is None else law.current(v))[..., None, :, :]
        with single_threaded_blas():
            return np.asarray(driving @ g), None if variances is None else np.asarray(np.square(driving) @ variances)
    if wires.solver != "nodal" and (law is not None or variances is not None):
        known = "linear cells" if law is not None else "cells without noise"
        raise CapabilityError.of("wires.solver", f"closed forms know {known}", f'"{wires.solver}"', 'use "nodal"')
    samples = v.shape[-2]
    v = v.reshape(math.prod(lead), samples, rows)
    if wires.pairs == "separate":
        v = np.repeat(v, g.shape[-3], axis=0)
    if wires.pairs == "shared_bit_line":
        v = np.stack([v, -v], axis=-1).reshape(len(v), samples, 2 * rows)
    cells, lines = laid(wires, g), lines_of(wires, unused)
    gated = isinstance(wires, GatedWires)
    levels = np.unique(np.abs(v[v != 0]))
    if gated and len(levels) > 1:
        allowed = "inputs of gated cells are single bits: the one supply voltage, or 0"
        raise SpecError.of("v", allowed, given=f"{len(levels)} voltages beside 0")

    def of_polarities(out: Array) -> Array:
        if wires.pairs == "interleaved":
            return np.moveaxis(out.reshape(*lead, samples, cols, 2), -1, -3)
        return out.reshape(*lead, len(out) // math.prod(lead), samples, cols)

    with single_threaded_blas():
        if wires.solver == "dmr":
            return of_polarities(v @ dmr(cells, *lines)), None
        if wires.solver == "aihwkit":
            return of_polarities(aihwkit(cells, v, lines[1], unused[0] * (cells.shape[1] // rows))), None
        on = v != 0 if gated else np.ones(v.shape, np.bool_)
        noises = [None] * len(cells) if variances is None else list(laid(wires, variances))
        parallel = along_columns(wires)
        reads = [
            _read(*array, lines, law, parallel)
            for array in zip(cells, v, on, noises, strict=True)  # a network each
        ]
    found = of_polarities(np.stack([current for current, _ in reads]))
    return found, None if variances is None else of_polarities(np.stack([noise for _, noise in reads]))


def _read(
    g: Array, v: Array, on: Array, variances: Array | None, lines: tuple[Line, Line], law: Law | None, parallel: bool
) -> tuple[Array, Array]:
    """Currents (samples, cols) of one array g (rows, cols), its rows `on` and at v (samples, rows); their variances."""
    at_once = max(_CHUNK // g.size, 1)
    found = np.zeros((len(v), g.shape[1]))
    of_noise = np.zeros(found.shape)
    for first in range(0, len(v), at_once):
        part = slice(first, first + at_once)
        conducting = np.where(on[part, :, None], g, 0.0)
        applied = np.repeat(v[part, :, None], g.shape[1], axis=2)
        if law is None:
            d = carried = solved(conducting, applied, lines, parallel=parallel)
        else:
            d = newton(conducting, applied, lines, law, parallel)
            carried = law.current(d)
        found[part] = (conducting * carried).sum(axis=1)
        check_arrival((conducting * np.abs(d)).sum(), (conducting * np.abs(applied)).sum())
        if variances is not None:
            slopes = conducting if law is None else conducting * law.slope(d)
            # beside a supply of its own a column is a network of its own, and a volt on it reads what arrives
            ones = np.ones(slopes.shape)
            arrived = solved(slopes, ones, lines, parallel=True) if parallel else of_currents(slopes, lines[1])
            noise = np.where(on[part, :, None], variances, 0.0) * np.square(carried * arrived)
            of_noise[part] = noise.sum(axis=1)
    return found, of_noise
