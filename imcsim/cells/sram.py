"""SRAM cells: what mismatch, pulse jitter, leakage, droop and the capacitor network do to a column.

Three questions are asked of a cell, each a function that dispatches on the spec's type: the frozen unit currents of
a die, the variance that each conducting cell adds at a read, and the analog column that all its cells share. Currents
(and charges) are in units of the nominal cell, sums in MAC units: one nominal cell conducting.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

import numpy as np

from imcsim.kernels.column import Column
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import Cell, SramCapacitorCell, SramCell, SramDischargeCell

Array = np.ndarray[Any, Any]

BOLTZMANN_J_PER_K = 1.380649e-23  # exact, SI 2019


@singledispatch
def mismatch_sigma_rel(cell: Cell) -> float:
    """The spread of the frozen unit currents (or charges), relative to their mean."""
    raise TypeError(f"no cell physics for {type(cell).__name__}")


@mismatch_sigma_rel.register
def _(cell: SramCell) -> float:
    return cell.mismatch_sigma_rel


@mismatch_sigma_rel.register
def _(cell: SramDischargeCell) -> float:
    if cell.mismatch_sigma_rel is not None:
        return cell.mismatch_sigma_rel
    assert cell.sigma_vt_V is not None  # the spec holds exactly one of the two
    # I = k (V_WL - V_t)^alpha, so dI/I = alpha sigma_Vt / (V_WL - V_t): alpha-power law, Gonugondla et al. (unverified)
    return cell.alpha * cell.sigma_vt_V / (cell.v_wl_V - cell.v_t_V)


@mismatch_sigma_rel.register
def _(cell: SramCapacitorCell) -> float:
    if cell.mismatch_sigma_rel is not None:
        return cell.mismatch_sigma_rel
    assert cell.kappa_sqrtF is not None  # the spec holds exactly one of the two
    return cell.kappa_sqrtF / math.sqrt(cell.c_unit_F)  # sigma_C = kappa sqrt(C): area law of matching (Pelgrom)


@singledispatch
def frozen_currents(cell: Cell, array: ArraySpec, normals: Array) -> Array:
    """What each cell of a die adds when it conducts: normals (tiles, rows, ...) -> the same shape, float32.

    Axis 1 holds all rows of the array, used or not. Currents clip at zero.
    """
    del array  # a cell's current does not depend on its neighbours
    return _spread(cell, normals)


@frozen_currents.register
def _(cell: SramCapacitorCell, array: ArraySpec, normals: Array) -> Array:
    charges = _spread(cell, normals)
    # V = V_DD sum(w x C_i) / (sum C_i + C_par), the sum in the denominator over every cell of the column, in MAC units
    # of the nominal column: Delta = C V_DD / (N C + C_par)
    parasitic = _parasitic_rel(cell, array)
    total = charges.sum(axis=1, keepdims=True, dtype=np.float64) + parasitic
    return np.asarray(charges * ((array.rows + parasitic) / total), dtype=np.float32)


@singledispatch
def variance_states(cell: Cell, currents: Array) -> Array:
    """The variance that each conducting cell adds at a read, in units of the column's `cell_variance`."""
    del cell
    return np.ones_like(currents)


@variance_states.register
def _(cell: SramDischargeCell, currents: Array) -> Array:
    # jitter of the pulse scales the cell's own current, read noise is relative to the nominal one
    jitter = (cell.sigma_t_pulse_s / cell.t_pulse_s) ** 2
    total = jitter + cell.read_noise_rel**2
    if total == 0:
        return np.ones_like(currents)
    squares = np.square(currents, dtype=np.float64)
    return np.asarray((jitter * squares + cell.read_noise_rel**2) / total, dtype=np.float32)


@singledispatch
def column(cell: Cell, array: ArraySpec) -> Column:
    """The analog column that `array.rows` cells share, in MAC units of a read by single bits."""
    del array
    raise TypeError(f"no cell physics for {type(cell).__name__}")


@column.register
def _(cell: SramCell, array: ArraySpec) -> Column:
    del array
    return Column(pedestal=0.0, droop=0.0, swing=math.inf, cell_variance=cell.read_noise_rel**2, variance=0.0)


@column.register
def _(cell: SramDischargeCell, array: ArraySpec) -> Column:
    # Delta V_unit = I_on T0 / C_BL with I_on = k (V_WL - V_t)^alpha: Gonugondla et al. (unverified)
    i_on_A = cell.k_A_per_Valpha * (cell.v_wl_V - cell.v_t_V) ** cell.alpha
    unit_V = i_on_A * cell.t_pulse_s / cell.c_bl_F
    return Column(
        # every cell leaks, conducting or not; the unit current is what a conducting cell adds to that
        pedestal=cell.leakage_rel * array.rows,
        # the current falls by droop_per_V as the bit line falls (channel-length modulation)
        droop=cell.droop_per_V * unit_V,
        swing=cell.swing_V / unit_V,
        cell_variance=(cell.sigma_t_pulse_s / cell.t_pulse_s) ** 2 + cell.read_noise_rel**2,
        variance=0.0,
    )


@column.register
def _(cell: SramCapacitorCell, array: ArraySpec) -> Column:
    total_F = cell.c_unit_F * (array.rows + _parasitic_rel(cell, array))
    step_V = cell.v_dd_V * cell.c_unit_F / total_F  # Delta, the voltage of one MAC unit
    # kT/C of the whole column, sampled once, when all capacitors are connected to it
    noise_V2 = BOLTZMANN_J_PER_K * cell.temperature_K / total_F
    return Column(pedestal=0.0, droop=0.0, swing=math.inf, cell_variance=0.0, variance=noise_V2 / step_V**2)


def _spread(cell: Cell, normals: Array) -> Array:
    return np.asarray(np.maximum(1.0 + mismatch_sigma_rel(cell) * normals, 0.0), dtype=np.float32)


def _parasitic_rel(cell: SramCapacitorCell, array: ArraySpec) -> float:
    """The parasitic load of a column in unit capacitors: C_par = c_par_per_cell_rel N C + c_par_F."""
    return cell.c_par_per_cell_rel * array.rows + cell.c_par_F / cell.c_unit_F
