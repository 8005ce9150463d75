"""ChipSpec: the design of a chip, from the cell to the converters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from imcsim.errors import Problem
from imcsim.specs.adc import ADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import Cell, TransistorCell
from imcsim.specs.dac import DAC, BitSerialDAC
from imcsim.specs.fields import Spec


@dataclass(frozen=True, kw_only=True)
class ChipSpec(Spec):
    """A chip before it is manufactured: its cell, array and converters."""

    cell: Cell
    array: ArraySpec = field(default_factory=ArraySpec)
    dac: DAC = field(default_factory=BitSerialDAC)
    adc: ADC = field(default_factory=UniformADC)

    def problems(self) -> Iterable[Problem]:
        if not isinstance(self.cell, TransistorCell):
            return
        if isinstance(self.dac, BitSerialDAC):
            if self.dac.encoding == "sign_magnitude":
                yield Problem(
                    ("dac", "encoding"),
                    "a bit line only discharges, so no row may be driven negative",
                    given='"sign_magnitude"',
                    remedy='use "twos_complement" or "two_phase"',
                )
        elif self.dac.signed:
            yield Problem(
                ("dac", "signed"),
                "a bit line only discharges, so inputs in one shot must be unsigned",
                given="true",
                remedy='use kind = "bit_serial", which takes signed inputs in two\'s complement',
            )
