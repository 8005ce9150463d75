"""ChipSpec: the design of a chip, from the cell to the converters."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field

from imcsim.errors import Problem, SpecError
from imcsim.specs.adc import ADC, UniformADC
from imcsim.specs.array import MOST_ROWS, ArraySpec
from imcsim.specs.cells import AnySramCell, Cell, SramCapacitorCell, TransistorCell
from imcsim.specs.compound import ChoppedTikiTaka, MixedPrecision, TikiTaka, TikiTakaV2
from imcsim.specs.dac import DAC, BitSerialDAC
from imcsim.specs.decorrelation import DecorrelationArrays, DigitalDecorrelation
from imcsim.specs.fields import Spec
from imcsim.specs.learning import AnalogNeurons, WritePath
from imcsim.specs.loss_adc import LossADC
from imcsim.specs.pulsed import PulsedCell
from imcsim.specs.resistive import ResistiveCell
from imcsim.specs.transpose import TransposeRead
from imcsim.specs.wires import GatedWires, ResistiveWires


@dataclass(frozen=True, kw_only=True)
class ChipSpec(Spec):
    """A chip before it is manufactured: its cell, array and converters; its wires and its transposed read, if any.

    What it has for learning: the write path of its weights, or the arrays that stand for each (`compound`); converters
    at the arrays of feedback matrices; matrices that decorrelate the inputs of every layer, None for no such; neurons
    that are circuits, None for digital ones; the converter of the loss, None where it is read exactly.
    """

    cell: Cell
    array: ArraySpec = field(default_factory=ArraySpec)
    dac: DAC = field(default_factory=BitSerialDAC)
    adc: ADC = field(default_factory=UniformADC)
    wires: ResistiveWires | GatedWires | None = None
    transpose: TransposeRead | None = None
    write: WritePath = field(default_factory=WritePath)
    compound: TikiTaka | TikiTakaV2 | ChoppedTikiTaka | MixedPrecision | None = None
    feedback: TransposeRead | None = None
    decorrelation: DigitalDecorrelation | DecorrelationArrays | None = None
    neurons: AnalogNeurons | None = None
    loss_adc: LossADC | None = None

    @property
    def of_feedback(self) -> ChipSpec | None:
        """The design of a feedback matrix: an array that is read by its transposed read alone; None: no converters.

        Its entries do not grow by learning, and need no headroom; a limit that is given is one of the weights.
        """
        if self.feedback is None:
            return None
        array = dataclasses.replace(self.array, weight_headroom=1.0)
        if array.weight_scale == "given":
            array = dataclasses.replace(array, weight_scale="max", weight_limit=None)
        return dataclasses.replace(
            self, array=array, transpose=self.feedback, feedback=None, compound=None, decorrelation=None
        )

    def of_decorrelation(self, *, signed: bool | None = None) -> ChipSpec | None:
        """The design of the array of a decorrelation matrix; None: not on arrays.

        Its inputs are `signed`, or where that is None as its converters say.
        """
        if not isinstance(self.decorrelation, DecorrelationArrays):
            return None
        # most of an identity is 0: only its largest entry tells of a scale
        array = dataclasses.replace(self.array, weight_scale="max", weight_limit=None, weight_percentile=None)
        dac, adc, write = self.decorrelation.dac, self.decorrelation.adc, self.decorrelation.write
        alone = dataclasses.replace(self, transpose=None, feedback=None, compound=None, decorrelation=None)
        design = dataclasses.replace(alone, array=array, dac=dac, adc=adc, write=write)
        return design if signed is None or dac.signed == signed else design.replace("dac.signed", signed)

    @property
    def transposed(self) -> ChipSpec | None:
        """The design of its transposed read: arrays of `cols` x `rows` cells between other converters; None: none.

        Without wires: what arrives through them is that of the read forward, transposed.
        """
        if self.transpose is None:
            return None
        dac, adc = self.transpose.dac, self.transpose.adc
        return ChipSpec(cell=self.cell, array=self.array.transposed, dac=dac, adc=adc)

    def problems(self) -> Iterable[Problem]:
        if self.transpose is not None:
            yield from self._of_transpose()
        if self.feedback is not None:
            yield from self._of_feedback()
        if self.decorrelation is not None:
            yield from self._of_decorrelation()
        if self.wires is not None:
            yield from self._of_wires(self.wires)
        yield from self._of_write()
        if isinstance(self.cell, PulsedCell):
            yield from self._of_pulsed_cells()
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

    def _of_feedback(self) -> Iterable[Problem]:
        # errors are driven into the arrays of feedback as into those that are read the other way
        try:
            _ = self.of_feedback
        except SpecError as error:
            of_it = (problem for problem in error.problems if problem.path[:1] == ("transpose",))
            yield from (dataclasses.replace(problem, path=("feedback", *problem.path[1:])) for problem in of_it)

    def _of_decorrelation(self) -> Iterable[Problem]:
        if not self.dac.signed:
            allowed = "decorrelated inputs have signs, whatever the activation"
            yield Problem(("dac", "signed"), allowed, "false", "set dac.signed = true, or leave decorrelation out")
        if isinstance(self.decorrelation, DigitalDecorrelation):
            return
        if isinstance(self.cell, PulsedCell):
            allowed = "needs matrices whose controller knows them: nobody knows what pulses have written"
            yield Problem(("decorrelation", "kind"), allowed, '"arrays"', 'set kind = "digital"')
            return
        try:
            _ = self.of_decorrelation(signed=True)
        except SpecError as error:
            own = ("dac", "adc", "write")
            of_it = (problem for problem in error.problems if problem.path[:1] and problem.path[0] in own)
            yield from (problem.within("decorrelation") for problem in of_it)

    def _of_write(self) -> Iterable[Problem]:
        path, pulsed = self.write, isinstance(self.cell, PulsedCell)
        if self.compound is not None and not pulsed:
            allowed, given = "is made of pulsed devices", f'cell.kind = "{self.cell.kind}"'
            yield Problem(("compound",), allowed, given, 'leave it out, or set cell.kind = "pulsed"')
        if pulsed and path != WritePath():
            allowed = "is of weight codes: pulsed devices are written by pulses"
            yield Problem(("write",), allowed, remedy='leave it out, or set compound.kind = "mixed_precision"')
        elif path.accumulator_bits is not None and path.accumulator_bits <= self.array.weight_bits:
            allowed = f"must be more than array.weight_bits = {self.array.weight_bits}: it holds what they cannot"
            yield Problem(
                ("write", "accumulator_bits"), allowed, str(path.accumulator_bits), "raise it or leave it out"
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

    def _of_pulsed_cells(self) -> Iterable[Problem]:
        # the state of a device is the signed weight itself: a column of them is its pairs, subtracted
        array, dac = self.array, self.dac
        if array.mapping != "differential":
            allowed = "a pulsed device is one of a pair, the other a fixed reference"
            yield Problem(("array", "mapping"), allowed, f'"{array.mapping}"', 'set mapping = "differential"')
        elif array.subtraction != "analog":
            allowed = "a pulsed device and its reference are subtracted ahead of the converter"
            yield Problem(("array", "subtraction"), allowed, f'"{array.subtraction}"', 'set subtraction = "analog"')
        if len(array.slice_bits) > 1:
            remedy = "set cell_bits = weight_bits - 1, at most 8, and leave slices out"
            given = f"{len(array.slice_bits)} slices"
            yield Problem(("array", "cell_bits"), "a pulsed device holds a whole weight", given, remedy)
        if array.current_limit is not None:
            allowed = "has no meaning where the pair is subtracted: what each device conducts is not modelled"
            yield Problem(("array", "current_limit"), allowed, f"{array.current_limit:g}", "drop it")
        if isinstance(dac, BitSerialDAC) and dac.signed and dac.bits == 1 and dac.encoding == "twos_complement":
            allowed = "inputs of -1 and +1 are completed by the sum of the weights, which pulses leave unknown"
            yield Problem(("dac", "bits"), allowed, "1", 'set encoding = "two_phase" or "sign_magnitude"')

    def _of_wires(self, wires: ResistiveWires | GatedWires) -> Iterable[Problem]:
        if not isinstance(self.cell, ResistiveCell):
            allowed = "are of resistive cells: what others conduct is not modelled"
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

    def _of_transpose(self) -> Iterable[Problem]:
        remedy = "leave it out"
        assert self.transpose is not None
        if (sigma := self.transpose.mismatch_sigma_rel) and not isinstance(self.cell, AnySramCell):
            allowed = f"is of SRAM cells: a {self.cell.kind} one is read both ways through the same device"
            yield Problem(("transpose", "mismatch_sigma_rel"), allowed, f"{sigma:g}", remedy)
        if isinstance(self.cell, SramCapacitorCell):
            allowed = "is of cells between two lines alike: a capacitor cell shares its charge on the bit line"
            yield Problem(("transpose",), allowed, f'cell.kind = "{self.cell.kind}"', remedy)
        elif isinstance(self.wires, GatedWires):
            allowed = "drives bit lines and reads word lines, which lead to gates and carry no current"
            yield Problem(
                ("transpose",), allowed, 'wires.kind = "gated"', 'leave it out, or set wires.kind = "resistive"'
            )
        elif self.wires is not None and isinstance(self.cell, ResistiveCell) and self.cell.current is not None:
            allowed = "goes through wires by reciprocity, which nonlinear cells do not have"
            yield Problem(("transpose",), allowed, remedy="drop cell.current, or wires")
        elif self.array.cols > MOST_ROWS:
            allowed = f"has array.cols rows, of which there may be {MOST_ROWS}"
            yield Problem(("transpose",), allowed, str(self.array.cols), "lower array.cols")
        else:
            try:
                _ = self.transposed
            except SpecError as error:
                yield from (problem.within("transpose") for problem in error.problems)
