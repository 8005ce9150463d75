"""What a budget finds: a line a source, and what other numbers of ADC bits or of rows would give."""

from __future__ import annotations

import math
from dataclasses import dataclass

from imcsim.budget.sources import INTERACTION
from imcsim.specs.chip import ChipSpec

AGREE_DB = 0.5
NEGLIGIBLE = 1e-3  # of the total error: no more is said of a source
LOSS_DB = 0.5  # what a converter may cost before another bit is worth having


@dataclass(frozen=True)
class Line:
    """One source: what it adds to the mean squared error of an output, relative to the power of the signal.

    `total` is the error of everything, against which a source may be negligible.
    """

    name: str
    emulated: float
    standard_error: float
    closed_form: float | None
    doubt: str = ""
    remark: str = ""
    total: float = 0.0

    @property
    def difference_dB(self) -> float | None:  # noqa: N802
        """The closed form over the emulation; None where either has nothing."""
        if self.closed_form is None or self.emulated * self.closed_form <= 0:
            return None
        return 10 * math.log10(self.closed_form / self.emulated)

    @property
    def standard_error_dB(self) -> float:  # noqa: N802
        return 10 / math.log(10) * self.standard_error / abs(self.emulated) if self.emulated else 0.0

    @property
    def verdict(self) -> str:
        """How closed form and emulation agree, in words."""
        if self.closed_form is not None and max(abs(self.closed_form), abs(self.emulated)) < NEGLIGIBLE * self.total:
            return "negligible"
        if self.doubt:
            return self.doubt
        if self.closed_form is not None and self.name == INTERACTION:
            # a difference of sums, small or large: it counts beside the total
            beside = max(self.total, abs(self.emulated))
            allowed = (10 ** (AGREE_DB / 10) - 1) * beside + 2 * self.standard_error
            return "agree" if abs(self.closed_form - self.emulated) <= allowed else "does not agree"
        off = self.difference_dB
        statistics = 2 * self.standard_error_dB
        if off is None or abs(off) > AGREE_DB + statistics:
            return "does not agree"
        return "agree" if abs(off) <= AGREE_DB else f"agree within the +-{statistics:.1f} dB of the sample"


@dataclass(frozen=True)
class Range:
    """The ADC range of a slice in MAC units."""

    slice: int
    lo: float
    hi: float
    lsb: float


@dataclass(frozen=True)
class Point:
    """What a number of ADC bits, or of rows of an array, gives: the error, and what makes it, over the signal's power.

    `emulated` is the total; `closed_forms` the sources, `total` what they add up to.
    """

    at: int
    emulated: float
    total: float
    closed_forms: dict[str, float]
    ranges: tuple[Range, ...]


@dataclass(frozen=True)
class Budget:
    """The budget of a chip for a layer: `lines` of the sources, their `total`, the error `ahead` of the converters.

    `by_bits`: the same for other numbers of ADC bits, none where bits cannot be changed. `signal_power` is what the
    emulation has, in (weight x input)^2.
    """

    spec: ChipSpec
    seed: int
    layer: tuple[int, int]
    columns: int
    signal_power: float
    signal: Line
    lines: tuple[Line, ...]
    total: Line
    ahead: float
    by_bits: tuple[Point, ...]

    def share(self, line: Line) -> float:
        """The share of a line in the total error, by emulation: lines add up to it but for what correlates."""
        return line.emulated / self.total.emulated

    @property
    def bits_enough(self) -> Point | None:
        """The fewest ADC bits whose total is within LOSS_DB of the best; None where no other bits can be asked for."""
        if not self.by_bits:
            return None
        most = min(point.emulated for point in self.by_bits) * 10 ** (LOSS_DB / 10)
        return next(point for point in self.by_bits if point.emulated <= most)

    @property
    def bits_by_rule(self) -> float:
        """B >= (SNR_A + 7.2 - g - 10 log10(1 - 10^(-g/10))) / 6, for a loss of g dB."""
        # of one conversion of the whole product, clipped at 4 sigma: Gonugondla et al. 2022 (unverified)
        return (snr_dB(self.ahead) + 7.2 - LOSS_DB - 10 * math.log10(1 - 10 ** (-LOSS_DB / 10))) / 6


def snr_dB(error: float) -> float:  # noqa: N802  # a decibel is written so
    """The signal-to-noise ratio of an error relative to the signal; inf where there is none."""
    return -10 * math.log10(error) if error > 0 else math.inf


def effective_bits(error: float) -> float:
    """(SNR - 1.76) / 6.02, IEEE 1241: of the ideal converter that loses as much on a full-scale sine."""
    return (snr_dB(error) - 1.76) / 6.02
