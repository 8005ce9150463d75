"""What closed forms are made of: second moments, the noise that converters meet, the laws of what they convert."""

from __future__ import annotations

import copy
import dataclasses
import math
from functools import cached_property
from typing import Any

import numpy as np

from imcsim import cells
from imcsim.budget.moments import Factors, moments
from imcsim.budget.setting import Setting
from imcsim.budget.static import ErrorOf, StaticError, Sums, static_error
from imcsim.converters import dac as dacs
from imcsim.kernels.column import static_transfer
from imcsim.specs.adc import RangedADC
from imcsim.specs.dac import IdealDAC

Array = np.ndarray[Any, Any]


class Terms:
    """What the closed forms of a setting are made of: moments, laws of sums, and the analog column in MAC units."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.plan, self.m = setting, setting.crossbar.die.plan, moments(setting)
        self.spec, self.rows = setting.spec, setting.weights.shape[0]
        self.sigma = cells.mismatch_sigma_rel(self.spec.cell)
        self.top = self.plan.layout.top[self.m.slice_of]
        self.column = self.plan.column.scaled(dacs.unit_input(self.spec.dac) * self.top)

    def through(self, setting: Setting) -> Terms:
        """The terms of the same setting with another ADC: moments and laws are kept."""
        other = copy.copy(self)
        other.setting, other.spec, other.plan = setting, setting.spec, setting.crossbar.die.plan
        return other

    def quantisation(self) -> float:
        """Of weights and inputs together: E[(w_q x_q - w x)^2] a row. At few bits the two are not independent."""
        setting = self.setting
        x, w = setting.x, setting.weights
        x_q, w_q = setting.codes * float(setting.crossbar.input_step[0]), setting.crossbar.written
        squares = np.square(x_q).mean() * np.square(w_q).mean() + np.square(x).mean() * np.square(w).mean()
        return float(self.rows * (squares - 2 * (x_q * x).mean() * (w_q * w).mean()))

    def signal(self) -> float:
        # y = sum w x with E[w] = 0
        return float(self.rows * np.square(self.setting.x).mean() * np.square(self.setting.weights).mean())

    @property
    def unit(self) -> float:
        """What a squared step of weight x input is worth."""
        return float(self.setting.unit**2)

    @property
    def driven(self) -> Array:
        """The sum over cycles of what each drives a row with and counts, (draws,)."""
        return self.m.inputs.combined

    @property
    def cycle_squares(self) -> float:
        """Sum_k w_k^2 E[x_k^2]: of what is drawn anew in every cycle."""
        return float(np.square(self.m.inputs.counts) @ np.diag(self.m.inputs.second))

    @property
    def column_squares(self) -> float:
        """Sum worth^2 E[d^2]: of what is drawn for every column."""
        return float(np.square(self.m.digits.counts) @ np.diag(self.m.conducting.second))

    @cached_property
    def bent_levels(self) -> Array:
        """The covariance of what the levels of a row are off by in every two cycles: (cycles, cycles)."""
        dac, x = self.spec.dac, self.m.inputs.values
        bent = np.zeros((len(x), len(x)))
        if isinstance(dac, IdealDAC) or dac.unit_sigma_rel == 0:
            return bent
        # a string of D units with exact ends is a Brownian bridge: cov(e_a, e_b) = sigma^2 (min(a, b) - a b / D)
        size, sign, most = np.abs(x), np.sign(x), dacs.unit_input(dac)
        for k, other in np.ndindex(bent.shape):
            bridge = np.minimum(size[k], size[other]) - size[k] * size[other] / most
            bent[k, other] = dac.unit_sigma_rel**2 * float((sign[k] * sign[other] * bridge).mean())
        return bent

    @cached_property
    def conversions(self) -> tuple[Factors, Factors, Array]:
        """What is converted, and slices: inputs added up where cycles are, digits subtracted where pairs are."""
        inputs, digits, slices = self.m.inputs, self.m.digits, self.m.slice_of
        if dacs.accumulates(self.spec.dac):
            inputs = Factors(inputs.combined[None], np.ones(1))
        if self.plan.subtracts:
            half = len(slices) // 2
            digits = Factors(digits.values[:half] - digits.values[half:], digits.counts[:half])
            slices = slices[:half]
        return inputs, digits, slices

    def noise(self, rows: int) -> tuple[Array, Array, bool]:
        """The noise on the conversions of so many rows: see Sums. Mismatch counts: of a random column it is noise."""
        m, dac = self.m, self.spec.dac
        x2, d2 = m.inputs.second, m.conducting.second
        each_x, each_d = np.diag(np.diag(x2)), np.diag(np.diag(d2))
        # mismatch: the same in every cycle; read noise: a draw a cell and cycle; of a row: common to its columns
        of_cells = rows * (self.sigma**2 * np.kron(x2, each_d) + self.column.cell_variance * np.kron(each_x, each_d))
        own = np.kron(np.eye(len(x2)), np.diag(np.broadcast_to(self.column.variance, self.top.shape)))
        if not isinstance(dac, IdealDAC):
            of_cells += rows * np.kron(dac.gain_sigma_rel**2 * x2 + self.bent_levels, d2)
            own = own + rows * dac.noise_lsb**2 * np.kron(np.eye(len(x2)), d2)
        cycles = m.inputs.counts[None] if dacs.accumulates(dac) else np.eye(len(x2))
        pair = np.eye(len(d2) // 2) if self.plan.subtracts else np.eye(len(d2))
        joined = np.kron(cycles, np.hstack([pair, -pair]) if self.plan.subtracts else pair)
        of_cells, own = (joined @ covariance @ joined.T for covariance in (of_cells, own))
        share = np.diag(of_cells) / np.maximum(np.diag(of_cells + own), 1e-300)
        mostly_frozen = self.sigma**2 > self.column.cell_variance and float(np.median(share)) > 0.5
        return of_cells + own, share, mostly_frozen

    @cached_property
    def sums(self) -> list[tuple[Sums, int]]:
        """What reads sum up in each column, nominal, with what leaks; and how often each comes."""
        return [(self._sums(rows), count) for rows, count in self.m.reads]

    @cached_property
    def converted_sums(self) -> list[tuple[Sums, int]]:
        """What reads put on each converter, noise and all; and how often each comes."""
        return [(self._converted_sums(rows), count) for rows, count in self.m.reads]

    def _sums(self, rows: int) -> Sums:
        m, size = self.m, len(self.m.inputs.counts) * len(self.m.off)
        pedestal = np.broadcast_to(np.asarray(self.column.pedestal, np.float64), m.off.shape)
        return Sums(m.inputs, m.digits, m.off, pedestal, np.zeros((size, size)), np.zeros(size), False, rows)

    def _converted_sums(self, rows: int) -> Sums:
        inputs, digits, slices = self.conversions
        count = len(slices)
        if self.plan.subtracts:  # what all cells of the two columns add cancels
            return Sums(inputs, digits, np.zeros(count), np.zeros(count), *self.noise(rows), rows)
        whole = 1.0 if not dacs.accumulates(self.spec.dac) else float(self.m.inputs.counts.sum())
        pedestal = whole * np.broadcast_to(np.asarray(self.column.pedestal, np.float64), self.m.off.shape)
        return Sums(inputs, digits, self.m.off, pedestal, *self.noise(rows), rows)

    def of_tiles(self, noise_lsb: float) -> list[tuple[list[tuple[Sums, int]], int]]:
        """What the reads of each tile put on converters, with nothing but the noise of so many LSB; how many tiles."""
        noise = np.diag(np.tile(np.square(noise_lsb * self.lsb), len(self.conversions[0].counts)))
        parallel, groups = self.plan.tiling.parallel, self.plan.tiling.groups
        found = []
        for used, tiles in self.m.tiles:
            rows = [min(max(used - g * parallel, 0), parallel) for g in range(groups)]
            reads = [(self._with_noise(r, noise), rows.count(r)) for r in sorted(set(rows))]
            found.append((reads, tiles))
        return found

    def _with_noise(self, rows: int, noise: Array) -> Sums:
        sums = self._converted_sums(rows)
        return dataclasses.replace(sums, noise=noise, of_cells=np.zeros(len(noise)), frozen=False)

    @property
    def groups(self) -> int:
        """How often a tile is read for one product."""
        return self.plan.tiling.groups

    @property
    def lsb(self) -> Array:
        """The LSB of each column converted, in MAC units."""
        return np.array(self.setting.ranges.lsb)[self.conversions[2]]

    def met_by_rounding(self) -> list[tuple[Sums, int]]:
        """What reads put on each converter, with what the converters themselves add."""
        adc, found = self.spec.adc, []
        assert isinstance(adc, RangedADC)
        cycles = len(self.conversions[0].counts)
        for sums, count in self.converted_sums:
            offset = adc.offset_sigma_lsb if self.groups == 1 else 0.0
            own = np.kron(np.ones((cycles, cycles)), np.diag(np.square(offset * self.lsb)))
            own += np.diag(np.tile(np.square(adc.noise_lsb * self.lsb), cycles))
            mean = np.kron(sums.inputs.mean, (sums.digits + sums.off).mean) * sums.rows + np.tile(sums.shift, cycles)
            same_column = np.kron(np.ones((cycles, cycles)), np.eye(len(sums.off)))
            own += (
                adc.gain_sigma_rel**2
                * same_column
                * (sums.covariance - np.diag(np.diag(sums.noise)) + np.outer(mean, mean))
            )
            noise = sums.noise + own
            share = sums.of_cells * np.diag(sums.noise) / np.maximum(np.diag(noise), 1e-300)
            frozen = sums.frozen and float(np.median(share)) > 0.5
            found.append((dataclasses.replace(sums, noise=noise, of_cells=share, frozen=frozen), count))
        return found

    def on_column(self, v: Array, column: int, *, limited: bool = True) -> Array:
        """What the column makes of values."""
        one = self.column._replace(
            **{
                name: np.asarray(getattr(self.column, name))[column]
                for name in ("pedestal", "droop", "swing", "variance", "load", "low")
            }
        )
        transfer = one if limited else one._replace(swing=math.inf, low=-math.inf)
        return np.asarray(static_transfer(v, transfer))

    def of_static(self, error: ErrorOf) -> list[tuple[StaticError, int]]:
        """What an error of the columns' values adds."""
        return [(static_error(sums, error), count) for sums, count in self.sums]

    def of_conversion(self, error: ErrorOf) -> list[tuple[StaticError, int]]:
        """What an error of the converted values adds; the columns' own transfer goes ahead of it."""
        return [(static_error(sums, self.behind(error)), count) for sums, count in self.converted_sums]

    def behind(self, error: ErrorOf) -> ErrorOf:
        """The error of the converters of a slice behind the transfer of its column, as one of the column."""
        slices = self.conversions[2]
        if self.plan.subtracts or dacs.accumulates(self.spec.dac):
            return lambda v, clean, j: error(v, clean, int(slices[j]))
        return lambda v, clean, j: error(self.on_column(v, j), self.on_column(clean, j), int(slices[j]))
