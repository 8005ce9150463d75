"""Floorplan: what a design makes of a weight matrix of some shape, before anything is manufactured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imcsim import cells
from imcsim.converters import dac as dacs
from imcsim.kernels.column import Column
from imcsim.mapping import Layout, cell_digits, largest_code, layout
from imcsim.specs.chip import ChipSpec
from imcsim.tiling import Tiling, tile

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Floorplan:
    """A design for weights of `shape` (rows, cols): the columns of a weight, the arrays they lie on, the analog column.

    `column` is in units of a driven on-cell.
    """

    spec: ChipSpec
    shape: tuple[int, int]
    layout: Layout
    tiling: Tiling
    column: Column

    @property
    def subtracts(self) -> bool:
        """Whether the pair of a weight is subtracted ahead of the converter."""
        return self.spec.array.subtraction == "analog"

    @property
    def shares_bit_lines(self) -> bool:
        """Whether the pair of a weight is one bit line."""
        return self.spec.wires is not None and self.spec.wires.pairs == "shared_bit_line"

    @property
    def converted(self) -> int:
        """The polarities that are converted."""
        return 1 if self.subtracts else self.layout.polarities

    @property
    def signed_values(self) -> bool:
        """Whether what is converted may be less than zero."""
        return self.subtracts or dacs.values_may_be_negative(self.spec.dac)

    @cached_property
    def off_digit(self) -> Array:
        """What a driven cell that stores 0 adds, in digits of its slice: (slices,)."""
        return cells.off_state(self.spec.cell) * self.layout.top

    @property
    def largest_sums(self) -> Array:
        """The largest sum of a column of each slice, all rows of a read driven by single bits, in MAC units.

        Leakage counts in whole units: half a unit of it must not double an LSB.
        """
        leaks = np.rint(self.column.pedestal * self.layout.top)
        return np.asarray(self.tiling.parallel * (self.layout.top + self.off_digit) + leaks)

    @property
    def largest_values(self) -> Array:
        """The largest size of what is converted of each slice, in MAC units."""
        return np.asarray(self.largest_sums * dacs.largest_value(self.spec.dac))

    @cached_property
    def slice_of(self) -> Array:
        """The slice of each converted column, which stand in the order (polarities, slices, physical columns)."""
        return np.tile(np.repeat(np.arange(self.layout.slices), self.tiling.columns), self.converted)

    @cached_property
    def digits_of_codes(self) -> Array:
        """The digits of every weight code from the least to the largest: (codes, polarities, slices) uint8."""
        top = largest_code(self.spec.array.weight_bits)
        return cell_digits(np.arange(-top, top + 1)[:, None], self.spec.array)[..., 0]

    @cached_property
    def cycles_a_read(self) -> tuple[int, int]:
        """How many cycles drive the rows in a read, and how many conversions a column has."""
        dac = self.spec.dac
        return len(dacs.cycles(dac).weights), len(dacs.conversion_weights(dac))

    @cached_property
    def conversions(self) -> float:
        """The sum over reads and cycles of what a conversion counts: a constant in every conversion adds up with it."""
        return self.tiling.tiles * self.tiling.groups * float(dacs.conversion_weights(self.spec.dac).sum())


def floorplan(spec: ChipSpec, shape: tuple[int, int]) -> Floorplan:
    """The floorplan of a design for weights of `shape`. Raises SpecError where that is none of a matrix."""
    column = cells.column(spec.cell, spec.array)
    if (limit := spec.array.current_limit) is not None:
        column = column._replace(swing=min(column.swing, limit), low=max(column.low, -limit))
    return Floorplan(spec, shape, layout(spec.array), tile(spec.array, shape), column)
