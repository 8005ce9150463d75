"""Products: cells laid out for matrix products, between converters; and the product itself, where nothing errs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from imcsim.converters.dac import RowErrors, accumulates, cycles, unit_input
from imcsim.kernels.codes import lay
from imcsim.kernels.column import Column, Converters
from imcsim.kernels.decide import NEAREST
from imcsim.kernels.direct import read_direct
from imcsim.kernels.inputs import EXACT
from imcsim.kernels.product import MOST_COLUMNS, add_products, convert_products, round_products
from imcsim.specs.dac import DAC, IdealDAC, OneShotDAC
from imcsim.tiling import Tiling

Array = np.ndarray[Any, Any]


class Circuit(NamedTuple):
    """What stands around the cells: the analog column, arrays (pair x columns,) in MAC units, and the converters."""

    column: Column
    adc: Converters
    rows: RowErrors | None


class Laid(NamedTuple):
    """Cells as products read them: (members x reads, pair x chunks, rows, width), zeros put in; see Cells."""

    states: Array
    variances: Array


class ProductReads:
    """Reads as products, through converters that stay as they are whatever the cells hold: `rows` a read, `reads`.

    Of `columns`, twice as many where `pair` is 2.
    """

    def __init__(self, dac: DAC, circuit: Circuit, reads: int, rows: int, pair: int, columns: int) -> None:
        self._rows, self._pair, self._columns, self._cycles = rows, pair, columns, cycles(dac)
        self._accumulate, self._coded = accumulates(dac), isinstance(dac, OneShotDAC)
        chunks, width = _chunks(columns)
        self._column, self._adc = padded(circuit.column, circuit.adc, pair, chunks * width - columns)
        self._levels, self._noise_lsb = np.zeros((0, 0, 0), np.float32), 0.0
        if (rows_errors := circuit.rows) is not None:
            levels = rows_errors.levels
            self._levels, self._noise_lsb = levels.reshape(len(levels), -1, levels.shape[-1]), rows_errors.noise_lsb
        count = reads * np.abs(self._cycles.weights).sum()
        self._rounds = rounds(self._column, self._adc, self._accumulate, pair, count)
        self._noisy = self._column.noisy or self._adc.noise_lsb > 0
        self._cells = Laid(*np.zeros((2, 0, 0, 0, 0), np.float32))

    def holding(self, laid: Laid) -> ProductReads:
        """The same reads of cells that hold something else."""
        other = object.__new__(ProductReads)
        vars(other).update(vars(self), _cells=laid)  # as copy.copy does, many times as fast
        return other

    @property
    def rounds(self) -> bool:
        """Whether sums become codes by a scale, a shift and rounding."""
        return self._rounds

    @property
    def number(self) -> Any:
        """The type in which cells are summed."""
        return self._cells.states.dtype

    @property
    def states(self) -> Array:
        """What each cell adds, in MAC units: (members x reads, rows, pair, columns)."""
        return self._unlaid(self._cells.states)

    @property
    def variances(self) -> Array:
        """As `states`, where cells are noisy."""
        return self._unlaid(self._cells.variances)

    def _unlaid(self, values: Array) -> Array:
        apart = values.reshape(len(values), self._pair, -1, *values.shape[2:])  # reads, pair, chunks, rows, width
        whole = np.moveaxis(apart, 3, 1).reshape(len(values), values.shape[2], self._pair, -1)
        return whole[..., : self._columns]

    @property
    def direct(self) -> bool:
        """Whether inputs enter whole and unchanged, and sums become codes by a scale, a shift and rounding."""
        return self._rounds and self._coded and self._levels.size == 0

    def read(self, codes: Array, keys: Array) -> Array:
        codes, column, adc = codes.astype(self._cells.states.dtype, copy=False), self._column, self._adc
        rows = self._cycles, self._rows, self._levels, self._noise_lsb
        if self._rounds:
            sums = round_products(codes, *rows, *self._cells, column, self._noisy, adc, keys)
        else:
            how = column, column.noisy, column.linear, adc, self._accumulate, self._pair
            sums = convert_products(codes, *rows, *self._cells, *how, keys)
        return np.asarray(sums[..., : self._columns])

    def products(
        self, x: Array, step: Array, coding: tuple[int, int, bool], lsb: Array, constant: Array, keys: Array
    ) -> tuple[Array, bool]:
        """Where `direct`: lsb x the sums of `read` + constant, of inputs in steps of `step`, all (1 or members, ...).

        `coding`: the least and the largest input code, and whether inputs are signs. Also, whether every input has a
        code of its own.
        """
        arrays = *self._cells, self._column, self._noisy, self._adc
        product, wrong = read_direct(x, step, *coding, self._rows, lsb, constant, *arrays, self._columns, keys)
        return product, not wrong.any()


def lay_codes(
    tiling: Tiling, codes: Array, states: tuple[Array, Array | None], variances: tuple[Array, Array | None] | None,
    sign: int, pair: int, members: int,
) -> Laid:  # fmt: skip
    """Weight codes (1 or members, rows, cols) as ProductReads has them, in one pass.

    `states` and `variances` (None: cells are not noisy) are what a cell of each code has, the least first, (polarities,
    slices, codes), and what multiplies it in each cell, (members, tiles, rows, polarities, slices, columns) or None.
    `sign` -1: one column stands for the difference of a pair, and its variances add up; 0: each stands for itself.
    """
    codes = np.ascontiguousarray(codes)
    source = np.full(tiling.columns, -1)
    source[tiling.weights] = np.arange(codes.shape[2])

    def laid(of_cells: tuple[Array, Array | None] | None, joined: int) -> Array:
        if of_cells is None:
            return np.zeros((0, 0, 0, 0), np.float32)
        values, factors = of_cells
        if factors is None and joined:
            values, joined = values[:1] + np.float32(joined) * values[1:], 0
        polarities, slices, _ = values.shape
        columns = slices * tiling.columns * (1 if joined else polarities) // pair
        chunks, width = _chunks(columns)
        out = np.empty((members * tiling.tiles * tiling.groups, pair * chunks, tiling.parallel, width), np.float32)
        none = np.zeros((0,) * 6, np.float32)
        where = source, tiling.used, tiling.groups
        lay(codes, values, none if factors is None else factors, *where, joined, pair, out)
        return out

    return Laid(laid(states, sign), laid(variances, -sign))


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
        self._states = chunked(shaped, np.float32 if self._used * largest < EXACT else np.float64)

    def read(self, codes: Array, members: int) -> Array:
        """Input codes (1 or members, samples, inputs) -> (members, samples, columns) float64."""
        entering = codes if self._count > 1 else codes.reshape(1, -1, codes.shape[-1])
        if len(entering) < self._count:
            entering = np.repeat(entering, self._count, axis=0)
        product = add_products(entering.astype(self._states.dtype, copy=False), self._used, self._states)
        product = product[..., : self._columns].reshape(-1, codes.shape[1], self._columns)
        return product if len(product) == members else np.repeat(product, members, axis=0)


def narrow(dac: DAC, bound: float) -> bool:
    """Whether float32 holds every sum: digits drive the rows, whose cells sum to no more than `bound`."""
    return not isinstance(dac, IdealDAC) and unit_input(dac) * bound < EXACT


def _chunks(columns: int) -> tuple[int, int]:
    """How many chunks hold the columns, and their width."""
    width = min(-(-columns // 16) * 16, MOST_COLUMNS)
    return -(-columns // width), width


def chunked(values: Array, dtype: Any) -> Array:
    """(members, reads, rows, pair, columns) -> (members x reads, pair x chunks, rows, width), zeros put in."""
    if values.size == 0:
        return np.zeros((0, 0, 0, 0), dtype)
    members, reads, rows, pair, columns = values.shape
    chunks, width = _chunks(columns)
    padded = np.zeros((members * reads, rows, pair, chunks * width), dtype)
    padded[..., :columns] = values.reshape(members * reads, rows, pair, columns)
    shaped = padded.reshape(members * reads, rows, pair * chunks, width)
    return np.ascontiguousarray(np.swapaxes(shaped, 1, 2))


def rounds(column: Column, adc: Converters, accumulate: bool, pair: int, count: float) -> bool:
    """Whether sums become codes by a scale, a shift and rounding, `count` codes adding up to an exact float32."""
    rounded = adc.kind == NEAREST and adc.trim.size == 0 and 0 < adc.max_code * count < EXACT
    return column.linear and rounded and not accumulate and pair == 1


def padded(column: Column, adc: Converters, pair: int, more: int) -> tuple[Column, Converters]:
    """Column and converters for `more` columns, which nothing reads."""

    def wide(values: Array) -> Array:
        parts = np.asarray(values, np.float32).reshape(pair, -1)
        if more == 0:  # np.pad takes as long for nothing
            return parts.reshape(-1)
        return np.pad(parts, ((0, 0), (0, more)), mode="edge").reshape(-1)

    def wider(values: Array) -> Array:
        if more == 0:
            return np.ascontiguousarray(values)
        padding = [(0, 0)] * (values.ndim - 1) + [(0, more)]
        return np.ascontiguousarray(np.pad(values, padding, mode="edge")) if values.size else values

    arrays: dict[str, Any] = {name: wide(value) for name, value in column._asdict().items() if name != "cell_variance"}
    converters = adc._replace(
        scale=wider(adc.scale), shift=wider(adc.shift), trim=wider(adc.trim), which=wider(adc.which)
    )
    return column._replace(**arrays), converters
