"""What is told of a learning rule: how it is built, what it needs and costs, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from imcsim.errors import Problem
from imcsim.rules.rule import LearningRule
from imcsim.specs.fields import Spec

Shapes = Sequence[tuple[int, int]]


class StepCost(NamedTuple):
    """What a step of a rule asks for, in closed form.

    `forward_passes` are samples through the whole network, `backward_samples` those read backward through each layer
    above the first, `auxiliary` the shapes (rows, cols) of matrices on arrays of their own that are read, with their
    samples. `words` are the weights that perturbations change, there and back, where each moves its code; `entries`
    those of decorrelation matrices that it changes, which are words where these are on arrays.
    `random_numbers` are those the rule draws, `stored` the scalars that it holds at once beside the weights, and
    `multiplications` those of products and updates outside of the arrays: what is done for single sums is not counted.
    """

    forward_passes: int
    backward_samples: int = 0
    auxiliary: tuple[tuple[tuple[int, int], int], ...] = ()
    words: int = 0
    entries: int = 0
    random_numbers: int = 0
    stored: int = 0
    multiplications: int = 0


def weights_of(shapes: Shapes) -> int:
    """How many weights layers of such shapes (inputs, outputs) have, without biases."""
    return sum(inputs * outputs for inputs, outputs in shapes)


def units_of(shapes: Shapes) -> int:
    """How many nodes: the outputs of all layers."""
    return sum(outputs for _, outputs in shapes)


def _fit(options: Any, classes: int) -> Iterable[Problem]:
    """Options that are right for any number of classes."""
    del options, classes
    return ()


def needs_nothing(options: Any) -> Collection[str]:
    """Of a rule that asks for passes, losses and writes alone."""
    del options
    return ()


def needs_written(options: Any) -> Collection[str]:
    """Of a rule that sends errors through the weights as last written, or their signs."""
    del options
    return ("written",)


def needs_transpose(options: Any) -> Collection[str]:
    """Of a rule that sends errors down through the cells."""
    del options
    return ("backward",)


def needs_each_loss(options: Any) -> Collection[str]:
    """Of a rule that perturbs each sample by itself."""
    del options
    return ("each_loss",)


@dataclass(frozen=True, kw_only=True)
class RuleEntry:
    """A rule by its name: `build` takes the `options` spec; needs, cost and source are words for a reader.

    `requires` names what a network must have for such options (see network.capabilities), and `unfit` tells what is
    wrong with options for so many classes: both ahead of any network, so that a study can be checked before it runs.
    `unbiased` says whether, on the ideal network, the mean of its estimates is the gradient of the loss.
    asks(options, shapes, samples) is what a step asks for, and `cost` its words: B is the number of samples, L that of
    layers, and n_l that of the units of layer l, n_0 of inputs, n_L of outputs. `where` is training.where of a study
    that names it.
    """

    name: str
    summary: str
    options: type[Spec]
    build: Callable[[Any], LearningRule]
    unbiased: bool
    requires: Callable[[Any], Collection[str]]
    unfit: Callable[[Any, int], Iterable[Problem]] = _fit
    asks: Callable[[Any, Shapes, int], StepCost]
    needs: str
    cost: str
    source: str
    where: Literal["chip", "digital"] = "chip"
