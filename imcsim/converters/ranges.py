"""ADC ranges: which values of a column the codes stand for, and how a range is chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from imcsim.errors import SpecError
from imcsim.specs.adc import IdealADC, RangedADC

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Ranges:
    """The ranges of a layer's ADCs: `lo` and `lsb` (slices,) in MAC units, codes 0 to `max_code` (0: not converted)."""

    lo: tuple[float, ...]
    lsb: tuple[float, ...]
    max_code: int


def convert(values: Array, lo: float | Array, lsb: float | Array, max_code: int) -> Array:
    """Values after an error-free conversion: lo + code LSB, with code = clip(rint((v - lo) / LSB), 0, max_code)."""
    converted = np.asarray((values - lo) / lsb)
    np.rint(converted, out=converted)
    np.clip(converted, 0, max_code, out=converted)
    converted *= lsb
    converted += lo
    return converted


@singledispatch
def fixed_ranges(adc: IdealADC | RangedADC, largest: Sequence[float], signed: bool) -> Ranges | None:
    """The ranges that need no data; None where they are to be calibrated.

    `largest` (slices,) is the largest size a sum of each slice can have, in MAC units, `signed` whether sums may be
    negative. Full ranges are powers of two apart, as are given ones, which are the same for all slices.
    """
    del largest, signed
    raise TypeError(f"no converter {type(adc).__name__}")


@fixed_ranges.register
def _(adc: IdealADC, largest: Sequence[float], signed: bool) -> Ranges | None:
    del adc, signed
    return Ranges((0.0,) * len(largest), (1.0,) * len(largest), 0)


@fixed_ranges.register
def _(adc: RangedADC, largest: Sequence[float], signed: bool) -> Ranges | None:
    if adc.range == "full":
        return _with_zero(adc, [full_lsb(adc, size, signed) for size in largest], signed)
    if adc.range == "given":
        assert adc.lo is not None  # the spec holds both
        assert adc.hi is not None
        slices, levels = len(largest), _levels(adc, symmetric=adc.lo == -adc.hi)
        return Ranges((adc.lo,) * slices, ((adc.hi - adc.lo) / (levels - 1),) * slices, levels - 1)
    return None


def full_lsb(adc: RangedADC, largest: float, signed: bool) -> float:
    """The smallest LSB of 2^m >= 1 MAC unit with which the levels reach `largest`."""
    lsb = 1.0
    while lsb * _reach(adc, signed) < largest:
        lsb *= 2
    return lsb


def calibrated_ranges(
    adc: RangedADC, values: Sequence[Array], counts: Sequence[Array], worth: Array, signed: bool
) -> Ranges:
    """The ranges, zero a code, that suit what columns of each slice gave on calibration data.

    `values[s]` are the distinct values that columns of slice s took and `counts[s]` how often; `worth` (slices,) is
    what a unit of each slice is worth in the output, of which ratios alone count, and only where slices are powers of
    two apart. "mse": the least squared error of conversion, of all slices weighted with worth^2; searched over 200
    steps up to full coverage and over the powers of two (powers of two apart: over 35 common bases); of equals the
    widest range wins. "percentile": the narrowest range that leaves out no more than asked (powers of two apart: each
    slice widened to a common base). Raises SpecError for a range of another kind.
    """
    slices = list(zip(values, counts, strict=True))
    if adc.range == "mse":
        return _with_zero(adc, _least_squares_steps(adc, slices, worth, signed), signed)
    if adc.range == "percentile":
        return _with_zero(adc, _percentile_steps(adc, slices, worth, signed), signed)
    raise SpecError.of("adc.range", 'must be "mse" or "percentile" to follow from values', given=f'"{adc.range}"')


