"""Programmed cells in the form in which kernels read them: tables of integers for single bits, else products."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np

from imcsim.converters.dac import accumulates, cycles
from imcsim.kernels.bitserial import CHUNK, SLAB, convert_read, round_read, table_rows
from imcsim.kernels.inputs import SIGNED, Cycles
from imcsim.products import Circuit, Laid, ProductReads, chunked, narrow, padded, rounds
from imcsim.specs.dac import DAC, BitSerialDAC, IdealDAC

Array = np.ndarray[Any, Any]

VARIANCE_RESOLUTION = 0.05  # of the variance of a cell: the sum over a column then has its standard deviation to 1 %


class Cells(NamedTuple):
    """What programmed cells add to their columns, in MAC units: (members, reads, rows, pair, columns).

    `pair` is 2 where two columns are subtracted ahead of their converter. `variances` are in units of the column's
    `cell_variance`. No column of nominal cells sums to more than `bound`, nor their variances to `variance_bound`; a
    grid that holds the states must resolve `resolution`.
    """

    states: Array
    variances: Array
    bound: float
    variance_bound: float
    resolution: float


class Arrays(Protocol):
    """Arrays that hold programmed cells."""

    def read(self, codes: Array, keys: Array) -> Array:
        """Input codes (1 or members, samples, inputs) -> (members, samples, columns) float64; keys (members,) uint64.

        ADC codes summed over reads, weighted by cycle; where the ADC is ideal its values are summed instead of codes.
        """


def prepare(dac: DAC, cells: Cells, circuit: Circuit) -> Arrays:
    """Arrays for reads through `dac`."""
    if reads_tables(dac):
        return TableReads(cycles(dac), accumulates(dac), cells, circuit)
    # float32, unless more than its 24 bits would be exact, or inputs are not quantised
    exact = not narrow(dac, cells.bound) and np.array_equal(cells.states, np.rint(cells.states))
    dtype = np.float64 if exact or isinstance(dac, IdealDAC) else np.float32
    laid = Laid(*(chunked(values, dtype) for values in (cells.states, cells.variances)))
    return ProductReads(dac, circuit, *cells.states.shape[1:]).holding(laid)


class _Fixed(NamedTuple):
    """States (members x reads, rows, columns) as integers in units of `grid`, in whole slabs and chunks."""

    states: Array
    grid: float


class TableReads:
    """Reads by tables of the subset sums of integers."""

    def __init__(self, driven: Cycles, accumulate: bool, cells: Cells, circuit: Circuit) -> None:
        _, self._reads, self._rows, self._pair, self._columns = cells.states.shape
        self._cycles, self._accumulate = driven, accumulate
        self._states = _fixed_point(cells.states, cells.bound, cells.resolution)
        self._variances = _fixed_point(cells.variances, cells.variance_bound, VARIANCE_RESOLUTION)
        columns = self._states.states.shape[2] // self._pair
        self._column, self._adc = padded(circuit.column, circuit.adc, self._pair, columns - self._columns)
        count = self._reads * np.abs(driven.weights).sum()
        self._rounds = rounds(self._column, self._adc, self._accumulate, self._pair, count)

    @property
    def rounds(self) -> bool:
        """Whether sums become codes by a scale, a shift and rounding."""
        return self._rounds

    @property
    def number(self) -> Any:
        """The type in which sums become values."""
        return np.float32

    @property
    def states(self) -> Array:
        """What each cell adds, in MAC units on the grid: (members x reads, rows, pair, columns)."""
        return self._unlaid(*self._states)

    @property
    def variances(self) -> Array:
        """As `states`, where cells are noisy."""
        return self._unlaid(*self._variances)

    def _unlaid(self, integers: Array, grid: float) -> Array:
        apart = integers[:, : self._rows].reshape(len(integers), self._rows, self._pair, -1)
        return np.asarray(grid * apart[..., : self._columns])

    def read(self, codes: Array, keys: Array) -> Array:
        slabs = self._states.states.shape[1]
        picks = np.stack([table_rows(c, self._reads, self._rows, slabs, self._cycles) for c in codes])
        arrays, weights, adc = (picks, *self._states, *self._variances, self._column), self._cycles.weights, self._adc
        noisy = self._column.noisy
        if self._rounds:
            sums = round_read(*arrays, noisy or adc.noise_lsb > 0, adc, weights, keys)
        else:
            linear = self._column.linear
            sums = convert_read(*arrays, noisy, linear, adc, weights, self._accumulate, self._pair, keys)
        return np.asarray(sums[..., : self._columns])


def _fixed_point(values: Array, bound: float, resolution: float) -> _Fixed:
    """Values on a grid of 2^-8 or finer, in the narrowest integers that no sum of a column overflows.

    The grid suits the design, so that neither a die nor what is programmed moves it; the width, which no result depends
    on, suits the values.
    """
    members, reads, rows, pair, columns = values.shape
    digits = math.floor(math.log2((2**16 - 1 - rows) / (1.25 * bound))) if bound else 0
    if digits < 8 or 2.0**-digits > resolution:
        digits = min(16, math.floor(math.log2((2**31 - 1 - rows) / (1.5 * bound)))) if bound else 0
    by_read = values.reshape(members * reads, rows, pair, columns)
    if all(np.array_equal(read, np.rint(read)) for read in by_read):  # whole units: no grid is needed
        digits = min(digits, 0)  # less where only a coarser grid holds their sums

    def scaled(read: Array) -> Array:  # a read at a time: the whole in float64 would take more memory than the rest
        return np.asarray(np.rint(read.astype(np.float64) * 2.0**digits))

    def largest_sum() -> float:
        return max(float(np.abs(scaled(read)).sum(axis=0).max()) for read in by_read)

    while (largest := largest_sum()) >= 2**31:  # far beyond what the design led to expect
        digits -= 1
    sign = "int" if values.min() < 0 else "uint"
    width = next(w for w in (8, 16, 32) if largest < 2 ** (w - (sign == "int")))
    padded = np.zeros((members * reads, -(-rows // SLAB) * SLAB, pair, -(-columns // CHUNK) * CHUNK), f"{sign}{width}")
    for read, out in zip(by_read, padded, strict=True):
        out[:rows, :, :columns] = scaled(read)
    return _Fixed(padded.reshape(*padded.shape[:2], -1), 2.0**-digits)


def reads_tables(dac: DAC) -> bool:
    """Whether rows are driven by single bits that say what they are."""
    if not isinstance(dac, BitSerialDAC) or not dac.exact:
        return False
    driven = cycles(dac)
    return bool((driven.mask == 1).all() and (driven.part != SIGNED).all())
