"""Programmed: weight codes on silicon, and how kernels read them: cells, columns and converters as arrays."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imcsim import cells
from imcsim.converters import adc as adcs
from imcsim.converters import dac as dacs
from imcsim.converters.ranges import Ranges
from imcsim.kernels.column import Column, Converters
from imcsim.kernels.recombine import shift_and_add
from imcsim.mapping import cell_digits
from imcsim.products import Circuit, ExactProduct, Laid, ProductReads, lay_codes, narrow, padded
from imcsim.reads import Arrays, Cells, prepare, reads_tables
from imcsim.silicon import Silicon
from imcsim.solved import SolvedReads, solves
from imcsim.specs.cells import AnySramCell
from imcsim.specs.dac import IdealDAC
from imcsim.tiling import Tiling
from imcsim.transferred import Arriving, Transferred, arriving, transferred

Array = np.ndarray[Any, Any]


# what stays from write to write
_OF_NO_CODE = {"circuit", "converters", "converting", "told_by_codes"}
_OF_NO_CODE |= {"_exactly", "_in_products", "_pair", "_products", "_tables", "_whole", "_worths"}


@dataclass(frozen=True, eq=False)
class Programmed:
    """Weight codes (1 or members, rows, cols) on silicon, read through converters of these ranges (1 or members).

    `trimmed` (2, members, tiles, columns): gain and offset that are taken off the codes of each converter, or None.
    `conducts` is what every cell conducts, in digits, where that is not told by the codes. `arrives` is what of it
    arrives through wires, where that is known; `before` what arrived of the cells earlier, from which what arrives now
    may be had by a correction; None: of nothing.
    """

    silicon: Silicon
    codes: Array
    ranges: tuple[Ranges, ...]
    trimmed: Array | None
    conducts: Array | None = None
    arrives: Arriving | None = None
    before: Transferred | None = None

    def mvm(self, x: Array, step: Array, scale: Array, keys: Array) -> Array:
        """Read inputs x (1 or members, samples, rows) in steps of `step` -> (members, samples, cols) float64.

        In units of scale x step, (1 or members,) both; `keys` (members,) uint64. Raises SpecError for inputs that the
        DAC refuses.
        """
        dac = self.silicon.spec.dac
        if self.direct is None:
            return self.read(dacs.codes_of_members(dac, x, step), scale * step, keys)
        product, sound = self._in_one_pass(self.direct, x, step, scale * step, keys)
        if not sound:
            dacs.codes_of_members(dac, x, step)  # refuses them, or clips as was done
        return product

    def read(self, inputs: Array, unit: Array, keys: Array) -> Array:
        """Read input codes (1 or members, samples, rows) -> (members, samples, cols) float64.

        In units of `unit` (1 or members,), the worth of a step of weight x input; `keys` (members,) uint64.
        """
        if self.exact is not None:
            product = self.exact.read(inputs, len(keys))
            product *= unit[:, None, None]
            return product
        if self.direct is not None:
            return self._in_one_pass(self.direct, inputs, np.ones(1), unit, keys)[0]
        sums = self.arrays.read(self.silicon.plan.tiling.read_inputs(inputs), keys)
        return self.recombined(sums, self.entered(inputs), unit)

    def rewritten(self, codes: Array) -> Programmed:
        """The same silicon and converters, and other codes that tell all that cells conduct."""
        other = dataclasses.replace(self, codes=codes)
        vars(other).update({name: vars(self)[name] for name in _OF_NO_CODE & vars(self).keys()})
        return other

    @cached_property
    def exact(self) -> ExactProduct | None:
        """The product itself, where cells and rows are ideal and no conversion loses anything; else None."""
        if not self._exactly or (self.conducts is not None and not np.array_equal(self.conducts, self._of_codes())):
            return None
        return ExactProduct(self.codes, dacs.largest_input(self.silicon.spec.dac))

    @cached_property
    def _exactly(self) -> bool:
        """Whether all is ideal, cells conducting what the codes say, and no conversion loses anything."""
        silicon, spec, plan = self.silicon, self.silicon.spec, self.silicon.plan
        ideal = spec.wires is None and self.arrives is None and not solves(spec)
        ideal = ideal and silicon.column == Column() and silicon.lost is None and silicon.dac is None
        if not ideal or isinstance(spec.dac, IdealDAC) or cells.off_state(spec.cell) or self.trimmed is not None:
            return False
        largest, signed = plan.largest_values.tolist(), plan.signed_values
        return silicon.nominal and adcs.lossless(spec.adc, self.ranges, silicon.adc, largest, signed)

    @cached_property
    def arrays(self) -> Arrays:
        """The cells as programmed: a digit conducts its share of the cell's frozen current."""
        silicon, plan, spec = self.silicon, self.silicon.plan, self.silicon.spec
        if self._in_products:
            return self._products.holding(self._laid)
        circuit = self.circuit
        digits = self.digits
        if solves(spec):
            return SolvedReads(plan, digits, self._noises(digits), circuit, self._pair)
        arriving = self.arriving or Arriving(digits, self._noises(digits))
        states = self._by_read(arriving.states * silicon.currents, np.subtract)
        variances = np.zeros((1, 1, 1, 1, 1), np.float32)
        if arriving.variances is not None:
            variances = self._by_read(arriving.variances, np.add)
        sigma, most = cells.mismatch_sigma_rel(spec.cell), self._most
        # what jitter adds is as the square of a current, 1 + sigma^2 on average
        most_variance = most * float((plan.layout.top + plan.off_digit).max()) * (1 + sigma**2)
        # an eighth of the mismatch: a coarser grid would be a mismatch of its own; and what driven cells that store 0
        # add, whose error is the same in every row
        resolution = min([sigma / 8, *(off / 256 for off in plan.off_digit if off > 0)])
        programmed = Cells(states, variances, most, most_variance, resolution)
        return prepare(spec.dac, programmed, circuit)

    @cached_property
    def _in_products(self) -> bool:
        """Whether cells that are told_by_codes are read as products in float32."""
        dac = self.silicon.spec.dac
        return self.told_by_codes and not reads_tables(dac) and narrow(dac, self._most)

    @cached_property
    def told_by_codes(self) -> bool:
        """Whether the codes, and the frozen currents of SRAM cells, tell all that reads are made of."""
        spec = self.silicon.spec
        known = self.conducts is None and self.arrives is None and self.silicon.lost is None
        return known and spec.wires is None and isinstance(spec.cell, AnySramCell)

    @property
    def _laid(self) -> Laid:
        """Cells that are told_by_codes, as products read them."""
        plan, members = self.silicon.plan, len(self.silicon.currents)
        sign = -1 if plan.subtracts and self._pair == 1 else 0
        return lay_codes(plan.tiling, self.codes, *self._tables, sign, self._pair, members)

    @cached_property
    def _tables(self) -> tuple[tuple[Array, Array | None], tuple[Array, Array | None] | None]:
        """The states and variances of a cell of each code, and what multiplies them in each cell: see lay_codes."""
        silicon, plan, cell = self.silicon, self.silicon.plan, self.silicon.spec.cell
        held = np.moveaxis(plan.digits_of_codes, 0, -1).astype(np.float32) + plan.off_digit.astype(np.float32)[:, None]
        states = held, None if silicon.nominal else silicon.currents
        if silicon.column.cell_variance == 0:
            return states, None
        own = cells.variance_follows_current(cell) and not silicon.nominal
        return states, (np.square(held), cells.variance_states(cell, silicon.currents) if own else None)

    @cached_property
    def _products(self) -> ProductReads:
        """The reads of cells that are told_by_codes, whatever they hold."""
        plan = self.silicon.plan
        reads, rows = plan.tiling.tiles * plan.tiling.groups, plan.tiling.parallel
        return ProductReads(plan.spec.dac, self.circuit, reads, rows, self._pair, len(plan.slice_of))

    @cached_property
    def circuit(self) -> Circuit:
        return Circuit(self._columns(), self.converters, self._row_errors())

    @cached_property
    def converting(self) -> tuple[Column, bool, bool, Converters, Array, bool]:
        """How sums of columns become codes: column, noisy, linear, converters, weights, whether cycles add up."""
        column, adc = padded(*self.circuit[:2], self._pair, 0)
        dac = self.silicon.spec.dac
        return column, column.noisy, column.linear, adc, dacs.cycles(dac).weights, dacs.accumulates(dac)

    @property
    def _most(self) -> float:
        """The largest sum of a column of nominal cells."""
        return float(self.silicon.plan.largest_sums.max())

    @cached_property
    def direct(self) -> ProductReads | None:
        """Reads from inputs to products in one pass, where they convert one column a weight; else None."""
        arrays = None if self.exact is not None or not self._whole else self.arrays
        return arrays if isinstance(arrays, ProductReads) and arrays.direct else None

    @cached_property
    def _whole(self) -> bool:
        """Whether one column is converted a weight, the sum of its codes is the product, and reads leave out no row."""
        plan, tiling = self.silicon.plan, self.silicon.plan.tiling
        whole = tiling.unit_of is None and tiling.used == tiling.groups * tiling.parallel
        return whole and plan.converted * plan.layout.slices == 1 and self._offset == 0

    @property
    def digits(self) -> Array:
        """What every cell conducts, in digits: (1 or members, tiles, rows, polarities, slices, physical columns)."""
        return self._of_codes() if self.conducts is None else self.conducts

    @cached_property
    def arriving(self) -> Arriving | None:
        """What of the digits and their noise arrives through wires; None where they do not resist."""
        if self.arrives is not None or self.silicon.spec.wires is None:
            return self.arrives
        digits = self.digits
        return arriving(self.silicon.plan, digits, self.transferred, self._noises(digits))

    @cached_property
    def transferred(self) -> Transferred:
        """The transfer matrices of arrays whose wires resist."""
        return transferred(self.silicon.plan, self.digits, self.before)

    def _noises(self, digits: Array) -> Array | None:
        """The variances of reads of cells that conduct `digits`, in squares of them; None where they are not noisy."""
        silicon, top = self.silicon, self.silicon.plan.layout.top[:, None]
        if silicon.column.cell_variance == 0:
            return None
        return cells.digit_variances(silicon.spec.cell, digits, silicon.currents, top)

    @cached_property
    def converters(self) -> Converters:
        """The ADCs, a row of every array as often as it is read."""
        lo, lsb = self.of_columns("lo"), self.of_columns("lsb")
        adc, groups = self.silicon.spec.adc, self.silicon.plan.tiling.groups
        return adcs.converters(adc, self.ranges[0].max_code, lo, lsb, self.silicon.adc, groups, self.trimmed)

    def of_columns(self, name: str) -> Array:
        """`lo` or `lsb` of every converted column: (1 or members, columns)."""
        return np.array([getattr(ranges, name) for ranges in self.ranges])[:, self.silicon.plan.slice_of]

    def _of_codes(self) -> Array:
        """What cells of these codes conduct, in digits, lost bits included."""
        silicon, plan = self.silicon, self.silicon.plan
        stored = stored_digits(silicon, self.codes)
        if silicon.lost is not None:
            lost, held = silicon.lost
            stored = np.where(lost, held * plan.layout.top.astype(np.uint8)[:, None], stored)
        return stored.astype(np.float32) + plan.off_digit.astype(np.float32)[:, None]

    def _by_read(self, values: Array, joined: np.ufunc) -> Array:
        """Values of cells (members, tiles, rows, polarities, ...) -> (members, reads, rows, pair, columns).

        A pair that is one column is `joined`: of linear ones, or on one bit line.
        """
        plan = self.silicon.plan
        if plan.subtracts and self._pair == 1:
            values = joined(values[:, :, :, :1], values[:, :, :, 1:])
        ordered = plan.tiling.read_rows(values, 1)
        return ordered.reshape(*ordered.shape[:3], self._pair, -1)

    @cached_property
    def _pair(self) -> int:
        """Columns that are subtracted ahead of a converter, and cannot be taken for one."""
        plan = self.silicon.plan
        return 2 if plan.subtracts and not (self.silicon.column.linear or plan.shares_bit_lines) else 1

    def _columns(self) -> Column:
        """The analog column of every physical column, in MAC units: arrays (pair x columns,)."""
        plan, column = self.silicon.plan, self.silicon.column
        top = np.tile(np.repeat(plan.layout.top, plan.tiling.columns), self._pair if plan.subtracts else plan.converted)
        column = column.scaled(dacs.unit_input(plan.spec.dac) * top)
        if plan.subtracts and self._pair == 1:  # the pedestals cancel, the noises add
            column = column._replace(pedestal=0 * top, variance=2 * column.variance)
        return column

    def _row_errors(self) -> dacs.RowErrors | None:
        """The errors of the rows' converters in the order of the reads, rows without a cell put in."""
        rows = self.silicon.dac
        return rows and dataclasses.replace(rows, levels=self.silicon.plan.tiling.read_rows(rows.levels, 1))

    def recombined(self, sums: Array, entered: Array | None, unit: Array) -> Array:
        """Shift and add: sums of ADC codes (members, samples, columns) -> products (members, samples, cols).

        `entered` is that of the inputs.
        """
        plan = self.silicon.plan
        layout, tiling = plan.layout, plan.tiling
        unit = unit[:, None]
        by_column = sums.reshape(*sums.shape[:2], plan.converted, layout.slices, tiling.columns)
        lsb, lo = (np.array([getattr(ranges, name) for ranges in self.ranges]) for name in ("lsb", "lo"))
        shape = *sums.shape[:2], tiling.columns
        # a column a weight: in place
        columns = sums.reshape(shape) if plan.converted * layout.slices == 1 else np.empty(shape)
        shift_and_add(by_column, layout.worth, unit * lsb, unit * lo * plan.conversions, columns)
        product = columns if tiling.unit_of is None else np.take(columns, tiling.weights, axis=2)
        # a code is its cycles' sum and a constant, which meets every weight
        completion = dacs.completion(plan.spec.dac)
        if completion:
            product += (unit * completion * self.codes.sum(axis=1))[:, None]
        if tiling.unit_of is not None:
            return np.asarray(product - np.take(columns, tiling.unit_of, axis=2))
        if entered is not None:
            product += (unit * self._offset * entered)[..., None]
        return np.asarray(product)

    def entered(self, inputs: Array) -> Array | None:
        """The sums of input codes (..., samples, rows), where every cell adds something that is known and taken off."""
        if self.silicon.plan.tiling.unit_of is not None or not self._offset:
            return None
        completion = dacs.completion(self.silicon.spec.dac)
        return np.asarray(inputs.sum(axis=-1, dtype=np.float64) - completion * inputs.shape[-1])

    @property
    def _offset(self) -> float:
        """What every cell adds beside its digit, is known, and taken off."""
        layout = self.silicon.plan.layout
        return layout.offset - float((layout.worth * self.silicon.plan.off_digit).sum())

    def _in_one_pass(self, direct: ProductReads, x: Array, step: Array, unit: Array, keys: Array) -> tuple[Array, bool]:
        """Inputs in steps of `step` -> products (members, samples, cols); and whether all of them have a code."""
        (lsb, lo), conversions = self._worths, self.silicon.plan.conversions
        return direct.products(x, step, dacs.coding(self.silicon.spec.dac), unit * lsb, unit * lo * conversions, keys)

    @cached_property
    def _worths(self) -> tuple[Array, Array]:
        """`lsb` and `lo` of one column a weight, in its products: (1 or members,)."""
        worth = float(self.silicon.plan.layout.worth[0, 0])
        lsb, lo = (np.array([worth * getattr(ranges, name)[0] for ranges in self.ranges]) for name in ("lsb", "lo"))
        return lsb, lo


def stored_digits(silicon: Silicon, codes: Array) -> Array:
    """The digits of weight codes: (1 or members, tiles, rows, polarities, slices, physical columns) uint8."""
    plan = silicon.plan
    stored = np.zeros((len(codes), plan.tiling.tiles * plan.tiling.used, *silicon.currents.shape[3:]), np.uint8)
    stored[:, : plan.shape[0]] = cell_digits(column_codes(plan.tiling, codes), silicon.spec.array)
    return stored.reshape(-1, *silicon.currents.shape[1:])


def column_codes(tiling: Tiling, codes: Array) -> Array:
    """The codes of physical columns, of those of weights (members, rows, cols): unit columns store weight 0."""
    physical = np.zeros((*codes.shape[:2], tiling.columns), np.int32)
    physical[..., tiling.weights] = codes
    return physical
