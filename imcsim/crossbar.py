"""Die and Crossbar: manufacture, program, write and read a signed weight matrix on arrays of cells."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imcsim import cells
from imcsim.converters import adc as adcs
from imcsim.converters import dac as dacs
from imcsim.errors import CapabilityError, SpecError
from imcsim.kernels.column import Column, Converters, static_transfer
from imcsim.kernels.frozen import ADC_GAIN, ADC_OFFSET, CELL_MISMATCH, frozen_normals
from imcsim.kernels.mvm import shift_and_add
from imcsim.mapping import Layout, cell_bits, layout, quantise_weights, weight_scale
from imcsim.reads import Arrays, conversions, prepare
from imcsim.rng import draw_key
from imcsim.specs.chip import ChipSpec
from imcsim.specs.converters import UniformADC

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Die:
    """One manufactured crossbar for weights of `shape` (rows, cols): its mismatch is frozen.

    `currents` (tiles, rows of a tile, polarities, slices, cols): what each cell adds when it conducts, 1 for a nominal
    cell. `adc` holds the errors of its converters.
    """

    spec: ChipSpec
    shape: tuple[int, int]
    layout: Layout
    column: Column
    currents: Array
    adc: adcs.Errors

    def program(self, weights: Array, rng: np.random.Generator, *, now_s: float = 0.0) -> Crossbar:
        """Program weights (rows, cols): quantise to the codes of the array, in steps that are chosen here and kept.

        Inputs run from 0 (-1 where signed) to 1 until the crossbar is calibrated. `rng` is what programming errors are
        drawn from; an SRAM write has none. Raises SpecError for weights of another shape or not finite.
        """
        del rng
        weights = _finite(weights, self.shape, "weights")
        if not math.isfinite(now_s):
            raise SpecError.of("now_s", "must be a finite time", given=str(now_s))
        spec = self.spec
        scale = weight_scale(weights, spec.array)
        codes = quantise_weights(weights, scale, spec.array.weight_bits)
        full_sum = self.currents.shape[1] * dacs.unit_input(spec.dac)
        ranges = adcs.fixed_ranges(spec.adc, self.layout.slices, full_sum, dacs.sums_may_be_negative(spec.dac))
        return Crossbar(self, codes, scale, now_s, 1.0 / dacs.largest_input(spec.dac), ranges)


def manufacture(spec: ChipSpec, shape: tuple[int, int], key: int) -> Die:
    """The crossbar that the die of `key` (64 bits) has for weights of `shape` (rows, cols).

    Mismatch is a function of (key, tile, polarity, slice, row, column) alone: a cell of a die is the same whatever is
    programmed, however often, and however many bits the weights or the ADC have.
    """
    if not 0 <= key < 2**64:
        raise SpecError.of("key", "must be an integer of 64 bits, at least 0", given=str(key))
    tiles = _tiles(spec, shape)
    plan = layout(spec.array)

    def normals(source: int, rows: int) -> Array:
        where = (tiles, rows, plan.polarities, plan.slices, shape[1], spec.array.cols)
        return np.asarray(frozen_normals(np.uint64(key), source, *where))

    currents = cells.frozen_currents(spec.cell, spec.array, normals(CELL_MISMATCH, spec.array.rows))
    gain, offset = (normals(source, 1).reshape(tiles, -1) for source in (ADC_GAIN, ADC_OFFSET))
    used = min(shape[0], spec.array.rows)
    errors = adcs.manufactured_errors(spec.adc, gain, offset)
    return Die(spec, shape, plan, cells.column(spec.cell, spec.array), currents[:, :used], errors)


def nominal_die(spec: ChipSpec, shape: tuple[int, int]) -> Die:
    """The die as designed: quantisation, leakage, droop and swing, but no mismatch and no noise."""
    plan = layout(spec.array)
    tiles, used = _tiles(spec, shape), min(shape[0], spec.array.rows)
    currents = np.ones((tiles, used, plan.polarities, plan.slices, shape[1]), np.float32)
    errors = adcs.no_errors(tiles, plan.polarities * plan.slices * shape[1])
    return Die(spec, shape, plan, cells.column(spec.cell, spec.array).noiseless(), currents, errors)


@dataclass(frozen=True, eq=False)
class Crossbar:
    """A programmed die: weight codes (rows, cols) in steps of `scale`, and how it is read.

    `ranges` is None where the ADC's ranges await a calibration.
    """

    die: Die
    codes: Array
    scale: float
    written_s: float
    input_step: float
    ranges: adcs.Ranges | None

    @property
    def written(self) -> Array:
        """The weights last written, (rows, cols): codes times scale, whatever the cells make of them."""
        return self.codes * self.scale

    def write(self, delta: Array, rng: np.random.Generator, *, now_s: float = 0.0) -> Crossbar:
        """Add delta (rows, cols) to the weights: the sums are rounded to the nearest code and clip at the largest.

        Cells, scale, input step and ranges stay. `rng` is what write errors are drawn from; an SRAM write has none.
        Raises SpecError for a delta of another shape or not finite, or a time before the last write.
        """
        del rng
        self._check_time(now_s)
        target = self.written + _finite(delta, self.die.shape, "delta")
        codes = quantise_weights(target, self.scale, self.die.spec.array.weight_bits)
        return dataclasses.replace(self, codes=codes, written_s=now_s)

    def on_die(self, die: Die) -> Crossbar:
        """The same codes, input step and ranges on another die of the same design."""
        if die.shape != self.die.shape or die.spec != self.die.spec:
            raise SpecError.of(
                "die",
                "must be of this crossbar's design and shape",
                given=f"a die of shape {die.shape}" + (", another design" if die.spec != self.die.spec else ""),
            )
        return dataclasses.replace(self, die=die)

    def calibrate(self, x: Array) -> Crossbar:
        """Choose the input step, and the ADC ranges where they are not fixed, on samples x (samples, rows).

        The ranges suit the sums of the design, without mismatch or noise: one a slice, shared by tiles and polarities.
        """
        spec = self.die.spec
        samples = self._samples(x)
        step = dacs.input_step(spec.dac, samples)
        ranges = self.ranges
        if isinstance(spec.adc, UniformADC) and spec.adc.range == "mse":
            values, counts = self._nominal_values(dacs.input_codes(spec.dac, samples, step))
            ranges = adcs.least_squares_ranges(spec.adc, values, counts, dacs.sums_may_be_negative(spec.dac))
        return dataclasses.replace(self, input_step=step, ranges=ranges)

    def mvm(self, x: Array, rng: np.random.Generator, *, now_s: float = 0.0) -> Array:
        """Read the array: x (..., rows) -> (..., cols) float64, in units of weight x input.

        Inputs beyond the largest code saturate. Raises SpecError for inputs that are not finite, or negative where the
        DAC is unsigned, and for a time before the last write; CapabilityError where the ranges await a calibration.
        """
        self._check_time(now_s)
        samples = self._samples(x)
        key = draw_key(rng)
        spec = self.die.spec
        codes = dacs.input_codes(spec.dac, samples, self.input_step)
        sums = self._arrays.read(codes, self.die.column, self._converters, key)
        product = self._recombine(sums, codes) * (self.scale * self.input_step)
        return product.reshape(*np.shape(x)[:-1], self.die.shape[1])

    @cached_property
    def _arrays(self) -> Arrays:
        """The cells as programmed: a stored 1 conducts its frozen current, a stored 0 nothing."""
        die = self.die
        tiles, rows, *columns = die.currents.shape
        bits = np.zeros((tiles * rows, *columns), np.uint8)
        bits[: die.shape[0]] = cell_bits(self.codes, die.spec.array)
        bits = bits.reshape(die.currents.shape)
        variances = cells.variance_states(die.spec.cell, die.currents)
        # an eighth of the mismatch: a coarser grid would be a mismatch of its own
        resolution = cells.mismatch_sigma_rel(die.spec.cell) / 8
        flat = (values.reshape(tiles, rows, -1) for values in (bits, die.currents, variances))
        return prepare(die.spec.dac, *flat, resolution=resolution)

    @cached_property
    def _converters(self) -> Converters:
        if self.ranges is None:
            raise CapabilityError.of(
                "adc.range",
                "the ranges must be calibrated before the first read",
                given=f'"{getattr(self.die.spec.adc, "range", "")}"',
                remedy='call calibrate with samples, or choose range = "full" or "given"',
            )
        die = self.die
        return adcs.converters(self.ranges, die.shape[1], die.adc)

    def _recombine(self, sums: Array, codes: Array) -> Array:
        """Shift and add: sums of ADC codes (samples, columns) -> products of weight and input codes (samples, cols)."""
        die, dac, ranges = self.die, self.die.spec.dac, self.ranges
        assert ranges is not None  # _converters has seen to it
        tiles = die.currents.shape[0]
        by_column = sums.reshape(-1, die.layout.polarities, die.layout.slices, die.shape[1])
        constant = np.array(ranges.lo) * conversions(dac, tiles)
        product = shift_and_add(by_column, die.layout.worth, np.array(ranges.lsb), constant)
        # a code is its cycles' sum and a constant, which meets every weight
        completion = dacs.cycle_weights(dac)[1]
        product += completion * self.codes.sum(axis=0)
        entered = codes - completion
        return np.asarray(product + die.layout.offset * entered.sum(axis=1, keepdims=True))

    def _nominal_values(self, codes: Array) -> tuple[Sequence[Array], Sequence[Array]]:
        """What the columns of each slice give on the nominal die for input codes: distinct values, and how often."""
        die, dac = self.die, self.die.spec.dac
        column = die.column.scaled(dacs.unit_input(dac))
        bits = cell_bits(self.codes, die.spec.array).astype(np.float32)
        # bits sum exactly in float32, larger codes in float64
        exact = np.float32 if dacs.unit_input(dac) == 1 else np.float64
        planes: Array = dacs.planes(dac, codes).reshape(-1, codes.shape[1]).astype(exact)
        values, counts = [], []
        for s in range(die.layout.slices):
            sums = [
                np.unique(planes[:, first:last] @ bits[first:last, :, s].reshape(last - first, -1), return_counts=True)
                for first, last in _row_tiles(die)
            ]
            value, where = np.unique(np.concatenate([v for v, _ in sums]), return_inverse=True)
            values.append(static_transfer(value.astype(np.float64) + column.pedestal, column))
            counts.append(np.bincount(where, np.concatenate([n for _, n in sums])))
        return values, counts

    def _samples(self, x: Array) -> Array:
        """The samples (n, rows) float64 of x (..., rows), checked."""
        rows = self.die.shape[0]
        samples = np.asarray(x, dtype=np.float64)
        if samples.ndim == 0 or samples.shape[-1] != rows:
            raise SpecError.of("x", f"must have {rows} inputs on its last axis", given=f"shape {samples.shape}")
        _finite(samples, samples.shape, "x")
        if not self.die.spec.dac.signed and samples.min(initial=0.0) < 0:
            raise SpecError.of("x", "must not be negative: the DAC is unsigned", remedy="set dac.signed = true")
        return samples.reshape(-1, rows)

    def _check_time(self, now_s: float) -> None:
        if not self.written_s <= now_s < math.inf:
            raise SpecError.of("now_s", f"must not lie before the last write, at {self.written_s} s", given=str(now_s))


def _tiles(spec: ChipSpec, shape: tuple[int, int]) -> int:
    """How many tiles the rows of a matrix take; SpecError where `shape` is none of a matrix."""
    if len(shape) != 2 or min(shape) < 1:
        raise SpecError.of("shape", "must be (rows, cols), each at least 1", given=str(shape))
    if -(-shape[1] // spec.array.cols) >= 2**16:
        raise SpecError.of("shape", f"takes more than 65535 arrays of {spec.array.cols} columns", given=str(shape))
    return -(-shape[0] // spec.array.rows)


def _row_tiles(die: Die) -> list[tuple[int, int]]:
    step = die.spec.array.rows
    return [(first, min(first + step, die.shape[0])) for first in range(0, die.shape[0], step)]


def _finite(values: Array, shape: tuple[int, ...], name: str) -> Array:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != shape:
        raise SpecError.of(name, f"must have shape {shape}", given=f"shape {values.shape}")
    if not np.isfinite(values).all():
        raise SpecError.of(name, "must be finite", given=f"{int((~np.isfinite(values)).sum())} values that are not")
    return values