def least_output_error_ranges(
    adc: RangedADC, columns: Array, conversion_weights: Array, worth: Array, signed: bool
) -> Ranges:
    """The ranges, zero a code, that minimise the mean squared error which conversion makes in the layer's output.

    `columns` (samples, conversions, polarities, slices, cols) are unconverted values; the output (samples, cols) is the
    sum of conversion_weights (conversions,) x worth (polarities, slices) x columns. Where conversions are biased their
    errors add coherently, so that this is not the least error of each slice. Coordinate descent from the ranges of
    least squared error, never to anything worse: of all changes of one slice's LSB (about 70 in question, 12 an octave)
    the best is made until none helps; powers of two apart, from each of 12 common bases.

    Every LSB in question converts all columns once: for two million values half a second, a second for 12 bits, and
    memory for a copy of the columns and 70 x slices outputs. No sum depends on the number of threads.
    """
    samples, conversions, polarities, slices, cols = columns.shape
    by_slice = np.transpose(columns, (3, 1, 2, 0, 4)).reshape(slices, conversions * polarities, samples * cols)
    by_slice = np.ascontiguousarray(by_slice, dtype=np.float64)
    weights = (np.asarray(conversion_weights, np.float64)[:, None, None] * worth).reshape(-1, slices).T
    distinct = [np.unique(v, return_counts=True) for v in by_slice]
    # of uncorrelated errors of the polarities the squares add
    start = _least_squares_steps(adc, distinct, np.sqrt(np.square(worth).sum(axis=0)), signed)
    covering = [_covering(adc, v, signed) for v, _ in distinct]
    chosen, least = start, np.inf
    for steps in _grids(adc, covering, start):
        errors = [_output_errors(adc, *args, signed) for args in zip(steps, by_slice, weights, strict=True)]
        nearest = [int(np.argmin(np.abs(np.log(s / at)))) for s, at in zip(steps, start, strict=True)]
        picked, error = _descend(errors, nearest)
        if error < least * (1 - NO_BETTER):
            chosen, least = [float(s[i]) for s, i in zip(steps, picked, strict=True)], error
    return _with_zero(adc, chosen, signed)


def widened(ranges: Sequence[Ranges] | None, times: Array) -> tuple[Ranges, ...] | None:
    """The ranges for values that are so many `times` (members,) as large; None of none."""
    if ranges is None:
        return None
    members = zip(ranges, times.tolist(), strict=True)
    return tuple(
        Ranges(tuple(lo * t for lo in one.lo), tuple(lsb * t for lsb in one.lsb), one.max_code) for one, t in members
    )


# Levels


def _with_zero(adc: RangedADC, steps: Sequence[float], signed: bool) -> Ranges:
    lo = tuple(-lsb * _reach(adc, signed) if signed else 0.0 for lsb in steps)
    return Ranges(lo, tuple(steps), _levels(adc, signed) - 1)


def _reach(adc: RangedADC, signed: bool) -> float:
    """The largest level, in LSB from zero."""
    levels = _levels(adc, symmetric=signed)
    return (levels - 1) / 2 if signed else levels - 1


def _levels(adc: RangedADC, symmetric: bool) -> int:
    """2^bits levels; one less where they lie symmetric about zero, so that zero is one of them (1 bit: two levels)."""
    return int(2**adc.bits - 1 if symmetric and adc.bits > 1 else 2**adc.bits)


# Steps in question: the kernels hold an LSB in float32, and what is chosen must be what they use

# Ranges that cover less than this share of the largest value are not in question: they would lose least only if values
# 50 times their end came less than once in 12 x 4^bits.
NARROWEST = 0.02
# errors that differ by less are equal: rounding of sums must not decide
NO_BETTER = 1e-9


def _covering(adc: RangedADC, values: Array, signed: bool) -> float:
    """The LSB with which the levels just reach the largest of the values; 0 where all are zero."""
    return float(np.abs(values).max(initial=0.0)) / _reach(adc, signed)


def _steps(covering: float, number: int) -> Array:
    """LSBs up to `covering`, `number` of them evenly in the logarithm, and powers of two; the widest first."""
    if covering == 0.0:
        return np.ones(1)
    return _float32([*(covering * np.geomspace(NARROWEST, 1.0, number)), *_octaves(1.0, covering)])


