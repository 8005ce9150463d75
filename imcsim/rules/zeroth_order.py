"""Zeroth order over codes: random signs on weights or nodes, and one-sided differences of the loss.

Of a clean pass with losses L, C their mean, and Q draws of signs xi for all that is perturbed:

    weights    g = 1/Q sum_q (C(w + mu s xi_q) - C) / (mu s) xi_q    mu whole codes, s what a code is worth
    nodes      delta = 1/Q sum_q (L(z + mu xi_q) - L) / mu xi_q      for each sample; g = a_in^T delta / samples
    mixed      the mean of both, with half of the draws each

Zhao et al. 2024, poor man's training (TODAES 2025). A chip writes its
perturbations of weights as any update, and takes them back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from imcsim.errors import Problem, SpecError
from imcsim.network.protocols import Counts, NodeProbes, Reads, Updates, WeightProbes
from imcsim.rng import Generators, Keys, children, draw_keys
from imcsim.rules.entry import RuleEntry, Shapes, StepCost
from imcsim.rules.layer_updates import mean, outer, times, total
from imcsim.rules.node_perturbation import needs_losses, noisy_pass
from imcsim.rules.random_signs import Chosen, node_signs, weight_signs
from imcsim.rules.rule import Batch, Info, LearningRule, require
from imcsim.rules.seen import require_seen
from imcsim.specs.fields import Spec, limited

Array = np.ndarray[Any, Any]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ZerothOrderSpec(Spec):
    """`perturb` says what; the mean is taken of `draws`, half of weights and half of nodes where it is mixed.

    `weight_step_lsb` are whole codes of a weight, None: 1, and the biases of its layer, digital, move as far;
    `node_step` is in units of the sums, None: 0.01. A step perturbs, and learns, a random `share` of the weights or
    nodes of each of `layers`, from 0 up, None: of all. `norm_scaling` shrinks an estimate to what is best of so many
    draws, N Q / (N Q + d - 1) of d dimensions, N the samples that are perturbed by themselves. Without
    `quantisation_scaling` descent is on codes, s^2 times as fast in each layer. With `replay` perturbations are not
    stored, but made again of their key.
    """

    perturb: Literal["weights", "nodes", "mixed"] = "nodes"
    draws: int = limited(10, low=1, high=100_000)
    weight_step_lsb: int | None = limited(None, low=1, high=32_767, unit="LSB")
    node_step: float | None = limited(None, low=1e-12, high=1e3)
    share: float = limited(1.0, low=1e-6, high=1.0)
    layers: tuple[int, ...] | None = limited(None, low=0, high=100_000)
    norm_scaling: bool = False
    quantisation_scaling: bool = True
    replay: bool = True

    def problems(self) -> Iterable[Problem]:
        if self.perturb == "mixed" and self.draws % 2:
            yield Problem(("draws",), "must be even where weights and nodes share them", given=str(self.draws))
        if self.perturb == "nodes" and self.weight_step_lsb is not None:
            allowed = 'belongs to perturb "weights" and "mixed": nodes move by node_step'
            yield Problem(("weight_step_lsb",), allowed, str(self.weight_step_lsb), "leave it out")
        if self.perturb == "weights" and self.node_step is not None:
            allowed = 'belongs to perturb "nodes" and "mixed": weights move by weight_step_lsb'
            yield Problem(("node_step",), allowed, str(self.node_step), "leave it out")
        if self.layers is not None and not 0 < len(self.layers) == len(set(self.layers)):
            remedy = "leave it out for all layers"
            yield Problem(("layers",), "must name one layer or more, each once", str(list(self.layers)), remedy)

    @property
    def weight_draws(self) -> int:
        return {"weights": self.draws, "nodes": 0, "mixed": self.draws // 2}[self.perturb]

    @property
    def node_draws(self) -> int:
        return self.draws - self.weight_draws

    @property
    def chosen(self) -> Chosen:
        return Chosen(self.share, self.layers)


_DEFAULT = ZerothOrderSpec()


def zeroth_order(spec: ZerothOrderSpec = _DEFAULT) -> LearningRule:
    """Signs at random and one-sided differences: unbiased, as far as the loss is linear over a step and all learns."""

    def init(network: Any, rng: Generators) -> bool:
        needed = _requires(spec)
        if "each_loss" in needed:
            needs_losses(network, rng)
        if "write_resolution" in needed:
            remedy = 'set perturb = "nodes" and quantisation_scaling = true'
            require(network, "write_resolution", "weights that are written in codes", "zeroth order by codes", remedy)
        if spec.layers is not None and max(spec.layers) >= len(network.shapes):
            allowed = f"must be from 0 to {len(network.shapes) - 1}: the network has {len(network.shapes)} layers"
            raise SpecError.of(("rule_options", "layers"), allowed, given=str(list(spec.layers)))
        return False

    def step(network: Any, seen: bool, batch: Batch, rng: Generators) -> tuple[Updates, bool, Info]:
        keys, samples, estimates = draw_keys(rng), batch.x.shape[-2], []
        told = zeroth_order_cost(spec, network.shapes, samples)
        counts = network.cost(samples).plus(Counts(random_numbers=told.random_numbers))
        clean = noisy_pass(network, batch, None, keys, "clean")
        for by, draws in ((_by_weights, spec.weight_draws), (_by_nodes, spec.node_draws)):
            if draws:
                found = by(spec, network, batch, clean, keys)
                if not seen:
                    require_seen(network, found.changes, "node_step" if by is _by_nodes else "weight_step_lsb")
                network, counts = found.network, counts.plus(found.counts)
                estimates.append(found.updates)
        updates = mean(estimates)
        if not spec.quantisation_scaling:  # dC/dcode = s dC/dw, and a code of it is s of the weight
            updates = times(updates, [step**2 for step in network.weight_lsb])
        return updates, True, Info(counts, told.stored, network if spec.weight_draws else None)

    return LearningRule(init, step)


class _Estimate(NamedTuple):
    """An estimate, the changes of the loss that made it, a draw each, the network after it, and what it asked for."""

    updates: Updates
    changes: Array
    network: Any
    counts: Counts


def _by_weights(spec: ZerothOrderSpec, network: Any, batch: Batch, clean: tuple[Reads, Array], keys: Keys) -> _Estimate:
    """By weights and biases, which are written and written back."""
    before, counts, changes, summed = clean[1].mean(axis=-1), Counts(), [], None
    steps = [(spec.weight_step_lsb or 1) * step for step in network.weight_lsb]  # of biases, too: an input of one
    factor = _shrinkage(spec, spec.weight_draws, _weight_dimensions(spec, network.shapes)) / spec.weight_draws
    made = _made(spec, lambda draw: weight_signs(spec.chosen, network.shapes, keys, draw))
    for draw in range(spec.weight_draws):
        probes = WeightProbes((times(made(draw), steps),))
        probed = network.probe(batch.x, batch.y, probes, children(keys, "probe weights", draw))
        network, counts = probed.network, counts.plus(probed.counts)
        changes.append(change := probed.losses[0].mean(axis=-1) - before)
        part = times(made(draw), [factor * change / step for step in steps])
        summed = part if summed is None else total((summed, part))
    assert summed is not None
    return _Estimate(summed, np.array(changes), network, counts)


def _by_nodes(spec: ZerothOrderSpec, network: Any, batch: Batch, clean: tuple[Reads, Array], keys: Keys) -> _Estimate:
    """By nodes, through what entered the layers in the clean pass."""
    (reads, before), samples, counts, changes = clean, batch.x.shape[-2], Counts(), []
    factor = _shrinkage(spec, samples * spec.node_draws, spec.chosen.nodes(network.shapes))
    size = 0.01 if spec.node_step is None else spec.node_step
    factor /= size * spec.node_draws
    made = _made(spec, lambda draw: node_signs(spec.chosen, network.shapes, samples, keys, draw))
    deltas = [np.zeros_like(z) for z in reads.z]
    for draw in range(spec.node_draws):
        nodes = tuple(None if signs is None else size * signs[np.newaxis] for signs in made(draw))
        probed = network.probe(batch.x, batch.y, NodeProbes(nodes), children(keys, "probe nodes", draw))
        counts = counts.plus(probed.counts)
        changes.append(change := probed.losses[0] - before)
        for layer, signs in enumerate(made(draw)):
            if signs is not None:
                deltas[layer] += factor * change[..., np.newaxis] * signs
    updates = tuple(outer(entered, delta) for entered, delta in zip(reads.a_in, deltas, strict=True))
    return _Estimate(updates, np.array(changes), network, counts)


def _made(spec: ZerothOrderSpec, make: Callable[[int], T]) -> Callable[[int], T]:
    """Perturbations by the number of their draw: made again whenever they are needed, or the last one kept."""
    return make if spec.replay else functools.lru_cache(maxsize=1)(make)


def _shrinkage(spec: ZerothOrderSpec, estimates: int, dimensions: int) -> float:
    """Gradient-norm scaling: |g|^2 / E|mean of estimates|^2, of signs in so many dimensions."""
    return estimates / (estimates + dimensions - 1) if spec.norm_scaling else 1.0


def _weight_dimensions(spec: ZerothOrderSpec, shapes: Shapes) -> int:
    """How many weights and biases are perturbed."""
    return spec.chosen.weights(shapes) + spec.chosen.nodes(shapes)


def zeroth_order_cost(spec: ZerothOrderSpec, shapes: Shapes, samples: int) -> StepCost:
    """What is stored are the estimate, what entered the layers where nodes are perturbed, and what is not replayed.

    A random number a sign, and one to choose each place where only a share of them is perturbed.
    """
    weights, nodes = _weight_dimensions(spec, shapes) * bool(spec.weight_draws), spec.chosen.nodes(shapes)
    sparse, times = spec.share < 1.0, 2 if spec.replay else 1
    numbers = spec.weight_draws * weights * (1 + sparse) + spec.node_draws * nodes * (samples + sparse)
    learning = [shape for layer, shape in enumerate(shapes) if spec.chosen.of_layer(layer, shape[1])]
    inputs = samples * sum(shape[0] for shape in learning) if spec.node_draws else 0
    kept = 0 if spec.replay else 1
    return StepCost(
        forward_passes=(1 + spec.draws) * samples,
        words=2 * spec.weight_draws * spec.chosen.weights(shapes),
        random_numbers=times * numbers,
        stored=inputs + max(weights * (1 + kept), weights + samples * nodes * (1 + kept) * bool(spec.node_draws)),
        multiplications=spec.weight_draws * weights
        + sum(inputs * samples * spec.chosen.of_layer(layer, units) for layer, (inputs, units) in enumerate(shapes))
        * bool(spec.node_draws),
    )


def _requires(spec: ZerothOrderSpec) -> Collection[str]:
    each = ["each_loss"] * bool(spec.node_draws)
    return each + ["write_resolution"] * bool(spec.weight_draws or not spec.quantisation_scaling)


ENTRIES = (
    RuleEntry(
        name="zeroth_order",
        summary="zeroth order over codes: random signs on nodes, or on weights by whole codes, regenerated from a key",
        options=ZerothOrderSpec,
        build=zeroth_order,
        requires=_requires,
        asks=zeroth_order_cost,
        unbiased=True,
        needs="forward reads; by nodes the loss of each sample; by weights weights in codes, which are written",
        cost="(1 + draws) B forward passes; by weights each written there and back a draw; signs drawn twice by replay",
        source="Zhao et al. 2024, poor man's training (TODAES 2025)",
    ),
)
