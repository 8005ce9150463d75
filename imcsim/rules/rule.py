"""A learning rule: an (init, step) pair of pure functions, and the transforms that chain behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from imcsim.errors import CapabilityError
from imcsim.network.protocols import Counts, Network, Updates
from imcsim.rng import Generators, children, draw_keys

Array = np.ndarray[Any, Any]


class Batch(NamedTuple):
    """Samples x (samples, inputs) and their labels y (samples,)."""

    x: Array
    y: Array


class Info(NamedTuple):
    """What a step cost: counts, and the scalars that it held at once beside the weights.

    `network` is the network as a step left it that wrote to it, its writes counted; None: it wrote nothing.
    """

    counts: Counts
    stored: int
    network: Any = None


class LearningRule(NamedTuple):
    """init(network, rng) -> state; step(network, state, batch, rng) -> (updates, state, info).

    A rule alone gives an estimate of the gradient of the mean loss; a chain that ends in scale_by_learning_rate gives
    what is to be added to the weights. `init` raises CapabilityError where the network lacks what the rule needs.
    """

    init: Callable[[Any, Generators], Any]
    step: Callable[[Any, Any, Batch, Generators], tuple[Updates, Any, Info]]


class Transform(NamedTuple):
    """init(network) -> state; apply(updates, state, network, rng) -> (updates, state)."""

    init: Callable[[Network], Any]
    apply: Callable[[Updates, Any, Network, Generators], tuple[Updates, Any]]


def chain(rule: LearningRule, *transforms: Transform) -> LearningRule:
    """The rule whose updates go through the transforms, in their order."""
    behind = in_order(*transforms)

    def init(network: Any, rng: Generators) -> Any:
        return rule.init(network, rng), behind.init(network)

    def step(network: Any, state: Any, batch: Batch, rng: Generators) -> tuple[Updates, Any, Info]:
        keys = draw_keys(rng)
        of_rule, of_transforms = state
        updates, of_rule, info = rule.step(network, of_rule, batch, children(keys, "rule"))
        updates, of_transforms = behind.apply(updates, of_transforms, network, children(keys, "transforms"))
        return updates, (of_rule, of_transforms), info

    return LearningRule(init, step)


def in_order(*transforms: Transform) -> Transform:
    """The transforms as one, the first first; those that draw do so one after the other."""

    def init(network: Any) -> tuple[Any, ...]:
        return tuple(transform.init(network) for transform in transforms)

    def apply(
        updates: Updates, states: tuple[Any, ...], network: Any, rng: Generators
    ) -> tuple[Updates, tuple[Any, ...]]:
        after = []
        for transform, before in zip(transforms, states, strict=True):
            updates, state = transform.apply(updates, before, network, rng)
            after.append(state)
        return updates, tuple(after)

    return Transform(init, apply)


def require(network: Any, name: str, what: str, who: str, remedy: str = "") -> None:
    """Raise CapabilityError where the network has no `name`: with what the network itself says of it, and `remedy`."""
    try:
        getattr(network, name)
    except (AttributeError, CapabilityError) as error:
        told = error.problems if isinstance(error, CapabilityError) else ()
        why = "".join(f" ({problem.allowed})" for problem in told)
        remedies = [problem.remedy for problem in told if problem.remedy] + [remedy] * bool(remedy)
        lacks = f"{who} needs {what}, which this network has not{why}"
        raise CapabilityError.of("rule", lacks, remedy=", or ".join(remedies)) from error
