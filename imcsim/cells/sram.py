"""SRAM cells: what is asked of each, and the answers of a linear cell, which are those of most.

Five things are asked of a cell, each a function that dispatches on the spec's type: the frozen unit currents of a die,
the bits that it loses, what a cell that stores 0 conducts, the variance that each conducting cell adds at a read, and
the analog column that all its cells share. Currents (and charges) are in units of the nominal cell, sums in MAC units:
one nominal cell conducting.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

import numpy as np

from imcsim.kernels.column import Column
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import AnySramCell, Cell, SramCapacitorCell, SramCell, SramCurrentCell, SramDischargeCell
from imcsim.specs.pulsed import PulsedCell
from imcsim.specs.resistive import ResistiveCell

Array = np.ndarray[Any, Any]

BOLTZMANN_J_PER_K = 1.380649e-23  # exact, SI 2019


@singledispatch
def mismatch_sigma_rel(cell: Cell) -> float:
    """The spread of the frozen unit currents (or charges), relative to their mean."""
    raise TypeError(f"no cell physics for {type(cell).__name__}")


@mismatch_sigma_rel.register
def _(cell: SramCell) -> float:
    return cell.mismatch_sigma_rel


@singledispatch
def frozen_currents(cell: Cell, array: ArraySpec, normals: Array) -> Array:
    """What each cell of a die adds when it conducts: normals (tiles, rows, ...) -> the same shape, float32.

    Axis 1 holds all rows of the array, used or not. No current is negative.
    """
    del array  # a cell's current does not depend on its neighbours
    assert not isinstance(cell, ResistiveCell | PulsedCell)  # which are registered
    return spread(cell, normals)


def spread(cell: AnySramCell, normals: Array) -> Array:
    """Numbers about one, spread by the cell's mismatch: normals of any shape -> the same shape, float32."""
    sigma = mismatch_sigma_rel(cell)
    if cell.mismatch_law == "lognormal":
        # near the threshold the current is exponential in V_t: 28 nm cells read log-normal at low V_DD (unverified).
        # exp(mu + s x) has mean exp(mu + s^2 / 2) = 1 and relative variance exp(s^2) - 1 = sigma^2
        s2 = math.log1p(sigma**2)
        return np.asarray(np.exp(math.sqrt(s2) * normals - s2 / 2), dtype=np.float32)
    return np.asarray(np.maximum(1.0 + sigma * normals, 0.0), dtype=np.float32)


@singledispatch
def lost_bits(cell: Cell, v_min_normals: Array, coin_normals: Array) -> tuple[Array, Array] | None:
    """Which cells lose their bit at this supply (bool), and what they hold in its place (uint8): shape of the normals.

    None where the design loses no bit. The normals are frozen: a cell that fails at one V_DD fails at any lower one,
    and powers up in the same state.
    """
    del cell, v_min_normals, coin_normals
    return None


@lost_bits.register
def _(
    cell: SramDischargeCell | SramCurrentCell | SramCapacitorCell, v_min_normals: Array, coin_normals: Array
) -> tuple[Array, Array] | None:
    if cell.v_min_mean_V is None or cell.v_min_sigma_V is None or cell.v_dd_V is None:
        return None
    # V_min ~ N(mean, sigma) over the cells of a die, so P(lost) = Phi((mean - V_DD) / sigma): the bit is gone where the
    # static noise margin of the cell, which falls with V_DD, reaches zero (Seevinck et al. 1987; unverified)
    v_min_V = cell.v_min_mean_V + cell.v_min_sigma_V * np.asarray(v_min_normals, np.float64)
    # the state at power-up is that of the stronger inverter: a fair coin, tossed at manufacture
    return v_min_V > cell.v_dd_V, (coin_normals > 0).astype(np.uint8)


@singledispatch
def off_state(cell: Cell) -> float:
    """The current of a driven cell that stores 0, in units of the difference that the stored bit makes, I_on - I_off.

    0 for a cell with a read transistor: what it leaks, it leaks driven or not, whatever it stores.
    """
    del cell
    return 0.0


@off_state.register
def _(cell: SramCell) -> float:
    # I_off / (I_on - I_off)
    return 0.0 if cell.on_off_ratio is None else 1 / (cell.on_off_ratio - 1)


@singledispatch
def variance_states(cell: Cell, currents: Array) -> Array:
    """The variance that each conducting cell adds at a read, in units of the column's `cell_variance`."""
    del cell
    return np.ones_like(currents)


@singledispatch
def variance_follows_current(cell: Cell) -> bool:
    """Whether the variance of a read depends on the cell's own current: else it is 1 in `variance_states`."""
    del cell
    return False


@singledispatch
def digit_variances(cell: Cell, digits: Array, currents: Array, top: Array) -> Array:
    """The variance that each driven cell adds at a read, in squares of a digit times the column's `cell_variance`.

    `digits` are what it conducts, of at most about `top`; `currents` its frozen unit currents.
    """
    del top
    return np.asarray(np.square(digits) * variance_states(cell, currents))


@singledispatch
def column(cell: Cell, array: ArraySpec) -> Column:
    """The analog column that `array.rows` cells share, in MAC units of a read by single bits."""
    del array
    raise TypeError(f"no cell physics for {type(cell).__name__}")


@column.register
def _(cell: SramCell, array: ArraySpec) -> Column:
    del array
    return Column(cell_variance=cell.read_noise_rel**2)
