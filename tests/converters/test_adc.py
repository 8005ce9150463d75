"""ADC ranges: which levels there are, where a full range ends, and that a calibrated one loses the least."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from imcsim.converters.adc import (
    convert,
    converters,
    fixed_ranges,
    full_lsb,
    least_squares_ranges,
    manufactured_errors,
    no_errors,
)
from imcsim.rng import child
from imcsim.specs.converters import IdealADC, UniformADC

BITS = st.integers(1, 16)


def full(bits):
    return UniformADC(bits=bits, range="full")


def levels_of(ranges, s=0):
    return ranges.lo[s] + ranges.lsb[s] * np.arange(ranges.max_code + 1)


@given(BITS, st.floats(1, 1e6), st.booleans())
def test_a_full_range_has_the_smallest_power_of_two_that_covers_every_sum(bits, largest, signed):
    lsb = full_lsb(full(bits), largest, signed)
    # levels from zero, or as many either side of it (1 bit: half an LSB either side)
    reach = max((2**bits - 2) / 2, 0.5) if signed else 2**bits - 1
    assert lsb == 2.0 ** max(0, math.ceil(math.log2(largest / reach)))
    assert lsb * reach >= largest
    assert lsb == 1 or lsb / 2 * reach < largest


@given(BITS, st.integers(1, 5), st.floats(1, 1e5))
def test_an_unsigned_full_range_has_all_its_levels_from_zero(bits, slices, largest):
    ranges = fixed_ranges(full(bits), slices, largest, signed=False)
    assert len(ranges.lo) == len(ranges.lsb) == slices
    levels = levels_of(ranges, slices - 1)
    assert levels.size == 2**bits
    assert levels[0] == 0
    assert levels[-1] >= largest


@given(st.integers(2, 16), st.floats(1, 1e5))
def test_a_signed_full_range_is_symmetric_with_a_level_less_and_zero_a_level(bits, largest):
    levels = levels_of(fixed_ranges(full(bits), 1, largest, signed=True))
    assert levels.size == 2**bits - 1
    assert 0 in levels
    np.testing.assert_array_equal(levels, -levels[::-1])
    assert levels[-1] >= largest


def test_one_bit_has_two_levels_signed_or_not():
    np.testing.assert_array_equal(levels_of(fixed_ranges(full(1), 1, 3, signed=False)), [0, 4])
    np.testing.assert_array_equal(levels_of(fixed_ranges(full(1), 1, 3, signed=True)), [-4, 4])


@pytest.mark.parametrize(("bits", "lsb"), [(8, 1), (7, 2), (6, 4), (4, 16), (1, 128)])
def test_128_rows_bit_by_bit_take_eight_bits_for_an_lsb_of_one(bits, lsb):
    assert full_lsb(full(bits), 128, signed=False) == lsb


@given(st.integers(1, 12), st.floats(-100, 99), st.floats(0.5, 100))
def test_a_given_range_runs_from_lo_to_hi_inclusive(bits, lo, width):
    hi = lo + width
    ranges = fixed_ranges(UniformADC(bits=bits, range="given", lo=lo, hi=hi), 2, 1.0, signed=True)
    levels = levels_of(ranges, 1)
    assert levels.size == (2**bits - 1 if lo == -hi and bits > 1 else 2**bits)
    assert levels[0] == lo
    assert levels[-1] == pytest.approx(hi, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("bits", "levels"), [(1, [-3, 3]), (2, [-3, 0, 3]), (3, [-3, -2, -1, 0, 1, 2, 3])])
def test_a_given_range_about_zero_has_zero_as_a_level_but_for_one_bit(bits, levels):
    ranges = fixed_ranges(UniformADC(bits=bits, range="given", lo=-3, hi=3), 1, 1.0, signed=False)
    np.testing.assert_allclose(levels_of(ranges), levels)


def test_an_ideal_converter_has_no_codes_and_a_calibrated_one_no_range_yet():
    assert fixed_ranges(IdealADC(), 2, 9.0, signed=False).max_code == 0
    assert fixed_ranges(UniformADC(range="mse"), 2, 9.0, signed=False) is None


@given(st.integers(1, 12), st.floats(-10, 10), st.floats(0.01, 10), st.lists(st.floats(-1e4, 1e4), min_size=1))
def test_conversion_gives_the_nearest_level(bits, lo, lsb, values):
    levels = lo + lsb * np.arange(2**bits)
    got = convert(np.array(values), lo, lsb, 2**bits - 1)
    nearest = np.abs(np.array(values)[:, None] - levels).min(axis=1)
    np.testing.assert_allclose(np.abs(got - values), nearest, rtol=1e-9, atol=1e-9 * lsb)
    assert np.abs(got[:, None] - levels).min(axis=1).max() < 1e-9 * lsb * 2**bits


@pytest.mark.parametrize("bits", [6, 8, 10, 12])
def test_a_full_scale_sine_has_six_decibels_a_bit_and_1_76(bits):
    sine = np.sin(2 * np.pi * np.arange(100_000) / 100_000)
    lsb = 2.0 / 2**bits
    error = convert(sine, -1 + lsb / 2, lsb, 2**bits - 1) - sine
    sqnr = 10 * math.log10(np.mean(sine**2) / np.mean(error**2))
    # the formula takes errors for uniform; those of a sine, which dwells at its peaks, are so within half a decibel
    assert sqnr == pytest.approx(6.02 * bits + 1.76, abs=0.5)


# Calibration


def squared_error(adc, lsb, values, counts, signed):
    levels = 2**adc.bits - (1 if signed and adc.bits > 1 else 0)
    lo = -lsb * (levels - 1) / 2 if signed else 0.0
    return float(counts @ np.square(values - convert(values, lo, lsb, levels - 1)))


def distributions(signed):
    rng = child(0, "columns")
    continuous = rng.normal(0, 20, 3000) if signed else rng.gamma(4, 5, 3000)
    integers = rng.binomial(128, 0.2, 3000).astype(float) - (25 if signed else 0)
    return {"continuous": continuous, "integers": integers}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("law", ["continuous", "integers"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
def test_no_range_of_a_fine_scan_loses_less_than_the_calibrated_one(bits, law, signed):
    adc = UniformADC(bits=bits)
    values, counts = np.unique(distributions(signed)[law], return_counts=True)
    ranges = least_squares_ranges(adc, [values], [counts], signed)
    reach = max((2**bits - 2) / 2, 0.5) if signed else 2**bits - 1
    covering = np.abs(values).max() / reach
    scan = min(squared_error(adc, lsb, values, counts, signed) for lsb in covering * np.linspace(0.02, 1, 2000))
    # the squared error of one rounding spreads by sqrt(4/5) of its mean: a finer scan finds steps that are merely lucky
    # (of integers few steps suit the lattice, and 200 of them may miss the best: by 0.2 dB, at most)
    luck = 1 + 5 * np.sqrt(0.8 / counts.sum()) if law == "continuous" else 10**0.02
    assert squared_error(adc, ranges.lsb[0], values, counts, signed) <= luck * scan
    assert squared_error(adc, ranges.lsb[0], values, counts, signed) <= squared_error(
        adc, covering, values, counts, signed
    ) * (1 + 1e-6)


@pytest.mark.parametrize(("bits", "step"), [(2, 1.224), (3, 0.6508), (4, 0.3534)])
def test_the_calibrated_range_for_normal_sums_is_the_published_optimum(bits, step):
    # Max, "Quantizing for minimum distortion", 1960, table II: 3, 7 and 15 equally spaced levels
    gauss = 10 * ndtri((np.arange(20_000) + 0.5) / 20_000)
    ranges = least_squares_ranges(UniformADC(bits=bits), [gauss], [np.ones(gauss.size)], signed=True)
    assert ranges.lsb[0] == pytest.approx(10 * step, rel=0.02)


@given(st.integers(2, 8), st.sets(st.integers(0, 255), min_size=1), st.booleans())
def test_where_an_lsb_of_one_covers_integer_sums_the_calibrated_range_is_exact(bits, sums, signed):
    reach = (2**bits - 2) // 2 if signed else 2**bits - 1
    values = np.array(sorted({s % (reach + 1) for s in sums}), float)
    if signed:
        values = np.concatenate([-values, values])
    ranges = least_squares_ranges(UniformADC(bits=bits), [values], [np.ones(values.size)], signed)
    np.testing.assert_array_equal(convert(values, ranges.lo[0], ranges.lsb[0], ranges.max_code), values)


def test_zero_is_a_level_of_every_calibrated_range_of_two_bits_or_more():
    for signed in (False, True):
        for bits in (2, 5, 8):
            values = distributions(signed)["continuous"]
            ranges = least_squares_ranges(UniformADC(bits=bits), [values], [np.ones(values.size)], signed)
            assert np.abs(levels_of(ranges)).min() < 1e-6 * ranges.lsb[0]
            assert ranges.max_code == 2**bits - (2 if signed else 1)


def test_each_slice_has_a_range_of_its_own_and_how_often_a_value_came_counts():
    narrow, wide = np.arange(4.0), np.array([0.0, 1.0, 2.0, 3.0, 300.0])
    rare, often = np.array([1e6, 1e6, 1e6, 1e6, 1]), np.array([1, 1, 1, 1, 1e6])
    ranges = least_squares_ranges(UniformADC(bits=2), [narrow, wide, wide], [np.ones(4), rare, often], signed=False)
    assert ranges.lsb[0] == 1
    # what comes once in four million is sacrificed; what comes nearly always is a level
    assert ranges.lsb[1] < 10
    assert np.abs(levels_of(ranges, 2) - 300).min() < 0.01


def test_the_calibrated_lsb_is_one_that_the_kernels_hold_exactly():
    values = distributions(signed=False)["continuous"]
    lsb = least_squares_ranges(UniformADC(bits=5), [values], [np.ones(values.size)], signed=False).lsb[0]
    assert lsb == float(np.float32(lsb))


def test_columns_that_were_always_zero_get_a_range_nevertheless():
    for values in (np.zeros(1), np.zeros(0)):
        assert least_squares_ranges(UniformADC(bits=4), [values], [np.ones(values.size)], signed=False).lsb[0] > 0


# Errors of a die's converters


def test_gain_and_offset_spread_as_given_and_stay_frozen(assert_moments):
    adc = UniformADC(gain_sigma_rel=0.02, offset_sigma_lsb=1.5, noise_lsb=0.3)
    normals = child(0, "die").normal(size=(2, 3, 20_000)).astype(np.float32)
    made = manufactured_errors(adc, *normals)
    gain, offset = made.gain, made.offset_lsb
    assert_moments(gain, 1, 0.02)
    assert_moments(offset, 0, 1.5)
    assert made.noise_lsb == 0.3
    assert abs(np.mean((gain - 1) / 0.02 * offset / 1.5)) < 5 / math.sqrt(gain.size)
    np.testing.assert_array_equal(manufactured_errors(adc, *normals).gain, gain)


def test_a_flawless_converter_has_gain_one_and_no_offset():
    normals = child(0, "die").normal(size=(2, 3, 8)).astype(np.float32)
    for adc in (IdealADC(), UniformADC()):
        made = manufactured_errors(adc, *normals)
        assert (made.gain == 1).all()
        assert (made.offset_lsb == 0).all()
        assert made.noise_lsb == 0


def test_every_column_gets_the_range_of_its_slice():
    adc = UniformADC(bits=4)
    values = [np.arange(16.0) * scale for scale in (1, 2)]
    ranges = least_squares_ranges(adc, values, [np.ones(16)] * 2, signed=False)
    assert ranges.lsb == (1, 2)
    # columns in the order polarity, slice, output
    made = converters(ranges, 3, no_errors(1, 12))
    assert made.scale.tolist() == [[1, 1, 1, 1 / 2, 1 / 2, 1 / 2] * 2]
    assert made.shift.tolist() == [[0] * 12]
    assert made.max_code == 15
