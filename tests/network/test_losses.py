"""Losses against their formulas and against differences of themselves."""

import numpy as np
import pytest

from imcsim.network.losses import LOSSES, cross_entropy, mean_squared_error
from imcsim.rng import child


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_the_slope_of_the_value(name):
    loss, h = LOSSES[name], 1e-6
    z, labels = child(0, "z").normal(size=(7, 4)), np.array([0, 1, 2, 3, 0, 1, 2])
    slope = np.empty_like(z)
    for output in range(4):
        step = h * np.eye(4)[output]
        slope[:, output] = (loss.value(z + step, labels) - loss.value(z - step, labels)) / (2 * h)
    np.testing.assert_allclose(loss.gradient(z, labels), slope, atol=1e-8)


@pytest.mark.parametrize("name", LOSSES)
def test_the_members_of_an_ensemble_have_the_loss_that_each_has_alone(name):
    loss, rng = LOSSES[name], child(0, "members")
    z, own, shared = rng.normal(size=(3, 7, 4)), rng.integers(0, 4, (3, 7)), rng.integers(0, 4, 7)
    for member in range(3):
        for function in loss:
            np.testing.assert_array_equal(function(z, own)[member], function(z[member], own[member]))
            np.testing.assert_array_equal(function(z, shared)[member], function(z[member], shared))


def test_cross_entropy_of_equal_outputs_is_the_logarithm_of_the_number_of_classes():
    np.testing.assert_allclose(cross_entropy.value(np.full((3, 10), 7.0), np.array([0, 4, 9])), np.log(10))


def test_cross_entropy_of_two_classes_is_the_logistic_loss_of_their_difference():
    difference = np.linspace(-5, 5, 11)
    z = np.column_stack([difference, np.zeros(11)])
    np.testing.assert_allclose(cross_entropy.value(z, np.zeros(11, int)), np.log1p(np.exp(-difference)))


def test_cross_entropy_of_a_huge_difference_is_that_difference():
    z = np.array([[1e4, 0.0], [1e4, 0.0]])
    np.testing.assert_array_equal(cross_entropy.value(z, np.array([0, 1])), [0.0, 1e4])
    np.testing.assert_array_equal(cross_entropy.gradient(z, np.array([0, 1])), [[0.0, 0.0], [1.0, -1.0]])


def test_mean_squared_error_is_half_the_squared_distance_to_one_hot():
    z = np.array([[1.0, 0.0, 0.0], [3.0, -1.0, 2.0]])
    np.testing.assert_array_equal(mean_squared_error.value(z, np.array([0, 2])), [0.0, (9 + 1 + 1) / 2])


def test_the_squared_error_behind_logistic_outputs_is_that_of_their_outputs():
    z, labels = child(0, "z").normal(size=(5, 3)), np.array([0, 1, 2, 0, 1])
    expected = mean_squared_error.value(1 / (1 + np.exp(-z)), labels)
    np.testing.assert_allclose(LOSSES["sigmoid_mse"].value(z, labels), expected, rtol=1e-12)


def test_a_single_output_is_to_be_the_label_itself():
    z, labels = np.array([[0.25], [1.5]]), np.array([0, 1])
    np.testing.assert_allclose(mean_squared_error.value(z, labels), [0.25**2 / 2, 0.5**2 / 2])
