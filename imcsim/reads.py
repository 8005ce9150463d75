"""Programmed arrays in the form in which the kernels read them, a form for each way the inputs enter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, NamedTuple, Protocol

import numpy as np

from imcsim.converters.dac import cycle_weights, serial_codes, unit_input
from imcsim.kernels.column import Column, Converters
from imcsim.kernels.mvm import CHUNK, SLAB, bit_serial_read, one_shot_read, table_rows
from imcsim.specs.converters import DAC, BitSerialDAC, OneShotDAC

Array = np.ndarray[Any, Any]

VARIANCE_RESOLUTION = 0.05  # of the variance of a cell: the sum over a column then has its standard deviation to 1 %


class Arrays(Protocol):
    """Arrays that hold programmed cells."""

    def read(self, codes: Array, column: Column, adc: Converters, key: int) -> Array:
        """Input codes (samples, inputs) -> (samples, columns) float64: ADC codes summed over tiles, weighted by cycle.

        `column` is in the MAC units of single-bit reads; where the ADC is ideal its values are summed instead of codes.
        """


@singledispatch
def prepare(dac: DAC, bits: Array, currents: Array, variances: Array, *, resolution: float) -> Arrays:
    """Arrays for reads through `dac`: stored bits, the current of each cell and the variance it adds, in unit currents.

    All are (tiles, rows, columns). `resolution` is what the grid of a fixed-point form must resolve of a current.
    """
    del bits, currents, variances, resolution
    raise TypeError(f"no reads through {type(dac).__name__}")


def conversions(dac: DAC, tiles: int) -> float:
    """The sum over tiles and cycles of what a conversion is worth: with it a constant in every conversion adds up."""
    return tiles * float(cycle_weights(dac)[0].sum())


class _Fixed(NamedTuple):
    """States (tiles, rows, columns) as integers in units of `grid`, in whole slabs of rows and chunks of columns."""

    states: Array
    grid: float


@dataclass(frozen=True)
class _BitSerialArrays:
    dac: BitSerialDAC
    shape: tuple[int, int, int]
    states: _Fixed
    variances: _Fixed

    def read(self, codes: Array, column: Column, adc: Converters, key: int) -> Array:
        tiles, used, columns = self.shape
        rows, padding = self.states.states.shape[1], self.states.states.shape[2] - columns
        picks = table_rows(serial_codes(self.dac, codes), tiles, used, rows, self.dac.bits)
        wide = adc._replace(scale=_widened(adc.scale, padding), shift=_widened(adc.shift, padding))
        weights, _ = cycle_weights(self.dac)
        sums = bit_serial_read(picks, *self.states, *self.variances, column, wide, weights, np.uint64(key))
        return np.asarray(sums[:, :columns])


@prepare.register
def _(dac: BitSerialDAC, bits: Array, currents: Array, variances: Array, *, resolution: float) -> Arrays:
    fixed = _fixed_point(bits, currents, resolution), _fixed_point(bits, variances, VARIANCE_RESOLUTION)
    return _BitSerialArrays(dac, bits.shape, *fixed)


def _fixed_point(bits: Array, values: Array, resolution: float) -> _Fixed:
    """Stored bits x values on a grid of 2^-8 or finer, in the narrowest integers that no sum of a column can overflow.

    The grid suits the die, all its cells conducting: what is programmed does not move it.
    """
    tiles, rows, columns = values.shape
    largest = float(values.sum(axis=1, dtype=np.float64).max())
    if np.array_equal(values, np.rint(values)):  # whole units: no grid is needed
        digits, width = 0, 8 if largest < 2**8 else 16
    else:
        digits, width = math.floor(math.log2((2**16 - 1 - rows) / largest)), 16
        if digits < 8 or 2.0**-digits > resolution:
            digits, width = 16, 32
    states = np.zeros((tiles, -(-rows // SLAB) * SLAB, -(-columns // CHUNK) * CHUNK), f"uint{width}")
    states[:, :rows, :columns] = np.rint(bits * values.astype(np.float64) * 2.0**digits)
    return _Fixed(states, 2.0**-digits)


def _widened(values: Array, columns: int) -> Array:
    return np.ascontiguousarray(np.pad(values, ((0, 0), (0, columns))))


@dataclass(frozen=True)
class _OneShotArrays:
    dac: OneShotDAC
    states: Array
    variances: Array

    def read(self, codes: Array, column: Column, adc: Converters, key: int) -> Array:
        tiles, rows, _ = self.states.shape
        tiled = np.zeros((codes.shape[0], tiles * rows), np.int64)
        tiled[:, : codes.shape[1]] = codes
        x = tiled.reshape(-1, tiles, rows)
        seen = column.scaled(unit_input(self.dac))
        return np.asarray(one_shot_read(x, self.states, self.variances, seen, adc, np.uint64(key)))


@prepare.register
def _(dac: OneShotDAC, bits: Array, currents: Array, variances: Array, *, resolution: float) -> Arrays:
    del resolution  # sums are in float64
    return _OneShotArrays(dac, bits * currents, bits * variances)
