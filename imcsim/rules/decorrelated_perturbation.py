"""Node perturbation on inputs that are decorrelated meanwhile: the same rules, in front of them R.

Noise of many nodes at once tells little of one of them; where inputs are correlated, what little there is points the
same way for many weights, and what is wrong in it, too (Dalm, van Gerven & Ahmad 2026, arXiv 2310.00965).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from imcsim.rules.decorrelation import (
    COST,
    NEEDS,
    SOURCE,
    DecorrelationSpec,
    decorrelated,
    decorrelated_cost,
    needs_decorrelation,
)
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, needs_each_loss
from imcsim.rules.node_perturbation import (
    MeasuredNodeSpec,
    NodeSpec,
    activity_node_perturbation,
    iterative_cost,
    iterative_node_perturbation,
    known_noise_cost,
    node_perturbation,
    together_cost,
)
from imcsim.rules.noise_based import NoiseBasedSpec, needs_noise, noise_based_learning, two_passes_cost
from imcsim.rules.rule import LearningRule


@dataclass(frozen=True, kw_only=True)
class DecorrelatedNodeSpec(NodeSpec):
    """As of np: `sigma` is the standard deviation of the noise, in units of the sums; the mean is of `draws` noises.

    `decorrelation` tells how R learns.
    """

    decorrelation: DecorrelationSpec = field(default_factory=DecorrelationSpec)


@dataclass(frozen=True, kw_only=True)
class DecorrelatedMeasuredSpec(MeasuredNodeSpec):
    """As of anp and inp: with `passes` "two_noisy" both passes of a pair are noisy. `decorrelation`: how R learns."""

    decorrelation: DecorrelationSpec = field(default_factory=DecorrelationSpec)


@dataclass(frozen=True, kw_only=True)
class DecorrelatedNoiseSpec(NoiseBasedSpec):
    """As of nbl: `source` is what makes two passes differ, `draws` are pairs of them. `decorrelation`: how R learns."""

    decorrelation: DecorrelationSpec = field(default_factory=DecorrelationSpec)


def _entry(
    name: str,
    options: type[NodeSpec | NoiseBasedSpec],
    rule: Callable[[Any], LearningRule],
    asks: Callable[[Any, Shapes, int], StepCost],
    *,
    unbiased: bool,
    needs: Callable[[Any], Collection[str]] = needs_each_loss,
) -> RuleEntry:
    """The rule d`name`."""
    return RuleEntry(
        name=f"d{name}",
        summary=f"{name} on decorrelated inputs: a matrix ahead of each layer learns to decorrelate them meanwhile",
        options=options,
        build=lambda spec: decorrelated(rule(spec), spec.decorrelation),
        requires=needs_decorrelation(needs),
        asks=lambda spec, shapes, samples: decorrelated_cost(asks(spec, shapes, samples), shapes, samples),
        unbiased=unbiased,
        needs="forward reads; the loss of each sample" + NEEDS,
        cost=f"as {name}" + COST,
        source=SOURCE,
    )


ENTRIES = (
    _entry("np", DecorrelatedNodeSpec, node_perturbation, known_noise_cost, unbiased=True),
    _entry("anp", DecorrelatedMeasuredSpec, activity_node_perturbation, together_cost, unbiased=False),
    _entry("inp", DecorrelatedMeasuredSpec, iterative_node_perturbation, iterative_cost, unbiased=True),
    _entry("nbl", DecorrelatedNoiseSpec, noise_based_learning, two_passes_cost, unbiased=False, needs=needs_noise),
)
