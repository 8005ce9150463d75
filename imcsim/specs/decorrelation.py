"""Decorrelation matrices of a chip, as data: where they are held and multiplied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from imcsim.specs.adc import ADC, UniformADC
from imcsim.specs.dac import DAC, BitSerialDAC
from imcsim.specs.fields import Spec
from imcsim.specs.learning import WritePath


@dataclass(frozen=True, kw_only=True)
class DigitalDecorrelation(Spec):
    """A matrix R ahead of every layer, in a digital computer: exact, and no read of the chip."""

    kind: ClassVar[str] = "digital"


@dataclass(frozen=True, kw_only=True)
class DecorrelationArrays(Spec):
    """A matrix R ahead of every layer, on arrays like those of the layers, with converters and a write path of its own.

    It starts as the identity, of which `array.weight_headroom` times 1 is the largest code. Inputs of the first layer
    are signed as `dac.signed` says, those of the others as the activation is.
    """

    kind: ClassVar[str] = "arrays"
    dac: DAC = field(default_factory=BitSerialDAC)
    adc: ADC = field(default_factory=UniformADC)
    write: WritePath = field(default_factory=WritePath)
