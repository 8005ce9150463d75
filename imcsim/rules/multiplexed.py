"""Multiplexed gradient descent: all parameters are perturbed at once, by codes that tell them apart in time.

In time step t a code gives a perturbation u(t) of norm `norm`, a new one every tau_p steps; the samples change every
tau_x steps. With C0 the cost without perturbation, measured whenever samples or weights have changed,

    C~(t) = C(theta + u(t); x) - C0        g = mean over tau_theta steps of C~(t) u(t) / <u_i^2>

of which the mean is the gradient, to the first order in u. McCaughan et al. 2023 take the sum of C~ u / norm^2, whose
mean is tau_theta / P of the gradient of P parameters: their rate eta is a learning rate of eta tau_theta / P here.
Oripov et al. 2025 give each layer perturbations and costs of its own, and perturb nodes, too: every sample then has a
C~ of its own, and C~ u is the error of its nodes. McCaughan et al. 2023.

A step of the rule is one update of the weights: tau_theta time steps on a batch, which is shown in tau_theta / tau_x
groups. Time goes on from step to step, so that codes may be longer than tau_theta.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from imcsim.errors import Problem
from imcsim.network.protocols import Counts, LayerUpdate, NodeProbes, Probed, Reads, Updates
from imcsim.rng import Generators, children, draw_keys
from imcsim.rules.codes import Code, CodeSpec, begun
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, units_of, weights_of
from imcsim.rules.layer_updates import outer, total
from imcsim.rules.parameters import coded, estimated, sizes_of
from imcsim.rules.perturbed import require_written
from imcsim.rules.rule import Batch, Info, LearningRule, require
from imcsim.rules.seen import unseen_after
from imcsim.specs.fields import limited

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class MgdSpec(CodeSpec):
    """`tau_x` and `tau_theta`: time steps between two groups of samples, and between two updates.

    A batch is shown in tau_theta / tau_x groups, as equal as can be; where it has fewer samples, they are shown again.
    `scope` "layerwise" perturbs one layer after the other, each with a code of that norm. `perturb` "nodes" adds to
    the sums, for all samples of a group alike. With `step_length` "gradient" the mean of the estimate is the gradient;
    "bounded" divides it by sqrt(1 + (K - 1) tau_p / tau_theta), K parameters perturbed together, which makes it as long
    as the gradient (Oripov et al. 2025, unverified).
    """

    tau_x: int = limited(1, low=1, high=1_000_000_000)
    tau_theta: int = limited(1, low=1, high=1_000_000_000)
    scope: Literal["global", "layerwise"] = "global"
    perturb: Literal["weights", "nodes"] = "weights"
    step_length: Literal["gradient", "bounded"] = "gradient"

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.step_length == "bounded" and self.code != "random":
            allowed = "is how long estimates of random codes are: others come closer to the gradient, or reach it"
            yield Problem(("step_length",), allowed, f'"bounded" with code = "{self.code}"', 'set it to "gradient"')
        for name, told in (
            ("tau_x", "a batch is shown in whole groups of tau_x time steps"),
            ("tau_p", "no perturbation may go on while the weights are updated"),
        ):
            given = getattr(self, name)
            if self.tau_theta % given:
                allowed = f"must divide tau_theta = {self.tau_theta}: {told}"
                step = math.lcm(self.tau_x, self.tau_p)
                above = -(-self.tau_theta // step) * step
                near = f"{above - step} or {above}" if above > step else f"{above}"
                remedy = f"set tau_theta = {near}, or to another multiple of {step}"
                yield Problem((name,), allowed, str(given), remedy)


class Part(NamedTuple):
    """Layers that are perturbed together, and their code."""

    layers: tuple[int, ...]
    code: Code


class MgdState(NamedTuple):
    """The codes, how many time steps they have run, and how many perturbations no loss has shown (see seen.py)."""

    parts: tuple[Part, ...]
    time: int
    unseen: int | None


_DEFAULT = MgdSpec()


def multiplexed_gradient_descent(spec: MgdSpec = _DEFAULT) -> LearningRule:
    """The discrete rule, in which the weights stand still for tau_theta time steps."""
    of_part_by = _of_weights if spec.perturb == "weights" else _of_nodes

    def init(network: Any, rng: Generators) -> MgdState:
        if spec.perturb == "nodes":
            require(network, "each_loss", "the loss of each sample", "perturbation of nodes")
        parts = _parts(spec, network.shapes, rng)
        if spec.perturb == "weights":
            for part in parts:
                require_written(network, part.code.largest, "norm", spec.norm)
        return MgdState(parts, time=0, unseen=0)

    def step(network: Any, state: MgdState, batch: Batch, rng: Generators) -> tuple[Updates, MgdState, Info]:
        told = cost(spec, network.shapes, batch.x.shape[-2])
        counts, estimates = Counts(random_numbers=told.random_numbers), []
        time, unseen = state.time, state.unseen
        if not time:  # under a key of this step: several dies begin alike, and must not perturb alike
            state = state._replace(parts=_parts(spec, network.shapes, rng))
        for group, share in _groups(batch, spec.tau_theta // spec.tau_x):
            reads = network.forward(group.x, rng)
            before = network.loss(reads, group.y, rng)
            counts = counts.plus(network.cost(group.x.shape[-2]))
            periods = [(time + t) // spec.tau_p for t in range(spec.tau_x)]
            estimate: list[LayerUpdate] = []
            for part in state.parts:
                factor = share * _length(spec, part.code) / (spec.tau_x * part.code.power)
                of_part, probed = of_part_by(network, group, (reads, before), part, periods, factor, rng)
                estimate += of_part
                unseen = unseen_after(network, unseen, probed.losses - before, "norm")
                network, counts = probed.network, counts.plus(probed.counts)
            estimates.append(tuple(estimate))
            time += spec.tau_x
        return total(estimates), MgdState(state.parts, time, unseen), Info(counts, told.stored, network)

    return LearningRule(init, step)


def _parts(spec: MgdSpec, shapes: Shapes, rng: Generators) -> tuple[Part, ...]:
    sizes = sizes_of(shapes) if spec.perturb == "weights" else [units for _, units in shapes]
    keys, layers = draw_keys(rng), tuple(range(len(sizes)))
    groups = (layers,) if spec.scope == "global" else tuple((layer,) for layer in layers)
    return tuple(
        Part(group, begun(spec, sum(sizes[layer] for layer in group), children(keys, "code", number)))
        for number, group in enumerate(groups)
    )


def _of_weights(
    network: Any,
    group: Batch,
    clean: tuple[Reads, Array],
    part: Part,
    periods: Sequence[int],
    factor: float,
    rng: Generators,
) -> tuple[list[LayerUpdate], Probed]:
    """Factor times the sum over periods of C~ u, C the mean loss of the group: of the weights of a part."""
    (_, before), (layers, code) = clean, part
    probes = coded(network, layers, (code.at(period) for period in periods))
    probed = network.probe(group.x, group.y, probes, rng)
    change = probed.losses.mean(axis=-1) - before.mean(axis=-1)
    # made again: a chip that holds its key need not hold its perturbations
    summed = sum(factor * one[..., np.newaxis] * code.at(period) for one, period in zip(change, periods, strict=True))
    updates = estimated(network, layers, code, summed)
    return [updates[layer] for layer in layers], probed


def _of_nodes(
    network: Any,
    group: Batch,
    clean: tuple[Reads, Array],
    part: Part,
    periods: Sequence[int],
    factor: float,
    rng: Generators,
) -> tuple[list[LayerUpdate], Probed]:
    """The same of nodes, C the loss of each sample: the sum is the error of a sample's nodes, times its inputs."""
    (reads, before), (layers, code) = clean, part
    u = np.stack([code.at(period) for period in periods])
    # (periods, members of an ensemble, samples, units): what all of them share, they have once
    u = u.reshape(len(u), *(1,) * (before.ndim + 1 - u.ndim), *u.shape[1:-1], 1, code.places)
    ends = np.cumsum([network.shapes[layer][1] for layer in layers])
    nodes: list[Array | None] = [None] * len(network.shapes)
    for layer, perturbation in zip(layers, np.split(u, ends[:-1], axis=-1), strict=True):
        nodes[layer] = perturbation
    probed = network.probe(group.x, group.y, NodeProbes(tuple(nodes)), rng)
    change = probed.losses - before
    error = sum(factor * of_loss[..., np.newaxis] * of_nodes for of_loss, of_nodes in zip(change, u, strict=True))
    deltas = np.split(np.asarray(error), ends[:-1], axis=-1)
    return [outer(reads.a_in[layer], delta) for layer, delta in zip(layers, deltas, strict=True)], probed


