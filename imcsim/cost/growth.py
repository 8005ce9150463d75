"""How a cost grows with the network: told by doubling it, not by looking at its formula.

A network of L hidden layers of w units, so many that inputs and outputs hardly count, has N = L w^2 weights and n = L w
nodes. Twice as wide it costs 2^p times as much, twice as deep 2^q times: what grows as N^a n^b L^c has p = 2a + b and
q = a + b + c.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from imcsim.cost.chip import Chip
from imcsim.cost.step import QUANTITIES, cost_of
from imcsim.rules.entry import RuleEntry
from imcsim.specs.fields import Spec

# so wide that what is held of a sample is little beside a layer's weights, so deep that the ends are little of it
WIDTH, DEPTH = 2**13, 2**5


def growth_of(entry: RuleEntry, options: Spec, chip: Chip) -> Mapping[str, str]:
    """Of each quantity of a step, as a product of N, n and L: "1" where it stays, "" where there is none of it."""
    powers = powers_of(entry, options, chip)
    return {name: "" if found is None else written(*found) for name, found in powers.items()}


def powers_of(entry: RuleEntry, options: Spec, chip: Chip) -> Mapping[str, tuple[float, float] | None]:
    """By what powers of 2 each quantity grows as the network is twice as wide, and twice as deep; None: it is none."""
    inputs, outputs = chip.shapes[0][0], chip.shapes[-1][1]
    small, wider, deeper = (
        dataclasses.asdict(cost_of(entry, options, chip.scaled(_uniform(inputs, outputs, width, depth)), samples=1))
        for width, depth in ((WIDTH, DEPTH), (2 * WIDTH, DEPTH), (WIDTH, 2 * DEPTH))
    )
    return {
        name: (math.log2(wider[name] / small[name]), math.log2(deeper[name] / small[name])) if small[name] else None
        for name in QUANTITIES
    }


def written(wider: float, deeper: float) -> str:
    """A product of N, n and L that has these powers of width and depth, to the nearest whole numbers."""
    weights, nodes = divmod(round(wider), 2)
    layers = round(deeper) - weights - nodes
    grows = [_power(name, power) for name, power in (("N", weights), ("n", nodes), ("L", layers)) if power > 0]
    return (" ".join(grows) or "1") + (f"/{_power('L', -layers)}" if layers < 0 else "")


def _power(name: str, power: int) -> str:
    return name if power == 1 else f"{name}^{power}"


def _uniform(inputs: int, outputs: int, width: int, depth: int) -> list[tuple[int, int]]:
    return [(inputs, width), *[(width, width)] * (depth - 1), (width, outputs)]
