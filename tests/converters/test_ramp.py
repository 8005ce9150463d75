"""A ramp: its steps err as a Brownian bridge, for all columns of an array alike; each column has its own comparator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.converters.kinds import converter_offsets, shared_by_array, table
from imcsim.errors import SpecError
from imcsim.rng import child
from imcsim.specs.adc import RampADC


def ramps(arrays, levels, seed=0):
    return child(seed, "ramp").normal(size=(arrays, levels)).astype(np.float32)


@pytest.mark.parametrize("levels", [2, 15, 16, 256])
def test_transitions_err_as_a_brownian_bridge(levels, assert_moments):
    # sigma_k = sigma sqrt(k (1 - k/N)) after k of N elements, to first order
    rows = table(RampADC(bits=8, unit_sigma_rel=0.002), levels, ramps(40_000, levels)).astype(float)
    assert rows.shape == (40_000, levels - 1)
    for k in {1, levels // 3, levels // 2, levels - 1} - {0}:
        assert_moments(rows[:, k - 1] - (k - 0.5), 0, 0.002 * np.sqrt(k * (1 - k / levels)))


def test_transitions_of_a_ramp_are_correlated_as_those_of_a_bridge():
    rows = table(RampADC(bits=4, unit_sigma_rel=0.01), 16, ramps(40_000, 16)).astype(float)
    j, k = 4, 10
    # cov = sigma^2 j (1 - k/N) for j <= k
    expected = j * (1 - k / 16) / np.sqrt(j * (1 - j / 16) * k * (1 - k / 16))
    got = np.corrcoef(rows[:, j - 1], rows[:, k - 1])[0, 1]
    tolerance = 5 * (1 - expected**2) / np.sqrt(40_000)
    assert abs(got - expected) < tolerance
    assert abs(got - np.sqrt(j / k)) > tolerance  # a random walk, whose far end is free


@given(st.integers(1, 10), st.integers(0, 2**32))
def test_a_ramp_only_rises(bits, seed):
    rows = table(RampADC(bits=bits, unit_sigma_rel=0.15), 2**bits, ramps(3, 2**bits, seed))
    assert (np.diff(rows, axis=1) > 0).all()


def test_the_ends_of_a_ramp_are_exact():
    # one element of N twice as high: those below it shrink to N / (N + 1), and so do those above, seen from the end
    elements = np.zeros((1, 16))
    elements[0, 7] = 10
    row = table(RampADC(bits=4, unit_sigma_rel=0.1), 16, elements)[0]
    np.testing.assert_allclose(row[:7], np.arange(1, 8) * 16 / 17 - 0.5, rtol=1e-6)
    np.testing.assert_allclose(row[7:], 15.5 - np.arange(8, 0, -1) * 16 / 17, rtol=1e-6)


def test_all_columns_of_an_array_count_the_same_ramp_and_another_array_has_another(codes_of):
    adc = RampADC(bits=6, unit_sigma_rel=0.1)
    assert shared_by_array(adc)
    elements, u = ramps(2, 64), np.repeat(child(0, "u").uniform(-1, 64, 300), 2)
    rows = table(adc, 64, elements)
    for array in (0, 1):
        codes = codes_of(adc, u, elements=elements, which=np.full(u.size, array))
        np.testing.assert_array_equal(codes[::2], codes[1::2])
        np.testing.assert_array_equal(codes, (rows[array] < u[:, None]).sum(axis=1))
    both = codes_of(adc, u, elements=elements, which=np.arange(u.size) % 2)
    assert (both[::2] != both[1::2]).any()


def test_comparators_of_columns_spread_as_given(assert_moments):
    normals = child(0, "comparators").normal(size=40_000).astype(np.float32)
    offsets = converter_offsets(RampADC(comparator_sigma_lsb=0.7), normals)
    assert offsets.dtype == np.float32
    assert_moments(offsets, 0, 0.7)


@pytest.mark.parametrize(("name", "value"), [("unit_sigma_rel", 0.2), ("comparator_sigma_lsb", -0.5)])
def test_values_beyond_their_limits_are_refused(name, value):
    with pytest.raises(SpecError, match=f"{name} = {value}: must be"):
        RampADC(**{name: value})
