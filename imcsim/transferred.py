"""Cells behind wires that no input changes: what arrives of their conductances, kept from a write to the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from imcsim.floorplan import Floorplan
from imcsim.specs.resistive import ResistiveCell
from imcsim.specs.wires import ResistiveWires
from imcsim.wires import passing, rewritten, transfer

Array = np.ndarray[Any, Any]

_ORDER = (0, 1, 4, 3, 2, 5)  # (members, tiles, slices, polarities, rows, columns) of digits' axes, and back


class Transferred(NamedTuple):
    """Conductances and transfer matrices of arrays, S: (members, tiles, slices, polarities, rows, columns) each."""

    g_S: Array
    m_S: Array


class Arriving(NamedTuple):
    """What of cells arrives through wires: states in digits, variances in their squares, None where there are none.

    Both (members, tiles, rows, polarities, slices, columns).
    """

    states: Array
    variances: Array | None


def digit_siemens(plan: Floorplan) -> Array:
    """What a digit of 1 conducts: (slices, 1)."""
    cell = plan.spec.cell
    assert isinstance(cell, ResistiveCell)  # others have no wires
    return np.asarray(cell.span / plan.layout.top[:, None])


def siemens(plan: Floorplan, digits: Array, power: int = 1) -> Array:
    """What cells conduct, (members, tiles, slices, polarities, rows, columns) float64 in S; `power` 2: S^2."""
    return np.ascontiguousarray(np.transpose(np.asarray(digits * digit_siemens(plan) ** power, np.float64), _ORDER))


def physical_arrays(plan: Floorplan) -> Iterator[tuple[Array, tuple[int, int]]]:
    """Which columns (bool) lie on each array of a tile, and the rows and columns behind that no weight uses."""
    array, tiling = plan.spec.array, plan.tiling
    width = array.cols + (tiling.unit_of is not None)
    for number in range(tiling.arrays):
        of_array = tiling.array_of == number
        yield of_array, (array.rows - tiling.used, width - int(of_array.sum()))


def transferred(plan: Floorplan, digits: Array, before: Transferred | None) -> Transferred:
    """The transfer matrices of cells that conduct `digits`, by a correction of those `before` where few are others."""
    wires = plan.spec.wires
    assert isinstance(wires, ResistiveWires)
    g_S = np.maximum(siemens(plan, digits), 0)
    m_S = np.empty_like(g_S)
    if before is not None and before.g_S.shape != g_S.shape:
        before = None
    for of_array, unused in physical_arrays(plan):
        now = np.ascontiguousarray(g_S[..., of_array])
        if before is None:
            m_S[..., of_array] = transfer(wires, now, unused)
        else:
            m, g = (np.ascontiguousarray(of[..., of_array]) for of in (before.m_S, before.g_S))
            m_S[..., of_array] = rewritten(wires, m, g, now, unused)
    return Transferred(g_S, m_S)


def arriving(plan: Floorplan, digits: Array, found: Transferred, variances: Array | None) -> Arriving:
    """What arrives of cells that conduct `digits`, and of their `variances`.

    Noise of a call may take a conductance below zero, where there is no network: what is below arrives as any small
    change does.
    """
    below, wires = np.minimum(digits, 0), plan.spec.wires
    states = np.transpose(found.m_S, _ORDER) / digit_siemens(plan)
    if below.any() or variances is not None:
        assert wires is not None
        share = np.empty_like(found.g_S)
        for of_array, unused in physical_arrays(plan):
            share[..., of_array] = passing(wires, np.ascontiguousarray(found.g_S[..., of_array]), unused)
        share = np.transpose(share, _ORDER)
        states = states + below * share
        variances = None if variances is None else np.asarray(variances * np.square(share), np.float32)
    return Arriving(np.asarray(states, np.float32), variances)
