"""Charge redistribution: every cell puts its product on a capacitor, and the column shares the charges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from imcsim.cells.sram import BOLTZMANN_J_PER_K, column, frozen_currents, mismatch_sigma_rel, spread
from imcsim.kernels.column import Column
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCapacitorCell

Array = np.ndarray[Any, Any]


@mismatch_sigma_rel.register
def _(cell: SramCapacitorCell) -> float:
    if cell.mismatch_sigma_rel is not None:
        return cell.mismatch_sigma_rel
    assert cell.kappa_sqrtF is not None  # the spec holds exactly one of the two
    return cell.kappa_sqrtF / math.sqrt(cell.c_unit_F)  # sigma_C = kappa sqrt(C): area law of matching (Pelgrom)


@frozen_currents.register
def _(cell: SramCapacitorCell, array: ArraySpec, normals: Array) -> Array:
    charges = spread(cell, normals)
    # V = V_DD sum(w x C_i) / (sum C_i + C_par), the sum in the denominator over every cell of the column, in MAC units
    # of the nominal column: Delta = C V_DD / (N C + C_par)
    parasitic = _parasitic_rel(cell, array)
    total = charges.sum(axis=1, keepdims=True, dtype=np.float64) + parasitic
    return np.asarray(charges * ((array.rows + parasitic) / total), dtype=np.float32)


@column.register
def _(cell: SramCapacitorCell, array: ArraySpec) -> Column:
    total_F = cell.c_unit_F * (array.rows + _parasitic_rel(cell, array))
    step_V = cell.v_dd_V * cell.c_unit_F / total_F  # Delta, the voltage of one MAC unit
    # kT/C of the whole column, sampled once, when all capacitors are connected to it
    noise_V2 = BOLTZMANN_J_PER_K * cell.temperature_K / total_F
    return Column(variance=noise_V2 / step_V**2)


def _parasitic_rel(cell: SramCapacitorCell, array: ArraySpec) -> float:
    """The parasitic load of a column in unit capacitors: C_par = c_par_per_cell_rel N C + c_par_F."""
    return cell.c_par_per_cell_rel * array.rows + cell.c_par_F / cell.c_unit_F
