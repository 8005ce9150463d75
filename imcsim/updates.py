"""Updates of a weight matrix: the change itself, or the factors of the outer product that it is."""

from __future__ import annotations

from collections.abc import Sequence
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


def scaled(update: Update, factor: float | Array) -> Update:
    """The update times a factor, or one a member (..., 1, 1), as what it is."""
    return update._replace(delta=factor * update.delta)


def weighted_sum(updates: Sequence[Update], shares: Sequence[float]) -> Update:
    """The sum of updates of the same weights, each times its share; of factors alone, factors."""
    if len(updates) == 1 and shares[0] == 1.0:
        return updates[0]
    parts = [scaled(update, share) for update, share in zip(updates, shares, strict=True)]
    outer = [part for part in parts if isinstance(part, Outer)]
    if len(outer) == len(parts):
        x, delta = zip(*outer, strict=True)
        return Outer(np.concatenate(x, axis=-2), np.concatenate(delta, axis=-2))
    return Dense(np.sum([dense(part) for part in parts], axis=0))


def finite(update: Update) -> bool:
    """Whether all that it consists of are numbers."""
    return all(all_finite(part) for part in update)


def all_finite(values: Array) -> bool:
    """Whether all values are numbers."""
    with np.errstate(over="ignore", invalid="ignore"):
        # what is not finite makes the sum so, in one pass without a copy; a sum may overflow by itself
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())
