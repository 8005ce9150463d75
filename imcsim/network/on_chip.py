"""A trained network on a chip: a crossbar a layer, biases and activations digital."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.crossbar import Crossbar, manufacture, nominal_die
from imcsim.network.activations import ACTIVATIONS
from imcsim.network.mlp import MLP
from imcsim.rng import child, draw_key
from imcsim.specs.chip import ChipSpec

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class ChipNetwork:
    """Crossbars in the order of the layers, the biases (outputs,) added behind them, and the hidden activation."""

    layers: tuple[Crossbar, ...]
    biases: tuple[Array, ...]
    activation: str

    def logits(self, x: Array, rng: np.random.Generator) -> Array:
        """Run x (samples, inputs) through the chip: the last layer's sums, (samples, outputs)."""
        key, last = draw_key(rng), len(self.layers) - 1
        for layer in range(last):
            x = self._hidden(layer, x, key)
        return self._sums(last, x, key)

    def on_die(self, key: int) -> ChipNetwork:
        """The same programmed weights and ranges on the die of `key` (64 bits)."""
        dies = (
            manufacture(layer.die.spec, layer.die.shape, draw_key(child(key, "layer", index)))
            for index, layer in enumerate(self.layers)
        )
        layers = tuple(layer.on_die(die) for layer, die in zip(self.layers, dies, strict=True))
        return dataclasses.replace(self, layers=layers)

    def _hidden(self, layer: int, x: Array, key: int) -> Array:
        return np.asarray(ACTIVATIONS[self.activation].function(self._sums(layer, x, key)))

    def _sums(self, layer: int, x: Array, key: int) -> Array:
        # a stream a layer: what one layer reads does not depend on how many were read before it
        return np.asarray(self.layers[layer].mvm(x, child(key, "read", layer)) + self.biases[layer])


def program(mlp: MLP, spec: ChipSpec, rng: np.random.Generator) -> ChipNetwork:
    """Program a trained network on the nominal die of a design; `on_die` takes it to manufactured ones."""
    specs = layer_specs(spec, mlp.activation, len(mlp.weights))
    layers = tuple(
        nominal_die(layer_spec, (w.shape[0], w.shape[1])).program(w, rng)
        for layer_spec, w in zip(specs, mlp.weights, strict=True)
    )
    return ChipNetwork(layers, mlp.biases, mlp.activation)


def calibrate(network: ChipNetwork, x: Array, rng: np.random.Generator) -> ChipNetwork:
    """Set input steps and ADC ranges of all layers on samples x (samples, inputs), as they arrive through the chip."""
    key = draw_key(rng)
    for index in range(len(network.layers)):
        layers = list(network.layers)
        layers[index] = layers[index].calibrate(x)
        network = dataclasses.replace(network, layers=tuple(layers))
        if index < len(layers) - 1:
            x = network._hidden(index, x, key)
    return network


def layer_specs(spec: ChipSpec, activation: str, layers: int) -> tuple[ChipSpec, ...]:
    """The design as each layer uses it: a hidden layer's inputs are signed as its activation is, the first's as given.

    Raises SpecError where the design has no signed inputs and the activation needs them.
    """
    if layers == 1:
        return (spec,)
    return (spec, *[spec.replace("dac.signed", ACTIVATIONS[activation].signed)] * (layers - 1))
