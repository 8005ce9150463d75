"""Weight perturbation: noise is added to all weights and biases at once, and what the loss makes of it tells.

With psi drawn for every weight of standard deviation sigma, and C the mean loss of the batch:

    g = (C(w + psi) - C(w)) psi / sigma^2

Werfel, Xie & Seung 2005 (Gaussian psi, forward); Spall 1992 calls the central form with psi = +-sigma SPSA (both
unverified). The chip writes each perturbation, and takes it back; where
weights have codes, psi is what they make of it. A weight at the largest code is written no further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from imcsim.network.protocols import Counts, LayerUpdate, Updates, WeightProbes
from imcsim.rng import Generators, children, draw_keys, drawn
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, needs_nothing, units_of, weights_of
from imcsim.rules.layer_updates import times, total
from imcsim.rules.perturbed import code_steps, in_codes, weight_steps, whole_codes
from imcsim.rules.rule import Batch, Info, LearningRule
from imcsim.rules.seen import refusing_the_unseen
from imcsim.specs.fields import Spec, limited
from imcsim.updates import Dense

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class WeightSpec(Spec):
    """`sigma` is the standard deviation of the noise, in units of the weights; the mean is taken of `draws` noises.

    Without `biases` those are neither perturbed nor learnt.
    """

    sigma: float = limited(0.01, low=1e-12, high=1e3)
    noise: Literal["gaussian", "rademacher"] = "gaussian"
    draws: int = limited(1, low=1, high=100_000)
    biases: bool = True


_DEFAULT = WeightSpec()


def weight_perturbation(spec: WeightSpec = _DEFAULT) -> LearningRule:
    """All weights at once: unbiased, as far as the loss is linear over sigma."""

    def init(network: Any, rng: Generators) -> None:
        """Raises SpecError where sigma is below the write resolution."""
        del rng
        weight_steps(network, spec.sigma, "sigma")

    def step(network: Any, state: None, batch: Batch, rng: Generators) -> tuple[Updates, None, Info]:
        keys, samples, layers = draw_keys(rng), batch.x.shape[-2], len(network.shapes)
        told, codes = cost(spec, network.shapes, samples), code_steps(network) or [0.0] * layers
        reads = network.forward(batch.x, children(keys, "read"))
        before = network.loss(reads, batch.y, children(keys, "loss")).mean(axis=-1)
        counts = Counts(random_numbers=told.random_numbers).plus(network.cost(samples))
        variances, summed = _variances(spec, codes), None
        for draw in range(spec.draws):
            psi = whole_codes(network, _noise(spec, network.shapes, children(keys, "noise", draw)))
            probed = network.probe(batch.x, batch.y, WeightProbes((psi,)), children(keys, "probe", draw))
            network, counts = probed.network, counts.plus(probed.counts)
            slope = (probed.losses[0].mean(axis=-1) - before) / spec.draws
            part = times(psi, [slope / of_codes for of_codes in variances], [slope / spec.sigma**2] * layers)
            summed = part if summed is None else total((summed, part))
        assert summed is not None
        return summed, state, Info(counts, told.stored, network)

    return refusing_the_unseen(LearningRule(init, step), "sigma")


def _variances(spec: WeightSpec, codes: Sequence[float]) -> list[float]:
    """The mean square of the noise as it is written, of each layer: in whole codes, where weights have codes."""
    if spec.noise == "gaussian":
        return [spec.sigma**2 + code**2 / 12.0 for code in codes]  # Sheppard's correction
    return [(in_codes(np.asarray(spec.sigma), code) ** 2).item() for code in codes]


def cost(spec: WeightSpec, shapes: Shapes, samples: int) -> StepCost:
    """Noise and the estimate are held, each the size of weights and biases."""
    weights, biases = weights_of(shapes), units_of(shapes) if spec.biases else 0
    return StepCost(
        forward_passes=(1 + spec.draws) * samples,
        words=2 * weights * spec.draws,
        random_numbers=spec.draws * (weights + biases),
        stored=(weights + biases) * (1 if spec.draws == 1 else 2),
        multiplications=spec.draws * (weights + biases),
    )


def _noise(spec: WeightSpec, shapes: Shapes, rng: Generators) -> Updates:
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
        for layer, shape in enumerate(shapes)
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
        needs="forward reads; the loss, of each sample or of the batch; writes that resolve the perturbation",
        cost="(1 + draws) B forward passes; every weight written there and back; a random number a parameter and draw",
        source="Werfel, Xie & Seung 2005 (unverified)",
    ),
)
