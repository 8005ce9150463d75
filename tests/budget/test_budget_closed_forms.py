"""Closed forms against emulation, source by source, and against what is known without either."""

import math

import numpy as np
import pytest

from imcsim.budget.budget import lines
from imcsim.budget.closed_forms import cell_spread, estimates, quantiser_error
from imcsim.budget.results import Line
from imcsim.budget.setting import setting
from imcsim.budget.static import law_of_sum
from imcsim.budget.terms import Terms
from imcsim.specs.adc import SarADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import BitSerialDAC, IdealDAC, OneShotDAC
from imcsim.specs.library import load

CELL = SramCell(mismatch_sigma_rel=0.1, read_noise_rel=0.05)
ADC = UniformADC(bits=6, noise_lsb=0.3, offset_sigma_lsb=0.3, gain_sigma_rel=0.01)
ROWS = {"gain_sigma_rel": 0.02, "noise_lsb": 0.02, "unit_sigma_rel": 0.1}


def chip(cell=CELL, dac=None, adc=ADC, **array):
    return ChipSpec(cell=cell, array=ArraySpec(**{"weight_bits": 6, **array}), dac=dac or BitSerialDAC(bits=5), adc=adc)


LAYER = (300, 128)  # two whole tiles and a rest

CHIPS = {
    "differential": chip(),
    "slices of 3 bits": chip(cell_bits=3),
    "two-sided": chip(mapping="differential_two_sided"),
    "offset": chip(mapping="offset"),
    "offset, slices of 3 bits": chip(mapping="offset", cell_bits=3),
    "unit column": chip(mapping="offset", offset_correction="unit_column"),
    "two's complement": chip(mapping="twos_complement"),
    "weights and inputs of one bit": chip(mapping="offset", weight_bits=1, dac=BitSerialDAC(bits=1)),
    "subtracted ahead of the ADC": chip(subtraction="analog"),
    "48 rows at a time": chip(rows_parallel=48),
    "cycles added up as charge": chip(dac=BitSerialDAC(bits=5, accumulation="analog")),
    "two phases": chip(dac=BitSerialDAC(bits=5, signed=True, encoding="two_phase")),
    "sign and magnitude": chip(dac=BitSerialDAC(bits=5, signed=True, encoding="sign_magnitude")),
    "two's complement inputs": chip(dac=BitSerialDAC(bits=5, signed=True)),
    "two bits a cycle, rows that err": chip(dac=BitSerialDAC(bits=5, slice_bits=2, **ROWS)),
    "one shot, rows that err": chip(dac=OneShotDAC(bits=5, **ROWS)),
    "one shot, signed": chip(dac=OneShotDAC(bits=5, signed=True, **ROWS)),
    "unquantised inputs": chip(dac=IdealDAC()),
    "cells that conduct when off": chip(SramCell(mismatch_sigma_rel=0.1, on_off_ratio=20), mapping="offset"),
    "a limited current": chip(current_limit=8),
    "log-normal cells": chip(SramCell(mismatch_sigma_rel=0.5, mismatch_law="lognormal"), adc=UniformADC(bits=7)),
    "cells at zero current": chip(SramCell(mismatch_sigma_rel=0.8), adc=UniformADC(bits=7), mapping="offset"),
    "stochastic rounding": chip(adc=UniformADC(bits=6, rounding="stochastic")),
    "a given range": chip(adc=UniformADC(bits=5, range="given", lo=0.0, hi=30.0), mapping="offset"),
    **{name: load(name) for name in ("sram8t_65nm", "sram8t_is_65nm", "sram_cap_28nm")},
    "sram8t_65nm of 512 rows": load("sram8t_65nm").replace("array.rows", 512).replace("array.mapping", "offset"),
    "sram8t_65nm at 350 K": load("sram8t_65nm").replace("cell.temperature_K", 350.0),
    "sram8t_65nm at 0.33 V": load("sram8t_65nm").replace("cell.v_dd_V", 0.33),
}

# What a closed form says of itself where it does not hold.
DOUBTS = {
    "two's complement inputs": "nearly alike",
    "cells that conduct when off": "off cells",
    "sram8t_65nm at 0.33 V": "tail",
    "sram8t_65nm of 512 rows": "tail",
}


