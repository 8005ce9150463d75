"""Inputs held on programmed cells: what the columns sum up to is kept, and each pass converts it, with its own noise.

A pass may find one weight changed, of which it asks for the sums of that weight's columns alone; or one input.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imcsim.converters.dac import completion, cycles
from imcsim.kernels.blas import single_threaded_blas
from imcsim.kernels.drawn import draw_codes
from imcsim.kernels.held import Changes, Sums, convert_held, round_held
from imcsim.kernels.sums import drives
from imcsim.products import ProductReads
from imcsim.programmed import Programmed
from imcsim.reads import TableReads
from imcsim.rng import draw_key
from imcsim.specs.cells import AnySramCell

Array = np.ndarray[Any, Any]


def can_hold(cells: Programmed) -> bool:
    """Whether the sums of columns are the same in every pass, and codes and die tell what a write does to them."""
    rows, spec = cells.silicon.dac, cells.silicon.spec
    told = (
        cells.conducts is None and cells.arrives is None and spec.wires is None and isinstance(spec.cell, AnySramCell)
    )
    steady = rows is None or rows.noise_lsb == 0
    return told and cells.silicon.members is None and steady and completion(spec.dac) == 0


@dataclass(frozen=True, eq=False)
class Held:
    """Input codes (sets, samples, rows) on cells of one die: a set that all passes read, or one for each pass.

    Products are in units of `unit` (1,).
    """

    cells: Programmed
    inputs: Array
    unit: Array

    def read(self, passes: int, rng: np.random.Generator) -> Array:
        """The products of each pass, (passes, samples, cols)."""
        return self._products(self._codes(passes, draw_key(rng)), self.cells.entered(self.inputs))

    def read_changed(self, changed: Programmed, rows: Array, columns: Array, rng: np.random.Generator) -> Array:
        """The products of passes each of which finds the weight (row, column) as `changed` has it; a row of -1: none.

        (passes, samples, cols). No two passes may find the same weight.
        """
        clean, other = draw_key(rng), draw_key(rng)
        codes = self._codes(len(rows), clean)
        touched = np.flatnonzero(rows >= 0)
        if len(self.inputs) > 1:  # each pass has sums of its own
            found, which = rows, touched
        else:
            found, which = np.unique(rows[touched], return_inverse=True)
        if len(touched):
            # every column of a row changed at once: those of one weight are read of it, in one pass alone
            of_rows = convert_held(self._sums, self._changes(changed, found), *self._how, np.uint64(other))
            tiling = self.cells.silicon.plan.tiling
            of_weight = np.arange(len(self.cells.silicon.plan.slice_of) // tiling.columns) * tiling.columns
            places = tiling.weights[columns[touched]][:, None] + of_weight
            codes[touched[:, None], :, places] = of_rows[which[:, None], :, places]
        return self._products(codes, self.cells.entered(self.inputs))

    def read_moved(self, moved: Held, rows: Array) -> Array:
        """The products of passes each of which finds the input of one row as `moved` has it; a row of -1: none.

        (passes, samples, cols). Of cells that draw nothing, and of one set, which all passes read.
        """
        assert len(self.inputs) == len(moved.inputs) == 1
        assert not self.cells.silicon.draws
        sums = self._sums._replace(drives=moved._drives - self._drives)
        read, row = self._places(rows)
        states = self._arrays.states[read, row].astype(np.float64)
        changes = Changes(np.where(rows < 0, -1, read), row, states, np.zeros((0, 0, 0)))
        like, column, *_, adc, weights, _ = self._how
        if self._arrays.rounds:
            codes = round_held(sums, changes, like, column, adc, weights)
        else:
            codes = convert_held(sums, changes, *self._how, np.uint64(0))
        entered = self.cells.entered(self.inputs)
        if entered is not None:
            entered = entered + np.where(rows < 0, 0.0, (moved.inputs - self.inputs)[0][:, rows]).T
        return self._products(codes, entered)

    def _codes(self, passes: int, key: int) -> Array:
        """Summed ADC codes of unchanged cells, (passes, samples, columns)."""
        if self._in_lsb is not None:
            return np.asarray(draw_codes(*self._in_lsb, self.cells.circuit.adc.max_code, np.uint64(key), passes))
        alike = not self.cells.silicon.draws and len(self.inputs) == 1
        found = convert_held(self._sums, _no_changes(1 if alike else passes), *self._how, np.uint64(key))
        return np.repeat(found, passes, axis=0) if alike else found

    def _products(self, codes: Array, entered: Array | None) -> Array:
        """Of summed codes (passes, samples, columns), and the sums of inputs (1 or passes, samples)."""
        passes, samples, columns = codes.shape
        if entered is not None:
            entered = np.broadcast_to(entered, (passes, samples)).reshape(1, -1)
        product = self.cells.recombined(codes.reshape(1, -1, columns), entered, self.unit)
        return product.reshape(passes, samples, -1)

    @cached_property
    def _arrays(self) -> ProductReads | TableReads:
        return _summing(self.cells)

    @cached_property
    def _how(self) -> tuple[Any, ...]:
        """What convert_held takes beside sums and changes."""
        return np.empty(0, self._arrays.number), *self.cells.converting

    @cached_property
    def _drives(self) -> Array:
        """What drives the rows, (sets, samples, reads, cycles, rows)."""
        plan = self.cells.silicon.plan
        tiling, rows = plan.tiling, self.cells.circuit.rows
        sets, samples = self.inputs.shape[:2]
        codes = tiling.read_inputs(self.inputs).reshape(1, sets * samples, -1)
        levels = np.zeros((0, 0, 0), np.float32) if rows is None else rows.levels.reshape(1, -1, rows.levels.shape[-1])
        reads, driven = tiling.tiles * tiling.groups, cycles(plan.spec.dac)
        x = drives(codes, 0, sets * samples, reads, tiling.parallel, driven, levels, 0.0, np.zeros(1, np.uint64))[0]
        return np.asarray(x.reshape(sets, samples, *x.shape[1:]))

    @cached_property
    def _sums(self) -> Sums:
        sets, samples, reads, _, used = self._drives.shape
        x = self._drives.reshape(sets * samples, reads, -1, used)

        def summed(x: Array, values: Array) -> Array:
            _, in_read, pair, columns = values.shape
            by_read = np.moveaxis(x, 1, 0).reshape(reads, -1, in_read)
            with single_threaded_blas():  # the bits of a product depend on its threads
                found = np.matmul(by_read, values.reshape(reads, in_read, -1).astype(np.float64))
            apart = found.reshape(reads, sets, samples, -1, pair, columns)
            return np.ascontiguousarray(np.moveaxis(apart, 0, 2))

        variances = np.zeros((0,) * 6)
        if self.cells.circuit.column.cell_variance > 0:
            variances = summed(np.square(x), self._arrays.variances)
        return Sums(summed(x, self._arrays.states), variances, self._drives)

    @cached_property
    def _in_lsb(self) -> tuple[Array, Array, Array] | None:
        """What draw_codes takes of values: in LSB, the deviation of their noise, and what each conversion counts.

        None where no noise is drawn, something nonlinear stands between it and the codes, or passes read other sums.
        """
        if not (self._arrays.rounds and self.cells.silicon.draws) or len(self.inputs) > 1:
            return None
        _, column, *_, adc, weights, _ = self._how
        sums = self._sums.sums[0][:, :, :, 0].astype(np.float32)
        scale = adc.scale[:, None]
        u = (sums + column.pedestal) * scale + adc.shift[:, None]
        variances = column.variance * np.ones_like(sums)
        if column.cell_variance > 0:
            variances = variances + column.cell_variance * self._sums.variances[0][:, :, :, 0]
        sigma = np.sqrt(variances * np.square(scale) + adc.noise_lsb**2)
        u, sigma = (np.ascontiguousarray(v, np.float32).reshape(len(u), -1, u.shape[-1]) for v in (u, sigma))
        return u, sigma, np.tile(weights, sums.shape[1])

    def _changes(self, changed: Programmed, rows: Array) -> Changes:
        """What cells of these rows have more where all of their weights are as `changed` has them; -1: nothing."""
        read, row = self._places(rows)
        other = _summing(changed)

        def more(after: Array, before: Array) -> Array:
            return np.asarray(after[read, row].astype(np.float64) - before[read, row])

        states, variances = more(other.states, self._arrays.states), np.zeros((0, 0, 0))
        if self.cells.circuit.column.cell_variance > 0:
            variances = more(other.variances, self._arrays.variances)
        return Changes(np.where(rows < 0, -1, read), row, states, variances)

    def _places(self, rows: Array) -> tuple[Array, Array]:
        """In which read rows of the matrix are driven, and which row of it each of them is."""
        tiling = self.cells.silicon.plan.tiling
        tile, within = np.divmod(rows, tiling.used)
        return tile * tiling.groups + within // tiling.parallel, within % tiling.parallel


def _summing(cells: Programmed) -> ProductReads | TableReads:
    arrays = cells.arrays
    assert isinstance(arrays, ProductReads | TableReads)
    return arrays


def _no_changes(passes: int) -> Changes:
    nothing = np.zeros((0, 0, 0))
    return Changes(np.full(passes, -1), np.zeros(passes, np.int64), nothing, nothing)
