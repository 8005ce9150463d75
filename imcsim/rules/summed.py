"""Summed weight-neuron perturbation: the whole fan-in of a neuron at once, each of its weights with a sign of its own.

    g_ij = (C(w_1j + s_1 d, w_2j + s_2 d, ...) - C) / (s_i d), s drawn from +-1 for every weight, C the mean loss

Its mean is the slope of the weight; the slopes of the neuron's other inputs are its noise. So one draw of all signs has
with the gradient g the cosine sqrt(sum |g|^2 / sum_j fan_in_j |g_j|^2). Flower & Jabri 1993
(unverified).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.network.protocols import Counts, Updates, WeightProbes
from imcsim.rng import Generators, children, draw_keys, drawn
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, needs_nothing, units_of, weights_of
from imcsim.rules.layer_updates import with_biases
from imcsim.rules.perturbed import reach, weight_steps
from imcsim.rules.rule import Batch, Info, LearningRule
from imcsim.rules.seen import require_seen
from imcsim.specs.fields import Spec, limited

Array = np.ndarray[Any, Any]
Seen = bool  # the state: whether a step was taken, and so the loss known to show a perturbation


@dataclass(frozen=True, kw_only=True)
class SummedSpec(Spec):
    """`delta` is the size of the perturbation of each weight and bias; the mean is taken of `draws` signs of each."""

    delta: float = limited(0.01, low=1e-12, high=1e3)
    draws: int = limited(1, low=1, high=100_000)


_DEFAULT = SummedSpec()


def summed_weight_neuron_perturbation(spec: SummedSpec = _DEFAULT) -> LearningRule:
    """A pass a neuron and draw; where weights have codes, each is divided by what it really moves (rules.perturbed)."""

    def init(network: Any, rng: Generators) -> Seen:
        """Raises SpecError where delta is below the write resolution."""
        del rng
        weight_steps(network, spec.delta)
        return False

    def step(network: Any, seen: Seen, batch: Batch, rng: Generators) -> tuple[Updates, Seen, Info]:
        keys, far, samples = draw_keys(rng), reach(network, spec.delta), batch.x.shape[-2]
        reads = network.forward(batch.x, children(keys, "read", "clean"))
        loss = network.loss(reads, batch.y, children(keys, "loss", "clean")).mean(axis=-1)
        ends = np.cumsum([outputs for _, outputs in network.shapes])[:-1]
        counts, after, slopes = network.cost(samples), network, [np.zeros(1)] * len(network.shapes)
        for draw in range(spec.draws):
            signs = _signs(network.shapes, children(keys, "signs", draw))
            fan_ins = WeightProbes(_each_fan_in(signs, far.asked))
            found = after.probe(batch.x, batch.y, fan_ins, children(keys, "neurons", draw))
            changes = found.losses.mean(axis=-1) - loss
            if not seen:
                require_seen(network, changes)
            seen, after, counts = True, found.network, counts.plus(found.counts)
            of_layers = np.split(np.moveaxis(changes, 0, -1), ends, axis=-1)
            for layer, (change, sign, span) in enumerate(zip(of_layers, signs, far.spans, strict=True)):
                slopes[layer] = slopes[layer] + change[..., np.newaxis, :] * sign / (spec.draws * span)
        told = summed_cost(spec, network.shapes, samples)
        updates = tuple(with_biases(one) for one in slopes)
        counts = counts.plus(Counts(random_numbers=told.random_numbers))
        return updates, True, Info(counts, told.stored, after)

    return LearningRule(init, step)


def _signs(shapes: Shapes, rng: Generators) -> list[Array]:
    """+-1 for every weight and, in the last row, bias: (..., inputs + 1, outputs) a layer."""
    keys, found = draw_keys(rng), []
    for layer, (inputs, outputs) in enumerate(shapes):
        size = inputs + 1, outputs
        bits = drawn(children(keys, layer), lambda one, size=size: one.integers(0, 2, size))  # type: ignore[misc]
        found.append(2.0 * bits - 1.0)
    return found


def _each_fan_in(signs: Sequence[Array], asked: Sequence[Array]) -> Iterator[Updates]:
    """The perturbation of every neuron, first layer first: the steps asked for, with its signs."""
    still = tuple(with_biases(np.zeros_like(one)) for one in signs)
    for layer, (sign, step) in enumerate(zip(signs, asked, strict=True)):
        for neuron in range(sign.shape[-1]):
            change = np.zeros_like(sign)
            change[..., neuron] = sign[..., neuron] * step[:, neuron]
            one = with_biases(change)
            yield (*still[:layer], one, *still[layer + 1 :])


def summed_cost(spec: SummedSpec, shapes: Shapes, samples: int) -> StepCost:
    """A slope of each weight is held, the signs of a fan-in, and a loss to compare with."""
    weights, units = weights_of(shapes), units_of(shapes)
    return StepCost(
        forward_passes=(1 + spec.draws * units) * samples,
        words=2 * spec.draws * weights,
        random_numbers=spec.draws * (weights + units),
        stored=weights + units + max(inputs for inputs, _ in shapes) + 2,
        multiplications=spec.draws * weights,
    )


ENTRIES = (
    RuleEntry(
        name="swnp",
        summary="summed weight-neuron perturbation: a neuron's fan-in at once, with random signs",
        options=SummedSpec,
        build=summed_weight_neuron_perturbation,
        requires=needs_nothing,
        asks=summed_cost,
        unbiased=True,
        needs="the loss, of each sample or of the batch; weights that can be written there and back",
        cost="(1 + draws (n_1 + ... + n_L)) B forward passes; draws P random numbers; 2 draws writes of every weight",
        source="Flower & Jabri 1993 (NIPS 5, 212; unverified)",
    ),
)
