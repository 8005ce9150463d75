"""Training in float64 on a digital computer: the weights that a chip is then programmed with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from imcsim.datasets import DataSet
from imcsim.errors import Problem
from imcsim.kernels.blas import single_threaded_blas
from imcsim.network.losses import LOSSES
from imcsim.network.mlp import MLP, gradients, logits
from imcsim.specs.fields import Spec, limited

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Arrays = tuple[Floats, ...]
State = TypeVar("State")


@dataclass(frozen=True, kw_only=True)
class TrainingSpec(Spec):
    """How a network is trained. `momentum` belongs to optimizer "momentum" alone, where None means 0.9."""

    where: Literal["digital"] = "digital"
    rule: Literal["backprop"] = "backprop"
    loss: Literal["cross_entropy", "mse"] = "cross_entropy"
    epochs: int = limited(30, low=1, high=100_000)
    batch_size: int = limited(32, low=1)
    optimizer: Literal["sgd", "momentum", "adam"] = "adam"
    learning_rate: float = limited(0.003, low=0.0, high=10.0)
    momentum: float | None = limited(None, low=0.0, high=1.0)

    def problems(self) -> Iterable[Problem]:
        if self.learning_rate == 0.0:
            yield Problem(("learning_rate",), "must be greater than 0", given="0.0")
        if self.momentum is not None and self.optimizer != "momentum":
            yield Problem(
                ("momentum",),
                f'has no meaning with optimizer = "{self.optimizer}"',
                given=str(self.momentum),
                remedy='leave it out, or set optimizer = "momentum"',
            )
        if self.momentum == 1.0:
            yield Problem(("momentum",), "must be less than 1", given="1.0", remedy="1 would never forget a gradient")


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, the mean loss (epochs,) of the training samples after each epoch, accuracies in [0, 1]."""

    mlp: MLP
    loss_per_epoch: Floats
    accuracy_train: float
    accuracy_test: float


def train(mlp: MLP, data: DataSet, spec: TrainingSpec, rng: np.random.Generator) -> Trained:
    """`mlp` after `spec.epochs` passes over the training samples, in an order that `rng` draws anew each epoch.

    Raises ArithmeticError when the loss stops being a finite number.
    """
    loss = LOSSES[spec.loss]
    optimizer = optimizer_of(spec)
    state = optimizer.init((*mlp.weights, *mlp.biases))
    loss_per_epoch = np.empty(spec.epochs)
    # a diverging network overflows; the check of the loss says so, and says what to do
    with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore"):
        for epoch in range(spec.epochs):
            for batch in _batches(len(data.x_train), spec.batch_size, rng):
                dW, db = gradients(mlp, data.x_train[batch], data.y_train[batch], loss)
                updates, state = optimizer.step(state, (*dW, *db))
                mlp = _updated(mlp, updates)
            loss_per_epoch[epoch] = loss.value(logits(mlp, data.x_train), data.y_train).mean()
            if not math.isfinite(loss_per_epoch[epoch]):
                raise ArithmeticError(
                    f"training diverged: the loss is {loss_per_epoch[epoch]} after epoch {epoch + 1} of {spec.epochs} "
                    f'with optimizer = "{spec.optimizer}", learning_rate = {spec.learning_rate}; lower learning_rate'
                )
        return Trained(
            mlp,
            loss_per_epoch,
            accuracy_train=accuracy(logits(mlp, data.x_train), data.y_train),
            accuracy_test=accuracy(logits(mlp, data.x_test), data.y_test),
        )


def accuracy(z: Floats, labels: Ints) -> float:
    """The share of samples whose largest output z (batch, classes) is that of their label (batch,)."""
    return float(np.mean(z.argmax(axis=1) == labels))


def _batches(samples: int, batch_size: int, rng: np.random.Generator) -> Iterator[Ints]:
    """The row numbers 0 ... samples - 1, each once, in batches in random order; the last may be smaller."""
    order = rng.permutation(samples)
    for start in range(0, samples, batch_size):
        yield order[start : start + batch_size]


def _updated(mlp: MLP, updates: Arrays) -> MLP:
    moved = tuple(array + update for array, update in zip((*mlp.weights, *mlp.biases), updates, strict=True))
    layers = len(mlp.weights)
    return MLP(moved[:layers], moved[layers:], mlp.activation)


class Optimizer(NamedTuple, Generic[State]):
    """A descent, as two pure functions: init(parameters) -> state; step(state, gradients) -> (updates, state).

    Updates are to be added to the parameters and have their shapes.
    """

    init: Callable[[Arrays], State]
    step: Callable[[State, Arrays], tuple[Arrays, State]]


def optimizer_of(spec: TrainingSpec) -> Optimizer[Any]:
    """The optimizer that `spec` names, with its figures."""
    if spec.optimizer == "sgd":
        return sgd(spec.learning_rate)
    if spec.optimizer == "momentum":
        return heavy_ball(spec.learning_rate, 0.9 if spec.momentum is None else spec.momentum)
    return adam(spec.learning_rate)


def sgd(learning_rate: float) -> Optimizer[tuple[()]]:
    """Gradient descent: the update is -learning_rate g."""

    def init(parameters: Arrays) -> tuple[()]:
        del parameters
        return ()

    def step(state: tuple[()], gradients: Arrays) -> tuple[Arrays, tuple[()]]:
        return tuple(-learning_rate * g for g in gradients), state

    return Optimizer(init, step)


def heavy_ball(learning_rate: float, momentum: float) -> Optimizer[Arrays]:
    """Gradient descent with momentum (Polyak 1964): v <- momentum v + g; the update is -learning_rate v."""

    def init(parameters: Arrays) -> Arrays:
        return tuple(np.zeros_like(p) for p in parameters)

    def step(velocity: Arrays, gradients: Arrays) -> tuple[Arrays, Arrays]:
        velocity = tuple(momentum * v + g for v, g in zip(velocity, gradients, strict=True))
        return tuple(-learning_rate * v for v in velocity), velocity

    return Optimizer(init, step)


class AdamState(NamedTuple):
    """Steps taken, and the running means of the gradient and of its square, not yet corrected for their start."""

    steps: int
    mean: Arrays
    square: Arrays


def adam(learning_rate: float) -> Optimizer[AdamState]:
    """Adam (Kingma & Ba 2015, algorithm 1) with the figures given there."""
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8

    def init(parameters: Arrays) -> AdamState:
        zeros = tuple(np.zeros_like(p) for p in parameters)
        return AdamState(0, zeros, zeros)

    def step(state: AdamState, gradients: Arrays) -> tuple[Arrays, AdamState]:
        steps = state.steps + 1
        mean = tuple(beta_1 * m + (1 - beta_1) * g for m, g in zip(state.mean, gradients, strict=True))
        square = tuple(beta_2 * s + (1 - beta_2) * g * g for s, g in zip(state.square, gradients, strict=True))
        # both means start at zero: without the correction the first steps would be too short or too long
        first, second = 1 - beta_1**steps, 1 - beta_2**steps
        updates = tuple(
            -learning_rate * (m / first) / (np.sqrt(s / second) + epsilon) for m, s in zip(mean, square, strict=True)
        )
        return updates, AdamState(steps, mean, square)

    return Optimizer(init, step)