def _octaves(base: float, covering: float) -> Array:
    """The LSBs of `base` times a power of two about `covering`, and the base itself; the widest first."""
    if covering == 0.0:
        return np.full(1, base)
    first, last = math.floor(math.log2(NARROWEST * covering / base)), math.ceil(math.log2(covering / base))
    return _float32([base, *(base * 2.0**m for m in range(first, last + 1))])


def _bases(number: int) -> list[float]:
    """`number` common bases of LSBs that are powers of two apart, 1 the first."""
    return [float(base) for base in np.geomspace(1, 2, number, endpoint=False).astype(np.float32)]


def _base_of(lsb: float) -> float:
    return 2 * math.frexp(lsb)[0]


def _float32(steps: Sequence[float]) -> Array:
    return np.unique(np.asarray(steps, np.float32)).astype(np.float64)[::-1]


def _first_of_least(errors: Array) -> int:
    return int(np.argmax(errors <= errors.min() * (1 + NO_BETTER)))


# Least squared error


def _least_squares_steps(
    adc: RangedADC, slices: Sequence[tuple[Array, Array]], worth: Array, signed: bool
) -> list[float]:
    covering = [_covering(adc, v, signed) for v, _ in slices]
    if adc.slice_ranges == "free":
        free = [_steps(c, 200) for c in covering]
        lost_by = [_squared_errors(adc, steps, *data, signed) for steps, data in zip(free, slices, strict=True)]
        return [float(steps[_first_of_least(lost)]) for steps, lost in zip(free, lost_by, strict=True)]
    bases = _bases(35)  # as many an octave as free ranges have
    # with the base given, slices are independent: the best step of each base, and its error
    picked, lost = np.empty((len(slices), len(bases))), np.empty((len(slices), len(bases)))
    for s, (c, data) in enumerate(zip(covering, slices, strict=True)):
        apart = [_octaves(base, c) for base in bases]
        errors = _squared_errors(adc, np.concatenate(apart), *data, signed)
        for b, part in enumerate(np.split(errors, np.cumsum([steps.size for steps in apart])[:-1])):
            at = _first_of_least(part)
            picked[s, b], lost[s, b] = apart[b][at], part[at]
    best = _first_of_least((np.square(worth)[:, None] * lost).sum(axis=0))
    return [float(step) for step in picked[:, best]]


def _squared_errors(adc: RangedADC, steps: Array, values: Array, counts: Array, signed: bool) -> Array:
    """The squared errors of conversion (steps,) of values (n,) that came `counts` times, in total."""
    reach, max_code = _reach(adc, signed), _levels(adc, signed) - 1
    # each value by itself where they stay in the cache, and the edges of so many codes would take longer to find
    if values.size <= min(32 * max_code, 16_384):
        return np.array([_squared_error(lsb, values, counts, reach if signed else 0.0, max_code) for lsb in steps])
    # sum n (v - level)^2 = sum n v^2 - 2 level sum n v + level^2 sum n, from sums up to the edges between the codes
    order = np.argsort(values, kind="stable")
    v, n = values[order], counts[order]
    number, first, second = (np.concatenate([[0.0], np.cumsum(n * v**power)]) for power in (0, 1, 2))
    errors = np.empty(steps.size)
    for i, lsb in enumerate(steps):
        levels = lsb * (np.arange(max_code + 1) - (reach if signed else 0.0))
        edges = np.concatenate([[0], np.searchsorted(v, levels[:-1] + lsb / 2), [v.size]])
        errors[i] = second[-1] + (levels * (levels * np.diff(number[edges]) - 2 * np.diff(first[edges]))).sum()
    # what rounding leaves of an exact conversion; 16 bits that are not exact lose 1e-11 of sum n v^2 or more
    errors[errors < 1e-12 * second[-1]] = 0.0
    return errors


def _squared_error(lsb: float, values: Array, counts: Array, reach: float, max_code: int) -> float:
    """The squared error of the conversion `convert` from lo = -LSB reach, in total."""
    exact = values / lsb + reach
    codes = np.rint(exact)
    np.clip(codes, 0.0, max_code, out=codes)
    exact -= codes
    return float(lsb * lsb * np.dot(counts * exact, exact))


