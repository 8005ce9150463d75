"""All weights and biases of some layers as one vector: what perturbs them together sees nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imcsim.network.protocols import LayerUpdate, Updates
from imcsim.rules.entry import Shapes
from imcsim.updates import Dense

Array = np.ndarray[Any, Any]


def sizes_of(shapes: Shapes) -> tuple[int, ...]:
    """How many parameters each layer of such shapes (inputs, outputs) has: its weights and its biases."""
    return tuple((inputs + 1) * outputs for inputs, outputs in shapes)


def as_updates(shapes: Shapes, layers: Sequence[int], vector: Array) -> Updates:
    """Changes (..., parameters of `layers`) as those of each layer of the network, zero in all others.

    Of a layer the weights (inputs, outputs) come first, row by row, and then its biases.
    """
    updates, start = [], 0
    for layer, (inputs, outputs) in enumerate(shapes):
        if layer not in layers:
            updates.append(LayerUpdate(Dense(np.zeros((inputs, outputs))), np.zeros(outputs)))
            continue
        middle, stop = start + inputs * outputs, start + (inputs + 1) * outputs
        weights = vector[..., start:middle].reshape(*vector.shape[:-1], inputs, outputs)
        updates.append(LayerUpdate(Dense(weights), vector[..., middle:stop]))
        start = stop
    return tuple(updates)
