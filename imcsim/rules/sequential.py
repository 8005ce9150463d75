"""One perturbation after the other: of every weight, or of every node, and what the loss makes of it.

    wp_sequential   g_ij = (C(w_ij + d) - C) / d, C the mean loss of the batch (Jabri & Flower 1992)
    np_sequential   D_j = (L(z_j + d) - L) / d of every sample, g = a_in^T D / samples (Widrow & Lehr 1990, MR III)

With `difference` "central" it is C(w + d) - C(w - d) over 2 d, with an error O(d^2) in place of O(d). Weights are
written and written back; biases are digital, weights of an input that is 1. Where weights have codes, d is what is
really written, and a weight that cannot go up goes down (rules.perturbed). Jabri & Flower
1992, Widrow & Lehr 1990 (both unverified).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from imcsim.network.protocols import NodesInTurn, Probed, Probes, Updates, WeightsInTurn
from imcsim.rng import Generators, Keys, children, draw_keys
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, needs_each_loss, needs_nothing, units_of, weights_of
from imcsim.rules.layer_updates import outer, with_biases
from imcsim.rules.perturbed import reach, weight_steps
from imcsim.rules.rule import Batch, Info, LearningRule, require
from imcsim.rules.seen import require_seen
from imcsim.specs.fields import Spec, limited

Array = np.ndarray[Any, Any]
Seen = bool  # the state: whether a step was taken, and so the loss known to show a perturbation


@dataclass(frozen=True, kw_only=True)
class SequentialSpec(Spec):
    """`delta` is the perturbation, in units of weights or of sums; the difference is one-sided or two-sided."""

    delta: float = limited(0.01, low=1e-12, high=1e3)
    difference: Literal["forward", "central"] = "forward"


_DEFAULT = SequentialSpec()


def sequential_weight_perturbation(spec: SequentialSpec = _DEFAULT) -> LearningRule:
    """Every weight and bias by itself: it needs nothing but the loss, of each sample or of the batch."""

    def init(network: Any, rng: Generators) -> Seen:
        """Raises SpecError where delta is below the write resolution."""
        del rng
        weight_steps(network, spec.delta)
        return False

    def step(network: Any, seen: Seen, batch: Batch, rng: Generators) -> tuple[Updates, Seen, Info]:
        keys, far = draw_keys(rng), reach(network, spec.delta)
        if spec.difference == "central":
            opposite = WeightsInTurn(tuple(-one for one in far.asked))
            found = _both_ways(network, batch, WeightsInTurn(far.asked), opposite, keys)
            moved = [up - down for up, down in zip(far.up, far.down, strict=True)]
        else:
            rises = [up >= -down for up, down in zip(far.up, far.down, strict=True)]
            steps = tuple(np.where(up, one, -one) for up, one in zip(rises, far.asked, strict=True))
            found = _from_clean(network, batch, WeightsInTurn(steps), _clean_loss(network, batch, keys), keys)
            found = found._replace(counts=found.counts.plus(network.cost(batch.x.shape[-2])))
            moved = [np.where(*ways) for ways in zip(rises, far.up, far.down, strict=True)]
        changes = found.losses.mean(axis=-1)
        if not seen:
            require_seen(network, changes)
        updates = []
        for change, of_layer in zip(_layers(changes, [one.size for one in moved]), moved, strict=True):
            slopes = change.reshape(*change.shape[:-1], *of_layer.shape) / of_layer
            updates.append(with_biases(slopes))
        told = weight_cost(spec, network.shapes, batch.x.shape[-2])
        return tuple(updates), True, Info(found.counts, told.stored, found.network)

    return LearningRule(init, step)


def sequential_node_perturbation(spec: SequentialSpec = _DEFAULT) -> LearningRule:
    """Every node by itself, of all samples at once: it needs the loss of each sample, and what entered each layer."""

    def init(network: Any, rng: Generators) -> Seen:
        """Raises CapabilityError where the loss ADC converts the mean of the batch."""
        del rng
        require(network, "each_loss", "the loss of each sample", "node perturbation")
        return False

    def step(network: Any, seen: Seen, batch: Batch, rng: Generators) -> tuple[Updates, Seen, Info]:
        keys, samples = draw_keys(rng), batch.x.shape[-2]
        reads = network.forward(batch.x, children(keys, "read", "clean"))
        if spec.difference == "central":
            found = _both_ways(network, batch, NodesInTurn(spec.delta), NodesInTurn(-spec.delta), keys)
            moved = 2.0 * spec.delta
        else:
            loss = network.loss(reads, batch.y, children(keys, "loss", "clean"))
            found, moved = _from_clean(network, batch, NodesInTurn(spec.delta), loss, keys), spec.delta
        if not seen:
            require_seen(network, found.losses)
        deltas = _layers(found.losses / moved, [outputs for _, outputs in network.shapes])
        updates = tuple(outer(a_in, delta) for a_in, delta in zip(reads.a_in, deltas, strict=True))
        told = node_cost(spec, network.shapes, samples)
        return updates, True, Info(found.counts.plus(network.cost(samples)), told.stored)

    return LearningRule(init, step)


def _clean_loss(network: Any, batch: Batch, keys: Keys) -> Array:
    reads = network.forward(batch.x, children(keys, "read", "clean"))
    loss: Array = network.loss(reads, batch.y, children(keys, "loss", "clean"))
    return loss


def _from_clean(network: Any, batch: Batch, probes: Probes, loss: Array, keys: Keys) -> Probed:
    """What perturbations add to the losses of the clean pass, in the place of their losses."""
    found: Probed = network.probe(batch.x, batch.y, probes, children(keys, "up"))
    return found._replace(losses=found.losses - loss)


def _both_ways(network: Any, batch: Batch, up: Probes, down: Probes, keys: Keys) -> Probed:
    """By how much losses are larger one way than the other, in the place of losses; all of it counted."""
    first = network.probe(batch.x, batch.y, up, children(keys, "up"))
    second = first.network.probe(batch.x, batch.y, down, children(keys, "down"))
    return Probed(first.losses - second.losses, second.network, first.counts.plus(second.counts))


def _layers(values: Array, sizes: Sequence[int]) -> list[Array]:
    """What there is of every perturbation, (K, ...), as layers of so many: (..., size) each."""
    return np.split(np.moveaxis(values, 0, -1), np.cumsum(sizes)[:-1], axis=-1)


def weight_cost(spec: SequentialSpec, shapes: Shapes, samples: int) -> StepCost:
    """Of weights in turn: a slope of each is held, and a loss to compare with."""
    ways, weights = 1 + (spec.difference == "central"), weights_of(shapes)
    parameters = weights + units_of(shapes)
    return StepCost(
        forward_passes=(parameters * ways + (ways == 1)) * samples,
        words=2 * ways * weights,
        stored=parameters + 1,
        multiplications=weights,
    )


def node_cost(spec: SequentialSpec, shapes: Shapes, samples: int) -> StepCost:
    """Of nodes in turn: of every sample the inputs of the layers, the slopes of nodes, and a loss to compare with."""
    ways, units = 1 + (spec.difference == "central"), units_of(shapes)
    return StepCost(
        forward_passes=(1 + ways * units) * samples,
        stored=samples * (sum(inputs for inputs, _ in shapes) + units + 1),
        multiplications=samples * weights_of(shapes),
    )


_PARAMETERS = "P = weights and biases"
ENTRIES = (
    RuleEntry(
        name="wp_sequential",
        summary="weight perturbation: every weight and bias by itself",
        options=SequentialSpec,
        build=sequential_weight_perturbation,
        requires=needs_nothing,
        asks=weight_cost,
        unbiased=True,
        needs="the loss, of each sample or of the batch; weights that can be written there and back",
        cost=f"(P + 1) B forward passes, 2 P B central, {_PARAMETERS}; every weight is written 2 times, 4 central",
        source="Jabri & Flower 1992 (IEEE Trans. Neural Netw. 3, 154; unverified)",
    ),
    RuleEntry(
        name="np_sequential",
        summary="node perturbation: every node by itself",
        options=SequentialSpec,
        build=sequential_node_perturbation,
        requires=needs_each_loss,
        asks=node_cost,
        unbiased=True,
        needs="forward reads; the loss of each sample; a perturbation that is added to sums",
        cost="(1 + n_1 + ... + n_L) B forward passes; (1 + 2 (n_1 + ... + n_L)) B central",
        source="Widrow & Lehr 1990 (Proc. IEEE 78, 1415: MR III; unverified)",
    ),
)
