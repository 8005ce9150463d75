"""Updates of layers as rules make them, add them up and multiply them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imcsim.network.protocols import LayerUpdate, Updates
from imcsim.updates import Dense, Outer, scaled, weighted_sum

Array = np.ndarray[Any, Any]


def outer(a_in: Array, delta: Array) -> LayerUpdate:
    """The mean over samples of the products of inputs (..., samples, inputs) and errors (..., samples, outputs)."""
    return LayerUpdate(Outer(a_in, delta / a_in.shape[-2]), delta.mean(axis=-2))


def with_biases(matrix: Array) -> LayerUpdate:
    """Changes (..., inputs + 1, outputs): of weights and, in the last row, of biases."""
    return LayerUpdate(Dense(matrix[..., :-1, :]), matrix[..., -1, :])


def times(updates: Updates, of_weights: Sequence[Any], of_biases: Sequence[Any] | None = None) -> Updates:
    """The weights of each layer times a factor, a number or one a member (members,), and its biases: alike if None."""
    return tuple(
        LayerUpdate(
            scaled(one.weights, np.asarray(weight)[..., np.newaxis, np.newaxis]),
            np.asarray(bias)[..., np.newaxis] * one.biases,
        )
        for one, weight, bias in zip(updates, of_weights, of_biases or of_weights, strict=True)
    )


def total(estimates: Sequence[Updates], share: float = 1.0) -> Updates:
    """The sum of estimates, each times the same share."""
    return tuple(
        LayerUpdate(
            weighted_sum([one.weights for one in layer], [share] * len(estimates)),
            sum(share * one.biases for one in layer),
        )
        for layer in zip(*estimates, strict=True)
    )


def mean(estimates: Sequence[Updates]) -> Updates:
    """The mean of estimates."""
    return total(estimates, 1.0 / len(estimates))
