"""Whether reads of a design draw random numbers, so that a second read of the same inputs differs from the first."""

from __future__ import annotations

from imcsim.cells import column
from imcsim.converters.kinds import decision_kind, decision_noise_lsb
from imcsim.kernels.decide import DISTRIBUTION, STOCHASTIC
from imcsim.specs.adc import RangedADC
from imcsim.specs.cells import Cell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import IdealDAC
from imcsim.specs.resistive import ResistiveCell


def draws(spec: ChipSpec, *, nominal: bool = False) -> bool:
    """Whether a forward read of an array of the design draws, on manufactured dies or on the `nominal` one.

    That has no noise, but decides as its converters do. Matrices ahead of the layers are designs of their own.
    """
    return _decides_at_random(spec) or (not nominal and _noisy(spec))


def varies_by_call(cell: Cell) -> bool:
    """Whether two calls at the same time meet other conductances, on manufactured dies."""
    return isinstance(cell, ResistiveCell) and (cell.flicker_noise is not None or cell.telegraph_noise is not None)


def _decides_at_random(spec: ChipSpec) -> bool:
    adc = spec.adc
    return decision_kind(adc) in (STOCHASTIC, DISTRIBUTION) or decision_noise_lsb(adc) > 0


def _noisy(spec: ChipSpec) -> bool:
    """Whether cells, columns, and converters of columns or rows have noise."""
    adc, dac = spec.adc, spec.dac
    at_conversion = isinstance(adc, RangedADC) and adc.noise_lsb > 0
    at_rows = not isinstance(dac, IdealDAC) and dac.noise_lsb > 0
    return column(spec.cell, spec.array).noisy or varies_by_call(spec.cell) or at_conversion or at_rows
