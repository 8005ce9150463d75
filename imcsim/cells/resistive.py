"""Resistive cells: from digits to target conductances, through a write and time to what a call of reads meets.

    target -> write -> Written -> held, some time later -> in_call, with the noise of a call

Arrays have any shape, the same throughout, and keep their precision. Which random numbers each step takes, all of them
standard normals of a place (kernels.frozen):

    at manufacture  CELL_STUCK where the cell has `stuck`; CELL_TRAP where it has `telegraph_noise`
    at a write      WRITE + k for its k-th attempt where it has `programming`; WRITE_DRIFT where draws_at_write says so
    at a call       READ_FLICKER where it has `flicker_noise`; READ_TELEGRAPH where it has traps

White noise is the column's: `variance_states`. Like the other cells, a resistive cell also answers what an array of
nominal cells asks, in units of a full digit, g_max - g_min; its errors are those of writes, so none is frozen.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from imcsim.cells.drift import drifted, settled
from imcsim.cells.programming import programmed
from imcsim.cells.read_noise import flicker_sigma, telegraph, white_sigma
from imcsim.cells.sram import column, digit_variances, frozen_currents, mismatch_sigma_rel, off_state, variance_states
from imcsim.errors import ExtrapolationWarning, SpecError
from imcsim.kernels.column import Column
from imcsim.specs.array import ArraySpec
from imcsim.specs.resistive import ResistiveCell

Array = np.ndarray[Any, Any]
Time = float | Array

_ROUNDING = 1e-6  # of g_max: what float32 makes of a target at the end of the range


class Written(NamedTuple):
    """What is kept of cells from their write on: arrays of one shape.

    The targets, what they hold at t0 (both in S), the normals that tell their drift, and how many writes each took.
    """

    target_S: Array
    programmed_S: Array
    drift_normals: Array
    writes: Array

    def where(self, changed: Array, new: Written) -> Written:
        """These cells, but for the `changed` ones (bool), which are `new`; writes are those of the last time."""
        return Written(*(np.where(changed, b, a) for a, b in zip(self, new, strict=True)))


# ---- writes


def target(cell: ResistiveCell, states: Array) -> Array:
    """The conductances that states from 0 to 1 (a digit over its top) stand for: any shape, in S."""
    return cell.lowest + cell.span * states


def write(cell: ResistiveCell, target_S: Array, normals: Callable[[int], Array], drift_normals: Array) -> Written:
    """Write cells to targets in S; `normals(k)` are those of attempt k, asked for only where a cell needs them.

    Raises SpecError for targets outside of the cell's range, or where it is not to be extrapolated.
    """
    check_targets(cell, target_S)
    held_S, writes = programmed(cell, target_S, normals)
    return Written(target_S, settled(cell, target_S, held_S, drift_normals), drift_normals, writes)


def check_targets(cell: ResistiveCell, target_S: Array) -> None:
    """Refuse targets that the cell cannot hold, and warn of those to which its numbers are extrapolated."""
    if not np.size(target_S):
        return
    least, most = float(np.min(target_S)), float(np.max(target_S))
    slack = _ROUNDING * cell.g_max_S
    if not (cell.lowest - slack <= least and most <= cell.g_max_S + slack):
        allowed = f"states must lie from {cell.lowest:g} to {cell.g_max_S:g} S, the range of the cell"
        raise SpecError.of("cell", allowed, f"targets from {least:g} to {most:g} S", "raise g_max_S, or write less")
    valid = cell.valid
    if valid is None:
        return
    low = -np.inf if valid.g_low_S is None else valid.g_low_S
    high = np.inf if valid.g_high_S is None else valid.g_high_S
    if low - slack <= least and most <= high + slack:
        return
    allowed = f"the states of the cell are known from {max(low, cell.lowest):g} to {min(high, cell.g_max_S):g} S"
    if valid.beyond_states == "error":
        remedy = 'narrow g_min_S and g_max_S, or set cell.valid.beyond_states = "warning" to extrapolate'
        raise SpecError.of("cell", allowed, f"targets from {least:g} to {most:g} S", remedy)
    warnings.warn(f"{allowed}: extrapolated to {least:g} ... {most:g} S", ExtrapolationWarning, stacklevel=2)


def stuck_cells(cell: ResistiveCell, normals: Array) -> tuple[Array, Array] | None:
    """Which cells of a die are stuck (bool), and at what conductance (S): shape of the normals, frozen at manufacture.

    None where the design has none. A larger share of any kind keeps the cells that are stuck already.
    """
    stuck = cell.stuck
    if stuck is None or stuck.on + stuck.off + stuck.at_value == 0:
        return None
    from scipy.special import ndtr

    u = ndtr(np.asarray(normals, np.float64))
    # from both ends of the uniform and from its middle
    on, off = u > 1 - stuck.on, u < stuck.off
    middle = (stuck.off + 1 - stuck.on) / 2
    at_value = (np.abs(u - middle) < stuck.at_value / 2) & ~on & ~off
    value_S = 0.0 if stuck.value_S is None else stuck.value_S
    held_S = np.select([on, off], [cell.g_max_S, cell.lowest], value_S)
    return on | off | at_value, held_S.astype(normals.dtype)


# ---- time and reads


def held(cell: ResistiveCell, written: Written, stuck: tuple[Array, Array] | None, t_since_write_s: Time) -> Array:
    """What cells hold `t_since_write_s` after their write, in S: a time for all, or one a cell. Raises SpecError."""
    g_S = drifted(cell, written.target_S, written.programmed_S, written.drift_normals, t_since_write_s)
    return g_S if stuck is None else np.where(stuck[0], stuck[1], g_S).astype(g_S.dtype, copy=False)


def in_call(
    cell: ResistiveCell,
    g_S: Array,
    written: Written,
    t_since_write_s: Time,
    *,
    flicker_normals: Array | None,
    trapped: Array | None,
    telegraph_normals: Array | None,
) -> Array:
    """What cells that hold `g_S` conduct throughout one call, in S: 1/f and telegraph noise added, not clipped.

    Each kind of noise that the cell has takes its normals; None where it has not.
    """
    found = g_S
    if cell.flicker_noise is not None:
        assert flicker_normals is not None
        found = found + flicker_sigma(cell, g_S, written.programmed_S, t_since_write_s) * flicker_normals
    if trapped is not None:
        assert telegraph_normals is not None
        found = found + telegraph(cell, g_S, trapped, telegraph_normals)
    return found


# ---- current and voltage


def current(cell: ResistiveCell, g_S: Array, voltage_V: Array) -> Array:
    """The current of cells of conductance `g_S` (at the read voltage) under `voltage_V`: shapes broadcast, in A."""
    law = cell.current
    if law is None:
        return np.asarray(g_S * voltage_V)
    # I = a sinh(V / V0), with a such that g is the conductance at the read voltage
    return np.asarray(g_S * (law.v_read_V / np.sinh(law.v_read_V / law.v0_V)) * np.sinh(voltage_V / law.v0_V))


def differential(cell: ResistiveCell, g_S: Array, voltage_V: Array) -> Array:
    """dI/dV of the same cells, for Newton's method: shapes broadcast, in S."""
    law = cell.current
    if law is None:
        return np.asarray(g_S * np.ones_like(voltage_V))
    peak = law.v_read_V / law.v0_V / np.sinh(law.v_read_V / law.v0_V)
    return np.asarray(g_S * peak * np.cosh(voltage_V / law.v0_V))


