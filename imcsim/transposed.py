"""The transposed read: the cells of a crossbar in the order of its word lines, between converters of their own."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.calibration import chosen_ranges, needs_samples, ranges_by_design
from imcsim.converters import dac as dacs
from imcsim.converters.ranges import Ranges
from imcsim.errors import SpecError
from imcsim.floorplan import Floorplan
from imcsim.programmed import Programmed
from imcsim.silicon import Silicon
from imcsim.specs.transpose import TransposeRead
from imcsim.transferred import Arriving
from imcsim.trimming import fitted_lines

Array = np.ndarray[Any, Any]


def in_order_of_rows(plan: Floorplan, values: Array, elsewhere: Array | float) -> Array:
    """Values of cells (members, tiles, rows, polarities, slices, columns) in the order of the transposed tiling.

    That has the arrays of the forward one, rows and columns exchanged: it is cut the same way. Cells of no weight are
    left out (rows without one, unit columns); what the last array lacks of columns is `elsewhere` and never driven.
    """
    tiling, (rows, cols) = plan.tiling, plan.shape
    width = int(tiling.place[tiling.weights].max()) + 1  # of every column tile but the last
    *_, polarities, slices, _ = values.shape
    of_weights = values.reshape(len(values), -1, *values.shape[3:])[:, :rows][..., tiling.weights]
    found = np.empty((len(values), tiling.arrays * width, polarities, slices, rows), values.dtype)
    found[:, :cols] = np.transpose(of_weights, (0, 4, 2, 3, 1))
    found[:, cols:] = elsewhere
    return found.reshape(len(values), tiling.arrays, width, polarities, slices, rows)


@dataclass(frozen=True, eq=False)
class Transposed:
    """How the converters of the transposed read are set: the input step, where reads share one, ranges and trims.

    As those of a Crossbar: one each, or one for all members that hold the same weights.
    """

    silicon: Silicon
    how: TransposeRead
    input_step: Array
    ranges: tuple[Ranges, ...] | None
    trimmed: Array | None = None

    @classmethod
    def by_design(cls, silicon: Silicon, how: TransposeRead, count: int) -> Transposed:
        """Inputs from -1 to 1, and the ranges that need no data, for `count` sets of weights."""
        step = np.full(count, 1.0 / dacs.largest_input(silicon.spec.dac))
        return cls(silicon, how, step, ranges_by_design(silicon.plan, count))

    def calibrate(self, codes: Array, e: Array) -> Transposed:
        """Choose the step and the ranges, as far as they are to be chosen, on errors e (samples, cols) of each member.

        `codes` (1 or members, rows, cols) are those of the weights.
        """
        dac, adc = self.silicon.spec.dac, self.silicon.spec.adc
        steps = self.input_step
        if self.how.input_step == "calibrated":
            steps = np.array([dacs.input_step(dac, one) for one in e])
        ranges = self.ranges
        changed = dataclasses.replace(self, input_step=steps)
        if ranges is None or needs_samples(adc):
            inputs = changed.input_codes(e)[0]
            ranges = chosen_ranges(self.silicon.plan, codes.swapaxes(1, 2), inputs)
        return dataclasses.replace(changed, ranges=ranges, trimmed=self.trimmed if ranges is self.ranges else None)

    def on(self, silicon: Silicon) -> Transposed:
        """The same step and ranges on other silicon of the design, whose converters are not trimmed."""
        return dataclasses.replace(self, silicon=silicon, trimmed=None)

    def trim(self, codes: Array, keys: Array, levels: int, reads: int) -> Transposed:
        """Take gain and offset of every ADC off its codes, as `fitted_lines` measures them."""
        read = Programmed(self.silicon, codes.swapaxes(1, 2), self.ranges or (), None)
        return dataclasses.replace(self, trimmed=fitted_lines(read, keys, levels, reads))

    def programmed(self, forward: Programmed) -> Programmed:
        """The cells that are read forward, as the transposed read meets them.

        A linear network is reciprocal: what a volt on a bit line drives into a word line at 0 V is what a volt on that
        word line drives into that bit line at 0 V, whatever ends and terminals they have. So what arrives through wires
        is that of the forward read, of the noise as well.
        """
        plan = forward.silicon.plan
        idle = plan.off_digit.astype(np.float32)[:, None]
        arrives = forward.arriving and Arriving(
            in_order_of_rows(plan, forward.arriving.states, idle),
            None if (noises := forward.arriving.variances) is None else in_order_of_rows(plan, noises, 0.0),
        )
        told_by_codes = forward.conducts is None and forward.silicon.lost is None
        digits = None if told_by_codes else in_order_of_rows(plan, forward.digits, idle)
        return Programmed(self.silicon, forward.codes.swapaxes(1, 2), self.ranges or (), self.trimmed, digits, arrives)

    def input_codes(self, e: Array) -> tuple[Array, Array]:
        """Codes (1 or members, samples, cols) of errors, and what a step is worth, (1 or members, 1 or samples).

        Raises SpecError for errors beyond the DAC's range, unless it clips.
        """
        dac = self.silicon.spec.dac
        if self.how.input_step == "each_read":
            steps = np.stack([dacs.input_steps(dac, one) for one in e])
            scaled = np.where(steps > 0, steps, 1.0)  # errors that are all zero drive nothing, and give nothing
            members = [(one / step[:, None], 1.0) for one, step in zip(e, scaled, strict=True)]
        else:
            steps = self.input_step[:, None]
            members = [(e[m % len(e)], float(steps[m % len(steps), 0])) for m in range(max(len(e), len(steps)))]
        try:
            return np.stack([dacs.input_codes(dac, *member) for member in members]), steps
        except SpecError as error:
            told = [dataclasses.replace(p, remedy=p.remedy.replace("dac.", "transpose.dac.")) for p in error.problems]
            raise SpecError(dataclasses.replace(problem, path=("e",)) for problem in told) from None
