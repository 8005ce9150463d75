"""Reads that are no product: gated cells, whose network each input changes, and cells with a law of their own.

The currents of every read are solved for (imcsim.wires); from the sums of the columns on all is as in other reads.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from imcsim.cells.resistive import current, differential
from imcsim.converters.dac import accumulates, cycles, unit_input
from imcsim.floorplan import Floorplan
from imcsim.kernels.sums import convert_sums, drives
from imcsim.products import Circuit, padded
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import BitSerialDAC
from imcsim.specs.resistive import ResistiveCell
from imcsim.specs.wires import GatedWires, IdealWires
from imcsim.transferred import digit_siemens, physical_arrays, siemens
from imcsim.wires import Law, currents, noisy_currents, passing

Array = np.ndarray[Any, Any]

BLOCK = 64  # samples whose columns are in memory at a time


def solves(spec: ChipSpec) -> bool:
    """Whether the currents of each read must be solved for: else cells answer as a matrix does."""
    if isinstance(spec.wires, GatedWires):
        return True
    if not isinstance(spec.cell, ResistiveCell) or spec.cell.current is None:
        return False
    # at the read voltage, and at none, I = g V whatever the law
    single_bits = isinstance(spec.dac, BitSerialDAC) and spec.dac.slice_bits == 1 and spec.dac.exact
    return spec.wires is not None or not single_bits


class SolvedReads:
    """Cells that conduct `digits` (members, tiles, rows, polarities, slices, columns), at the read voltage.

    `variances` are those of a read, in squares of digits, None where cells are not noisy. `pair` is 2 where two columns
    are subtracted behind something nonlinear; else they are one.
    """

    def __init__(self, plan: Floorplan, digits: Array, variances: Array | None, circuit: Circuit, pair: int) -> None:
        self._plan, self._pair, self._rows = plan, pair, circuit.rows
        self._column, self._adc = padded(circuit.column, circuit.adc, pair, 0)
        g_S = siemens(plan, digits)
        # noise of a call may take a conductance below zero, where there is no network: as small changes, it arrives in
        # proportion
        self._g_S, below_S = np.maximum(g_S, 0), np.minimum(g_S, 0)
        self._below_S = below_S if below_S.any() else None
        self._variances_S2 = None if variances is None else siemens(plan, variances, power=2)
        self._wires = plan.spec.wires or IdealWires()
        self._arrays = list(physical_arrays(plan))
        if self._below_S is not None:
            for columns, unused in self._arrays:
                self._below_S[..., columns] *= passing(self._wires, self._g_S[..., columns], unused)
        cell = plan.spec.cell
        assert isinstance(cell, ResistiveCell)
        self._read_V, self._law = 1.0, None
        if cell.current is not None:
            self._read_V = cell.current.v_read_V
            self._law = Law(partial(current, cell, np.ones(())), partial(differential, cell, np.ones(())))

    def read(self, codes: Array, keys: Array) -> Array:
        """As Arrays.read: input codes (1 or members, samples, inputs) -> (members, samples, columns) float64."""
        samples = codes.shape[1]
        blocks = [self._block(codes, first, min(BLOCK, samples - first), keys) for first in range(0, samples, BLOCK)]
        return np.concatenate(blocks, axis=1) if blocks else np.zeros((len(keys), 0, len(self._plan.slice_of)))

    def _block(self, codes: Array, first: int, count: int, keys: Array) -> Array:
        """The samples from `first` on."""
        tiling, driven = self._plan.tiling, cycles(self._plan.spec.dac)
        levels, noise_lsb = np.zeros((0, 0, 0), np.float32), 0.0
        if self._rows is not None:
            levels = self._rows.levels.reshape(len(keys), -1, self._rows.levels.shape[-1])
            noise_lsb = self._rows.noise_lsb
        reads = tiling.tiles * tiling.groups
        x = drives(codes, first, count, reads, tiling.parallel, driven, levels, noise_lsb, keys)
        sums, variances = (np.stack(of) for of in zip(*(self._sums(*one) for one in enumerate(x)), strict=True))
        column, accumulate = self._column, accumulates(self._plan.spec.dac)
        how = column, column.noisy, column.linear, self._adc, driven.weights, accumulate
        return np.asarray(convert_sums(sums, variances, *how, keys, first))

    def _sums(self, member: int, x: Array) -> tuple[Array, Array]:
        """What the columns of a member add up to, and the variances of that: (samples, reads, cycles, pair, columns).

        Of what drives the rows, x (samples, reads, cycles, rows of a read), in MAC units and their squares.
        """
        plan, tiling = self._plan, self._plan.tiling
        count, _, number, _ = x.shape
        # a product of a fixed shape: its bits do not depend on the batch
        samples = BLOCK if isinstance(self._wires, IdealWires) else count
        # rows that are not read are at 0 V, or off
        v = np.zeros((tiling.tiles, tiling.groups, samples, number, tiling.groups * tiling.parallel))
        by_group = x.reshape(count, tiling.tiles, tiling.groups, number, tiling.parallel)
        for group in range(tiling.groups):
            rows = slice(group * tiling.parallel, (group + 1) * tiling.parallel)
            v[:, group, :count, :, rows] = np.moveaxis(by_group[:, :, group], 0, 1)
        unit_V = self._read_V / unit_input(plan.spec.dac)
        v = unit_V * v[..., : tiling.used].reshape(tiling.tiles, 1, -1, tiling.used)
        unit_A = unit_V * digit_siemens(plan)
        converted = (count, tiling.tiles * tiling.groups, number, self._pair, -1)
        found = []
        for power, of_columns in enumerate(self._of_columns(member, v), start=1):
            apart = of_columns.reshape(*of_columns.shape[:3], tiling.groups, samples, number, -1)
            by_polarity = np.transpose(apart, (4, 0, 3, 5, 2, 1, 6))[:count]
            found.append(self._joined(by_polarity / unit_A**power, power).reshape(converted))
        return found[0], found[-1]

    def _joined(self, values: Array, power: int) -> Array:
        """Pairs (..., polarities, slices, columns) that are one column as that; variances (`power` 2) add up."""
        if not self._plan.subtracts or self._pair == 2 or values.shape[-3] == 1:
            return values
        joined = np.subtract if power == 1 else np.add
        return np.asarray(joined(values[..., :1, :, :], values[..., 1:, :, :]))

    def _of_columns(self, member: int, v: Array) -> list[Array]:
        """Currents, A, and, of noisy cells, their variances: (tiles, slices, polarities, samples, columns) each."""
        g_S, variances_S2 = self._g_S[member], self._variances_S2
        polarities = 1 if self._plan.shares_bit_lines else g_S.shape[2]
        shape = *g_S.shape[:2], polarities, v.shape[2], g_S.shape[-1]
        found = [np.empty(shape) for _ in range(1 if variances_S2 is None else 2)]
        for columns, unused in self._arrays:
            of_array = np.ascontiguousarray(g_S[..., columns])
            if variances_S2 is None:
                found[0][..., columns] = currents(self._wires, of_array, v, self._law, unused)
            else:
                noises = np.ascontiguousarray(variances_S2[member][..., columns])
                both = noisy_currents(self._wires, of_array, noises, v, self._law, unused)
                found[0][..., columns], found[1][..., columns] = both
        if self._below_S is not None:
            below = currents(IdealWires(), -self._below_S[member], v, self._law)
            found[0] -= below[:, :, :1] - below[:, :, 1:] if self._plan.shares_bit_lines else below
        return found
