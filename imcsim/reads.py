"""Programmed cells in the form in which kernels read them: tables of integers for single bits, else products."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np

from imcsim.converters.dac import RowErrors, accumulates, cycles, unit_input
from imcsim.kernels.bitserial import CHUNK, SLAB, convert_read, round_read, table_rows
from imcsim.kernels.column import Column, Converters
from imcsim.kernels.decide import NEAREST
from imcsim.kernels.inputs import EXACT, SIGNED, Cycles
from imcsim.kernels.product import MOST_COLUMNS, add_products, convert_products, round_products
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


class Circuit(NamedTuple):
    """What stands around the cells: the analog column, arrays (pair x columns,) in MAC units, and the converters."""

    column: Column
    adc: Converters
    rows: RowErrors | None


class Arrays(Protocol):
    """Arrays that hold programmed cells."""

    def read(self, codes: Array, keys: Array) -> Array:
        """Input codes (1 or members, samples, inputs) -> (members, samples, columns) float64; keys (members,) uint64.

        ADC codes summed over reads, weighted by cycle; where the ADC is ideal its values are summed instead of codes.
        """


def prepare(dac: DAC, cells: Cells, circuit: Circuit) -> Arrays:
    """Arrays for reads through `dac`."""
    if isinstance(dac, BitSerialDAC) and dac.exact:
        driven = cycles(dac)
        if (driven.mask == 1).all() and (driven.part != SIGNED).all():
            return _TableReads(dac, driven, cells, circuit)
    return _ProductReads(cycles(dac), accumulates(dac), _largest_digit(dac), cells, circuit)


class ExactProduct:
    """The product with integer weights (1 or members, rows, columns) itself, of input codes up to `largest_input`.

    Rows are cut into parts whose sums stay exact in float32, or in float64 where none would.
    """

    def __init__(self, weights: Array, largest_input: float) -> None:
        self._count, rows, self._columns = weights.shape
        largest = max(largest_input * float(np.abs(weights).max()), 1.0)
        parts = -(-rows // max(int(EXACT / largest), 16))
        self._used = -(-rows // parts)
        states = np.zeros((self._count, parts * self._used, self._columns))
        states[:, :rows] = weights
        shaped = states.reshape(self._count, parts, self._used, 1, self._columns)
        self._states = _chunked(shaped, np.float32 if self._used * largest < EXACT else np.float64)

    def read(self, codes: Array, members: int) -> Array:
        """Input codes (1 or members, samples, inputs) -> (members, samples, columns) float64."""
        entering = codes if self._count > 1 else codes.reshape(1, -1, codes.shape[-1])
        if len(entering) < self._count:
            entering = np.repeat(entering, self._count, axis=0)
        product = add_products(entering.astype(self._states.dtype, copy=False), self._used, self._states)
        product = product[..., : self._columns].reshape(-1, codes.shape[1], self._columns)
        return product if len(product) == members else np.repeat(product, members, axis=0)


class _Fixed(NamedTuple):
    """States (members x reads, rows, columns) as integers in units of `grid`, in whole slabs and chunks."""

    states: Array
    grid: float


class _TableReads:
    def __init__(self, dac: BitSerialDAC, driven: Cycles, cells: Cells, circuit: Circuit) -> None:
        _, self._reads, self._rows, self._pair, self._columns = cells.states.shape
        self._cycles, self._accumulate = driven, accumulates(dac)
        self._states = _fixed_point(cells.states, cells.bound, cells.resolution)
        self._variances = _fixed_point(cells.variances, cells.variance_bound, VARIANCE_RESOLUTION)
        columns = self._states.states.shape[2] // self._pair
        self._column, self._adc = padded(circuit.column, circuit.adc, self._pair, columns - self._columns)
        count = self._reads * np.abs(driven.weights).sum()
        self._rounds = _rounds(self._column, self._adc, self._accumulate, self._pair, count)

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


class _ProductReads:
    def __init__(self, driven: Cycles, accumulate: bool, largest_digit: float, cells: Cells, circuit: Circuit) -> None:
        members, reads, self._rows, self._pair, self._columns = cells.states.shape
        self._cycles, self._accumulate = driven, accumulate
        # float32, unless more than its 24 bits would be exact, or inputs are not quantised
        whole = np.array_equal(cells.states, np.rint(cells.states))
        wide = math.isnan(largest_digit) or (whole and largest_digit * cells.bound >= EXACT)
        self._dtype = np.float64 if wide else np.float32
        self._states, self._variances = (_chunked(values, self._dtype) for values in (cells.states, cells.variances))
        chunks, _, width = self._states.shape[1:]
        more = chunks // self._pair * width - self._columns
        self._column, self._adc = padded(circuit.column, circuit.adc, self._pair, more)
        self._levels, self._noise_lsb = np.zeros((0, 0, 0), np.float32), 0.0
        if (rows := circuit.rows) is not None:
            self._levels, self._noise_lsb = rows.levels.reshape(members, -1, rows.levels.shape[-1]), rows.noise_lsb
        self._rounds = _rounds(self._column, self._adc, accumulate, self._pair, reads * np.abs(driven.weights).sum())

    def read(self, codes: Array, keys: Array) -> Array:
        codes, column, adc = codes.astype(self._dtype, copy=False), self._column, self._adc
        rows = self._cycles, self._rows, self._levels, self._noise_lsb
        if self._rounds:
            noisy = column.noisy or adc.noise_lsb > 0
            sums = round_products(codes, *rows, self._states, self._variances, column, noisy, adc, keys)
        else:
            how = column, column.noisy, column.linear, adc, self._accumulate, self._pair
            sums = convert_products(codes, *rows, self._states, self._variances, *how, keys)
        return np.asarray(sums[..., : self._columns])


def _largest_digit(dac: DAC) -> float:
    """The largest digit that drives a row; nan where digits are not whole."""
    return math.nan if isinstance(dac, IdealDAC) else float(unit_input(dac))


def _chunked(values: Array, dtype: Any) -> Array:
    """(members, reads, rows, pair, columns) -> (members x reads, pair x chunks, rows, width), zeros put in."""
    if values.size == 0:
        return np.zeros((0, 0, 0, 0), dtype)
    members, reads, rows, pair, columns = values.shape
    width = min(-(-columns // 16) * 16, MOST_COLUMNS)
    chunks = -(-columns // width)
    padded = np.zeros((members * reads, rows, pair, chunks * width), dtype)
    padded[..., :columns] = values.reshape(members * reads, rows, pair, columns)
    shaped = padded.reshape(members * reads, rows, pair * chunks, width)
    return np.ascontiguousarray(np.swapaxes(shaped, 1, 2))


def _rounds(column: Column, adc: Converters, accumulate: bool, pair: int, count: float) -> bool:
    """Whether sums become codes by a scale, a shift and rounding, `count` codes adding up to an exact float32."""
    rounded = adc.kind == NEAREST and adc.trim.size == 0 and 0 < adc.max_code * count < EXACT
    return column.linear and rounded and not accumulate and pair == 1


def padded(column: Column, adc: Converters, pair: int, more: int) -> tuple[Column, Converters]:
    """Column and converters for `more` columns, which nothing reads."""

    def wide(values: Array) -> Array:
        parts = np.asarray(values, np.float32).reshape(pair, -1)
        return np.pad(parts, ((0, 0), (0, more)), mode="edge").reshape(-1)

    def wider(values: Array) -> Array:
        padding = [(0, 0)] * (values.ndim - 1) + [(0, more)]
        return np.ascontiguousarray(np.pad(values, padding, mode="edge")) if values.size else values

    arrays: dict[str, Any] = {name: wide(value) for name, value in column._asdict().items() if name != "cell_variance"}
    converters = adc._replace(
        scale=wider(adc.scale), shift=wider(adc.shift), trim=wider(adc.trim), which=wider(adc.which)
    )
    return column._replace(**arrays), converters
