"""ChipSpec: the design of a chip, from the cell to the converters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from imcsim.errors import Problem
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import Cell, SramDischargeCell
from imcsim.specs.converters import ADC, DAC, BitSerialDAC, OneShotDAC, UniformADC
from imcsim.specs.fields import Spec


@dataclass(frozen=True, kw_only=True)
class ChipSpec(Spec):
    """A chip before it is manufactured: its cell, array and converters."""

    cell: Cell
    array: ArraySpec = field(default_factory=ArraySpec)
    dac: DAC = field(default_factory=BitSerialDAC)
    adc: ADC = field(default_factory=UniformADC)

    def problems(self) -> Iterable[Problem]:
        if isinstance(self.cell, SramDischargeCell) and isinstance(self.dac, OneShotDAC) and self.dac.signed:
            yield Problem(
                ("dac", "signed"),
                "a bit line only discharges, so inputs in one shot must be unsigned",
                given="true",
                remedy='use kind = "bit_serial", which takes signed inputs in two\'s complement',
            )
