"""Programmed arrays in the form in which the kernels read them, a form for each way the inputs enter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, NamedTuple, Protocol

import numpy as np

from imcsim.converters.dac import cycle_bits, cycle_weights, unit_input
from imcsim.kernels.column import Column, Converters
from imcsim.kernels.mvm import GROUP, bit_serial_read, input_nibbles, one_shot_read, subset_sums
from imcsim.specs.converters import DAC, BitSerialDAC, OneShotDAC

Array = np.ndarray[Any, Any]


class Arrays(Protocol):
    """Arrays that hold programmed cells."""

    def read(self, codes: Array, column: Column, adc: Converters, key: int) -> Array:
        """Input codes (samples, inputs) -> (samples, columns) float64: ADC codes summed over tiles, weighted by cycle.

        `column` is in the MAC units of single-bit reads; where the ADC is ideal its values are summed instead of codes.
        """


@singledispatch
def prepare(dac: DAC, states: Array, variances: Array, resolution: float) -> Arrays:
    """Arrays for reads through `dac`: states and the variances of a read (tiles, rows, columns), in unit currents.

    `resolution` is what the grid of a fixed-point form must resolve, relative to the unit current.
    """
    del states, variances, resolution
    raise TypeError(f"no reads through {type(dac).__name__}")


def conversions(dac: DAC, tiles: int) -> float:
    """The sum over tiles and cycles of what a conversion is worth: with it a constant in every conversion adds up."""
    weights = cycle_weights(dac)[0] if isinstance(dac, BitSerialDAC) else np.ones(1)
    return tiles * float(weights.sum())


class _Table(NamedTuple):
    """Subset sums (tiles, groups, 16, columns) of integers in units of `grid`."""

    sums: Array
    grid: float


@dataclass(frozen=True)
class _BitSerialArrays:
    dac: BitSerialDAC
    states: _Table
    variances: _Table

    def read(self, codes: Array, column: Column, adc: Converters, key: int) -> Array:
        tiles, groups = self.states.sums.shape[:2]
        nibbles = input_nibbles(cycle_bits(self.dac, codes), tiles, GROUP * groups, self.dac.bits)
        weights, _ = cycle_weights(self.dac)
        return np.asarray(bit_serial_read(nibbles, *self.states, *self.variances, column, adc, weights, np.uint64(key)))


@prepare.register
def _(dac: BitSerialDAC, states: Array, variances: Array, resolution: float) -> Arrays:
    return _BitSerialArrays(dac, _table(states, resolution), _table(variances, 0.05))


def _table(states: Array, resolution: float) -> _Table:
    """Subset sums on a grid of 2^-8 or finer, in the narrowest integers that no sum of a column can overflow."""
    tiles, rows, columns = states.shape
    padded = np.zeros((tiles, -(-rows // GROUP) * GROUP, columns), np.float64)
    padded[:, :rows] = states
    if np.array_equal(padded, np.rint(padded)):
        digits, bits = 0, 16  # whole units: no grid is needed
    else:
        largest = float(padded.sum(axis=1).max())
        digits, bits = math.floor(math.log2((2**16 - 1 - rows) / largest)), 16
        if digits < 8 or 2.0**-digits > resolution:
            digits, bits = 16, 32
    return _Table(subset_sums(np.rint(padded * 2.0**digits).astype(f"uint{bits}")), 2.0**-digits)


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
def _(dac: OneShotDAC, states: Array, variances: Array, resolution: float) -> Arrays:
    del resolution  # sums are in float64
    return _OneShotArrays(dac, states, variances)
