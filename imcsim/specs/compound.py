"""Compound arrays as data: how a fast pulsed array, a digital buffer and a slow pulsed array learn together.

Their behaviour is in imcsim.compound. Thresholds are in nominal steps of the slow array: with 1, a pulse moves it by
what the buffer gives up. Sources: aihwkit's documentation of Tiki-Taka v1, v2 and chopped v2
(Gokmen & Haensch 2020, unverified), and of mixed precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from imcsim.specs.fields import Spec, limited


@dataclass(frozen=True, kw_only=True)
class Transferring(Spec):
    """What schemes share whose fast array takes the updates and is read, a row in turn, every `transfer_every` samples.

    The slow array learns `transfer_rate` times what is read. Reads of the fast array are less its symmetric points,
    which the reference devices hold: as they are ("exact"), where `reference_pairs` pulses up and down in turn led on
    the die ("measured"), or not at all ("none"). The weights are `gamma` times the fast array plus the slow one.
    """

    transfer_every: int = limited(1, low=1, high=10**9)
    transfer_rate: float = limited(low=1e-12, high=1e6, unit="1")
    gamma: float = limited(0.0, low=0, high=1e3, unit="1")
    reference: Literal["exact", "measured", "none"] = "measured"
    reference_pairs: int = limited(1000, low=1, high=10**7)


@dataclass(frozen=True, kw_only=True)
class TikiTaka(Transferring):
    """Version 1: what is read of the fast array goes to the slow one at once, as an outer product in pulse trains."""

    kind: ClassVar[str] = "tiki_taka"


@dataclass(frozen=True, kw_only=True)
class TikiTakaV2(Transferring):
    """Version 2: what is read adds up in a digital buffer, which lets go of pulses to the slow array.

    One for every `threshold` that an entry holds, at most `most_pulses` a transfer. An entry that pulsed loses what was
    paid for, or is left with the share `kept` of itself.
    """

    kind: ClassVar[str] = "tiki_taka_v2"
    threshold: float = limited(1.0, low=1e-9, high=1e9, unit="steps of the slow array")
    most_pulses: int = limited(1, low=1, high=10**6)
    kept: float | None = limited(None, low=0, high=1, unit="1")


@dataclass(frozen=True, kw_only=True)
class ChoppedTikiTaka(TikiTakaV2):
    """Version 2 with a sign a row, under which the fast array is written and read: what does not follow it cancels.

    After a read, the sign of the row flips with `chopper_probability`.
    """

    kind: ClassVar[str] = "chopped_tiki_taka"
    chopper_probability: float = limited(0.1, low=0, high=1, unit="1")


@dataclass(frozen=True, kw_only=True)
class MixedPrecision(Spec):
    """No fast array: updates add up in a digital buffer of full precision, which lets go of pulses after each write."""

    kind: ClassVar[str] = "mixed_precision"
    threshold: float = limited(1.0, low=1e-9, high=1e9, unit="steps of the slow array")
    most_pulses: int = limited(31, low=1, high=10**6)


Compound = TikiTaka | TikiTakaV2 | ChoppedTikiTaka | MixedPrecision
