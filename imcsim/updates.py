"""Updates of a weight matrix: the change itself, or the factors of the outer product that it is."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Dense(NamedTuple):
    """Add delta (..., rows, cols) to the weights."""

    delta: Array


class Outer(NamedTuple):
    """Add the sum over samples of x^T delta to the weights: x (..., samples, rows), delta (..., samples, cols).

    A pulsed array takes the factors: its rows and columns are pulsed by them.
    """

    x: Array
    delta: Array


Update = Dense | Outer


def dense(update: Update) -> Array:
    """The change of the weights, (..., rows, cols)."""
    if isinstance(update, Dense):
        return update.delta
    return np.asarray(np.swapaxes(update.x, -1, -2) @ update.delta)


def scaled(update: Update, factor: float) -> Update:
    """The update times a factor, as what it is."""
    return update._replace(delta=factor * update.delta)