def _groups(batch: Batch, groups: int) -> Iterator[tuple[Batch, float]]:
    """The groups of a batch, each with its share of the mean over the batch."""
    if groups == 1:
        yield batch, 1.0
        return
    samples = batch.x.shape[-2]
    shown = np.resize(np.arange(samples), max(samples, groups))
    times = np.bincount(shown, minlength=samples)
    for rows in np.array_split(shown, groups):
        yield Batch(batch.x[..., rows, :], batch.y[..., rows]), float((1.0 / times[rows]).sum() / samples)


def _length(spec: MgdSpec, code: Code) -> float:
    """What the mean over tau_theta steps is multiplied by."""
    if spec.step_length == "gradient":
        return 1.0
    return 1.0 / math.sqrt(1.0 + (code.places - 1) * spec.tau_p / spec.tau_theta)


def cost(spec: MgdSpec, shapes: Shapes, samples: int) -> StepCost:
    """Each group runs once without perturbation, and once for each time step and part."""
    groups, parts = spec.tau_theta // spec.tau_x, 1 if spec.scope == "global" else len(shapes)
    shown, units = max(samples, groups), units_of(shapes)
    passes = shown * (1 + parts * spec.tau_x)
    if spec.perturb == "nodes":
        return StepCost(
            forward_passes=passes,
            random_numbers=random_numbers(spec, units, spec.tau_theta),
            # the inputs and the error of every sample until the update, and the losses without perturbation
            stored=shown * (sum(inputs for inputs, _ in shapes) + units) + math.ceil(shown / groups),
            multiplications=shown * (spec.tau_x * units + weights_of(shapes)),
        )
    sizes = sizes_of(shapes)
    together = [shapes] if spec.scope == "global" else [(shape,) for shape in shapes]
    return StepCost(
        forward_passes=passes,
        words=round(2 * spec.tau_theta * sum(perturbed_weights(spec, part) for part in together)),
        random_numbers=random_numbers(spec, sum(sizes), spec.tau_theta),
        stored=sum(sizes) + 1,
        multiplications=spec.tau_theta * sum(sizes),
    )


