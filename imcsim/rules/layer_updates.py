"""Updates of all layers, added up and multiplied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imcsim.network.protocols import LayerUpdate, Updates
from imcsim.updates import scaled, weighted_sum

Array = np.ndarray[Any, Any]


def times(updates: Updates, of_weights: Sequence[Any], of_biases: Sequence[Any]) -> Updates:
    """The weights and the biases of each layer times a factor: a number, or one a member (members,)."""
    return tuple(
        LayerUpdate(
            scaled(one.weights, np.asarray(weight)[..., np.newaxis, np.newaxis]),
            np.asarray(bias)[..., np.newaxis] * one.biases,
        )
        for one, weight, bias in zip(updates, of_weights, of_biases, strict=True)
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
