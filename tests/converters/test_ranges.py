"""ADC ranges: which levels there are, where a full range ends, and that a calibrated one loses the least."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from imcsim.converters.ranges import (
    Ranges,
    calibrated_ranges,
    convert,
    fixed_ranges,
    full_lsb,
    least_output_error_ranges,
)
from imcsim.errors import SpecError
from imcsim.rng import child
from imcsim.specs.adc import IdealADC, UniformADC

BITS = st.integers(1, 16)
APART = pytest.mark.parametrize("apart", ["free", "powers_of_two"])


def full(bits):
    return UniformADC(bits=bits, range="full")


def levels_of(ranges, s=0):
    return ranges.lo[s] + ranges.lsb[s] * np.arange(ranges.max_code + 1)


def calibrated(adc, *samples, worth=None, signed=False):
    """The calibrated ranges for the samples of each slice."""
    distinct = [np.unique(s, return_counts=True) for s in samples]
    worth = np.ones(len(samples)) if worth is None else np.asarray(worth)
    return calibrated_ranges(adc, [v for v, _ in distinct], [n for _, n in distinct], worth, signed)


def squared_error(ranges, s, samples):
    return float(np.square(samples - convert(samples, ranges.lo[s], ranges.lsb[s], ranges.max_code)).sum())


# Conversion


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


def test_conversion_leaves_what_it_is_given_alone():
    values = np.array([0.4, 1.6])
    convert(values, 0.0, 1.0, 3)
    assert values.tolist() == [0.4, 1.6]


# Fixed ranges


@given(BITS, st.floats(1, 1e6), st.booleans())
def test_a_full_range_has_the_smallest_power_of_two_that_covers_every_sum(bits, largest, signed):
    lsb = full_lsb(full(bits), largest, signed)
    # levels from zero, or as many either side of it (1 bit: half an LSB either side)
    reach = max((2**bits - 2) / 2, 0.5) if signed else 2**bits - 1
    assert lsb == 2.0 ** max(0, math.ceil(math.log2(largest / reach)))
    assert lsb * reach >= largest
    assert lsb == 1 or lsb / 2 * reach < largest


@given(BITS, st.lists(st.floats(1, 1e5), min_size=1, max_size=5))
def test_every_slice_has_a_full_range_for_its_own_largest_sum(bits, largest):
    ranges = fixed_ranges(full(bits), largest, signed=False)
    assert ranges.lsb == tuple(full_lsb(full(bits), size, signed=False) for size in largest)
    for s, size in enumerate(largest):
        levels = levels_of(ranges, s)
        assert levels.size == 2**bits
        assert levels[0] == 0
        assert levels[-1] >= size


@given(st.integers(2, 16), st.floats(1, 1e5))
def test_a_signed_full_range_is_symmetric_with_a_level_less_and_zero_a_level(bits, largest):
    levels = levels_of(fixed_ranges(full(bits), [largest], signed=True))
    assert levels.size == 2**bits - 1
    assert 0 in levels
    np.testing.assert_array_equal(levels, -levels[::-1])
    assert levels[-1] >= largest


def test_one_bit_has_two_levels_signed_or_not():
    np.testing.assert_array_equal(levels_of(fixed_ranges(full(1), [3], signed=False)), [0, 4])
    np.testing.assert_array_equal(levels_of(fixed_ranges(full(1), [3], signed=True)), [-4, 4])


@pytest.mark.parametrize(("bits", "lsb"), [(8, 1), (7, 2), (6, 4), (4, 16), (1, 128)])
def test_128_rows_bit_by_bit_take_eight_bits_for_an_lsb_of_one(bits, lsb):
    assert full_lsb(full(bits), 128, signed=False) == lsb


def test_full_ranges_are_powers_of_two_apart_whether_they_must_or_not():
    free, apart = (UniformADC(bits=6, range="full", slice_ranges=kind) for kind in ("free", "powers_of_two"))
    assert fixed_ranges(free, [100, 300, 900], signed=False) == fixed_ranges(apart, [100, 300, 900], signed=False)


@given(st.integers(1, 12), st.floats(-100, 99), st.floats(0.5, 100))
def test_a_given_range_runs_from_lo_to_hi_inclusive_whatever_the_slice(bits, lo, width):
    hi = lo + width
    ranges = fixed_ranges(UniformADC(bits=bits, range="given", lo=lo, hi=hi), [1.0, 9.0], signed=True)
    for s in range(2):
        levels = levels_of(ranges, s)
        assert levels.size == (2**bits - 1 if lo == -hi and bits > 1 else 2**bits)
        assert levels[0] == lo
        assert levels[-1] == pytest.approx(hi, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("bits", "levels"), [(1, [-3, 3]), (2, [-3, 0, 3]), (3, [-3, -2, -1, 0, 1, 2, 3])])
def test_a_given_range_about_zero_has_zero_as_a_level_but_for_one_bit(bits, levels):
    ranges = fixed_ranges(UniformADC(bits=bits, range="given", lo=-3, hi=3), [1.0], signed=False)
    np.testing.assert_allclose(levels_of(ranges), levels)


def test_an_ideal_converter_has_no_codes_and_a_calibrated_one_no_range_yet():
    assert fixed_ranges(IdealADC(), [9.0, 27.0], signed=False) == Ranges((0.0, 0.0), (1.0, 1.0), 0)
    for adc in (UniformADC(), UniformADC(range="output"), UniformADC(range="percentile", percentile=99)):
        assert fixed_ranges(adc, [9.0, 27.0], signed=False) is None


def test_ranges_that_do_not_follow_from_values_are_refused():
    for adc in (full(4), UniformADC(range="output"), UniformADC(range="given", lo=0, hi=1)):
        with pytest.raises(SpecError, match=adc.range):
            calibrated(adc, np.arange(4.0))


# Least squared error


def distributions(signed):
    rng = child(0, "columns")
    continuous = rng.normal(0, 20, 3000) if signed else rng.gamma(4, 5, 3000)
    integers = rng.binomial(128, 0.2, 3000).astype(float) - (25 if signed else 0)
    few = continuous[:300]  # fewer values than codes of more than eight bits: summed one by one
    return {"continuous": continuous, "integers": integers, "few": few}


def of_lsb(adc, lsb, signed):
    levels = 2**adc.bits - (1 if signed and adc.bits > 1 else 0)
    return Ranges((-lsb * (levels - 1) / 2 if signed else 0.0,), (lsb,), levels - 1)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("law", ["continuous", "integers", "few"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8, 10])
def test_no_range_of_a_fine_scan_loses_less_than_the_calibrated_one(bits, law, signed):
    adc, samples = UniformADC(bits=bits), distributions(signed)[law]
    ranges = calibrated(adc, samples, signed=signed)
    reach = max((2**bits - 2) / 2, 0.5) if signed else 2**bits - 1
    covering = np.abs(samples).max() / reach
    scan = min(squared_error(of_lsb(adc, x, signed), 0, samples) for x in covering * np.linspace(0.02, 1, 2000))
    # the squared error of one rounding spreads by sqrt(4/5) of its mean: a finer scan finds steps that are merely lucky
    # (of integers few steps suit the lattice, and 200 of them may miss the best: by 0.2 dB, at most)
    luck = 10**0.02 if law == "integers" else 1 + 5 * np.sqrt(0.8 / samples.size)
    assert squared_error(ranges, 0, samples) <= luck * scan
    assert squared_error(ranges, 0, samples) <= squared_error(of_lsb(adc, covering, signed), 0, samples) * (1 + 1e-4)


@pytest.mark.parametrize(("bits", "step"), [(2, 1.224), (3, 0.6508), (4, 0.3534)])
def test_the_calibrated_range_for_normal_sums_is_the_published_optimum(bits, step):
    # Max, "Quantizing for minimum distortion", 1960, table II: 3, 7 and 15 equally spaced levels
    gauss = 10 * ndtri((np.arange(20_000) + 0.5) / 20_000)
    ranges = calibrated(UniformADC(bits=bits), gauss, signed=True)
    assert ranges.lsb[0] == pytest.approx(10 * step, rel=0.02)


# optimal clipping at k sigma, as published for the thresholds of SRAM columns (CSNR-optimal ADC)
@pytest.mark.parametrize(("bits", "k"), [(3, 2.15), (4, 2.55), (5, 2.94), (6, 3.29), (7, 3.61), (8, 3.92)])
def test_the_calibrated_range_clips_normal_sums_where_the_published_optimum_does(bits, k):
    grid = np.linspace(-8, 8, 40_001)
    ranges = calibrated_ranges(UniformADC(bits=bits), [10 * grid], [np.exp(-(grid**2) / 2)], np.ones(1), signed=True)
    outermost = -ranges.lo[0] / 10
    # codes end between the outermost level and half an LSB beyond it; 2 %: the ratio of two steps of the search
    assert outermost * 0.98 <= k <= (outermost + ranges.lsb[0] / 20) * 1.02


@given(st.integers(2, 8), st.sets(st.integers(0, 255), min_size=1), st.booleans(), st.sampled_from([None, 2.0]))
def test_where_an_lsb_of_one_covers_integer_sums_the_calibrated_range_is_exact(bits, sums, signed, apart):
    reach = (2**bits - 2) // 2 if signed else 2**bits - 1
    values = np.array(sorted({s % (reach + 1) for s in sums}), float)
    if signed:
        values = np.concatenate([-values, values])
    adc = UniformADC(bits=bits, slice_ranges="powers_of_two" if apart else "free")
    ranges = calibrated(adc, values, values / 2, values, signed=signed)
    for s, slice_ in enumerate((values, values / 2, values)):
        assert squared_error(ranges, s, slice_) == 0


@APART
def test_zero_is_a_level_of_every_calibrated_range_of_two_bits_or_more(apart):
    for signed, bits in itertools.product((False, True), (2, 5, 8)):
        samples = distributions(signed)["continuous"]
        for kind in ({}, {"range": "percentile", "percentile": 99}):
            ranges = calibrated(UniformADC(bits=bits, slice_ranges=apart, **kind), samples, 3 * samples, signed=signed)
            assert ranges.max_code == 2**bits - (2 if signed else 1)
            for s in range(2):
                assert np.abs(levels_of(ranges, s)).min() < 1e-6 * ranges.lsb[s]


@APART
def test_of_ranges_that_convert_exactly_the_widest_wins_whatever_their_sums_round_to(apart):
    # many entries, and shares of them that are no integers: eight bits have an LSB of 1, 1/2, ... to spare
    adc, values = UniformADC(bits=8, slice_ranges=apart), np.tile(np.arange(8.0), 100)
    for number in range(10):
        shares = child(number, "shares").random(800)
        ranges = calibrated_ranges(adc, [values, 3 * values], [shares, shares], np.ones(2), signed=False)
        assert ranges.lsb == (1.0, 1.0)


def test_each_slice_has_a_range_of_its_own_and_how_often_a_value_came_counts():
    narrow, wide = np.arange(4.0), np.array([0.0, 1.0, 2.0, 3.0, 300.0])
    rare, often = np.array([1e6, 1e6, 1e6, 1e6, 1]), np.array([1, 1, 1, 1, 1e6])
    values, counts = [narrow, wide, wide], [np.ones(4), rare, often]
    ranges = calibrated_ranges(UniformADC(bits=2), values, counts, np.ones(3), signed=False)
    assert ranges.lsb[0] == 1
    # what comes once in four million is sacrificed; what comes nearly always is a level
    assert ranges.lsb[1] < 10
    assert np.abs(levels_of(ranges, 2) - 300).min() < 0.01


@APART
@pytest.mark.parametrize("kind", [{}, {"range": "percentile", "percentile": 97}], ids=["mse", "percentile"])
def test_the_calibrated_lsb_is_one_that_the_kernels_hold_exactly(kind, apart):
    samples = distributions(signed=False)["continuous"]
    for lsb in calibrated(UniformADC(bits=5, slice_ranges=apart, **kind), samples, samples**2).lsb:
        assert lsb == float(np.float32(lsb))


@APART
@pytest.mark.parametrize("kind", [{}, {"range": "percentile", "percentile": 97}], ids=["mse", "percentile"])
def test_columns_that_were_always_zero_get_a_range_nevertheless(kind, apart):
    adc = UniformADC(bits=4, slice_ranges=apart, **kind)
    for samples in (np.zeros(1), np.zeros(0)):
        assert calibrated(adc, samples).lsb == (1.0,)
        beside = calibrated(adc, samples, np.arange(50.0))
        assert beside.lsb[0] > 0
        assert beside.lsb[1] == pytest.approx(calibrated(adc, np.arange(50.0)).lsb[0])


@APART
@pytest.mark.parametrize("kind", [{}, {"range": "percentile", "percentile": 97}], ids=["mse", "percentile"])
def test_values_twice_as_large_have_an_lsb_twice_as_large(kind, apart):
    adc, samples = UniformADC(bits=5, slice_ranges=apart, **kind), distributions(signed=True)["continuous"]
    once, twice = (calibrated(adc, scale * samples, scale * samples**3, signed=True) for scale in (1, 2))
    assert twice.lsb == tuple(2 * lsb for lsb in once.lsb)


@APART
@pytest.mark.parametrize("kind", [{}, {"range": "percentile", "percentile": 97}], ids=["mse", "percentile"])
def test_neither_the_order_of_values_nor_that_of_slices_matters(kind, apart):
    adc = UniformADC(bits=4, slice_ranges=apart, **kind)
    rng = child(0, "order")
    values = [np.unique(rng.gamma(2.0, size=500) * scale) for scale in (1, 5, 3)]
    counts, worth = [rng.integers(1, 9, v.size) for v in values], np.array([1.0, 4.0, 2.0])
    ranges = calibrated_ranges(adc, values, counts, worth, signed=False)
    orders = [rng.permutation(v.size) for v in values]
    shuffled = [[a[o] for a, o in zip(arrays, orders, strict=True)] for arrays in (values, counts)]
    assert calibrated_ranges(adc, *shuffled, worth, signed=False) == ranges
    turned = calibrated_ranges(adc, values[::-1], counts[::-1], worth[::-1], signed=False)
    assert turned.lsb == ranges.lsb[::-1]


# Powers of two apart


def assert_powers_of_two_apart(ranges):
    assert len({math.frexp(lsb)[0] for lsb in ranges.lsb}) == 1


@pytest.mark.parametrize("bits", [1, 3, 5, 8])
def test_no_ranges_of_a_scan_over_bases_and_shifts_lose_less_in_the_output(bits):
    adc, rng = UniformADC(bits=bits, slice_ranges="powers_of_two"), child(0, "slices")
    samples, worth = [np.abs(rng.normal(m, s, 2000)) for m, s in ((3, 2), (17, 6), (10, 20))], np.array([1.0, 2.0, 8.0])

    def lost(ranges):
        return sum(w**2 * squared_error(ranges, s, v) for s, (w, v) in enumerate(zip(worth, samples, strict=True)))

    ranges = calibrated(adc, *samples, worth=worth)
    assert_powers_of_two_apart(ranges)
    scan = np.inf
    for base in np.linspace(1, 2, 200, endpoint=False):
        each = [[squared_error(of_lsb(adc, base * 2.0**m, False), 0, v) for m in range(-9, 7)] for v in samples]
        scan = min(scan, float(worth**2 @ np.min(each, axis=1)))
    luck = 1 + 5 * np.sqrt(0.8 / 2000)  # as above
    assert lost(ranges) <= luck * scan


def test_the_slice_worth_most_gets_the_base_that_suits_it():
    adc = UniformADC(bits=3, slice_ranges="powers_of_two")
    suits_1, suits_3 = np.arange(8.0), 1.5 * np.arange(8.0)
    for worth, lsb in (([100.0, 1.0], 1.0), ([1.0, 100.0], 1.5)):
        ranges = calibrated(adc, suits_1, suits_3, worth=worth)
        assert_powers_of_two_apart(ranges)
        assert ranges.lsb[0 if lsb == 1 else 1] == pytest.approx(lsb, rel=0.01)


# Percentiles


@APART
@given(
    st.integers(1, 8),
    st.floats(50, 100),
    st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(1, 50)), min_size=1, max_size=40),
    st.booleans(),
)
def test_a_percentile_range_leaves_out_no_more_than_it_says(apart, bits, percentile, drawn, signed):
    adc = UniformADC(bits=bits, range="percentile", percentile=percentile, slice_ranges=apart)
    values = np.round(np.array([v for v, _ in drawn]) * (1 if signed else np.sign([v for v, _ in drawn])), 3)
    counts = np.array([n for _, n in drawn])
    ranges = calibrated_ranges(adc, [values, values / 3], [counts, counts], np.ones(2), signed)
    for s, v in enumerate((values, values / 3)):
        beyond = np.abs(v) > levels_of(ranges, s)[-1]
        assert counts[beyond].sum() <= (1 - percentile / 100) * counts.sum() * (1 + 1e-9)
    if apart == "powers_of_two":
        assert_powers_of_two_apart(ranges)


@pytest.mark.parametrize("percentile", [50, 90, 99, 99.87, 100])
@pytest.mark.parametrize("signed", [False, True])
def test_a_percentile_range_ends_at_the_value_that_has_that_share_below_it(signed, percentile):
    samples = distributions(signed)["continuous"]
    expected = np.percentile(np.abs(samples), percentile, method="inverted_cdf")
    ranges = calibrated(UniformADC(bits=6, range="percentile", percentile=percentile), samples, signed=signed)
    assert levels_of(ranges)[-1] == pytest.approx(expected, rel=1e-6)  # float32


def test_where_most_columns_are_zero_a_percentile_range_covers_the_least_of_the_others():
    samples = np.array([0.0] * 90 + [3.0] * 5 + [8.0] * 5)
    for percentile, end in ((50, 3), (95, 3), (96, 8)):
        ranges = calibrated(UniformADC(bits=4, range="percentile", percentile=percentile), samples)
        assert levels_of(ranges)[-1] == pytest.approx(end, rel=1e-6)


def test_percentile_ranges_are_widened_by_less_than_two_to_the_base_of_least_rounding_noise():
    rng, worth = child(0, "widened"), np.array([1.0, 2.0, 4.0])
    samples = [rng.gamma(2.0, scale, 500) for scale in (1.0, 1.7, 3.1)]
    free, apart = (
        calibrated(UniformADC(bits=5, range="percentile", percentile=99, slice_ranges=kind), *samples, worth=worth)
        for kind in ("free", "powers_of_two")
    )
    assert_powers_of_two_apart(apart)
    assert all(a <= b < 2 * a for a, b in zip(free.lsb, apart.lsb, strict=True))
    noise = np.inf
    for base in np.geomspace(1, 2, 2000):
        widened = base * 2 ** np.ceil(np.log2(np.array(free.lsb) / base))
        noise = min(noise, np.square(worth * widened).sum())
    assert np.square(worth * apart.lsb).sum() <= noise


# Least error of the output


def output_error(ranges, columns, weights, worth):
    """Mean squared error that conversion makes in the output, the long way."""
    output = 0.0
    for k, p, s in itertools.product(*(range(n) for n in columns.shape[1:4])):
        values = columns[:, k, p, s]
        lost = convert(values, ranges.lo[s], ranges.lsb[s], ranges.max_code) - values
        output = output + weights[k] * worth[p, s] * lost
    return float(np.square(output).mean())


def sparse_columns(number=0):
    """Columns (20, 6, 2, 3, 8) of skewed sums: few bits round most of them down, so that errors are biased."""
    return child(number, "sparse").gamma(0.7, 4.0, (20, 6, 2, 3, 8)) * np.array([1.0, 3.0, 2.0])[:, None]


def biased_columns(shape):
    """Columns of which nine in ten are 0.3, others integers: an LSB of 1 suits each, but rounds every 0.3 down."""
    rng = child(0, "biased")
    return np.where(rng.random(shape) < 0.9, 0.3, rng.integers(0, 8, shape))


def bit_serial(slices):
    powers = 2.0 ** np.arange(slices)
    return 2.0 ** np.arange(6), np.stack([powers, -powers])


def least_squares(adc, columns, worth, signed):
    slices = [columns[:, :, :, s].ravel() for s in range(columns.shape[3])]
    return calibrated(adc.replace("range", "mse"), *slices, worth=np.abs(worth).max(axis=0), signed=signed)


@APART
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 7])
def test_ranges_for_the_output_lose_no_more_there_than_those_of_least_squared_error(bits, signed, apart):
    adc, (weights, worth) = UniformADC(bits=bits, range="output", slice_ranges=apart), bit_serial(3)
    for number in range(5):
        columns = sparse_columns(number) * (child(0, "signs").choice([-1, 1], (20, 6, 2, 3, 8)) if signed else 1)
        ranges = least_output_error_ranges(adc, columns, weights, worth, signed)
        plain = least_squares(adc, columns, worth, signed)
        lost, lost_plainly = (output_error(r, columns, weights, worth) for r in (ranges, plain))
        assert lost <= lost_plainly * (1 + 1e-9)
        assert ranges.max_code == plain.max_code
        if apart == "powers_of_two":
            assert_powers_of_two_apart(ranges)


@APART
def test_where_conversion_is_biased_ranges_for_the_output_lose_far_less(apart):
    adc, weights, worth = UniformADC(bits=3, range="output", slice_ranges=apart), np.ones(100), np.ones((1, 2))
    columns = biased_columns((30, 100, 1, 2, 8))
    ranges = least_output_error_ranges(adc, columns, weights, worth, signed=False)
    plain = least_squares(adc, columns, worth, signed=False)
    bias = 0.27 * 100 * 2
    assert output_error(plain, columns, weights, worth) == pytest.approx(bias**2, rel=0.1)
    assert output_error(ranges, columns, weights, worth) < 0.25 * bias**2


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_no_pair_of_lsbs_of_a_scan_loses_much_less_in_the_output(bits):
    adc, weights, worth = UniformADC(bits=bits, range="output"), np.ones(40), np.array([[1.0, 2.0]])
    columns = biased_columns((30, 40, 1, 2, 8))
    ranges = least_output_error_ranges(adc, columns, weights, worth, signed=False)
    errors = []
    for s in range(2):
        values, top = columns[:, :, 0, s], 2**bits - 1
        scan = values.max() / top * np.geomspace(0.02, 1, 150)
        errors.append([worth[0, s] * (convert(values, 0.0, lsb, top) - values).sum(axis=1).ravel() for lsb in scan])
    low, high = np.array(errors[0]), np.array(errors[1])
    least = min(np.square(one + high).mean(axis=1).min() for one in low)
    # twelve steps an octave, and not all pairs: within a tenth of the best pair of a finer scan
    assert output_error(ranges, columns, weights, worth) <= 1.1 * least


@APART
def test_with_bits_enough_the_output_is_exact(apart):
    adc, (weights, worth) = UniformADC(bits=6, range="output", slice_ranges=apart), bit_serial(3)
    columns = child(0, "sums").integers(0, 60, (20, 6, 2, 3, 8)).astype(float)
    ranges = least_output_error_ranges(adc, columns, weights, worth, signed=False)
    assert output_error(ranges, columns, weights, worth) == 0


@APART
def test_ranges_for_the_output_do_not_depend_on_any_order(apart):
    adc, (weights, worth) = UniformADC(bits=3, range="output", slice_ranges=apart), bit_serial(3)
    columns = sparse_columns()
    ranges = least_output_error_ranges(adc, columns, weights, worth, signed=False)
    rng = child(0, "order")
    samples, conversions, slices, cols = (rng.permutation(columns.shape[axis]) for axis in (0, 1, 3, 4))
    moved = columns[samples][:, conversions][:, :, ::-1][..., cols]
    assert least_output_error_ranges(adc, moved, weights[conversions], worth[::-1], signed=False) == ranges
    turned = least_output_error_ranges(adc, columns[:, :, :, slices], weights, worth[:, slices], signed=False)
    assert turned.lsb == tuple(ranges.lsb[s] for s in slices)


@APART
def test_columns_twice_as_large_have_an_lsb_twice_as_large_for_the_output_too(apart):
    adc, (weights, worth) = UniformADC(bits=3, range="output", slice_ranges=apart), bit_serial(3)
    once, twice = (
        least_output_error_ranges(adc, scale * sparse_columns(), weights, worth, signed=False) for scale in (1, 2)
    )
    assert twice.lsb == tuple(2 * lsb for lsb in once.lsb)


@APART
def test_slices_that_were_always_zero_have_a_range_for_the_output_too(apart):
    adc, (weights, worth) = UniformADC(bits=3, range="output", slice_ranges=apart), bit_serial(3)
    columns = sparse_columns()
    columns[:, :, :, 1] = 0
    ranges = least_output_error_ranges(adc, columns, weights, worth, signed=False)
    assert ranges.lsb[1] > 0
    nothing = least_output_error_ranges(adc, np.zeros_like(columns), weights, worth, signed=False)
    assert nothing.lsb == (1.0, 1.0, 1.0)
