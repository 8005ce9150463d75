"""Training in float64 on a digital computer: the weights that a chip is then programmed with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imcsim.datasets import DataSet
from imcsim.descent import DescentSpec, transforms_of
from imcsim.errors import Problem, SpecError
from imcsim.kernels.blas import single_threaded_blas
from imcsim.network.ideal import IdealNetwork
from imcsim.network.losses import LOSSES
from imcsim.network.mlp import MLP, gradients, logits
from imcsim.network.protocols import LayerUpdate
from imcsim.rules.in_float import NoOptions
from imcsim.rules.library import IN_FLOAT, RULES, nearest_rule
from imcsim.rules.rule import in_order
from imcsim.specs.codec import format_value
from imcsim.specs.fields import Spec, limited
from imcsim.updates import Dense

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TrainingSpec(DescentSpec):
    """How a study trains: where, by which rule, down which loss, and how it descends.

    In float ("digital") by "backprop", or "hardware_aware", which injects what an InjectionSpec tells; on every die of
    the chip by any rule of rules.library; by those on the "ideal" network as well, whose weights are programmed after
    it, as float weights are. `rule_options` are those of the rule, its defaults where they are not given.
    On a chip, `calibrate_every_epochs` is 1 where it is not given. A `copy` is the same training on other initial
    weights and batches, to compare with: what two copies differ by is chance.
    """

    where: Literal["digital", "ideal", "chip"] = "digital"
    rule: str = "backprop"
    rule_options: Spec | None = None
    loss: Literal["cross_entropy", "mse", "sigmoid_mse"] = "cross_entropy"
    copy: int | None = limited(None, low=1, high=1000)

    def __post_init__(self) -> None:
        if self.rule_options is None and isinstance(self.rule, str):
            known = self.rule in IN_FLOAT or self.rule in RULES
            object.__setattr__(self, "rule_options", known_options(self.rule)() if known else None)
        if isinstance(self.rule_options, NoOptions):
            object.__setattr__(self, "rule_options", None)
        super().__post_init__()

    @classmethod
    def component_class(cls, name: str, beside: Mapping[str, Any]) -> type[Spec] | None:
        rule = beside.get("rule", "backprop")
        if name != "rule_options":
            return None
        if not isinstance(rule, str):
            raise SpecError([])  # which is told of the rule
        if rule not in IN_FLOAT and rule not in RULES:
            raise SpecError([_unknown_rule(rule)])
        return known_options(rule)

    def overriding(self, name: str, value: Any) -> dict[str, Any]:
        """Another rule starts from its own defaults; float weights have neither ranges nor a write resolution."""
        if name == "rule" and value != self.rule:
            return {"rule_options": None}
        if name == "where" and value != self.where:
            return {"calibrate_every_epochs": None, "rounding": None}
        return {}

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        known = IN_FLOAT if self.where == "digital" else RULES
        if self.rule not in {*RULES, *IN_FLOAT}:
            yield _unknown_rule(self.rule)
        elif self.rule not in known:
            backprops = "hardware_in_the_loop, on_chip_backprop and other rules of `imcsim rules`"
            there = f'with where = "{self.where}" there are {backprops}'
            remedy = 'set where = "chip", or "ideal"' if self.where == "digital" else there
            yield Problem(("rule",), f'is no rule with where = "{self.where}"', f'"{self.rule}"', remedy)
        elif self.rule_options is not None and not isinstance(self.rule_options, known_options(self.rule)):
            allowed = f'must be {known_options(self.rule).__name__} with rule = "{self.rule}"'
            yield Problem(("rule_options",), allowed, given=type(self.rule_options).__name__)
        if self.where == "chip":
            return
        for name, why in (("rounding", "no write resolution"), ("calibrate_every_epochs", "no ranges")):
            if (value := getattr(self, name)) is not None:
                allowed = f'has no meaning with where = "{self.where}": float weights have {why}'
                yield Problem((name,), allowed, format_value(value), "leave it out")


def known_options(rule: str) -> type[Spec]:
    """The class of the options of a rule, in float or on a chip."""
    return (RULES | IN_FLOAT)[rule].options


def option_classes() -> list[type[Spec]]:
    """The different classes of options of all rules."""
    return list(dict.fromkeys(entry.options for entry in (*IN_FLOAT.values(), *RULES.values())))


def _unknown_rule(rule: str) -> Problem:
    return Problem(("rule",), "must be the name of a learning rule", f'"{rule}"', nearest_rule(rule))


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


class DivergenceError(ArithmeticError):
    """The loss is no finite number after `epoch`, from 1; `mlp` is the network before it."""

    epoch: int
    mlp: MLP


def train(
    mlp: MLP, data: DataSet, spec: TrainingSpec, rng: np.random.Generator, stop: StopSpec | None = None
) -> Trained:
    """`mlp` after `spec.epochs` passes over the training samples, in an order that `rng` draws anew each epoch.

    Fewer where `stop` tells so. Raises DivergenceError, an ArithmeticError, when the loss stops being a finite number.
    """
    loss = LOSSES[spec.loss]
    network = IdealNetwork(mlp, spec.loss)
    descent = in_order(*transforms_of(spec, math.ceil(len(data.x_train) / spec.batch_size)))
    state = descent.init(network)
    loss_per_epoch: list[float] = []
    # a diverging network overflows; the check of the loss says so, and says what to do
    with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore"):
        for epoch in range(spec.epochs):
            before = network.mlp
            for batch in batches(len(data.x_train), spec.batch_size, rng):
                dW, db = gradients(network.mlp, data.x_train[batch], data.y_train[batch], loss)
                estimate = tuple(LayerUpdate(Dense(w), b) for w, b in zip(dW, db, strict=True))
                updates, state = descent.apply(estimate, state, network, rng)
                network = network.write(updates, rng)
            mlp = network.mlp
            z = logits(mlp, data.x_train)
            loss_per_epoch.append(float(loss.value(z, data.y_train).mean()))
            if not math.isfinite(loss_per_epoch[epoch]):
                diverged = DivergenceError(
                    f"training diverged: the loss is {loss_per_epoch[epoch]} after epoch {epoch + 1} of {spec.epochs} "
                    f'with optimizer = "{spec.optimizer}", learning_rate = {spec.learning_rate}; lower learning_rate'
                )
                diverged.epoch, diverged.mlp = epoch + 1, before
                raise diverged
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
