"""A network on a chip: a crossbar a layer, digital biases, neurons digital or analog."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from imcsim.compound import CompoundArray, compound
from imcsim.crossbar import Crossbar, Die
from imcsim.errors import CapabilityError
from imcsim.manufacturing import manufacture, nominal_die
from imcsim.network.activations import ACTIVATIONS
from imcsim.network.capabilities import lacking
from imcsim.network.decorrelation import Matrix, MatrixArray, programmed
from imcsim.network.mlp import MLP
from imcsim.network.neurons import Neurons, manufactured, outputs
from imcsim.rng import Generators, Keys, child, children, draw_key, draw_keys
from imcsim.specs.chip import ChipSpec

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class ChipNetwork:
    """Crossbars in the order of the layers, the biases (outputs,) added behind them, and the hidden activation.

    `neurons` are those of the hidden layers, None for digital ones. `decorrelation` stands ahead of each layer, None:
    inputs enter as they are. Layers may be ensembles of dies: then it gives (members, samples, outputs), of a member
    the bits it has alone.
    """

    layers: tuple[Crossbar | CompoundArray, ...]
    biases: tuple[Array, ...]
    activation: str
    neurons: tuple[Neurons | None, ...]
    decorrelation: tuple[Matrix, ...] | None = None

    @property
    def draws(self) -> bool:
        """Whether passes draw noise, so that a second pass of the same differs from the first."""
        return any(one.draws for one in (*self.layers, *(self.decorrelation or ())))

    def logits(self, x: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        """Run x (samples, inputs) through the chip at `now_s`: the last layer's sums, (samples, outputs).

        An ensemble takes a generator a member and gives (members, samples, outputs).
        """
        keys, last = draw_keys(rng), len(self.layers) - 1
        for layer in range(last):
            x = self.outputs(layer, self.sums(layer, self.entering(layer, x, keys, now_s), keys, now_s))
        return self.sums(last, self.entering(last, x, keys, now_s), keys, now_s)

    def entering(self, layer: int, x: Array, keys: Keys, now_s: float) -> Array:
        """What enters a layer of x (samples, inputs), which the one below puts out; `keys` are of one call."""
        if self.decorrelation is None:
            return x
        return self.decorrelation[layer].mvm(x, children(keys, "decorrelation", layer), now_s=now_s)

    def sums(self, layer: int, x: Array, keys: Keys, now_s: float) -> Array:
        """What a layer reads of what enters it, x (samples, inputs), its biases added: (samples, outputs)."""
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

    def with_matrix(self, index: int, matrix: Matrix) -> ChipNetwork:
        """The network with another decorrelation matrix ahead of a layer."""
        assert self.decorrelation is not None
        return dataclasses.replace(
            self, decorrelation=(*self.decorrelation[:index], matrix, *self.decorrelation[index + 1 :])
        )

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

        def taken(index: int, crossbar: Crossbar) -> Crossbar:
            return crossbar.on_die(manufacture(crossbar.die.spec, crossbar.die.shape, _of_matrix(key, index)))

        return self._with_matrices(taken, layers=tuple(layers), neurons=_neurons(layers, key))

    def _with_matrices(self, what: Callable[[int, Crossbar], Crossbar], **changes: Any) -> ChipNetwork:
        """The network after what(layer, crossbar) was done to each decorrelation matrix on a crossbar, and changes."""
        if self.decorrelation is not None:
            matrices = enumerate(self.decorrelation)
            changes["decorrelation"] = tuple(one.on_crossbar(partial(what, index)) for index, one in matrices)
        return dataclasses.replace(self, **changes)

    def trim(self, rng: Generators, *, levels: int = 9, reads: int = 64) -> ChipNetwork:
        """Trim the ADCs of every layer, as Crossbar.trim does. An ensemble takes a generator a member."""
        keys = draw_keys(rng)
        layers = tuple(
            layer.trim(children(keys, "trim", index), levels=levels, reads=reads)
            for index, layer in enumerate(self.layers)
        )

        def trimmed(index: int, crossbar: Crossbar) -> Crossbar:
            return crossbar.trim(children(keys, "trim decorrelation", index), levels=levels, reads=reads)

        return self._with_matrices(trimmed, layers=layers)

    def compensate(self, probes: Array, rng: Generators, *, now_s: float, per_column: bool = False) -> ChipNetwork:
        """Undo the drift of every layer until `now_s`, as Crossbar.compensate does, by probes (samples, inputs).

        A layer is probed by what arrives there right after the write, at both times: its factor knows nothing of the
        drift of the layers before it. Factors of an earlier compensation are forgotten. An ensemble takes a generator
        a member. Raises CapabilityError for compound arrays, which do not drift.
        """
        keys = draw_keys(rng)
        layers: list[Crossbar] = []
        matrices: list[Matrix] = []
        x = probes

        def compensated(crossbar: Crossbar, x: Array, name: str, index: int) -> tuple[Crossbar, Array]:
            crossbar = dataclasses.replace(crossbar, gain=None)
            at_write = crossbar.mvm(x, children(keys, f"{name} at the write", index), now_s=crossbar.written_s)
            probing = children(keys, name, index)
            return crossbar.compensate(x, at_write, probing, now_s=now_s, per_column=per_column), at_write

        for index, layer in enumerate(self.layers):
            if isinstance(layer, CompoundArray):
                raise CapabilityError.of("compensate", "pulsed devices do not drift: there is nothing to undo")
            if self.decorrelation is not None:
                matrix = self.decorrelation[index]
                if isinstance(matrix, MatrixArray):
                    crossbar, x = compensated(matrix.crossbar, x, "decorrelation probe", index)
                    matrices.append(matrix._replace(crossbar=crossbar))
                else:
                    matrices.append(matrix)
                    x = x @ matrix.written
            crossbar, at_write = compensated(layer, x, "probe", index)
            layers.append(crossbar)
            if index < len(self.layers) - 1:
                x = self.outputs(index, at_write + self.biases[index])
        return dataclasses.replace(self, layers=tuple(layers), decorrelation=tuple(matrices) or None)


def program(
    mlp: MLP, spec: ChipSpec, rng: np.random.Generator, decorrelation: Sequence[Array] | None = None
) -> ChipNetwork:
    """Program a trained network on the nominal die of a design; `on_die` takes it to manufactured ones.

    `decorrelation` are the matrices R^T (inputs, inputs) ahead of its layers, None: identities. Raises CapabilityError
    where the design has no place for any.
    """
    if decorrelation is not None and spec.decorrelation is None:
        raise CapabilityError([lacking(spec)["decorrelate"]])
    specs = layer_specs(spec, mlp.activation, len(mlp.weights))
    layers = tuple(
        nominal_die(layer_spec, (w.shape[0], w.shape[1])).program(w, rng)
        for layer_spec, w in zip(specs, mlp.weights, strict=True)
    )
    held = _identities(mlp) if decorrelation is None else decorrelation
    matrices = _matrices(mlp, spec, held, lambda design, layer: nominal_die(design, _square(mlp, layer)), lambda _: rng)
    return ChipNetwork(layers, mlp.biases, mlp.activation, (None,) * (len(layers) - 1), matrices)


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

    def die(design: ChipSpec, layer: int) -> Die:
        return manufacture(design, _square(mlp, layer), _of_matrix(key, layer))

    matrices = _matrices(mlp, spec, _identities(mlp), die, lambda layer: child(draw_key(rng), "decorrelation", layer))
    return ChipNetwork(tuple(layers), mlp.biases, mlp.activation, _neurons(layers, key), matrices)


def calibrate(network: ChipNetwork, x: Array, rng: Generators) -> ChipNetwork:
    """Set input steps and ADC ranges of all layers on samples x (samples, inputs), as they arrive through the chip."""
    keys = draw_keys(rng)
    for index in range(len(network.layers)):
        if network.decorrelation is not None:
            matrix = network.decorrelation[index].on_crossbar(lambda crossbar, x=x: crossbar.calibrate(x))  # type: ignore[misc]  # bound at once
            network = network.with_matrix(index, matrix)
            x = network.entering(index, x, keys, matrix.written_s)
        network = network.with_layer(index, network.layers[index].calibrate(x))
        if index < len(network.layers) - 1:
            x = network.outputs(index, network.sums(index, x, keys, network.layers[index].written_s))
    return network


def layer_specs(spec: ChipSpec, activation: str, layers: int) -> tuple[ChipSpec, ...]:
    """The design as each layer uses it: a hidden layer's inputs are signed as its activation is, the first's as given.

    Decorrelated inputs are all signed. Raises SpecError where the design has no signed inputs and the activation needs
    them.
    """
    if spec.decorrelation is not None:
        return (spec,) * layers
    signed = ACTIVATIONS[activation].signed
    if layers == 1 or spec.dac.signed == signed:
        return (spec,) * layers
    return (spec, *[spec.replace("dac.signed", signed)] * (layers - 1))


def matrix_specs(spec: ChipSpec, activation: str, layers: int) -> tuple[ChipSpec | None, ...]:
    """The design of the decorrelation matrix ahead of each layer, None where that is not on an array: as layer_specs.

    Inputs of the first have a sign where its converters say so, those of others where the activation has.
    """
    hidden = spec.of_decorrelation(signed=ACTIVATIONS[activation].signed)
    return (spec.of_decorrelation(), *[hidden] * (layers - 1))


def _of_layer(key: int | Sequence[int], index: int, name: str = "layer") -> Any:
    """The key of a layer of the die of `key`, or of an ensemble, a list of them."""
    if isinstance(key, Sequence | np.ndarray):
        return [draw_key(child(one, name, index)) for one in key]
    return draw_key(child(key, name, index))


def _of_matrix(key: int | Sequence[int], index: int) -> Any:
    """The same of the decorrelation matrix ahead of the layer."""
    return _of_layer(key, index, "decorrelation")


def _matrices(
    mlp: MLP,
    spec: ChipSpec,
    held: Sequence[Array],
    die: Callable[[ChipSpec, int], Die],
    rng: Callable[[int], np.random.Generator],
) -> tuple[Matrix, ...] | None:
    """The decorrelation matrices ahead of all layers, on the die(design, layer); None where the design has none."""
    if spec.decorrelation is None:
        return None
    return programmed(matrix_specs(spec, mlp.activation, len(mlp.weights)), held, die, rng)


def _identities(mlp: MLP) -> tuple[Array, ...]:
    return tuple(np.eye(len(weights)) for weights in mlp.weights)


def _square(mlp: MLP, layer: int) -> tuple[int, int]:
    return len(mlp.weights[layer]), len(mlp.weights[layer])


def _neurons(layers: Sequence[Crossbar | CompoundArray], key: int | Sequence[int]) -> tuple[Neurons | None, ...]:
    """Those of the hidden layers of the die of `key`."""
    found: list[Neurons | None] = []
    for index, layer in enumerate(layers[:-1]):
        of_layer, spec = _of_layer(key, index), layer.die.spec.neurons
        keys = tuple(of_layer) if isinstance(of_layer, list) else of_layer
        found.append(None if spec is None else manufactured(spec, layer.die.shape[1], keys))
    return tuple(found)
