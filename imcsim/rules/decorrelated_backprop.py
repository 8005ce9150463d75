"""Backprop on inputs that are decorrelated meanwhile: what decorrelated perturbation is to be compared with."""

from __future__ import annotations

from dataclasses import dataclass, field

from imcsim.rules.backprop import BackpropSpec, hardware_in_the_loop, through_written_cost
from imcsim.rules.decorrelation import (
    COST,
    NEEDS,
    SOURCE,
    DecorrelationSpec,
    decorrelated,
    decorrelated_cost,
    needs_decorrelation,
    squares,
)
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, needs_written
from imcsim.rules.rule import LearningRule


@dataclass(frozen=True, kw_only=True)
class DecorrelatedBackpropSpec(BackpropSpec):
    """The deltas of hidden layers are pruned where `pruning` is given. `decorrelation` tells how R learns."""

    decorrelation: DecorrelationSpec = field(default_factory=DecorrelationSpec)


_PLAIN = DecorrelatedBackpropSpec()


def decorrelated_backprop(spec: DecorrelatedBackpropSpec = _PLAIN) -> LearningRule:
    """Forward on the chip, backward in a digital computer, through W and R as last written."""
    return decorrelated(hardware_in_the_loop(spec), spec.decorrelation)


def _cost(spec: DecorrelatedBackpropSpec, shapes: Shapes, samples: int) -> StepCost:
    told = decorrelated_cost(through_written_cost(spec, shapes, samples), shapes, samples)
    return told._replace(multiplications=told.multiplications + samples * squares(shapes[1:]))


ENTRIES = (
    RuleEntry(
        name="dbp",
        summary="hardware_in_the_loop on decorrelated inputs: a matrix ahead of each layer learns to decorrelate them",
        options=DecorrelatedBackpropSpec,
        build=decorrelated_backprop,
        requires=needs_decorrelation(needs_written),
        asks=_cost,
        unbiased=True,
        needs="forward reads; the weights as last written" + NEEDS,
        cost="as hardware_in_the_loop" + COST,
        source=SOURCE,
    ),
)
