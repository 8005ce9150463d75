"""All weights and biases of some layers as one vector: what perturbs them together sees nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from imcsim.network.protocols import LayerUpdate, Updates, WeightProbes
from imcsim.rules.codes import Code, SinusoidalCode
from imcsim.rules.entry import Shapes
from imcsim.rules.layer_updates import times
from imcsim.rules.perturbed import code_steps, in_codes, whole_codes
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


def coded(network: Any, layers: Sequence[int], perturbations: Iterable[Array]) -> WeightProbes:
    """Perturbations (parameters of `layers`,) of weights and biases, those of weights as they are written."""
    return WeightProbes(whole_codes(network, as_updates(network.shapes, layers, one)) for one in perturbations)


def estimated(network: Any, layers: Sequence[int], code: Code, summed: Any) -> Updates:
    """The estimate (..., parameters of `layers`) that divided by what a code asks for, by what was written of it.

    That of a sine is rounded here up and there down, to the same in the mean.
    """
    updates, steps = as_updates(network.shapes, layers, np.asarray(summed)), code_steps(network)
    if steps is None or isinstance(code, SinusoidalCode):
        return updates
    written = [float(in_codes(np.asarray(code.largest), step)) for step in steps]
    return times(updates, [code.largest / one for one in written], [1.0] * len(steps))
