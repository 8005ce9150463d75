"""Activations against their formulas and against differences of themselves."""

import numpy as np
import pytest

from imcsim.network.activations import ACTIVATIONS

Z = np.array([-30.0, -2.5, -0.7, -0.01, 0.02, 0.4, 1.3, 30.0])
FORMULA = {
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_its_formula(name):
    np.testing.assert_allclose(ACTIVATIONS[name].function(Z), FORMULA[name](Z), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_derivative_told_from_the_output_is_the_slope_of_the_function(name):
    activation, h = ACTIVATIONS[name], 1e-6
    slope = (activation.function(Z + h) - activation.function(Z - h)) / (2 * h)
    np.testing.assert_allclose(activation.derivative(activation.function(Z)), slope, atol=1e-8)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_signed_if_and_only_if_its_output_can_be_negative(name):
    activation = ACTIVATIONS[name]
    assert activation.signed == bool(activation.function(np.linspace(-50, 50, 1001)).min() < 0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_huge_input_overflows_nothing(name):
    assert np.all(np.isfinite(ACTIVATIONS[name].function(np.array([-1e300, 1e300]))))
