"""Whether a loss ADC shows anything of what perturbations do; where it shows nothing, a rule learns nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.errors import SpecError
from imcsim.network.protocols import Updates
from imcsim.rng import Generators
from imcsim.rules.rule import Batch, Info, LearningRule

Array = np.ndarray[Any, Any]

MOST_UNSEEN = 100  # perturbations that no loss showed: one alone may well be too small to be seen


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


def require_seen(network: Any, changes: Array, option: str = "delta") -> None:
    """Raise SpecError where no perturbation changed any loss, as the loss ADC reads it.

    Ahead of a batch nobody can tell: what a perturbation makes of the loss depends on samples and weights, and even a
    change far below an LSB shows where losses lie close to the edge of a code, or noise takes some across. So rules
    ask at their first step alone: later a loss may well come to rest in one code.
    """
    lsb = getattr(network, "loss_lsb", None)
    if lsb is None or changes.any():
        return
    allowed = f"is a perturbation that the loss ADC cannot see: none of {len(changes)} changed its code (LSB {lsb:.3g})"
    remedy = "enlarge it, or give [chip.loss_adc] more bits, or a full_scale nearer to the losses, and no smaller"
    raise SpecError.of(("rule_options", option), allowed, remedy=remedy)
