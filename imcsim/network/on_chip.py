"""A network on a chip: a crossbar a layer, digital biases, neurons digital or analog."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.compound import CompoundArray, compound
from imcsim.crossbar import Crossbar
from imcsim.errors import CapabilityError
from imcsim.manufacturing import manufacture, nominal_die
from imcsim.network.activations import ACTIVATIONS
from imcsim.network.mlp import MLP
from imcsim.network.neurons import Neurons, manufactured, outputs
from imcsim.rng import Generators, Keys, child, children, draw_key, draw_keys
from imcsim.specs.chip import ChipSpec

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class ChipNetwork:
    """Crossbars in the order of the layers, the biases (outputs,) added behind them, and the hidden activation.

    `neurons` are those of the hidden layers, None for digital ones. Layers may be ensembles of dies: then it gives
    (members, samples, outputs), of a member the bits it has alone.
    """

    layers: tuple[Crossbar | CompoundArray, ...]
    biases: tuple[Array, ...]
    activation: str
    neurons: tuple[Neurons | None, ...]

    def logits(self, x: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        """Run x (samples, inputs) through the chip at `now_s`: the last layer's sums, (samples, outputs).

        An ensemble takes a generator a member and gives (members, samples, outputs).
        """
        keys, last = draw_keys(rng), len(self.layers) - 1
        for layer in range(last):
            x = self.outputs(layer, self.sums(layer, x, keys, now_s))
        return self.sums(last, x, keys, now_s)

    def sums(self, layer: int, x: Array, keys: Keys, now_s: float) -> Array:
        """What a layer reads of x (samples, inputs), its biases added: (samples, outputs); `keys` are of one call."""
        # a stream a layer: what one layer reads does not depend on how many were read before it
        read = self.layers[layer].mvm(x, children(keys, "read", layer), now_s=now_s)
        return np.asarray(read + self.biases[layer])

    def outputs(self, layer: int, z: Array) -> Array:
        """What the neurons of a hidden layer make of its sums (samples, outputs), in their shape."""
        return outputs(self.activation, self.neurons[layer], z)

    def backward(self, layer: int, error: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        """Carry errors (samples, outputs of the layer) back through its cells, W^T e: (samples, inputs of the layer).

        In units of weight x error, ahead of any activation's slope. An ensemble takes a generator a member, and gives
        and takes (members, samples, ...). Raises CapabilityError where the design has no transposed read.
        """
        return self.layers[layer].mvm_t(error, children(draw_keys(rng), "backward", layer), now_s=now_s)

    def calibrate_backward(self, layer: int, error: Array) -> ChipNetwork:
        """Set what the transposed read of a layer needs, on errors (samples, outputs): see Crossbar.calibrate_t."""
        return self.with_layer(layer, self.layers[layer].calibrate_t(error))

    def with_layer(self, index: int, layer: Crossbar | CompoundArray) -> ChipNetwork:
        """The network with another crossbar in the place of one."""
        return dataclasses.replace(self, layers=(*self.layers[:index], layer, *self.layers[index + 1 :]))

    def on_die(self, key: int | Sequence[int]) -> ChipNetwork:
        """The same programmed weights and ranges on the die of `key` (64 bits); of many keys, on an ensemble.

        Raises CapabilityError for compound arrays, which are programmed on their die: see `manufactured_network`.
        """
        layers: list[Crossbar] = []
        for index, layer in enumerate(self.layers):
            if isinstance(layer, CompoundArray):
                remedy = "give the key to imcsim.network.on_chip.manufactured_network"
                raise CapabilityError.of("on_die", "compound arrays are programmed on their die", remedy=remedy)
            layers.append(layer.on_die(manufacture(layer.die.spec, layer.die.shape, _of_layer(key, index))))
        return dataclasses.replace(self, layers=tuple(layers), neurons=_neurons(layers, key))

    def trim(self, rng: Generators, *, levels: int = 9, reads: int = 64) -> ChipNetwork:
        """Trim the ADCs of every layer, as Crossbar.trim does. An ensemble takes a generator a member."""
        keys = draw_keys(rng)
        layers = tuple(
            layer.trim(children(keys, "trim", index), levels=levels, reads=reads)
            for index, layer in enumerate(self.layers)
        )
        return dataclasses.replace(self, layers=layers)

    def compensate(self, probes: Array, rng: Generators, *, now_s: float, per_column: bool = False) -> ChipNetwork:
        """Undo the drift of every layer until `now_s`, as Crossbar.compensate does, by probes (samples, inputs).

        A layer is probed by what arrives there right after the write, at both times: its factor knows nothing of the
        drift of the layers before it. Factors of an earlier compensation are forgotten. An ensemble takes a generator
        a member. Raises CapabilityError for compound arrays, which do not drift.
        """
        keys = draw_keys(rng)
        layers, x = [], probes
        for index, compensated in enumerate(self.layers):
            if isinstance(compensated, CompoundArray):
                raise CapabilityError.of("compensate", "pulsed devices do not drift: there is nothing to undo")
            layer = dataclasses.replace(compensated, gain=None)
            at_write = layer.mvm(x, children(keys, "probe at the write", index), now_s=layer.written_s)
            probing = children(keys, "probe", index)
            layers.append(layer.compensate(x, at_write, probing, now_s=now_s, per_column=per_column))
            if index < len(self.layers) - 1:
                x = self.outputs(index, at_write + self.biases[index])
        return dataclasses.replace(self, layers=tuple(layers))


def program(mlp: MLP, spec: ChipSpec, rng: np.random.Generator) -> ChipNetwork:
    """Program a trained network on the nominal die of a design; `on_die` takes it to manufactured ones."""
    specs = layer_specs(spec, mlp.activation, len(mlp.weights))
    layers = tuple(
        nominal_die(layer_spec, (w.shape[0], w.shape[1])).program(w, rng)
        for layer_spec, w in zip(specs, mlp.weights, strict=True)
    )
    return ChipNetwork(layers, mlp.biases, mlp.activation, (None,) * (len(layers) - 1))


def manufactured_network(mlp: MLP, spec: ChipSpec, key: int, rng: np.random.Generator) -> ChipNetwork:
    """Program a network on the die of `key` (64 bits): on its compound arrays, where the design has them.

    What `rng` draws differs from what `program` and `on_die` draw. Raises as Die.program does.
    """
    specs = layer_specs(spec, mlp.activation, len(mlp.weights))
    layers: list[Crossbar | CompoundArray] = []
    for index, (of_layer, w) in enumerate(zip(specs, mlp.weights, strict=True)):
        shape = w.shape[0], w.shape[1]
        if of_layer.compound is None:
            layers.append(manufacture(of_layer, shape, _of_layer(key, index)).program(w, rng))
        else:
            layers.append(compound(of_layer, of_layer.compound, shape, _of_layer(key, index)).program(w, rng))
    return ChipNetwork(tuple(layers), mlp.biases, mlp.activation, _neurons(layers, key))


def calibrate(network: ChipNetwork, x: Array, rng: Generators) -> ChipNetwork:
    """Set input steps and ADC ranges of all layers on samples x (samples, inputs), as they arrive through the chip."""
    keys = draw_keys(rng)
    for index in range(len(network.layers)):
        network = network.with_layer(index, network.layers[index].calibrate(x))
        if index < len(network.layers) - 1:
            x = network.outputs(index, network.sums(index, x, keys, network.layers[index].written_s))
    return network


def layer_specs(spec: ChipSpec, activation: str, layers: int) -> tuple[ChipSpec, ...]:
    """The design as each layer uses it: a hidden layer's inputs are signed as its activation is, the first's as given.

    Raises SpecError where the design has no signed inputs and the activation needs them.
    """
    signed = ACTIVATIONS[activation].signed
    if layers == 1 or spec.dac.signed == signed:
        return (spec,) * layers
    return (spec, *[spec.replace("dac.signed", signed)] * (layers - 1))


def _of_layer(key: int | Sequence[int], index: int) -> Any:
    """The key of a layer of the die of `key`, or of an ensemble, a list of them."""
    if isinstance(key, Sequence | np.ndarray):
        return [draw_key(child(one, "layer", index)) for one in key]
    return draw_key(child(key, "layer", index))


def _neurons(layers: Sequence[Crossbar | CompoundArray], key: int | Sequence[int]) -> tuple[Neurons | None, ...]:
    """Those of the hidden layers of the die of `key`."""
    found: list[Neurons | None] = []
    for index, layer in enumerate(layers[:-1]):
        of_layer, spec = _of_layer(key, index), layer.die.spec.neurons
        keys = tuple(of_layer) if isinstance(of_layer, list) else of_layer
        found.append(None if spec is None else manufactured(spec, layer.die.shape[1], keys))
    return tuple(found)
