"""Decorrelation: the inputs of every layer enter as a' = R a, and R learns until a' have no correlations.

    R <- R - rate <(1 - kappa) (a' a'^T - diag(a'^2)) + kappa diag(a'^2 - 1)>_batch R

R starts as the identity, belongs to the network, as reads need it, too, and learns beside the weights, by what a step
of a rule sees anyway. With kappa = 0 it comes to rest where nothing is correlated, with any other where a' are white.
The rule behind it stays what it is: a' are the inputs of its layers.
Dalm, van Gerven & Ahmad 2026 (arXiv 2310.00965).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from imcsim.network.protocols import Updates
from imcsim.rng import Generators, children, draw_keys
from imcsim.rules.entry import Shapes, StepCost
from imcsim.rules.rule import Batch, Info, LearningRule, require
from imcsim.specs.fields import Spec, limited
from imcsim.updates import Outer

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class DecorrelationSpec(Spec):
    """R learns at `rate`, every so many steps, beginning with the first; `whitening` is kappa."""

    rate: float = limited(1e-3, low=0.0, high=10.0)
    whitening: float = limited(0.0, low=0.0, high=1.0)
    every: int = limited(1, low=1, high=100_000)


class DecorrelatedState(NamedTuple):
    """The state of the rule behind it, and the steps taken."""

    of_rule: Any
    steps: int


def decorrelated(rule: LearningRule, spec: DecorrelationSpec) -> LearningRule:
    """`rule`, whose estimates are outer products with the inputs of layers, on inputs that are decorrelated meanwhile.

    The estimate is that of the matrices as they were, and so are the weights behind it.
    """

    def init(network: Any, rng: Generators) -> DecorrelatedState:
        remedy = "choose the rule without decorrelation"
        require(network, "decorrelate", "decorrelation matrices", "decorrelation", remedy)
        return DecorrelatedState(rule.init(network, rng), 0)

    def step(
        network: Any, state: DecorrelatedState, batch: Batch, rng: Generators
    ) -> tuple[Updates, DecorrelatedState, Info]:
        updates, of_rule, info = rule.step(network, state.of_rule, batch, rng)
        shapes, keys = network.shapes, draw_keys(rng)
        stored = info.stored + squares(shapes)
        if state.steps % spec.every:
            info = info._replace(stored=stored)
        else:
            before = network if info.network is None else info.network
            entered = [_entered(update.weights, batch.x.shape[-2]) for update in updates]
            after = before.decorrelate(_changes(spec, before.decorrelation, entered), children(keys, "decorrelation"))
            info = Info(info.counts.plus(after.counts().less(before.counts())), stored, after)
        return updates, DecorrelatedState(of_rule, state.steps + 1), info

    return LearningRule(init, step)


def _entered(update: Any, samples: int) -> Array:
    """A' (..., samples, inputs) of a layer, in the first pass of the step."""
    assert isinstance(update, Outer), "the rule must give outer products"
    return update.x[..., :samples, :]


def _changes(spec: DecorrelationSpec, matrices: tuple[Array, ...] | None, entered: list[Array]) -> tuple[Array, ...]:
    """What is added to R^T (..., inputs, inputs) of every layer."""
    known = [None] * len(entered) if matrices is None else matrices
    return tuple(_change(spec, matrix, a) for matrix, a in zip(known, entered, strict=True))


def _change(spec: DecorrelationSpec, matrix: Array | None, a: Array) -> Array:
    """-rate R^T C, of the symmetric C of the equation: (R^T a') a'^T in place of C itself, 2 B n^2 multiplications."""
    kappa, squares_of = spec.whitening, np.square(a).mean(axis=-2)
    back = a if matrix is None else a @ np.swapaxes(matrix, -1, -2)
    correlations = np.swapaxes(back, -1, -2) @ a / a.shape[-2]
    diagonal = (kappa * (squares_of - 1.0) - (1.0 - kappa) * squares_of)[..., np.newaxis, :]
    identity = np.eye(a.shape[-1]) if matrix is None else matrix
    return np.asarray(-spec.rate * ((1.0 - kappa) * correlations + identity * diagonal))


def squares(shapes: Shapes) -> int:
    """The entries of the matrices of layers of such shapes."""
    return sum(inputs**2 for inputs, _ in shapes)


def decorrelated_cost(told: StepCost, shapes: Shapes, samples: int) -> StepCost:
    """What a step asks for that changes R, and whose rule asks for `told`: R a a pass, R^T a' and a product once."""
    entries = squares(shapes)
    return told._replace(
        entries=entries,
        stored=told.stored + entries,
        multiplications=told.multiplications + (told.forward_passes + 2 * samples + 1) * entries,
    )


def needs_decorrelation(needs: Callable[[Any], Collection[str]]) -> Callable[[Any], Collection[str]]:
    """What `needs` tells of the rule behind it, and the matrices."""
    return lambda spec: (*needs(spec), "decorrelate")


NEEDS = "; decorrelation matrices: [decorrelation] of a chip"
COST = "; of each layer n^2 scalars, n^2 multiplications a pass and 2 B n^2 a step that changes R, n its inputs"
SOURCE = "Dalm, van Gerven & Ahmad 2026 (arXiv 2310.00965)"
