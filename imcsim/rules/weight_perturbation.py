"""Weight perturbation: noise is added to all weights and biases at once, and what the loss makes of it tells.

With psi drawn for every weight of standard deviation sigma, and C the mean loss of the batch:

    forward    g = (C(w + psi) - C(w)) psi / sigma^2
    central    g = (C(w + psi) - C(w - psi)) psi / (2 sigma^2)

Werfel, Xie & Seung 2005 (Gaussian psi, forward); Spall 1992 calls the central form with psi = +-sigma SPSA (both
unverified); references/learning_rules.md, sections 2 and 7. The chip writes each perturbation, and takes it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from imcsim.network.protocols import Counts, LayerUpdate, Updates, WeightProbes
from imcsim.rng import Generators, children, draw_keys, drawn
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, needs_nothing, units_of, weights_of
from imcsim.rules.rule import Batch, Info, LearningRule
from imcsim.specs.fields import Spec, limited
from imcsim.updates import Dense, dense, scaled

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class WeightSpec(Spec):
    """`sigma` is the standard deviation of the noise, in units of the weights; the mean is taken of `draws` noises.

    Without `biases` those are neither perturbed nor learnt.
    """

    sigma: float = limited(0.01, low=1e-12, high=1e3)
    noise: Literal["gaussian", "rademacher"] = "gaussian"
    difference: Literal["forward", "central"] = "forward"
    draws: int = limited(1, low=1, high=100_000)
    biases: bool = True


_DEFAULT = WeightSpec()


def weight_perturbation(spec: WeightSpec = _DEFAULT) -> LearningRule:
    """All weights at once: unbiased, as far as the loss is quadratic (central) or linear (forward) over sigma."""

    def step(network: Any, state: None, batch: Batch, rng: Generators) -> tuple[Updates, None, Info]:
        keys, samples = draw_keys(rng), batch.x.shape[-2]
        told = cost(spec, network.shapes, samples)
        counts, before = Counts(random_numbers=told.random_numbers), None
        if spec.difference == "forward":
            reads = network.forward(batch.x, children(keys, "read"))
            before = _mean(network.loss(reads, batch.y, children(keys, "loss")))
            counts = counts.plus(network.cost(samples))
        total: Updates | None = None
        for draw in range(spec.draws):
            psi = _noise(spec, network, children(keys, "noise", draw))
            signs = (1.0,) if before is not None else (1.0, -1.0)
            probes = WeightProbes(_times(psi, sign) for sign in signs)
            probed = network.probe(batch.x, batch.y, probes, children(keys, "probe", draw))
            network, counts = probed.network, counts.plus(probed.counts)
            up, *down = (_mean(losses) for losses in probed.losses)
            slope = up - before if before is not None else 0.5 * (up - down[0])
            part = _times(psi, slope / (spec.sigma**2 * spec.draws))
            total = part if total is None else _sum(total, part)
        assert total is not None
        return total, state, Info(counts, told.stored, network)

    return LearningRule(_init, step)


def _init(network: Any, rng: Generators) -> None:
    """Nothing is asked for but passes and writes, and nothing is held from step to step."""
    del network, rng


def cost(spec: WeightSpec, shapes: Shapes, samples: int) -> StepCost:
    """Noise and the estimate are held, each the size of weights and biases."""
    weights, biases = weights_of(shapes), units_of(shapes) if spec.biases else 0
    passes = 1 + spec.draws if spec.difference == "forward" else 2 * spec.draws
    return StepCost(
        forward_passes=passes * samples,
        words=2 * weights * spec.draws * (1 if spec.difference == "forward" else 2),
        random_numbers=spec.draws * (weights + biases),
        stored=(weights + biases) * (1 if spec.draws == 1 else 2),
        multiplications=spec.draws * (weights + biases),
    )


def _noise(spec: WeightSpec, network: Any, rng: Generators) -> Updates:
    """Noise of every weight and bias."""
    keys = draw_keys(rng)

    def of(shape: tuple[int, ...], *name: str | int) -> Array:
        def draw(one: Any) -> Array:
            if spec.noise == "gaussian":
                return np.asarray(spec.sigma * one.standard_normal(shape))
            return np.asarray(spec.sigma * (2.0 * one.integers(0, 2, shape) - 1.0))

        return drawn(children(keys, *name), draw)

    return tuple(
        LayerUpdate(
            Dense(of(shape, "weights", layer)),
            of(shape[1:], "biases", layer) if spec.biases else np.zeros(shape[1]),
        )
        for layer, shape in enumerate(network.shapes)
    )


def _mean(losses: Array) -> Array:
    """The loss of the batch, a number or one a member."""
    return np.asarray(losses.mean(axis=-1))


def _times(updates: Updates, factor: float | Array) -> Updates:
    """All of it times a number, or one a member."""
    of_matrix, of_vector = (np.asarray(factor)[(..., *(np.newaxis,) * axes)] for axes in (2, 1))
    return tuple(LayerUpdate(scaled(one.weights, of_matrix), of_vector * one.biases) for one in updates)


def _sum(first: Updates, second: Updates) -> Updates:
    return tuple(
        LayerUpdate(Dense(dense(one.weights) + dense(other.weights)), one.biases + other.biases)
        for one, other in zip(first, second, strict=True)
    )


ENTRIES = (
    RuleEntry(
        name="wp",
        summary="weight perturbation: noise on all weights at once",
        options=WeightSpec,
        build=weight_perturbation,
        requires=needs_nothing,
        unbiased=True,
        asks=cost,
        needs="forward reads; the loss, of each sample or of the batch",
        cost="(1 + draws) B forward passes, 2 draws B with central differences; every weight written there and back",
        source="Werfel, Xie & Seung 2005 (unverified); references: learning_rules.md, section 7",
    ),
)
