"""Columns of cells against closed forms: noise, mismatch, compute SNR, and the transfer of the analog column."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

import imcsim
from docs.validation.points import Point
from imcsim.mapping import cell_digits, layout
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import BitSerialDAC, OneShotDAC

Array = np.ndarray[Any, Any]

STANDARD_ERRORS = 5  # that a statistic may be off
FLOAT32 = 2e-5  # that arithmetic may be off, of the largest value

BIT_LINE = imcsim.load("sram8t_65nm").cell
# the same cell on a line that neither droops, ends nor leaks
LINE = BIT_LINE.replace("droop_per_V", 0.0).replace("swing_V", 5.0).replace("leakage_rel", 0.0)
JITTER_REL, READ_NOISE_REL = 2.3 / 100, 0.01  # sigma_T / T and the read noise of sram8t_65nm
MISMATCH_REL = 1.8 * 23.8e-3 / 0.3  # alpha sigma_Vt / (V_WL - V_t)


def written(spec: ChipSpec, weights: Array, key: int = 1) -> imcsim.Crossbar:
    """Weights on a manufactured die."""
    return imcsim.manufacture(spec, weights.shape, key).program(weights, imcsim.child(0, "write"))


# Read noise

READS = 20_000


def read_noise() -> Iterator[Point]:
    """The variance of a column of 128 cells, drawn a column, beside one normal a cell; over the rows driven."""
    spec = ChipSpec(cell=LINE, array=ArraySpec(weight_bits=1), dac=BitSerialDAC(bits=1), adc=IdealADC())
    for rows in (1, 2, 4, 8, 16, 32, 64, 96, 128):
        yield from _noise("read_noise_rows", spec, (np.arange(128) < rows).astype(float), rows)


def read_noise_one_shot() -> Iterator[Point]:
    """The same over the input of all rows, which enters in one shot."""
    spec = ChipSpec(cell=LINE, array=ArraySpec(weight_bits=1), dac=OneShotDAC(bits=8), adc=IdealADC())
    for code in (5, 13, 26, 51, 102, 179, 255):
        yield from _noise("read_noise_input", spec, np.full(128, code / 255), code / 255)


def _noise(figure: str, spec: ChipSpec, x: Array, at: float) -> Iterator[Point]:
    crossbar = written(spec, np.ones((128, 1)))
    currents = crossbar.die.currents[0, 0, :, 0, 0, 0].astype(float)
    # jitter scales a cell's own current, read noise is that of a nominal cell
    law = float(np.square(x) @ (JITTER_REL**2 * np.square(currents) + READ_NOISE_REL**2))
    rng = imcsim.child(0, figure, "cells", f"{at:g}")
    each = sum(
        value * (current * (1 + JITTER_REL * rng.normal(size=READS)) + READ_NOISE_REL * rng.normal(size=READS))
        for value, current in zip(x, currents, strict=True)
    )
    tolerance = STANDARD_ERRORS * law * math.sqrt(2 / READS)
    drawn = crossbar.mvm(np.tile(x, (READS, 1)), imcsim.child(0, figure, f"{at:g}"))
    yield Point(figure, "a draw a column", at, law, float(drawn.var()), tolerance, "unit currents^2")
    yield Point(figure, "a draw a cell", at, law, float(np.var(each)), tolerance, "unit currents^2")


# Mismatch

MAPPINGS: dict[str, dict[str, Any]] = {
    "differential": {"mapping": "differential"},
    "two-sided": {"mapping": "differential_two_sided"},
    "offset, digital": {"mapping": "offset"},
    "offset, unit column": {"mapping": "offset", "offset_correction": "unit_column"},
    "two's complement": {"mapping": "twos_complement"},
}
COPIES = 4000  # columns that store the same weights in cells of their own


def mismatch() -> Iterator[Point]:
    """The spread of an output over columns alike but for the mismatch of their cells, by mapping and slices."""
    weights = np.rint(np.linspace(-7, 7, 12))[:, None]
    x = (np.arange(12) * 7 % 16).astype(float)
    sigma = 0.1
    for cell_bits in (1, 2, 3):
        for place, how in enumerate(MAPPINGS.values()):
            array = ArraySpec(rows=16, cols=1, weight_bits=4, weight_scale="max", cell_bits=cell_bits, **how)
            cell = SramCell(mismatch_sigma_rel=sigma)
            spec = ChipSpec(cell=cell, array=array, dac=OneShotDAC(bits=4), adc=IdealADC())
            y = written(spec, np.tile(weights, COPIES)).mvm(x / 15, imcsim.child(0, "read")) * 15
            # sigma^2 sum (x digit worth)^2
            squares = np.einsum("r,rps,ps->", x**2, _digits(weights, array) ** 2, layout(array).worth ** 2)
            if array.offset_correction == "unit_column":  # its cells store weight 0, and err too
                squares += np.einsum("r,rps,ps->", x**2, _digits(0 * weights, array) ** 2, layout(array).worth ** 2)
            law = sigma * math.sqrt(squares)
            tolerance = STANDARD_ERRORS * law / math.sqrt(2 * COPIES)
            name = f"{cell_bits} bit{'s' if cell_bits > 1 else ''} a cell"
            yield Point("mismatch", name, place, law, float(np.std(y - x @ weights)), tolerance, "weight x input")


def _digits(weights: Array, array: ArraySpec) -> Array:
    return cell_digits(weights.astype(np.int32), array)[..., 0].astype(float)


# Compute SNR

SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)
SNR_COLUMNS, SNR_SAMPLES = 2048, 128
# a column's mean input drives all its errors alike: of samples on one die, only its columns are independent
SNR_TOLERANCE_DB = STANDARD_ERRORS * 10 / math.log(10) * math.sqrt(2 / SNR_COLUMNS)
SOURCES = ("rounded weights and inputs", "mismatch", "jitter and read noise", "ADC", "all")


def compute_snr() -> Iterator[Point]:
    """Signal over error of y = W x, in dB, over the rows: each source alone, and all beside the sum of closed forms."""
    quiet = LINE.replace("mismatch_sigma_rel", 0.0).replace("read_noise_rel", 0.0).replace("sigma_t_pulse_s", 0.0)
    noisy = LINE.replace("mismatch_sigma_rel", 0.0)
    still = LINE.replace("read_noise_rel", 0.0).replace("sigma_t_pulse_s", 0.0)
    found: dict[str, list[Point]] = {source: [] for source in SOURCES}
    for rows in SIZES:
        laws = _errors(rows)
        laws["all"] = sum(laws.values())
        adc = UniformADC(bits=8, range="given", lo=0, hi=255.0 * rows)  # of one conversion, all rows driven fully
        rng = imcsim.child(0, "network", rows)
        weights, x = rng.uniform(-1, 1, (rows, SNR_COLUMNS)), rng.uniform(size=(SNR_SAMPLES, rows))
        rounded = _read(quiet, IdealADC(), weights, x)
        errors = {
            "rounded weights and inputs": rounded - x @ weights,
            "mismatch": _read(still, IdealADC(), weights, x) - rounded,
            "jitter and read noise": _read(noisy, IdealADC(), weights, x) - rounded,
            "ADC": _read(quiet, adc, weights, x) - rounded,
            "all": _read(LINE, adc, weights, x) - x @ weights,
        }
        signal = rows / 9  # rows E[x^2] E[w^2]
        for source in SOURCES:
            law, seen = (10 * math.log10(signal / e) for e in (laws[source], float(np.square(errors[source]).mean())))
            found[source].append(Point("snr", source, rows, law, seen, SNR_TOLERANCE_DB, "dB"))
    for source in SOURCES:
        yield from found[source]


def _errors(rows: int) -> dict[str, float]:
    """The mean squared error that each source makes in y, weights uniform from -1 to 1, inputs from 0 to 1."""
    step_w, step_x, square_x, square_w = 1 / 31, 1 / 255, 1 / 3, 1 / 3
    codes = np.arange(-31, 32)
    share = np.where(np.abs(codes) == 31, 0.5, 1) / 62  # of weights that round to each code
    digits = cell_digits(codes[:, None].astype(np.int32), _snr_array(rows))[..., 0].astype(float)
    conducting = float(np.einsum("c,cps,s->", share, digits, 4.0 ** np.arange(5)))  # E[sum worth^2 digit^2]
    cells = rows * square_x * step_w**2 * conducting
    conversions = 2 * float((4.0 ** np.arange(5)).sum())  # polarities, sum of worth^2
    return {
        "rounded weights and inputs": rows * (square_w * step_x**2 + square_x * step_w**2) / 12,
        "mismatch": MISMATCH_REL**2 * cells,
        "jitter and read noise": (JITTER_REL**2 + READ_NOISE_REL**2) * cells,
        "ADC": conversions * (step_w * step_x) ** 2 * rows**2 / 12,  # LSB = 255 rows / 255 MAC units
    }


def _snr_array(rows: int) -> ArraySpec:
    return ArraySpec(rows=rows, cols=SNR_COLUMNS, weight_bits=6, weight_scale="given", weight_limit=1.0)


def _read(cell: Any, adc: Any, weights: Array, x: Array) -> Array:
    spec = ChipSpec(cell=cell, array=_snr_array(len(weights)), dac=OneShotDAC(bits=8), adc=adc)
    return written(spec, weights).mvm(x, imcsim.child(0, "read"))


# Transfer


def droop() -> Iterator[Point]:
    """The fall of the bit line of sram8t_65nm, in V, over the conducting cells, at three word-line voltages."""
    for v_wl_V in (0.6, 0.7, 0.8):
        cell = BIT_LINE.replace("v_wl_V", v_wl_V)
        i_on_A = 220e-6 * (v_wl_V - 0.4) ** 1.8
        unit_V, leaking = i_on_A * 100e-12 / 270e-15, 128 * 2.5e-9 / i_on_A

        def fall(cells: float, unit_V: float = unit_V, leaking: float = leaking) -> float:
            # C dV/dt = I (1 - lambda V) for one pulse, of the conducting cells and 128 that leak; then the swing
            return min((1 - math.exp(-0.15 * unit_V * (cells + leaking))) / 0.15, 0.85)

        for cells, seen in _sums(cell):
            # the other column of the pair leaks alike, and is subtracted
            law = fall(cells) - fall(0)
            yield Point("droop", f"V_WL = {v_wl_V} V", cells, law, seen * unit_V, FLOAT32, "V")


def load() -> Iterator[Point]:
    """The summed current of sram8t_is_65nm, in mA, over the conducting cells, at three loads."""
    i_on_mA: float = 220e-3 * 0.3**1.8
    for r_ohm in (50.0, 200.0, 500.0):
        cell = imcsim.load("sram8t_is_65nm").cell.replace("r_load_ohm", r_ohm)

        def current(cells: float, r_ohm: float = r_ohm) -> float:
            # I = n I_on (1 - lambda R I), solved for I; the clamp ends at 2 mA
            sum_mA = cells * i_on_mA + 128 * 2.5e-6
            return min(sum_mA / (1 + 0.15 * r_ohm * 1e-3 * sum_mA), 2.0)

        for cells, seen in _sums(cell):
            law = current(cells) - current(0)
            yield Point("load", f"R = {r_ohm:g} ohm", cells, law, seen * i_on_mA, 2 * FLOAT32, "mA")


def _sums(cell: Any) -> Iterator[tuple[int, float]]:
    """How many of 128 cells conduct, and what the nominal pair of columns gives, in on-currents."""
    spec = ChipSpec(cell=cell, array=ArraySpec(weight_bits=1), dac=OneShotDAC(bits=1), adc=IdealADC())
    crossbar = imcsim.nominal_die(spec, (128, 1)).program(np.ones((128, 1)), imcsim.child(0, "write"))
    driven = np.arange(0, 129, 8)
    y = crossbar.mvm((np.arange(128) < driven[:, None]).astype(float), imcsim.child(0, "read"))[:, 0]
    yield from zip(driven.tolist(), y.tolist(), strict=True)
