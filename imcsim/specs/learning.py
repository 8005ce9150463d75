"""What a chip has for learning beside its arrays, as data: how weights are stored between writes, analog neurons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imcsim.specs.fields import Spec, limited


@dataclass(frozen=True, kw_only=True)
class WritePath(Spec):
    """How updates reach the cells: rounded to whole codes, by themselves or through an accumulator a weight.

    A digital accumulator of `accumulator_bits` holds the weight to as many bits, of which the array has the highest;
    None: what is less than half a code is lost, or with `rounding` "stochastic" becomes a code with the probability
    that keeps the mean.
    """

    accumulator_bits: int | None = limited(None, low=2, high=48)
    rounding: Literal["nearest", "stochastic"] = "nearest"


@dataclass(frozen=True, kw_only=True)
class AnalogNeurons(Spec):
    """Hidden neurons that are circuits: y = gain f(slope (z - offset_in)) + offset_out, frozen at manufacture.

    Gain and slope spread normally about 1, both offsets about 0 (McCaughan et al. 2023, who vary a logistic so).
    Offsets are in the units of the sums and of the outputs. Where the next layer's inputs have no sign, outputs end at
    0. Rules know none of it: they take the slope of the nominal function.
    """

    offset_in_sigma: float = limited(0.0, low=0, high=100)
    offset_out_sigma: float = limited(0.0, low=0, high=100)
    slope_sigma_rel: float = limited(0.0, low=0, high=10, unit="1")
    gain_sigma_rel: float = limited(0.0, low=0, high=10, unit="1")
