"""The step of a uniform quantiser that loses the least: published optima, brute force, and what must be exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from imcsim.kernels.quantise import least_squares_step
from imcsim.rng import child


def squared_error(sizes, step, top):
    return float(np.square(sizes - step * np.minimum(np.rint(sizes / step), top)).sum())


@pytest.mark.parametrize(("top", "step"), [(1, 1.224), (3, 0.6508), (7, 0.3534)])
def test_the_step_for_normal_values_is_the_published_optimum(top, step):
    # Max, "Quantizing for minimum distortion", 1960, table II: 3, 7 and 15 equally spaced levels
    gauss = np.abs(ndtri((np.arange(10_000) + 0.5) / 10_000))  # quantiles: a normal distribution without luck
    assert least_squares_step(gauss, top) == pytest.approx(step, rel=0.01)


@pytest.mark.parametrize("top", [1, 3, 7, 127])
@pytest.mark.parametrize("law", ["normal", "uniform", "laplace", "exponential"])
def test_no_step_of_a_fine_scan_loses_less_and_the_widest_neither(law, top):
    sizes = np.abs(getattr(child(0, "quantise", law), law)(size=2000))
    found = squared_error(sizes, least_squares_step(sizes, top), top)
    widest = sizes.max() / top
    least = min(squared_error(sizes, step, top) for step in widest * np.linspace(0.05, 1, 2000))
    # the squared error of one rounding spreads by sqrt(4/5) of its mean: a finer scan finds steps that are merely lucky
    assert found <= (1 + 5 * np.sqrt(0.8 / sizes.size)) * least
    assert found <= squared_error(sizes, widest, top) * (1 + 1e-12)


@given(st.integers(1, 127), st.integers(-20, 20), st.lists(st.integers(0, 127), max_size=20))
def test_values_that_are_codes_lose_nothing(top, exponent, codes):
    step = 2.0**exponent
    values = np.array([top, *np.minimum(codes, top)]) * step
    found = least_squares_step(values, top)
    np.testing.assert_allclose(found * np.minimum(np.rint(values / found), top), values, rtol=1e-12)


@given(st.floats(1e-6, 1e6), st.integers(1, 100))
def test_the_step_scales_with_the_values(scale, top):
    sizes = np.abs(child(1, "quantise").normal(size=200))
    errors = [squared_error(s, least_squares_step(s, top), top) for s in (sizes, scale * sizes)]
    assert errors[1] == pytest.approx(scale**2 * errors[0], rel=1e-6)


@pytest.mark.parametrize("values", [np.zeros(5), np.zeros(0)])
def test_values_that_are_all_zero_have_no_step(values):
    assert least_squares_step(values, 7) == 0


def test_the_shape_of_the_values_does_not_matter():
    sizes = np.abs(child(2, "quantise").normal(size=(6, 10)))
    assert least_squares_step(sizes, 7) == least_squares_step(sizes.ravel(), 7)