def random_numbers(spec: CodeSpec, places: int, steps: int) -> int:
    """Of random codes one a place and a period; the others draw nothing once they have begun."""
    return places * math.ceil(steps / spec.tau_p) if spec.code == "random" else 0


def perturbed_weights(spec: CodeSpec, shapes: Shapes) -> float:
    """How many weights, biases aside, a code of all these layers changes in a time step, in the mean."""
    if spec.code == "sequential":
        return weights_of(shapes) / sum(sizes_of(shapes))
    return weights_of(shapes) / (spec.sparsity or 1)


def _requires(spec: Any) -> Collection[str]:
    return ("each_loss",) if spec.perturb == "nodes" else ()


ENTRIES = (
    RuleEntry(
        name="mgd",
        summary="multiplexed gradient descent: all parameters at once, by codes that tell them apart in time",
        options=MgdSpec,
        build=multiplexed_gradient_descent,
        requires=_requires,
        asks=cost,
        unbiased=True,
        needs='forward reads, writes that resolve the perturbation; the loss of each sample with perturb = "nodes"',
        cost="B (1 + tau_x) forward passes, B (1 + L tau_x) layer by layer; random codes draw tau_theta / tau_p "
        "numbers a parameter or node",
        source="McCaughan et al. 2023, Oripov et al. 2025",
    ),
)
