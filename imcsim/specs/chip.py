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
from imcsim.specs.resistive import ResistiveCell
from imcsim.specs.wires import GatedWires, ResistiveWires


@dataclass(frozen=True, kw_only=True)
class ChipSpec(Spec):
    """A chip before it is manufactured: its cell, array and converters, and its wires where they resist."""

    cell: Cell
    array: ArraySpec = field(default_factory=ArraySpec)
    dac: DAC = field(default_factory=BitSerialDAC)
    adc: ADC = field(default_factory=UniformADC)
    wires: ResistiveWires | GatedWires | None = None

    def problems(self) -> Iterable[Problem]:
        if self.wires is not None:
            yield from self._of_wires(self.wires)
        if isinstance(self.wires, GatedWires):
            yield from self._of_gates()
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

    def _of_gates(self) -> Iterable[Problem]:
        allowed = "must give single bits: the input switches a cell on or off"
        dac = self.dac
        if not isinstance(dac, BitSerialDAC):
            yield Problem(("dac", "kind"), allowed, f'"{dac.kind}"', 'use kind = "bit_serial"')
            return
        if dac.slice_bits != 1:
            yield Problem(("dac", "slice_bits"), allowed, str(dac.slice_bits), "set it to 1")
        if dac.encoding == "sign_magnitude":
            remedy = 'use "twos_complement" or "two_phase"'
            yield Problem(("dac", "encoding"), "a gate has no sign", f'"{dac.encoding}"', remedy)
        for name in ("gain_sigma_rel", "unit_sigma_rel", "noise_lsb"):
            if value := getattr(dac, name):
                yield Problem(("dac", name), "has no meaning where inputs only open and close gates", f"{value:g}")

    def _of_wires(self, wires: ResistiveWires | GatedWires) -> Iterable[Problem]:
        if not isinstance(self.cell, ResistiveCell):
            allowed = "are of cells that conduct: the bit line of an SRAM cell takes currents"
            yield Problem(("wires",), allowed, f'cell.kind = "{self.cell.kind}"', "leave them out")
        elif wires.solver != "nodal":
            given, remedy = f'"{wires.solver}"', 'use solver = "nodal"'
            if self.cell.current is not None:
                yield Problem(("wires", "solver"), "closed forms know cells with I = g V", given, remedy)
            if self.cell.white_noise is not None and isinstance(wires, GatedWires):
                yield Problem(("wires", "solver"), "this closed form knows no noise of cells", given, remedy)
        if wires.pairs != "separate" and not self.array.differential:
            yield Problem(("wires", "pairs"), "has no meaning without a differential mapping", f'"{wires.pairs}"')
        if wires.pairs == "shared_bit_line" and self.array.subtraction != "analog":
            remedy = 'set array.subtraction = "analog"'
            yield Problem(("wires", "pairs"), "subtracts on the bit line itself", '"shared_bit_line"', remedy)
