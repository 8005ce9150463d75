"""A trained network on a chip: a crossbar a layer, biases and activations digital."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.crossbar import Crossbar
from imcsim.manufacturing import manufacture, nominal_die
from imcsim.network.activations import ACTIVATIONS
from imcsim.network.mlp import MLP
from imcsim.rng import child, draw_key
from imcsim.specs.chip import ChipSpec

Array = np.ndarray[Any, Any]


Generators = np.random.Generator | Sequence[np.random.Generator]


@dataclass(frozen=True, eq=False)
class ChipNetwork:
    """Crossbars in the order of the layers, the biases (outputs,) added behind them, and the hidden activation.

    Its layers may be ensembles of dies: then it gives (members, samples, outputs), of a member the bits it has alone.
    """

    layers: tuple[Crossbar, ...]
    biases: tuple[Array, ...]
    activation: str

    def logits(self, x: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        """Run x (samples, inputs) through the chip at `now_s`: the last layer's sums, (samples, outputs).

        An ensemble takes a generator a member and gives (members, samples, outputs).
        """
        keys = [draw_key(one) for one in ([rng] if isinstance(rng, np.random.Generator) else rng)]
        last = len(self.layers) - 1
        for layer in range(last):
            x = self._hidden(layer, x, keys, now_s)
        return self._sums(last, x, keys, now_s)

    def backward(self, layer: int, error: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        """Carry errors (samples, outputs of the layer) back through its cells, W^T e: (samples, inputs of the layer).

        In units of weight x error, ahead of any activation's slope. An ensemble takes a generator a member, and gives
        and takes (members, samples, ...). Raises CapabilityError where the design has no transposed read.
        """
        keys = [draw_key(one) for one in ([rng] if isinstance(rng, np.random.Generator) else rng)]
        streams = [child(key, "backward", layer) for key in keys]
        crossbar = self.layers[layer]
        return crossbar.mvm_t(error, streams[0] if crossbar.die.members is None else streams, now_s=now_s)

    def calibrate_backward(self, layer: int, error: Array) -> ChipNetwork:
        """Set what the transposed read of a layer needs, on errors (samples, outputs): see Crossbar.calibrate_t."""
        layers = list(self.layers)
        layers[layer] = layers[layer].calibrate_t(error)
        return dataclasses.replace(self, layers=tuple(layers))

    def on_die(self, key: int | Sequence[int]) -> ChipNetwork:
        """The same programmed weights and ranges on the die of `key` (64 bits); of many keys, on an ensemble."""
        layers = []
        for index, layer in enumerate(self.layers):
            of_layer: int | list[int]
            if isinstance(key, Sequence | np.ndarray):
                of_layer = [draw_key(child(one, "layer", index)) for one in key]
            else:
                of_layer = draw_key(child(key, "layer", index))
            layers.append(layer.on_die(manufacture(layer.die.spec, layer.die.shape, of_layer)))
        return dataclasses.replace(self, layers=tuple(layers))

    def trim(self, rng: Generators, *, levels: int = 9, reads: int = 64) -> ChipNetwork:
        """Trim the ADCs of every layer, as Crossbar.trim does. An ensemble takes a generator a member."""
        keys = [draw_key(one) for one in ([rng] if isinstance(rng, np.random.Generator) else rng)]
        layers = []
        for index, layer in enumerate(self.layers):
            layers.append(layer.trim(_streams(layer, keys, "trim", index), levels=levels, reads=reads))
        return dataclasses.replace(self, layers=tuple(layers))

    def compensate(self, probes: Array, rng: Generators, *, now_s: float, per_column: bool = False) -> ChipNetwork:
        """Undo the drift of every layer until `now_s`, as Crossbar.compensate does, by probes (samples, inputs).

        A layer is probed by what arrives there right after the write, at both times: its factor knows nothing of the
        drift of the layers before it. Factors of an earlier compensation are forgotten. An ensemble takes a generator
        a member.
        """
        keys = [draw_key(one) for one in ([rng] if isinstance(rng, np.random.Generator) else rng)]
        network = dataclasses.replace(
            self, layers=tuple(dataclasses.replace(layer, gain=None) for layer in self.layers)
        )
        layers, x = [], probes
        for index, layer in enumerate(network.layers):
            at_write = layer.mvm(x, _streams(layer, keys, "probe at the write", index), now_s=layer.written_s)
            probing = _streams(layer, keys, "probe", index)
            layers.append(layer.compensate(x, at_write, probing, now_s=now_s, per_column=per_column))
            x = np.asarray(ACTIVATIONS[self.activation].function(at_write + self.biases[index]))
        return dataclasses.replace(self, layers=tuple(layers))

    def _hidden(self, layer: int, x: Array, keys: Sequence[int], now_s: float) -> Array:
        return np.asarray(ACTIVATIONS[self.activation].function(self._sums(layer, x, keys, now_s)))

    def _sums(self, layer: int, x: Array, keys: Sequence[int], now_s: float) -> Array:
        # a stream a layer: what one layer reads does not depend on how many were read before it
        crossbar = self.layers[layer]
        read = crossbar.mvm(x, _streams(crossbar, keys, "read", layer), now_s=now_s)
        return np.asarray(read + self.biases[layer])


def _streams(layer: Crossbar, keys: Sequence[int], *path: str | int) -> Generators:
    """The generator that a call of a layer takes, or one a member, addressed by name in the streams of `keys`."""
    streams = [child(key, *path) for key in keys]
    return streams[0] if layer.die.members is None else streams


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
    keys = [draw_key(rng)]
    for index in range(len(network.layers)):
        layers = list(network.layers)
        layers[index] = layers[index].calibrate(x)
        network = dataclasses.replace(network, layers=tuple(layers))
        if index < len(layers) - 1:
            x = network._hidden(index, x, keys, network.layers[index].written_s)
    return network


def layer_specs(spec: ChipSpec, activation: str, layers: int) -> tuple[ChipSpec, ...]:
    """The design as each layer uses it: a hidden layer's inputs are signed as its activation is, the first's as given.

    Raises SpecError where the design has no signed inputs and the activation needs them.
    """
    signed = ACTIVATIONS[activation].signed
    if layers == 1 or spec.dac.signed == signed:
        return (spec,) * layers
    return (spec, *[spec.replace("dac.signed", signed)] * (layers - 1))
