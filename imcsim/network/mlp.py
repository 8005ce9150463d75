"""The multilayer perceptron in float64: what a chip is programmed with, and the baseline it is compared to."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imcsim.network.activations import ACTIVATIONS
from imcsim.network.losses import Loss
from imcsim.specs.fields import Spec, limited

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class NetworkSpec(Spec):
    """A perceptron with `hidden` units in each hidden layer, none for a linear classifier."""

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[int, ...] = limited(low=1, high=100_000)
    activation: Literal["relu", "tanh", "sigmoid"] = "relu"


@dataclass(frozen=True, eq=False)
class MLP:
    """The weights (inputs, outputs) and biases (outputs,) of each layer; the last layer has no activation."""

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    activation: str


def initial_mlp(spec: NetworkSpec, inputs: int, outputs: int, rng: np.random.Generator) -> MLP:
    """An untrained perceptron of `inputs` features and `outputs` classes: random weights, biases of zero.

    For relu, normal with variance 2 / fan_in (He et al. 2015, eq. 10); otherwise uniform within
    +-sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 16).
    """
    shapes = list(itertools.pairwise((inputs, *spec.hidden, outputs)))
    draw = _he_normal if spec.activation == "relu" else _glorot_uniform
    return MLP(
        weights=tuple(draw(fan_in, fan_out, rng) for fan_in, fan_out in shapes),
        biases=tuple(np.zeros(fan_out) for _, fan_out in shapes),
        activation=spec.activation,
    )


def forward(mlp: MLP, x: Floats) -> tuple[Floats, ...]:
    """The output of every layer, first to last, each (batch, its outputs), for x (batch, inputs)."""
    function = ACTIVATIONS[mlp.activation].function
    outputs: list[Floats] = []
    a = x
    for weights, biases in zip(mlp.weights[:-1], mlp.biases[:-1], strict=True):
        a = function(a @ weights + biases)
        outputs.append(a)
    return (*outputs, a @ mlp.weights[-1] + mlp.biases[-1])


def logits(mlp: MLP, x: Floats) -> Floats:
    """The last layer's output (batch, outputs), for x (batch, inputs)."""
    return forward(mlp, x)[-1]


def gradients(mlp: MLP, x: Floats, labels: Ints, loss: Loss) -> tuple[list[Floats], list[Floats]]:
    """The mean loss of a batch, differentiated by the weights and biases of every layer, in their shapes.

    Backpropagation: x (batch, inputs), labels (batch,).
    """
    derivative = ACTIVATIONS[mlp.activation].derivative
    outputs = forward(mlp, x)
    inputs = (x, *outputs[:-1])
    dW: list[Floats] = []
    db: list[Floats] = []
    delta = loss.gradient(outputs[-1], labels) / len(x)
    for layer in reversed(range(len(mlp.weights))):
        dW.insert(0, inputs[layer].T @ delta)
        db.insert(0, delta.sum(axis=0))
        if layer > 0:
            delta = (delta @ mlp.weights[layer].T) * derivative(inputs[layer])
    return dW, db


def _he_normal(fan_in: int, fan_out: int, rng: np.random.Generator) -> Floats:
    return rng.normal(0.0, np.sqrt(2.0 / fan_in), size=(fan_in, fan_out))


def _glorot_uniform(fan_in: int, fan_out: int, rng: np.random.Generator) -> Floats:
    limit = np.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, size=(fan_in, fan_out))
