"""Training in float64 on a digital computer: the weights that a chip is then programmed with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imcsim.datasets import DataSet
from imcsim.descent import DescentSpec, transforms_of
from imcsim.errors import Problem
from imcsim.kernels.blas import single_threaded_blas
from imcsim.network.ideal import IdealNetwork
from imcsim.network.losses import LOSSES
from imcsim.network.mlp import MLP, gradients, logits
from imcsim.network.protocols import LayerUpdate
from imcsim.rules.rule import in_order
from imcsim.specs.fields import Spec, limited
from imcsim.updates import Dense

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TrainingSpec(DescentSpec):
    """How a study trains: where, by which rule, down which loss, and how it descends."""

    where: Literal["digital"] = "digital"
    rule: Literal["backprop"] = "backprop"
    loss: Literal["cross_entropy", "mse"] = "cross_entropy"

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.rounding is not None and self.where == "digital":
            yield Problem(
                ("rounding",),
                f'has no meaning with where = "{self.where}": float weights have no write resolution',
                given=f'"{self.rounding}"',
                remedy="leave it out",
            )


@dataclass(frozen=True, kw_only=True)
class StopSpec(Spec):
    """When a training is hopeless: its accuracy on the training samples is below this after so many epochs."""

    after_epochs: int = limited(low=1, high=100_000)
    accuracy_below: float = limited(low=0.0, high=1.0)


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, the mean loss (epochs,) of the training samples after each epoch, accuracies in [0, 1].

    `stopped` says whether it was given up before its last epoch.
    """

    mlp: MLP
    loss_per_epoch: Floats
    accuracy_train: float
    accuracy_test: float
    stopped: bool


def train(
    mlp: MLP, data: DataSet, spec: TrainingSpec, rng: np.random.Generator, stop: StopSpec | None = None
) -> Trained:
    """`mlp` after `spec.epochs` passes over the training samples, in an order that `rng` draws anew each epoch.

    Fewer where `stop` tells so. Raises ArithmeticError when the loss stops being a finite number.
    """
    loss = LOSSES[spec.loss]
    network = IdealNetwork(mlp, spec.loss)
    descent = in_order(*transforms_of(spec, math.ceil(len(data.x_train) / spec.batch_size)))
    state = descent.init(network)
    loss_per_epoch: list[float] = []
    # a diverging network overflows; the check of the loss says so, and says what to do
    with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore"):
        for epoch in range(spec.epochs):
            for batch in batches(len(data.x_train), spec.batch_size, rng):
                dW, db = gradients(network.mlp, data.x_train[batch], data.y_train[batch], loss)
                estimate = tuple(LayerUpdate(Dense(w), b) for w, b in zip(dW, db, strict=True))
                updates, state = descent.apply(estimate, state, network, rng)
                network = network.write(updates, rng)
            mlp = network.mlp
            z = logits(mlp, data.x_train)
            loss_per_epoch.append(float(loss.value(z, data.y_train).mean()))
            if not math.isfinite(loss_per_epoch[epoch]):
                raise ArithmeticError(
                    f"training diverged: the loss is {loss_per_epoch[epoch]} after epoch {epoch + 1} of {spec.epochs} "
                    f'with optimizer = "{spec.optimizer}", learning_rate = {spec.learning_rate}; lower learning_rate'
                )
            if stop and epoch + 1 == stop.after_epochs and accuracy(z, data.y_train) < stop.accuracy_below:
                break
        return Trained(
            mlp,
            np.array(loss_per_epoch),
            accuracy_train=accuracy(z, data.y_train),
            accuracy_test=accuracy(logits(mlp, data.x_test), data.y_test),
            stopped=len(loss_per_epoch) < spec.epochs,
        )


def accuracy(z: Floats, labels: Ints) -> float:
    """The share of samples whose largest output z (batch, classes) is that of their label (batch,)."""
    return float(np.mean(z.argmax(axis=-1) == labels))


def batches(samples: int, batch_size: int, rng: np.random.Generator) -> Iterator[Ints]:
    """The row numbers 0 ... samples - 1, each once, in batches in random order; the last may be smaller."""
    order = rng.permutation(samples)
    for start in range(0, samples, batch_size):
        yield order[start : start + batch_size]
