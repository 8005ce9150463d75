"""Training in float, told as rules are: what a chip is programmed with afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from imcsim.network.noisy import InjectionSpec
from imcsim.rules.backprop import BackpropSpec, hardware_in_the_loop, through_written_cost
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, needs_written
from imcsim.rules.hardware_aware import hardware_aware
from imcsim.specs.fields import Spec


@dataclass(frozen=True, kw_only=True)
class NoOptions(Spec):
    """None."""


def _cost(options: Spec, shapes: Shapes, samples: int) -> StepCost:
    """Of backprop, all of it in a digital computer: no pass through a chip."""
    del options
    return through_written_cost(BackpropSpec(), shapes, samples)


ENTRIES = (
    RuleEntry(
        name="backprop",
        summary="in silico: backprop in float64, then programmed",
        options=NoOptions,
        build=lambda _: hardware_in_the_loop(),
        unbiased=True,
        requires=needs_written,
        asks=_cost,
        needs="no chip",
        cost="no read of the chip but those of its calibration; one write of every cell",
        source="Rumelhart, Hinton & Williams 1986 (unverified)",
        where="digital",
    ),
    RuleEntry(
        name="hardware_aware",
        summary="hardware-aware: backprop in float through the injected errors of a chip, then programmed",
        options=InjectionSpec,
        build=lambda _: hardware_aware(),
        unbiased=False,
        requires=needs_written,
        asks=_cost,
        needs="no chip; how large its errors are",
        cost="no read of the chip but those of its calibration; one write of every cell",
        source="Joshi et al. 2020, Nat. Commun. 11, 2473 (unverified)",
        where="digital",
    ),
)
