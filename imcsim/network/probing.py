"""Perturb and read the loss, many times: what rules that know no gradient learn from.

In turn, as a chip must; or together, where passes draw nothing and only the layers above a perturbation change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from imcsim.errors import Problem, SpecError
from imcsim.network.protocols import (
    Counts,
    LayerUpdate,
    NodeProbes,
    NodesInTurn,
    Probed,
    Probes,
    Updates,
    WeightProbes,
    WeightsInTurn,
)
from imcsim.rng import Generators, children, draw_keys
from imcsim.updates import Dense

Array = np.ndarray[Any, Any]
Nodes = tuple[Array | None, ...]

MOST_SUMS = 1 << 21  # of all layers, held together: 16 MB


def in_turn(
    network: Any,
    x: Array,
    target: Array,
    probes: Probes,
    rng: Generators,
    now_s: float,
    written_back: Callable[..., Any],
) -> Probed:
    """The losses of K perturbations, (K, samples), each of a pass of its own, with noise of its own.

    Weights are written; written_back(perturbed, probe, rng, now_s) is that network with its own weights again.
    """
    keys, after, probes = draw_keys(rng), network, one_by_one(network, probes)
    losses: list[Array] = []

    def read(perturbed: Any, nodes: Nodes | None) -> None:
        place = len(losses)
        reads = perturbed.forward(x, children(keys, "read", place), nodes=nodes, now_s=now_s)
        losses.append(perturbed.loss(reads, target, children(keys, "loss", place)))

    if isinstance(probes, WeightProbes):
        for place, probe in enumerate(probes.weights):
            perturbed = after.write(probe, children(keys, "write", place), now_s=now_s)
            read(perturbed, None)
            after = written_back(perturbed, probe, children(keys, "write back", place), now_s)
    else:
        for place in range(how_many(network, x, probes)):
            read(network, tuple(None if one is None else one[place] for one in probes.nodes))
    return probed(network, after, losses, x)


def together(network: Any, x: Array, target: Array, probes: NodeProbes, rng: Generators) -> Probed:
    """The same of nodes, to the bit, for a network that draws nothing in a pass: many perturbations in one.

    The layers below the first that is perturbed run once.
    """
    keys, many = draw_keys(rng), how_many(network, x, probes)
    sums = sum(outputs for _, outputs in network.shapes) * x.size // x.shape[-1]
    at_once, losses = max(1, MOST_SUMS // sums), []
    for start in range(0, many, at_once):
        part = tuple(None if one is None else one[start : start + at_once] for one in probes.nodes)
        reads = network.forward(x, children(keys, "read", start), nodes=part)
        losses.extend(network.loss(reads, target, children(keys, "loss", start)))
    return probed(network, network, losses, x)


def one_by_one(network: Any, probes: Probes) -> NodeProbes | WeightProbes:
    """Perturbations of single nodes or weights, each as a perturbation of all of them."""
    if isinstance(probes, NodesInTurn):
        return NodeProbes(_single_nodes(network, probes.step))
    if isinstance(probes, WeightsInTurn):
        return WeightProbes(_single_weights(network, probes.steps))
    return probes


def _single_nodes(network: Any, step: float) -> tuple[Array, ...]:
    units = [outputs for _, outputs in network.shapes]
    each = step * np.eye(sum(units))[:, np.newaxis, :]
    return tuple(np.split(each, np.cumsum(units)[:-1], axis=-1))


def _single_weights(network: Any, steps: tuple[float | Array, ...]) -> Iterator[Updates]:
    for layer, step in enumerate(steps):
        inputs, outputs = network.shapes[layer]
        each = np.broadcast_to(step, (inputs + 1, outputs))
        for place in range((inputs + 1) * outputs):
            change = np.zeros((inputs + 1, outputs))
            change.flat[place] = each.flat[place]
            yield tuple(
                LayerUpdate(Dense(change[:-1]), change[-1])
                if other == layer
                else LayerUpdate(Dense(np.zeros(shape)), np.zeros(shape[1]))
                for other, shape in enumerate(network.shapes)
            )


def how_many(network: Any, x: Array, probes: NodeProbes) -> int:
    """K. SpecError where layers do not agree on it, or a perturbation does not fit the sums of its layer."""
    shapes = {layer: np.shape(one) for layer, one in enumerate(probes.nodes) if one is not None}
    problems = []
    if len({shape[:1] for shape in shapes.values()}) != 1 or len(probes.nodes) != len(network.shapes):
        allowed = (
            f"must be K perturbations, K the same, of one layer at least of {len(network.shapes)}, None for others"
        )
        problems.append(Problem(("nodes",), allowed, given=f"{len(probes.nodes)} layers, {list(shapes.values())}"))
    for layer, shape in shapes.items():
        samples, units = x.shape[-2], network.shapes[layer][1] if layer < len(network.shapes) else 0
        if len(shape) < 3 or shape[-1] != units or shape[-2] not in (1, samples):
            allowed = f"must be (K, {samples}, {units}) or (K, 1, {units}), as the sums of the layer"
            problems.append(Problem(("nodes", str(layer)), allowed, given=str(shape)))
    if problems:
        raise SpecError(problems)
    return int(next(iter(shapes.values()))[0])


def probed(network: Any, after: Any, losses: list[Array] | Array, x: Array) -> Probed:
    """Losses of passes, one by one or (K, samples), the network they leave, and what they and the writes cost."""
    if not len(losses):
        raise SpecError.of("probes", "must be one perturbation or more", given="none")
    passes = network.cost(len(losses) * x.shape[-2])
    writes = Counts() if after is network else after.counts().less(network.counts())
    return Probed(np.asarray(losses), after, passes.plus(writes))
