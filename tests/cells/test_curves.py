"""Curves of the state: each by its formula, in the precision it is asked in, bounded where it says so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.cells.curves import value, values
from imcsim.specs.curves import (
    ConstantCurve,
    ExponentialCurve,
    ExponentialCurves,
    LogarithmicCurve,
    PiecewiseCurve,
    PolynomialCurve,
    PolynomialCurves,
    PowerCurve,
    TableCurve,
)

X = np.array([0.0, 0.1, 0.5, 1.0, 3.0])
CURVES = {
    "constant": (ConstantCurve(value=0.3), lambda x: 0.3),
    "polynomial": (PolynomialCurve(coefficients=(0.2, -1.0, 0.5)), lambda x: 0.2 - x + 0.5 * x**2),
    "bounded polynomial": (
        PolynomialCurve(coefficients=(0.2, -1.0), low=0.0, high=0.15),
        lambda x: min(max(0.2 - x, 0), 0.15),
    ),
    "exponential": (
        ExponentialCurve(amplitude=2.0, scale=0.5, offset=0.1),
        lambda x: 2 * (1 - math.exp(-2 * x)) + 0.1,
    ),
    "logarithmic": (
        LogarithmicCurve(offset=0.1, slope=-0.2, high=0.3),
        lambda x: min(0.1 - 0.2 * math.log(x), 0.3) if x else 0.3,
    ),
    "power": (PowerCurve(factor=0.2, exponent=-0.65, high=0.9), lambda x: min(0.2 * x**-0.65, 0.9) if x else 0.9),
    "root": (PowerCurve(factor=0.2, exponent=0.5), lambda x: 0.2 * math.sqrt(x)),
    "table": (
        TableCurve(states=(0.1, 0.5, 2.0), values=(1.0, 3.0, 0.0)),
        lambda x: np.interp(x, [0.1, 0.5, 2], [1, 3, 0]),
    ),
    "piecewise": (
        PiecewiseCurve(at=0.5, below=ConstantCurve(value=1.0), above=PolynomialCurve(coefficients=(0.0, 1.0))),
        lambda x: 1.0 if x < 0.5 else x,
    ),
}


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_has_the_values_of_its_formula(name):
    curve, formula = CURVES[name]
    np.testing.assert_allclose(value(curve, X), [formula(x) for x in X], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_keeps_shape_and_precision(name):
    curve, formula = CURVES[name]
    found = value(curve, X.astype(np.float32).reshape(5, 1))
    assert (found.dtype, found.shape) == (np.float32, (5, 1))
    np.testing.assert_allclose(found[:, 0], [formula(x) for x in X], rtol=1e-5, atol=1e-6)


def test_curves_at_several_times_are_a_row_each():
    polynomials = PolynomialCurves(coefficients=((1.0, 2.0), (3.0,)))
    np.testing.assert_allclose(values(polynomials, 0, X), 1 + 2 * X)
    np.testing.assert_allclose(values(polynomials, 1, X), np.full(5, 3.0))
    exponentials = ExponentialCurves(amplitudes=(1.0, 2.0), scales=(1.0, 0.5))
    np.testing.assert_allclose(values(exponentials, 1, X), 2 * (1 - np.exp(-2 * X)))


@given(st.floats(0, 1400))
def test_a_fit_of_high_degree_in_single_precision_is_that_in_double(x):
    # the terms of this fit of SONOS are a hundred times their sum
    from resistive_cases import cell

    shift = cell("sonos_40nm").drift.shift
    exact = np.polyval(shift.coefficients[0][::-1], np.float64(np.float32(x)))
    assert values(shift, 0, np.array([x], np.float32))[0] == pytest.approx(exact, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("function", [lambda: value(None, X), lambda: values(None, 0, X)])
def test_what_is_no_curve_is_refused(function):
    with pytest.raises(TypeError, match="no values of NoneType"):
        function()
