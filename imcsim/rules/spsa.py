"""Simultaneous perturbation: all weights and biases by +-c at once, and what the mean loss makes of it.

    central    g = (C(theta + c Delta) - C(theta - c Delta)) Delta / (2 c)        Delta_i = +-1
    forward    g = (C(theta + c Delta) - C(theta)) Delta / c

Spall 1992 (unverified). The forward form is multiplexed gradient descent by random codes of norm c sqrt(P) that updates
the weights after every perturbation; see imcsim.rules.multiplexed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from imcsim.network.protocols import Counts, Updates
from imcsim.rng import Generators
from imcsim.rules.codes import Code, CodeSpec, begun
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, needs_nothing, weights_of
from imcsim.rules.parameters import coded, estimated, sizes_of
from imcsim.rules.perturbed import require_written
from imcsim.rules.rule import Batch, Info, LearningRule
from imcsim.rules.seen import unseen_after
from imcsim.specs.fields import Spec, limited

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class SpsaSpec(Spec):
    """`step` is c, in units of the weights; the mean is taken of `draws` perturbations."""

    step: float = limited(0.01, low=1e-12, high=1e3)
    difference: Literal["central", "forward"] = "central"
    draws: int = limited(1, low=1, high=1_000_000)


class SpsaState(NamedTuple):
    """The code of the signs, how many perturbations it has given, and how many no loss has shown (see seen.py)."""

    code: Code
    drawn: int
    unseen: int | None


_DEFAULT = SpsaSpec()


def spsa(spec: SpsaSpec = _DEFAULT) -> LearningRule:
    """Unbiased as far as the loss is linear over c, or quadratic with central differences."""

    def init(network: Any, rng: Generators) -> SpsaState:
        require_written(network, spec.step, "step", spec.step)
        return SpsaState(_code(spec, network.shapes, rng), 0, unseen=0)

    def step(network: Any, state: SpsaState, batch: Batch, rng: Generators) -> tuple[Updates, SpsaState, Info]:
        (code, drawn, unseen), shapes = state, network.shapes
        if not drawn:  # under a key of this step: several dies begin alike, and must not perturb alike
            code = _code(spec, shapes, rng)
        layers, samples, until = range(len(shapes)), batch.x.shape[-2], drawn + spec.draws
        told = cost(spec, shapes, samples)
        counts = Counts(random_numbers=told.random_numbers)
        if spec.difference == "forward":
            before: Any = network.loss(network.forward(batch.x, rng), batch.y, rng).mean(axis=-1)
            counts = counts.plus(network.cost(samples))
        signs = (1.0, -1.0) if spec.difference == "central" else (1.0,)
        perturbations = (sign * code.at(number) for number in range(drawn, until) for sign in signs)
        probed = network.probe(batch.x, batch.y, coded(network, layers, perturbations), rng)
        costs = probed.losses.mean(axis=-1)
        changes = costs - before if spec.difference == "forward" else (costs[::2] - costs[1::2]) / 2.0
        unseen = unseen_after(network, unseen, changes, "step")
        total = sum(
            change[..., np.newaxis] * code.at(number)
            for change, number in zip(changes, range(drawn, until), strict=True)
        )
        estimate = estimated(network, layers, code, total / (spec.draws * code.power))
        counts = counts.plus(probed.counts)
        return estimate, SpsaState(code, until, unseen), Info(counts, told.stored, probed.network)

    return LearningRule(init, step)


def _code(spec: SpsaSpec, shapes: Shapes, rng: Generators) -> Code:
    parameters = sum(sizes_of(shapes))
    return begun(CodeSpec(norm=spec.step * math.sqrt(parameters)), parameters, rng)


def cost(spec: SpsaSpec, shapes: Shapes, samples: int) -> StepCost:
    """Two passes a perturbation, or one and a common one; the estimate and a loss are held."""
    parameters, central = sum(sizes_of(shapes)), spec.difference == "central"
    return StepCost(
        forward_passes=samples * (2 * spec.draws if central else 1 + spec.draws),
        words=2 * spec.draws * weights_of(shapes) * (2 if central else 1),
        random_numbers=spec.draws * parameters,
        stored=parameters + 1,
        multiplications=spec.draws * parameters,
    )


ENTRIES = (
    RuleEntry(
        name="spsa",
        summary="simultaneous perturbation: all weights by plus or minus the same, the loss above and below",
        options=SpsaSpec,
        build=spsa,
        requires=needs_nothing,
        asks=cost,
        unbiased=True,
        needs="forward reads, writes that resolve the perturbation",
        cost="2 draws B forward passes, (1 + draws) B with forward differences; draws random numbers a parameter",
        source="Spall 1992",
    ),
)
