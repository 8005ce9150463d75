"""Reference gradients of the mean loss of a batch: what a rule's estimate is measured against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from imcsim.network.decorrelation import DigitalMatrix, MatrixArray
from imcsim.network.effective import effective_weights, entered, write_slopes
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import MLP
from imcsim.network.neurons import slopes
from imcsim.network.on_chip import ChipNetwork
from imcsim.network.protocols import LayerUpdate
from imcsim.rng import Generators, Keys, children, draw_keys
from imcsim.rules.backprop import hardware_in_the_loop
from imcsim.rules.rule import Batch, require
from imcsim.updates import Dense, dense

Array = np.ndarray[Any, Any]

# (network, batch, rng) -> the gradient by the weights (..., inputs, outputs) of every layer
Reference = Callable[[Any, Batch, Generators], tuple[Array, ...]]


def exact_gradient(network: Any, batch: Batch, rng: Generators) -> tuple[Array, ...]:
    """The gradient at the weights as last written, as if the chip had no error; on the ideal network, its own."""
    require(network, "written", "the weights as last written", "the exact gradient")
    mlp = MLP(network.written, network.biases, network.activation)
    exact = IdealNetwork(mlp, network.loss_name, decorrelation=network.decorrelation)
    return averaged_backprop(1)(exact, batch, rng)


def die_gradient(passes: int) -> Reference:
    """The gradient of a chip's own expected loss by its weights as written, as only an emulator of it can know.

    The mean of so many passes, forward through the chip with all its errors, and backward through the matrices that its
    cells really make and the slopes of its own neurons; a weight that is written moves its cells by what they make of
    it. Rounding of inputs and sums is taken to be straight, as in quantisation-aware training; what clips an input has
    no slope. How noise depends on the weights is left out. Of a LearningChip on one die; raises CapabilityError where
    no matrix tells what the cells do.
    """

    def reference(network: Any, batch: Batch, rng: Generators) -> tuple[Array, ...]:
        require(network, "chip", "the cells of a chip", "the gradient of a die", "take exact_gradient")
        chip, keys = network.chip, draw_keys(rng)
        matrices = [effective_weights(layer) for layer in chip.layers]
        sums = [np.zeros(shape) for shape in network.shapes]
        for one in range(passes):
            reads = network.forward(batch.x, children(keys, "pass", one))
            delta = network.loss_gradient(reads, batch.y) / len(batch.x)
            for layer in reversed(range(len(sums))):
                inputs, straight = entered(chip.layers[layer], reads.a_in[layer])
                sums[layer] += inputs.T @ delta
                if layer:
                    signal = _below(chip, layer, (delta @ matrices[layer].T) * straight, reads.a_out[layer - 1])
                    delta = signal * slopes(network.activation, chip.neurons[layer - 1], reads.z[layer - 1])
        moved = (write_slopes(layer) for layer in chip.layers)
        return tuple(total * slope / passes for total, slope in zip(sums, moved, strict=True))

    return reference


def _below(chip: ChipNetwork, layer: int, signal: Array, a: Array) -> Array:
    """The error of what enters a layer as that of the outputs a below it: through a decorrelation matrix, if any."""
    match chip.decorrelation and chip.decorrelation[layer]:
        case DigitalMatrix(matrix):
            return np.asarray(signal @ matrix.T)
        case MatrixArray(crossbar):
            _, straight = entered(crossbar, a)
            return np.asarray((signal @ effective_weights(crossbar).T) * straight)
    return signal


def averaged_backprop(passes: int) -> Reference:
    """The mean of so many gradients by hardware-in-the-loop backprop: forward through the chip with all its errors."""
    rule = hardware_in_the_loop()

    def reference(network: Any, batch: Batch, rng: Generators) -> tuple[Array, ...]:
        keys = draw_keys(rng)
        state = rule.init(network, children(keys, "init"))
        steps = (rule.step(network, state, batch, children(keys, "pass", one))[0] for one in range(passes))
        every = [[dense(update.weights) for update in updates] for updates in steps]
        return tuple(np.mean(layer, axis=0) for layer in zip(*every, strict=True))

    return reference


def finite_differences(step: float, passes: int = 1) -> Reference:
    """Central differences of the loss as read, each weight written `step` up and down, the mean of so many passes.

    The gradient of the chip's own expected loss, whatever its errors; `step` must be one that its write path resolves.
    It takes 2 passes a weight, so that it is for small networks; not for ensembles.
    """

    def reference(network: Any, batch: Batch, rng: Generators) -> tuple[Array, ...]:
        keys, gradients = draw_keys(rng), []
        for layer, shape in enumerate(network.shapes):
            gradient = np.empty(shape)
            for place in np.ndindex(*shape):
                up, down = (
                    _mean_loss(_moved(network, layer, place, signed, keys), batch, passes, keys)
                    for signed in (step, -step)
                )
                gradient[place] = (up - down) / (2.0 * step)
            gradients.append(gradient)
        return tuple(gradients)

    return reference


def _moved(network: Any, layer: int, place: tuple[int, ...], step: float, keys: Keys) -> Any:
    deltas = [np.zeros(shape) for shape in network.shapes]
    deltas[layer][place] = step
    updates = tuple(LayerUpdate(Dense(delta), np.zeros(delta.shape[1])) for delta in deltas)
    return network.write(updates, children(keys, "write", layer, *place))


def _mean_loss(network: Any, batch: Batch, passes: int, keys: Keys) -> float:
    losses = []
    for one in range(passes):
        # the same noise up and down: what is common to both does not blur their difference
        reads = network.forward(batch.x, children(keys, "forward", one))
        losses.append(network.loss(reads, batch.y, children(keys, "loss", one)).mean())
    return float(np.mean(losses))