def driving(cell: ResistiveCell, x: Array) -> Array:
    """The voltages under which linear cells would carry the same current: x and they, in units of the read voltage."""
    read_V = 1.0 if cell.current is None else cell.current.v_read_V
    return np.asarray(current(cell, np.ones(()), read_V * x) / read_V)


# ---- what an array of nominal cells asks, in units of a full digit


@mismatch_sigma_rel.register
def _(cell: ResistiveCell) -> float:
    del cell
    return 0.0  # each write has an error of its own


@frozen_currents.register
def _(cell: ResistiveCell, array: ArraySpec, normals: Array) -> Array:
    del cell, array
    return np.ones(normals.shape, np.float32)


@off_state.register
def _(cell: ResistiveCell) -> float:
    return cell.lowest / cell.span


@variance_states.register
def _(cell: ResistiveCell, currents: Array) -> Array:
    """The white noise of cells in states `currents` from 0 to 1, as a variance."""
    g_S = target(cell, np.asarray(currents, np.float64))
    return np.asarray(np.square(white_sigma(cell, g_S) / cell.span), np.float32)


@digit_variances.register
def _(cell: ResistiveCell, digits: Array, currents: Array, top: Array) -> Array:
    del currents
    # a driven cell conducts its off-state, too: the state is what lies above it
    states = np.clip(digits / top - off_state(cell), 0, None)
    return np.asarray(variance_states(cell, states) * np.square(top), np.float32)


@column.register
def _(cell: ResistiveCell, array: ArraySpec) -> Column:
    del array
    # variance_states is in squares of a full digit
    return Column(cell_variance=0.0 if cell.white_noise is None else 1.0)
