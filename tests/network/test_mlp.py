"""The float perceptron: formulas forward, finite differences backward, published variances at the start."""

import dataclasses
import typing

import numpy as np
import pytest

from imcsim.errors import SpecError
from imcsim.network.activations import ACTIVATIONS
from imcsim.network.losses import LOSSES
from imcsim.network.mlp import MLP, NetworkSpec, forward, gradients, initial_mlp, logits
from imcsim.rng import child


def test_a_perceptron_with_known_weights_computes_exclusive_or():
    # xor(x) = relu(x1 + x2) - 2 relu(x1 + x2 - 1) on binary inputs
    xor = MLP(
        weights=(np.ones((2, 2)), np.array([[1.0], [-2.0]])),
        biases=(np.array([0.0, -1.0]), np.zeros(1)),
        activation="relu",
    )
    hidden, output = forward(xor, np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
    np.testing.assert_array_equal(hidden, [[0, 0], [1, 0], [1, 0], [2, 1]])
    np.testing.assert_array_equal(output, [[0], [1], [1], [0]])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_perceptron_without_hidden_layers_is_an_affine_map(activation):
    rng = child(0, "affine")
    mlp = dataclasses.replace(
        initial_mlp(NetworkSpec(hidden=(), activation=activation), 5, 3, rng), biases=(np.array([0.1, -0.2, 0.3]),)
    )
    x = rng.normal(size=(4, 5))
    np.testing.assert_allclose(logits(mlp, x), np.einsum("bi,io->bo", x, mlp.weights[0]) + mlp.biases[0])


@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_backpropagation_is_the_slope_of_the_mean_loss_by_every_weight_and_bias(activation, loss, hidden):
    rng = child(0, "slope", activation)
    mlp = initial_mlp(NetworkSpec(hidden=hidden, activation=activation), 4, 3, rng)
    x, labels = rng.normal(size=(8, 4)), rng.integers(0, 3, size=8)

    def mean_loss():
        return LOSSES[loss].value(logits(mlp, x), labels).mean()

    dW, db = gradients(mlp, x, labels, LOSSES[loss])
    for parameter, gradient in zip((*mlp.weights, *mlp.biases), (*dW, *db), strict=True):
        np.testing.assert_allclose(gradient, central_differences(mean_loss, parameter), atol=1e-8)


def central_differences(function, parameter, h=1e-6):
    """The slope of function() by every element of `parameter`, which it reads and this moves and restores."""
    slope = np.empty_like(parameter)
    for index in np.ndindex(parameter.shape):
        kept = parameter[index]
        parameter[index] = kept + h
        above = function()
        parameter[index] = kept - h
        slope[index] = (above - function()) / (2 * h)
        parameter[index] = kept
    return slope


FAN_IN, FAN_OUT = 400, 500


def first_weights(activation):
    spec = NetworkSpec(hidden=(FAN_OUT,), activation=activation)
    return initial_mlp(spec, FAN_IN, 10, child(0, "first", activation)).weights[0]


def test_relu_weights_start_with_the_variance_of_he():
    weights = first_weights("relu")
    he, glorot = 2 / FAN_IN, 2 / (FAN_IN + FAN_OUT)
    standard_error = he * np.sqrt(2 / weights.size)  # of the variance of normal samples
    assert abs(weights.var() - he) < 5 * standard_error
    assert abs(weights.var() - glorot) > 5 * standard_error


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_other_weights_start_uniform_with_the_variance_of_glorot(activation):
    weights = first_weights(activation)
    he, glorot = 2 / FAN_IN, 2 / (FAN_IN + FAN_OUT)
    standard_error = glorot * np.sqrt((9 / 5 - 1) / weights.size)  # 9/5: the kurtosis of uniform samples
    assert abs(weights.var() - glorot) < 5 * standard_error
    assert abs(weights.var() - he) > 5 * standard_error
    assert np.abs(weights).max() <= np.sqrt(6 / (FAN_IN + FAN_OUT))


def test_biases_start_at_zero_and_shapes_follow_the_spec():
    mlp = initial_mlp(NetworkSpec(hidden=(7, 5)), 4, 3, child(0, "shapes"))
    assert [weights.shape for weights in mlp.weights] == [(4, 7), (7, 5), (5, 3)]
    for biases, outputs in zip(mlp.biases, (7, 5, 3), strict=True):
        np.testing.assert_array_equal(biases, np.zeros(outputs))


def test_a_spec_names_every_activation_and_no_other():
    assert set(typing.get_args(typing.get_type_hints(NetworkSpec)["activation"])) == set(ACTIVATIONS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden": (32, 0)}, "hidden = .*: must be a list, each an integer from 1 to 100000"),
        ({"hidden": (32,), "activation": "gelu"}, 'activation = "gelu": must be one of "relu", "tanh", "sigmoid"'),
    ],
)
def test_a_network_that_cannot_be_is_not_born(fields, message):
    with pytest.raises(SpecError, match=message):
        NetworkSpec(**fields)