# one of each mapping, of each way for inputs to enter, and the device models; the others take their time
QUICK = {
    "differential",
    "offset, slices of 3 bits",
    "two's complement",
    "weights and inputs of one bit",
    "two's complement inputs",
    "two bits a cycle, rows that err",
    "one shot, signed",
    "a limited current",
    "cells that conduct when off",
    "sram8t_65nm",
    "sram_cap_28nm",
}


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CHIPS])
def test_closed_form_and_emulation_agree_within_half_a_decibel_or_the_closed_form_says_why_not(name):
    for line in lines(setting(CHIPS[name], LAYER, seed=1)).values():
        told = f"{line.name}: {line.closed_form} against {line.emulated} +- {line.standard_error}: {line.verdict}"
        expected = line.verdict.startswith("agree") or line.verdict in ("negligible", "nothing")
        assert expected or DOUBTS.get(name, "no doubt") in line.verdict, told


def test_the_verdict_forgives_half_a_decibel_and_two_standard_errors_and_no_more():
    assert Line("mismatch", 1.0, 0.0, 10**0.049, total=1.0).verdict == "agree"
    assert Line("mismatch", 1.0, 0.0, 10**-0.051, total=1.0).verdict == "does not agree"
    assert Line("mismatch", 1.0, 0.1, 10**0.08, total=1.0).verdict.startswith("agree within")
    assert Line("mismatch", 1.0, 0.1, 10**0.15, total=1.0).verdict == "does not agree"


SIZES = {
    "cell.mismatch_sigma_rel": ("mismatch", 0.05),
    "cell.read_noise_rel": ("read_noise", 0.05),
    "adc.noise_lsb": ("adc_noise", 0.2),
    "adc.offset_sigma_lsb": ("adc_offset", 0.2),
    "adc.gain_sigma_rel": ("adc_gain", 0.01),
    "dac.gain_sigma_rel": ("dac_levels", 0.02),
    "dac.unit_sigma_rel": ("dac_levels", 0.1),
    "dac.noise_lsb": ("dac_noise", 0.1),
}


@pytest.mark.parametrize("path", SIZES)
def test_a_sigma_twice_as_large_moves_its_closed_form_by_6_dB_and_out_of_agreement(path):
    name, sigma = SIZES[path]
    spec = chip(SramCell(), OneShotDAC(bits=4), UniformADC(bits=6), weight_bits=4).replace(path, sigma)
    emulated = lines(setting(spec, LAYER, seed=2))[name]
    doubled = estimates(Terms(setting(spec.replace(path, 2 * sigma), LAYER, seed=2)))[name]
    assert doubled.power is not None
    of_signal = doubled.power / Terms(setting(spec, LAYER, seed=2)).signal()
    assert 10 * math.log10(of_signal / emulated.closed_form) == pytest.approx(20 * math.log10(2), abs=0.3)
    wrong = Line(name, emulated.emulated, emulated.standard_error, of_signal, total=emulated.total)
    assert emulated.verdict.startswith("agree")
    assert wrong.verdict == "does not agree"


@pytest.mark.parametrize("bits", [3, 5])
def test_steps_twice_as_fine_lose_6_dB_less_of_a_sum_that_spreads_over_many(bits):
    of = [
        lines(setting(chip(SramCell(), OneShotDAC(bits=6), UniformADC(bits=b), cell_bits=6), LAYER, seed=3))
        for b in (bits + 2, bits + 3)
    ]
    # the range that loses least grows with the bits, by less than the steps shrink: Gersho & Gray, about 5.5 dB a bit
    gained = 10 * math.log10(of[0]["adc_rounding"].closed_form / of[1]["adc_rounding"].closed_form)
    assert 4.5 < gained < 6.1


def test_whole_sums_lose_nothing_to_whole_steps_and_half_a_squared_unit_to_steps_of_two():
    def rounding(hi):
        dac = BitSerialDAC(bits=2, input_scale="mse", out_of_range="clip")
        spec = chip(SramCell(), dac, UniformADC(bits=8, range="given", lo=0.0, hi=hi), weight_bits=2)
        at = setting(spec, LAYER, seed=4)
        return at, estimates(Terms(at))["adc_rounding"].power, lines(at)["adc_rounding"]

    _, power, line = rounding(255.0)
    assert power == 0.0
    assert line.emulated < 1e-9
    at, power, line = rounding(510.0)
    # odd sums, half of them, are off by one unit; three reads of two columns in cycles that count 1 and 2
    assert power == pytest.approx(at.unit**2 * 3 * 2 * (1 + 4) * 0.5, rel=0.05)
    assert line.verdict == "agree"


