"""Node perturbation: noise is added to the sums of each sample, and what the loss makes of it tells the gradient.

Of a clean pass (a, z, L) and a noisy one (z~, L~), eps added to every sum, dz = z~ - z, dL = L~ - L for each sample:

    np     delta_l = dL / sigma^2 eps_l
    inp    delta_l = n_l dL / |dz_l|^2 dz_l, layer l perturbed by itself: a noisy pass a layer
    anp    delta_l = N dL / |dz|^2 dz_l, all layers at once, |dz|^2 over all of them, N = n_1 + ... + n_L

The estimate of the gradient of layer l is a_in^T delta_l / samples. `np` trusts what it added; the others take what the
sums showed, the read noise in it: they may have two noisy passes and no clean one, and need not know their noise.
Dalm, van Gerven & Ahmad 2026 (arXiv 2310.00965).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from imcsim.network.protocols import Counts, LayerUpdate, Reads, Updates
from imcsim.rng import Generators, Keys, children, draw_keys, drawn
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, needs_each_loss, units_of, weights_of
from imcsim.rules.layer_updates import mean, outer
from imcsim.rules.rule import Batch, Info, LearningRule, require
from imcsim.rules.seen import refusing_the_unseen
from imcsim.specs.fields import Spec, limited

Array = np.ndarray[Any, Any]
Nodes = tuple[Array | None, ...]


@dataclass(frozen=True, kw_only=True)
class NodeSpec(Spec):
    """`sigma` is the standard deviation of the noise, in units of the sums; the mean is taken of `draws` noises."""

    sigma: float = limited(0.01, low=1e-12, high=1e3)
    noise: Literal["gaussian", "rademacher"] = "gaussian"
    draws: int = limited(1, low=1, high=100_000)


@dataclass(frozen=True, kw_only=True)
class MeasuredNodeSpec(NodeSpec):
    """With `passes` "two_noisy" both passes of a pair are noisy, and their difference is what tells."""

    passes: Literal["clean_and_noisy", "two_noisy"] = "clean_and_noisy"


_PLAIN, _MEASURED = NodeSpec(), MeasuredNodeSpec()


def node_perturbation(spec: NodeSpec = _PLAIN) -> LearningRule:
    """Delta = dL / sigma^2 eps: unbiased, as far as the loss is linear over sigma."""

    def step(network: Any, state: None, batch: Batch, rng: Generators) -> tuple[Updates, None, Info]:
        keys = draw_keys(rng)
        reads, loss = noisy_pass(network, batch, None, keys, "clean")
        estimates = []
        for draw in range(spec.draws):
            eps = _noise(spec, network, batch, children(keys, "noise", draw))
            _, noisy = noisy_pass(network, batch, eps, keys, "noisy", draw)
            slope = ((noisy - loss) / spec.sigma**2)[..., None]
            estimates.append(_outer(reads, [slope * one for one in eps]))
        return mean(estimates), state, info_of(network, known_noise_cost(spec, network.shapes, batch.x.shape[-2]))

    return refusing_the_unseen(LearningRule(needs_losses, step), "sigma")


def activity_node_perturbation(spec: MeasuredNodeSpec = _MEASURED) -> LearningRule:
    """ANP: all layers at once, by what their sums showed: biased, as noise of the layers below is in the dz of those
    above.
    """

    def step(network: Any, state: None, batch: Batch, rng: Generators) -> tuple[Updates, None, Info]:
        keys, two = draw_keys(rng), spec.passes == "two_noisy"
        units = units_of(network.shapes)
        estimates, first = [], None
        for draw in range(spec.draws):
            if first is None or two:
                eps = _noise(spec, network, batch, children(keys, "first noise", draw)) if two else None
                first = noisy_pass(network, batch, eps, keys, "first", draw)
            eps = _noise(spec, network, batch, children(keys, "noise", draw))
            estimates.append(by_activity(first, noisy_pass(network, batch, eps, keys, "noisy", draw), units))
        return mean(estimates), state, info_of(network, together_cost(spec, network.shapes, batch.x.shape[-2]))

    return refusing_the_unseen(LearningRule(needs_losses, step), "sigma")


def iterative_node_perturbation(spec: MeasuredNodeSpec = _MEASURED) -> LearningRule:
    """INP: a layer at a time, by what its sums showed."""

    def step(network: Any, state: None, batch: Batch, rng: Generators) -> tuple[Updates, None, Info]:
        keys, two = draw_keys(rng), spec.passes == "two_noisy"
        estimates, first = [], None
        for draw in range(spec.draws):
            updates: list[LayerUpdate] = []
            for layer, (_, units) in enumerate(network.shapes):
                if first is None or two:
                    alone = _alone(spec, network, batch, layer, children(keys, "first noise", draw)) if two else None
                    first = noisy_pass(network, batch, alone, keys, "first", draw, layer)
                noises = _alone(spec, network, batch, layer, children(keys, "noise", draw))
                other = noisy_pass(network, batch, noises, keys, "noisy", draw, layer)
                updates.append(by_activity(first, other, units, (layer,))[0])
            estimates.append(tuple(updates))
        return mean(estimates), state, info_of(network, iterative_cost(spec, network.shapes, batch.x.shape[-2]))

    return refusing_the_unseen(LearningRule(needs_losses, step), "sigma")


def needs_losses(network: Any, rng: Generators) -> None:
    """Raises CapabilityError where the loss ADC converts the mean of the batch."""
    del rng
    require(network, "each_loss", "the loss of each sample", "node perturbation")


def noisy_pass(network: Any, batch: Batch, nodes: Nodes | None, keys: Keys, *stream: str | int) -> tuple[Reads, Array]:
    reads = network.forward(batch.x, children(keys, "read", *stream), nodes=nodes)
    return reads, network.loss(reads, batch.y, children(keys, "loss", *stream))


def _noise(spec: NodeSpec, network: Any, batch: Batch, rng: Generators) -> tuple[Array, ...]:
    """Noise of every sum: a (..., samples, units) a layer."""
    keys, samples = draw_keys(rng), batch.x.shape[-2]

    def of(units: int, one: np.random.Generator) -> Array:
        if spec.noise == "gaussian":
            return spec.sigma * one.standard_normal((samples, units))
        return spec.sigma * (2.0 * one.integers(0, 2, (samples, units)) - 1.0)

    return tuple(
        drawn(children(keys, layer), lambda one, units=units: of(units, one))  # type: ignore[misc]  # bound at once
        for layer, (_, units) in enumerate(network.shapes)
    )


def _alone(spec: NodeSpec, network: Any, batch: Batch, layer: int, rng: Generators) -> Nodes:
    """Noise of the sums of one layer."""
    noises = _noise(spec, network, batch, rng)
    return tuple(one if index == layer else None for index, one in enumerate(noises))


def by_activity(
    first: tuple[Reads, Array], other: tuple[Reads, Array], units: int, layers: Sequence[int] | None = None
) -> Updates:
    """Units dL / |dz|^2 dz, of all layers together or of some."""
    (reads, loss), (noisy, perturbed) = first, other
    layers = range(len(reads.z)) if layers is None else layers
    changes = [noisy.z[layer] - reads.z[layer] for layer in layers]
    norm = sum(np.square(change).sum(axis=-1) for change in changes)
    with np.errstate(invalid="ignore", divide="ignore"):  # sums that did not move tell nothing
        slope = np.where(norm > 0, units * (perturbed - loss) / norm, 0.0)[..., None]
    return _outer(reads, [slope * change for change in changes], layers)


def _outer(reads: Reads, deltas: Sequence[Array], layers: Sequence[int] | None = None) -> Updates:
    layers = range(len(reads.a_in)) if layers is None else layers
    return tuple(outer(reads.a_in[layer], delta) for layer, delta in zip(layers, deltas, strict=True))


def info_of(network: Any, cost: StepCost) -> Info:
    """What a step cost that reads forward and draws, and nothing else."""
    return Info(network.cost(cost.forward_passes).plus(Counts(random_numbers=cost.random_numbers)), cost.stored)


def known_noise_cost(spec: NodeSpec, shapes: Shapes, samples: int) -> StepCost:
    """Of node perturbation by its own noise: the noise is held beside the inputs."""
    return _cost(spec, shapes, samples, passes=1 + spec.draws, noises=1, held=1)


def together_cost(spec: MeasuredNodeSpec, shapes: Shapes, samples: int) -> StepCost:
    """Of all layers perturbed at once: the sums of both passes are held."""
    two = spec.passes == "two_noisy"
    return _cost(spec, shapes, samples, 2 * spec.draws if two else 1 + spec.draws, noises=1 + two, held=2)


def iterative_cost(spec: MeasuredNodeSpec, shapes: Shapes, samples: int) -> StepCost:
    """Of a layer at a time."""
    two, layers = spec.passes == "two_noisy", len(shapes)
    passes = 2 * layers * spec.draws if two else 1 + layers * spec.draws
    return _cost(spec, shapes, samples, passes, noises=1 + two, held=2)


def _cost(spec: NodeSpec, shapes: Shapes, samples: int, passes: int, noises: int, held: int) -> StepCost:
    """Of so many passes; `held` sets of sums are stored beside the inputs of the layers."""
    units = units_of(shapes)
    return StepCost(
        forward_passes=passes * samples,
        random_numbers=noises * spec.draws * samples * units,
        stored=samples * (sum(inputs for inputs, _ in shapes) + held * units),
        multiplications=spec.draws * samples * weights_of(shapes),
    )


_SOURCE = "Dalm, van Gerven & Ahmad 2026 (arXiv 2310.00965)"
ENTRIES = (
    RuleEntry(
        name="np",
        summary="node perturbation: known noise on all sums at once",
        options=NodeSpec,
        build=node_perturbation,
        requires=needs_each_loss,
        asks=known_noise_cost,
        unbiased=True,
        needs="forward reads; the loss of each sample",
        cost="(1 + draws) B forward passes; draws B (n_1 + ... + n_L) random numbers",
        source=_SOURCE,
    ),
    RuleEntry(
        name="anp",
        summary="activity-based node perturbation: noise on all sums at once, told by what the sums showed",
        options=MeasuredNodeSpec,
        build=activity_node_perturbation,
        requires=needs_each_loss,
        asks=together_cost,
        unbiased=False,
        needs="forward reads; the loss of each sample",
        cost="(1 + draws) B forward passes, 2 draws B with two noisy ones; draws B (n_1 + ... + n_L) random numbers",
        source=_SOURCE,
    ),
    RuleEntry(
        name="inp",
        summary="iterative node perturbation: noise on the sums of a layer at a time, told by what they showed",
        options=MeasuredNodeSpec,
        build=iterative_node_perturbation,
        requires=needs_each_loss,
        asks=iterative_cost,
        unbiased=True,
        needs="forward reads; the loss of each sample",
        cost="(1 + L draws) B forward passes, 2 L draws B with two noisy ones; random numbers as anp",
        source=_SOURCE,
    ),
)
