"""Random signs as perturbations: of all weights, or of the nodes of each sample; of all of them, or of a share."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from imcsim.network.protocols import LayerUpdate, Updates
from imcsim.rng import Keys, children, drawn
from imcsim.rules.entry import Shapes
from imcsim.updates import Dense

Array = np.ndarray[Any, Any]


class Chosen(NamedTuple):
    """A random share of the weights, of the biases, or of the nodes of each layer; `layers` from 0 up, None: of all."""

    share: float = 1.0
    layers: tuple[int, ...] | None = None

    def of_layer(self, layer: int, size: int) -> int:
        """How many of so many weights, biases or nodes of a layer."""
        if self.layers is not None and layer not in self.layers:
            return 0
        return max(1, round(self.share * size))

    def weights(self, shapes: Shapes) -> int:
        """How many weights of all layers, without biases."""
        return sum(self.of_layer(layer, math.prod(shape)) for layer, shape in enumerate(shapes))

    def nodes(self, shapes: Shapes) -> int:
        """How many nodes, or biases, of all layers."""
        return sum(self.of_layer(layer, units) for layer, (_, units) in enumerate(shapes))


def weight_signs(chosen: Chosen, shapes: Shapes, keys: Keys, draw: int) -> Updates:
    """-1 or 1 for every weight and bias, 0 for those that are not chosen; the choice is the same for all draws."""
    return tuple(
        LayerUpdate(
            Dense(_signs(chosen, layer, shape, shape, keys, "weights", draw)),
            _signs(chosen, layer, shape[1:], shape[1:], keys, "biases", draw),
        )
        for layer, shape in enumerate(shapes)
    )


def node_signs(chosen: Chosen, shapes: Shapes, samples: int, keys: Keys, draw: int) -> tuple[Array | None, ...]:
    """The same for the nodes of each sample, (..., samples, units) a layer, None where none is chosen.

    The nodes that are chosen are the same for all samples.
    """
    return tuple(
        _signs(chosen, layer, (samples, units), (units,), keys, "nodes", draw)
        if chosen.of_layer(layer, units)
        else None
        for layer, (_, units) in enumerate(shapes)
    )


def _signs(
    chosen: Chosen, layer: int, shape: tuple[int, ...], among: tuple[int, ...], keys: Keys, what: str, draw: int
) -> Array:
    """Signs (..., *shape), of which some places of `among`, its last axes, are chosen."""
    size = math.prod(among)
    some = chosen.of_layer(layer, size)
    if some == 0:
        return np.zeros(shape)
    signs = drawn(children(keys, what, layer, draw), lambda one: 2.0 * one.integers(0, 2, shape) - 1.0)
    if some == size:
        return signs
    ranks = drawn(children(keys, what, layer, "chosen"), lambda one: one.random(size).argsort(axis=-1).argsort(axis=-1))
    places = (ranks < some).reshape(*ranks.shape[:-1], *(1,) * (len(shape) - len(among)), *among)
    return np.asarray(signs * places)
