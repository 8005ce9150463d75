"""Converters between the digital side and the array, as data; imcsim.converters has their behaviour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from imcsim.errors import Problem
from imcsim.specs.fields import Spec, limited


@dataclass(frozen=True, kw_only=True)
class BitSerialDAC(Spec):
    """Inputs of `bits` bits, one bit a cycle, least significant first; signed inputs in two's complement."""

    kind: ClassVar[str] = "bit_serial"
    bits: int = limited(8, low=1, high=16)
    signed: bool = False
    input_scale: Literal["mse", "max"] = "mse"


@dataclass(frozen=True, kw_only=True)
class OneShotDAC(Spec):
    """Inputs of `bits` bits in one cycle: the largest code drives a cell like a set bit of the bit-serial converter.

    A smaller code drives it in proportion, its noise and jitter included: a linear multiplication, whatever quantity of
    the word line carries the code. A code carried by the pulse's width would keep its absolute jitter.
    """

    kind: ClassVar[str] = "one_shot"
    bits: int = limited(8, low=1, high=16)
    signed: bool = False
    input_scale: Literal["mse", "max"] = "mse"


@dataclass(frozen=True, kw_only=True)
class IdealADC(Spec):
    """No conversion: the column's value goes on as it is."""

    kind: ClassVar[str] = "ideal"


@dataclass(frozen=True, kw_only=True)
class UniformADC(Spec):
    """A uniform converter a column: 2^bits levels (one less where the range is symmetric about zero).

    `range`: "mse" is calibrated for the least squared error, "full" covers every possible sum, "given" spans `lo` to
    `hi`, in MAC units (one cell at one input step). Offset, gain and noise are this converter's errors: the first two
    frozen, a draw a column, the last drawn at each conversion.
    """

    kind: ClassVar[str] = "uniform"
    bits: int = limited(8, low=1, high=16)
    range: Literal["mse", "full", "given"] = "mse"
    lo: float | None = limited(None, low=-1e9, high=1e9, unit="MAC units")
    hi: float | None = limited(None, low=-1e9, high=1e9, unit="MAC units")
    offset_sigma_lsb: float = limited(0.0, low=0, high=1e3, unit="LSB")
    gain_sigma_rel: float = limited(0.0, low=0, high=0.5, unit="1")
    noise_lsb: float = limited(0.0, low=0, high=1e3, unit="LSB")

    def problems(self) -> Iterable[Problem]:
        for name in ("lo", "hi"):
            value = getattr(self, name)
            if self.range == "given" and value is None:
                yield Problem((name,), 'is needed where range = "given"', remedy="give lo and hi in MAC units")
            if self.range != "given" and value is not None:
                yield Problem(
                    (name,),
                    f'has no meaning where range = "{self.range}"',
                    str(value),
                    'set range = "given" or drop it',
                )
        if self.lo is not None and self.hi is not None and self.lo >= self.hi:
            yield Problem(("hi",), f"must exceed lo = {self.lo:g}", given=f"{self.hi:g}")

    def overriding(self, name: str, value: Any) -> dict[str, Any]:
        return {"lo": None, "hi": None} if name == "range" and value != "given" else {}


DAC = BitSerialDAC | OneShotDAC
ADC = IdealADC | UniformADC
