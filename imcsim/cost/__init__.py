"""Cost: what a step of each learning rule asks of a network on a chip, in closed form: nothing is manufactured or run.

chip = Chip(shapes, spec, activation)            spec None: the ideal chip
cost_of(rule_entry("np"), options, chip, samples)
"""

from __future__ import annotations

from imcsim.cost.chip import Chip
from imcsim.cost.growth import growth_of
from imcsim.cost.step import RuleCost, cost_of

__all__ = ["Chip", "RuleCost", "cost_of", "growth_of"]
