"""Bit-line discharge: the currents of all conducting cells empty the capacitance of the bit line for one pulse."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.cells.sram import column, variance_follows_current, variance_states
from imcsim.cells.transistor import on_current, pedestal
from imcsim.kernels.column import Column
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramDischargeCell

Array = np.ndarray[Any, Any]


def unit_voltage(cell: SramDischargeCell) -> float:
    """How far one nominal cell discharges the bit line, in V: a MAC unit."""
    # Delta V_unit = I_on T0 / C_BL: Gonugondla et al. (unverified)
    return on_current(cell) * cell.t_pulse_s / cell.c_bl_F


@variance_states.register
def _(cell: SramDischargeCell, currents: Array) -> Array:
    # jitter of the pulse scales the cell's own current, read noise is relative to the nominal one
    jitter = _jitter_rel(cell) ** 2
    total = jitter + cell.read_noise_rel**2
    if total == 0:
        return np.ones_like(currents)
    squares = np.square(currents, dtype=np.float64)
    return np.asarray((jitter * squares + cell.read_noise_rel**2) / total, dtype=np.float32)


@variance_follows_current.register
def _(cell: SramDischargeCell) -> bool:
    return _jitter_rel(cell) > 0


@column.register
def _(cell: SramDischargeCell, array: ArraySpec) -> Column:
    unit_V = unit_voltage(cell)
    return Column(
        pedestal=pedestal(cell, array),
        # the current falls by droop_per_V as the bit line falls (channel-length modulation)
        droop=cell.droop_per_V * unit_V,
        swing=cell.full_swing / unit_V,
        cell_variance=_jitter_rel(cell) ** 2 + cell.read_noise_rel**2,
    )


def _jitter_rel(cell: SramDischargeCell) -> float:
    return cell.sigma_t_pulse_s / cell.t_pulse_s
