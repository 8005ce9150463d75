"""Analog multiplexed gradient descent: what a circuit of filters makes of the cost, with no cost kept beside it.

In time step t, of length 1, with C = C(theta + u(t); x), a high-pass and a low-pass filter:

    C~ <- tau_hp / (tau_hp + 1) (C~ + C - C_before)
    G  <- (tau_theta G + C~ u(t) / <u_i^2>) / (tau_theta + 1)

C_before is C itself in the first step of new samples, as their cost says nothing of the weights. The high-pass filter
passes tau_hp / (tau_hp + 1) of a code that is white in time, by which G is divided here; of slow sines it passes less.
McCaughan et al. 2023, who update the weights by G in every time step and take tau_hp = 1.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from imcsim.network.protocols import Counts, Updates
from imcsim.rng import Generators
from imcsim.rules.codes import Code, CodeSpec, begun
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, needs_nothing
from imcsim.rules.multiplexed import perturbed_weights, random_numbers
from imcsim.rules.parameters import coded, estimated, sizes_of
from imcsim.rules.perturbed import require_written
from imcsim.rules.rule import Batch, Info, LearningRule
from imcsim.rules.seen import unseen_after
from imcsim.specs.fields import limited

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class AnalogMgdSpec(CodeSpec):
    """A step is `tau_x` time steps on its batch, and gives the mean of G over them, in units of gradients.

    With `tau_x` 1 the weights are updated every time step: then give a batch again and again, as one that is new in
    every step moves nothing. `tau_hp`, `tau_theta`: time constants of the high-pass and of the low-pass filter.
    """

    tau_x: int = limited(100, low=1, high=1_000_000_000)
    tau_hp: float = limited(1.6, low=1e-3, high=1e9)
    tau_theta: float = limited(100.0, low=0.0, high=1e9)


class AnalogState(NamedTuple):
    """The code, the time steps it has run, the samples of the last, what the circuit holds; `unseen` as in MgdState."""

    code: Code
    time: int
    batch: Batch | None
    cost: Any
    high_pass: Any
    low_pass: Any
    unseen: int | None


_DEFAULT = AnalogMgdSpec()


def analog_multiplexed_gradient_descent(spec: AnalogMgdSpec = _DEFAULT) -> LearningRule:
    """The analog rule: a biased estimate until its filters have settled, which takes some tau_theta time steps."""
    passed = spec.tau_hp / (spec.tau_hp + 1.0)
    kept = spec.tau_theta / (spec.tau_theta + 1.0)

    def init(network: Any, rng: Generators) -> AnalogState:
        code = begun(spec, sum(sizes_of(network.shapes)), rng)
        require_written(network, code.largest, "norm", spec.norm)
        return AnalogState(code, 0, None, 0.0, 0.0, 0.0, unseen=0)

    def step(network: Any, state: AnalogState, batch: Batch, rng: Generators) -> tuple[Updates, AnalogState, Info]:
        shapes, layers = network.shapes, range(len(network.shapes))
        # under a key of the first step: several dies begin alike, and must not perturb alike
        code = state.code if state.time else begun(spec, sum(sizes_of(shapes)), rng)
        periods = [(state.time + t) // spec.tau_p for t in range(spec.tau_x)]
        probes = coded(network, layers, (code.at(period) for period in periods))
        probed = network.probe(batch.x, batch.y, probes, rng)
        costs = probed.losses.mean(axis=-1)
        before = state.cost if _same(batch, state.batch) else costs[0]
        changes = np.diff(costs, axis=0, prepend=np.asarray(before)[np.newaxis])
        unseen = unseen_after(network, state.unseen, changes, "norm")
        high_pass, low_pass, total = state.high_pass, state.low_pass, 0.0
        for now, period in zip(costs, periods, strict=True):
            high_pass, before = passed * (high_pass + now - before), now
            product = np.asarray(high_pass)[..., np.newaxis] * code.at(period) / code.power
            low_pass = kept * low_pass + (1.0 - kept) * product
            total = total + low_pass
        told = cost(spec, shapes, batch.x.shape[-2])
        state = AnalogState(code, state.time + spec.tau_x, batch, before, high_pass, low_pass, unseen)
        counts = probed.counts.plus(Counts(random_numbers=told.random_numbers))
        estimate = estimated(network, layers, code, total / (spec.tau_x * passed))
        return estimate, state, Info(counts, told.stored, probed.network)

    return LearningRule(init, step)


def _same(batch: Batch, before: Batch | None) -> bool:
    """Whether the samples are those of the last step."""
    return before is not None and all(
        now is last or np.array_equal(now, last) for now, last in zip(batch, before, strict=True)
    )


def cost(spec: AnalogMgdSpec, shapes: Shapes, samples: int) -> StepCost:
    """A pass a time step; G of every parameter, C, C~ are held."""
    parameters = sum(sizes_of(shapes))
    return StepCost(
        forward_passes=spec.tau_x * samples,
        words=round(2 * spec.tau_x * perturbed_weights(spec, shapes)),
        random_numbers=random_numbers(spec, parameters, spec.tau_x),
        stored=parameters + 2,
        multiplications=2 * spec.tau_x * parameters,
    )


ENTRIES = (
    RuleEntry(
        name="mgd_analog",
        summary="multiplexed gradient descent by filters: a high-pass for the cost, a low-pass for each parameter",
        options=AnalogMgdSpec,
        build=analog_multiplexed_gradient_descent,
        requires=needs_nothing,
        asks=cost,
        unbiased=False,
        needs="forward reads, writes that resolve the perturbation",
        cost="tau_x B forward passes; random codes draw tau_x / tau_p numbers a parameter",
        source="McCaughan et al. 2023",
    ),
)
