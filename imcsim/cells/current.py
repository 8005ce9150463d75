"""Current summing: the currents of all conducting cells flow together through the load of a clamped line."""

from __future__ import annotations

import math

from imcsim.cells.sram import BOLTZMANN_J_PER_K, column
from imcsim.cells.transistor import on_current, pedestal
from imcsim.kernels.column import Column
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCurrentCell


@column.register
def _(cell: SramCurrentCell, array: ArraySpec) -> Column:
    # I = sum I_j with the mismatch of bit-line discharge: Gonugondla et al. 2022, who call it IS (unverified)
    i_on_A = on_current(cell)
    return Column(
        pedestal=pedestal(cell, array),
        # the line falls by I R, and every current with it: I = N I_on (1 - lambda I R) = N I_on / (1 + N I_on lambda R)
        load=i_on_A * cell.droop_per_V * cell.r_load_ohm,
        swing=math.inf if cell.i_max_A is None else cell.i_max_A / i_on_A,
        cell_variance=cell.read_noise_rel**2,
        variance=load_noise(cell) / i_on_A**2,
    )


def load_noise(cell: SramCurrentCell) -> float:
    """The variance of the load's thermal current within the bandwidth of the read, in A^2.

    The column adds it ahead of the compression, which divides its sigma by (1 + load v)^2 at a sum of v, where the
    circuit divides it by 1 + load v: it comes out low by as much as the sum is compressed.
    """
    if cell.bandwidth_Hz is None:
        return 0.0
    # 4 k T B / R: Johnson 1928, Nyquist 1928
    return 4 * BOLTZMANN_J_PER_K * cell.temperature_K * cell.bandwidth_Hz / cell.r_load_ohm
