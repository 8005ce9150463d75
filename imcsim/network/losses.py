"""Losses, one value a sample: the outputs z (..., classes) against labels (...), or of a regression (..., outputs)."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imcsim.network.activations import ACTIVATIONS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Loss(NamedTuple):
    """value(z, labels) -> (...), the loss of each sample; gradient(z, labels) -> (..., classes), its d/dz.

    Outputs may be of an ensemble, (members, samples, classes), and their labels (samples,) or (members, samples).
    """

    value: Callable[[Floats, Any], Floats]
    gradient: Callable[[Floats, Any], Floats]


def _cross_entropy(z: Floats, labels: Ints) -> Floats:
    """-log softmax(z)[label]."""
    shifted = _shifted(z)
    places = np.broadcast_to(labels, shifted.shape[:-1])[..., np.newaxis]
    picked = np.take_along_axis(shifted, places, axis=-1)[..., 0]
    values: Floats = np.log(np.exp(shifted).sum(axis=-1)) - picked
    return values


def _cross_entropy_gradient(z: Floats, labels: Ints) -> Floats:
    """softmax(z) - one_hot(label)."""
    exponentials = np.exp(_shifted(z))
    softmax: Floats = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return softmax - _one_hot(labels, z.shape[-1])


def _squared_error(z: Floats, labels: Ints | Floats) -> Floats:
    """1/2 sum over classes of (z - one_hot(label))^2; the factor is 1/2 and not 1/classes: the mean is the batch's."""
    values: Floats = 0.5 * np.square(_squared_error_gradient(z, labels)).sum(axis=-1)
    return values


def _squared_error_gradient(z: Floats, target: Ints | Floats) -> Floats:
    """The difference z - one_hot(label); or from what z should be, where that is told in floating point."""
    return z - wanted(target, z.shape[-1])


def wanted(target: Any, outputs: int) -> Floats:
    """What the outputs (..., samples, outputs) should be: one-hot labels, but of a single output, or as told."""
    return target if np.issubdtype(target.dtype, np.floating) else _one_hot(target, outputs)


def _shifted(z: Floats) -> Floats:
    """The outputs less the largest of their row: softmax stays the same, and exp cannot overflow."""
    largest = reduce(np.maximum, np.moveaxis(z, -1, 0))  # of a short axis many times as fast as max
    shifted: Floats = z - largest[..., np.newaxis]
    return shifted


def _one_hot(labels: Any, classes: int) -> Floats:
    """Labels (...) -> (..., classes), 1 at the label and 0 elsewhere; of a single output, the label 0 or 1 itself."""
    places: Floats = np.eye(classes)[labels] if classes > 1 else np.asarray(labels, np.float64)[..., np.newaxis]
    return places


def _sigmoid_squared_error(z: Floats, target: Ints | Floats) -> Floats:
    """The squared error of what logistic neurons make of the outputs."""
    return _squared_error(ACTIVATIONS["sigmoid"].function(z), target)


def _sigmoid_squared_error_gradient(z: Floats, target: Ints | Floats) -> Floats:
    """(a - one_hot(label)) a (1 - a), a what the neurons put out."""
    a = ACTIVATIONS["sigmoid"].function(z)
    return _squared_error_gradient(a, target) * ACTIVATIONS["sigmoid"].derivative(a)


cross_entropy = Loss(_cross_entropy, _cross_entropy_gradient)
mean_squared_error = Loss(_squared_error, _squared_error_gradient)
sigmoid_mean_squared_error = Loss(_sigmoid_squared_error, _sigmoid_squared_error_gradient)

LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "mse": mean_squared_error,
    "sigmoid_mse": sigmoid_mean_squared_error,
}

# Losses of what neurons make of the outputs: their activation, and the loss behind them.
BEHIND_NEURONS: dict[str, tuple[str, Loss]] = {"sigmoid_mse": ("sigmoid", mean_squared_error)}
