"""Converters against closed forms: a column of one cell each, its input swept in steps much finer than the LSB."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import j0

import imcsim
from docs.validation.points import Point
from imcsim.specs.adc import ADC, FlashADC, PipelineADC, RampADC, SarADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import OneShotDAC

Array = np.ndarray[Any, Any]

SWEEP = 2**16 - 1  # the largest input code, and so what a driven cell gives, in MAC units
EXACT_DB = 0.05  # 11 bits round inputs that come in steps of LSB / 32
MISMATCHED_DB = 0.3  # the mean of so many converters, to first order in their mismatch
STANDARD_ERRORS = 5  # that a statistic may be off
COLUMNS = 128
DIES = 8  # of so many columns each, every one with a converter of its own
KINDS = {"uniform": UniformADC, "SAR": SarADC, "flash": FlashADC, "pipeline": PipelineADC}


def one_cell_columns(adc: ADC, columns: int, key: int, *, own_arrays: bool = False) -> imcsim.Crossbar:
    """Columns of one cell that stores 1; `own_arrays`: each on an array of its own."""
    array = ArraySpec(rows=1, cols=1 if own_arrays else columns, weight_bits=1, subtraction="analog")
    spec = ChipSpec(cell=SramCell(), array=array, dac=OneShotDAC(bits=16), adc=adc)
    return imcsim.manufacture(spec, (1, columns), key).program(np.ones((1, columns)), imcsim.child(0, "write"))


def sqnr() -> Iterator[Point]:
    """Signal over conversion error of a full-scale sine, in dB, over the bits."""
    for name, kind in KINDS.items():
        for bits in range(3, 9 if kind is FlashADC else 12):
            law = _law_db(bits, _rounding(bits))
            yield Point("sqnr", name, bits, law, _sqnr_db(kind, bits), EXACT_DB, "dB")
    sigma = 0.02
    for bits in range(3, 12):
        # the INL, sigma^2 k (1 - k / 2^b), has a mean of sigma^2 2^b / 8 over the codes of a sine
        law = _law_db(bits, _rounding(bits) + sigma**2 * 2**bits / 8)
        seen = _sqnr_db(SarADC, bits, columns=COLUMNS, unit_sigma_rel=sigma)
        yield Point("sqnr", f"SAR, unit mismatch {100 * sigma:g} %", bits, law, seen, MISMATCHED_DB, "dB")


def _rounding(bits: int) -> float:
    """The mean squared rounding error of a full-scale sine, in LSB^2: 1/12, and what its peaks add."""
    # e(u)^2 = 1/12 + sum cos(2 pi n u) / (pi n)^2 for edges at whole u; the mean of cos(z sin) is J0(z)
    n = np.arange(1, 10_000)
    return 1 / 12 + float((j0(2 * np.pi * n * 2.0 ** (bits - 1)) / (np.pi * n) ** 2).sum())


def _law_db(bits: int, error: float) -> float:
    return 10 * math.log10(4.0**bits / 8 / error)  # 6.02 b + 1.76 for an error of 1/12


def _sqnr_db(kind: Any, bits: int, columns: int = 1, **errors: float) -> float:
    phase = 2 * np.pi * (np.arange(2**14) + 0.5) / 2**14
    x = np.rint(SWEEP * (1 + np.sin(phase)) / 2)[:, None] / SWEEP
    lsb = SWEEP / 2**bits  # the sine reaches the outer edges of the outer codes
    adc = kind(bits=bits, range="given", lo=lsb / 2, hi=SWEEP - lsb / 2, **errors)
    y = one_cell_columns(adc, columns, key=1).mvm(x, imcsim.child(0, "sine"))
    return 10 * math.log10(x.var() / np.square(y - x).mean())


def inl() -> Iterator[Point]:
    """The spread over dies of the transitions of 8-bit converters, in LSB, and their correlation with the middle's."""
    for sigma in (0.005, 0.01, 0.02):
        yield from _spread(f"SAR, unit mismatch {100 * sigma:g} %", sigma, _transitions(SarADC, sigma))
    yield from _spread("ramp, element mismatch 3 %", 0.03, _transitions(RampADC, 0.03))


def inl_correlation() -> Iterator[Point]:
    """How transition k of 8-bit converters errs with transition 128, over dies."""
    k = np.arange(1, 256)
    # cov = sigma^2 (units that both levels count - j k / 2^b): capacitors that both codes switch, elements below both
    for name, found, shared in (
        ("SAR", _transitions(SarADC, 0.02), k & 128),
        ("ramp", _transitions(RampADC, 0.03), np.minimum(k, 128)),
    ):
        law = (shared - k / 2) / np.sqrt(k * (1 - k / 256) * 64)
        for at in range(0, 255, 3):
            seen = np.corrcoef(found[:, at], found[:, 127])[0, 1]
            tolerance = STANDARD_ERRORS * (1 - law[at] ** 2) / math.sqrt(len(found)) + 0.02  # steps blur the outermost
            yield Point("inl_correlation", name, k[at], law[at], seen, tolerance, "1")


def _spread(name: str, sigma: float, found: Array) -> Iterator[Point]:
    for at in range(0, 255, 3):
        k = at + 1
        law = sigma * math.sqrt(k * (1 - k / 256))
        tolerance = STANDARD_ERRORS * law / math.sqrt(2 * len(found)) + 1e-3  # the sweep has 257 steps an LSB
        yield Point("inl", name, k, law, found[:, at].std(), tolerance, "LSB")


def _transitions(kind: type[SarADC | RampADC], sigma: float) -> Array:
    """Where each of 8-bit converters changes its code, in LSB from the lowest level: (converters, 255)."""
    adc = kind(bits=8, range="given", lo=0, hi=SWEEP, unit_sigma_rel=sigma)
    inputs = np.arange(SWEEP + 1)
    found = []
    for die in range(DIES):
        # the converters of an array share a ramp
        crossbar = one_cell_columns(adc, COLUMNS, key=die, own_arrays=kind is RampADC)
        y = crossbar.mvm(inputs[:, None] / SWEEP, imcsim.child(0, "sweep"))
        codes = np.ascontiguousarray(np.rint(y * 255).T)
        found += [np.searchsorted(column, np.arange(1, 256)) for column in codes]
    return (np.array(found) - 0.5) / (SWEEP / 255)
