"""The matrix that cells really make: what an emulator knows of a die, and neither a rule nor a controller can."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from imcsim import cells
from imcsim.calibration import ranges_by_design
from imcsim.compound import CompoundArray
from imcsim.converters import adc as adcs
from imcsim.converters import dac as dacs
from imcsim.crossbar import Crossbar
from imcsim.errors import CapabilityError, Problem
from imcsim.floorplan import floorplan
from imcsim.mapping import largest_code
from imcsim.rng import child
from imcsim.solved import solves
from imcsim.specs.adc import IdealADC
from imcsim.specs.cells import AnySramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import IdealDAC

Array = np.ndarray[Any, Any]


def effective_weights(layer: Crossbar | CompoundArray, *, now_s: float = 0.0) -> Array:
    """The matrix by which a crossbar multiplies in the mean of many reads: (rows, cols), or (members, rows, cols).

    What its cells hold is in it: mismatch, lost bits, programming errors, drift and wires; and the gain of each ADC.
    All else of the converters is not, nor what clips a column, nor noise. Raises CapabilityError where cells or columns
    answer by no matrix.
    """
    if isinstance(layer, CompoundArray):
        unhindered: Crossbar | CompoundArray = dataclasses.replace(layer, slow=_unhindered(layer.slow))
    else:
        unhindered = _unhindered(layer)
    keys: Any = child(0, "nothing is drawn")
    if layer.die.members is not None:
        keys = [keys] * layer.die.members
    return np.asarray(unhindered.mvm(np.eye(layer.die.shape[0]), keys, now_s=now_s))


def write_slopes(layer: Crossbar | CompoundArray) -> Array | float:
    """By how much each effective weight moves as the weight written there does: in its shape, or one number for all.

    Of SRAM cells it is the secant from a code below to a code above, as whole codes are what a write can change. Of
    others it is 1: what a write makes of resistive and pulsed cells is drawn with each.
    """
    if isinstance(layer, CompoundArray) or not isinstance(layer.die.spec.cell, AnySramCell):
        return 1.0
    bits = layer.die.spec.array.weight_bits
    step, top = 2 if bits == 1 else 1, largest_code(bits)  # one bit has no code between -1 and +1
    above, below = (np.clip(layer.codes + signed, -top, top) for signed in (step, -step))
    moved = (above - below) * layer.scale[:, None, None]
    made = [effective_weights(dataclasses.replace(layer, codes=codes)) for codes in (above, below)]
    return np.asarray((made[0] - made[1]) / (moved[0] if len(moved) == 1 else moved))


def entered(layer: Crossbar | CompoundArray, x: Array) -> tuple[Array, Array]:
    """What inputs x (samples, rows) are once they have codes, in their units; and which of them do not clip (bool)."""
    xbar = layer.slow if isinstance(layer, CompoundArray) else layer
    dac, step = xbar.die.spec.dac, float(xbar.input_step[0])
    inputs = step * dacs.codes_of_members(dac, np.asarray(x, np.float64)[None], xbar.input_step)[0]
    rounded = 1e-9 if isinstance(dac, IdealDAC) else 0.5
    return inputs, np.abs(x) <= step * (dacs.largest_input(dac) + rounded)


def _unhindered(xbar: Crossbar) -> Crossbar:
    """The same cells between converters that convert nothing, on columns without noise and limits."""
    die, spec = xbar.die, xbar.die.spec
    if found := list(matrix_problems(spec)):
        raise CapabilityError(found)
    plan = floorplan(
        dataclasses.replace(spec, dac=IdealDAC(), adc=IdealADC(), transpose=None, decorrelation=None), die.shape
    )
    gain = die.adc.gain if xbar.trimmed is None else die.adc.gain / xbar.trimmed[0]
    errors = adcs.no_errors(spec.adc, *gain.shape)
    # the keys of a die are what the noise of a call is drawn from
    silent = die.column.noiseless()._replace(swing=math.inf, low=-math.inf)
    same = dataclasses.replace(
        die, plan=plan, column=silent, adc=dataclasses.replace(errors, gain=gain), dac=None, keys=None, transposed=None
    )
    ones = np.ones(len(xbar.scale))
    ranges = ranges_by_design(plan, len(ones))
    return dataclasses.replace(xbar, die=same, input_step=ones, ranges=ranges, trimmed=None, back=None)


def matrix_problems(spec: ChipSpec) -> Iterable[Problem]:
    """Why no matrix tells what reads of a chip of this design give, if none does."""
    column, remedy = cells.column(spec.cell, spec.array), "take finite differences"
    if solves(spec):
        yield Problem(("cell",), "no matrix tells what nonlinear or gated cells give", remedy=remedy)
    if column.droop > 0 or column.load > 0:
        allowed = "no matrix tells what a column gives that droops, or has a load"
        yield Problem(("cell",), allowed, remedy=f"{remedy}, or leave droop and load out")
