"""What is told of a learning rule: how it is built, what it needs and costs, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from imcsim.rules.rule import LearningRule
from imcsim.specs.fields import Spec


@dataclass(frozen=True, kw_only=True)
class RuleEntry:
    """A rule by its name: `build` takes the `options` spec; needs, cost and source are words for a reader.

    `unbiased` says whether, on the ideal network, the mean of its estimates is the gradient of the loss. In `cost`, B
    is the number of samples, L the number of layers, and n_l that of the units of layer l, n_0 of inputs, n_L of
    outputs.
    """

    name: str
    summary: str
    options: type[Spec]
    build: Callable[[Any], LearningRule]
    unbiased: bool
    needs: str
    cost: str
    source: str
