"""What a read asks of a chip, in closed form: array reads and conversions."""

from __future__ import annotations

from imcsim.floorplan import Floorplan
from imcsim.network.protocols import Counts
from imcsim.specs.adc import IdealADC


def read_cost(plan: Floorplan, samples: int) -> Counts:
    """The array reads and conversions of so many samples through one matrix.

    A read drives one group of rows of one array (of a tile of rows and one of columns) for a cycle, in one slice; both
    polarities are read at once, and every tile in as many groups as the first. Every physical column of every polarity
    that is converted, unit columns included, is one conversion in each cycle, or in each sample where cycles add up as
    charge; an ideal ADC converts nothing.
    """
    tiling, (cycles, converted) = plan.tiling, plan.cycles_a_read
    parts = samples * tiling.tiles * tiling.groups * plan.layout.slices
    conversions = 0 if isinstance(plan.spec.adc, IdealADC) else parts * converted * plan.converted * tiling.columns
    return Counts(array_reads=parts * tiling.arrays * cycles, conversions=conversions)
