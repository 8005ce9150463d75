"""Diagnosis of ADC ranges: shares, codes and bits as counted by hand, and advice that fits what is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from imcsim.converters.diagnosis import diagnose
from imcsim.converters.ranges import Ranges, calibrated_ranges, fixed_ranges
from imcsim.rng import child
from imcsim.specs.adc import IdealADC, UniformADC


def of(ranges, *samples):
    """The diagnosis of the samples of each slice."""
    distinct = [np.unique(s, return_counts=True) for s in samples]
    return diagnose(ranges, [v for v, _ in distinct], [n for _, n in distinct])


def calibrated(bits, *samples, signed=False):
    distinct = [np.unique(s, return_counts=True) for s in samples]
    worth = np.ones(len(samples))
    return calibrated_ranges(UniformADC(bits=bits), [v for v, _ in distinct], [n for _, n in distinct], worth, signed)


def from_zero(bits, *lsb):
    return Ranges((0.0,) * len(lsb), lsb, 2**bits - 1)


def about_zero(bits, lsb):
    return Ranges((-lsb * (2 ** (bits - 1) - 1),), (lsb,), 2**bits - 2)


def gauss(size=20_000):
    return norm.ppf((np.arange(size) + 0.5) / size)


# What is counted


def test_a_slice_is_described_as_counted_by_hand():
    # two bits, levels 0, 2, 4, 6: -3 and 9 clip, -1 (half an LSB beyond) and 6.9 do not
    values, counts = np.array([-3.0, -1.0, 0.0, 4.0, 6.9, 9.0]), np.array([1, 1, 4, 2, 1, 1])
    (entry,) = diagnose(from_zero(2, 2.0), [values], [counts]).slices
    assert (entry.lsb, entry.lo, entry.hi) == (2, 0, 6)
    assert (entry.clipped_low, entry.clipped_high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert (entry.codes, entry.codes_used, entry.lowest_code, entry.highest_code) == (4, 3, 0, 3)
    assert entry.clipping_error == pytest.approx((9 + 9) / 10 / (4 / 12))
    assert entry.entropy_bits == pytest.approx(-(0.6 * np.log2(0.6) + 2 * 0.2 * np.log2(0.2)))
    lost = (9 + 1 + 0.81 + 9) / 10
    sndr_db = 10 * math.log10(np.var(np.repeat(values, counts)) / lost)
    assert entry.effective_bits == pytest.approx((sndr_db - 1.76) / 6.02)


def test_shares_and_bits_do_not_depend_on_how_the_values_are_counted():
    samples = child(0, "columns").binomial(40, 0.3, 400).astype(float)
    ranges = from_zero(3, 2.5)
    counted = of(ranges, samples).slices[0]
    (one_by_one,) = diagnose(ranges, [samples], [np.ones(samples.size)]).slices
    for name in ("clipped_high", "clipping_error", "codes_used", "effective_bits", "entropy_bits"):
        assert getattr(one_by_one, name) == pytest.approx(getattr(counted, name))


@pytest.mark.parametrize("bits", [6, 8, 10])
def test_a_full_scale_sine_has_as_many_effective_bits_as_the_converter(bits):
    sine = np.sin(2 * np.pi * np.arange(100_000) / 100_000)
    lsb = 2.0 / 2**bits
    (entry,) = of(Ranges((-1 + lsb / 2,), (lsb,), 2**bits - 1), sine).slices
    assert entry.effective_bits == pytest.approx(bits, abs=0.5 / 6.02)  # as in test_ranges: half a decibel
    assert entry.clipping_error == 0


@pytest.mark.parametrize("k", [1.0, 2.0])
def test_normal_sums_clip_as_often_as_the_normal_law_says(k):
    ranges = about_zero(6, k / 31.5)  # codes end at 31.5 LSB
    (entry,) = of(ranges, gauss()).slices
    assert entry.clipped_low == pytest.approx(norm.sf(k), abs=1e-4)
    assert entry.clipped_high == pytest.approx(norm.sf(k), abs=1e-4)


@given(st.integers(1, 10))
def test_codes_that_come_equally_often_tell_all_their_bits(bits):
    (entry,) = of(from_zero(bits, 1.0), np.arange(2.0**bits)).slices
    assert entry.entropy_bits == pytest.approx(bits)
    assert entry.codes_used == entry.codes == 2**bits
    assert entry.effective_bits == math.inf


def test_values_that_do_not_vary_have_no_effective_bits():
    for samples in (np.zeros(0), np.zeros(5), np.full(5, 3.0)):
        (entry,) = of(from_zero(4, 1.0), samples).slices
        assert math.isnan(entry.effective_bits)
        assert entry.entropy_bits == 0
        assert entry.codes_used == 1


@given(st.integers(2, 12), st.integers(0, 4095), st.booleans())
def test_idle_bits_are_those_without_which_the_same_codes_remain(bits, farthest, signed):
    farthest = 1 + farthest % (2 ** (bits - 1) - 1 if signed else 2**bits - 1)
    lsb = 0.3
    ranges, values = (about_zero if signed else from_zero)(bits, lsb), np.array([0.0, 0.1, farthest]) * lsb
    (entry,) = of(ranges, values).slices
    # a converter of b bits reaches this many LSB from zero
    enough = [b for b in range(1 + signed, bits + 1) if (2 ** (b - 1) - 1 if signed else 2**b - 1) >= farthest]
    assert entry.idle_bits == bits - enough[0]


# What is advised


def test_ideal_converters_leave_nothing_to_diagnose():
    diagnosis = of(fixed_ranges(IdealADC(), [9.0, 9.0], signed=False), gauss(), gauss())
    assert diagnosis.slices == ()
    assert str(diagnosis) == diagnosis.advice == "ideal converters: there is nothing to diagnose"


@pytest.mark.parametrize("bits", range(3, 13))
def test_the_least_squares_range_of_normal_sums_is_sound_though_some_clip(bits):
    diagnosis = of(calibrated(bits, 40 * gauss(), signed=True), 40 * gauss())
    assert diagnosis.advice == "sound"
    if bits <= 6:
        assert diagnosis.slices[0].clipped > 0


def test_a_range_that_is_too_narrow_is_told_with_its_slice_and_share():
    wide = np.concatenate([np.linspace(0, 7, 480), np.full(21, 30.0)])
    diagnosis = of(from_zero(3, 1.0, 1.0), np.linspace(0, 7, 500), wide)
    assert diagnosis.advice.startswith("slice 1: 4.2 % of values clip and lose more than rounding does")
    assert "adc.bits" in diagnosis.advice
    assert 'range = "mse"' in diagnosis.advice


def test_rare_clipping_on_an_otherwise_exact_lattice_is_no_matter():
    # a value in a thousand loses 1 MAC unit^2, rounding of evenly spread values would lose 1/12 each
    samples = np.concatenate([np.tile(np.arange(16.0), 100), [16.9, 16.9]])
    diagnosis = of(from_zero(4, 1.0), samples)
    assert diagnosis.slices[0].clipped_high == pytest.approx(2 / 1602)
    assert diagnosis.advice == "sound"


def test_codes_that_are_never_used_are_told_with_the_bits_that_are_too_many():
    # 0 to 37 takes six bits of eight; the slice that needs the most decides
    diagnosis = of(from_zero(8, 1.0, 1.0), np.arange(38.0), np.arange(5.0))
    assert diagnosis.advice == 'codes above 37 of 255 are never used: range = "mse" does as well with 2 bits less'
    fine = [np.linspace(0, 37, 500)]
    assert "has a finer LSB, or does as well with 2 bits less" in of(from_zero(8, 1.0), *fine).advice
    # it is true
    (now,), (then,) = of(from_zero(8, 1.0), *fine).slices, of(calibrated(6, *fine), *fine).slices
    assert then.effective_bits >= now.effective_bits
    assert of(from_zero(6, 1.0), *fine).advice == "sound"


def test_one_bit_too_many_is_named_in_the_singular():
    assert of(from_zero(4, 1.0), np.arange(8.0)).advice.endswith("with 1 bit less")


def test_idle_codes_of_one_slice_matter_only_where_a_finer_lsb_would_help():
    full = np.linspace(0, 255, 2000)
    assert of(from_zero(8, 1.0, 1.0), full, np.arange(38.0)).advice == "sound"
    told = of(from_zero(8, 1.0, 1.0), full, np.linspace(0, 37, 500)).advice
    assert told == 'slice 1: codes above 37 of 255 are never used: range = "mse" has a finer LSB'


def test_a_slice_with_hardly_any_effective_bits_asks_for_more():
    samples = 40 * gauss()
    advice = of(calibrated(2, samples, signed=True), samples).advice
    # Max, 1960, table II: three levels lose 0.1902 of the variance
    bits = (-10 * math.log10(0.1902) - 1.76) / 6.02
    assert advice == f'slice 0: {bits:.1f} effective bits: raise adc.bits, or take range = "mse"'


def test_slices_that_were_always_zero_spoil_no_advice():
    assert of(from_zero(3, 1.0, 1.0), np.zeros(5), np.linspace(0, 7, 100)).advice == "sound"
    assert of(from_zero(3, 1.0), np.zeros(5)).advice == "sound"


def test_the_text_is_an_aligned_table_with_a_line_a_slice_and_the_advice():
    diagnosis = of(from_zero(8, 1.0, 0.125), np.arange(256.0), np.linspace(0, 31.875, 700))
    head, *rows, advice = str(diagnosis).splitlines()
    assert advice == diagnosis.advice == "sound"
    assert len(rows) == 2
    assert {len(row) for row in rows} == {len(head)}
    assert "exact" in rows[0]
    assert "256 of 256" in rows[1]
    assert "0.125" in rows[1]
    assert f"{diagnosis.slices[1].effective_bits:.1f}" in rows[1]
