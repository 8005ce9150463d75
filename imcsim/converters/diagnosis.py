"""Diagnosis: what a layer's ADC ranges do to the values of its columns, and what would serve better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.converters.ranges import Ranges, convert

Array = np.ndarray[Any, Any]

# A range is too narrow where clipping loses more than rounding, LSB^2 / 12 a value. How many values clip says little:
# the least-squares range of 3 bits clips 2.3 % of normal sums, and yet rounding loses more, as it does at any bits.
CLIPPING_DOMINATES = 1.0
# Codes are idle where a converter of this many bits less has all that are used: bits come whole.
IDLE_BITS = 1
# Below one effective bit a conversion tells little more of a value than on which side of the mean it lies.
FEWEST_EFFECTIVE_BITS = 1.0
# An error of this share of an LSB is rounding of the arithmetic, not of the converter.
EXACT_LSB = 1e-6


@dataclass(frozen=True)
class SliceDiagnosis:
    """What conversion makes of the values that columns of one slice took.

    `lsb` and `lo` to `hi` are in MAC units. `clipped_low` and `clipped_high` are the shares of values more than half an
    LSB beyond the outermost levels; `clipping_error` is what they add to the mean squared error, in LSB^2 / 12. Codes
    run from `lowest_code` to `highest_code`, `codes_used` different ones of `codes`. `effective_bits` are
    (SNDR / dB - 1.76) / 6.02, SNDR the variance of the values over the mean squared error of conversion: inf where it
    is exact, nan where the values do not vary. `entropy_bits`: what a code tells.
    """

    lsb: float
    lo: float
    hi: float
    clipped_low: float
    clipped_high: float
    clipping_error: float
    codes: int
    codes_used: int
    lowest_code: int
    highest_code: int
    effective_bits: float
    entropy_bits: float

    @property
    def clipped(self) -> float:
        return self.clipped_low + self.clipped_high

    @property
    def varies(self) -> bool:
        return not math.isnan(self.effective_bits)

    @property
    def idle_bits(self) -> int:
        """How many bits fewer have the codes that are used, with the same LSB and zero at the end or in the middle."""
        zero = round(max(-self.lo / self.lsb, 0.0), 6)  # the quotient may miss a half by its rounding
        if zero > 0:  # codes either side of zero, one less than 2^bits
            fewest = math.log2((self.codes + 1) / (2 * max(self.highest_code - zero, zero - self.lowest_code) + 2))
        else:
            fewest = math.log2(self.codes / max(self.highest_code + 1, 2))
        return max(math.floor(fewest), 0)


@dataclass(frozen=True)
class Diagnosis:
    """The diagnosis of each slice of a layer, none where converters are ideal; as text a table and `advice`."""

    slices: tuple[SliceDiagnosis, ...]

    @property
    def advice(self) -> str:
        """What would serve the layer better, in words; "sound" where nothing would."""
        if not self.slices:
            return "ideal converters: there is nothing to diagnose"
        varying = [(s, entry) for s, entry in enumerate(self.slices) if entry.varies]
        remarks = (remark(varying) for remark in (_on_clipping, _on_idle_codes, _on_coarse_codes))  # the gravest first
        return next((remark for remark in remarks if remark), "sound") if varying else "sound"

    def __str__(self) -> str:
        if not self.slices:
            return self.advice
        head = ("slice", "LSB (MAC)", "from", "to", "clip low", "clip high", "codes used", "effective bits", "entropy")
        rows = [head, *(_row(s, entry) for s, entry in enumerate(self.slices))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([*lines, self.advice])


def diagnose(ranges: Ranges, values: Sequence[Array], counts: Sequence[Array]) -> Diagnosis:
    """What `ranges` make of the distinct `values[s]` that columns of slice s took, and `counts[s]` how often."""
    if ranges.max_code == 0:
        return Diagnosis(())
    slices = zip(ranges.lo, ranges.lsb, values, counts, strict=True)
    return Diagnosis(tuple(_of_slice(lo, lsb, ranges.max_code, v, n) for lo, lsb, v, n in slices))


def _of_slice(lo: float, lsb: float, max_code: int, values: Array, counts: Array) -> SliceDiagnosis:
    v, n = (values, counts) if values.size else (np.zeros(1), np.ones(1))  # columns that were never read gave nothing
    share = n / n.sum()
    position = (v - lo) / lsb
    low, high = position < -0.5, position > max_code + 0.5
    lost = share * np.square(v - convert(v, lo, lsb, max_code))
    codes, which = np.unique(np.clip(np.rint(position), 0, max_code), return_inverse=True)
    often = np.bincount(which, share)
    error = float(lost.sum())
    return SliceDiagnosis(
        lsb=lsb,
        lo=lo,
        hi=lo + lsb * max_code,
        clipped_low=float(share[low].sum()),
        clipped_high=float(share[high].sum()),
        clipping_error=float(lost[low | high].sum()) / (lsb**2 / 12),
        codes=max_code + 1,
        codes_used=codes.size,
        lowest_code=int(codes[0]),
        highest_code=int(codes[-1]),
        effective_bits=_effective_bits(float((share * np.square(v - (share * v).sum())).sum()), error, lsb),
        entropy_bits=float(-(often * np.log2(often)).sum()) if codes.size > 1 else 0.0,
    )


def _effective_bits(variance: float, error: float, lsb: float) -> float:
    if variance <= (EXACT_LSB * lsb) ** 2:
        return math.nan
    if error <= (EXACT_LSB * lsb) ** 2:
        return math.inf
    # IEEE 1241: a full-scale sine has 6.02 dB a bit and 1.76
    return (10 * math.log10(variance / error) - 1.76) / 6.02


def _row(s: int, entry: SliceDiagnosis) -> tuple[str, ...]:
    bits = entry.effective_bits
    return (
        str(s),
        f"{entry.lsb:.4g}",
        f"{entry.lo:.4g}",
        f"{entry.hi:.4g}",
        f"{100 * entry.clipped_low:.2g} %",
        f"{100 * entry.clipped_high:.2g} %",
        f"{entry.codes_used} of {entry.codes}",
        "-" if math.isnan(bits) else "exact" if math.isinf(bits) else f"{bits:.1f}",
        f"{entry.entropy_bits:.1f}",
    )


# Advice on the slices that vary: pairs of a slice's number and its diagnosis


def _on_clipping(slices: Sequence[tuple[int, SliceDiagnosis]]) -> str | None:
    s, worst = max(slices, key=lambda item: item[1].clipping_error)
    if worst.clipping_error <= CLIPPING_DOMINATES:
        return None
    return (
        f"slice {s}: {100 * worst.clipped:.2g} % of values clip and lose more than rounding does: "
        'take range = "mse" or, where it is that, raise adc.bits'
    )


def _on_idle_codes(slices: Sequence[tuple[int, SliceDiagnosis]]) -> str | None:
    inexact = [(s, entry) for s, entry in slices if entry.idle_bits >= IDLE_BITS and entry.effective_bits < math.inf]
    spare = min(entry.idle_bits for _, entry in slices)  # the slices share adc.bits
    if spare >= IDLE_BITS:
        highest = max(entry.highest_code for _, entry in slices)
        does = "has a finer LSB, or does" if inexact else "does"
        fewer = "1 bit less" if spare == 1 else f"{spare} bits less"
        return f'{_never_used(highest, slices[0][1])}: range = "mse" {does} as well with {fewer}'
    if inexact:
        s, idlest = max(inexact, key=lambda item: item[1].idle_bits)
        return f'slice {s}: {_never_used(idlest.highest_code, idlest)}: range = "mse" has a finer LSB'
    return None


def _never_used(highest: int, entry: SliceDiagnosis) -> str:
    return f"codes above {highest} of {entry.codes - 1} are never used"


def _on_coarse_codes(slices: Sequence[tuple[int, SliceDiagnosis]]) -> str | None:
    s, worst = min(slices, key=lambda item: item[1].effective_bits)
    if worst.effective_bits >= FEWEST_EFFECTIVE_BITS:
        return None
    return f'slice {s}: {worst.effective_bits:.1f} effective bits: raise adc.bits, or take range = "mse"'
