"""ADC ranges: which values of a column the codes stand for, and how a range is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from imcsim.kernels.column import Converters
from imcsim.specs.converters import ADC, IdealADC, UniformADC

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Ranges:
    """The ranges of a layer's ADCs: `lo` and `lsb` (slices,) in MAC units, codes 0 to `max_code` (0: not converted)."""

    lo: tuple[float, ...]
    lsb: tuple[float, ...]
    max_code: int


@dataclass(frozen=True, eq=False)
class Errors:
    """What the ADCs of a die get wrong: `gain` and `offset_lsb` (tiles, columns) frozen, noise at each conversion."""

    gain: Array
    offset_lsb: Array
    noise_lsb: float


def no_errors(tiles: int, columns: int) -> Errors:
    """The errors of converters as designed."""
    return Errors(np.ones((tiles, columns), np.float32), np.zeros((tiles, columns), np.float32), 0.0)


def converters(ranges: Ranges, columns: int, errors: Errors) -> Converters:
    """The ADCs of a die in the form of the kernels, `columns` of them a slice and polarity."""
    polarities = errors.gain.shape[1] // (columns * len(ranges.lo))
    lo, lsb = (np.tile(np.repeat(np.asarray(value), columns), polarities) for value in (ranges.lo, ranges.lsb))
    scale, shift = (errors.gain / lsb).astype(np.float32), (errors.offset_lsb - lo / lsb).astype(np.float32)
    return Converters(ranges.max_code, scale, shift, errors.noise_lsb)


@singledispatch
def manufactured_errors(adc: ADC, gain: Array, offset: Array) -> Errors:
    """The errors that frozen standard normals `gain` and `offset` (tiles, columns) make of a design."""
    raise TypeError(f"no converter {type(adc).__name__} ({gain.shape}, {offset.shape})")


@manufactured_errors.register
def _(adc: IdealADC, gain: Array, offset: Array) -> Errors:
    del adc, offset
    return no_errors(*gain.shape)


@manufactured_errors.register
def _(adc: UniformADC, gain: Array, offset: Array) -> Errors:
    spread = np.float32(adc.gain_sigma_rel), np.float32(adc.offset_sigma_lsb)
    return Errors(np.float32(1) + spread[0] * gain, spread[1] * offset, adc.noise_lsb)


@singledispatch
def fixed_ranges(adc: ADC, slices: int, largest_sum: float, signed: bool) -> Ranges | None:
    """The ranges that need no data; None where they are to be calibrated.

    `largest_sum` is the largest sum of a column in MAC units, `signed` whether sums may be negative.
    """
    del slices, largest_sum, signed
    raise TypeError(f"no converter {type(adc).__name__}")


@fixed_ranges.register
def _(adc: IdealADC, slices: int, largest_sum: float, signed: bool) -> Ranges | None:
    del adc, largest_sum, signed
    return Ranges((0.0,) * slices, (1.0,) * slices, 0)


@fixed_ranges.register
def _(adc: UniformADC, slices: int, largest_sum: float, signed: bool) -> Ranges | None:
    if adc.range == "full":
        return _around_zero(adc, [full_lsb(adc, largest_sum, signed)] * slices, signed)
    if adc.range == "given":
        assert adc.lo is not None  # the spec holds both
        assert adc.hi is not None
        levels = _levels(adc, symmetric=adc.lo == -adc.hi)
        return Ranges((adc.lo,) * slices, ((adc.hi - adc.lo) / (levels - 1),) * slices, levels - 1)
    return None


def full_lsb(adc: UniformADC, largest_sum: float, signed: bool) -> float:
    """The smallest LSB of 2^m >= 1 MAC unit with which the levels reach `largest_sum`."""
    lsb = 1.0
    while lsb * _reach(adc, signed) < largest_sum:
        lsb *= 2
    return lsb


def least_squares_ranges(adc: UniformADC, values: Sequence[Array], counts: Sequence[Array], signed: bool) -> Ranges:
    """The range of each slice that minimises the squared error of conversion, zero a code.

    `values[s]` are the values that columns of slice s took on calibration data and `counts[s]` how often. Searched over
    200 steps up to full coverage and over the powers of two; of equals the widest range wins.
    """
    steps = [_least_squares_lsb(adc, v, n, signed) for v, n in zip(values, counts, strict=True)]
    return _around_zero(adc, steps, signed)


def convert(values: Array, lo: float, lsb: float, max_code: int) -> Array:
    """Values after an error-free conversion: lo + code LSB, with code = clip(rint((v - lo) / LSB), 0, max_code)."""
    return np.asarray(lo + lsb * np.clip(np.rint((values - lo) / lsb), 0, max_code))


def _least_squares_lsb(adc: UniformADC, values: Array, counts: Array, signed: bool) -> float:
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return 1.0
    covering = largest / _reach(adc, signed)
    powers = 2.0 ** np.arange(np.floor(np.log2(covering * 0.02)), np.ceil(np.log2(covering)) + 1)
    # the kernels hold it in float32: what is chosen here must be what they use
    steps = np.concatenate([covering * np.geomspace(0.02, 1.0, 200), powers, [1.0]]).astype(np.float32)
    best, least = 1.0, np.inf
    for lsb in sorted({float(step) for step in steps}, reverse=True):
        lo = _lowest(adc, lsb, signed)
        error = float((counts * np.square(values - convert(values, lo, lsb, _levels(adc, signed) - 1))).sum())
        if error < least * (1 - 1e-9):
            best, least = lsb, error
    return best


def _around_zero(adc: UniformADC, steps: Sequence[float], signed: bool) -> Ranges:
    return Ranges(tuple(_lowest(adc, lsb, signed) for lsb in steps), tuple(steps), _levels(adc, signed) - 1)


def _lowest(adc: UniformADC, lsb: float, signed: bool) -> float:
    return -lsb * _reach(adc, signed) if signed else 0.0


def _reach(adc: UniformADC, signed: bool) -> float:
    """The largest level, in LSB from zero."""
    levels = _levels(adc, symmetric=signed)
    return (levels - 1) / 2 if signed else levels - 1


def _levels(adc: UniformADC, symmetric: bool) -> int:
    """2^bits levels; one less where they lie symmetric about zero, so that zero is one of them (1 bit: two levels)."""
    return int(2**adc.bits - 1 if symmetric and adc.bits > 1 else 2**adc.bits)
