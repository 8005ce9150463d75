"""How inputs enter the array, as data; imcsim.converters.dac has the behaviour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from imcsim.errors import Problem
from imcsim.specs.fields import Spec, limited

MOST_TABLED_BITS = 12  # each level of each row's converter stands in a table


@dataclass(frozen=True, kw_only=True)
class IdealDAC(Spec):
    """Inputs enter as they are, in one cycle, unquantised; a full input is the largest of the calibration data."""

    kind: ClassVar[str] = "ideal"
    signed: bool = False
    out_of_range: Literal["error", "clip"] = "error"


@dataclass(frozen=True, kw_only=True)
class _QuantisingDAC(Spec):
    """What converters of `bits` bits share. Signed inputs of one bit are their signs, 0 counting as +1.

    `input_scale` is how a calibration chooses the input step: the largest |x| to the largest code, or the least squared
    error, which saturates the largest inputs and so needs `out_of_range` = "clip". The converter of every row has a
    gain of its own, frozen, and levels made of unit elements whose mismatch bends them (INL); noise, in LSB, is drawn
    for each row at each cycle and so is common to all columns.
    """

    bits: int = limited(8, low=1, high=16)
    signed: bool = False
    input_scale: Literal["mse", "max"] = "max"
    out_of_range: Literal["error", "clip"] = "error"
    gain_sigma_rel: float = limited(0.0, low=0, high=0.5, unit="1")
    unit_sigma_rel: float = limited(0.0, low=0, high=1, unit="1")
    noise_lsb: float = limited(0.0, low=0, high=1e3, unit="LSB")

    @property
    def driven_bits(self) -> int:
        """The bits of the largest level that drives a row."""
        return self.bits

    def problems(self) -> Iterable[Problem]:
        if self.input_scale == "mse" and self.out_of_range == "error":
            yield Problem(
                ("input_scale",),
                "the least squared error saturates the largest inputs",
                given='"mse"',
                remedy='set out_of_range = "clip", or input_scale = "max"',
            )
        if not self.exact and self.driven_bits > MOST_TABLED_BITS:
            yield Problem(
                ("bits",),
                f"levels of at most {MOST_TABLED_BITS} bits can have errors of their own",
                given=f"{self.driven_bits} bits a level",
                remedy="set gain_sigma_rel, unit_sigma_rel and noise_lsb to 0, or lower the bits",
            )

    @property
    def exact(self) -> bool:
        """Whether every level is what it should be."""
        return self.gain_sigma_rel == self.unit_sigma_rel == self.noise_lsb == 0


@dataclass(frozen=True, kw_only=True)
class BitSerialDAC(_QuantisingDAC):
    """Inputs of `bits` bits in slices of `slice_bits` a cycle, least significant first.

    Signed inputs enter in two's complement (unsigned slices, the last of which is the sign bit alone and counts
    negative), in two phases (positive inputs, then the magnitudes of negative ones, subtracted), or as sign and
    magnitude, which drives rows both ways. The cycles are converted one by one and added digitally, or added as charge
    ahead of a single conversion (`accumulation` = "analog").
    """

    kind: ClassVar[str] = "bit_serial"
    slice_bits: int = limited(1, low=1, high=16)
    encoding: Literal["twos_complement", "two_phase", "sign_magnitude"] = "twos_complement"
    accumulation: Literal["digital", "analog"] = "digital"

    @property
    def driven_bits(self) -> int:
        return min(self.slice_bits, self.bits)

    def overriding(self, name: str, value: Any) -> dict[str, Any]:
        return {"encoding": "twos_complement"} if name == "signed" and not value else {}

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.slice_bits > self.bits:
            yield Problem(("slice_bits",), f"must be at most bits = {self.bits}", given=str(self.slice_bits))
        if self.encoding != "twos_complement" and not self.signed:
            yield Problem(
                ("encoding",),
                "says how signed inputs enter, and the inputs are unsigned",
                given=f'"{self.encoding}"',
                remedy="set signed = true or drop it",
            )


@dataclass(frozen=True, kw_only=True)
class OneShotDAC(_QuantisingDAC):
    """Inputs of `bits` bits in one cycle: levels from 0, or symmetric about 0 with 0 exact where signed.

    The largest code drives a cell like a set bit of the bit-serial converter, a smaller one in proportion, its noise
    and jitter included: a linear multiplication, whatever quantity of the word line carries the code. A code carried by
    the pulse's width would keep its absolute jitter.
    """

    kind: ClassVar[str] = "one_shot"


DAC = BitSerialDAC | OneShotDAC | IdealDAC
