"""A flash converter: resistors, comparators, and ones that are counted even where thresholds cross."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.converters.kinds import element_count, table
from imcsim.errors import SpecError
from imcsim.rng import child
from imcsim.specs.adc import FlashADC


def made(adc, converters, levels=None):
    return child(0, "flash").normal(size=(converters, element_count(adc, levels or 2**adc.bits))).astype(np.float32)


def test_a_resistor_a_code_and_a_comparator_a_transition_have_their_draws():
    assert element_count(FlashADC(bits=3), 8) == 8 + 7
    assert element_count(FlashADC(bits=3), 7) == 7 + 6


@pytest.mark.parametrize("levels", [2, 31, 32])
def test_taps_of_the_string_err_as_a_brownian_bridge(levels, assert_moments):
    adc = FlashADC(bits=5, unit_sigma_rel=0.002)
    rows = table(adc, levels, made(adc, 40_000, levels)).astype(float)
    for k in {1, levels // 2, levels - 1}:
        assert_moments(rows[:, k - 1] - (k - 0.5), 0, 0.002 * np.sqrt(k * (1 - k / levels)))


def test_each_comparator_has_an_offset_of_its_own(assert_moments):
    # far below half an LSB none cross, so that the order is that of the comparators
    adc = FlashADC(bits=4, comparator_sigma_lsb=0.05)
    errors = table(adc, 16, made(adc, 10_000)).astype(float) - (np.arange(15) + 0.5)
    assert_moments(errors, 0, 0.05)
    correlations = np.corrcoef(errors.T)[np.triu_indices(15, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(10_000)


def test_resistors_and_comparators_add_in_squares(assert_moments):
    adc = FlashADC(bits=4, unit_sigma_rel=0.01, comparator_sigma_lsb=0.03)
    errors = table(adc, 16, made(adc, 40_000)).astype(float)[:, 7] - 7.5
    assert_moments(errors, 0, np.hypot(0.01 * np.sqrt(8 * (1 - 8 / 16)), 0.03))


def test_the_code_is_the_number_of_comparators_that_trip_even_where_thresholds_cross(codes_of):
    adc, u = FlashADC(bits=5, comparator_sigma_lsb=3), child(0, "u").uniform(-5, 37, 2000)
    elements = made(adc, 4)
    which = child(0, "which").integers(0, 4, u.size)
    thresholds = np.arange(31) + 0.5 + 3 * elements[:, 32:]  # each comparator's own, in its place on the string
    assert (np.diff(thresholds, axis=1) < 0).any(axis=1).all()
    codes = codes_of(adc, u, elements=elements, which=which)
    np.testing.assert_array_equal(codes, (thresholds[which] < u[:, None]).sum(axis=1))
    # the place of the highest that trips is another rule, and gives other codes
    highest = ((thresholds[which] < u[:, None]) * np.arange(1, 32)).max(axis=1)
    assert (codes != highest).any()


def test_the_codes_of_a_flash_converter_never_fall(codes_of):
    adc, u = FlashADC(bits=6, unit_sigma_rel=0.15, comparator_sigma_lsb=4), np.linspace(-20, 84, 5000)
    assert (np.diff(codes_of(adc, u, elements=made(adc, 1))) >= 0).all()


@pytest.mark.parametrize(
    ("name", "value"), [("bits", 9), ("bits", 0), ("unit_sigma_rel", 0.2), ("comparator_sigma_lsb", -0.5)]
)
def test_values_beyond_their_limits_are_refused(name, value):
    with pytest.raises(SpecError, match=f"{name} = {value}: must be"):
        FlashADC(**{name: value})
