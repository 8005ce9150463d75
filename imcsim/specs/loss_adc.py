"""The converter that reads the loss, as data; imcsim.converters.loss has the behaviour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from imcsim.errors import Problem
from imcsim.specs.fields import Spec, limited


@dataclass(frozen=True, kw_only=True)
class LossADC(Spec):
    """2^`bits` levels from 0 to `full_scale`, in units of the loss, with noise drawn at each conversion.

    It converts the loss of each sample, or, with `per_sample` = false, the mean of the batch, which is formed ahead.
    """

    bits: int = limited(8, low=0, high=24)
    full_scale: float = limited(low=0.0, high=1e6, unit="1")
    noise_lsb: float = limited(0.0, low=0.0, high=1e6, unit="LSB")
    per_sample: bool = True

    @property
    def lsb(self) -> float:
        """The step from a level to the next, in units of the loss."""
        return self.full_scale / ((1 << self.bits) - 1)

    def problems(self) -> Iterable[Problem]:
        if self.bits == 0:
            allowed = "must be an integer from 1 to 24: of 0 bits it gives the same value for every loss"
            yield Problem(("bits",), allowed, given="0", remedy="leave the loss ADC out where the loss is read exactly")
        if self.full_scale == 0.0:
            remedy = "twice the loss of guessing, 2 ln(classes) with cross entropy, leaves room for a bad start"
            yield Problem(("full_scale",), "must be greater than 0", given="0.0", remedy=remedy)
