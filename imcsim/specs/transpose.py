"""The transposed read of a chip, as data: the converters that stand at the other ends of its lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from imcsim.errors import Problem
from imcsim.specs.adc import ADC, UniformADC
from imcsim.specs.dac import DAC, BitSerialDAC
from imcsim.specs.fields import Spec, limited


@dataclass(frozen=True, kw_only=True)
class TransposeRead(Spec):
    """Arrays that are read the other way as well: bit lines driven by `dac`, word lines converted by `adc`.

    It is there for errors, which are signed, and which shrink while a network learns: by `input_step` every read
    ("each_read") drives its largest |error| with the largest code, as a controller that scales digitally does
    (aihwkit: noise management, ABS_MAX), or a calibration sets the step.

    The word line is taken to be like the bit line: as long as `array.cols` cells, with the load, the capacitance, the
    swing and the current limit that the cell and the array state. Every slice and every polarity has converters of its
    own, those of a pair on common word lines too, of which one is read after the other. All columns of an array are
    driven at once, whatever `array.rows_parallel` says; a unit column is not driven.

    An SRAM cell that is read the other way through another transistor has a mismatch of its own there:
    `mismatch_sigma_rel` is the frozen relative error of its current in the transposed read, on top of the error that
    the cell has in both.
    """

    dac: DAC = field(default_factory=lambda: BitSerialDAC(signed=True))
    adc: ADC = field(default_factory=UniformADC)
    input_step: Literal["each_read", "calibrated"] = "each_read"
    mismatch_sigma_rel: float = limited(0.0, low=0, high=2, unit="1")

    def problems(self) -> Iterable[Problem]:
        if not self.dac.signed:
            yield Problem(
                ("dac", "signed"), "errors are signed, and so must these inputs be", "false", "set signed = true"
            )
        if self.input_step == "each_read" and getattr(self.dac, "input_scale", "max") != "max":
            yield Problem(
                ("dac", "input_scale"),
                'each read drives its largest input with the largest code: "max"',
                f'"{self.dac.input_scale}"',  # type: ignore[union-attr]  # the ideal one has none
                'set input_step = "calibrated" for a step that a calibration chooses',
            )