# Percentile


def _percentile_steps(adc: RangedADC, slices: Sequence[tuple[Array, Array]], worth: Array, signed: bool) -> list[float]:
    assert adc.percentile is not None  # the spec holds one
    reached = [_percentile(np.abs(v) if signed else v, n, adc.percentile) for v, n in slices]
    steps = [_float32_above(size / _reach(adc, signed)) if size > 0 else 1.0 for size in reached]
    if adc.slice_ranges == "free":
        return steps
    # clipping is as asked or less: of the widened ranges those with the least rounding noise, sum (worth LSB)^2 / 12
    bases = sorted({_base_of(lsb) for lsb in steps})
    widened = [[_widened(lsb, base) for lsb in steps] for base in bases]
    return widened[_first_of_least(np.array([np.square(worth * np.array(w)).sum() for w in widened]))]


def _percentile(values: Array, counts: Array, percent: float) -> float:
    """The least value > 0 that no more than 100 - `percent` % of the values exceed; 0 where none is above zero."""
    order = np.argsort(values, kind="stable")
    v, below = values[order], np.cumsum(counts[order])
    enough = (below >= percent / 100 * below[-1] * (1 - 1e-12)) & (v > 0) if v.size else np.zeros(0, bool)
    return float(v[np.argmax(enough)]) if enough.any() else 0.0


def _float32_above(lsb: float) -> float:
    """The least float32 that is not below."""
    rounded = np.float32(lsb)  # compared as a float64: numpy would round `lsb` for a comparison with a float32
    return float(rounded if float(rounded) >= lsb else np.nextafter(rounded, np.float32(np.inf)))


def _widened(lsb: float, base: float) -> float:
    """The least base x 2^m that is not below `lsb`; exact."""
    exponent = math.frexp(lsb)[1] - 1
    return math.ldexp(base, exponent if math.ldexp(base, exponent) >= lsb else exponent + 1)


# Least error of the output


def _grids(adc: RangedADC, covering: Sequence[float], start: Sequence[float]) -> list[list[Array]]:
    """The LSBs of each slice in question, `start` among them: one grid, or one for each common base."""
    if adc.slice_ranges == "free":
        return [[_float32([*_steps(c, 64), at]) for c, at in zip(covering, start, strict=True)]]
    bases = dict.fromkeys([_base_of(start[0]), *_bases(12)])  # that of the start first, each but once
    return [[_octaves(base, c) for c in covering] for base in bases]


def _output_errors(adc: RangedADC, steps: Array, values: Array, weights: Array, signed: bool) -> Array:
    """What conversion of one slice's values (conversions, outputs) adds to each output: (steps, outputs)."""
    reach, max_code = _reach(adc, signed), _levels(adc, signed) - 1
    errors = np.empty((steps.size, values.shape[1]))
    for i, lsb in enumerate(steps):
        lost = convert(values, -lsb * reach if signed else 0.0, lsb, max_code)
        lost -= values
        errors[i] = np.einsum("k,ko->o", weights, lost)
    return errors


def _descend(errors: Sequence[Array], start: Sequence[int]) -> tuple[list[int], float]:
    """The choice of one row of each errors[s] (steps, outputs) whose sum is small, and its sum of squares."""
    at = list(start)
    total = sum(e[i] for e, i in zip(errors, at, strict=True))
    least = float(np.square(total).sum())
    for _ in range(20 * len(at)):  # in practice it ends after one or two changes a slice
        moves = []
        for s, error in enumerate(errors):
            with_others = np.square(error + (total - error[at[s]])).sum(axis=1)
            moves.append((float(with_others.min()), s, _first_of_least(with_others)))
        best, s, i = min(moves)
        if not best < least * (1 - NO_BETTER):
            break
        total, least, at[s] = total + (errors[s][i] - errors[s][at[s]]), best, i
    return at, least