@pytest.mark.parametrize("adc_bits", [9, 12])
def test_independent_sources_add_up_to_the_total(adc_bits):
    spec = chip(CELL, OneShotDAC(bits=6, noise_lsb=0.3), UniformADC(bits=adc_bits, noise_lsb=0.4), cell_bits=5)
    found = lines(setting(spec, LAYER, seed=5))
    total = found["total"]
    together = sum(line.emulated for name, line in found.items() if name not in ("signal", "total", "interaction"))
    assert 10 * math.log10(together / total.emulated) == pytest.approx(0, abs=0.2)
    assert abs(found["interaction"].closed_form) < 0.05 * total.closed_form


def test_whole_steps_round_noise_away_so_that_sources_exceed_the_total():
    spec = chip(SramCell(read_noise_rel=0.02), BitSerialDAC(bits=8), UniformADC(bits=8, range="full"), weight_bits=8)
    found = lines(setting(spec, LAYER, seed=5))
    beyond = found["total"].emulated - found["weights"].emulated - found["inputs"].emulated
    assert abs(beyond) < 0.1 * found["read_noise"].emulated
    assert found["interaction"].emulated < -found["read_noise"].emulated
    assert found["interaction"].verdict == found["total"].verdict == "agree"


def test_a_converter_of_a_kind_without_closed_form_is_emulated_and_says_so():
    line = lines(setting(chip(adc=SarADC(bits=6, unit_sigma_rel=0.1)), LAYER, seed=6))["adc_decisions"]
    assert line.closed_form is None
    assert line.emulated > 5 * line.standard_error
    assert line.verdict.startswith("no closed form")


# Against what is known


def test_a_fine_quantiser_loses_its_squared_step_over_12_and_what_clips():
    z = 127 * 0.02  # 2.54 sigma: beyond it values clip
    q, phi = 0.5 * math.erfc(z / math.sqrt(2)), math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    expected = 0.02**2 / 12 + 2 * ((1 + z * z) * q - z * phi)
    assert quantiser_error(0.02, 8, signed=True) == pytest.approx(expected, rel=0.01)
    assert quantiser_error(0.04, 8, signed=True) == pytest.approx(0.04**2 / 12, rel=0.01)


def test_the_best_sign_bit_loses_1_less_2_over_pi():
    # Max 1960: levels +-sqrt(2 / pi)
    assert quantiser_error(math.sqrt(2 / math.pi), 1, signed=True) == pytest.approx(1 - 2 / math.pi, abs=1e-12)


def test_unsigned_codes_lose_half_of_what_signed_ones_of_a_bit_more_do():
    assert quantiser_error(0.1, 5, signed=False) == pytest.approx(quantiser_error(0.1, 6, signed=True) / 2, rel=1e-9)


def test_a_sum_of_bits_is_binomial():
    from scipy.stats import binom

    values, probability = law_of_sum(np.array([0.0, 1.0]), np.array([0.7, 0.3]), np.arange(2.0), np.full(2, 0.5), 40)
    assert np.allclose(probability, binom.pmf(values, 40, 0.15), atol=1e-12)
    assert probability.sum() == pytest.approx(1)


def test_a_sum_of_many_large_products_keeps_mean_and_variance():
    x, d = np.arange(256.0), np.arange(-255.0, 256.0)
    values, probability = law_of_sum(x, np.full(256, 1 / 256), d, np.full(511, 1 / 511), 1000)
    variance = 1000 * np.square(x).mean() * np.square(d).mean()
    assert probability @ values == pytest.approx(0, abs=0.001 * math.sqrt(variance))
    assert probability @ values**2 == pytest.approx(variance, rel=0.01)


def test_the_sum_of_no_rows_is_zero():
    values, probability = law_of_sum(np.arange(2.0), np.full(2, 0.5), np.arange(2.0), np.full(2, 0.5), 0)
    assert values.tolist() == [0.0]
    assert probability.tolist() == [1.0]


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.5])
def test_currents_that_stop_at_zero_have_the_moments_of_the_integral(sigma):
    n = np.linspace(-12, 12, 400001)
    density = np.exp(-n * n / 2) / math.sqrt(2 * math.pi) * (n[1] - n[0])
    current = np.maximum(1 + sigma * n, 0)
    bias, variance = cell_spread(sigma, "normal")
    assert bias == pytest.approx(density @ current - 1, abs=1e-6)
    assert variance == pytest.approx(density @ current**2 - (1 + bias) ** 2, rel=1e-5)
    assert cell_spread(sigma, "lognormal") == (0.0, sigma**2)
