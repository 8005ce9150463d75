"""Perturbations of all weights at once: as a chip writes them, and whether its loss ADC shows what they do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from imcsim.network.protocols import Updates, WeightProbes
from imcsim.rng import Generators
from imcsim.rules.codes import Code, SinusoidalCode
from imcsim.rules.layer_updates import times
from imcsim.rules.parameters import as_updates
from imcsim.rules.perturbed import code_steps, in_codes, require_seen
from imcsim.rules.rule import Batch, Info, LearningRule
from imcsim.updates import Dense, dense

Array = np.ndarray[Any, Any]

MOST_UNSEEN = 100  # perturbations that no loss showed: one alone may well be too small to be seen


def coded(network: Any, layers: Sequence[int], perturbations: Iterable[Array]) -> WeightProbes:
    """Perturbations (parameters of `layers`,) of weights and biases, those of weights as they are written."""
    return WeightProbes(whole_codes(network, as_updates(network.shapes, layers, one)) for one in perturbations)


def estimated(network: Any, layers: Sequence[int], code: Code, summed: Any) -> Updates:
    """The estimate (..., parameters of `layers`) that divided by what a code asks for, by what was written of it.

    That of a sine is rounded here up and there down, to the same in the mean.
    """
    updates, steps = as_updates(network.shapes, layers, np.asarray(summed)), code_steps(network)
    if steps is None or isinstance(code, SinusoidalCode):
        return updates
    written = [float(in_codes(np.asarray(code.largest), step)) for step in steps]
    return times(updates, [code.largest / one for one in written], [1.0] * len(steps))


def whole_codes(network: Any, perturbation: Updates) -> Updates:
    """A perturbation of weights in whole codes, which a write takes as they are, whatever its accumulators hold."""
    steps = code_steps(network)
    if steps is None:
        return perturbation
    return tuple(
        one._replace(weights=Dense(in_codes(dense(one.weights), step)))
        for one, step in zip(perturbation, steps, strict=True)
    )


def refusing_the_unseen(rule: LearningRule, option: str) -> LearningRule:
    """A rule that perturbs by `option`, and refuses to go on when a loss ADC has shown nothing of a hundred steps."""

    def init(network: Any, rng: Generators) -> tuple[Any, int | None]:
        return rule.init(network, rng), 0

    def step(network: Any, state: Any, batch: Batch, rng: Generators) -> tuple[Updates, Any, Info]:
        (of_rule, unseen) = state
        updates, of_rule, info = rule.step(network, of_rule, batch, rng)
        if unseen is not None:
            told = np.array([any(np.any(one.biases) or np.any(one.weights.delta) for one in updates)])
            unseen = unseen_after(network, unseen, told, option)
        return updates, (of_rule, unseen), info

    return LearningRule(init, step)


def unseen_after(network: Any, unseen: int | None, changes: Array, option: str) -> int | None:
    """How many perturbations from the first on no loss has shown, after these changes (K, ...); None once one was seen.

    Raises SpecError when they are too many.
    """
    if unseen is None or changes.any():
        return None
    if unseen + len(changes) >= MOST_UNSEEN:
        require_seen(network, np.zeros(unseen + len(changes)), option)
    return unseen + len(changes)
