"""Activation functions, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Activation(NamedTuple):
    """An activation a = function(z); derivative(a) is da/dz, told from the output `a` and not from z.

    An analog neuron may put out what the function never gives: there the slope is 0, as at the end of its range.
    `signed` says whether `a` can be negative, and so whether the next layer's inputs need a sign.
    """

    function: Callable[[Floats], Floats]
    derivative: Callable[[Floats], Floats]
    signed: bool


def _relu(z: Floats) -> Floats:
    return np.maximum(z, 0.0)


def _relu_derivative(a: Floats) -> Floats:
    return (a > 0.0).astype(np.float64)


def _tanh(z: Floats) -> Floats:
    return np.tanh(z)


def _tanh_derivative(a: Floats) -> Floats:
    return np.maximum(1.0 - a * a, 0.0)


def _sigmoid(z: Floats) -> Floats:
    # 1 / (1 + exp(-z)), written so that a very negative z does not overflow
    return 0.5 + 0.5 * np.tanh(0.5 * z)


def _sigmoid_derivative(a: Floats) -> Floats:
    return np.maximum(a * (1.0 - a), 0.0)


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(_relu, _relu_derivative, signed=False),
    "tanh": Activation(_tanh, _tanh_derivative, signed=True),
    "sigmoid": Activation(_sigmoid, _sigmoid_derivative, signed=False),
}
