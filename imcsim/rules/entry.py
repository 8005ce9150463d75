"""What is told of a learning rule: how it is built, what it needs and costs, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from imcsim.errors import Problem
from imcsim.rules.rule import LearningRule
from imcsim.specs.fields import Spec


def _fit(options: Any, classes: int) -> Iterable[Problem]:
    """Options that are right for any number of classes."""
    del options, classes
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
    `unbiased` says whether, on the ideal network, the mean of its estimates is the gradient of the loss. In `cost`, B
    is the number of samples, L the number of layers, and n_l that of the units of layer l, n_0 of inputs, n_L of
    outputs. `where` is training.where of a study that names it.
    """

    name: str
    summary: str
    options: type[Spec]
    build: Callable[[Any], LearningRule]
    unbiased: bool
    requires: Callable[[Any], Collection[str]]
    unfit: Callable[[Any, int], Iterable[Problem]] = _fit
    needs: str
    cost: str
    source: str
    where: Literal["chip", "digital"] = "chip"
